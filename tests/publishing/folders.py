"""Makes small, real folders to publish: Parquet with true hashes, weights in safetensors, a Space that would start."""

import json
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.hashing import rows_sha256_of_parquet
from hubkit.files import file_sha256

SHARD_ROWS = 1024
_TOKENIZER = {
    "version": "1.0",
    "added_tokens": [],
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "model": {"type": "WordLevel", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"},
}
COMMIT = "c0ffee" * 6 + "c0ff"


def make_corpus(
    folder: Path, splits: dict[str, int], *, seed: str = "a", compression: str = "zstd", **changes: Any
) -> Path:
    """Write a finished corpus of lines such as ``a train 17``; rows depend on seed, split and position alone."""
    schema = pa.schema({"text": pa.string(), "number": pa.int64()})
    records = {}
    for split, rows in splits.items():
        count = -(-rows // SHARD_ROWS)
        shards = []
        for index in range(count):
            span = range(index * SHARD_ROWS, min(rows, (index + 1) * SHARD_ROWS))
            file = f"data/{split}-{index:05d}-of-{count:05d}.parquet"
            (folder / "data").mkdir(parents=True, exist_ok=True)
            table = pa.table({"text": [f"{seed} {split} {i}" for i in span], "number": list(span)}, schema=schema)
            pq.write_table(table, folder / file, compression=compression)
            shards.append(_shard(folder, file, len(span)))
        records[split] = {
            "rows": rows,
            "rows_sha256": rows_sha256_of_parquet([folder / shard["file"] for shard in shards]),
            "rejected": 3,
            "failed": 0,
            "statistics": {"text": {"characters": {"min": 9, "mean": 11.5, "max": 12, "total": 46}}},
            "shards": shards,
        }
    manifest = {
        "format": 1,
        "builder": "counting",
        "generator_version": "1",
        "config": "counting-tiny",
        "spec": {"builder": "counting", "seed": 0, "splits": splits, "words": [1, 2]},
        "spec_sha256": "5" * 64,
        "code": {"hubkit": "0.1.0", "commit": COMMIT, "modified": False},
        "libraries": {"numpy": "2.4.6", "pyarrow": "26.0.1"},
        "numerics": {},
        "writer": {"compression": compression, "compression_level": 1, "shard_rows": SHARD_ROWS},
        "columns": [{"name": "text", "type": "string"}, {"name": "number", "type": "int64"}],
        "summary": "Each row counts. The number is written out beside its split.",
        "license": "apache-2.0",
        "origin": "generated",
        "tokenizer": None,
        "sources": [],
        "facts": {},
        "reports": [],
        "overlaps": [],
        "splits": records,
        **changes,
    }
    (folder / "corpus.json").write_text(json.dumps(manifest, indent=1))
    return folder


def make_model(folder: Path, weights: bytes = b"\0" * 16, **changes: Any) -> Path:
    """Write a model folder; `changes` are fields of run.json."""
    folder.mkdir(parents=True, exist_ok=True)
    run = {
        "format": 1,
        "name": "counting-roberta",
        "architecture": "roberta",
        "parameters": 412345,
        "recipe": {"model": {"hidden": 8}, "output": "/home/somebody/runs/7", "data": {"path": "~/corpora/counting"}},
        "recipe_sha256": "7" * 64,
        "datasets": [
            {"repo": "lab/counting", "revision": COMMIT, "release": "v1.0.0", "splits": {"train": 16, "test": 4}}
        ],
        "tokenizer": {"name": "counting", "sha256": "8" * 64},
        "init_from": None,
        "direction": "forward",
        "code": {"hubkit": "0.1.0", "commit": COMMIT, "modified": False},
        "environment": {
            "python": "3.11.7",
            "platform": "Linux-x86_64",
            "device": "cpu",
            "processes": 1,
            "libraries": {"torch": "2.13.0"},
        },
        "training": {
            "steps": 20,
            "epochs": 1,
            "tokens": 4096,
            "seconds": 3.2,
            "final_train_loss": 2.5,
            "best_validation_loss": 2.61234,
        },
        **changes,
    }
    (folder / "run.json").write_text(json.dumps(run, indent=1))
    (folder / "config.json").write_text(json.dumps({"model_type": "roberta", "architectures": ["RobertaForMaskedLM"]}))
    (folder / "tokenizer.json").write_text(json.dumps(_TOKENIZER))
    (folder / "model.safetensors").write_bytes(_safetensors(weights))
    (folder / "curve.csv").write_text("step,train_loss\n" + "".join(f"{i},{5 / (i + 1):.6f}\n" for i in range(20)))
    (folder / "curve.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 8)
    (folder / "runs").mkdir(exist_ok=True)
    (folder / "runs" / "events.out.tfevents.1").write_bytes(b"log")
    return folder


def make_evaluation(folder: Path) -> Path:
    """Add an evaluation of two tasks on the same rows to a model folder."""
    dataset = {"repo": "lab/counting", "revision": COMMIT, "config": "default", "split": "test", "name": "lab/counting"}
    names = ("integer part masked", "fraction masked")
    results = [
        {
            "task": {"type": "fill-mask", "name": name},
            "dataset": dataset,
            "rows": 500,
            "metrics": [{"type": "accuracy", "name": "top-1 accuracy", "value": 0.26, "baseline": 0.12}],
        }
        for name in names
    ]
    (folder / "evaluation.json").write_text(json.dumps({"format": 1, "results": results}))
    return folder


def make_space(folder: Path, models: list[dict[str, str]], **changes: Any) -> Path:
    """Write a Space folder."""
    folder.mkdir(parents=True, exist_ok=True)
    space = {"format": 1, "title": "Counting", "models": models, "datasets": [], **changes}
    (folder / "space.json").write_text(json.dumps(space))
    (folder / "app.py").write_text("import gradio as gr\n\ngr.Interface(str, 'text', 'text').launch()\n")
    (folder / "requirements.txt").write_text("transformers\n")
    return folder


def _shard(folder: Path, file: str, rows: int) -> dict[str, Any]:
    path = folder / file
    return {
        "file": file,
        "rows": rows,
        "bytes": path.stat().st_size,
        "rows_sha256": rows_sha256_of_parquet([path]),
        "file_sha256": file_sha256(path),
    }


def _safetensors(data: bytes) -> bytes:
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    return struct.pack("<Q", len(header)) + header + data
