"""Splits by hash: which split a key falls to, whatever else there is."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def split_numbers(keys: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return the numbers of the splits that hashes fall to.

    Args:
        keys: uint64, of any shape, evenly spread.
        shares: How much each split gets, in proportion; all above 0. They are taken as the decimals that they print as,
            so that 0.98, 0.01 and 0.01 are a whole on any machine.

    Returns:
        int64 of the same shape.
    """
    exact = [Fraction(str(share)) for share in shares]
    ends = [int(sum(exact[: number + 1]) * 2**64 / sum(exact)) for number in range(len(exact) - 1)]
    return np.searchsorted(np.array(ends, np.uint64), keys, side="right")
