"""The parts of MiniGPT: rotary positions, attention, MLP, block. It stands alone: it is published beside the weights.

Nothing is kept in buffers: the tables of rotary positions are a few thousand numbers, made anew in fp32 in each pass.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.cache_utils import Cache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from .configuration_minigpt import MiniGPTConfig
from .linear_minigpt import Linear

Rotation = tuple[Tensor, Tensor]
"""Cosines of the angles, and their sines with the sign of each half: (B or 1, T, 1, 1, head size) each."""


def rotation_of(position_ids: Tensor, head_size: int, theta: float) -> Rotation:
    """Return the rotation of each position (B or 1, T) in fp32: pair i turns by position · theta^(-2i / head size)."""
    powers = torch.arange(0, head_size, 2, device=position_ids.device, dtype=torch.float32) / head_size
    angles = position_ids[..., None, None, None].float() * theta**-powers
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), dim=-1), torch.cat((-sin, sin), dim=-1)


def rotate(heads: Tensor, rotation: Rotation) -> Tensor:
    """Turn pairs (i, i + head size / 2) of queries and keys: (B, T, 2, heads, head size), the same shape returned."""
    cos, sin = (table.to(heads.dtype) for table in rotation)
    return torch.addcmul(heads * cos, heads.roll(heads.shape[-1] // 2, dims=-1), sin)


def dropped(hidden: Tensor, probability: float, training: bool) -> Tensor:
    """Return `hidden` with dropout; a module of its own would cost a call where there is none to do."""
    return F.dropout(hidden, probability) if training and probability else hidden


def eager_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[Tensor, Tensor]:
    """Attend step by step: (B, H, T, head size) each → (B, T, H, head size), and the weights (B, H, T, S)."""
    scores = query @ key.transpose(-1, -2) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = F.softmax(scores, dim=-1, dtype=torch.float32).to(value.dtype)
    return (dropped(weights, dropout, module.training) @ value).transpose(1, 2), weights


class MiniGPTAttention(nn.Module):
    """Causal self-attention; one product makes queries, keys and values."""

    def __init__(self, config: MiniGPTConfig, layer: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer
        self.is_causal = True
        self.heads, self.head_size = config.n_head, config.head_size
        self.dropout = config.dropout
        self.scaling = config.head_size**-0.5
        qkv_bias = config.bias if config.qkv_bias is None else config.qkv_bias
        self.qkv = Linear(config.n_embd, 3 * config.n_embd, bias=qkv_bias)
        self.out = ResidualLinear(config.n_embd, config.n_embd, bias=config.bias)

    def forward(
        self,
        hidden: Tensor,
        attention_mask: Tensor | None,
        rotation: Rotation | None,
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what attention adds, (B, T, D), and its weights where the implementation tells them."""
        batch, length, _ = hidden.shape
        heads = self.qkv(hidden).view(batch, length, 3, self.heads, self.head_size)
        query, key, value = heads.unbind(2)
        if rotation is not None:
            query, key = rotate(heads[:, :, :2], rotation).unbind(2)
        query, key, value = query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(str(self.config._attn_implementation), eager_attention)
        dropout = self.dropout if self.training else 0.0
        attended, weights = attend(
            self, query, key, value, attention_mask, scaling=self.scaling, dropout=dropout, **kwargs
        )
        return self.out(attended.reshape(batch, length, -1)), weights


class ResidualLinear(Linear):
    """A projection back into the residual stream, whose fresh weights are smaller."""


class MiniGPTMLP(nn.Module):
    """Two linear maps and what is between them; SwiGLU's gate comes out of the first one too."""

    def __init__(self, config: MiniGPTConfig) -> None:
        super().__init__()
        self.kind = config.mlp
        hidden = config.intermediate_size
        self.up = Linear(config.n_embd, 2 * hidden if config.mlp == "swiglu" else hidden, bias=config.bias)
        self.down = ResidualLinear(hidden, config.n_embd, bias=config.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return what the MLP adds: (B, T, D) → (B, T, D)."""
        hidden = self.up(hidden)
        if self.kind == "swiglu":
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * hidden
        elif self.kind == "relu":
            hidden = F.relu(hidden)
        else:
            hidden = F.gelu(hidden, approximate="tanh" if self.kind == "gelu" else "none")
        return self.down(hidden)


class MiniGPTBlock(GradientCheckpointingLayer):
    """Attention and MLP, each behind a norm and added to the residual stream."""

    def __init__(self, config: MiniGPTConfig, layer: int) -> None:
        super().__init__()
        self.norm_1 = norm_of(config)
        self.attention = MiniGPTAttention(config, layer)
        self.norm_2 = norm_of(config)
        self.mlp = MiniGPTMLP(config)
        self.dropout = config.dropout

    def forward(
        self,
        hidden: Tensor,
        attention_mask: Tensor | None = None,
        rotation: Rotation | None = None,
        past_key_values: Cache | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the residual stream after this block, (B, T, D), and the attention's weights, if there are any."""
        added, weights = self.attention(self.norm_1(hidden), attention_mask, rotation, past_key_values, **kwargs)
        hidden = hidden + dropped(added, self.dropout, self.training)
        added = self.mlp(self.norm_2(hidden))
        return hidden + dropped(added, self.dropout, self.training), weights


def norm_of(config: MiniGPTConfig) -> nn.Module:
    """Return a fresh norm of the kind that the configuration names."""
    if config.norm == "rmsnorm":
        return nn.RMSNorm(config.n_embd, eps=config.norm_eps)
    return nn.LayerNorm(config.n_embd, eps=config.norm_eps, bias=config.bias)
