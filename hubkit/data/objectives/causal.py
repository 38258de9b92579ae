"""Causal language modelling: each token is predicted from those before it, in reading order or another.

The one place where a direction is applied to training data; how a model generates by it stands in
:mod:`hubkit.models.directed_generation`, which travels with the model.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.data.objectives.base import IGNORED
from hubkit.data.tokens import Framing, Sample
from hubkit.errors import UserError
from hubkit.randomness import Randoms
from hubkit.specs import Spec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

DIRECTION_TOKENS = {"forward": "<|forward|>", "backward": "<|backward|>"}
"""What a sequence begins with where one model learns both directions."""


class CausalSpec(Spec):
    """Predict the next token; backward, the one before (Papadopoulos et al., arXiv 2401.17505)."""

    name: Literal["causal"] = "causal"
    kind: ClassVar[Literal["causal"]] = "causal"
    direction: Literal["forward", "backward", "both", "permuted"] = "forward"
    """`backward` turns each sequence. `both` turns each with probability a half, and a token in front says which way it
    runs. `permuted` reads the tokens of each window in one fixed order."""
    permutation: tuple[Annotated[int, Field(ge=0)], ...] | None = None
    """Of `permuted`: the place in the window that each step reads, such as [0, 2, 1]."""
    learn: Literal["all", "marked"] = "all"
    """`marked`: only the tokens in the ranges of the column `loss`; the others are read and not predicted."""
    learn_after: str | None = None
    """Only the tokens that follow the first of this token in a row, such as a separator: what stands before it is a
    prefix that is read and not predicted."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.permutation is not None) != (self.direction == "permuted"):
            raise ValueError("permutation goes with direction permuted, and only with it; give both, or leave it out")
        if self.permutation is not None and sorted(self.permutation) != list(range(len(self.permutation))):
            raise ValueError(
                f"permutation: its {len(self.permutation)} places are not 0 to {len(self.permutation) - 1}, each once"
            )
        if self.learn == "marked" and self.learn_after is not None:
            raise ValueError("learn_after: learn is marked, and only one of them can say what is learnt; leave one out")
        return self

    @property
    def extra_tokens(self) -> tuple[str, ...]:
        """Tokens that the tokenizer must get for this objective."""
        return tuple(DIRECTION_TOKENS.values()) if self.direction == "both" else ()

    def make(self, tokenizer: "PreTrainedTokenizerFast") -> "Causal":
        """Return what makes batches for a tokenizer.

        Raises:
            UserError: The tokenizer lacks the token that `learn_after` names.
        """
        return Causal(self, tokenizer)

    def recorded(self, tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
        """Return what a model's config says of its direction."""
        facts: dict[str, Any] = {"direction": self.direction}
        if self.direction == "both":
            vocabulary = tokenizer.get_vocab()
            facts["direction_tokens"] = {name: vocabulary[token] for name, token in DIRECTION_TOKENS.items()}
        if self.permutation is not None:
            facts["permutation"] = list(self.permutation)
        return facts


class Causal:
    """Causal language modelling over one vocabulary."""

    def __init__(self, spec: CausalSpec, tokenizer: "PreTrainedTokenizerFast"):
        from hubkit.models.directed_generation import turned

        vocabulary = tokenizer.get_vocab()
        if spec.learn_after is not None and spec.learn_after not in vocabulary:
            raise UserError(
                f"objective.learn_after: {spec.learn_after!r} is not a token of the vocabulary; name one that it has"
            )
        self.spec, self._turned = spec, turned
        self._begin, end = _id(tokenizer, "bos"), _id(tokenizer, "eos")
        # The token in front of what is read forward, and of what is read backward.
        self._firsts = None if self._begin is None else np.full(2, self._begin)
        if spec.direction == "both":
            self._firsts = np.array([vocabulary[DIRECTION_TOKENS[way]] for way in ("forward", "backward")])
        # Padding is never asked for and stands behind all that is, so any token may stand there.
        self._pad = next((id for id in (_id(tokenizer, "pad"), end, self._begin) if id is not None), 0)
        self._order = None if spec.permutation is None else np.array(spec.permutation)
        after = None if spec.learn_after is None else vocabulary[spec.learn_after]
        self.framing = Framing(end=end, after=after, marked=spec.learn == "marked")
        self.more = 1 if self._firsts is None else 0

    def batch(self, samples: Sequence[Sample], randoms: Randoms) -> "dict[str, torch.Tensor]":
        """Return a batch; rows of several lengths are padded at the end.

        Args:
            samples: All of them whole rows, or all windows of one length.
            randoms: Those of each sample; used where one model learns both directions.

        Returns:
            `input_ids`; `labels` and `shift_labels`, the same tensor: the token that follows each input, or `IGNORED`;
            `position_ids`, where documents are kept apart: they begin again with each. All int64 of shape
            (samples, longest).

        Raises:
            UserError: The permutation has another length than the windows, or is to keep documents apart.
        """
        if self.spec.direction == "both":
            return self.read(samples, randoms.uniforms([1] * len(samples)) < 0.5)
        return self.read(samples, np.full(len(samples), self.spec.direction == "backward"))

    def read(self, samples: Sequence[Sample], backward: np.ndarray) -> "dict[str, torch.Tensor]":
        """Return the batch of :meth:`batch`, told which samples are read backward: bool (samples,)."""
        import torch

        ids, learnt = (self._rows if samples[0].whole else self._windows)(samples, backward)
        labels = (ids[:, 1:] if self._firsts is None else ids).astype(np.int64, order="C")
        inputs = np.empty_like(labels)
        if self._firsts is None:
            inputs[:] = ids[:, :-1]
        else:
            inputs[:, 0], inputs[:, 1:] = self._firsts[backward.astype(int)], ids[:, :-1]
        if learnt is not None:
            labels[learnt[:, -labels.shape[1] :] == 0] = IGNORED
        batch = {"input_ids": torch.from_numpy(inputs)}
        if samples[0].breaks is not None:
            begins = _begins(samples, backward)
            labels[begins[:, -labels.shape[1] :]] = IGNORED
            seen = begins[:, :-1]
            if self._firsts is not None:  # what is in front belongs to the first document
                seen = np.insert(seen, 0, False, axis=1)
            batch["position_ids"] = torch.from_numpy(_positions(seen))
        asked = torch.from_numpy(labels)
        return batch | {"labels": asked, "shift_labels": asked}

    def _windows(self, samples: Sequence[Sample], backward: np.ndarray) -> "_Columns":
        """Return windows as they are read."""
        columns = _Columns(
            np.array([sample.ids for sample in samples]),
            None if all(sample.learnt is None for sample in samples) else np.array([_learnt(s) for s in samples]),
        )
        if self._order is not None:
            if samples[0].breaks is not None:
                raise UserError("reading.isolate: a permutation mixes the documents of a window; set isolate to false")
            return self._permuted(columns, self._order)
        if backward.all():
            return columns.each(lambda column: self._turned(column, "backward"))
        if backward.any():
            return columns.each(lambda column: np.where(backward[:, None], self._turned(column, "backward"), column))
        return columns

    def _rows(self, samples: Sequence[Sample], backward: np.ndarray) -> "_Columns":
        """Return whole rows as they are read, padded; padding is not learnt."""
        if self._order is not None:
            raise UserError("reading.form: a permutation is of the places of a window; set form to windows")
        # A row may say itself that it begins; that stays in front, whichever way the rest is read.
        starts = [int(len(sample.ids) > 1 and sample.ids[0] == self._begin) for sample in samples]
        longest = max(len(sample.ids) - start for sample, start in zip(samples, starts, strict=True))
        ids = np.full((len(samples), longest), self._pad, np.int64)
        learnt = np.zeros((len(samples), longest), np.uint8)
        for row, (sample, start, turn) in enumerate(zip(samples, starts, backward.tolist(), strict=True)):
            way, length = "backward" if turn else "forward", len(sample.ids) - start
            ids[row, :length] = self._turned(sample.ids[start:], way)
            learnt[row, :length] = 1 if sample.learnt is None else self._turned(sample.learnt[start:], way)
        return _Columns(ids, learnt)

    def _permuted(self, columns: "_Columns", order: np.ndarray) -> "_Columns":
        tokens = columns.ids.shape[1]
        if len(order) != tokens:
            raise UserError(
                f"objective.permutation: it has {len(order)} places, and a window has {tokens} tokens; give a place "
                "for each of them"
            )
        return columns.each(lambda column: column[:, order])


class _Columns(NamedTuple):
    """Samples one below the other, each array of shape (samples, length)."""

    ids: np.ndarray
    learnt: np.ndarray | None
    """uint8."""

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> "_Columns":
        """Return the arrays that there are, each changed in the same way."""
        return _Columns(*(column if column is None else change(column) for column in self))  # pyright: ignore


def _learnt(sample: Sample) -> np.ndarray:
    """Return what of a sample is learnt, uint8 (tokens,): in a mixture some sources are marked and others not."""
    return np.ones(len(sample.ids), np.uint8) if sample.learnt is None else sample.learnt


def _begins(samples: Sequence[Sample], backward: np.ndarray) -> np.ndarray:
    """Return where, in the order of reading, windows go over to another document: bool (samples, length)."""
    length, breaks = len(samples[0].ids), [sample.breaks for sample in samples if sample.breaks is not None]
    rows, places = np.repeat(np.arange(len(samples)), [len(each) for each in breaks]), np.concatenate(breaks)
    begins = np.zeros((len(samples), length), bool)
    # Read backward, the first token of another document is the one before the break.
    begins[rows, np.where(backward[rows], length - places, places)] = True
    return begins


def _positions(begins: np.ndarray) -> np.ndarray:
    """Return positions that begin at 0 with each row, and again where `begins` says: int64 of its shape."""
    begins = begins.copy()
    begins[:, 0] = True
    starts = np.flatnonzero(begins)  # counted through all rows
    lengths = np.diff(starts, append=begins.size)
    return (np.arange(begins.size) - np.repeat(starts, lengths)).reshape(begins.shape)


def _id(tokenizer: "PreTrainedTokenizerFast", name: str) -> int | None:
    """Return the id of a special token, or None where the tokenizer has none."""
    found = getattr(tokenizer, f"{name}_token_id")
    return found if isinstance(found, int) else None
