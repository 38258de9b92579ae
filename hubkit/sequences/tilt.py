"""Random tokens and random parentheses, with no meaning and some of the structure of language (TILT).

Papadimitriou and Jurafsky, "Learning music helps you read: using transfer to study linguistic structure in language
models", EMNLP 2020 (arXiv 2004.14601). A parenthesis is a token that occurs twice: one id opens and closes it.
"""

from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.draws import between, seed, uniform
from hubkit.kernels import kernel
from hubkit.sequences.arrays import drawn_lengths, offsets_of
from hubkit.sequences.base import Domain, Key, Length, Range, Sequences, Share, with_loss
from hubkit.sequences.vocabulary import Table, Vocabulary, Zipf, alias_table, draw, draw_many

_SIZE = 50_000
"""The paper's vocabulary."""
_LENGTH = Range(min=512, max=512)
_FREE = 0xFFFFFFFF
"""Marks a place that holds no token yet; no vocabulary is so large."""
_NEGLIGIBLE = 2.0**-40


# --- tokens, each for itself -----------------------------------------------------------------------------------------


class _Tokens(Domain):
    length: Length = _LENGTH
    """Tokens of a sequence."""

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of independent tokens, all of them learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = independent_tokens(*key, indices, self.length.min, self.length.max, offsets, self.vocabulary.table)
        return with_loss(tokens, offsets)

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have, as int64 (n,)."""
        return drawn_lengths(*key, indices, self.length.min, self.length.max)


class UniformTokens(_Tokens):
    """Independent tokens, each as likely."""

    domain: Literal["uniform"] = "uniform"
    vocabulary: Vocabulary = Vocabulary(size=_SIZE)
    summary = "Independent random tokens, each as likely."


class UnigramTokens(_Tokens):
    """Independent tokens with natural frequencies: Zipf's law, or the counts of a text."""

    domain: Literal["unigram"] = "unigram"
    vocabulary: Vocabulary = Vocabulary(size=_SIZE, distribution=Zipf())
    summary = "Independent random tokens with the frequencies of words."


