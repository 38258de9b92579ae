"""Mappings that leave tokens out: runs collapsed to one, and some tokens deleted."""

from typing import ClassVar, Literal, Self

import numpy as np
from numba import njit
from pydantic import model_validator

from hubkit.draws import below, between, sample, seed, uniform
from hubkit.kernels import kernel
from hubkit.sequences.arrays import offsets_of
from hubkit.sequences.base import MOST_LENGTH, Domain, Key, Length, Range, Sequences, Share, fits, with_loss
from hubkit.sequences.vocabulary import draw_distinct

# --- deduplicate -----------------------------------------------------------------------------------------------------


class Deduplicate(Domain):
    """``y d x``, where x is y with each run of equal tokens collapsed to one.

    x has some different tokens, each at least once, and no two equal ones side by side; in y, some of its places are
    stretched to runs.
    """

    domain: Literal["deduplicate"] = "deduplicate"
    markers: ClassVar = ("delimiter",)
    length: Length = Range(min=1, max=100)
    """How many tokens x has."""
    unique_token_ratio: Share = 0.5
    """How many different tokens there are, as a share of x's length (but two, where x is longer than one)."""
    repeat_token_ratio: Share = 0.5
    """How many places of x are runs in y, as a share of its length."""
    repeat_token_times: Length = Range(min=2, max=4)
    """How long a run is."""
    summary: ClassVar = "A sequence with runs of equal tokens and, after a delimiter, the same with each run as one."

    @model_validator(mode="after")
    def _possible(self) -> Self:
        different = different_tokens(self.length.max, self.unique_token_ratio)
        if different > self.vocabulary.distinct:
            raise ValueError(
                f"unique_token_ratio: {different} different tokens can't be drawn from a vocabulary of "
                f"{self.vocabulary.distinct}; lower unique_token_ratio or length.max, or raise vocabulary.size"
            )
        if self.length.max * self.repeat_token_times.max > MOST_LENGTH:
            raise ValueError(
                f"repeat_token_times: runs of {self.repeat_token_times.max} for {self.length.max} tokens are more than "
                f"{MOST_LENGTH}; lower repeat_token_times.max or length.max"
            )
        return self

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; x is learnt."""
        lengths, runs = _deduplicate_shapes(*key, indices, *self._shape)
        offsets = offsets_of(runs + 1 + lengths)
        tokens = np.empty(offsets[-1], np.uint32)
        table, pool = self.vocabulary.table, self.vocabulary.pool()
        _deduplicate(*key, indices, offsets, tokens, table, pool, *self._shape, self.unique_token_ratio, self.content)
        return with_loss(tokens, offsets, runs + 1)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        lengths, runs = _deduplicate_shapes(*key, indices, *self._shape)
        return runs + 1 + lengths

    @property
    def _shape(self) -> tuple[int, int, float, int, int]:
        times = self.repeat_token_times
        return self.length.min, self.length.max, self.repeat_token_ratio, times.min, times.max


@njit
def share_of(length, ratio):
    """Return the whole number (int64) that is nearest to a share of a length."""
    return np.int64(length * ratio + 0.5)


@njit
def different_tokens(length, ratio):
    """Return how many different tokens (int64) a sequence without equal neighbours has for this share."""
    return min(length, max(2, share_of(length, ratio)))


@kernel
def _deduplicate_shapes(key_low, key_high, indices, least, most, repeated, shortest, longest):
    """Return the lengths of x and of y, int64 (n,) each."""
    state = np.empty(4, np.uint64)
    lengths, runs = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        lengths[i] = runs[i] = between(state, least, most)
        for _ in range(share_of(lengths[i], repeated)):
            runs[i] += between(state, shortest, longest) - 1
    return lengths, runs


@kernel
def _deduplicate(
    key_low,
    key_high,
    indices,
    offsets,
    tokens,
    table,
    pool,
    least,
    most,
    repeated,
    shortest,
    longest,
    unique,
    delimiter,
):
    state = np.empty(4, np.uint64)
    times, different = np.empty(most, np.int64), np.empty(most, np.uint32)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        times[:length] = 1
        for j in range(share_of(length, repeated)):
            times[j] = between(state, shortest, longest)
        sample(state, times[:length], length)
        row = tokens[offsets[i] : offsets[i + 1]]
        x = row[len(row) - length :]
        known = different[: different_tokens(length, unique)]
        draw_distinct(state, table, pool, known)
        _without_equal_neighbours(state, known, x)
        end = 0
        for j in range(length):
            for _ in range(times[j]):
                row[end] = x[j]
                end += 1
        row[end] = delimiter


@njit
def _without_equal_neighbours(state, known, x):
    """Fill x with the tokens of `known`, each at least once and none twice in a row.

    The first two places show new tokens; each other one does with the chance by which exactly all of them come to be
    shown, or else repeats one of those seen, except the last.
    """
    seen, last = 0, -1
    for i in range(len(x)):
        if i < 2 or below(state, len(x) - i) < len(known) - seen:
            last = seen
            seen += 1
        else:
            choice = below(state, seen - 1)
            last = choice + 1 if choice >= last else choice
        x[i] = known[last]


# --- delete ----------------------------------------------------------------------------------------------------------


class Delete(Domain):
    """``s d q d r``, where r is s without the tokens of q; all tokens of s are different."""

    domain: Literal["delete"] = "delete"
    markers: ClassVar = ("delimiter",)
    length: Length = Range(min=11, max=100)
    """How many tokens s has."""
    seq_to_delete_length: Length = Range(min=1, max=10)
    """How many tokens q has."""
    should_delete_ratio: Share = 0.75
    """How often q is in s; otherwise none of its tokens is, and r is s."""
    choose: Literal["slice", "tokens"] = "slice"
    """Whether q is a part of s as it stands, or tokens from anywhere in s, in any order."""
    summary: ClassVar = "A sequence, some tokens to delete, and the sequence without them, separated by delimiters."

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.seq_to_delete_length.max >= self.length.min:
            raise ValueError(
                f"seq_to_delete_length: {self.seq_to_delete_length.max} tokens may be all of a sequence of "
                f"{self.length.min}; set seq_to_delete_length.max below length.min"
            )
        fits(self.length, self.vocabulary)
        needed = self.length.max + self.seq_to_delete_length.max
        if self.should_delete_ratio < 1 and needed > self.vocabulary.distinct:
            raise ValueError(
                f"seq_to_delete_length: {self.seq_to_delete_length.max} tokens that are not among the "
                f"{self.length.max} of a sequence can't be drawn from a vocabulary of {self.vocabulary.distinct}; "
                f"raise vocabulary.size to {needed}, or set should_delete_ratio=1"
            )
        return self

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; r is learnt."""
        head, rest = _delete_shapes(*key, indices, *self._shape)
        offsets = offsets_of(head + rest)
        tokens = np.empty(offsets[-1], np.uint32)
        table, pool = self.vocabulary.table, self.vocabulary.pool()
        sliced = self.choose == "slice"
        _delete(*key, indices, offsets, tokens, table, pool, *self._shape, sliced, self.content)
        return with_loss(tokens, offsets, head)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        head, rest = _delete_shapes(*key, indices, *self._shape)
        return head + rest

    @property
    def _shape(self) -> tuple[int, int, int, int, float]:
        query = self.seq_to_delete_length
        return self.length.min, self.length.max, query.min, query.max, self.should_delete_ratio


