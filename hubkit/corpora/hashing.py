"""The hash of rows: what they say, whatever file, shard or compression carries them.

Rows are hashed in blocks of `BLOCK_ROWS`, counted from the start of the split, column by column; the hash of a split
is the sha256 of its block digests in order. So shards that begin on a block boundary can be hashed apart and joined,
and the first N rows of a longer split hash as a split of N rows does.

The canonical encoding of a column in a block: a byte that says whether there are nulls and, if so, a byte a value for
validity; then the non-null values: fixed-width ones little-endian at their own width (a boolean as a byte; every NaN as
the one quiet NaN, -0.0 as it is), text and binary as 64-bit lengths and the bytes, lists as 64-bit lengths and the
encoded elements; of a struct the encoded fields in order, which are null where it is. How a column is stored is no part
of it: `string`, `large_string` and their kin, lists of fixed size and others, dictionary-encoded values and plain ones
are one type.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.errors import UserError

BLOCK_ROWS = 1024
"""Rows a block: the unit of generation, of hashing and of shard boundaries."""


def block_digest(rows: pa.RecordBatch) -> bytes:
    """Return the sha256 digest (32 bytes) of at most `BLOCK_ROWS` rows in the canonical encoding."""
    assert rows.num_rows <= BLOCK_ROWS
    digest = hashlib.sha256()
    for field, column in zip(rows.schema, rows.columns, strict=True):
        digest.update(f"{field.name}:{type_name(field.type)}:{len(column)};".encode())
        for piece in _encode(column):
            digest.update(piece)
    return digest.digest()


def rows_sha256(digests: Iterable[bytes]) -> str:
    """Return the hash, in hex, of the rows whose block digests these are."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def blocks(batches: Iterable[pa.RecordBatch], limit: int | None = None) -> Iterator[pa.RecordBatch]:
    """Cut a stream of record batches into blocks of `BLOCK_ROWS` rows (the last may be shorter).

    Args:
        batches: Any sizes, one schema.
        limit: Stop after so many rows.
    """
    cut, left = Blocks(), limit if limit is not None else -1
    for batch in batches:
        if left >= 0:
            batch = batch.slice(0, left)  # noqa: PLW2901
            left -= batch.num_rows
        yield from cut.add(batch)
        if left == 0:
            break
    yield from cut.rest()


class Blocks:
    """Cuts rows into blocks as they come; see :func:`blocks`."""

    def __init__(self) -> None:
        self.waiting = 0
        """How many rows wait for a block to become full."""
        self._batches: list[pa.RecordBatch] = []

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Take in rows of the schema of those before, and yield the blocks that are full now."""
        while self.waiting + batch.num_rows >= BLOCK_ROWS:
            take = BLOCK_ROWS - self.waiting
            full = _joined([*self._batches, batch.slice(0, take)])
            batch, self._batches, self.waiting = batch.slice(take), [], 0
            yield full
        if batch.num_rows:
            self._batches.append(batch)
            self.waiting += batch.num_rows

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows that wait, if any do, and begin anew."""
        if self.waiting:
            yield _joined(self._batches)
        self._batches, self.waiting = [], 0


def rows_sha256_of_parquet(paths: Sequence[Path], limit: int | None = None) -> str:
    """Return the hash of the rows in these Parquet files, read in order as one split.

    Args:
        paths: Shards of one split.
        limit: Hash only the first so many rows.
    """

    def batches() -> Iterator[pa.RecordBatch]:
        for path in paths:
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(batch_size=BLOCK_ROWS)

    return rows_sha256(block_digest(block) for block in blocks(batches(), limit))


def type_name(type: pa.DataType) -> str:
    """Return the name that a type has in hashes and manifests; storage variants share one name."""
    if pa.types.is_dictionary(type):
        return type_name(type.value_type)
    if pa.types.is_large_string(type) or pa.types.is_string_view(type):
        return "string"
    if pa.types.is_large_binary(type) or pa.types.is_binary_view(type):
        return "binary"
    if pa.types.is_list(type) or pa.types.is_large_list(type) or pa.types.is_fixed_size_list(type):
        return f"list<{type_name(type.value_type)}>"
    if pa.types.is_struct(type):
        return "struct<" + ",".join(f"{field.name}:{type_name(field.type)}" for field in type) + ">"
    return str(type)


def numbers(array: pa.Array) -> np.ndarray:
    """Return the values of an array of integers or floats, which has no nulls, uncopied.

    Arrow's own way imports pandas where that is installed, which takes a process a quarter of a second.
    """
    assert not array.null_count
    return np.frombuffer(_fixed_width(array), array.type.to_pandas_dtype())


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _encode(array: pa.Array) -> Iterator[Any]:
    """Yield the pieces of an array's canonical encoding.

    Nested arrays are taken apart and never filtered or cast as a whole: Arrow can't do that with all of them.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()  # first of all, because a null may hide in the dictionary
    if type_name(array.type) in ("string", "binary"):
        array = array.cast(pa.large_binary())
    yield b"\x01" if array.null_count else b"\x00"
    if array.null_count:
        yield _fixed_width(array.is_valid().cast(pa.uint8()))
    if pa.types.is_struct(array.type):
        for field in array.flatten():
            yield from _encode(field)
    elif type_name(array.type).startswith("list<"):
        yield _lengths(array).tobytes()
        yield from _encode(array.flatten())
    else:
        yield from _encode_values(array.drop_null() if array.null_count else array)


def _lengths(array: pa.Array) -> np.ndarray:
    """Return the lengths of the lists that are not null, as int64."""
    if pa.types.is_fixed_size_list(array.type):
        return np.full(len(array) - array.null_count, array.type.list_size, dtype=np.int64)
    return numbers(array.value_lengths().drop_null()).astype(np.int64)


def _encode_values(array: pa.Array) -> Iterator[Any]:
    """Yield the pieces of an array of values that are not null and hold no others."""
    kind = array.type
    if pa.types.is_floating(kind):
        values = numbers(array).copy()
        values[np.isnan(values)] = np.nan
        yield values.tobytes()
    elif pa.types.is_boolean(kind):
        yield _fixed_width(array.cast(pa.uint8()))
    elif pa.types.is_large_binary(kind):
        yield from _encode_bytes(array)
    elif pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
        yield _fixed_width(array)
    elif not pa.types.is_null(kind):
        raise UserError(f"column type {kind} has no canonical encoding; cast it to numbers, text, lists or structs")


def _fixed_width(array: pa.Array) -> memoryview:
    """Return the bytes of the values of an array without nulls, straight from its buffer."""
    width, data = array.type.bit_width // 8, array.buffers()[1]
    return memoryview(data or b"")[array.offset * width : (array.offset + len(array)) * width]


def _encode_bytes(array: pa.Array) -> Iterator[Any]:
    """Yield lengths and bytes of a large_binary array without nulls, straight from its buffers."""
    _, offsets, data = array.buffers()
    if not len(array):
        return
    ends = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    yield np.diff(ends).tobytes()
    yield memoryview(data or b"")[ends[0] : ends[-1]]
