"""Makes small folders to publish: a corpus that is really built, a model and a Space that only look like it."""

import json
import struct
from pathlib import Path
from typing import Any

from hubkit.corpora.build import build
from hubkit.corpora.registry import find

LIBRARIES = {"torch": "2.13.0"}


def make_corpus(folder: Path, train: int, *changes: str) -> Path:
    """Build strings of A and B and what a rule makes of them."""
    build(find("rewriting-tiny", [f"train={train}", "validation=8", "test=8", *changes]), folder, overlap=False)
    return folder


def make_model(folder: Path, name: str, datasets: list[dict[str, Any]], **changes: Any) -> Path:
    """Write a model folder whose weights are its name; `changes` are fields of `run.json`."""
    folder.mkdir(parents=True)
    run = {
        "format": 1,
        "name": name,
        "architecture": "roberta",
        "recipe": {"model": {"hidden": 8}},
        "recipe_sha256": "7" * 64,
        "datasets": datasets,
        "tokenizer": {"name": "characters:AB", "sha256": "8" * 64},
        "init_from": None,
        "direction": "forward",
        "code": {"hubkit": "0.1.0", "commit": "c" * 40, "modified": False},
        "environment": {"libraries": LIBRARIES},
        "training": {"steps": 2000},
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta", "architectures": ["RobertaForMaskedLM"]}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(_safetensors(name.encode()))
    return folder


def add_evaluation(folder: Path, pin: dict[str, Any], value: float = 0.26) -> Path:
    """Add what was measured on a dataset to a model folder."""
    result = {
        "task": {"type": "fill-mask", "name": "hidden letter"},
        "dataset": {**pin, "config": "default", "split": "test", "name": pin["repo"]},
        "rows": 8,
        "metrics": [{"type": "accuracy", "name": "top-1 accuracy", "value": value}],
    }
    (folder / "evaluation.json").write_text(json.dumps({"format": 1, "results": [result]}))
    return folder


def make_space(folder: Path, models: list[dict[str, str]], datasets: list[dict[str, str]]) -> Path:
    """Write a Space folder."""
    folder.mkdir(parents=True)
    space = {"format": 1, "title": "Letters", "models": models, "datasets": datasets}
    (folder / "space.json").write_text(json.dumps(space))
    (folder / "app.py").write_text("import gradio as gr\n\ngr.Interface(str, 'text', 'text').launch()\n")
    (folder / "requirements.txt").write_text("transformers\n")
    return folder


def _safetensors(data: bytes) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data
