"""A tiny model, and the demo Space running with it as on a bare machine: a flat folder and nothing of hubkit."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hubkit.demo import copy_app
from hubkit.resources import load_module

WRITER = "lab/rewriting-tiny-minigpt"
MODEL, DATA, COMMIT = "lab/lorenz-tiny-roberta", "lab/lorenz-tiny", "0123456789abcdef0123456789abcdef01234567"
READS = 200
"""Tokens that the tiny minigpt reads."""
LIMIT = 380
"""Tokens that the tiny model reads."""
WORLD = (
    "{'description': {'num_sys': 1, 'sys0': {'params': [10.05, 2.771, 26.64], 'init_point': [1.085, 3.91, 2.842], "
    "'step_size': 700, 'name': 'lorenz', 'step_multip': 8}}, 'data': [[-1.36, 0.95, -1.07], [-1.14, 0.41, -0.77], "
    "[-0.85, -0.08, -0.33], [-0.41, -0.44, 0.17], [0.22, -0.61, 0.57]]}"
)


class App(NamedTuple):
    """The running Space."""

    url: str
    folder: Path
    """The copy that it runs from."""


@pytest.fixture(scope="session")
def world() -> str:
    """A world of one system, three dimensions and five steps, with nothing masked."""
    return WORLD


@pytest.fixture(scope="session")
def space_folder(tmp_path_factory) -> Path:
    """The app as it is deployed, with what it needs to run a minigpt, and without settings."""
    folder = tmp_path_factory.mktemp("composed") / "demo"
    copy_app(folder, ["roberta", "minigpt"])
    return folder


@pytest.fixture(scope="session")
def demo(space_folder):
    """Return a function that imports one file of the Space, with its neighbours in reach."""
    folder = space_folder

    def load(name: str):
        sys.path.insert(0, str(folder))
        try:
            return load_module(folder / f"{name}.py", name)
        finally:
            sys.path.remove(str(folder))

    return load


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A folder with a one-layer RoBERTa of random weights that leans towards the numbers around 10."""
    import torch
    from transformers import RobertaConfig, RobertaForMaskedLM

    from hubkit.tokenizers import make_tokenizer, save_tokenizer

    folder = tmp_path_factory.mktemp("model")
    tokenizer = make_tokenizer("lorenz")
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=LIMIT + tokenizer.pad_token_id + 1, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = RobertaForMaskedLM(config)
    for number in range(100):
        bias = 6.0 - 0.35 * (number - 10) ** 2
        model.lm_head.bias.data[tokenizer.convert_tokens_to_ids(f"{number:02d}")] = max(bias, -6.0)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_writer(tmp_path_factory) -> Path:
    """A folder with a one-layer minigpt of random weights that reads both ways."""
    import torch

    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM
    from hubkit.tokenizers import make_tokenizer, save_tokenizer

    folder = tmp_path_factory.mktemp("writer")
    tokenizer = make_tokenizer("characters:AB")
    directions = ["<|forward|>", "<|backward|>"]
    tokenizer.add_special_tokens({"extra_special_tokens": directions})
    torch.manual_seed(0)
    config = MiniGPTConfig(
        vocab_size=len(tokenizer), n_layer=1, n_head=2, n_embd=16, block_size=READS, initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, direction="both",
        direction_tokens=dict(
            zip(("forward", "backward"), tokenizer.convert_tokens_to_ids(directions), strict=True)
        ),
    )  # fmt: skip
    MiniGPTConfig.register_for_auto_class()
    MiniGPTForCausalLM.register_for_auto_class("AutoModelForCausalLM")
    MiniGPTForCausalLM(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    # What a Space must never run.
    (folder / "modeling_minigpt.py").write_text("raise SystemExit('code of the repository ran')\n")
    (folder / "configuration_minigpt.py").write_text("raise SystemExit('code of the repository ran')\n")
    return folder


@pytest.fixture(scope="session")
def hub_cache(tmp_path_factory, tiny_model, tiny_writer) -> Path:
    """An HF_HOME in which the tiny models lie as if fetched from the Hub at their commit."""
    home = tmp_path_factory.mktemp("hf")
    for repo, folder in ((MODEL, tiny_model), (WRITER, tiny_writer)):
        shutil.copytree(folder, home / "hub" / f"models--{repo.replace('/', '--')}" / "snapshots" / COMMIT)
    return home


@pytest.fixture(scope="session")
def space_environment(hub_cache) -> dict[str, str]:
    """The environment of the Space's process: this one's less what would change the Space, and offline."""
    foreign = ("HUBKIT_", "GRADIO_", "HF_", "SPACE_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return {**kept, "HF_HOME": str(hub_cache), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture(scope="module")
def app(tmp_path_factory, space_folder, space_environment) -> Iterator[App]:
    """The Space, served by its own process from a copy of its folder."""
    folder = tmp_path_factory.mktemp("space") / "demo"
    shutil.copytree(space_folder, folder, ignore=shutil.ignore_patterns("__pycache__"))
    pin = {"revision": COMMIT}
    space = {
        "format": 1,
        "title": "Lorenz worlds",
        "models": [{"repo": MODEL, **pin}, {"repo": WRITER, **pin}],
        "datasets": [{"repo": DATA, **pin}],
    }
    (folder / "space.json").write_text(json.dumps(space), encoding="utf-8")
    masked = WORLD.replace("[10.05", "[?.05")
    examples = [
        {"label": "A mild world", "text": masked, "truth": "10"},
        {"label": "A wild world", "text": masked.replace("26.64", "31.64"), "truth": ["12"]},
        {"label": "Nothing masked", "text": WORLD},
    ]
    (folder / "examples.json").write_text(json.dumps(examples), encoding="utf-8")
    prompts = [{"label": "{AAB,", "prompt": "{AAB,", "truth": "AAAAB"}, {"label": "{B,", "prompt": "{B,", "truth": "B"}]
    (folder / "prompts.json").write_text(json.dumps(prompts), encoding="utf-8")
    with (folder.parent / "log").open("w+") as log:
        port = _free_port()
        process = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env={**space_environment, "GRADIO_SERVER_PORT": str(port)},
            stdout=log, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, process, folder.parent / "log")
            yield App(url, folder)
        finally:
            process.terminate()
            process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(url: str, process: subprocess.Popen, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(600):
        if process.poll() is not None:
            break
        try:
            opener.open(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the Space did not start:\n{log.read_text()}")
