"""GRU and LSTM language models. This file is published with the weights and imports nothing of hubkit."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from .configuration_recurrent import RecurrentConfig
from .documents_recurrent import Documents, documents_of
from .linear_recurrent import Linear
from .step_recurrent import can_step, step

CELLS = {"gru": nn.GRU, "lstm": nn.LSTM}
STATES = {"gru": 1, "lstm": 2}
"""Tensors of a state: an LSTM has a cell state besides the hidden one."""


class RecurrentState:
    """What the cells remember of all columns read so far; to `generate` it is what keys and values are elsewhere.

    A forward pass returns a new state and leaves the one that it was given as it is, so a prefix that was read once
    can be continued many times.
    """

    is_compileable = False
    is_croppable = False

    def __init__(self, tensors: tuple[Tensor, ...], length: int):
        """Hold a state.

        Args:
            tensors: Each (layers, batch, hidden): the hidden state, and for an LSTM the cell state.
            length: Columns read, padding included.
        """
        self.tensors = tensors
        self.length = length

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of columns read, padding included."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep the rows `beam_idx` (int64, one for each row of the new batch), as beam search asks."""
        self.tensors = tuple(tensor.index_select(1, beam_idx) for tensor in self.tensors)


def _part(module: nn.Module, state_dict: dict[str, Any], prefix: str, metadata: dict[str, Any]) -> None:
    """Give each of a cell's weights in a state dict memory of its own.

    On a GPU they are pieces of one tensor, as cuDNN wants it, and accelerate would save the first piece alone.
    """
    for name, weight in state_dict.items():
        if name.startswith(prefix) and weight.untyped_storage().nbytes() > weight.nbytes:
            state_dict[name] = weight.clone()


class RecurrentPreTrainedModel(PreTrainedModel):
    """What transformers must know of these models, and how their weights are drawn and loaded."""

    config_class = RecurrentConfig
    config: RecurrentConfig
    base_model_prefix = "model"
    _is_stateful = True

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """Load as transformers does, and put the weights into memory that torch allocated.

        A safetensors file is mapped into memory with its weights at odd addresses, where a product of a matrix with one
        row can differ in its last bits: what was saved would not give the same logits again. On a GPU this also lays
        the cell's weights out in the one piece that cuDNN wants.
        """
        loaded: Any = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if kwargs.get("output_loading_info") else loaded
        model._apply(torch.clone)
        return loaded

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.RNNBase):
            bound = module.hidden_size**-0.5
            for weight in module.parameters():
                init.uniform_(weight, -bound, bound)
        else:
            super()._init_weights(module)


