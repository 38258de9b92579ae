"""GRU and LSTM language models, and a spec for recipes.

`configuration_recurrent.py` and `modeling_recurrent.py` stand alone, because they are published with the weights. torch
is loaded with the first class that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hubkit.models.recurrent.spec import RecurrentSpec

if TYPE_CHECKING:
    from hubkit.models.recurrent.configuration_recurrent import RecurrentConfig
    from hubkit.models.recurrent.modeling_recurrent import RecurrentForCausalLM

__all__ = ["RecurrentConfig", "RecurrentForCausalLM", "RecurrentSpec", "register"]

_HOMES = {"RecurrentConfig": "configuration_recurrent", "RecurrentForCausalLM": "modeling_recurrent"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def register() -> None:
    """Make transformers' Auto classes load recurrent models by hubkit's own code, with no trust in code from a Hub."""
    from transformers import AutoConfig, AutoModelForCausalLM

    from hubkit.models.recurrent.configuration_recurrent import RecurrentConfig
    from hubkit.models.recurrent.modeling_recurrent import RecurrentForCausalLM

    AutoConfig.register(RecurrentConfig.model_type, RecurrentConfig, exist_ok=True)
    AutoModelForCausalLM.register(RecurrentConfig, RecurrentForCausalLM, exist_ok=True)
