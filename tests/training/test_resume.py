"""The same recipe gives the same losses: twice, after a kill, and as they were when the golden file was made."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .small_run import measured, small_loop

HERE = Path(__file__).parent
STEPS = 20


class Died(Exception):
    pass


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return measured(small_loop(tmp_path_factory.mktemp("run"), STEPS))


def die(folder: Path, at: int, **changes: object) -> None:
    """Leave a folder as a run leaves it that ends without a word after some steps."""

    def progress(what: str, done: int, total: int) -> None:
        if done == at:
            raise Died

    with pytest.raises(Died):
        small_loop(folder, STEPS, progress, **changes).run()


def test_losses_are_the_golden_ones(undisturbed):
    """To 1e-4: with other vector instructions (SSE, AVX2, AVX-512) the losses differ by 1e-7; after a bug, by more."""
    golden = json.loads((HERE / "data" / "golden_losses.json").read_text())
    for name in ("train", "validation"):
        assert undisturbed[name][1] == pytest.approx(golden[name], rel=1e-4)


def test_losses_fall(undisturbed):
    losses = undisturbed["validation"][1]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.3


def test_a_second_run_is_equal_to_the_bit(undisturbed, tmp_path):
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed


def test_a_run_killed_and_resumed_is_equal_to_the_bit(undisturbed, tmp_path):
    command = [sys.executable, str(HERE / "small_run.py"), str(tmp_path), str(STEPS), "10"]
    assert subprocess.run(command, capture_output=True, timeout=200).returncode == -9
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000006"]
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed


@pytest.mark.parametrize("at", [3, 6, 19])
def test_where_it_died_makes_no_difference(undisturbed, tmp_path, at):
    die(tmp_path, at)
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed


def test_a_finished_run_trains_no_further(undisturbed, tmp_path):
    small_loop(tmp_path, STEPS).run()
    steps = []
    assert measured(small_loop(tmp_path, STEPS, lambda what, done, total: steps.append(done))) == undisturbed
    assert steps == []


def test_losses_between_a_log_and_a_checkpoint_are_not_lost(tmp_path):
    """With a log each 5 steps and a checkpoint each 6, the second log speaks of a step on either side of a kill."""
    straight = measured(small_loop(tmp_path / "straight", STEPS, log_every=5))
    die(tmp_path / "broken", 8, log_every=5)
    assert measured(small_loop(tmp_path / "broken", STEPS, log_every=5)) == straight
    assert straight["train"][0] == [5, 10, 15, 20]


def test_a_half_written_checkpoint_is_nobodys(undisturbed, tmp_path):
    die(tmp_path, 8)
    half = tmp_path / "checkpoints" / ".step-00000012.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed
    assert not half.exists()
