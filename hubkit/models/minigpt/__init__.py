"""MiniGPT: GPT-2's architecture with the switches that an ablation compares, and a spec for recipes.

`configuration_minigpt.py`, `layers_minigpt.py` and `modeling_minigpt.py` stand alone, because they
are published with the weights; the other files are hubkit's. torch is loaded with the first class that needs it.
"""

from typing import TYPE_CHECKING

from hubkit.models.minigpt.spec import MiniGPTSpec
from hubkit.models.own import lazily

if TYPE_CHECKING:
    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
    from hubkit.models.minigpt.gpt2 import load_gpt2
    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM, MiniGPTModel

__all__ = ["MiniGPTConfig", "MiniGPTForCausalLM", "MiniGPTModel", "MiniGPTSpec", "load_gpt2"]

__getattr__ = lazily(
    __name__,
    {
        "MiniGPTConfig": "configuration_minigpt",
        "MiniGPTForCausalLM": "modeling_minigpt",
        "MiniGPTModel": "modeling_minigpt",
        "load_gpt2": "gpt2",
    },
)
