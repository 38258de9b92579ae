"""What the splits of a corpus have in common: whole rows, and n-grams of words or items.

Each shard leaves a sketch while it is made, and so does every million or so of rows in files that are only read: a
64-bit hash of each row, and a sample of the hashes of its n-grams, chosen by their own value so that two shards choose
the same ones. The sketches are then compared in buckets, so that memory does not grow with the corpus. An n-gram is `N`
successive words of a text (runs of characters between white space) or items of a list; 13 is what Brown et al.
("Language models are few-shot learners", arXiv 2005.14165) looked for in their test sets. A row is compared by its
words or items, whatever white space lies between.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numba import njit

from hubkit.corpora.hashing import numbers, type_name
from hubkit.corpora.layout import WORK, Shard
from hubkit.corpora.manifest import Overlap, PairOverlap
from hubkit.files import atomic_path
from hubkit.kernels import kernel

N = 13
_SAMPLED = 1 / 16
"""The share of n-grams that a sketch keeps, at most."""
_MOST_NGRAMS = 1 << 20
"""How many n-grams a shard's sketch keeps at most; beyond, it halves its share (8 MiB on disk)."""
_BUCKET = 1 << 21
"""About how many hashes are compared at a time (16 MiB)."""


_PRIME, _BASE = np.uint64(0x100000001B3), np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31 = np.uint64(27), np.uint64(30), np.uint64(31)


def compared_column(schema: pa.Schema) -> tuple[str, Literal["words", "items"]] | None:
    """Return which column of a corpus is compared, and whether by words or items; None if there is nothing to compare.

    That is `text` or else `input_ids`, or else the first column of text.
    """
    texts = [field.name for field in schema if type_name(field.type) == "string"]
    lists = [field.name for field in schema if _is_integers(field.type)]
    if "text" in texts:
        return "text", "words"
    if "input_ids" in lists:
        return "input_ids", "items"
    return (texts[0], "words") if texts else None


def _is_integers(type: pa.DataType) -> bool:
    is_list = pa.types.is_list(type) or pa.types.is_large_list(type)
    return is_list and pa.types.is_integer(type.value_type)


class Sketch:
    """Hashes of the rows of a shard, and of a sample of their n-grams."""

    def __init__(self, schema: pa.Schema):
        self.compared = compared_column(schema)
        self.rows: list[np.ndarray] = []
        self.ngrams: list[np.ndarray] = []
        self.kept = 0
        self.limit = int(_SAMPLED * 2**64)

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        if not self.compared:
            return
        name, unit = self.compared
        hashes, ngrams = _hashed(rows.column(name), unit, self.limit)
        self.rows.append(hashes)
        self.ngrams.append(ngrams)
        self.kept += len(ngrams)
        while self.kept > _MOST_NGRAMS:
            self.ngrams = [_different(np.concatenate(self.ngrams))]
            self.kept = len(self.ngrams[0])
            if self.kept > _MOST_NGRAMS // 2:
                self.limit //= 2
                self.ngrams = [self.ngrams[0][self.ngrams[0] < np.uint64(self.limit)]]
                self.kept = len(self.ngrams[0])

    def write(self, path: Path) -> None:
        """Write the sketch: its share, how many rows, their hashes, and the hashes of its different n-grams."""
        empty = np.empty(0, np.uint64)
        rows = np.concatenate([empty, *self.rows])
        head = np.array([self.limit, len(rows)], np.uint64)
        content = np.concatenate([head, rows, _different(np.concatenate([empty, *self.ngrams]))])
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, content)


def sketch_path(folder: Path, shard: Shard) -> Path:
    """Return where the sketch of a finished shard lies until the manifest is written."""
    return folder / WORK / f"{shard.name}.sketch.npy"


class _Sketches:
    """The sketches of one split, on disk."""

    def __init__(self, paths: Sequence[Path]):
        files = [np.load(path, mmap_mode="r") for path in paths]
        self.limit = min(int(file[0]) for file in files)
        self.rows = [file[2 : 2 + int(file[1])] for file in files]
        self.ngrams = [file[2 + int(file[1]) :] for file in files]

    @property
    def size(self) -> int:
        """How many hashes there are."""
        return sum(len(part) for part in [*self.rows, *self.ngrams])


