"""Cross-entropy of a large vocabulary in chunks, for any causal model that ends in one linear head.

The logits of a batch are by far its largest tensor: 64 × 1024 tokens of GPT-2's vocabulary are 13 GB in fp32, and their
gradient as much again. Here each chunk of tokens is taken through the head, through the loss and back at once, in the
forward pass, so that no more than one chunk's logits exist at a time and the head is multiplied no more often than
without chunks (the idea of Liger Kernel, arXiv 2410.10989, and of Wijmans et al., arXiv 2411.09009).
"""

from importlib.util import find_spec
from types import MethodType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hubkit.data.objectives.base import IGNORED

if find_spec("triton"):
    from hubkit.training.cross_entropy_kernel import cross_entropy_
else:
    cross_entropy_ = None

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def chunk_loss(model: "PreTrainedModel", chunk: int) -> None:
    """Let a model compute its loss in chunks, in training and in evaluation; without labels it is as it was.

    A model whose head is more than one linear map of its body's last hidden state, such as a masked one, is left alone.

    Args:
        model: Of transformers' kind: it has a body, and gets targets as `shift_labels`. Its `forward` is
            replaced, and its head's.
        chunk: Tokens at once.
    """
    body, head = model.base_model, model.get_output_embeddings()
    if body is model or not isinstance(head, nn.Linear) or head is not getattr(model, "lm_head", None):
        return
    plain, head_alone = model.forward, head.forward

    def forward(self: Any, *read: Any, shift_labels: Tensor | None = None, **inputs: Any) -> Any:
        if shift_labels is None:
            return plain(*read, **inputs)
        from transformers.modeling_outputs import CausalLMOutputWithPast

        inputs.pop("labels", None)  # the same, not shifted
        hidden = body(*read, **inputs).last_hidden_state
        return CausalLMOutputWithPast(loss=head(hidden, shift_labels))

    def head_forward(self: nn.Linear, hidden: Tensor, targets: Tensor | None = None) -> Tensor:
        # The head itself is called: where weights are shared out over processes, that gathers its own.
        if targets is None:
            return head_alone(hidden)
        return chunked_cross_entropy(hidden, self.weight, self.bias, targets, chunk)

    model.forward, head.forward = MethodType(forward, model), MethodType(head_forward, head)


def chunked_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    chunk: int,
) -> Tensor:
    """Return the mean cross-entropy of a linear head, and never hold the logits of more than `chunk` tokens.

    The products run in autocast's type where that is on, all else in fp32, the weight's gradient included.

    Args:
        hidden: What the head reads: (..., D) floating.
        weight: The head's weight: (V, D) floating.
        bias: The head's bias: (V,) floating, or None.
        targets: Ids: (...) int64; `IGNORED` is not counted.
        chunk: Tokens at once.

    Returns:
        () fp32; NaN if nothing counts, as torch's own.
    """
    device = hidden.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
    targets = targets.reshape(-1)
    eager_cpu = device == "cpu" and not torch.compiler.is_compiling()
    if len(targets) <= chunk and not eager_cpu:  # nothing to gain, and torch's own is one kernel
        return F.cross_entropy(F.linear(hidden.flatten(0, -2), weight, bias).float(), targets, ignore_index=IGNORED)
    count = (targets != IGNORED).sum()
    needed = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    flat = hidden.reshape(-1, hidden.shape[-1])
    with torch.autocast(device, enabled=False):
        total = _ChunkedCrossEntropy.apply(flat, weight, bias, targets, chunk, dtype, needed)
        return total / count


class _ChunkedCrossEntropy(torch.autograd.Function):
    """The summed loss, whose gradients are computed beside it."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        chunk: int,
        dtype: torch.dtype,
        needed: bool,
    ) -> Tensor:
        head = weight.to(dtype)
        total = of_weight = of_bias = None
        of_hidden = []
        for part, asked in zip(hidden.split(chunk), targets.split(chunk), strict=True):
            narrow = part.to(dtype)
            loss, gradient = _loss_and_gradient(F.linear(narrow, head), bias, asked, needed)
            total = _sum(total, loss)
            if gradient is not None:
                if bias is not None:
                    of_bias = _sum(of_bias, gradient.sum(0, dtype=torch.float32))
                gradient = gradient.to(dtype)
                of_hidden.append((gradient @ head).to(hidden.dtype))
                of_weight = _sum(of_weight, (gradient.T @ narrow).float())
        assert total is not None, "no chunk without a token"
        if needed:
            ctx.save_for_backward(torch.cat(of_hidden), of_weight, of_bias)
            ctx.weight_dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        of_hidden, of_weight, of_bias = ctx.saved_tensors
        (scale,) = upstream

        def scaled(gradient: Tensor | None) -> Tensor | None:
            return None if gradient is None else (gradient * scale).to(ctx.weight_dtype)

        return of_hidden * scale.to(of_hidden.dtype), scaled(of_weight), scaled(of_bias), None, None, None, None


def _sum(so_far: Tensor | None, more: Tensor) -> Tensor:
    return more if so_far is None else so_far + more


def _loss_and_gradient(
    logits: Tensor, bias: Tensor | None, targets: Tensor, needed: bool
) -> tuple[Tensor, Tensor | None]:
    """Return the summed loss of logits (N, V), taken in fp32, and its gradient for them; that may take their place."""
    if logits.is_cuda and cross_entropy_ is not None:
        losses = cross_entropy_(logits, bias, targets, IGNORED, needed)
        return losses.sum(), logits if needed else None
    logits = logits.float()
    if bias is not None:
        logits = logits + bias.float()
    counts = (targets != IGNORED)[:, None]
    asked = targets.clamp(min=0)[:, None]
    if torch.compiler.is_compiling():
        log_shares = logits.log_softmax(-1)
        loss = torch.where(counts, -log_shares.gather(1, asked), 0.0).sum()
        # A comparison, for a scatter into the softmax would be a pass of its own.
        right = torch.arange(logits.shape[1], device=logits.device) == asked
        return loss, torch.where(counts, log_shares.exp() - right.float(), 0.0) if needed else None
    # In place, for on a processor new memory of this size takes longer than the sums.
    highest, right = logits.amax(-1, keepdim=True), logits.gather(1, asked)
    shares = logits.sub_(highest).exp_()
    total = shares.sum(-1, keepdim=True)
    loss = torch.where(counts, total.log() + highest - right, 0.0).sum()
    if not needed:
        return loss, None
    gradient = shares.div_(total).scatter_add_(1, asked, torch.full_like(asked, -1.0, dtype=torch.float32))
    return loss, gradient.index_fill_(0, (~counts[:, 0]).nonzero()[:, 0], 0.0)
