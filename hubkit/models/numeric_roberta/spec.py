"""The shape of a numeric RoBERTa, as a recipe says it."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hubkit.errors import UserError
from hubkit.specs import Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM


class NumericRobertaSpec(Spec):
    """The shape of a RoBERTa that takes numbers as values."""

    kind: ClassVar[Literal["numeric"]] = "numeric"

    architecture: Literal["numeric_roberta"] = "numeric_roberta"
    hidden_size: Annotated[int, Field(gt=0)] = 720
    intermediate_size: Annotated[int, Field(gt=0)] = 2880
    num_hidden_layers: Annotated[int, Field(gt=0)] = 12
    num_attention_heads: Annotated[int, Field(gt=0)] = 6
    hidden_act: Literal["gelu", "relu", "silu", "gelu_new"] = "gelu"
    hidden_dropout_prob: Annotated[float, Field(ge=0, lt=1)] = 0.1
    attention_probs_dropout_prob: Annotated[float, Field(ge=0, lt=1)] = 0.1
    initializer_range: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the fresh weights; narrow models learn sooner with about 1/√hidden_size."""
    value_scale: Annotated[float, Field(gt=0)] = 1.0
    """Up to about this size (in the units of the text) numbers are seen linearly, above it by their logarithm."""
    number_loss_weight: Annotated[float, Field(gt=0)] = 1.0
    """Of the squared error of an asked number, beside the cross-entropy of its token."""
    max_length: Annotated[int, Field(gt=0)] | None = None
    """Longest sequence in tokens; None derives it from the data."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} is not a multiple of num_attention_heads "
                f"{self.num_attention_heads}; change one of them"
            )
        return self

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

        if self.max_length is not None and longest > self.max_length:
            raise UserError(
                f"model.max_length: {self.max_length} is less than the longest sequence of the data, {longest} tokens; "
                "raise it, or leave it out to derive it"
            )
        try:
            number_token_id = Numbers(tokenizer).token_id
        except ValueError:
            raise UserError(
                "tokenizer: it writes numbers digit by digit, and numeric_roberta needs one token for a number; use "
                "numeric-lorenz, or model.architecture=roberta"
            ) from None
        special: dict[str, Any] = {
            name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")
        }
        config = NumericRobertaConfig(
            **self.model_dump(exclude={"architecture", "max_length"}),
            **special,
            vocab_size=len(tokenizer),
            number_token_id=number_token_id,
            # RoBERTa counts positions from pad_token_id + 1, whatever that id is.
            max_position_embeddings=(self.max_length or longest) + special["pad_token_id"] + 1,
            type_vocab_size=1,
        )
        return NumericRobertaForMaskedLM(config)
