"""The documents in a batch of rows, so that each is read as a sequence of its own. Published with the weights.

A row may hold several, one after the other, and padding anywhere.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Documents(NamedTuple):
    """The documents in a batch of rows, the longest first, and the order in which the cell reads their tokens."""

    places: Tensor
    """(tokens,) places in the flattened batch, all first tokens of documents first, then all second ones, …"""
    batch_sizes: Tensor
    """(steps,) on the CPU: documents that still have a token at each step."""
    rows: Tensor
    """(documents,) the row in which each lies."""
    continues: Tensor
    """(documents,) whether it goes on from the state that its row had before this batch."""
    closes: Tensor
    """(documents,) whether it is the last of its row, which the next batch may go on with."""


def documents_of(there: Tensor, restarts: Tensor) -> Documents:
    """Find the documents of a batch.

    Args:
        there: (batch, length) bool: no padding.
        restarts: (batch, length) bool: the first token of a document.
    """
    places = there.flatten().nonzero().squeeze(1)
    rows = places // there.shape[1]
    opens_row = rows != torch.cat([rows.new_full((1,), -1), rows[:-1]])
    restarts = restarts.flatten()[places]
    opens = opens_row | restarts
    starts = opens.nonzero().squeeze(1)
    ends = torch.cat([starts[1:], starts.new_full((1,), len(places))])
    order = (ends - starts).argsort(descending=True, stable=True)
    # Each token's document, by its rank in `order`, and its number in that document.
    document = opens.cumsum(0) - 1
    step = torch.arange(len(places), device=places.device) - starts[document]
    reading = (step * len(starts) + order.argsort()[document]).argsort()
    starts, lasts = starts[order], ends[order] - 1
    closes_row = torch.cat([opens_row[1:], opens_row.new_ones(1)])
    return Documents(
        places[reading],
        torch.bincount(step).cpu(),
        rows[starts],
        (opens_row & ~restarts)[starts],
        closes_row[lasts],
    )
