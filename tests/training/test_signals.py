"""Signals to `hubkit train`: each ends the run with a checkpoint and the status that asks for another start."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.training.stopping import EX_TEMPFAIL

pytestmark = pytest.mark.slow

HUBKIT = Path(sys.executable).with_name("hubkit")
STEPS = 300
RECIPE = """
name: small
dataset: {folder: corpus}
tokenizer: lorenz
model: {architecture: minigpt, n_layer: 1, n_head: 2, n_embd: 32, dropout: 0.1}
objective: {name: causal, direction: backward}
reading: {form: windows, length: 32}
training:
  batch_size: 8
  learning_rate: 3.0e-3
  schedule: {warmup_steps: 4}
  log_every: 50
  evaluate_every: 150
  checkpoint_every: 150
  evaluation_rows: 16
  trackers: []
"""
TWO = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_GPU\nnum_machines: 1\nnum_processes: 2\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a corpus and a recipe, where accelerate is configured for one process, and for two."""
    folder = tmp_path_factory.mktemp("place")
    build(find("lorenz-tiny", ["splits.train=64", "splits.validation=24", "splits.test=24"]), folder / "corpus")
    (folder / "small.yaml").write_text(RECIPE)
    (folder / "2" / "accelerate").mkdir(parents=True)
    (folder / "2" / "accelerate" / "default_config.yaml").write_text(TWO)
    return folder


def train(place: Path, processes: int, output: str) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    command = [str(HUBKIT), "train", "small.yaml", f"output={output}", f"training.steps={STEPS}"]
    return subprocess.Popen(
        command, cwd=place, env=clean | {"HF_HOME": str(place / str(processes)), "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finished(place: Path, processes: int, output: str) -> dict:
    process = train(place, processes, output)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 0, said
    return json.loads((place / output / "model" / "run.json").read_text())


@pytest.fixture(scope="module")
def undisturbed(place):
    return {processes: finished(place, processes, f"undisturbed-{processes}") for processes in (1, 2)}


def result(place: Path, output: str) -> tuple[bytes, str]:
    model = place / output / "model"
    return (model / "model.safetensors").read_bytes(), (model / "curve.csv").read_text()


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    assert path.exists()


@pytest.mark.parametrize(
    ("number", "processes"),
    [
        (signal.SIGTERM, 1), pytest.param(signal.SIGUSR1, 1, marks=pytest.mark.soak),
        pytest.param(signal.SIGTERM, 2, marks=pytest.mark.soak), (signal.SIGUSR1, 2),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else str(value),
)  # fmt: skip
def test_a_signal_leaves_a_checkpoint_and_the_same_command_goes_on_to_the_bit(place, undisturbed, number, processes):
    output = f"{number.name}-{processes}"
    process = train(place, processes, output)
    wait_for(place / output / "checkpoints" / "step-00000150", process)
    process.send_signal(number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == EX_TEMPFAIL, said
    assert said.splitlines()[-1].startswith("hubkit: a checkpoint is written at step ")
    newest = max(path.name for path in (place / output / "checkpoints").iterdir())
    assert "step-00000150" < newest < f"step-{STEPS:08d}"
    lineage = finished(place, processes, output)
    assert lineage["environment"]["processes"] == processes and lineage["training"]["steps"] == STEPS
    assert result(place, output) == result(place, f"undisturbed-{processes}")
    assert lineage["training"]["tokens"] == undisturbed[processes]["training"]["tokens"]


def test_a_signal_before_the_training_asks_for_another_start(place):
    process = train(place, 1, "early")
    while process.poll() is None and "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.05)
    process.terminate()  # while it imports
    _, said = process.communicate(timeout=60)
    assert process.returncode == EX_TEMPFAIL, said


def test_ctrl_c_to_two_processes_is_told_in_one_line(place):
    process = train(place, 2, "interrupted")
    wait_for(place / "interrupted" / "checkpoints" / "step-00000150", process)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "hubkit: interrupted; the same command goes on from the newest checkpoint"
    assert "Traceback" not in said


def test_a_process_that_dies_takes_the_others_along(place):
    process = train(place, 2, "dead")
    wait_for(place / "dead" / "checkpoints" / "step-00000150", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGKILL, said
    assert not any(Path(f"/proc/{child}").exists() for child in children)
