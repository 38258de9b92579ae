"""Which sequences go through a model together."""

from collections.abc import Iterator

import numpy as np


def by_length(lengths: np.ndarray, batch_tokens: int) -> Iterator[np.ndarray]:
    """Yield the numbers of sequences of similar length together, the longest first: what is too much fails at once.

    Args:
        lengths: Tokens of each sequence, (sequences,) integers.
        batch_tokens: Tokens of a batch, padding counted; a sequence that has more is a batch of its own.

    Yields:
        int64 (batch,); each sequence occurs once, and equal lengths stay in their order.
    """
    order = np.argsort(-np.asarray(lengths, np.int64), kind="stable")
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        yield order[start : start + size]
        start += size
