"""A RoBERTa that reads and writes numbers as numbers (xVal), and a spec for recipes.

`configuration_…`, `numbers_…` and `modeling_numeric_roberta.py` stand alone, because they are published with the
weights. torch is loaded with the first class that needs it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hubkit.models.numeric_roberta.spec import NumericRobertaSpec

if TYPE_CHECKING:
    from hubkit.models.numeric_roberta.configuration_numeric_roberta import NumericRobertaConfig
    from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM
    from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers

__all__ = ["Numbers", "NumericRobertaConfig", "NumericRobertaForMaskedLM", "NumericRobertaSpec", "register"]

_HOMES = {
    "Numbers": "numbers_numeric_roberta",
    "NumericRobertaConfig": "configuration_numeric_roberta",
    "NumericRobertaForMaskedLM": "modeling_numeric_roberta",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def register() -> None:
    """Make transformers' Auto classes load the model by hubkit's own code, with no trust in code from a Hub."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    from hubkit.models.numeric_roberta.configuration_numeric_roberta import NumericRobertaConfig
    from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM

    AutoConfig.register(NumericRobertaConfig.model_type, NumericRobertaConfig, exist_ok=True)
    AutoModelForMaskedLM.register(NumericRobertaConfig, NumericRobertaForMaskedLM, exist_ok=True)
