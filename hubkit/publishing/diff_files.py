"""Files of rows in a release, whoever made it: which of them belong to which split."""

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubkit.publishing.hub import RemoteFile

TEXT = re.compile(r"\.(jsonl|ndjson|json|csv|tsv)(\.gz|\.zst|\.bz2|\.xz)?$")
"""How the names of text files end that hold rows: the format, and a compression."""

_SPLITS = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "eval": "test", "evaluation": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True)
class Part:
    """One file of a split."""

    path: str
    rows: int | None
    """How many rows it has; None where only the file itself tells."""
    identity: str | None
    """Equal for files with the same rows; None where nothing is known."""


def parts_of_manifest(manifest: Mapping[str, Any]) -> dict[str, list[Part]]:
    """Return the files of each split by what a manifest says; raises KeyError or TypeError for one of another form."""
    return {
        name: [Part(shard["file"], int(shard["rows"]), shard["rows_sha256"]) for shard in split["shards"]]
        for name, split in manifest["splits"].items()
    }


def parts_of_files(files: Mapping[str, RemoteFile], card: Mapping[str, Any]) -> dict[str, list[Part]]:
    """Return the files of each split of a dataset without a manifest.

    They are those that the card's `configs` name, or else all Parquet, JSON Lines and CSV files, by the words in their
    names that mean a split. The splits of several configs are called ``CONFIG/SPLIT``.

    Args:
        files: What is there.
        card: The front matter of its README.
    """
    named = _named(list(files), card.get("configs"))
    if not named:
        for path in sorted(path for path in files if path.endswith(".parquet") or TEXT.search(path)):
            words = [word.lower() for word in _WORD.findall(path)]
            split = next((_SPLITS[word] for word in words if word in _SPLITS), "train")
            named.setdefault(split, []).append(path)
    return {
        split: [Part(path, None, files[path].sha256 or files[path].git_oid) for path in paths]
        for split, paths in named.items()
    }


def _named(paths: Sequence[str], configs: Any) -> dict[str, list[str]]:
    """Return the files that a card's configs name."""
    if not isinstance(configs, list):
        return {}
    found: dict[str, list[str]] = {}
    for config in (config for config in configs if isinstance(config, dict)):
        prefix = f"{config.get('config_name', 'default')}/" if len(configs) > 1 else ""
        for split, patterns in _patterns(config.get("data_files")):
            matching = sorted(path for path in paths if any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns))
            if matching:
                found[f"{prefix}{split}"] = matching
    return found


def _patterns(data_files: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield splits with their patterns, in whichever of the card's spellings they are given."""
    if isinstance(data_files, str):
        yield "train", [data_files]
    elif isinstance(data_files, dict):
        for split, path in data_files.items():
            yield str(split), [path] if isinstance(path, str) else list(path)
    elif isinstance(data_files, list):
        texts = [item for item in data_files if isinstance(item, str)]
        if texts:
            yield "train", texts
        for item in (item for item in data_files if isinstance(item, dict)):
            path = item.get("path") or []
            yield str(item.get("split", "train")), [path] if isinstance(path, str) else list(path)
