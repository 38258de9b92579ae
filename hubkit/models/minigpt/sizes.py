"""Named sizes of MiniGPT: minGPT's and GPT-2's, those of "Arrows of Time" (arXiv 2401.17505), and a small preset."""

from typing import Any, Literal

Size = Literal[
    "nano", "micro", "mini", "small", "gopher-44m", "gpt1", "gpt2", "medium", "large", "xl", "rewriting"
]  # fmt: skip

_SHAPES: dict[str, tuple[int, int, int]] = {
    "nano": (3, 3, 48),
    "micro": (4, 4, 128),
    "mini": (6, 6, 192),
    "small": (10, 10, 380),
    "gopher-44m": (8, 16, 512),
    "gpt1": (12, 12, 768),
    "gpt2": (12, 12, 768),
    "medium": (24, 16, 1024),
    "large": (36, 20, 1280),
    "xl": (48, 25, 1600),
}
"""Blocks, heads a block, width."""

SIZES: dict[str, dict[str, Any]] = {
    name: {"n_layer": layers, "n_head": heads, "n_embd": width} for name, (layers, heads, width) in _SHAPES.items()
}
"""The fields that a size stands for."""

SIZES["rewriting"] = {
    "n_layer": 1,
    "n_head": 2,
    "n_embd": 32,
    "block_size": 32,
    "mlp": "relu",
    "qkv_bias": False,
    "head_bias": True,
}
"""For string rewriting: 14,086 parameters with six tokens, two letters and four signs."""
