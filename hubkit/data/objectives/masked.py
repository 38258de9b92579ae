"""Masked language modelling: some tokens are hidden and asked for."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.batching import padded
from hubkit.data.objectives.base import IGNORED
from hubkit.data.objectives.whole_numbers import number_parts, number_starts
from hubkit.data.tokens import Framing, Sample
from hubkit.errors import UserError
from hubkit.randomness import Randoms
from hubkit.specs import Spec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


class FocusSpec(Spec):
    """Tokens that are asked for more or less often than others: some that follow a key, such as a list's numbers."""

    after: str
    """The key: a token of the vocabulary."""
    skip: Annotated[int, Field(ge=0)] = 0
    """How many tokens after the key are left alone, such as the bracket that opens a list."""
    tokens: Annotated[int, Field(gt=0)]
    """How many tokens from there on, at each occurrence of the key."""
    probability: Annotated[float, Field(gt=0, le=1)]
    """Share of them that are asked for."""


def check_asked(probability: float, focus: Sequence[FocusSpec]) -> None:
    """Refuse an objective that asks for nothing.

    Raises:
        ValueError: The probability is 0, and no focus says what is asked for instead.
    """
    if probability == 0 and not focus:
        raise ValueError("probability: 0 asks for nothing where there is no focus; raise it, or give a focus")


class MaskedSpec(Spec):
    """Masked language modelling (Devlin et al., arXiv 1810.04805): some tokens are hidden and asked for."""

    name: Literal["masked"] = "masked"
    kind: ClassVar[Literal["masked"]] = "masked"
    extra_tokens: ClassVar[tuple[str, ...]] = ()
    probability: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the tokens that are asked for; special tokens never are. 0 asks for what `focus` names alone."""
    mask_share: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of the asked tokens that become the mask token."""
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the asked tokens that become any ordinary token; what remains is left as it is."""
    whole_numbers: bool = False
    """A number of several tokens is hidden and asked for as a whole or not at all."""
    focus: tuple[FocusSpec, ...] = ()
    """Where to ask with another probability; of two that overlap, the later one counts."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        check_asked(self.probability, self.focus)
        if self.mask_share + self.random_share > 1:
            raise ValueError(
                f"mask_share {self.mask_share} and random_share {self.random_share} sum to more than 1; lower one"
            )
        return self

    def make(self, tokenizer: "PreTrainedTokenizerFast") -> "Masking":
        """Return what makes batches for a tokenizer.

        Raises:
            UserError: The tokenizer lacks a mask or padding token, or a token that `focus` names.
        """
        return Masking(self, tokenizer)

    def recorded(self, tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
        """Return what a model's config says of the objective: nothing."""
        return {}


class Masking:
    """Masked language modelling over one vocabulary."""

    framing = Framing()
    more = 0

    def __init__(self, spec: MaskedSpec, tokenizer: "PreTrainedTokenizerFast"):
        mask_id, pad_id = tokenizer.mask_token_id, tokenizer.pad_token_id
        if not isinstance(mask_id, int) or not isinstance(pad_id, int):
            raise UserError("objective.name: masked needs a tokenizer with a mask token and a padding token")
        vocabulary = tokenizer.get_vocab()
        for focus in spec.focus:
            if focus.after not in vocabulary:
                raise UserError(
                    f"objective.focus.after: {focus.after!r} is not a token of the vocabulary; name one that it has"
                )
        self.spec, self.mask_id, self.pad_id = spec, mask_id, pad_id
        self._focus = [(vocabulary[focus.after], focus) for focus in spec.focus]
        self._parts = number_parts(vocabulary) if spec.whole_numbers else None
        # By id: may it be asked for? A hidden end of text teaches nothing, and a random padding token inside a row
        # would shift the positions of all that follow, because RoBERTa counts only what is not padding.
        self._ordinary = np.ones(len(tokenizer), dtype=bool)
        self._ordinary[tokenizer.all_special_ids] = False
        self._noise = np.flatnonzero(self._ordinary)

    def batch(self, samples: Sequence[Sample], randoms: Randoms) -> "dict[str, torch.Tensor]":
        """Return a padded batch.

        Args:
            samples: None of them empty.
            randoms: Those of each sample, which alone decide what is asked of it: neither the padding nor the other
                rows do, so that a row is asked the same whatever batch and process it is in.

        Returns:
            `input_ids` and `labels`, and `attention_mask` if there is padding: each int64 of shape (rows, longest row).
            Labels are `IGNORED` where nothing is asked. Every row is asked for at least one token.
        """
        import torch

        rows = [sample.ids for sample in samples]
        ids, present = padded(rows, self.pad_id)
        lengths = [len(row) for row in rows]
        draws = randoms.uniforms([3 * length for length in lengths]).reshape(-1, 3)
        chance = np.ones(ids.shape)
        chance[present] = draws[:, 0]
        starts = None if self._parts is None else number_starts(ids, self._parts)
        asked = self._asked(ids, present, chance, starts)
        seen, labels = ids.copy(), np.full(ids.shape, IGNORED)
        labels[asked] = ids[asked]
        row, place = np.nonzero(asked)
        first = np.cumsum([0, *lengths[:-1]])[row]  # draw of the row's first token
        fate = draws[first + (place if starts is None else starts[row, place]), 1]
        masked = fate < self.spec.mask_share
        replaced = ~masked & (fate < self.spec.mask_share + self.spec.random_share)
        noise = draws[(first + place)[replaced], 2]
        seen[row[masked], place[masked]] = self.mask_id
        seen[row[replaced], place[replaced]] = self._noise[(noise * len(self._noise)).astype(np.int64)]
        batch = {"input_ids": torch.from_numpy(seen), "labels": torch.from_numpy(labels)}
        # A mask that hides nothing would keep a compiled model from the attention kernels that take none.
        return batch if present.all() else batch | {"attention_mask": torch.from_numpy(present.astype(np.int64))}

    def _asked(self, ids: np.ndarray, present: np.ndarray, chance: np.ndarray, starts: np.ndarray | None) -> np.ndarray:
        """Return where tokens are asked for: bool of the shape of `ids` (rows, longest), as are the arguments.

        Args:
            ids: Of the tokens.
            present: Where tokens are.
            chance: Drawn for each token.
            starts: Where the number begins that a token is part of, whose tokens share the lot of its first; None is
                each token for itself.
        """
        probability: Any = self.spec.probability
        if self._focus:
            probability = np.full(ids.shape, self.spec.probability)
        for key, focus in self._focus:
            for row, place in np.argwhere(ids == key):
                begin = place + 1 + focus.skip
                probability[row, begin : begin + focus.tokens] = focus.probability
        if starts is not None:
            chance = np.take_along_axis(chance, starts, 1)
        candidates = present & self._ordinary[ids]
        asked = candidates & (chance < probability)
        empty = np.flatnonzero(~asked.any(axis=1))
        if len(empty):
            # Of a row that chance asks nothing of, the luckiest token is asked, so that no short row leaves the loss
            # empty: of those that may be asked for; else of the ordinary ones; else it is a special one.
            likely = candidates & (probability > 0)
            there, lot = present[empty], chance[empty]
            order = np.where(candidates[empty], np.where(likely[empty], lot, 1 + lot), np.where(there, 2 + lot, np.inf))
            asked[empty, order.argmin(axis=1)] = True
        return asked if starts is None else np.take_along_axis(asked, starts, 1)
