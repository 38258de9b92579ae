"""Rows of files that anybody made, Parquet and JSON Lines: read once, in constant memory, as one schema's rows.

The files of a config must have one schema, as `datasets` wants it; how a type is stored (`string`, `large_string`) and
the order of columns may differ. JSON says its types only as it is read: where a later line is wider than all before it
(a float after integers, a column that is new), the rest is looked through, and everything is read a second time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.behind import Behind
from hubkit.corpora.common_types import Conflict, common_schema
from hubkit.corpora.comparison import Comparison
from hubkit.corpora.hashing import BLOCK_ROWS, Blocks, block_digest, rows_sha256
from hubkit.corpora.json_rows import Lines, Unlike, lines_of, parsed
from hubkit.corpora.manifest import ColumnStatistics, Overlap
from hubkit.corpora.statistics import Statistics
from hubkit.errors import UserError

BATCH_BYTES = 16 << 20
"""So much is read of a Parquet file at once, as far as its own statistics tell."""

Look = Callable[[str, Lines], None]
"""Sees the text of every file that is text, by its name, before it is parsed."""


class RowFile(NamedTuple):
    """One file of rows."""

    path: Path
    name: str
    """Its path in the folder."""

    @property
    def is_parquet(self) -> bool:
        """Whether it is Parquet; else it is JSON Lines."""
        return self.name.lower().endswith(".parquet")


@dataclass
class FileRows:
    """What was found out about the rows of a file."""

    rows: int = 0
    digests: list[bytes] = field(default_factory=list)
    """Of its blocks, counted from its first row."""


@dataclass
class SplitRows:
    """What was found out about the rows of a split."""

    files: list[FileRows]
    digests: list[bytes]
    """Of its blocks, counted from its first row."""
    statistics: Mapping[str, ColumnStatistics]
    bytes: int
    """Of its rows in memory."""

    @property
    def rows(self) -> int:
        """How many there are."""
        return sum(file.rows for file in self.files)


def read_splits(
    splits: Mapping[str, Sequence[RowFile]], look: Look = lambda name, lines: None
) -> tuple[pa.Schema, dict[str, SplitRows], Overlap | None]:
    """Read all rows of a config once (of JSON perhaps twice); return schema, what they are, and what the splits share.

    Args:
        splits: The files of each split, in order; all Parquet or all JSON Lines.
        look: Sees the text.

    Raises:
        UserError: A file can't be read or has other columns than the rest, or a split has no rows; names file and line.
    """
    files = [file for some in splits.values() for file in some]
    schema = _parquet_schema(files) if files[0].is_parquet else None
    try:
        return _read(splits, schema, look)
    except Unlike as unlike:
        return _read(splits, _json_schema(files, unlike.schema, look), look)


def _read(
    splits: Mapping[str, Sequence[RowFile]], schema: pa.Schema | None, look: Look
) -> tuple[pa.Schema, dict[str, SplitRows], Overlap | None]:
    found = {}
    with TemporaryDirectory(prefix="hubkit-sketches-") as sketches:
        comparison = Comparison(Path(sketches))
        for split, files in splits.items():
            reader = _SplitReader(len(files))
            # One thread reads, the other hashes; a batch is two calls.
            with Behind(lambda do, *what: do(*what), waiting=4) as later:
                for file in files:
                    for batch in batches(file, schema, look):
                        if schema is None:
                            schema = _hashable(batch.schema, file)
                        later(reader.add, batch)
                        later(comparison.add, split, batch)
                    later(reader.end_file)
                later(comparison.end_split, split)
            found[split] = reader.found()
            if not found[split].rows:
                raise UserError(f"{split}: its files ({files[0].name}…) hold no rows: take the split away, or add some")
        assert schema is not None
        return schema, found, comparison.report()


def batches(file: RowFile, schema: pa.Schema | None, look: Look = lambda name, lines: None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a file, of any number at a time, with a schema's columns in its order.

    Raises:
        UserError: The file can't be read; says where.
        Unlike: It is JSON that is wider than the schema.
    """
    if file.is_parquet:
        assert schema is not None
        yield from _parquet_batches(file, schema)
        return
    for lines in lines_of(file.path, file.name):
        look(file.name, lines)
        batch = parsed(lines, file.name, schema)
        if batch.num_rows:
            schema = schema or batch.schema
            yield batch


def rows_from(
    files: Iterable[tuple[RowFile, int]], schema: pa.Schema, start: int, stop: int
) -> Iterator[pa.RecordBatch]:
    """Yield rows `start` to `stop` (exclusive) of a split whose files have the given numbers of rows."""
    for file, rows in files:
        if start < rows and stop > 0:
            at = 0
            for batch in batches(file, schema):
                piece = batch.slice(max(0, start - at), max(0, min(stop, at + batch.num_rows) - max(start, at)))
                at += batch.num_rows
                if piece.num_rows:
                    yield piece
                if at >= stop:
                    break
        start, stop = max(0, start - rows), stop - rows


