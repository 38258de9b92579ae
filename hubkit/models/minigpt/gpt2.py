"""GPT-2's weights in MiniGPT: the same function, with transformers' checkpoint on one side."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from hubkit.errors import UserError
from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM

if TYPE_CHECKING:
    from transformers import GPT2Config

_MLP: dict[str, Any] = {"gelu_new": "gelu", "gelu_pytorch_tanh": "gelu", "gelu": "gelu_exact", "relu": "relu"}

_NAMES = {
    "ln_1": "norm_1",
    "attn.c_attn": "attention.qkv",
    "attn.c_proj": "attention.out",
    "ln_2": "norm_2",
    "mlp.c_fc": "mlp.up",
    "mlp.c_proj": "mlp.down",
}
"""The parts of a block, there and here."""


def load_gpt2(checkpoint: str | Path, revision: str = "main") -> MiniGPTForCausalLM:
    """Return a MiniGPT that computes what a GPT-2 checkpoint of transformers computes.

    Dropout is that of the checkpoint's residual stream (`resid_pdrop`), here one number for all places.

    Args:
        checkpoint: Folder, or repository on the Hub.
        revision: Of the repository: a tag, a branch or a commit.

    Raises:
        UserError: It can't be read, is not a GPT-2, or one that MiniGPT can't be.
    """
    from transformers import AutoConfig, GPT2Config, GPT2LMHeadModel

    try:
        config = AutoConfig.from_pretrained(checkpoint, revision=revision)
        if not isinstance(config, GPT2Config):
            raise UserError(f"checkpoint: {checkpoint} is a {config.model_type}; a gpt2 is needed")
        ours = minigpt_config(config)
        theirs = GPT2LMHeadModel.from_pretrained(checkpoint, revision=revision, dtype=torch.float32)
    except OSError as error:
        raise UserError(f"checkpoint: {checkpoint} can't be read: {' '.join(str(error).split())}") from None
    model = MiniGPTForCausalLM(ours)
    model.load_state_dict(minigpt_weights(theirs.state_dict(), ours))
    model.tie_weights()
    model.generation_config = theirs.generation_config
    return model.eval()


def minigpt_config(config: "GPT2Config") -> MiniGPTConfig:
    """Return the configuration of a MiniGPT that computes what a GPT-2 does.

    Raises:
        UserError: It has an activation, a scale of its scores or a cross-attention that MiniGPT has not.
    """
    if config.activation_function not in _MLP:
        known = ", ".join(_MLP)
        raise UserError(f"activation_function: {config.activation_function!r} is none of MiniGPT's (known: {known})")
    for field, only in (
        ("scale_attn_weights", True), ("scale_attn_by_inverse_layer_idx", False), ("add_cross_attention", False),
    ):  # fmt: skip
        if getattr(config, field) != only:
            raise UserError(f"{field}: {getattr(config, field)} has no counterpart in MiniGPT; it must be {only}")
    return MiniGPTConfig(
        vocab_size=config.vocab_size,
        n_layer=config.n_layer,
        n_head=config.n_head,
        n_embd=config.n_embd,
        block_size=config.n_positions,
        mlp=_MLP[config.activation_function],
        mlp_hidden=config.n_inner,
        norm_eps=config.layer_norm_epsilon,
        tie_embeddings=config.tie_word_embeddings,
        dropout=config.resid_pdrop,
        initializer_range=config.initializer_range,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )


def minigpt_weights(weights: dict[str, Tensor], config: MiniGPTConfig) -> dict[str, Tensor]:
    """Return GPT-2's weights under MiniGPT's names; its linear maps are stored transposed."""
    places = {"transformer.ln_f": "model.norm"}
    for layer in range(config.n_layer):
        places |= {f"transformer.h.{layer}.{name}": f"model.layers.{layer}.{ours}" for name, ours in _NAMES.items()}
    found = {
        "model.embed_tokens.weight": weights["transformer.wte.weight"],
        "model.embed_positions.weight": weights["transformer.wpe.weight"],
        "lm_head.weight": weights["lm_head.weight"],
    }
    for theirs, ours in places.items():
        weight = weights[f"{theirs}.weight"]
        found[f"{ours}.weight"] = weight.T if weight.ndim == 2 else weight
        found[f"{ours}.bias"] = weights[f"{theirs}.bias"]
    return {name: tensor.contiguous() for name, tensor in found.items()}
