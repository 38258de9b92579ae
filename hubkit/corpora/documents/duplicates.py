"""Which of many documents are the first of their kind, in bounded memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

BUCKET_ITEMS = 1 << 20
"""Aim for so many keys in memory at once; sorting them takes about 60 bytes each."""
MOST_BUCKETS = 1 << 16

_KEYED = np.dtype([("low", "<u8"), ("high", "<u8"), ("item", "<i8")])


def mark_firsts(keys: Sequence[np.ndarray], scratch: Path, bucket_items: int = BUCKET_ITEMS) -> np.ndarray:
    """Say of each item whether no item before it has the same key.

    The items are cut into buckets by the first bits of their keys, on disk, and each bucket is sorted by itself.

    Args:
        keys: Structured arrays with the fields `low` and `high` (uint64), in memory or on disk; the items are all of
            theirs, one array after the other.
        scratch: An empty folder for the buckets and the result.
        bucket_items: Items a bucket, about.

    Returns:
        bool of shape (items,), on disk in `scratch`.
    """
    items = sum(len(part) for part in keys)
    firsts = np.memmap(scratch / "firsts.bin", np.bool_, "w+", shape=max(items, 1))[:items]
    bits = min(MOST_BUCKETS, -(-items // bucket_items) or 1).bit_length() - 1
    if bits == 0:
        for bucket in [np.concatenate(list(_numbered(keys, items)))] if items else []:
            _mark(bucket, firsts)
        return firsts
    for path in _distribute(keys, bits, scratch, bucket_items):
        _mark(np.fromfile(path, _KEYED), firsts)
        path.unlink()
    return firsts


def _numbered(keys: Sequence[np.ndarray], step: int) -> Iterator[np.ndarray]:
    """Yield the keys with the numbers of their items, at most `step` at once."""
    offset = 0
    for part in keys:
        for start in range(0, len(part), step):
            piece = part[start : start + step]
            numbered = np.empty(len(piece), _KEYED)
            numbered["low"], numbered["high"] = piece["low"], piece["high"]
            numbered["item"] = np.arange(offset + start, offset + start + len(piece))
            yield numbered
        offset += len(part)


def _distribute(keys: Sequence[np.ndarray], bits: int, scratch: Path, step: int) -> list[Path]:
    """Write each item to its bucket's file; return the files."""
    names = set[int]()
    for numbered in _numbered(keys, step):
        buckets = (numbered["high"] >> np.uint64(64 - bits)).astype(np.int64)
        order = np.argsort(buckets, kind="stable")
        present, starts = np.unique(buckets[order], return_index=True)
        for name, members in zip(present.tolist(), np.split(numbered[order], starts[1:]), strict=True):
            with (scratch / f"bucket-{name:05d}.bin").open("ab") as file:
                members.tofile(file)
            names.add(name)
    return [scratch / f"bucket-{name:05d}.bin" for name in sorted(names)]


def _mark(bucket: np.ndarray, firsts: np.ndarray) -> None:
    """Mark the firsts among the items of a bucket, which come in rising order."""
    ordered = bucket[np.lexsort((bucket["low"], bucket["high"]))]  # stable: items of one key stay in their order
    new = np.ones(len(ordered), np.bool_)
    new[1:] = (ordered["high"][1:] != ordered["high"][:-1]) | (ordered["low"][1:] != ordered["low"][:-1])
    firsts[ordered["item"]] = new
