"""Rows of different lengths as one array."""

from collections.abc import Sequence

import numpy as np


def padded(rows: Sequence[np.ndarray], pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of token ids as one int64 array (rows, longest), padded at the end, and where tokens are (bool)."""
    lengths = np.array([len(row) for row in rows])
    present = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(present.shape, pad_id, dtype=np.int64)
    ids[present] = np.concatenate(rows)
    return ids, present
