"""The same recipe gives the same losses: twice, after a kill, and as they were when the golden file was made."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GOLDEN = HERE / "data" / "golden_losses.json"
STEPS = 20


def run(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, HERE / "small_run.py", folder, *arguments]
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=200)


def result(folder: Path, *arguments: object) -> dict:
    done = run(folder, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return result(tmp_path_factory.mktemp("run"), STEPS)


def test_losses_are_the_golden_ones(undisturbed):
    """Other processors add in another order: in 20 steps that moves the fifth digit, another computation the second."""
    golden = json.loads(GOLDEN.read_text())
    assert undisturbed["train"] == pytest.approx(golden["train"], rel=1e-3)
    assert undisturbed["validation"] == pytest.approx(golden["validation"], rel=1e-3)


def test_losses_fall(undisturbed):
    assert undisturbed["validation"][-1] < undisturbed["validation"][0]


def test_a_second_run_is_equal_to_the_bit(undisturbed, tmp_path):
    assert result(tmp_path, STEPS) == undisturbed


@pytest.mark.parametrize("die_at", [6, 10, 19])
def test_a_run_killed_and_resumed_is_equal_to_the_bit(undisturbed, tmp_path, die_at):
    assert run(tmp_path, STEPS, die_at).returncode == -9
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept[-1] == f"step-{die_at // 6 * 6:08d}"
    assert result(tmp_path, STEPS) == undisturbed


def test_a_half_written_checkpoint_is_nobodys(undisturbed, tmp_path):
    assert run(tmp_path, STEPS, 8).returncode == -9
    half = tmp_path / "checkpoints" / ".step-00000012.tmp"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    assert result(tmp_path, STEPS) == undisturbed
    assert not half.exists()


def test_a_damaged_checkpoint_is_refused_and_never_a_fresh_start(tmp_path):
    assert run(tmp_path, STEPS, 8).returncode == -9
    weights = tmp_path / "checkpoints" / "step-00000006" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    done = run(tmp_path, STEPS)
    assert done.returncode == 1
    assert "can't read the checkpoint" in done.stderr and "delete it to start over" in done.stderr
