"""What loops over sequences share: lengths that are drawn first, and an output that grows."""

import numpy as np
from numba import njit

from hubkit.draws import between, seed
from hubkit.kernels import kernel


@kernel
def drawn_lengths(key_low, key_high, indices, least, most):
    """Return the first draw of each sequence, a length from `least` to `most`, as int64 (n,)."""
    state, lengths = np.empty(4, np.uint64), np.empty(len(indices), np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        lengths[i] = between(state, least, most)
    return lengths


@kernel
def drawn_pairs(key_low, key_high, indices, least, most, fewest, highest):
    """Return the first two draws of each sequence, a length and a number with limits of its own, as int64 (n,) each."""
    state = np.empty(4, np.uint64)
    lengths, numbers = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        lengths[i] = between(state, least, most)
        numbers[i] = between(state, fewest, highest)
    return lengths, numbers


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Return where sequences of these lengths begin, and the last ends, as int64 (n + 1,)."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


@njit
def with_room(tokens, used, more):
    """Return `tokens` (uint32), or a copy of twice the size or more, with room for `more` beyond those in use."""
    if used + more <= len(tokens):
        return tokens
    larger = np.empty(max(2 * len(tokens), used + more), np.uint32)
    larger[:used] = tokens[:used]
    return larger
