"""The order in which the sequences of an epoch, or of a part of it, are read."""

import numpy as np


def drawn_order(
    random: np.random.Generator, lengths: np.ndarray, block: int, length_pool: int, lead: int = 0
) -> np.ndarray:
    """Return all sequences in an order left to chance but for this: blocks can be of like length.

    Args:
        random: Draws the order.
        lengths: Of the sequences, int64 (sequences,).
        block: Sequences that come together: those of a batch, which are padded to the longest.
        length_pool: The sequences of so many blocks are sorted by length together; 1 leaves all to chance.
        lead: So many come before the first block, where a block was begun before.

    Returns:
        Their numbers, int64 (sequences,): the lead, the blocks, and what fills no block.
    """
    drawn = random.permutation(len(lengths))
    whole = (len(drawn) - lead) // block * block
    first, order, rest = np.split(drawn, [lead, lead + whole])
    if length_pool > 1:
        pools = np.arange(whole) // (length_pool * block)
        # By pool first and by length inside each; equal lengths stay in the order that was drawn.
        order = order[np.lexsort((lengths[order], pools))]
    return np.concatenate([first, random.permutation(order.reshape(-1, block)).ravel(), rest])
