"""GRU and LSTM language models, as a recipe writes them down."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from hubkit.specs import Spec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from hubkit.models.recurrent.modeling_recurrent import RecurrentForCausalLM

SIZES: dict[str, tuple[int, int]] = {"small": (256, 1), "medium": (512, 3), "large": (768, 5)}
"""Width and layers. With GPT-2's 50,257 tokens: 26, 56 and 95 M parameters (GRU), 26, 58 and 101 M (LSTM);
Papadopoulos et al., arXiv 2401.17505."""


class RecurrentSpec(Spec):
    """The shape of a recurrent language model, and its cell."""

    architecture: Literal["recurrent"] = "recurrent"
    kind: ClassVar[Literal["causal"]] = "causal"
    cell: Literal["gru", "lstm"] = "gru"
    size: Literal["small", "medium", "large"] = "small"
    """Width and layers: 256 × 1, 512 × 3 or 768 × 5."""
    hidden_size: Annotated[int, Field(gt=0)] | None = None
    """Width of embedding, cell and head; None is that of `size`."""
    num_hidden_layers: Annotated[int, Field(gt=0)] | None = None
    """Cells on top of each other; None is that of `size`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the embedding's outputs that training drops."""
    initializer_range: Annotated[float, Field(gt=0)] = 0.02
    """Standard deviation of the fresh weights of embedding and head."""
    tie_word_embeddings: bool = False

    def make(self, tokenizer: "PreTrainedTokenizerFast", longest: int) -> "RecurrentForCausalLM":
        """Return a model with fresh weights, drawn from torch's generator.

        Args:
            tokenizer: Gives vocabulary size and special ids.
            longest: Tokens of the longest sequence in the data; a recurrent model has no limit, so it is not used.
        """
        from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM

        width, layers = SIZES[self.size]
        special: dict[str, Any] = {
            name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")
        }
        config = RecurrentConfig(
            **self.model_dump(include={"cell", "dropout", "initializer_range", "tie_word_embeddings"}),
            **special,
            vocab_size=len(tokenizer),
            hidden_size=self.hidden_size or width,
            num_hidden_layers=self.num_hidden_layers or layers,
        )
        return RecurrentForCausalLM(config)
