"""The shape of a recurrent language model. This file is published with the weights and imports nothing of hubkit."""

from typing import Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class RecurrentConfig(PreTrainedConfig):
    """The shape of a :class:`RecurrentForCausalLM`: embedding, dropout, GRU or LSTM, layer norm, head.

    The cell is as wide as the embedding (Papadopoulos et al., arXiv 2401.17505). There is no limit to the length of a
    sequence, so there is no `max_position_embeddings`.

    Args:
        cell: "gru" (Cho et al., arXiv 1406.1078) or "lstm" (Hochreiter & Schmidhuber, 1997).
        vocab_size: Tokens of the vocabulary.
        hidden_size: Width of embedding, cell and head.
        num_hidden_layers: Cells on top of each other.
        dropout: Share of the embedding's outputs that training drops. Nothing is dropped between the layers: cuDNN
            keeps a random state of its own for that, which a checkpoint can't hold, so no resumed run would be exact.
        layer_norm_eps: Added to the variance in the layer norm.
        initializer_range: Standard deviation of the fresh weights of embedding and head; the cell's are uniform in
            ±1/√hidden_size, as torch draws them.
        use_cache: Return the state with the logits, in place of a cache of keys and values.
        tie_word_embeddings: One matrix for embedding and head.
        direction: Which way the training texts ran: "forward", "backward", "both" or "permuted".
        direction_tokens: For "both": the first token of a sequence that runs "forward", and of one that runs
            "backward".

    Raises:
        huggingface_hub.errors.StrictDataclassError: A field has an impossible value; the message names both.
    """

    model_type = "recurrent"
    keys_to_ignore_at_inference = ("past_key_values",)

    cell: Literal["gru", "lstm"] = "gru"
    vocab_size: int = 50257
    hidden_size: int = 256
    num_hidden_layers: int = 1
    dropout: float | int = 0.1
    layer_norm_eps: float = 1e-5
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False
    direction: Literal["forward", "backward", "both", "permuted"] = "forward"
    direction_tokens: dict[str, int] | None = None

    def validate_shape(self) -> None:
        """Refuse a shape that no network has."""
        for field in ("vocab_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field}: {getattr(self, field)} is less than 1; a positive number is needed")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not in [0, 1); 0 turns it off")


RecurrentConfig.register_for_auto_class()
