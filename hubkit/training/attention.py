"""Attention by the fastest kernel that a batch allows.

The fast kernels take no mask. transformers writes one out for whatever is padded or packed, and whenever it compiles,
because it can't look whether there is padding; scaled_dot_product_attention then falls back to kernels that hold all
scores, and a RoBERTa of 2048 tokens needs several times the memory and twice the time. The batch itself tells: what is
neither padded nor packed has no `attention_mask` and no `position_ids`, and needs no mask. What is has segments: the
tokens of a row and its padding, or its documents. Flash attention is told where each begins, and none sees another.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

_USUAL, _UNMASKED, _BY_SEGMENTS = "sdpa", "sdpa_without_mask", "sdpa_by_segments"
_BEGINNINGS = "cu_seq_lens_q"
"""What transformers calls the places where segments begin, for all kernels that are told of them."""

_ROOMY = {(8, 0), (9, 0), (10, 0)}
"""Compute capability of A100, H100 and B200: of the cards for data centres."""

Batch = Mapping[str, "torch.Tensor"]


class Attention:
    """How a model attends to the batches of a run."""

    def __init__(self, model: "PreTrainedModel", device: "torch.device", narrow: bool = False, steady: bool = False):
        """Look what the model and the device can do.

        Args:
            model: Of transformers' kind. One that attends otherwise than by SDPA, or that leaves tokens out of
                attention by itself, is left as it is.
            device: Where it attends.
            narrow: Whether it attends in 16 bits, which is all that flash attention can.
            steady: Whether all batches are of one length.
        """
        self._config = config = model.config
        # One that leaves tokens out of attention by itself needs the mask that it makes.
        fits = config._attn_implementation == _USUAL and not getattr(config, "unattended_token_ids", ())
        self._fitting: set[str] = {_UNMASKED} if fits else set()
        if fits and narrow and _flash_attends(config, device):
            self._fitting.add(_BY_SEGMENTS)
        self._cudnn = device.type == "cuda" and steady
        _register()

    @contextmanager
    def fitting(self, batch: Batch) -> Iterator[Batch]:
        """Let the model attend to a batch in the way that fits it best; gives the batch that it is to read inside.

        Args:
            batch: In the host's memory; padded at the end of rows if at all.
        """
        chosen = self._chosen(batch)
        # A cache is for generating; with one, transformers lets documents see each other.
        with self._kernels(), _changed(self._config, _attn_implementation=chosen, use_cache=False):
            yield _with_segments(batch) if chosen == _BY_SEGMENTS else batch

    def _chosen(self, batch: Batch) -> str | None:
        """Return transformers' name of the best way that there is."""
        kinds_of_segments = len({"attention_mask", "position_ids"} & batch.keys())
        best = (_UNMASKED, _BY_SEGMENTS, _USUAL)[kinds_of_segments]
        return best if best in self._fitting else self._config._attn_implementation

    def _kernels(self) -> AbstractContextManager[Any]:
        """Prefer cuDNN's attention, which is made for Hopper, where batches are alike: it takes a second to plan each
        length. torch's own order begins with flash attention 2.

        What it can't do (such as giving the same bits each time, where that is asked for) goes to the next one.
        """
        if not self._cudnn:
            return nullcontext()
        from torch.nn.attention import SDPBackend, sdpa_kernel

        backends = "CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "MATH"
        return sdpa_kernel([getattr(SDPBackend, name) for name in backends], set_priority=True)


@contextmanager
def _changed(config: Any, **values: Any) -> Iterator[None]:
    """Let the fields of a config that it has be others inside ``with``."""
    before = {name: getattr(config, name) for name in values if hasattr(config, name)}
    for name in before:
        setattr(config, name, values[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


def _flash_attends(config: Any, device: "torch.device") -> bool:
    """Tell whether torch's flash attention can be told of segments there: on NVIDIA's cards from Ampere on."""
    import torch

    there = device.type == "cuda" and not torch.version.hip and torch.backends.cuda.is_flash_attention_available()
    if not there or (capability := torch.cuda.get_device_capability(device)) < (8, 0):
        return False
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    # Large heads have gradients only where a processor of the card has the memory for them.
    return size % 8 == 0 and size <= (256 if capability in _ROOMY else 192)


def _with_segments(batch: Batch) -> Batch:
    """Return a batch with the places where segments begin, and no mask."""
    import torch

    begins = torch.from_numpy(_beginnings(batch))
    return {name: tensor for name, tensor in batch.items() if name != "attention_mask"} | {_BEGINNINGS: begins}


def _beginnings(batch: Batch) -> np.ndarray:
    """Return where segments begin, counted through all rows, and where the last one ends: int32 (segments + 1,)."""
    rows, length = batch["input_ids"].shape
    if "position_ids" in batch:
        positions = batch["position_ids"].numpy()
        assert (positions[:, 0] == 0).all(), "a row begins with a document"
        begins = np.flatnonzero(positions == 0)
    else:
        # Always two to a row, of which the second may be empty: a compiled model meets one number of them.
        mask = batch["attention_mask"].numpy()
        assert (mask[:, 1:] <= mask[:, :-1]).all(), "padding is at the end"
        tokens = mask.sum(1)
        first = np.arange(rows) * length
        begins = np.stack([first, first + tokens], axis=1).ravel()
    return np.append(begins, rows * length).astype(np.int32)


def _attend_by_segments(
    module: Any,
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attention_mask: None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **told: Any,
) -> "tuple[torch.Tensor, None]":
    """Attend within segments: (B, H, T, head size) each → (B, T, H, head size)."""
    rows, heads, length, size = query.shape
    # Rotary positions are turned in fp32, and autocast, which brings all three to one type for SDPA, knows no other.
    query, key, value = (
        each.transpose(1, 2).reshape(rows * length, heads, size).to(value.dtype) for each in (query, key, value)
    )
    attended = _flash(query, key, value, told[_BEGINNINGS], length, dropout, module.is_causal, scaling)
    return attended.view(rows, length, heads, size), None


def _flash(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    begins: "torch.Tensor",
    longest: int,
    dropout: float,
    causal: bool,
    scaling: float | None,
) -> "torch.Tensor":
    """Return (B · T, H, head size), as :func:`torch.nn.attention.varlen.varlen_attn` would, which knows no dropout."""
    import torch

    attend = torch.ops.aten._flash_attention_forward
    return attend(query, key, value, begins, begins, longest, longest, dropout, causal, False, scale=scaling)[0]


def _register() -> None:
    """Tell transformers of attentions that have no function for masks: it makes none then."""
    from transformers import AttentionInterface
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    AttentionInterface.register(_UNMASKED, sdpa_attention_forward)
    AttentionInterface.register(_BY_SEGMENTS, _attend_by_segments)
