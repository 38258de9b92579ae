"""Rows of different lengths as one array, and which of their tokens are learnt."""

from collections.abc import Sequence

import numpy as np


def padded(rows: Sequence[np.ndarray], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of token ids as one int64 array (rows, longest), padded at the end, and where tokens are (bool)."""
    lengths = np.array([len(row) for row in rows])
    present = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(present.shape, pad_id, dtype=np.int64)
    ids[present] = np.concatenate(rows)
    return ids, present


def learnt(ranges: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
    """Return where padded rows are learnt (bool, of the shape of `present`), from the ranges of a column `loss`.

    Args:
        ranges: Of each row: where it is learnt, as [start, end) pairs one after the other, counted from its start.
        present: bool (rows, longest): where tokens are, as :func:`padded` returns it.

    Raises:
        ValueError: A range is cut in half, or reaches beyond its row.
    """
    lengths = present.sum(1)
    steps = np.zeros((len(ranges), present.shape[1] + 1), np.int64)
    for row, flat in enumerate(ranges):
        pairs = np.asarray(flat, np.int64)
        if len(pairs) % 2 or (len(pairs) and not (0 <= pairs.min() <= pairs.max() <= lengths[row])):
            raise ValueError(f"loss: {pairs.tolist()} are no [start, end) pairs in the {lengths[row]} tokens of a row")
        np.add.at(steps[row], pairs[::2], 1)
        np.add.at(steps[row], pairs[1::2], -1)
    return steps.cumsum(1)[:, :-1] > 0