class _SplitReader:
    """Takes the rows of a split, file after file, and hashes them twice: by file, and as one."""

    def __init__(self, files: int):
        self._whole, self._file = Blocks(), Blocks()
        self._digests: list[bytes] = []
        self._aligned = True
        """Whether the blocks of the file are blocks of the split."""
        self._files = [FileRows()]
        self._statistics: Statistics | None = None
        self._bytes = 0
        self._count = files

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in the next rows of the file."""
        if self._statistics is None:
            self._statistics = Statistics(rows.schema)
        self._statistics.add(rows)
        self._bytes += rows.nbytes
        file = self._files[-1]
        file.rows += rows.num_rows
        fresh = [block_digest(block) for block in self._file.add(rows)]
        file.digests += fresh
        self._digests += fresh if self._aligned else [block_digest(block) for block in self._whole.add(rows)]

    def end_file(self) -> None:
        """Take the next rows for those of the next file."""
        for rest in self._file.rest():
            self._files[-1].digests.append(block_digest(rest))
            if self._aligned:
                assert not list(self._whole.add(rest))
        self._aligned = not self._whole.waiting
        self._files.append(FileRows())

    def found(self) -> SplitRows:
        """Return what the rows are, once all were taken in."""
        self._digests += [block_digest(rest) for rest in self._whole.rest()]
        summary = self._statistics.summary() if self._statistics else {}
        return SplitRows(self._files[: self._count], self._digests, summary, self._bytes)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def _parquet_schema(files: Sequence[RowFile]) -> pa.Schema:
    """Return the schema of all files: that of the first, but for columns that have no type there."""
    merged: pa.Schema | None = None
    for file in files:
        with _opened(file) as parquet:
            schema = _plain(parquet.schema_arrow)
        if len(set(schema.names)) != len(schema.names):
            raise UserError(f"{file.name}: two columns have one name: rename one")
        try:
            merged = schema if merged is None else common_schema(merged, schema)
        except Conflict as conflict:
            raise UserError(
                f"{file.name}: {conflict} (in {files[0].name}): write both alike, or make them two configs in README.md"
            ) from None
    assert merged is not None
    return _hashable(merged, files[0])


def _plain(schema: pa.Schema) -> pa.Schema:
    """Return a schema without dictionaries and the extension types that this process happens to have registered."""
    for index, column in enumerate(schema):
        kind = column.type.storage_type if isinstance(column.type, pa.BaseExtensionType) else column.type
        schema = schema.set(index, column.with_type(kind.value_type if pa.types.is_dictionary(kind) else kind))
    return schema


def _hashable(schema: pa.Schema, file: RowFile) -> pa.Schema:
    """Return a schema whose rows have a canonical encoding.

    Raises:
        UserError: They have none; names the column.
    """
    for column in schema:
        try:
            block_digest(pa.RecordBatch.from_arrays([pa.array([], column.type)], [column.name]))
        except UserError as error:
            raise UserError(f"{file.name}: column {column.name!r}: {error}") from None
    return schema


def _parquet_batches(file: RowFile, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    with _opened(file) as parquet:
        meta = parquet.metadata
        size = sum(meta.row_group(index).total_byte_size for index in range(meta.num_row_groups))
        rows = BATCH_BYTES * meta.num_rows // max(1, size) // BLOCK_ROWS * BLOCK_ROWS
        for batch in parquet.iter_batches(min(max(rows, BLOCK_ROWS), 64 * BLOCK_ROWS)):
            yield _conformed(batch, schema)


def _conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return rows with a schema's columns in its order."""
    columns = []
    for wanted in schema:
        column = batch.column(wanted.name)
        column = column.storage if isinstance(column, pa.ExtensionArray) else column
        columns.append(column if column.type == wanted.type else column.cast(wanted.type))
    return pa.RecordBatch.from_arrays(columns, schema.names)


@contextmanager
def _opened(file: RowFile) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; what is wrong with it is told by its name.

    Raises:
        UserError: It can't be read, or is damaged.
    """
    try:
        with pq.ParquetFile(file.path, pre_buffer=False) as parquet:
            yield parquet
    except pa.ArrowException as error:
        raise UserError(f"{file.name} is damaged or no Parquet ({_line(error)}): make it again") from None
    except OSError as error:
        said = error.strerror or _line(error)
        raise UserError(f"{file.name} can't be read ({said}): make it again, or check its permissions") from None


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


# --- JSON -------------------------------------------------------------------------------------------------------------


def _json_schema(files: Sequence[RowFile], schema: pa.Schema, look: Look) -> pa.Schema:
    """Return the schema of all rows, given that of some."""
    for file in files:
        for lines in lines_of(file.path, file.name):
            try:
                parsed(lines, file.name, schema)
            except Unlike as unlike:
                schema = unlike.schema
    return _hashable(schema, files[0])


def digest_of(split: SplitRows, files: Sequence[RowFile], schema: pa.Schema, rows: int) -> str:
    """Return the hash of the first rows of a split, as if it had no more; at most a block of them is read again."""
    whole, rest = divmod(rows, BLOCK_ROWS)
    digests = split.digests[:whole]
    if rest:
        counted = zip(files, (file.rows for file in split.files), strict=True)
        last = Blocks()
        for batch in rows_from(counted, schema, whole * BLOCK_ROWS, rows):
            assert not list(last.add(batch))
        digests = [*digests, *(block_digest(block) for block in last.rest())]
    return rows_sha256(digests)
