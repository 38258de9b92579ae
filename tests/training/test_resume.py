"""The same recipe gives the same losses: twice, after a kill, and as they were when the golden file was made."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubkit.training import checkpoints as writing
from hubkit.training.checkpoints import checkpoints

from .small_run import CASES, begun, measured, small_loop

HERE = Path(__file__).parent
GOLDEN = json.loads((HERE / "data" / "golden_losses.json").read_text())
STEPS = 20
RESUMED = (
    "numeric_roberta numeric", "minigpt backward", "minigpt both", "minigpt prefix", "minigpt modern forward",
    "gru both", "lstm backward", "gpt_neox forward",
)  # fmt: skip


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


def killed(work: Callable[..., object], *arguments: object) -> None:
    """Do something in a process that dies of SIGKILL meanwhile."""
    process = begun(work, *arguments)
    process.join(120)
    assert process.exitcode == -signal.SIGKILL


def kill_me(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_every_case_has_golden_losses():
    assert sorted(GOLDEN) == sorted(CASES)


@pytest.mark.parametrize("case", CASES)
def test_losses_are_the_golden_ones(tmp_path, case):
    """To 1e-4: with other vector instructions (SSE, AVX2, AVX-512) the losses differ by 1e-7; after a bug, by more."""
    found = measured(small_loop(tmp_path, STEPS, case=case))
    for name in ("train", "validation"):
        assert found[name][1] == pytest.approx(GOLDEN[case][name], rel=1e-4)
    losses = found["validation"][1]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.15, "it learns"


def test_a_second_run_is_equal_to_the_bit(undisturbed, tmp_path):
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed


def test_a_run_killed_and_resumed_in_other_processes_is_equal_to_the_bit(undisturbed, tmp_path):
    command = [sys.executable, str(HERE / "small_run.py"), str(tmp_path), str(STEPS), "roberta masked", "10"]
    assert subprocess.run(command, capture_output=True, timeout=200).returncode == -9
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-00000006"]
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed


@pytest.mark.parametrize("case", RESUMED)
def test_each_architecture_and_direction_resumes_to_the_bit(tmp_path, case):
    straight = measured(small_loop(tmp_path / "straight", STEPS, case=case))
    die(tmp_path / "broken", 15, case=case)
    assert measured(small_loop(tmp_path / "broken", STEPS, case=case)) == straight


@pytest.mark.parametrize("at", [3, 6, 19])
def test_where_it_died_makes_no_difference(undisturbed, tmp_path, at):
    die(tmp_path, at)
    assert measured(small_loop(tmp_path, STEPS)) == undisturbed


def killed_at_moment(folder: Path, moment: str, case: str, changes: dict[str, Any]) -> None:
    """Train, and die at a moment of the checkpoint of step 12."""

    def arm(what: str, step: int, steps: int) -> None:
        if step != 11:
            return
        if moment == "save_state":
            loop.accelerator.save_state = kill_me
        elif moment == "rename":
            Path.rename = kill_me
        else:
            setattr(writing.shutil if moment == "rmtree" else writing, moment, kill_me)

    loop = small_loop(folder, STEPS, arm, case=case, **changes)
    loop.run()


@pytest.mark.parametrize("moment", ["save_state", "write_atomic", "rename", "rmtree"])
def test_killed_while_a_checkpoint_is_written(tmp_path, moment):
    """Before its files, before its last file, before its name, and while the one that it replaces is removed."""
    case, changes = "minigpt backward", {"keep_checkpoints": 1, "checkpoint_every": 4}
    killed(killed_at_moment, tmp_path / "broken", moment, case, changes)
    left = [path.name for path in checkpoints(tmp_path / "broken" / "checkpoints")]
    assert left == (["step-00000008", "step-00000012"] if moment == "rmtree" else ["step-00000008"])
    straight, resumed = (measured(small_loop(tmp_path / name, STEPS, case=case, **changes)) for name in ("x", "broken"))
    assert resumed == straight
    assert [path.name for path in (tmp_path / "broken" / "checkpoints").iterdir()] == ["step-00000020"]


def killed_after(folder: Path, seconds: float, case: str, changes: dict[str, Any]) -> None:
    """Train, and die some seconds after the loop is made, or once it is done."""
    loop = small_loop(folder, STEPS, case=case, **changes)
    threading.Thread(target=lambda: (time.sleep(seconds), kill_me()), daemon=True).start()
    loop.run()
    time.sleep(seconds)
    kill_me()


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 20))])
def test_killed_at_any_moment(tmp_path, seed):
    """Several times over, at moments that the seed says; each start goes on until the run is done."""
    case, changes = "gru forward", {"checkpoint_every": 1, "evaluate_every": 5, "keep": "best"}
    straight = measured(small_loop(tmp_path / "straight", STEPS, case=case, **changes))
    draw = random.Random(seed)

    for _ in range(3):
        killed(killed_after, tmp_path / "broken", draw.uniform(0.0, 0.3), case, changes)
    loop = small_loop(tmp_path / "broken", STEPS, case=case, **changes)
    assert measured(loop) == straight
    assert loop.best["step"] == 20 and set(loop.weights()) > {"lm_head.weight"}


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


# --- to a step, and by some steps ------------------------------------------------------------------------------------

CONSTANT = {"schedule": {"name": "constant", "warmup_steps": 4}, "case": "minigpt forward"}


def test_further_trains_by_some_steps_and_steps_to_one(tmp_path):
    """With a schedule that knows no end, both are the run that was that long from the beginning."""
    straight = measured(small_loop(tmp_path / "straight", 20, **CONSTANT))
    for name, then, options in (("to", 20, {}), ("by", 12, {"further": 8})):
        small_loop(tmp_path / name, 12, **CONSTANT).run()
        found = measured(small_loop(tmp_path / name, then, **CONSTANT), **options)
        assert found["weights"] == straight["weights"] and found["train"] == straight["train"]


def test_further_that_is_interrupted_makes_the_steps_that_are_left(tmp_path):
    small_loop(tmp_path, 12, **CONSTANT).run()

    def progress(what: str, done: int, total: int) -> None:
        if done == 19:
            raise Died

    with pytest.raises(Died):
        small_loop(tmp_path, 12, progress, **CONSTANT).run(further=10)
    assert small_loop(tmp_path, 12, **CONSTANT).run(further=10).steps == 22
    assert small_loop(tmp_path, 12, **CONSTANT).run(further=10).steps == 32, "once it is done, further is further"


def test_a_restart_that_the_end_hid_comes_when_the_run_goes_on(tmp_path):
    """Twelve steps end at the lowest rate, where twenty begin the third period at the highest."""
    changes = {"schedule": {"name": "cosine_restarts", "period": 6}, "case": "minigpt forward"}
    straight = measured(small_loop(tmp_path / "straight", 20, **changes))
    small_loop(tmp_path / "to", 12, **changes).run()
    assert measured(small_loop(tmp_path / "to", 20, **changes)) == straight
