"""What a domain is: parameters that make sequence *i* from a key, in ids of its own."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from hubkit.sequences.vocabulary import Vocabulary
from hubkit.specs import Spec

MOST_LENGTH = 2**20
"""The longest part of a sequence that a domain makes, in tokens."""

_MEASURED = 1024  # sequences that are made at once where only their lengths are asked for


class Range(Spec):
    """A whole number from `min` to `max`, both included, each as likely; a plain number stands for both ends."""

    min: Annotated[int, Field(ge=0, le=MOST_LENGTH)]
    max: Annotated[int, Field(ge=0, le=MOST_LENGTH)]

    @model_validator(mode="before")
    @classmethod
    def _number(cls, values: Any) -> Any:
        if isinstance(values, int) and not isinstance(values, bool):
            return {"min": values, "max": values}
        if not isinstance(values, Mapping | Range):
            raise ValueError("a whole number is needed, or two of them: {min: 1, max: 100}")
        return values

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min: {self.min} is above max ({self.max}); swap them")
        return self


def _positive(range: Range) -> Range:
    if range.min < 1:
        raise ValueError(f"min: {range.min} allows an empty sequence; set it to 1 or more")
    return range


Length = Annotated[Range, AfterValidator(_positive)]
"""A range of at least 1."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, or a probability."""
Key = tuple[np.uint64, np.uint64]
"""A stream's key as compiled loops take it (:func:`hubkit.draws.halves`)."""


class Sequences(NamedTuple):
    """Some sequences of one domain, one after the other in flat arrays."""

    tokens: np.ndarray
    """uint32 (total,): local ids, content below `content` and markers from there on."""
    offsets: np.ndarray
    """int64 (n + 1,): where each sequence begins in `tokens`."""
    loss: np.ndarray
    """int32 (2 · pairs,): [start, end) of the parts to learn, counted from the start of their sequence."""
    loss_offsets: np.ndarray
    """int64 (n + 1,): where each sequence's pairs begin in `loss`. Always even; a sequence has at least one pair."""

    def __len__(self) -> int:
        """How many sequences there are."""
        return len(self.offsets) - 1

    def sequence(self, i: int) -> np.ndarray:
        """Return the tokens of one sequence."""
        return self.tokens[self.offsets[i] : self.offsets[i + 1]]

    def ranges(self, i: int) -> list[tuple[int, int]]:
        """Return the parts of one sequence that are learnt."""
        flat = self.loss[self.loss_offsets[i] : self.loss_offsets[i + 1]].tolist()
        return list(zip(flat[::2], flat[1::2], strict=True))


def with_loss(tokens: np.ndarray, offsets: np.ndarray, starts: np.ndarray | None = None) -> Sequences:
    """Return sequences that are learnt from `starts` (n,) to their ends; from their beginnings where it is None."""
    lengths = np.diff(offsets)
    loss = np.zeros((len(lengths), 2), np.int32)
    loss[:, 0] = 0 if starts is None else starts
    loss[:, 1] = lengths
    return Sequences(tokens, offsets, loss.ravel(), np.arange(len(offsets), dtype=np.int64) * 2)


class BaseDomain(Spec):
    """One kind of sequence with its parameters. Subclasses give `domain` a literal and implement :meth:`generate`."""

    domain: str
    """Which kind: the discriminator of the union of all."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", max_length=100)] | None = None
    """What rows call it, and what its random numbers hang on; None takes the kind's name."""
    ratio: Annotated[float, Field(ge=0, le=1e9)] = 1.0
    """Its share of the tokens, in proportion to the ratios of the others."""

    markers: ClassVar[tuple[str, ...]] = ()
    """Names of its structural tokens: marker j has the local id `content` + j."""
    summary: ClassVar[str]
    """What a sequence is, in one sentence for the gallery and the card."""

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        """Take a bare name, such as ``identity``, for the domain with its defaults."""
        return {"domain": values} if isinstance(values, str) else values

    @property
    def content(self) -> int:
        """How many content ids there are: 0 to `content` - 1."""
        raise NotImplementedError

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return sequences of the stream `key`; each is a pure function of (parameters, key, its index).

        Args:
            key: The stream.
            indices: uint64 (n,): which sequences, in any order.
        """
        raise NotImplementedError

    def lengths(self, key: Key, indices: np.ndarray) -> np.ndarray:
        """Return how many tokens these sequences have, as int64 (n,); override it where that is cheaper than they."""
        parts = [indices[start : start + _MEASURED] for start in range(0, len(indices), _MEASURED)]
        return np.concatenate([np.diff(self.generate(key, part).offsets) for part in parts])


class Domain(BaseDomain):
    """A domain whose content is a vocabulary."""

    vocabulary: Vocabulary = Vocabulary()
    """What its tokens are and how likely each is; a plain number stands for so many, each as likely."""

    @property
    def content(self) -> int:
        """How many content ids there are."""
        return self.vocabulary.size


def fits(length: Range, vocabulary: Vocabulary, field: str = "length") -> None:
    """Refuse a length that the vocabulary can't fill without replacement.

    Raises:
        ValueError: Names field and mend, for a validator to pass on.
    """
    if length.max > vocabulary.distinct:
        raise ValueError(
            f"{field}: {length.max} different tokens can't be drawn from a vocabulary of {vocabulary.distinct}; lower "
            f"{field}.max, raise vocabulary.size, or set replacement=true where the domain has it"
        )


def by_name(domains: tuple[type[BaseDomain], ...]) -> Mapping[str, type[BaseDomain]]:
    """Return domains by the value of their `domain` field."""
    return {domain.model_fields["domain"].default: domain for domain in domains}
