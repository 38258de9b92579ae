"""RoBERTa (Liu et al., arXiv 1907.11692), stock: what is published loads with transformers alone, with no trust."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hubkit.errors import UserError
from hubkit.specs import Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast, RobertaForMaskedLM


class RobertaShape(Spec):
    """What the specs of RoBERTa and its kin have in common."""

    hidden_size: Annotated[int, Field(gt=0)] = 720
    intermediate_size: Annotated[int, Field(gt=0)] = 2880
    num_hidden_layers: Annotated[int, Field(gt=0)] = 12
    num_attention_heads: Annotated[int, Field(gt=0)] = 6
    hidden_act: Literal["gelu", "relu", "silu", "gelu_new"] = "gelu"
    hidden_dropout_prob: Annotated[float, Field(ge=0, lt=1)] = 0.1
    attention_probs_dropout_prob: Annotated[float, Field(ge=0, lt=1)] = 0.1
    initializer_range: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the fresh weights; narrow models learn sooner with about 1/√hidden_size."""
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

    def fields(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> dict[str, Any]:
        """Return the fields of the config.

        Args:
            tokenizer: Gives vocabulary size and special ids.
            longest: Tokens of the longest sequence in the data.

        Raises:
            UserError: `max_length` is set and the data has longer sequences.
        """
        if self.max_length is not None and longest > self.max_length:
            raise UserError(
                f"model.max_length: {self.max_length} is less than the longest sequence of the data, {longest} tokens; "
                "raise it, or leave it out to derive it"
            )
        special: dict[str, Any] = {
            name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")
        }
        return {
            **self.model_dump(exclude={"architecture", "max_length"}),
            **special,
            "vocab_size": len(tokenizer),
            # RoBERTa counts positions from pad_token_id + 1, whatever that id is.
            "max_position_embeddings": (self.max_length or longest) + special["pad_token_id"] + 1,
            "type_vocab_size": 1,
        }


class RobertaSpec(RobertaShape):
    """The shape of a RoBERTa masked language model."""

    architecture: Literal["roberta"] = "roberta"
    kind: ClassVar[Literal["masked"]] = "masked"

    def make(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> "RobertaForMaskedLM":
        """Return a model with fresh weights, drawn from torch's generator.

        Args:
            tokenizer: Gives vocabulary size and padding id.
            longest: Tokens of the longest sequence in the data.

        Raises:
            UserError: `max_length` is set and the data has longer sequences.
        """
        from transformers import RobertaConfig, RobertaForMaskedLM

        return RobertaForMaskedLM(RobertaConfig(**self.fields(tokenizer, longest)))
