"""A 64-bit key of each row, equal for equal rows: by it two releases are compared without holding their rows.

Rows of Parquet are encoded column by column as :mod:`hubkit.corpora.hashing` does (how a column is stored is no part of
it), rows of text formats as canonical JSON. A key takes eight bytes; that two different rows among ten million share
one has a chance of three in a million.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

from hubkit.corpora.hashing import block_digest, type_name

_BYTES = 8


def keys_of_batch(rows: pa.RecordBatch, columns: Sequence[str]) -> np.ndarray:
    """Return the key of each row, as uint64.

    Args:
        rows: Any number of rows.
        columns: The columns that count.
    """
    parts = [_values(rows.column(name)) for name in columns]
    digests = [_digest(values) for values in zip(*parts, strict=True)]
    return np.frombuffer(b"".join(digests), np.uint64)


def keys_of_objects(rows: Iterable[Any]) -> np.ndarray:
    """Return the key of each row that was read from JSON Lines or CSV, or that is to be compared with such, as uint64.

    Args:
        rows: What the lines hold; a number that is whole is the same as an integer or a float.
    """
    texts = (json.dumps(_plain(row), sort_keys=True, ensure_ascii=False, default=str) for row in rows)
    return np.frombuffer(b"".join(_digest([text.encode("utf-8", "surrogatepass")]) for text in texts), np.uint64)


def _digest(values: Iterable[bytes | None]) -> bytes:
    """Return a digest from which the number of values, their lengths and which are null can be told."""
    digest = blake2b(digest_size=_BYTES)
    for value in values:
        digest.update(b"\xff" * 8 if value is None else len(value).to_bytes(8, "little") + value)
    return digest.digest()


def _values(column: pa.Array) -> Iterable[bytes | None]:
    """Return the bytes of each value of a column; None for a null."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if type_name(column.type) in ("string", "binary"):
        return column.cast(pa.large_binary()).to_pylist()
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        return _numbers(column)
    return _others(column)


def _numbers(column: pa.Array) -> Iterable[bytes | None]:
    """Return numbers as little-endian bytes of their width; every NaN is the one quiet NaN, as in the rows' hash."""
    kind = column.type.to_pandas_dtype()
    values = np.array(column.fill_null(0).to_numpy(zero_copy_only=False), dtype=kind)
    if values.dtype.kind == "f":
        values[np.isnan(values)] = np.nan
    found = [values[at : at + 1].tobytes() for at in range(len(values))]
    if not column.null_count:
        return found
    return [value if valid else None for value, valid in zip(found, column.is_valid().to_pylist(), strict=True)]


def _others(column: pa.Array) -> Iterator[bytes]:
    """Yield the canonical encoding's hash of each value: slower, and right for lists, structs, decimals and dates."""
    batch = pa.RecordBatch.from_arrays([column], names=[""])
    return (block_digest(batch.slice(at, 1)) for at in range(len(column)))


def _plain(value: Any) -> Any:
    """Return a value in which numbers that are equal look equal."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
