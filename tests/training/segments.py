"""What torch's flash attention does where it is told of segments, for processors, which have none."""

from itertools import pairwise

import torch
from torch.nn import functional as F


def flash(query, key, value, begins, longest, dropout, causal, scaling):
    """Stand in for `hubkit.training.attention._flash`, one segment after the other."""
    assert query.dtype == key.dtype == value.dtype
    spans = list(pairwise(begins.tolist()))
    assert longest >= max(end - begin for begin, end in spans)
    parts = [
        F.scaled_dot_product_attention(
            *(each[begin:end].transpose(0, 1) for each in (query, key, value)),
            dropout_p=dropout, is_causal=causal, scale=scaling,
        ).transpose(0, 1)
        for begin, end in spans
    ]  # fmt: skip
    return torch.cat(parts)
