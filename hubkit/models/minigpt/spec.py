"""MiniGPT in a recipe: a size by name, and any field beside it that shall be otherwise."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hubkit.errors import UserError
from hubkit.models.minigpt.sizes import SIZES, Size
from hubkit.specs import Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM

Positive = Annotated[int, Field(gt=0)]


class MiniGPTSpec(Spec):
    """The shape of a MiniGPT; the fields mean what they do in `MiniGPTConfig`."""

    architecture: Literal["minigpt"] = "minigpt"
    kind: ClassVar[Literal["causal"]] = "causal"
    size: Size = "nano"
    """Gives the fields that are not given beside it."""
    n_layer: Positive = 3
    n_head: Positive = 3
    n_embd: Positive = 48
    block_size: Positive | None = None
    """Longest sequence in tokens; None derives it from the data."""
    mlp: Literal["gelu", "gelu_exact", "relu", "swiglu"] = "gelu"
    mlp_hidden: Positive | None = None
    position: Literal["learned", "rope"] = "learned"
    rope_theta: Annotated[float, Field(gt=0)] = 10000.0
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_eps: Annotated[float, Field(gt=0)] = 1e-5
    tie_embeddings: bool = False
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    bias: bool = True
    qkv_bias: bool | None = None
    head_bias: bool = False
    initializer_range: Annotated[float, Field(gt=0)] = 0.02

    @model_validator(mode="before")
    @classmethod
    def _fields_of_the_size(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        size = values.get("size", cls.model_fields["size"].default)
        return {**SIZES.get(size, {}), **values} if isinstance(size, str) else values

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.n_embd % self.n_head:
            raise ValueError(
                f"n_embd {self.n_embd} is not a multiple of n_head {self.n_head}; change one of them"
            )  # fmt: skip
        if self.position == "rope" and (self.n_embd // self.n_head) % 2:
            raise ValueError(
                f"n_head {self.n_head} cuts n_embd {self.n_embd} into heads of {self.n_embd // self.n_head}, and rope "
                "turns pairs; make that even, or use learned positions"
            )
        return self

    def make(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> "MiniGPTForCausalLM":
        """Return a model with fresh weights, drawn from torch's generator.

        Args:
            tokenizer: Gives the size of the vocabulary and the special ids.
            longest: Tokens of the longest sequence that will be fed.

        Raises:
            UserError: `block_size` is set and less than `longest`.
        """
        from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
        from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM

        if self.block_size is not None and longest > self.block_size:
            raise UserError(
                f"model.block_size: {self.block_size} is less than the longest sequence of the data, {longest} tokens; "
                "raise it, or leave it out to derive it"
            )
        shape = self.model_dump(exclude={"architecture", "size", "block_size"})
        special = {name: getattr(tokenizer, name) for name in ("pad_token_id", "bos_token_id", "eos_token_id")}
        config = MiniGPTConfig(
            **shape, **special, vocab_size=len(tokenizer), block_size=self.block_size or max(longest, 1)
        )
        return MiniGPTForCausalLM(config)
