"""The launcher's configurations: each is one that accelerate takes, and what it makes of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType

from hubkit.resources import resource
from hubkit.training.run import say_what_is_left_out

FOLDER = Path(str(resource("scripts", "accelerate")))
TYPES = {
    "cpu": DistributedType.MULTI_GPU,
    "ddp": DistributedType.MULTI_GPU,
    "deepspeed-zero2": DistributedType.DEEPSPEED,
    "deepspeed-zero3": DistributedType.DEEPSPEED,
    "fsdp2": DistributedType.FSDP,
}


def launched(name: str, *options: str):
    """Return the arguments with which the launcher starts a script under a configuration."""
    config = str(FOLDER / f"{name}.yaml")
    arguments = launch_command_parser().parse_args(["--config_file", config, *options, "train.py", "recipe"])
    return _validate_launch_command(arguments)[0]


def test_every_configuration_is_known_here():
    assert sorted(path.stem for path in FOLDER.iterdir()) == sorted(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_accelerate_takes_it(name):
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig)
    assert config.distributed_type == TYPES[name]
    assert config.mixed_precision is None  # the recipe says it


@pytest.mark.parametrize("name", TYPES)
def test_the_launcher_chooses_by_it(name):
    arguments = launched(name)
    chosen = [arguments.multi_gpu, arguments.use_fsdp, arguments.use_deepspeed]
    kinds = (DistributedType.MULTI_GPU, DistributedType.FSDP, DistributedType.DEEPSPEED)
    assert chosen == [TYPES[name] == kind for kind in kinds]
    assert arguments.num_processes == (2 if name == "cpu" else 8)
    assert launched(name, "--num_processes", "3").num_processes == 3


def test_shares_of_a_model():
    fsdp = launched("fsdp2")
    assert (fsdp.fsdp_version, fsdp.fsdp_reshard_after_forward) == (2, True)
    assert fsdp.fsdp_auto_wrap_policy == "TRANSFORMER_BASED_WRAP"
    assert [launched(f"deepspeed-zero{stage}").zero_stage for stage in (2, 3)] == [2, 3]
    assert launched("deepspeed-zero3").zero3_save_16bit_model is True


@pytest.mark.parametrize("name", TYPES)
def test_a_comment_says_what_it_is_for(name):
    first = (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ")


@pytest.mark.parametrize("way", ["FSDP", "DEEPSPEED"])
def test_what_accelerate_leaves_away_without_gpus_is_said(monkeypatch, way):
    heard: list[str] = []
    whole: Any = SimpleNamespace(distributed_type=DistributedType.MULTI_CPU, num_processes=2)
    say_what_is_left_out(whole, heard.append)
    monkeypatch.setenv(f"ACCELERATE_USE_{way}", "true")
    shared: Any = SimpleNamespace(distributed_type=DistributedType[way], num_processes=2)
    say_what_is_left_out(shared, heard.append)
    assert heard == []
    say_what_is_left_out(whole, heard.append)
    assert heard == [
        f"{way} is for GPUs, and there are none: each of the 2 processes holds the whole model, and the gradients are "
        "averaged"
    ]