@kernel
def independent_tokens(key_low, key_high, indices, least, most, offsets, table):
    """Return the tokens (uint32) of sequences whose lengths were drawn by :func:`drawn_lengths`."""
    tokens, state = np.empty(offsets[-1], np.uint32), np.empty(4, np.uint64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        between(state, least, most)  # the length
        draw_many(state, table, tokens[offsets[i] : offsets[i + 1]])
    return tokens


# --- parentheses -----------------------------------------------------------------------------------------------------


class _Parentheses(Domain):
    length: Length = _LENGTH
    """Tokens of a sequence; it is even, because each parenthesis has two ends."""
    vocabulary: Vocabulary = Vocabulary(size=_SIZE, distribution=Zipf())

    @model_validator(mode="after")
    def _even(self) -> Self:
        if self.length.max // 2 < (self.length.min + 1) // 2 or self.length.max < 2:
            raise ValueError(
                f"length: there is no even number from {self.length.min} to {self.length.max}, and each parenthesis "
                "takes two tokens; raise length.max by 1"
            )
        return self

    @property
    def _pairs(self) -> tuple[int, int]:
        """The least and the greatest number of parentheses."""
        return (self.length.min + 1) // 2, self.length.max // 2

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have, as int64 (n,)."""
        return 2 * drawn_lengths(*key, indices, *self._pairs)


class NestingParentheses(_Parentheses):
    """Parentheses that nest: a walk on a stack, which is empty again at the end."""

    domain: Literal["nesting_parentheses"] = "nesting_parentheses"
    open_probability: Share = 0.4
    """How often a parenthesis opens where one could close as well: 0.4 as in the paper, or 0.5 as in its code."""
    summary = "Matching parentheses that nest; a parenthesis opens and closes with the same token."

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of nesting parentheses, all of them learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = nesting(*key, indices, *self._pairs, offsets, self.open_probability, self.vocabulary.table)
        return with_loss(tokens, offsets)


@kernel
def nesting(key_low, key_high, indices, least, most, offsets, probability, table):
    """Return the tokens (uint32) of nesting parentheses; `least` and `most` are in pairs."""
    tokens, state, stack = np.empty(offsets[-1], np.uint32), np.empty(4, np.uint64), np.empty(most, np.uint32)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        between(state, least, most)  # the length
        depth = 0
        for at in range(offsets[i], offsets[i + 1]):
            # The last places are for those that are still open.
            if depth == 0 or (depth < offsets[i + 1] - at and uniform(state) < probability):
                stack[depth] = draw(state, table)
                tokens[at] = stack[depth]
                depth += 1
            else:
                depth -= 1
                tokens[at] = stack[depth]
    return tokens


class FlatParentheses(_Parentheses):
    """Parentheses that may cross: each closes as far from where it opens as words are that depend on each other."""

    domain: Literal["flat_parentheses"] = "flat_parentheses"
    mean_distance: Annotated[float, Field(ge=1, le=1000)] = 2.543
    """The mean of a geometric distribution of distances, on which they are modelled where `distances` is empty.

    Take it as an approximate figure for English, which lies below the 3 words that Liu found no language's mean to
    exceed ("Dependency distance as a metric of language comprehension difficulty", Journal of Cognitive Science 9,
    2008); give `distances` where it matters. That distances between dependent words fall off exponentially is in
    Ferrer-i-Cancho, "Euclidean distance between syntactically linked words", Physical Review E 70, 2004.
    """
    distances: Annotated[tuple[Annotated[float, Field(ge=0, le=1e15)], ...], Field(max_length=2**16)] = ()
    """How often each distance occurs, from 1 on: counts of a treebank, say."""
    summary = "Matching parentheses that may cross; they close at the distances of words that depend on each other."

    @model_validator(mode="after")
    def _some(self) -> Self:
        if self.distances and not any(self.distances):
            raise ValueError("distances: all of them are 0, so none can be drawn; give at least one above 0, or none")
        return self

    @cached_property
    def _distances(self) -> Table:
        """The distribution of distances, less 1."""
        weights = np.array(self.distances or _geometric(self.mean_distance))
        return Table(len(weights), weights, *alias_table(weights))

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of flat parentheses, all of them learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = flat(*key, indices, *self._pairs, offsets, self._distances, self.vocabulary.table)
        return with_loss(tokens, offsets)


def _geometric(mean: float) -> list[float]:
    """Return weights of 1, 2, … that fall by the same factor, down to those that make no difference."""
    weights, factor = [1.0], 1.0 - 1.0 / mean
    while weights[-1] * factor > _NEGLIGIBLE:
        weights.append(weights[-1] * factor)
    return weights


@kernel
def flat(key_low, key_high, indices, least, most, offsets, distances, table):
    """Return the tokens (uint32) of flat parentheses; `least` and `most` are in pairs.

    From left to right each free place opens one. It closes in the free place that is nearest to the drawn distance, of
    two the farther one. There is always one: the length is even, and all places before are taken in pairs.
    """
    tokens, state = np.full(offsets[-1], _FREE, np.uint32), np.empty(4, np.uint64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        between(state, least, most)  # the length
        end = offsets[i + 1]
        for at in range(offsets[i], end):
            if tokens[at] == _FREE:
                tokens[at] = draw(state, table)
                far = near = min(at + 1 + draw(state, distances), end - 1)
                while True:
                    if far < end and tokens[far] == _FREE:
                        tokens[far] = tokens[at]
                        break
                    if near > at and tokens[near] == _FREE:
                        tokens[near] = tokens[at]
                        break
                    far += 1
                    near -= 1
    return tokens


DOMAINS = (UniformTokens, UnigramTokens, NestingParentheses, FlatParentheses)
