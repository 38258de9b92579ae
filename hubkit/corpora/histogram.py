"""Histograms of lengths on one fixed scale, so that those of parts add up to that of the whole.

A bin holds one length up to 63 and, above that, a 32nd of an octave: 64–65, 66–67, …, 126–127, 128–131, … Any two
lengths that differ by 4 % or more lie in different bins, and there are 1,568 bins for lengths up to 2**53.
"""

import numpy as np

BITS = 5
"""Each octave is cut into 2**BITS bins."""

_EXACT = 2 << BITS
"""Lengths below this have a bin each."""


_BINS = (54 - BITS) << BITS
"""Of lengths below 2**53."""


class Histogram:
    """A running histogram."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BINS, np.int64)

    def add(self, lengths: np.ndarray) -> None:
        """Take in lengths, of shape (number,), int64, none negative."""
        _, bits = np.frexp(lengths)  # of each length; exact below 2**53
        shift = np.maximum(bits - (BITS + 1), 0)
        self._counts += np.bincount((shift << BITS) + (lengths >> shift), minlength=_BINS)

    def join(self, counts: list[int]) -> None:
        """Take in the state of another part."""
        self._counts[: len(counts)] += np.asarray(counts, np.int64)

    def state(self) -> list[int]:
        """Return how many lengths lie in each bin, from the first bin to the last one that is not empty."""
        return np.trim_zeros(self._counts, "b").tolist()

    def by_start(self) -> dict[int, int]:
        """Return how many lengths lie in each bin that is not empty, by its least length, ascending."""
        counts = self.state()
        return {start: count for start, count in zip(bin_starts(len(counts)), counts, strict=True) if count}


def bin_starts(count: int) -> list[int]:
    """Return the least length of each of the first bins."""
    shifts = [max((index >> BITS) - 1, 0) for index in range(count)]
    return [(index - (shift << BITS)) << shift for index, shift in enumerate(shifts)]


def bin_stop(start: int, bits: int = BITS) -> int:
    """Return the first length after a bin.

    Args:
        start: The least length in the bin.
        bits: An octave has 2**bits bins; with fewer than `BITS` each is several of the scale's own.
    """
    return start + (1 << max(start.bit_length() - 1 - bits, 0))


def coarser(histogram: dict[int, int], bits: int) -> dict[int, int]:
    """Return a histogram with 2**bits bins an octave, at most as many as it has; by least length, ascending."""
    joined: dict[int, int] = {}
    for start, count in sorted(histogram.items()):
        shift = max(start.bit_length() - 1 - bits, 0)
        joined[start >> shift << shift] = joined.get(start >> shift << shift, 0) + count
    return joined
