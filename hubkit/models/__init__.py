"""Architectures: one room each, whose spec says how to make the model.

Another architecture adds its spec to :data:`ModelSpec` (a union that `architecture` tells apart) and nothing else.
"""

from typing import Annotated

from pydantic import Field

from hubkit.models.gpt_neox import GPTNeoXSpec
from hubkit.models.minigpt.spec import MiniGPTSpec
from hubkit.models.numeric_roberta.spec import NumericRobertaSpec
from hubkit.models.recurrent.spec import RecurrentSpec
from hubkit.models.roberta import RobertaSpec

ModelSpec = Annotated[
    RobertaSpec | NumericRobertaSpec | MiniGPTSpec | RecurrentSpec | GPTNeoXSpec, Field(discriminator="architecture")
]
