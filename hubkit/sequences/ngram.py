"""A random language: the next token hangs on the few before it, by a table of random probabilities."""

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.draws import between, halves, seed, uniform
from hubkit.kernels import kernel
from hubkit.randomness import stream_key
from hubkit.sequences.arrays import drawn_lengths, offsets_of
from hubkit.sequences.base import Domain, Key, Length, Range, Sequences, with_loss
from hubkit.sequences.vocabulary import Vocabulary, draw, draw_alias, fill_alias

MOST_ENTRIES = 2**23
"""The largest table: 128 MB as alias tables."""


class NGram(Domain):
    """A sequence from a random n-gram language: each token is drawn from the row of those before it.

    A row is random numbers, uniform from 0 to 1 and each times the token's weight in the vocabulary, normalised to 1.
    The first ``gram_count`` - 1 tokens are drawn from the vocabulary itself.
    """

    domain: Literal["ngram"] = "ngram"
    length: Length = Range(min=1, max=100)
    """How many tokens a sequence has."""
    gram_count: Annotated[int, Field(ge=1, le=8)] = 2
    """n: the next token hangs on n - 1 before it."""
    language: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Which language: every number is another table, the same in all splits and for all seeds of a corpus."""
    summary: ClassVar = "A sequence in which each token is drawn by a random table over the tokens before it."

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.vocabulary.size**self.gram_count > MOST_ENTRIES:
            most = int(MOST_ENTRIES ** (1 / self.gram_count) + 1e-9)
            raise ValueError(
                f"gram_count: a table of {self.vocabulary.size}^{self.gram_count} probabilities is too large; lower "
                f"gram_count, or vocabulary.size to {most}"
            )
        return self

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream; all of each is learnt."""
        offsets = offsets_of(self.lengths(key, indices))
        tokens = np.empty(offsets[-1], np.uint32)
        thresholds, aliases = self._tables
        shape = self.length.min, self.length.max, self.gram_count
        _ngrams(*key, indices, offsets, tokens, self.vocabulary.table, thresholds, aliases, *shape)
        return with_loss(tokens, offsets)

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray]:
        """The language as alias tables: thresholds (uint64) and aliases (int64), shaped as its weights."""
        return _alias_tables(language_weights(self.vocabulary, self.gram_count, self.language))

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have."""
        return drawn_lengths(*key, indices, self.length.min, self.length.max)


def language_weights(vocabulary: Vocabulary, gram_count: int, language: int) -> np.ndarray:
    """Return the table of a language before it is normalised, as float64 (size^(gram_count - 1), size).

    Row r is for the context t0 … tk (the last token comes last) with r = (t0 · size + …) · size + tk.
    """
    key = halves(stream_key("ngram", language, vocabulary.size, gram_count))
    weights = vocabulary.table.weights
    return _language_weights(*key, vocabulary.size ** (gram_count - 1), vocabulary.size, weights)


@kernel
def _language_weights(key_low, key_high, contexts, size, weights):
    state, table = np.empty(4, np.uint64), np.empty((contexts, size))
    for row in range(contexts):
        seed(state, key_low, key_high, row, 0)
        for token in range(size):
            table[row, token] = uniform(state)
            if len(weights) > 0:
                table[row, token] *= weights[token]
    return table


@kernel
def _alias_tables(weights):
    contexts, size = weights.shape
    thresholds, aliases = np.empty((contexts, size), np.uint64), np.empty((contexts, size), np.int64)
    shares, slots = np.empty(size), np.empty(size, np.int64)
    for row in range(contexts):
        fill_alias(weights[row], thresholds[row], aliases[row], shares, slots)
    return thresholds, aliases


@kernel
def _ngrams(key_low, key_high, indices, offsets, tokens, table, thresholds, aliases, least, most, gram_count):
    state, contexts = np.empty(4, np.uint64), len(aliases)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        length = between(state, least, most)
        row = tokens[offsets[i] : offsets[i + 1]]
        context = 0
        for j in range(length):
            if j < gram_count - 1:
                token = draw(state, table)
            else:
                token = draw_alias(state, thresholds[context], aliases[context])
            row[j] = token
            context = (context * table.size + token) % contexts
    # The remainder forgets the oldest token: `contexts` is the size to the power of gram_count - 1.


DOMAINS = (NGram,)
