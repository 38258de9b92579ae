"""GPT-NeoX (Black et al., arXiv 2204.06745) at Pythia's sizes (Biderman et al., arXiv 2304.01373), stock.

What is published loads with transformers alone, with no trust.
"""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hubkit.errors import UserError
from hubkit.specs import Spec

if TYPE_CHECKING:
    from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

SIZES: dict[str, tuple[int, int, int]] = {
    "pythia-14m": (128, 6, 4),
    "pythia-31m": (256, 6, 8),
    "pythia-70m": (512, 6, 8),
    "pythia-160m": (768, 12, 12),
}
"""Width, layers and heads of EleutherAI's models; the inner width is four times the width in each of them."""

USUAL_LENGTH = 2048
"""Tokens of the sequences that Pythia was trained on."""

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class GPTNeoXSpec(Spec):
    """The shape of a GPT-NeoX causal language model: a named size, and any field beside it that differs."""

    architecture: Literal["gpt_neox"] = "gpt_neox"
    kind: ClassVar[Literal["causal"]] = "causal"
    size: Literal["pythia-14m", "pythia-31m", "pythia-70m", "pythia-160m"] = "pythia-14m"
    """Width, layers and heads, as EleutherAI published them."""
    hidden_size: Positive | None = None
    """Width; None is that of `size`."""
    num_hidden_layers: Positive | None = None
    """Layers; None is that of `size`."""
    num_attention_heads: Positive | None = None
    """Heads; None is that of `size`."""
    intermediate_size: Positive | None = None
    """Inner width of the feed-forward network; None is four times the width."""
    vocab_size: Positive | None = None
    """Rows of embedding and head; None is the tokenizer's vocabulary. Pythia's own is padded to 50,304."""
    max_length: Positive | None = None
    """Longest sequence in tokens that the config promises; None is 2048, or the data's longest if that is more."""
    rotary_pct: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Share of each head's dimensions that rotary positions (Su et al., arXiv 2104.09864) turn."""
    use_parallel_residual: bool = True
    """Attention and feed-forward network read the same input, and both are added to it."""
    attention_dropout: Share = 0.0
    hidden_dropout: Share = 0.0
    initializer_range: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the fresh weights."""
    tie_word_embeddings: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Width, layers and heads, with what the spec says beside `size`."""
        given = (self.hidden_size, self.num_hidden_layers, self.num_attention_heads)
        width, layers, heads = (own or usual for own, usual in zip(given, SIZES[self.size], strict=True))
        return width, layers, heads

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        width, _, heads = self.shape
        if width % heads:
            raise ValueError(
                f"hidden_size {width} is not a multiple of num_attention_heads {heads}; change one of them"
            )
        turned = int(width // heads * self.rotary_pct)
        if turned == 0 or turned % 2:
            raise ValueError(
                f"rotary_pct: {self.rotary_pct} of a head's {width // heads} dimensions is {turned}; "
                "rotary positions turn them in pairs, so choose a share that makes an even number"
            )
        return self

    def make(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> "GPTNeoXForCausalLM":
        """Return a model with fresh weights, drawn from torch's generator.

        Args:
            tokenizer: Gives vocabulary size and special ids.
            longest: Tokens of the longest sequence in the data.

        Raises:
            UserError: `max_length` is less than `longest`, or `vocab_size` less than the tokenizer's vocabulary.
        """
        from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

        if self.max_length is not None and longest > self.max_length:
            raise UserError(
                f"model.max_length: {self.max_length} is less than the longest sequence of the data, {longest} tokens; "
                "raise it, or leave it out to derive it"
            )
        if self.vocab_size is not None and len(tokenizer) > self.vocab_size:
            raise UserError(
                f"model.vocab_size: {self.vocab_size} is less than the {len(tokenizer)} tokens of the tokenizer; "
                "raise it, or leave it out to derive it"
            )
        width, layers, heads = self.shape
        same = {"rotary_pct", "use_parallel_residual", "attention_dropout", "hidden_dropout", "initializer_range"}
        special: dict[str, Any] = {
            name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
        }
        config = GPTNeoXConfig(
            **self.model_dump(include={*same, "tie_word_embeddings"}),
            **special,
            vocab_size=self.vocab_size or len(tokenizer),
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=self.intermediate_size or 4 * width,
            max_position_embeddings=self.max_length or max(longest, USUAL_LENGTH),
        )
        return GPTNeoXForCausalLM(config)
