"""MiniGPT: a pre-norm decoder of GPT-2's kind. It stands alone: it is published beside the weights.

Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), with the switches of the configuration.
"""

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache
from transformers.masking_utils import create_causal_mask, find_packed_sequence_indices
from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils.generic import can_return_tuple

from .configuration_minigpt import MiniGPTConfig
from .layers_minigpt import MiniGPTBlock, ResidualLinear, dropped, norm_of, rotation_of
from .linear_minigpt import Linear


class MiniGPTPreTrainedModel(PreTrainedModel):
    """What transformers must know of these models, and how fresh weights are drawn."""

    config: MiniGPTConfig
    config_class = MiniGPTConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar = ["MiniGPTBlock"]
    _skip_keys_device_placement: ClassVar = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        deviation = self.config.initializer_range
        if isinstance(module, ResidualLinear):
            deviation /= math.sqrt(2 * self.config.n_layer)
        if isinstance(module, nn.Linear | nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=deviation)
        elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
            init.ones_(module.weight)
        if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
            init.zeros_(bias)


class MiniGPTModel(MiniGPTPreTrainedModel):
    """The decoder without its head."""

    def __init__(self, config: MiniGPTConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.n_embd)
        learned = config.position == "learned"
        self.embed_positions = nn.Embedding(config.block_size, config.n_embd) if learned else None
        self.layers = nn.ModuleList(MiniGPTBlock(config, layer) for layer in range(config.n_layer))
        self.norm = norm_of(config)
        self.gradient_checkpointing = False
        self.post_init()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        use_cache: bool | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        """Return the normed residual stream, (B, T, D); the arguments are those of `MiniGPTForCausalLM`."""
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("input_ids: give either these or inputs_embeds, one of the two")
        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        positions = self._positions(hidden, attention_mask, position_ids, past_key_values)
        mask = self._mask(hidden, attention_mask, position_ids, past_key_values)
        kwargs |= self._flash_arguments(attention_mask, position_ids, past_key_values, len(hidden))
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        rotation = None
        if self.embed_positions is None:
            rotation = rotation_of(positions, self.config.head_size, self.config.rope_theta)
        else:
            hidden = hidden + self.embed_positions(positions)
        hidden = dropped(hidden, self.config.dropout, self.training)
        keep_streams = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        keep_weights = self.config.output_attentions if output_attentions is None else output_attentions
        streams, attentions = [], []
        for layer in self.layers:
            if keep_streams:
                streams.append(hidden)
            hidden, weights = layer(
                hidden, attention_mask=mask, rotation=rotation, past_key_values=past_key_values, **kwargs
            )
            if keep_weights:
                attentions.append(weights)
        hidden = self.norm(hidden)
        return BaseModelOutputWithPast(
            last_hidden_state=hidden,
            past_key_values=past_key_values if use_cache else None,
            hidden_states=(*streams, hidden) if keep_streams else None,
            attentions=tuple(attentions) if keep_weights else None,
        )

    def _positions(
        self, hidden: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, cache: Cache | None
    ) -> Tensor:
        """Return the position of each token, (B or 1, T): those given, or its number among the unmasked of its row."""
        length = hidden.shape[1]
        past = 0 if cache is None else cache.get_seq_length()
        positions = position_ids
        if positions is None and attention_mask is not None and attention_mask.ndim == 2:
            positions = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -length:]
        # On a GPU a position too far would end the process. Only what is longer than the table is looked at, for a
        # look at positions waits for the device; a static cache counts its past there.
        if self.embed_positions is not None and isinstance(past, int) and past + length > self.config.block_size:
            known = positions is not None
            if not known or (not torch.compiler.is_compiling() and int(positions.max()) >= self.config.block_size):
                raise ValueError(
                    f"input_ids: {past + length} tokens are more than the model's block_size {self.config.block_size}; "
                    "shorten the input or ask for fewer new tokens"
                )
        if positions is None:
            positions = (torch.arange(length, device=hidden.device) + past)[None]
        return positions

    def _mask(
        self, hidden: Tensor, attention_mask: Tensor | None, position_ids: Tensor | None, cache: Cache | None
    ) -> Any:
        """Return the mask that the attention needs; none at all for SDPA on whole rows.

        Where `position_ids` restart another document begins, which does not see the one before. transformers notices
        that by itself only where there is no padding mask beside them.
        """
        if self.config._attn_implementation == "sdpa" and all(x is None for x in (attention_mask, position_ids, cache)):
            return None  # SDPA is told that it is causal; while compiling, transformers would write the mask out
        apart = None
        if position_ids is not None and cache is None and attention_mask is not None and attention_mask.ndim == 2:
            documents = find_packed_sequence_indices(position_ids.expand(len(hidden), -1))
            if documents is not None:
                apart = lambda row, _, query, key: documents[row, query] == documents[row, key]  # noqa: E731
        return create_causal_mask(
            config=self.config,
            inputs_embeds=hidden,
            attention_mask=attention_mask,
            past_key_values=cache,
            position_ids=position_ids,
            and_mask_function=apart,
        )

    def _flash_arguments(
        self, attention_mask: Tensor | None, position_ids: Tensor | None, cache: Cache | None, rows: int
    ) -> dict[str, Any]:
        """Return the lengths of packed documents, which flash attention would look for only in a batch of one row."""
        flash = "flash" in str(self.config._attn_implementation)
        if not flash or position_ids is None or attention_mask is not None or cache is not None:
            return {}
        lengths, longest = prepare_fa_kwargs_from_position_ids(position_ids.expand(rows, -1))
        names = ("cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")
        return dict(zip(names, (*lengths, *longest), strict=True))


