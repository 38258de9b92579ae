"""The shape of a numeric RoBERTa, as a recipe says it."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from hubkit.errors import UserError
from hubkit.models.roberta import RobertaShape

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM

_LAYOUT = "{}[],"
"""Tokens that say where a list or a number ends, which positions tell as well in rows of one shape."""


class NumericRobertaSpec(RobertaShape):
    """The shape of a RoBERTa that takes numbers as values."""

    architecture: Literal["numeric_roberta"] = "numeric_roberta"
    kind: ClassVar[Literal["numeric"]] = "numeric"
    value_scale: Annotated[float, Field(gt=0)] = 1.0
    """Up to about this size (in the units of the text) numbers are seen linearly, above it by their logarithm."""
    number_loss_weight: Annotated[float, Field(gt=0)] = 1.0
    """Of the squared error of an asked number, beside the cross-entropy of its token."""
    attend_layout: bool = True
    """Attend to braces, brackets and commas too, as xVal does. They outnumber the numbers; false leaves them out of
    attention."""

    def make(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> "NumericRobertaForMaskedLM":
        """Return a model with fresh weights, drawn from torch's generator; its code is published with it.

        Args:
            tokenizer: Gives vocabulary size, padding id and the number token.
            longest: Tokens of the longest sequence in the data.

        Raises:
            UserError: `max_length` is set and the data has longer sequences, or the tokenizer has no number token.
        """
        from hubkit.models.numeric_roberta.configuration_numeric_roberta import NumericRobertaConfig
        from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM
        from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers

        try:
            number_token_id = Numbers(tokenizer).token_id
        except ValueError:
            raise UserError(
                "tokenizer: it writes numbers digit by digit, and numeric_roberta needs one token for a number; use "
                "numeric-lorenz, or model.architecture=roberta"
            ) from None
        fields = self.fields(tokenizer, longest)
        config = NumericRobertaConfig(
            **fields, number_token_id=number_token_id, unattended_token_ids=self._unattended(tokenizer)
        )
        return NumericRobertaForMaskedLM(config)

    def fields(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> dict[str, Any]:
        """Return the fields of the config, as :meth:`RobertaShape.fields` does."""
        fields = super().fields(tokenizer, longest)
        del fields["attend_layout"]  # the config names the tokens themselves
        return fields

    def _unattended(self, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
        vocabulary = tokenizer.get_vocab()
        return [] if self.attend_layout else [vocabulary[token] for token in _LAYOUT if token in vocabulary]
