"""FSDP2 and DeepSpeed: a model that two processes share out learns what one process would teach it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hubkit.resources import resource

from .sharded_run import CHANGES
from .small_run import EVERY, make_parts, small_loop

STEPS = 2 * EVERY
WAYS = {"fsdp2": "FSDP", "deepspeed-zero2": "DEEPSPEED", "deepspeed-zero3": "DEEPSPEED"}


def launched(way: str, folder: Path, die_at: int = 0) -> int:
    config = str(resource("scripts", "accelerate") / f"{way}.yaml")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", config, "--num_processes", "2"]
    run = str(Path(__file__).with_name("sharded_run.py"))
    environment = os.environ | {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"}
    command += [run, str(folder), str(STEPS), str(die_at)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not die_at:
        assert done.returncode == 0, done.stderr
    return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_two_processes_that_share_a_model_out_give_the_losses_of_one(tmp_path, way):
    """One dies on the way, so that what is compared went through a checkpoint. bf16's sums differ by their order."""
    if way != "fsdp2":
        pytest.importorskip("deepspeed", reason="DeepSpeed is not installed")
    alone = small_loop(tmp_path / "one", STEPS, parts=make_parts(tmp_path, "still forward"), **CHANGES)
    history = alone.run().history
    assert launched(way, tmp_path / "two", die_at=EVERY + 2) != 0
    assert [path.name for path in (tmp_path / "two" / "checkpoints").iterdir()] == [f"step-{EVERY:08}"]
    launched(way, tmp_path / "two")
    found = json.loads((tmp_path / "two" / "losses.json").read_text())
    assert found["shared"] == WAYS[way]
    for name in ("train", "validation"):
        assert found[name] == pytest.approx(history.series(f"{name}_loss")[1], rel=1e-3)
    whole, expected = torch.load(tmp_path / "two" / "weights.pt"), alone.weights()
    assert {name: tensor.shape for name, tensor in whole.items()} == {
        name: tensor.shape for name, tensor in expected.items()
    }