class RecurrentModel(RecurrentPreTrainedModel):
    """Embedding, dropout, GRU or LSTM, layer norm: the language model without its head."""

    def __init__(self, config: RecurrentConfig):
        """Make the network with fresh weights from torch's generator."""
        super().__init__(config)
        width = config.hidden_size
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.dropout = nn.Dropout(config.dropout)
        self.rnn = CELLS[config.cell](width, width, config.num_hidden_layers, batch_first=True)
        self.rnn.register_state_dict_post_hook(_part)
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: RecurrentState | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
    ) -> BaseModelOutputWithPast:
        """Return what the head reads, (batch, length, hidden); the arguments are those of `RecurrentForCausalLM`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("input_ids, inputs_embeds: exactly one of them is needed")
        embedded = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        hidden, state = self._read(self.dropout(embedded), attention_mask, position_ids, past_key_values)
        use_cache = (self.config.use_cache and not self.training) if use_cache is None else use_cache
        kept: Any = state if use_cache else None  # not a Cache by type; generate asks for its methods alone
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden), past_key_values=kept)

    def _read(
        self, embedded: Tensor, mask: Tensor | None, position_ids: Tensor | None, past: RecurrentState | None
    ) -> tuple[Tensor, RecurrentState]:
        """Return the top cell's output (batch, length, hidden) at each column, and the state after the last."""
        batch, length = embedded.shape[:2]
        there = None if mask is None else mask[:, -length:].bool()
        restarts = None if position_ids is None else (position_ids == 0).expand(batch, length)
        # A row without a state begins anew anyway.
        cut = restarts is not None and bool((restarts[:, 1:] if past is None else restarts).any())
        past = past or self._blank_state(embedded)
        if not cut and (there is None or there.all()):
            hidden, after = self._read_whole(embedded, past.tensors)
            return hidden, RecurrentState(after, past.length + length)
        there = embedded.new_ones(batch, length, dtype=torch.bool) if there is None else there
        if not there.any():
            raise ValueError("attention_mask: all 0; a batch needs a token that is not padding")
        documents = documents_of(there, torch.zeros_like(there) if restarts is None else restarts)
        return self._read_documents(embedded, documents, past)

    def _read_whole(self, embedded: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Read rows without padding, each of one document: the output at each column, and the state after the last."""
        if can_step(self.rnn, embedded):
            return step(self.rnn, embedded, before)
        hidden, after = self.rnn(embedded, self._as_cell(before))
        return hidden, self._as_tensors(after)

    def _read_documents(
        self, embedded: Tensor, documents: Documents, past: RecurrentState
    ) -> tuple[Tensor, RecurrentState]:
        """Read each document as a sequence of its own, all at once, without a step for any padding."""
        batch, length, width = embedded.shape
        packed = PackedSequence(embedded.flatten(0, 1).index_select(0, documents.places), documents.batch_sizes)
        before = tuple(tensor[:, documents.rows] * documents.continues[:, None] for tensor in past.tensors)
        output, after = self.rnn(packed, self._as_cell(before))
        hidden = output.data.new_zeros(batch * length, width).index_copy(0, documents.places, output.data)
        # A row that is all padding keeps the state that it had.
        rows = documents.rows[documents.closes]
        tensors = tuple(
            old.to(new.dtype).index_copy(1, rows, new[:, documents.closes])
            for old, new in zip(past.tensors, self._as_tensors(after), strict=True)
        )
        return hidden.view(batch, length, width), RecurrentState(tensors, past.length + length)

    def _blank_state(self, embedded: Tensor) -> RecurrentState:
        """Return the state before the first token."""
        shape = (self.config.num_hidden_layers, *embedded.shape[::2])
        return RecurrentState(tuple(embedded.new_zeros(shape) for _ in range(STATES[self.config.cell])), 0)

    def _as_cell(self, tensors: tuple[Tensor, ...]) -> Any:
        """Return a state as the cell takes it: a GRU's is a tensor, an LSTM's a pair of them."""
        return tensors if self.config.cell == "lstm" else tensors[0]

    def _as_tensors(self, state: Any) -> tuple[Tensor, ...]:
        """Return the cell's state as a tuple of tensors."""
        return state if self.config.cell == "lstm" else (state,)


class RecurrentForCausalLM(RecurrentPreTrainedModel, GenerationMixin):
    """A language model of one kind of recurrent cell: embedding, dropout, GRU or LSTM, layer norm, head without bias.

    `generate` carries a :class:`RecurrentState` from token to token, so that each costs the same however long the text
    is. The shape is that of Papadopoulos et al., "Arrows of Time in Large Language Models" (arXiv 2401.17505).
    """

    _tied_weights_keys = {"lm_head.weight": "model.embed_tokens.weight"}  # noqa: RUF012 (transformers wants a dict)

    def __init__(self, config: RecurrentConfig):
        """Make the network with fresh weights from torch's generator."""
        super().__init__(config)
        self.model = RecurrentModel(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: RecurrentState | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        shift_labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Read tokens and say what follows each.

        Args:
            input_ids: (batch, length) int64.
            attention_mask: (batch, length) or, as `generate` passes it, (batch, all columns so far): 0 is padding,
                which the state skips, on either side or in the middle. The logits there mean nothing.
            position_ids: (batch, length) int64: a token at position 0 begins a document and sees nothing before it.
            past_key_values: The state to go on from.
            inputs_embeds: (batch, length, hidden) in place of `input_ids`.
            labels: (batch, length) int64, the same tokens as `input_ids`; -100 is not asked. They are shifted here.
            shift_labels: (batch, length) int64, already shifted: the token that follows each.
            use_cache: Return the state; None is `config.use_cache` outside training.
            logits_to_keep: Only the last so many columns reach the head (0: all), or the columns of these indices.
            **kwargs: Go to the loss function, such as `num_items_in_batch`.

        Returns:
            Loss (in nats a token, if labels were given), logits (batch, kept, vocab_size) and the state.

        Raises:
            ValueError: Both or none of `input_ids` and `inputs_embeds`, or a batch that is all padding.
        """
        outputs = self.model(input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None or shift_labels is not None:
            loss = self.loss_function(
                logits=logits, labels=labels, vocab_size=self.config.vocab_size, shift_labels=shift_labels, **kwargs
            )
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=outputs.past_key_values)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # generate would make one of keys and values

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: RecurrentState | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the inputs of the next step: all tokens without a state, and the newest of each row with one."""
        kwargs.pop("position_ids", None)  # one sequence a row
        if next_sequence_length == 1 and past_key_values is not None and not is_first_iteration:
            # Only a prompt holds padding: nothing to look for, and to wait for, at each token. And transformers' own
            # preparation, for all models and inputs, would cost a small model a seventh of its time.
            for name in ("attention_mask", "inputs_embeds", "labels"):
                kwargs.pop(name, None)
            return {**kwargs, "input_ids": input_ids[:, -1:], "past_key_values": past_key_values}
        parent: Any = super()
        return parent.prepare_inputs_for_generation(
            input_ids, next_sequence_length, past_key_values, is_first_iteration=is_first_iteration, **kwargs
        )


RecurrentForCausalLM.register_for_auto_class("AutoModelForCausalLM")
