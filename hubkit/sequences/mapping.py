"""Mappings of one sequence to another that keep every token: copy, reverse, repeat."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator

from hubkit.draws import between, seed
from hubkit.kernels import kernel
from hubkit.sequences.arrays import drawn_lengths, drawn_pairs, offsets_of
from hubkit.sequences.base import MOST_LENGTH, Domain, Key, Length, Range, Sequences, fits, with_loss
from hubkit.sequences.vocabulary import draw_sequence

# --- what they share -------------------------------------------------------------------------------------------------


class DrawnDomain(Domain):
    """A domain that begins with a sequence x of tokens from the vocabulary."""

    markers: ClassVar = ("delimiter",)
    length: Length = Range(min=1, max=100)
    """How many tokens x has."""
    replacement: bool = False
    """Whether a token may occur several times in x."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.replacement:
            fits(self.length, self.vocabulary)
        return self


# --- identity --------------------------------------------------------------------------------------------------------


class Identity(DrawnDomain):
    """``x d x``, or ``x d reverse(x)``; x is drawn from the vocabulary, without replacement if not told otherwise."""

    domain: Literal["identity"] = "identity"
    reverse: bool = False
    """Whether the copy runs backwards."""
    summary: ClassVar = "A sequence and, after a delimiter, the same again, or the same backwards."

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; the copy is learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = np.empty(offsets[-1], np.uint32)
        table, pool = self.vocabulary.table, self.vocabulary.pool()
        shape = self.length.min, self.length.max
        _identity(*key, indices, offsets, tokens, table, pool, *shape, self.replacement, self.reverse, self.content)
        return with_loss(tokens, offsets, np.diff(offsets) // 2 + 1)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        return 2 * drawn_lengths(*key, indices, self.length.min, self.length.max) + 1


@kernel
def _identity(key_low, key_high, indices, offsets, tokens, table, pool, least, most, replacement, backwards, delimiter):
    state = np.empty(4, np.uint64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        row = tokens[offsets[i] : offsets[i + 1]]
        x, y = row[:length], row[length + 1 :]
        draw_sequence(state, table, pool, replacement, x)
        row[length] = delimiter
        if backwards:
            for j in range(length):
                y[j] = x[length - 1 - j]
        else:
            y[:] = x


# --- duplicate -------------------------------------------------------------------------------------------------------


class Duplicate(DrawnDomain):
    """``x d y``, where y is x with each token n times in a row."""

    domain: Literal["duplicate"] = "duplicate"
    num_duplicate: Length = Range(min=2, max=2)
    """How often each token stands in y; one number for all tokens of a sequence."""
    summary: ClassVar = "A sequence and, after a delimiter, each of its tokens several times in a row."

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        if self.length.max * self.num_duplicate.max > MOST_LENGTH:
            raise ValueError(
                f"num_duplicate: {self.num_duplicate.max} times {self.length.max} tokens are more than {MOST_LENGTH}; "
                "lower num_duplicate.max or length.max"
            )
        return self

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; y is learnt."""
        lengths, times = drawn_pairs(*key, indices, *self._shape)
        offsets = offsets_of(lengths * (1 + times) + 1)
        tokens = np.empty(offsets[-1], np.uint32)
        table, pool = self.vocabulary.table, self.vocabulary.pool()
        _duplicate(*key, indices, offsets, tokens, table, pool, *self._shape, self.replacement, self.content)
        return with_loss(tokens, offsets, lengths + 1)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        lengths, times = drawn_pairs(*key, indices, *self._shape)
        return lengths * (1 + times) + 1

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return self.length.min, self.length.max, self.num_duplicate.min, self.num_duplicate.max


@kernel
def _duplicate(
    key_low, key_high, indices, offsets, tokens, table, pool, least, most, fewest, oftenest, replacement, delimiter
):
    state = np.empty(4, np.uint64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        times = between(state, fewest, oftenest)
        row = tokens[offsets[i] : offsets[i + 1]]
        draw_sequence(state, table, pool, replacement, row[:length])
        row[length] = delimiter
        end = length + 1
        for j in range(length):
            for _ in range(times):
                row[end] = row[j]
                end += 1


DOMAINS = (Identity, Duplicate)
