"""Finds examples to start from.

Worlds are those deployed with the Space, else rows of its data set, else one written here; prompts are those deployed.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from settings import Pin
from worlds import mask_sigma

COUNT = 4
"""Rows that are taken from the data set."""
SPLIT = "test"
"""The split that they are taken from: worlds that the model has not seen."""

BUILT_IN = (
    "{'description': {'num_sys': 1, 'sys0': {'params': [10.05, 2.771, 26.64], 'init_point': [1.085, 3.91, 2.842], "
    "'step_size': 700, 'name': 'lorenz', 'step_multip': 32}, 'normalization': [[9.15, 9.55, 20.47], "
    "[5.895, 9.94, 16.34]], 'embedding': [[], [], []]}, 'data': [[-1.368, -0.567, -1.078], "
    "[-1.144, -0.4001, -1.077], [-0.8506, -0.0867, -1.038], [-0.4143, 0.4038, -0.9077], [0.2219, 1.046, -0.5728], "
    "[1.004, 1.541, 0.1129], [1.565, 1.182, 1.023], [1.336, -0.1588, 1.478], [0.3591, -1.285, 1.234], "
    "[-0.71, -1.675, 0.8247]]}"
)
"""A world of one system, three dimensions and ten steps."""


@dataclass(frozen=True)
class Example:
    """A world to start from."""

    label: str
    text: str
    """As it comes into the text box, with masks."""
    original: str = ""
    """The same world with nothing masked, if known: what predictions are compared with."""


@dataclass(frozen=True)
class Prompt:
    """A text to continue."""

    label: str
    prompt: str
    truth: str = ""
    """What should be generated, where that is known."""


def find_prompts(folder: Path) -> list[Prompt]:
    """Return the prompts in `prompts.json`, none if it is missing or broken."""
    path = folder / "prompts.json"
    try:
        entries = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        return [Prompt(str(entry["label"]), str(entry["prompt"]), str(entry.get("truth", ""))) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"No prompts from {path.name}: {error!r}", file=sys.stderr)
        return []


def find_examples(folder: Path, data: Pin | None, mask: str, count: Callable[[str], int]) -> list[Example]:
    """Return the worlds to start from.

    Args:
        folder: Where `examples.json` lies, if there is one.
        data: The data set whose rows stand in for it.
        mask: The model's mask token.
        count: Says how many tokens the digits of a number take.
    """
    path = folder / "examples.json"
    found: list[Example] = []
    try:
        if path.is_file():
            found = [_read(entry, mask) for entry in json.loads(path.read_text(encoding="utf-8"))]
        elif data is not None:
            rows = enumerate(_fetch_rows(data), 1)
            found = [_masked(f"{SPLIT.capitalize()} world {number}", row, mask, count) for number, row in rows]
    except Exception as error:  # the page works without; whatever a file or a Hub answers must not stop it
        print(f"No examples from {path.name if path.is_file() else data}: {error!r}", file=sys.stderr)
    return found or [_masked("A Lorenz world", BUILT_IN, mask, count)]


def _read(entry: dict, mask: str) -> Example:
    """Return an entry of `examples.json`; its "truth", one string or a list, is what its masks hide."""
    text = str(entry["text"])
    truth = entry.get("truth", [])
    hidden = [str(value) for value in truth] if isinstance(truth, list) else [str(truth)]
    parts = text.split(mask)
    if len(hidden) != len(parts) - 1:
        return Example(str(entry["label"]), text, text if len(parts) == 1 else "")
    original = parts[0] + "".join(value + part for value, part in zip(hidden, parts[1:], strict=True))
    return Example(str(entry["label"]), text, original)


def _masked(label: str, world: str, mask: str, count: Callable[[str], int]) -> Example:
    try:
        return Example(label, mask_sigma(world, mask, count), world)
    except ValueError:  # another kind of world: the visitor masks it
        return Example(label, world, world)


def _fetch_rows(data: Pin) -> list[str]:
    """Return the first rows of the data set's test split, without fetching all of its file."""
    import pyarrow.parquet as pq
    from huggingface_hub import HfFileSystem

    hub = HfFileSystem()
    found = hub.glob(f"datasets/{data.repo}@{data.revision}/**/*.parquet")
    files = sorted(path for path in found if re.search(rf"[/_-]{SPLIT}[-_./]", path))
    if not files:
        raise FileNotFoundError(f"no Parquet file of the {SPLIT} split")
    with hub.open(files[0], "rb") as file:
        batch = next(pq.ParquetFile(file).iter_batches(batch_size=COUNT, columns=["text"]))
    return [str(row) for row in batch.column("text").to_pylist()]
