"""GRU and LSTM language models, and a spec for recipes.

`configuration_recurrent.py` and `modeling_recurrent.py` stand alone, because they are published with the weights. torch
is loaded with the first class that needs it.
"""

from typing import TYPE_CHECKING

from hubkit.models.own import lazily
from hubkit.models.recurrent.spec import RecurrentSpec

if TYPE_CHECKING:
    from hubkit.models.recurrent.configuration_recurrent import RecurrentConfig
    from hubkit.models.recurrent.modeling_recurrent import RecurrentForCausalLM

__all__ = ["RecurrentConfig", "RecurrentForCausalLM", "RecurrentSpec"]

__getattr__ = lazily(
    __name__,
    {"RecurrentConfig": "configuration_recurrent", "RecurrentForCausalLM": "modeling_recurrent"},
)
