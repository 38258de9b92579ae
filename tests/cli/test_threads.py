"""Whatever a command loads, it loads it with threads that wait without spinning."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.tokenizers import make_tokenizer, save_tokenizer

WATCH = """
import os, sys

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch is loaded with", os.environ.get("OMP_WAIT_POLICY"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Watch())
"""
"""Tells how threads would wait, in place of loading torch."""

COMMANDS = {
    "evaluate": ["hubkit", "evaluate", "model", "--metric", "exact_match"],
    "prompt": ["hubkit", "prompt", "model", "AB"],
    "train": ["hubkit", "train", "lorenz-tiny"],
    "script": [sys.executable, "-m", "hubkit.train", "lorenz-tiny"],
}


@pytest.fixture
def folder(tmp_path):
    """A folder in which `model` is a model as far as can be told before torch is loaded."""
    (tmp_path / "sitecustomize.py").write_text(WATCH)
    model = tmp_path / "model"
    save_tokenizer(make_tokenizer("characters:AB"), model)
    (model / "config.json").write_text('{"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"]}')
    recipe = {"dataset": {"repo": "lab/data"}, "reading": {}}
    recipe["objective"] = {"name": "causal", "learn_after": ","}
    run = {"name": "mine", "recipe": recipe, "datasets": [{"repo": "lab/data", "revision": "a" * 40, "release": None}]}
    (model / "run.json").write_text(json.dumps(run))
    return tmp_path


@pytest.mark.parametrize(("given", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")], ids=["by itself", "told"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_threads_wait_without_spinning_unless_told_to(command, given, found, folder):
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    told = {"OMP_WAIT_POLICY": given} if given else {}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**kept, **told, "PYTHONPATH": str(folder), "PATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == f"torch is loaded with {found}\n", done.stderr
