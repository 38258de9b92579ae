"""Loads models: stock code, or the copies that were deployed with this Space; never code of a model's repository."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig

from settings import Pin

PACKAGE = "hubkit_models"
"""The folder beside this file with the architectures that transformers lacks."""


def read_config(pin: Pin) -> dict[str, Any]:
    """Return a model's `config.json`.

    Raises:
        OSError: There is no such model.
    """
    return PreTrainedConfig.get_config_dict(pin.repo, revision=pin.revision)[0]


def head_of(config: dict[str, Any]) -> str:
    """Return what a model's head is for: the end of its class's name, as MaskedLM of RobertaForMaskedLM."""
    name = str((config.get("architectures") or [""])[0])
    return "CausalLM" if name.endswith("LMHeadModel") else name.rpartition("For")[2]


def load(pin: Pin, auto: Any) -> tuple[Any, Any]:
    """Return the tokenizer and the model of a pin, in evaluation mode and on the GPU if there is one.

    Args:
        pin: The model.
        auto: The class of transformers that loads stock architectures with that head.

    Raises:
        OSError: A file is missing.
        ValueError: The architecture is unknown here.
    """
    own = _own_class(read_config(pin))
    loader, trust = (own, {}) if own else (auto, {"trust_remote_code": False})
    model = loader.from_pretrained(pin.repo, revision=pin.revision, use_safetensors=True, dtype=torch.float32, **trust)
    # Told the config, it does not look for that of an architecture that transformers lacks.
    tokenizer = AutoTokenizer.from_pretrained(
        pin.repo, revision=pin.revision, config=model.config, trust_remote_code=False
    )
    return tokenizer, model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def _own_class(config: dict[str, Any]) -> Any:
    """Return the class of an architecture that was deployed with this Space, or None."""
    architecture = str(config.get("model_type"))
    folder = f"{PACKAGE}.{architecture}"
    if not architecture.isidentifier() or find_spec(PACKAGE) is None or find_spec(folder) is None:
        return None
    module = import_module(f"{folder}.modeling_{architecture}")
    name = config["architectures"][0]
    if not isinstance(getattr(module, name, None), type):
        raise ValueError(f"its architecture {architecture} has no {name}")
    return getattr(module, name)
