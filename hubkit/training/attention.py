"""Attention without a mask where nothing has to be masked, and the fastest kernel for it.

The fast kernels of scaled_dot_product_attention take no mask. transformers writes one out whenever it compiles, because
it can't look whether there is padding, and falls back to kernels that hold all scores: a RoBERTa of 2048 tokens then
needs several times the memory and twice the time. The batch itself tells: what is neither padded nor packed has no
`attention_mask` and no `position_ids`.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_USUAL, _UNMASKED = "sdpa", "sdpa_without_mask"


@contextmanager
def fitting_attention(model: "PreTrainedModel", batch: Mapping[str, Any], device: "torch.device") -> Iterator[None]:
    """Let a model attend to a batch without a mask where none is needed, and on a GPU by the fastest kernel.

    Args:
        model: Of transformers' kind. One that attends otherwise than by SDPA, or that leaves tokens out of attention by
            itself, is left as it is.
        batch: What the model is about to read.
        device: Where it does.
    """
    unmasked = "attention_mask" not in batch and "position_ids" not in batch
    unmasked = unmasked and not getattr(model.config, "unattended_token_ids", ())
    with _kernels(device):
        if not unmasked or model.config._attn_implementation != _USUAL:
            yield
            return
        _register()
        model.config._attn_implementation = _UNMASKED
        try:
            yield
        finally:
            model.config._attn_implementation = _USUAL


def _kernels(device: "torch.device") -> AbstractContextManager[Any]:
    """Prefer cuDNN's attention on a GPU, which is made for Hopper; torch's own order begins with flash attention 2.

    What it can't do (such as giving the same bits each time, where that is asked for) goes to the next one.
    """
    if device.type != "cuda":
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    backends = "CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"
    return sdpa_kernel([getattr(SDPBackend, name) for name in backends], set_priority=True)


def _register() -> None:
    """Tell transformers of an attention that has no function for masks: it makes none then."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    AttentionInterface.register(_UNMASKED, sdpa_attention_forward)
