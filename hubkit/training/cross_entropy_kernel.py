"""Cross-entropy of rows of logits and its gradient in one GPU kernel, which needs `triton`.

What bounds it is memory: the logits of a chunk are gigabytes. Each row is read twice, first for the logarithm of the
sum of exponentials, in one go by an online softmax (Milakov and Gimelshein, arXiv 1805.02867), then for the gradient,
which takes its place. One program of a thousand threads takes a row: so few rows are under way at once that the second
time they come from the level-2 cache. What torch's compiler makes of the same formulas has more rows under way, and
reads both times from memory. On an H100, 16,384 rows of 50,304 in bf16 take 1.51 ms, by torch 2.39; a copy takes 1.12
(`scripts/bench/cross_entropy.py`).
"""

import torch
import triton  # pyright: ignore[reportMissingImports] - torch brings it where there are GPUs
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor
from torch.library import triton_op, wrap_triton

_BLOCK = 8192
"""Logits of a row that a program takes at once."""
_WARPS = 16 if torch.version.hip else 32
"""A thousand threads: a warp of AMD's has 64."""


@triton.jit
def _row(
    logits,
    bias,
    targets,
    losses,
    stride,
    size,
    IGNORED: tl.constexpr,
    BIASED: tl.constexpr,
    NEEDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Take one row: its loss to `losses`, its gradient to where its logits were."""
    row = tl.program_id(0).to(tl.int64)
    start = logits + row * stride
    target = tl.load(targets + row)
    counts = target != IGNORED
    asked = tl.where(counts, target, 0)
    right = tl.load(start + asked).to(tl.float32)
    if BIASED:
        right += tl.load(bias + asked).to(tl.float32)
    # Each lane keeps a maximum and a sum of its own; they are put together once, at the end.
    most = tl.full((BLOCK,), -1e30, tl.float32)
    total = tl.full((BLOCK,), 0.0, tl.float32)
    for begin in range(0, size, BLOCK):
        place = begin + tl.arange(0, BLOCK)
        inside = place < size
        value = tl.load(start + place, mask=inside, other=-float("inf"), eviction_policy="evict_last").to(tl.float32)
        if BIASED:
            value += tl.load(bias + place, mask=inside, other=0.0).to(tl.float32)
        smaller = tl.exp(-tl.abs(value - most))
        total = tl.where(value > most, total * smaller + 1.0, total + smaller)
        most = tl.maximum(most, value)
    highest = tl.max(most)
    log_total = tl.log(tl.sum(total * tl.exp(most - highest))) + highest
    tl.store(losses + row, tl.where(counts, log_total - right, 0.0))
    if NEEDED:
        for begin in range(0, size, BLOCK):
            place = begin + tl.arange(0, BLOCK)
            inside = place < size
            value = tl.load(start + place, mask=inside, other=0.0, eviction_policy="evict_first").to(tl.float32)
            if BIASED:
                value += tl.load(bias + place, mask=inside, other=0.0).to(tl.float32)
            gradient = tl.exp(value - log_total) - tl.where(place == target, 1.0, 0.0)
            gradient = tl.where(counts, gradient, 0.0)
            tl.store(start + place, gradient, mask=inside, eviction_policy="evict_first")


@triton_op("hubkit::cross_entropy_", mutates_args={"logits"})
def cross_entropy_(logits: Tensor, bias: Tensor | None, targets: Tensor, ignored: int, needed: bool) -> Tensor:
    """Return the losses of rows, and put the gradients of their sum where the logits were.

    Args:
        logits: (N, V) floating on a GPU, its rows contiguous. Overwritten if the gradients are needed.
        bias: (V,) floating, added to each row; None for none.
        targets: (N,) int64.
        ignored: A target that does not count.
        needed: Whether the gradients are.

    Returns:
        (N,) fp32; 0 where the target does not count.
    """
    losses = torch.empty(len(logits), dtype=torch.float32, device=logits.device)
    added = logits if bias is None else bias  # a pointer that is never followed
    wrap_triton(_row)[(len(logits),)](
        logits, added, targets, losses, logits.stride(0), logits.shape[1], IGNORED=ignored,
        BIASED=bias is not None, NEEDED=needed, BLOCK=_BLOCK, num_warps=_WARPS,
    )  # fmt: skip
    return losses
