"""How a comparison reads the files of a release, whoever made it, in whatever format, whenever.

What hubkit publishes is read by :mod:`hubkit.corpora.row_files`, which wants one schema of all files of a split and
names the line that has another. Here nothing can be mended any more: rows of text formats are objects, one by one, that
are compared by their values.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.publishing.diff_files import TEXT

if TYPE_CHECKING:
    import numpy as np
    import pyarrow.parquet as pq

_BATCH = 4096


class RowReader:
    """A file of rows on disk, in a text format."""

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

        suffix = TEXT.search(self.name)
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


class ParquetReader(RowReader):
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


def open_rows(path: Path, name: str) -> RowReader:
    """Open a file of rows.

    Args:
        path: Where it lies.
        name: Its path in the repository.

    Raises:
        UserError: It has a format that rows are not read from.
    """
    if name.endswith(".parquet"):
        return ParquetReader(path, name)
    if TEXT.search(name):
        return RowReader(path, name)
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
