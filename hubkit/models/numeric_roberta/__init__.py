"""A RoBERTa that reads and writes numbers as numbers (xVal), and a spec for recipes.

`configuration_…`, `numbers_…` and `modeling_numeric_roberta.py` stand alone, because they are published with the
weights. torch is loaded with the first class that needs it.
"""

from typing import TYPE_CHECKING

from hubkit.models.numeric_roberta.spec import NumericRobertaSpec
from hubkit.models.own import lazily

if TYPE_CHECKING:
    from hubkit.models.numeric_roberta.configuration_numeric_roberta import NumericRobertaConfig
    from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM
    from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers

__all__ = ["Numbers", "NumericRobertaConfig", "NumericRobertaForMaskedLM", "NumericRobertaSpec"]

__getattr__ = lazily(
    __name__,
    {
        "Numbers": "numbers_numeric_roberta",
        "NumericRobertaConfig": "configuration_numeric_roberta",
        "NumericRobertaForMaskedLM": "modeling_numeric_roberta",
    },
)
