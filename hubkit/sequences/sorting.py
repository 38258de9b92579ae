"""Sorting and looking up: numbers by size, tokens by a given order, elements by their place."""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numba import njit
from pydantic import AfterValidator, model_validator

from hubkit.draws import below, between, seed
from hubkit.kernels import kernel
from hubkit.sequences.arrays import drawn_lengths, drawn_pairs, offsets_of
from hubkit.sequences.base import BaseDomain, Domain, Key, Length, Range, Sequences, fits, with_loss
from hubkit.sequences.mapping import DrawnDomain
from hubkit.sequences.vocabulary import Table, Vocabulary, draw_distinct, draw_sequence

# --- numbers ---------------------------------------------------------------------------------------------------------


class SortNumbers(BaseDomain):
    """``x d sort(x)``, where x is numbers; the number n has the content id n - nums.min."""

    domain: Literal["sort_numbers"] = "sort_numbers"
    markers: ClassVar = ("delimiter",)
    nums: Range = Range(min=0, max=999)
    """The least and the greatest number; all are as likely."""
    length: Length = Range(min=1, max=100)
    """How many numbers x has."""
    replacement: bool = True
    """Whether a number may occur several times in x."""
    descending: bool = False
    """Whether the greatest comes first."""
    summary: ClassVar = "Numbers, one token each, and, after a delimiter, the same numbers sorted."

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.replacement and self.length.max > self.content:
            raise ValueError(
                f"length: {self.length.max} different numbers can't be drawn from the {self.content} of nums; lower "
                "length.max, raise nums.max, or set replacement=true"
            )
        return self

    @property
    def content(self) -> int:
        """How many numbers there are."""
        return self.nums.max - self.nums.min + 1

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; the sorted numbers are learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = np.empty(offsets[-1], np.uint32)
        numbers = Vocabulary(size=self.content)
        shape = self.length.min, self.length.max, self.replacement, self.descending
        _sort_numbers(*key, indices, offsets, tokens, numbers.table, numbers.pool(), *shape, self.content)
        return with_loss(tokens, offsets, np.diff(offsets) // 2 + 1)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        return 2 * drawn_lengths(*key, indices, self.length.min, self.length.max) + 1


@kernel
def _sort_numbers(
    key_low, key_high, indices, offsets, tokens, table, pool, least, most, replacement, descending, delimiter
):
    state, counts = np.empty(4, np.uint64), np.zeros(table.size, np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        row = tokens[offsets[i] : offsets[i + 1]]
        x, y = row[:length], row[length + 1 :]
        draw_sequence(state, table, pool, replacement, x)
        row[length] = delimiter
        if table.size <= 32 * length:  # counting is then less work than comparing
            _sort_by_counting(x, y, counts)
        else:
            y[:] = x
            y.sort()
        if descending:
            y[:] = y[::-1].copy()


@njit
def _sort_by_counting(x, y, counts):
    """Write the numbers of x (below `len(counts)`) to y in order; `counts` is zeros, before and after."""
    for number in x:
        counts[number] += 1
    end = 0
    for number in range(len(counts)):
        for _ in range(counts[number]):
            y[end] = number
            end += 1
        counts[number] = 0


# --- by an order -----------------------------------------------------------------------------------------------------


class SortBySequence(Domain):
    """``x d o d y``, where o is different tokens in any order, and y is x, which is drawn from o, in that order."""

    domain: Literal["sort_by_sequence"] = "sort_by_sequence"
    markers: ClassVar = ("delimiter",)
    length: Length = Range(min=1, max=100)
    """How many tokens x has; one may occur several times."""
    order_length: Length = Range(min=2, max=20)
    """How many tokens o has."""
    summary: ClassVar = "A sequence, an order of its tokens, and the sequence sorted by it, separated by delimiters."

    @model_validator(mode="after")
    def _possible(self) -> Self:
        fits(self.order_length, self.vocabulary, "order_length")
        return self

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; y is learnt."""
        lengths, orders = drawn_pairs(*key, indices, *self._shape)
        offsets = offsets_of(2 * lengths + orders + 2)
        tokens = np.empty(offsets[-1], np.uint32)
        table, pool = self.vocabulary.table, self.vocabulary.pool()
        _sort_by_sequence(*key, indices, offsets, tokens, table, pool, *self._shape, self.content)
        return with_loss(tokens, offsets, lengths + orders + 2)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        lengths, orders = drawn_pairs(*key, indices, *self._shape)
        return 2 * lengths + orders + 2

    @property
    def _shape(self) -> tuple[int, int, int, int]:
        return self.length.min, self.length.max, self.order_length.min, self.order_length.max


@kernel
def _sort_by_sequence(
    key_low, key_high, indices, offsets, tokens, table, pool, least, most, shortest, longest, delimiter
):
    state, counts = np.empty(4, np.uint64), np.zeros(longest, np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        known = between(state, shortest, longest)
        row = tokens[offsets[i] : offsets[i + 1]]
        order = row[length + 1 : length + 1 + known]
        row[length] = row[length + 1 + known] = delimiter
        draw_distinct(state, table, pool, order)
        for j in range(length):
            rank = below(state, known)
            row[j] = order[rank]
            counts[rank] += 1
        end = length + known + 2
        for rank in range(known):
            for _ in range(counts[rank]):
                row[end] = order[rank]
                end += 1
            counts[rank] = 0


# --- by a place ------------------------------------------------------------------------------------------------------


def _short(length: Range) -> Range:
    if length.max > 2**16:
        raise ValueError(f"max: {length.max} places need as many tokens of their own; set it to {2**16} or less")
    return length


class FindArrayElement(DrawnDomain):
    """``x d i d x[i]``, or ``x d e d i`` with x[i] = e.

    Places count from 0 and have tokens of their own: place i has the content id ``vocabulary.size`` + i.
    """

    domain: Literal["find_array_element"] = "find_array_element"
    length: Annotated[Length, AfterValidator(_short)] = Range(min=1, max=100)
    """How many elements x has."""
    find: Literal["element", "place"] = "element"
    """What is asked for: the element at a place, or the place (the first one) of an element."""
    summary: ClassVar = "A sequence, a place, and the element there, or an element and its place, between delimiters."

    @property
    def content(self) -> int:
        """How many content ids there are: the tokens, and as many places as the longest sequence has."""
        return self.vocabulary.size + self.length.max

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; the answer is learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = np.empty(offsets[-1], np.uint32)
        table: Table = self.vocabulary.table
        shape = self.length.min, self.length.max, self.replacement, self.find == "place"
        _find(*key, indices, offsets, tokens, table, self.vocabulary.pool(), *shape, self.content)
        return with_loss(tokens, offsets, np.diff(offsets) - 1)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        return drawn_lengths(*key, indices, self.length.min, self.length.max) + 4


@kernel
def _find(key_low, key_high, indices, offsets, tokens, table, pool, least, most, replacement, place_of, delimiter):
    state = np.empty(4, np.uint64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        row = tokens[offsets[i] : offsets[i + 1]]
        draw_sequence(state, table, pool, replacement, row[:length])
        row[length] = row[length + 2] = delimiter
        place = below(state, length)
        element = row[place]
        if place_of:
            first = 0
            while row[first] != element:
                first += 1
            row[length + 1], row[length + 3] = element, table.size + first
        else:
            row[length + 1], row[length + 3] = table.size + place, element


DOMAINS = (SortNumbers, SortBySequence, FindArrayElement)
