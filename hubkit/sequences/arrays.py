"""What loops over sequences share: lengths that are drawn first, and an output that grows."""

import numpy as np
from numba import njit

from hubkit.draws import between, seed
from hubkit.kernels import kernel


@kernel
def drawn_offsets(key_low, key_high, indices, least, most, unit):
    """Return where sequences begin whose lengths are the first draws of their streams.

    Args:
        key_low: Low word of the stream's key.
        key_high: High word of the stream's key.
        indices: uint64 (n,): which sequences.
        least: The smallest length, in units.
        most: The largest one.
        unit: How many tokens a unit has.

    Returns:
        int64 (n + 1,), beginning with 0.
    """
    offsets, state = np.zeros(len(indices) + 1, np.int64), np.empty(4, np.uint64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        offsets[i + 1] = offsets[i] + unit * between(state, least, most)
    return offsets


@njit
def with_room(tokens, used, more):
    """Return `tokens` (uint32), or a copy of twice the size or more, with room for `more` beyond those in use."""
    if used + more <= len(tokens):
        return tokens
    larger = np.empty(max(2 * len(tokens), used + more), np.uint32)
    larger[:used] = tokens[:used]
    return larger
