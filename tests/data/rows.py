"""Sequences in memory, whose ids say which they are."""

import numpy as np
import torch

from hubkit.data.batches import Batches
from hubkit.data.objectives.masked import MaskedSpec
from hubkit.data.tokens import Sample
from hubkit.tokenizers.lorenz import lorenz_tokenizer

TOKENIZER = lorenz_tokenizer()
ASK_ALL = MaskedSpec(probability=1 - 1e-12, mask_share=0.0, random_share=0.0).make(TOKENIZER)
"""Asks for every token and hides none: labels show which rows a batch has."""

FIRST = 20
"""The first of a hundred ids that are no special tokens."""


class Rows:
    """Row *i* is the id `first` + i (counted modulo `span`), written as many times as its length says."""

    def __init__(self, lengths: list[int], first: int = FIRST, span: int = 100):
        self.lengths, self.first, self.span = np.array(lengths), first, span

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Sample:
        return Sample(np.full(self.lengths[number], self.first + number % self.span), whole=True)


def whole(made: Batches, step: int) -> dict[str, torch.Tensor]:
    """Return the only batch of a step."""
    (batch,) = made[step]
    return batch