def report(schema: pa.Schema, paths: Mapping[str, Sequence[Path]]) -> Overlap | None:
    """Compare each split with every other.

    Args:
        schema: Of the corpus.
        paths: The sketches of each split.

    Returns:
        What they share, or None if the corpus has no column to compare.
    """
    compared = compared_column(schema)
    if not compared:
        return None
    splits = {name: _Sketches(files) for name, files in paths.items()}
    limit = min(sketches.limit for sketches in splits.values())
    buckets = 1 << max(0, (sum(sketches.size for sketches in splits.values()) // _BUCKET).bit_length())
    repeats = dict.fromkeys(splits, 0)
    pairs = {(one, other): np.zeros(3, np.int64) for one in splits for other in splits if one != other}
    for bucket in range(buckets):
        rows = {name: np.sort(_in_bucket(sketches.rows, bucket, buckets)) for name, sketches in splits.items()}
        ngrams = {
            name: _different(_below(sketches.ngrams, limit, bucket, buckets)) for name, sketches in splits.items()
        }
        different = {name: _different(hashes) for name, hashes in rows.items()}
        for name, hashes in rows.items():
            repeats[name] += len(hashes) - len(different[name])
        for (one, other), counts in pairs.items():
            counts += (  # noqa: PLW2901 (an array, added to in place)
                _count_in(rows[one], different[other]),
                len(ngrams[one]),
                _count_in(ngrams[one], ngrams[other]),
            )
    found = [
        PairOverlap(split=one, other=other, rows=int(rows), ngrams=int(count), shared=int(shared))
        for (one, other), (rows, count, shared) in pairs.items()
    ]
    column, unit = compared
    return Overlap(column=column, unit=unit, n=N, sampled=limit / 2**64, repeats=repeats, pairs=found)


def _different(hashes: np.ndarray) -> np.ndarray:
    """Return the different ones among hashes, in order; `np.unique` takes five times as long for so many."""
    ordered = np.sort(hashes)
    first = np.ones(len(ordered), bool)
    first[1:] = ordered[1:] != ordered[:-1]
    return ordered[first]


def _count_in(hashes: np.ndarray, others: np.ndarray) -> int:
    """Return how many hashes are among others, both in order (`np.isin` would sort them again)."""
    at = np.searchsorted(others, hashes)
    inside = at < len(others)
    return int(np.count_nonzero(others[at[inside]] == hashes[inside]))


def _in_bucket(parts: Sequence[np.ndarray], bucket: int, buckets: int) -> np.ndarray:
    """Return the hashes that belong in a bucket (by their low bits; the high ones choose the sample)."""
    mask, wanted = np.uint64(buckets - 1), np.uint64(bucket)
    return np.concatenate([np.empty(0, np.uint64), *(part[part & mask == wanted] for part in parts)])


def _below(parts: Sequence[np.ndarray], limit: int, bucket: int, buckets: int) -> np.ndarray:
    hashes = _in_bucket(parts, bucket, buckets)
    return hashes[hashes < np.uint64(limit)]


def _hashed(column: pa.Array, unit: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the hash of each row and those of the n-grams that are below `limit`, both uint64; a null is empty."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if unit == "words":
        column = column.cast(pa.large_binary())
        column = column.fill_null(b"") if column.null_count else column  # by way of pandas
        _, offsets, data = column.buffers()
        values, hashed = np.frombuffer(data or b"", np.uint8), _words
    else:
        column = column.cast(pa.large_list(column.type.value_type))
        offsets, values, hashed = column.buffers()[1], _integers(column.values), _items
    if not len(column):
        return np.empty(0, np.uint64), np.empty(0, np.uint64)
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return hashed(values, ends, np.uint64(limit))


def _integers(values: pa.Array) -> np.ndarray:
    if values.null_count:
        values = values.fill_null(0)
    return numbers(values)


@njit(inline="always")
def _mixed(x):
    """Return a word whose every bit depends on every bit of `x` (the last steps of SplitMix64)."""
    x = (x ^ (x >> _30)) * _MIX_1
    x = (x ^ (x >> _27)) * _MIX_2
    return x ^ (x >> _31)


@njit(inline="always")
def _took(unit, count, window, rolling, leaving):
    """Return the rolling hash of the last `N` units after one more; `window` keeps them."""
    at = count % N
    rolling = rolling * _BASE + unit - window[at] * leaving
    window[at] = unit
    return rolling


@njit
def _leaving():
    """Return what a unit has been multiplied by when it leaves the window."""
    power = np.uint64(1)
    for _ in range(N):
        power *= _BASE
    return power


@kernel
def _words(data, ends, limit):
    """Hash rows of text (UTF-8 bytes, and where each row begins and ends), and the n-grams of their words."""
    rows = np.empty(len(ends) - 1, np.uint64)
    ngrams = np.empty((ends[-1] - ends[0]) // 2 + 1, np.uint64)  # a word and its blank take two bytes
    window, leaving, found = np.zeros(N, np.uint64), _leaving(), 0
    for row in range(len(rows)):
        whole, rolling, count, word = np.uint64(0), np.uint64(0), 0, np.uint64(0)
        inside = False
        window[:] = 0
        for at in range(ends[row], ends[row + 1] + 1):
            if at < ends[row + 1] and data[at] > 32:
                word = (word ^ np.uint64(data[at])) * _PRIME
                inside = True
            elif inside:
                unit = _mixed(word)
                whole = whole * _BASE + unit
                rolling = _took(unit, count, window, rolling, leaving)
                count += 1
                if count >= N and _mixed(rolling) < limit:
                    ngrams[found] = _mixed(rolling)
                    found += 1
                word, inside = np.uint64(0), False
        rows[row] = _mixed(whole + np.uint64(count))
    return rows, ngrams[:found].copy()


@kernel
def _items(values, ends, limit):
    """Hash rows of integers, and the n-grams of their items."""
    rows = np.empty(len(ends) - 1, np.uint64)
    ngrams = np.empty(ends[-1] - ends[0] + 1, np.uint64)
    window, leaving, found = np.zeros(N, np.uint64), _leaving(), 0
    for row in range(len(rows)):
        whole, rolling = np.uint64(0), np.uint64(0)
        window[:] = 0
        for count in range(ends[row + 1] - ends[row]):
            unit = _mixed(np.uint64(values[ends[row] + count]) + _BASE)
            whole = whole * _BASE + unit
            rolling = _took(unit, count, window, rolling, leaving)
            if count + 1 >= N and _mixed(rolling) < limit:
                ngrams[found] = _mixed(rolling)
                found += 1
        rows[row] = _mixed(whole + np.uint64(ends[row + 1] - ends[row]))
    return rows, ngrams[:found].copy()
