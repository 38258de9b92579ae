"""Dropout on a processor, whose masks cost a twentieth of torch's, for a model that knows nothing of it.

torch draws from a Mersenne Twister for each number that it may drop, one after the other, which takes a fifth of a
small RoBERTa's step. Here a call takes one seed from torch's generator, and a compiled loop makes eight decisions
at once of each block of Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). The
seed is all that the generator is asked for, so that a checkpoint of its state, which a run keeps anyway, is one of the
dropout too; and the same seed gives the same mask with any number of threads. `scripts/bench/dropout.py` measures both.

A share is dropped in steps of 1/65536, and what is kept grows by the exact inverse of the share that is kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hubkit.kernels import kernel

_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
"""The constants of Philox-4x32: what words are multiplied by, and what the key grows by from round to round."""
_WORD, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)
_HALF, _16 = np.uint64(0xFFFF), np.uint64(16)
_STEPS = 1 << 16
"""What a share is rounded to: a decision is made by 16 random bits."""
_torchs_dropout, _torchs_attention = F.dropout, F.scaled_dot_product_attention


@contextmanager
def fitting_dropout(device: torch.device, compiled: bool = False) -> Iterator[None]:
    """Have a model train with the dropout of this file: forward and backward, which may go forward again.

    Meanwhile `torch.nn.functional.dropout`, which `nn.Dropout` calls, and `scaled_dot_product_attention` are those of
    this file, for all threads of the process. They do what torch's do, and leave to torch's what they don't suit: what
    drops nothing, and what is not float32. Neither the model nor its configuration is changed.

    Args:
        device: Where the model trains; on a GPU nothing happens.
        compiled: Whether the model is; nothing happens then either.
    """
    if device.type != "cpu" or compiled:
        yield
        return
    usual = F.dropout, F.scaled_dot_product_attention
    F.dropout, F.scaled_dot_product_attention = dropout, attention
    try:
        yield
    finally:
        F.dropout, F.scaled_dot_product_attention = usual


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Do what `torch.nn.functional.dropout` does, which says what the arguments are."""
    if inplace or not training or not 0 < p <= 1 or not _suits(input):
        return _torchs_dropout(input, p, training, inplace)
    dropped: Tensor = _Dropped.apply(input, p)
    return dropped


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Do what `torch.nn.functional.scaled_dot_product_attention` does, which says what the arguments are.

    With dropout torch has no kernel for processors that holds less than all scores, so nothing is lost by writing it
    out. Without dropout, with a mask of numbers, or with keys that several heads share, it is torch's.
    """
    numbers = attn_mask is not None and (is_causal or attn_mask.dtype != torch.bool)
    if not 0 < dropout_p <= 1 or enable_gqa or numbers or not _suits(query):
        return _torchs_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-1, -2)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is None:
        weights = scores.softmax(-1)
    else:
        # The least number instead of infinity: a row without any key has gradients then, of zeros.
        least = scores.new_tensor(torch.finfo(scores.dtype).min)
        weights = scores.add_(torch.where(attn_mask, 0.0, least)).softmax(-1)
        if not (some := attn_mask.any(-1, keepdim=True)).all():
            weights = weights * some
    return dropout(weights, dropout_p) @ value


class _Dropped(torch.autograd.Function):
    """Dropout of a float32 tensor; for its gradient a byte is kept of each number."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, share: float) -> Tensor:
        below = round(share * _STEPS)
        ctx.scale = _STEPS / (_STEPS - below) if below < _STEPS else 0.0
        kept = _drawn(values.numel(), below)
        ctx.save_for_backward(kept)
        return _scaled(values, kept, ctx.scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (kept,) = ctx.saved_tensors
        return _scaled(gradient, kept, ctx.scale), None


def _suits(tensor: Tensor) -> bool:
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu"


def _drawn(count: int, below: int) -> Tensor:
    """Return so many decisions, true with probability 1 - `below` / 65536: bool (`count` rounded up to eights,)."""
    seed = int(torch.empty((), dtype=torch.int64).random_())
    kept = torch.empty(-(-count // 8) * 8, dtype=torch.bool)
    _decide(kept.numpy(), np.uint64(seed) & _WORD, np.uint64(seed) >> _32, np.uint64(below))
    return kept


def _scaled(values: Tensor, kept: Tensor, scale: float) -> Tensor:
    """Return `values` times `scale`, or 0 where they are not kept."""
    values = values.detach().contiguous()
    result = torch.empty_like(values)
    _select(values.view(-1).numpy(), kept.numpy(), np.float32(scale), result.view(-1).numpy())
    return result


@njit(inline="always")  # else the loop around it is not vectorised, and takes eight times as long
def philox(a, b, c, d, key_0, key_1):
    """Return the block of a counter (its words `a` to `d`) and a key: four words; all are uint64 below 2**32."""
    for _ in range(10):
        low, high = a * _MULTIPLIERS[0], c * _MULTIPLIERS[1]
        a, b, c, d = (high >> _32) ^ b ^ key_0, high & _WORD, (low >> _32) ^ d ^ key_1, low & _WORD
        key_0 = (key_0 + _WEYL[0]) & _WORD
        key_1 = (key_1 + _WEYL[1]) & _WORD
    return a, b, c, d


@kernel
def _decide(kept, key_0, key_1, below):
    """Fill `kept`, whose size is a multiple of 8: eight far-apart decisions a block, so that blocks go side by side."""
    eighth = kept.size // 8
    for i in range(eighth):
        index = np.uint64(i)
        a, b, c, d = philox(index & _WORD, index >> _32, np.uint64(0), np.uint64(0), key_0, key_1)
        kept[i] = (a & _HALF) >= below
        kept[i + eighth] = (a >> _16) >= below
        kept[i + 2 * eighth] = (b & _HALF) >= below
        kept[i + 3 * eighth] = (b >> _16) >= below
        kept[i + 4 * eighth] = (c & _HALF) >= below
        kept[i + 5 * eighth] = (c >> _16) >= below
        kept[i + 6 * eighth] = (d & _HALF) >= below
        kept[i + 7 * eighth] = (d >> _16) >= below


@kernel
def _select(values, kept, scale, result):
    for i in range(values.size):
        result[i] = values[i] * scale if kept[i] else np.float32(0.0)
