"""What the loader asks of every objective."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from hubkit.data.tokens import Framing, Sample
from hubkit.randomness import Randoms

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""Label of a position that is not asked for (torch's cross-entropy skips it)."""


class Objective(Protocol):
    """An objective over one vocabulary."""

    framing: Framing
    """What is put around the tokens of a row when they are made."""
    more: int
    """Tokens that a window needs beyond those that the model reads."""

    def batch(self, samples: Sequence[Sample], randoms: Randoms) -> "dict[str, torch.Tensor]":
        """Return a batch: `input_ids`, `labels` (`IGNORED` where nothing is asked), and what else the model takes.

        Args:
            samples: None of them empty.
            randoms: Those of each sample, which alone decide what is asked of it: neither the padding nor the other
                samples do, so that a sample is asked the same whatever batch and process it is in.
        """
        ...
