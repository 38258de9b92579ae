"""Files of rows in a release, whoever made it: which belong to which split, and how their rows are read."""

import csv
import fnmatch
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.publishing.hub import RemoteFile

if TYPE_CHECKING:
    import numpy as np
    import pyarrow.parquet as pq

_BATCH = 4096
_TEXT = re.compile(r"\.(jsonl|ndjson|json|csv|tsv)(\.gz|\.zst|\.bz2|\.xz)?$")
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
        for path in sorted(path for path in files if path.endswith(".parquet") or _TEXT.search(path)):
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


class RowFile:
    """A file of rows on disk."""

    typed = False
    """Whether rows have typed columns, so that they are compared by them and not as JSON."""

    def __init__(self, path: Path, name: str):
        self.path, self.name = path, name

    @cached_property
    def columns(self) -> dict[str, str]:
        """Names and types of the columns; of text formats those of the first row, which have no type."""
        return dict.fromkeys(next(iter(self.objects()), {}), "")

    @cached_property
    def rows(self) -> int:
        """How many rows there are."""
        return sum(1 for _ in self.objects())

    def objects(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        import fsspec

        suffix = _TEXT.search(self.name)
        assert suffix is not None
        with fsspec.open(str(self.path), "rt", compression="infer", encoding="utf-8", newline="") as lines:
            try:
                if suffix.group(1) in ("csv", "tsv"):
                    yield from csv.DictReader(lines, delimiter="\t" if suffix.group(1) == "tsv" else ",")
                else:
                    yield from _json_rows(lines, suffix.group(1) == "json")
            except (ValueError, csv.Error) as error:
                raise UserError(f"{self.name} can't be read, so its rows can't be compared: {error}") from None

    def keys(self, columns: Sequence[str], plain: bool) -> Iterator["np.ndarray"]:
        """Yield the keys of the rows, piece by piece.

        Args:
            columns: Those that count.
            plain: Compare rows as JSON, for the other release has them in a text format.
        """
        from hubkit.publishing.row_keys import keys_of_objects

        rows = ({name: row.get(name) for name in columns} for row in self.objects())
        while piece := list(islice(rows, _BATCH)):
            yield keys_of_objects(piece)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row."""
        return next(islice(self.objects(), index, None))


class ParquetFile(RowFile):
    """A Parquet file, read batch by batch."""

    typed = True

    @cached_property
    def _file(self) -> "pq.ParquetFile":
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path)

    @cached_property
    def columns(self) -> dict[str, str]:
        """Names and types of the columns."""
        from hubkit.corpora.hashing import type_name

        return {field.name: type_name(field.type) for field in self._file.schema_arrow}

    @cached_property
    def rows(self) -> int:
        """How many rows there are."""
        return self._file.metadata.num_rows

    def objects(self) -> Iterator[dict[str, Any]]:
        """Yield the rows."""
        for batch in self._file.iter_batches(batch_size=_BATCH):
            yield from batch.to_pylist()

    def keys(self, columns: Sequence[str], plain: bool) -> Iterator["np.ndarray"]:
        """Yield the keys of the rows, batch by batch."""
        from hubkit.publishing.row_keys import keys_of_batch

        if plain:
            yield from super().keys(columns, plain)
            return
        for batch in self._file.iter_batches(batch_size=_BATCH, columns=list(columns)):
            yield keys_of_batch(batch, columns)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row, out of its row group."""
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            if index < rows:
                return self._file.read_row_group(group).slice(index, 1).to_pylist()[0]
            index -= rows
        raise AssertionError("the index lies within the file")


def open_rows(path: Path, name: str) -> RowFile:
    """Open a file of rows.

    Args:
        path: Where it lies.
        name: Its path in the repository.

    Raises:
        UserError: It has a format that rows are not read from.
    """
    if name.endswith(".parquet"):
        return ParquetFile(path, name)
    if _TEXT.search(name):
        return RowFile(path, name)
    raise UserError(f"{name}: rows are compared in Parquet, JSON Lines and CSV files; this is none")


def _json_rows(lines: Iterable[str], whole: bool) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON Lines, or of one list."""
    text = iter(lines)
    first = next(text, "")
    if whole and first.lstrip().startswith("["):
        yield from (_object(item) for item in json.loads(first + "".join(text)))
        return
    for line in chain([first], text):
        if line.strip():
            yield _object(json.loads(line))


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}
