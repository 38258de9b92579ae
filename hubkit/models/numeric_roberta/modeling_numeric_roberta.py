"""A RoBERTa that reads and writes numbers as numbers. Published with the weights; needs torch and transformers alone.

As in xVal (Golkar et al., arXiv 2310.02989), every number of a text is the same token, whose embedding is multiplied by
the number's value, and a second head answers with a value where the first one, over the vocabulary, says that a number
stands. A hidden token is the mask token with the value 1.

xVal feeds values that were brought to [-5, 5] with the data. Here they come as they stand in the text, between 1e-5 and
a thousand and more, and the layer normalisation after the embedding would show all large ones as the same direction. So
the model sees ``sign(v) · log(1 + |v| / scale)``, which is linear up to about the scale and inverts exactly.

A fresh model attends to all tokens alike. Where three of four tokens are brackets, commas and keys, what numbers say is
thinned out as much in what a hidden one gathers; `unattended_token_ids` leaves the layout out of attention.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import RobertaForMaskedLM
from transformers.utils.generic import ModelOutput

from .configuration_numeric_roberta import NumericRobertaConfig
from .numbers_numeric_roberta import Numbers

IGNORED = -100
"""Label of a token that is not asked for."""


@dataclass
class NumericMaskedLMOutput(ModelOutput):
    """What the model answers.

    Attributes:
        loss: float32 scalar: the mean over the asked tokens of cross-entropy and weighted squared error.
        logits: float (rows, tokens, vocabulary).
        numbers: float32 (rows, tokens): the number that would stand there if one did, in the units of the text.
        cross_entropy: float32 scalar: the first part of the loss.
        squared_error: float32 scalar: the mean over the asked numbers, of values as the model sees them.
        hidden_states: As all models of transformers give them.
        attentions: As all models of transformers give them.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    numbers: torch.Tensor | None = None
    cross_entropy: torch.Tensor | None = None
    squared_error: torch.Tensor | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None


class NumericRobertaForMaskedLM(RobertaForMaskedLM):
    """RoBERTa with values on its number tokens and a head for them beside the one over the vocabulary."""

    config_class = NumericRobertaConfig
    config: NumericRobertaConfig

    def __init__(self, config: NumericRobertaConfig):
        """Make the model with fresh weights from torch's generator."""
        super().__init__(config)
        width = config.hidden_size
        self.number_head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))
        self.post_init()

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        input_ids: torch.Tensor,
        values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        value_labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> NumericMaskedLMOutput:
        """Answer which token stands at each place, and which number if one does.

        Args:
            input_ids: int64 (rows, tokens).
            values: float (rows, tokens), in the units of the text; read where the number token stands. May be left out
                where it stands nowhere.
            attention_mask: (rows, tokens), 0 at padding.
            position_ids: int64 (rows, tokens); None counts what is not padding, as RoBERTa does.
            labels: int64 (rows, tokens): the token that stands there, or -100 where it is not asked.
            value_labels: float (rows, tokens): the number that stands there, or NaN where none is asked.
            **kwargs: Such as `output_hidden_states`; passed on to RoBERTa.

        Raises:
            ValueError: `values` is left out and the number token stands somewhere.
        """
        embeddings = self.roberta.embeddings
        if position_ids is None:
            position_ids = embeddings.create_position_ids_from_input_ids(input_ids, embeddings.padding_idx)
        words = embeddings.word_embeddings(input_ids)
        outputs = self.roberta(
            inputs_embeds=words * self._factors(input_ids, values)[..., None].to(words.dtype),
            attention_mask=self._attended(input_ids, attention_mask),
            position_ids=position_ids,
            **kwargs,
        )
        hidden = outputs.last_hidden_state
        logits, seen = self.lm_head(hidden), self.number_head(hidden)[..., 0].float()
        answer = NumericMaskedLMOutput(
            logits=logits,
            numbers=self.written(seen),
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        if labels is not None:
            self._judge(answer, seen, labels, value_labels)
        return answer

    def seen(self, values: torch.Tensor) -> torch.Tensor:
        """Return numbers as the model sees them: float32, linear up to about `value_scale` and logarithmic above it."""
        values = values.float()
        return torch.sign(values) * torch.log1p(values.abs() / self.config.value_scale)

    def written(self, seen: torch.Tensor) -> torch.Tensor:
        """Return numbers in the units of the text: the inverse of :meth:`seen`."""
        return torch.sign(seen) * torch.expm1(seen.abs()) * self.config.value_scale

    def numbers(self, tokenizer: Any) -> Numbers:
        """Return what turns texts into `input_ids` and `values`, with the tokenizer published beside the model."""
        return Numbers(tokenizer)

    def _factors(self, input_ids: torch.Tensor, values: torch.Tensor | None) -> torch.Tensor:
        """Return what embeddings are multiplied by: float32 (rows, tokens), 1 where no number stands."""
        is_number = input_ids == self.config.number_token_id
        if values is None:
            if is_number.any():
                raise ValueError("values: left out, but there are numbers; give model.numbers(tokenizer).batch(texts)")
            values = torch.ones_like(input_ids, dtype=torch.float32)
        return torch.where(is_number, self.seen(values), 1.0)

    def _attended(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor | None:
        """Return the mask of the tokens that are attended to; int64 (rows, tokens), or None for all of them.

        A row of nothing but layout keeps RoBERTa's mask, for there is no attention to no token.
        """
        if not self.config.unattended_token_ids:
            return attention_mask
        present = torch.ones_like(input_ids) if attention_mask is None else attention_mask.to(input_ids.dtype)
        content = present
        for id in self.config.unattended_token_ids:
            content = content * (input_ids != id)
        return torch.where(content.any(-1, keepdim=True), content, present)

    def _judge(
        self, answer: NumericMaskedLMOutput, seen: torch.Tensor, labels: torch.Tensor, value_labels: torch.Tensor | None
    ) -> None:
        """Put the losses into an answer.

        The loss is a mean over asked tokens, numbers or not, so that it adds up over batches of any make-up.
        """
        assert answer.logits is not None
        cross = nn.functional.cross_entropy(answer.logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        answer.loss = answer.cross_entropy = cross
        if value_labels is None:
            return
        asked = ~value_labels.isnan()
        # Without an index by `asked`, whose size the host would have to wait for; NaN must not reach a gradient.
        errors = (seen - self.seen(value_labels.nan_to_num())).square() * asked
        total = errors.sum()
        answer.squared_error = total / asked.sum().clamp(min=1)
        answer.loss = cross + self.config.number_loss_weight * total / (labels != IGNORED).sum().clamp(min=1)


NumericRobertaForMaskedLM.register_for_auto_class("AutoModelForMaskedLM")
