"""Signals to `hubkit train`: each ends the run with a checkpoint and the status that asks for another start."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.training.stopping import EX_TEMPFAIL

pytestmark = pytest.mark.slow

HUBKIT = Path(sys.executable).with_name("hubkit")
STEPS, EVERY = 400, 50
"""Of a run, and between its checkpoints."""
RECIPE = f"""
name: small
dataset: {{folder: corpus}}
tokenizer: lorenz
model: {{architecture: minigpt, n_layer: 1, n_head: 2, n_embd: 32, dropout: 0.1}}
objective: {{name: causal, direction: backward}}
reading: {{form: windows, length: 32}}
training:
  batch_size: 8
  learning_rate: 3.0e-3
  schedule: {{warmup_steps: 4}}
  log_every: 50
  evaluate_every: 200
  checkpoint_every: {EVERY}
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
    """Return a function that gives the run of so many processes which nothing disturbs; each is made once."""
    return cache(lambda processes: finished(place, processes, f"undisturbed-{processes}"))


def result(place: Path, output: str) -> tuple[bytes, str]:
    model = place / output / "model"
    return (model / "model.safetensors").read_bytes(), (model / "curve.csv").read_text()


def steps(place: Path, output: str) -> list[int]:
    """Return the steps of the checkpoints that are there."""
    return sorted(int(path.name.rpartition("-")[2]) for path in (place / output / "checkpoints").glob("step-*"))


def wait_for(step: int, place: Path, output: str, process: subprocess.Popen[str]) -> None:
    """Wait for a checkpoint of a step, or of a later one."""
    deadline = time.monotonic() + 120
    while max(steps(place, output), default=0) < step and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    assert max(steps(place, output), default=0) >= step


@pytest.mark.parametrize(
    ("number", "processes"),
    [
        (signal.SIGTERM, 1),
        *(pytest.param(*case, marks=pytest.mark.soak)
          for case in ((signal.SIGUSR1, 1), (signal.SIGTERM, 2), (signal.SIGUSR1, 2))),
    ],
    ids=lambda value: value.name if isinstance(value, signal.Signals) else str(value),
)  # fmt: skip
def test_a_signal_leaves_a_checkpoint_and_the_same_command_goes_on_to_the_bit(place, undisturbed, number, processes):
    output = f"{number.name}-{processes}"
    process = train(place, processes, output)
    wait_for(EVERY, place, output, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=100)
    assert process.returncode == EX_TEMPFAIL, said
    assert said.splitlines()[-1].startswith("hubkit: a checkpoint is written at step ")
    assert EVERY < steps(place, output)[-1] < STEPS
    lineage = finished(place, processes, output)
    assert lineage["environment"]["processes"] == processes and lineage["training"]["steps"] == STEPS
    assert lineage["training"]["tokens"] == undisturbed(processes)["training"]["tokens"]
    assert result(place, output) == result(place, f"undisturbed-{processes}")


def test_a_signal_before_the_training_asks_for_another_start(place):
    process = train(place, 1, "early")
    while process.poll() is None and "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text():
        time.sleep(0.05)
    process.terminate()  # while it imports
    _, said = process.communicate(timeout=60)
    assert process.returncode == EX_TEMPFAIL, said


def test_two_processes_are_stopped_interrupted_and_lose_one(place):
    """One run, which the same command takes further each time."""
    first = train(place, 2, "two")
    wait_for(EVERY, place, "two", first)
    first.send_signal(signal.SIGUSR1)
    _, said = first.communicate(timeout=100)
    assert first.returncode == EX_TEMPFAIL, said
    *_, stopped = steps(place, "two")
    assert said.splitlines()[-1].startswith(f"hubkit: a checkpoint is written at step {stopped}")
    assert EVERY < stopped < STEPS

    second = train(place, 2, "two")
    wait_for(stopped + 1, place, "two", second)
    os.killpg(second.pid, signal.SIGINT)
    _, said = second.communicate(timeout=60)
    assert second.returncode == 130, said
    assert said.splitlines()[-1] == "hubkit: interrupted; the same command goes on from the newest checkpoint"
    assert "Traceback" not in said
    *_, interrupted = steps(place, "two")

    third = train(place, 2, "two")
    wait_for(interrupted + 1, place, "two", third)
    children = Path(f"/proc/{third.pid}/task/{third.pid}/children").read_text().split()
    assert len(children) == 2
    os.kill(int(children[1]), signal.SIGKILL)
    _, said = third.communicate(timeout=60)
    assert third.returncode == 128 + signal.SIGKILL, said
    assert not any(Path(f"/proc/{child}").exists() for child in children)


LAUNCHER = """
import os
from hubkit.ending import orderly_end
from hubkit.training.launching import _run
with orderly_end():
    _run(["sh", "-c", "sleep 0.2; echo ready; exec sleep 60"], [dict(os.environ)] * 2)
"""


def test_processes_end_with_a_launcher_whose_terminal_closes():
    with subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert [launcher.stdout.readline() for _ in range(2)] == ["ready\n"] * 2
        launcher.send_signal(signal.SIGHUP)
        assert launcher.stdout.read() == ""  # which ends with the last process that could write
    assert launcher.returncode == 128 + signal.SIGHUP


LEAVING = """
import atexit, os, sys, threading, time
from hubkit.train import leave
atexit.register(print, "tidied")
threading.Thread(target=lambda: (time.sleep(1), print("waited for"))).start()
leave(int(sys.argv[1]))
"""


@pytest.mark.parametrize(
    ("status", "processes", "said"),
    [(130, 2, "tidied\n"), (0, 2, "waited for\ntidied\n"), (130, 1, "waited for\ntidied\n")],
)
def test_one_of_several_processes_that_ends_early_leaves_its_threads_to_the_system(status, processes, said):
    command = [sys.executable, "-c", LEAVING, str(status)]
    environment = os.environ | {"WORLD_SIZE": str(processes)}
    left = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert (left.returncode, left.stdout) == (status, said), left.stderr
