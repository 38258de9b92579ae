"""The objective of models that read numbers as numbers: hidden tokens are asked for, and of numbers their value too.

As in xVal (Golkar et al., arXiv 2310.02989), what is hidden is the mask token with the value 1.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.data.objectives.masked import FocusSpec, MaskedSpec, check_asked
from hubkit.data.tokens import Framing, Sample
from hubkit.errors import UserError
from hubkit.randomness import Randoms
from hubkit.specs import Spec
from hubkit.tokenizers.numeric import NUMBER

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


class NumericMaskedSpec(Spec):
    """Masked language modelling over tokens and values (xVal)."""

    name: Literal["numeric_masked"] = "numeric_masked"
    kind: ClassVar[Literal["numeric"]] = "numeric"
    extra_tokens: ClassVar[tuple[str, ...]] = ()
    probability: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the tokens that are asked for, a number being one token; special tokens never are. 0 asks for what
    `focus` names alone."""
    focus: tuple[FocusSpec, ...] = ()
    """Where to ask with another probability; of two that overlap, the later one counts."""

    @model_validator(mode="after")
    def _asks(self) -> Self:
        check_asked(self.probability, self.focus)
        return self

    def make(self, tokenizer: "PreTrainedTokenizerFast") -> "NumericMasking":
        """Return what makes batches for a tokenizer.

        Raises:
            UserError: The tokenizer has no number, mask or padding token, or none that `focus` names.
        """
        return NumericMasking(self, tokenizer)

    def recorded(self, tokenizer: "PreTrainedTokenizerFast") -> dict[str, Any]:
        """Return what a model's config says of the objective: nothing."""
        return {}


class NumericMasking:
    """Masked language modelling over one vocabulary whose numbers come with values."""

    framing = Framing(valued=True)
    more = 0

    def __init__(self, spec: NumericMaskedSpec, tokenizer: "PreTrainedTokenizerFast"):
        if NUMBER not in tokenizer.get_vocab():
            raise UserError(
                f"objective.name: numeric_masked needs a tokenizer with {NUMBER!r} for numbers; use "
                "tokenizer=numeric-lorenz, or objective.name=masked"
            )
        # Whatever is asked for is hidden: beside a number left to see, its value would be the answer.
        tokens = MaskedSpec(probability=spec.probability, mask_share=1.0, random_share=0.0, focus=spec.focus)
        self.spec, self._tokens = spec, tokens.make(tokenizer)
        self._number_id: int = tokenizer.get_vocab()[NUMBER]

    def batch(self, samples: Sequence[Sample], randoms: Randoms) -> "dict[str, torch.Tensor]":
        """Return a padded batch.

        Args:
            samples: With values, none of them empty.
            randoms: Those of each sample, which alone decide what is asked of it.

        Returns:
            Tensors (rows, longest row): `input_ids`, `labels` and, if there is padding, `attention_mask`, int64, those
            of the objective ``masked``; `values` float32, 1 where a token is hidden or no number stands;
            `value_labels` float32, the number where one is asked for and NaN elsewhere. Every row is asked for at least
            one token.
        """
        import torch

        made = self._tokens.batch(samples, randoms)
        values = np.ones(made["labels"].shape, np.float32)
        for row, sample in zip(values, samples, strict=True):
            assert sample.values is not None, "rows of a tokenizer with a number token come with values"
            row[: len(sample.values)] = sample.values
        asked = made["labels"].numpy() == self._number_id
        hidden = made["input_ids"].numpy() != self._number_id
        return made | {
            "values": torch.from_numpy(np.where(hidden, np.float32(1), values)),
            "value_labels": torch.from_numpy(np.where(asked, values, np.float32(np.nan))),
        }
