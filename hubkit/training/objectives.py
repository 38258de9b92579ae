"""What a model is asked to predict: turns rows of token ids into a batch with labels.

Another objective adds its spec to :data:`ObjectiveSpec` (a union that `name` tells apart) and nothing else.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.batching import padded
from hubkit.errors import UserError
from hubkit.specs import Spec

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
"""Label of a position that is not asked for (torch's cross-entropy skips it)."""


class FocusSpec(Spec):
    """Tokens that are asked for more often than others: those that follow a key, such as the numbers of a list."""

    after: str
    """The key: a token of the vocabulary."""
    tokens: Annotated[int, Field(gt=0)]
    """How many tokens after each occurrence of the key."""
    probability: Annotated[float, Field(gt=0, le=1)]
    """Share of them that are asked for."""


class MaskedSpec(Spec):
    """Masked language modelling (Devlin et al., arXiv 1810.04805): some tokens are hidden and asked for."""

    name: Literal["masked"] = "masked"
    probability: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Share of the tokens that are asked for."""
    mask_share: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Share of the asked tokens that become the mask token."""
    random_share: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Share of the asked tokens that become any token; what remains is left as it is."""

    focus: FocusSpec | None = None
    """Where to ask more often than `probability`."""

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.mask_share + self.random_share > 1:
            raise ValueError(f"mask_share {self.mask_share} and random_share {self.random_share} sum to more than 1")
        return self

    def batch(
        self, rows: Sequence[np.ndarray], tokenizer: "PreTrainedTokenizerFast", random: np.random.Generator
    ) -> "dict[str, torch.Tensor]":
        """Return a padded batch.

        Args:
            rows: Token ids, one integer array a row.
            tokenizer: Gives the ids of mask and padding, and the size of the vocabulary.
            random: Decides which tokens are asked for.

        Returns:
            `input_ids`, `attention_mask` and `labels`, each int64 of shape (rows, longest row); labels are `IGNORED`
            where nothing is asked. Every row is asked for at least one token.
        """
        import torch

        ids, present = padded(rows, tokenizer.pad_token_id)
        probability = self._probabilities(ids, tokenizer)
        draw = random.random(ids.shape)
        # The smallest draw of a row is always asked, so that no short row leaves the loss empty.
        lowest = np.where(present, draw, np.inf).argmin(axis=1)
        asked = present & (draw < probability)
        asked[np.arange(len(ids)), lowest] = True
        labels = np.where(asked, ids, IGNORED)
        fate = random.random(ids.shape)
        noise = random.integers(0, len(tokenizer), ids.shape)
        ids = np.where(asked & (fate < self.mask_share), tokenizer.mask_token_id, ids)
        randomised = asked & (fate >= self.mask_share) & (fate < self.mask_share + self.random_share)
        ids = np.where(randomised, noise, ids)
        return {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(present.astype(np.int64)),
            "labels": torch.from_numpy(labels),
        }

    def _probabilities(self, ids: np.ndarray, tokenizer: "PreTrainedTokenizerFast") -> np.ndarray | float:
        """Return how likely each position is asked for, of the shape of `ids` or one for all."""
        if self.focus is None:
            return self.probability
        key = tokenizer.get_vocab().get(self.focus.after)
        if key is None:
            raise UserError(f"objective.focus.after: {self.focus.after!r} is not a token of the vocabulary")
        probability = np.full(ids.shape, self.probability)
        for row, place in np.argwhere(ids == key):
            probability[row, place + 1 : place + 1 + self.focus.tokens] = self.focus.probability
        return probability


ObjectiveSpec = MaskedSpec
