"""MiniGPT: GPT-2's architecture with the switches that an ablation compares, and a spec for recipes.

`configuration_minigpt.py`, `layers_minigpt.py`, `loss_minigpt.py` and `modeling_minigpt.py` stand alone, because they
are published with the weights; the other files are hubkit's. torch is loaded with the first class that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hubkit.models.minigpt.spec import MiniGPTSpec

if TYPE_CHECKING:
    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
    from hubkit.models.minigpt.gpt2 import load_gpt2
    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM, MiniGPTModel

__all__ = ["MiniGPTConfig", "MiniGPTForCausalLM", "MiniGPTModel", "MiniGPTSpec", "load_gpt2", "register"]

_HOMES = {
    "MiniGPTConfig": "configuration_minigpt",
    "MiniGPTForCausalLM": "modeling_minigpt",
    "MiniGPTModel": "modeling_minigpt",
    "load_gpt2": "gpt2",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def register() -> None:
    """Make transformers' Auto classes load MiniGPT by hubkit's own code, with no trust in code from a Hub."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM

    AutoConfig.register(MiniGPTConfig.model_type, MiniGPTConfig, exist_ok=True)
    AutoModelForCausalLM.register(MiniGPTConfig, MiniGPTForCausalLM, exist_ok=True)