@njit
def _delete_shape(state, least, most, shortest, longest, present):
    """Return the lengths of s and q, and whether q is in s."""
    return between(state, least, most), between(state, shortest, longest), uniform(state) < present


@kernel
def _delete_shapes(key_low, key_high, indices, least, most, shortest, longest, present):
    """Return how many tokens stand before r, and how many r has, int64 (n,) each."""
    state = np.empty(4, np.uint64)
    head, rest = np.empty(len(indices), np.int64), np.empty(len(indices), np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length, query, inside = _delete_shape(state, least, most, shortest, longest, present)
        head[i] = length + query + 2
        rest[i] = length - query if inside else length
    return head, rest


@kernel
def _delete(
    key_low,
    key_high,
    indices,
    offsets,
    tokens,
    table,
    pool,
    least,
    most,
    shortest,
    longest,
    present,
    sliced,
    delimiter,
):
    state = np.empty(4, np.uint64)
    drawn, places = np.empty(most + longest, np.uint32), np.empty(most, np.int64)
    kept = np.empty(most, np.bool_)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length, query, inside = _delete_shape(state, least, most, shortest, longest, present)
        row = tokens[offsets[i] : offsets[i + 1]]
        s, q, r = row[:length], row[length + 1 : length + 1 + query], row[length + query + 2 :]
        row[length] = row[length + 1 + query] = delimiter
        kept[:length] = True
        if inside:
            draw_distinct(state, table, pool, s)
            _choose(state, sliced, places[:length], query)
            for j in range(query):
                q[j] = s[places[j]]
                kept[places[j]] = False
        else:
            draw_distinct(state, table, pool, drawn[: length + query])
            s[:] = drawn[:length]
            q[:] = drawn[length : length + query]
        end = 0
        for j in range(length):
            if kept[j]:
                r[end] = s[j]
                end += 1


@njit
def _choose(state, sliced, places, count):
    """Put `count` places of a sequence at the front of `places`: some that follow one another, or any in any order."""
    first = below(state, len(places) - count + 1) if sliced else 0
    for j in range(len(places)):
        places[j] = first + j
    if not sliced:
        sample(state, places, count)


DOMAINS = (Deduplicate, Delete)
