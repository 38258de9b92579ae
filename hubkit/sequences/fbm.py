"""Fractional Brownian motion, digitised: a path with memory, and its levels as tokens."""

from typing import Annotated, Any, Literal, Self

import numpy as np
from numba import njit
from pydantic import AfterValidator, Field, model_validator

from hubkit.draws import between, seed
from hubkit.kernels import kernel
from hubkit.sequences._circulant import Embedding, embedding, transform
from hubkit.sequences._ziggurat import fill_normals, layers
from hubkit.sequences.arrays import drawn_lengths, offsets_of
from hubkit.sequences.base import Domain, Key, Length, Range, Sequences, with_loss
from hubkit.sequences.vocabulary import draw_distinct

_NOISE = 1
"""Attempts of a stream are its channels here: lengths and tokens are drawn from 0, the noise from this."""


def _inside(hurst: float) -> float:
    if not 0 < hurst < 1:
        raise ValueError("the Hurst exponent must lie between 0 and 1, both excluded; 0.5 is Brownian motion")
    return hurst


class FractionalBrownianMotion(Domain):
    """The levels of a fractional Brownian motion (Mandelbrot and Van Ness, SIAM Review 10, 1968).

    A path of as many points as the sequence has tokens is cut into equally high levels, from its lowest point to its
    highest; those that it visits are counted from the lowest up, and each has a token.
    """

    domain: Literal["fbm"] = "fbm"
    length: Length = Range(min=512, max=512)
    """Tokens of a sequence. All paths are drawn as long as the longest, rounded up to a power of two, and cut."""
    hurst: Annotated[float, AfterValidator(_inside)] = 0.5
    """The Hurst exponent H: steps persist above ½, turn back below it, and are independent at ½."""
    discretize_ratio: Annotated[float, Field(gt=0, le=1e6)] = 4.0
    """Tokens for each level: a sequence of L tokens has round(L / ratio) levels, and one at least."""
    shuffled: bool = True
    """Whether each sequence draws the tokens of its levels anew, without replacement; otherwise level r is token r."""

    summary = "A path of fractional Brownian motion, digitised: each token stands for a level that the path visits."

    @model_validator(mode="after")
    def _fits(self) -> Self:
        levels = min(self.length.max, _levels(self.length.max, self.discretize_ratio))
        tokens = self.vocabulary.distinct if self.shuffled else self.vocabulary.size
        if levels > tokens:
            raise ValueError(
                f"discretize_ratio: {self.length.max} tokens at a ratio of {self.discretize_ratio:g} can have {levels} "
                f"levels, and the vocabulary {tokens} tokens; raise discretize_ratio or vocabulary.size"
            )
        return self

    @property
    def _embedding(self) -> Embedding:
        return embedding(self.hurst, self.length.max)

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return digitised paths, all of them learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        how: Any = self.length.min, self.length.max, self.discretize_ratio, self.shuffled, *self._embedding, *layers()
        tokens = digitised_paths(*key, indices, offsets, *how, self.vocabulary.table, self.vocabulary.pool())
        return with_loss(tokens, offsets)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have, as int64 (n,)."""
        return drawn_lengths(*key, indices, self.length.min, self.length.max)

    def increments(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return the steps of the paths of these sequences, before they are cut to length.

        Returns:
            float64 (n, points), normal with mean 0 and variance 1, where points is at least `length.max`.
        """
        return increments(*key, indices, *self._embedding, *layers())


@njit
def _levels(length, ratio):
    return max(1, int(np.floor(length / ratio + 0.5)))


@kernel
def digitised_paths(
    key_low,
    key_high,
    indices,
    offsets,
    least,
    most,
    ratio,
    shuffled,
    scales,
    cosines,
    sines,
    widths,
    heights,
    table,
    pool,
):
    """Return the tokens (uint32) of digitised paths whose lengths were drawn by :func:`drawn_lengths`."""
    tokens, state = np.empty(offsets[-1], np.uint32), np.empty(4, np.uint64)
    real, imag = np.empty(len(scales)), np.empty(len(scales))
    ranks, ids = np.empty(_levels(most, ratio), np.int64), np.empty(most, np.uint32)
    for i in range(len(indices)):
        _draw_noise(state, key_low, key_high, indices, i, scales, cosines, sines, widths, heights, real, imag)
        out = tokens[offsets[i] : offsets[i + 1]]
        path = (imag if indices[i] & np.uint64(1) else real)[: len(out)]
        visited = _digitise(path, ranks[: _levels(len(out), ratio)], out)
        if shuffled:
            seed(state, key_low, key_high, indices[i], 0)
            between(state, least, most)  # the length
            draw_distinct(state, table, pool, ids[:visited])
            for at in range(len(out)):
                out[at] = ids[out[at]]
    return tokens


@kernel
def increments(key_low, key_high, indices, scales, cosines, sines, widths, heights):
    """Return the noise (float64, a row for each index) of which paths are made."""
    state, half = np.empty(4, np.uint64), len(scales) // 2
    real, imag, noise = np.empty(len(scales)), np.empty(len(scales)), np.empty((len(indices), half))
    for i in range(len(indices)):
        _draw_noise(state, key_low, key_high, indices, i, scales, cosines, sines, widths, heights, real, imag)
        noise[i] = (imag if indices[i] & np.uint64(1) else real)[:half]
    return noise


@njit
def _draw_noise(state, key_low, key_high, indices, i, scales, cosines, sines, widths, heights, real, imag):
    """Make `real` the noise of the even sequence of a pair and `imag` that of the odd one; keep them where they are."""
    if i > 0 and indices[i] & np.uint64(1) and indices[i] - indices[i - 1] == np.uint64(1):
        return
    seed(state, key_low, key_high, indices[i] >> np.uint64(1), _NOISE)
    for part in (real, imag):
        fill_normals(state, widths, heights, part)
        for k in range(len(scales)):
            part[k] *= scales[k]
    transform(real, imag, cosines, sines)


@njit
def _digitise(noise, ranks, out):
    """Turn noise into its path, and write the rank of each point's level; return how many levels are visited."""
    lowest = highest = noise[0]
    for at in range(1, len(noise)):
        noise[at] += noise[at - 1]
        lowest, highest = min(lowest, noise[at]), max(highest, noise[at])
    width = (highest - lowest) / len(ranks)
    ranks[:] = -1
    for at in range(len(noise)):
        level = min(int((noise[at] - lowest) / width), len(ranks) - 1) if width > 0.0 else 0
        out[at] = level
        ranks[level] = 0
    visited = 0
    for level in range(len(ranks)):
        if ranks[level] == 0:
            ranks[level] = visited
            visited += 1
    for at in range(len(out)):
        out[at] = ranks[out[at]]
    return visited


DOMAINS = (FractionalBrownianMotion,)
