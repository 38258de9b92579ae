"""The configuration of MiniGPT. It stands alone: it is published beside the weights."""

from typing import ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

SWIGLU_TOLERANCE = 0.02
"""How far rounding may move the hidden width of SwiGLU from 8d/3, where its parameters match those of an MLP of 4d."""


@strict
class MiniGPTConfig(PreTrainedConfig):
    """The shape of a decoder of GPT-2's kind, with the switches that an ablation compares.

    Args:
        vocab_size: Ids of the vocabulary.
        n_layer: Blocks.
        n_head: Attention heads a block; divides `n_embd`.
        n_embd: Width of the residual stream.
        block_size: Tokens of the longest sequence. Learned positions end there; rotary ones have no end of their own.
        mlp: `gelu` (tanh approximation, as GPT-2), `gelu_exact`, `relu`, or `swiglu` (Shazeer, arXiv 2002.05202).
        mlp_hidden: Width inside the MLP. None is 4·n_embd; for `swiglu` 8/3·n_embd, rounded, which has as many
            parameters.
        position: `learned`, or `rope`: rotary, the two halves of a head as pairs (Su et al., arXiv 2104.09864).
        rope_theta: Base of the rotary rates.
        norm: `layernorm`, or `rmsnorm` (Zhang and Sennrich, arXiv 1910.07467).
        norm_eps: Added to the variance, or to the mean square, under the root.
        tie_embeddings: Whether the head's weight is that of the embedding.
        dropout: Of embeddings, attention weights and what each block adds.
        bias: Whether the linear maps and the layer norms have biases; the head's and the projection to queries, keys
            and values can differ.
        qkv_bias: Whether that projection has; None is as `bias`.
        head_bias: Whether the head has.
        initializer_range: Standard deviation of the fresh weights; that of the projections back into the residual
            stream is divided by √(2·n_layer).
        use_cache: Whether a forward pass outside of training returns keys and values.
        direction: Which way the training read its texts. A `backward` model continues to the left.
        direction_tokens: For `both`: the first token of a sequence that runs forward, and of one that runs backward.
        bos_token_id: First token of a sequence.
        eos_token_id: Token that ends a generation.
        pad_token_id: Token that fills up short rows.

    Raises:
        huggingface_hub.errors.StrictDataclassError: Names the field, the value and the mend.
    """

    model_type = "minigpt"
    keys_to_ignore_at_inference = ("past_key_values",)
    attribute_map: ClassVar = {
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "max_position_embeddings": "block_size",
        "tie_word_embeddings": "tie_embeddings",
    }

    vocab_size: int = 50257
    n_layer: int = 12
    n_head: int = 12
    n_embd: int = 768
    block_size: int = 1024
    mlp: Literal["gelu", "gelu_exact", "relu", "swiglu"] = "gelu"
    mlp_hidden: int | None = None
    position: Literal["learned", "rope"] = "learned"
    rope_theta: int | float = 10000.0
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_eps: float = 1e-5
    tie_embeddings: bool = False
    dropout: int | float = 0.0
    bias: bool = True
    qkv_bias: bool | None = None
    head_bias: bool = False
    initializer_range: int | float = 0.02
    use_cache: bool = True
    direction: Literal["forward", "backward", "both", "permuted"] = "forward"
    direction_tokens: dict[str, int] | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.n_embd // self.n_head

    @property
    def intermediate_size(self) -> int:
        """Width inside the MLP: `mlp_hidden`, or the one that it stands for."""
        if self.mlp_hidden is not None:
            return self.mlp_hidden
        return swiglu_width(self.n_embd) if self.mlp == "swiglu" else 4 * self.n_embd

    def validate_counts(self) -> None:
        """Refuse a count below one."""
        names = ("vocab_size", "n_layer", "n_head", "n_embd", "block_size", "mlp_hidden")
        for name in names:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name}: {value} is less than 1; give a positive number")

    def validate_ranges(self) -> None:
        """Refuse a rate, an epsilon or a deviation outside of its range."""
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not a probability below 1; give one in [0, 1)")
        for name in ("norm_eps", "initializer_range", "rope_theta"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; give a number above 0")

    def validate_heads(self) -> None:
        """Refuse heads that do not divide the width, and halves of a rotary head that are none."""
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd: {self.n_embd} is not a multiple of n_head {self.n_head}; change one of them")
        if self.position == "rope" and self.head_size % 2:
            raise ValueError(
                f"n_head: {self.n_head} heads of n_embd {self.n_embd} are {self.head_size} wide, and rope turns pairs; "
                "make that even, or use learned positions"
            )

    def validate_direction(self) -> None:
        """Refuse a model of both directions that does not say by which tokens they are told apart."""
        if self.direction == "both" and set(self.direction_tokens or ()) != {"forward", "backward"}:
            raise ValueError(
                f"direction_tokens: {self.direction_tokens} does not give the first token of each direction; "
                'write {"forward": ID, "backward": ID}'
            )


def swiglu_width(width: int) -> int:
    """Return the hidden width of a SwiGLU that has as many parameters as an MLP of four times `width`.

    It is 8/3·width, rounded to a multiple of 64 (a kernel's tile), or of less where that would move it by more than
    `SWIGLU_TOLERANCE`.
    """
    target = 8 * width / 3
    rounded = (max(1, round(target / unit)) * unit for unit in (64, 32, 16, 8, 4, 2))
    return next((hidden for hidden in rounded if abs(hidden - target) <= SWIGLU_TOLERANCE * target), round(target))


MiniGPTConfig.register_for_auto_class()