class MiniGPTForCausalLM(MiniGPTPreTrainedModel, GenerationMixin):
    """The decoder with the head that says what comes next."""

    _tied_weights_keys: ClassVar = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: MiniGPTConfig) -> None:
        super().__init__(config)
        self.model = MiniGPTModel(config)
        self.lm_head = Linear(config.n_embd, config.vocab_size, bias=config.head_bias)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        shift_labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Return the logits of the next token, (B, T, V), and the loss if there are labels.

        Args:
            input_ids: Tokens: (B, T) int64.
            attention_mask: 1 for a token, 0 for padding on either side: (B, T with the cache's); or a mask (B, 1, T, S)
                as the attention implementation takes it.
            position_ids: Position of each token: (B, T) int64. Where they restart another document begins, which does
                not see the one before. None counts the tokens of a row, padding left out.
            past_key_values: Keys and values of the tokens before.
            inputs_embeds: Instead of `input_ids`: (B, T, D).
            labels: The tokens again, of which each position is asked for the next: (B, T) int64, -100 where not.
            shift_labels: The targets as they are, already shifted: (B, T) int64, -100 where not; goes before `labels`.
            use_cache: Whether to return keys and values; None does outside of training, where there are no labels.
            logits_to_keep: Logits of so many positions at the end, or of the positions listed; 0 is all.
            num_items_in_batch: What to divide the summed loss by; None is the number of targets.
            kwargs: `output_hidden_states`, `output_attentions` (needs the eager attention), and what the attention
                implementation takes.

        Returns:
            `loss` is () fp32. Where there is one in training, `logits` have no gradient.

        Raises:
            ValueError: Neither or both of `input_ids` and `inputs_embeds`; more tokens than learned positions.
        """
        asked = labels is not None or shift_labels is not None
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=False if asked and use_cache is None else use_cache,
            **kwargs,
        )
        hidden = outputs.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(hidden[:, kept])
        loss = None
        if asked:
            loss = self.loss_function(
                logits=logits,
                labels=labels,
                vocab_size=self.config.vocab_size,
                shift_labels=shift_labels,
                num_items_in_batch=num_items_in_batch,
            )
            if self.training:
                # Nobody differentiates both: a compiled step would fill a gradient of the logits' size with zeros.
                logits = logits.detach()
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return what one step of `generate` feeds.

        That of one more token on a growing cache is short. transformers' own, for all models and inputs, would cost a
        small model a fifth of its time.
        """
        here = self.lm_head.weight.device
        if next_sequence_length != 1 or type(past_key_values) is not DynamicCache or input_ids.device != here:
            return super().prepare_inputs_for_generation(  # pyright: ignore[reportAttributeAccessIssue]
                input_ids, next_sequence_length, past_key_values, inputs_embeds=inputs_embeds, **kwargs
            )
        for name in ("is_first_iteration", "labels"):
            kwargs.pop(name, None)
        if (position_ids := kwargs.get("position_ids")) is not None:
            kwargs["position_ids"] = position_ids[:, -1:]
        return {**kwargs, "input_ids": input_ids[:, -1:], "past_key_values": past_key_values}


MiniGPTForCausalLM.register_for_auto_class("AutoModelForCausalLM")
