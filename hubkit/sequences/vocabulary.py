"""The tokens that a domain draws from: how many, how likely each, drawn with replacement or without."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from numba import njit
from pydantic import Field, field_validator, model_validator

from hubkit.draws import below, high_product, uniform, word
from hubkit.elementary import exp, log
from hubkit.kernels import kernel
from hubkit.specs import Spec, read_yaml

MOST_TOKENS = 2**24
"""The largest vocabulary; its tables then take some 400 MB."""

_PATIENCE = 8
"""So many rejected draws a token of the vocabulary, and the rest is drawn by keys instead."""


class Uniform(Spec):
    """Every token is as likely."""

    kind: Literal["uniform"] = "uniform"


class Zipf(Spec):
    """The token of rank r (from 0 on) has a probability in proportion to 1 / (r + 1 + beta)^alpha.

    Mandelbrot's form of Zipf's law; with alpha = 1 and beta = 2.7 it follows the words of English.
    """

    kind: Literal["zipf"] = "zipf"
    alpha: Annotated[float, Field(ge=0, le=10)] = 1.0
    beta: Annotated[float, Field(ge=0, le=1e6)] = 2.7


class Counts(Spec):
    """Token i is as likely as its count says, such as that of a word in a text; one of count 0 never occurs."""

    kind: Literal["counts"] = "counts"
    counts: Annotated[tuple[Annotated[float, Field(ge=0, le=1e15)], ...], Field(min_length=1)]
    """The counts; a file of them (a JSON list, or one a line, in the line's last column) is read into the spec."""

    @field_validator("counts", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        return read_counts(Path(value)) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not any(self.counts):
            raise ValueError("counts: all of them are 0, so no token can be drawn; give at least one above 0")
        return self


def read_counts(path: Path) -> tuple[float, ...]:
    """Read counts from a file: a JSON list, or one a line, which may follow other columns (``the 1061396``).

    Raises:
        ValueError: The file can't be read, or a line ends in no number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise ValueError(f"counts: can't read {path}: {error.strerror}") from None
    if text.startswith("["):
        return tuple(read_yaml(text))
    counts = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            counts.append(float(line.split()[-1]))
        except (ValueError, IndexError):
            raise ValueError(f"counts: line {number} of {path} ends in no number; mend it or leave it out") from None
    return tuple(counts)


class Table(NamedTuple):
    """A distribution over the ids 0 to size - 1 as compiled loops take it; of a uniform one the arrays are empty."""

    size: int
    weights: np.ndarray
    """float64 (size,): what the probabilities are in proportion to."""
    thresholds: np.ndarray
    """uint64 (size,): slot i of the alias table keeps i where a random word is below this."""
    aliases: np.ndarray
    """int64 (size,): and gives this where it isn't."""


class Vocabulary(Spec):
    """Content tokens 0 to size - 1; a plain number stands for a uniform vocabulary of that size."""

    size: Annotated[int, Field(ge=1, le=MOST_TOKENS)] = 500
    """How many tokens; with counts it is their number."""
    distribution: Annotated[Uniform | Zipf | Counts, Field(discriminator="kind")] = Uniform()
    """``uniform``, ``zipf`` or ``{kind: zipf, alpha: 1, beta: 2.7}``, or ``{kind: counts, counts: …}``."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        if isinstance(values, int) and not isinstance(values, bool):
            return {"size": values}
        if isinstance(values, Vocabulary):
            return values
        if not isinstance(values, Mapping):
            raise ValueError("a number of tokens is needed, or {size: 500, distribution: zipf}")
        distribution = values.get("distribution")
        if isinstance(distribution, str):
            return {**values, "distribution": {"kind": distribution}}
        if isinstance(distribution, Mapping) and "counts" in distribution and "size" not in values:
            distribution = Counts.model_validate({"kind": "counts", **distribution})
        if isinstance(distribution, Counts) and "size" not in values:
            return {**values, "distribution": distribution, "size": len(distribution.counts)}
        return values

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if isinstance(self.distribution, Counts) and len(self.distribution.counts) != self.size:
            raise ValueError(
                f"size: {self.size} tokens have {len(self.distribution.counts)} counts; "
                "leave size out, or make them equal"
            )
        return self

    @property
    def distinct(self) -> int:
        """How many tokens can occur: the longest sequence without replacement."""
        if isinstance(self.distribution, Counts):
            return sum(count > 0 for count in self.distribution.counts)
        return self.size

    @cached_property
    def table(self) -> Table:
        """The distribution as loops take it."""
        if isinstance(self.distribution, Uniform):
            return Table(self.size, np.empty(0), np.empty(0, np.uint64), np.empty(0, np.int64))
        if isinstance(self.distribution, Zipf):
            weights = zipf_weights(self.size, self.distribution.alpha, self.distribution.beta)
        else:
            weights = np.array(self.distribution.counts, np.float64)
        return Table(self.size, weights, *alias_table(weights))

    def pool(self) -> np.ndarray:
        """Return what :func:`draw_distinct` works in: the ids in order, as uint32 of shape (size,)."""
        return np.arange(self.size, dtype=np.uint32)


@kernel
def zipf_weights(size, alpha, beta):
    """Return 1 / (rank + 1 + beta)^alpha of the ranks 0 to `size` - 1, as float64 of shape (size,)."""
    weights = np.empty(size)
    for rank in range(size):
        weights[rank] = exp(-alpha * log(rank + 1.0 + beta))
    return weights


@kernel
def alias_table(weights):
    """Return thresholds (uint64) and aliases (int64), each of shape (n,), for weights (float64, not all 0).

    Walker's alias method in the form of Vose, "A linear algorithm for generating random numbers with a given
    distribution", IEEE Transactions on Software Engineering 17, 1991.
    """
    thresholds, aliases = np.empty(len(weights), np.uint64), np.empty(len(weights), np.int64)
    fill_alias(weights, thresholds, aliases, np.empty(len(weights)), np.empty(len(weights), np.int64))
    return thresholds, aliases


@njit
def fill_alias(weights, thresholds, aliases, shares, slots):
    """Make an alias table in arrays that are there; `shares` (float64) and `slots` (int64), (n,) each, are scratch."""
    size, total = len(weights), 0.0
    for i in range(size):
        total += weights[i]
    small, large = 0, size  # the slots with too little lie at the front, the others at the back
    heaviest = 0
    for i in range(size):
        shares[i] = weights[i] / total * size
        heaviest = i if weights[i] > weights[heaviest] else heaviest
        if shares[i] < 1.0:
            slots[small] = i
            small += 1
        else:
            large -= 1
            slots[large] = i
    while small > 0 and large < size:
        small -= 1
        i, j = slots[small], slots[large]
        thresholds[i], aliases[i] = np.uint64(shares[i] * 18446744073709551616.0), j
        shares[j] -= 1.0 - shares[i]
        if shares[j] < 1.0:
            large += 1
            slots[small] = j
            small += 1
    # What is left is full but for rounding. One of weight 0 must not occur even so.
    for rest in range(large, size):
        thresholds[slots[rest]], aliases[slots[rest]] = np.uint64(0xFFFFFFFFFFFFFFFF), slots[rest]
    for rest in range(small):
        i = slots[rest]
        aliases[i] = i if weights[i] > 0.0 else heaviest
        thresholds[i] = np.uint64(0)


@njit
def draw_alias(state, thresholds, aliases):
    """Return an id (int64) from an alias table; one random word gives both the slot and what is compared in it."""
    size, draw = np.uint64(len(aliases)), word(state)
    slot = np.int64(high_product(draw, size))
    return slot if draw * size < thresholds[slot] else aliases[slot]


@njit(inline="always")  # or else each draw counts references to the table's arrays, which takes ten times as long
def draw(state, table):
    """Return an id (int64) drawn from a :class:`Table`."""
    if len(table.aliases) == 0:
        return below(state, table.size)
    return draw_alias(state, table.thresholds, table.aliases)


@njit
def draw_many(state, table, out):
    """Fill `out` (uint32) with independent draws from a :class:`Table`."""
    for i in range(len(out)):
        out[i] = draw(state, table)


@njit
def draw_distinct(state, table, pool, out):
    """Fill `out` (uint32) with different ids, each drawn in proportion to its weight among those that are left.

    Args:
        state: The generator.
        table: The distribution; at least `len(out)` ids must have a weight.
        pool: The ids in order (:meth:`Vocabulary.pool`), uint32 of shape (size,); left as it was.
        out: Filled in the order of the draws.
    """
    if len(table.aliases) > 0:
        _draw_distinct_weighted(state, table, pool, out)
    else:
        for i in range(len(out)):  # Fisher and Yates, broken off
            j = i + below(state, table.size - i)
            out[i] = pool[j]
            pool[j] = pool[i]
    # Only places below len(out) and those of ids that were drawn can have changed.
    for i in range(len(out)):
        pool[out[i]] = out[i]
        pool[i] = i


@njit
def _draw_distinct_weighted(state, table, pool, out):
    """Draw until an id is new; when that takes too long, give the ids that are left keys and take the smallest.

    Both are the same distribution, whenever one goes over to the other (Efraimidis and Spirakis, "Weighted random
    sampling with a reservoir", Information Processing Letters 97, 2006). In `pool`, an id that was drawn is `size`.
    """
    done, rejected = 0, 0
    while done < len(out) and rejected <= _PATIENCE * table.size:
        token = draw_alias(state, table.thresholds, table.aliases)
        if pool[token] == token:
            pool[token] = table.size
            out[done] = token
            done += 1
        else:
            rejected += 1
    if done < len(out):
        keys = np.full(table.size, np.inf)
        for token in range(table.size):
            if pool[token] == token and table.weights[token] > 0.0:
                keys[token] = -log(uniform(state)) / table.weights[token]
        order = np.argsort(keys)
        for i in range(done, len(out)):
            out[i] = order[i - done]


@njit
def draw_sequence(state, table, pool, replacement, out):
    """Fill `out` (uint32) with ids, with replacement or without (see :func:`draw_distinct`)."""
    if replacement:
        draw_many(state, table, out)
    else:
        draw_distinct(state, table, pool, out)
