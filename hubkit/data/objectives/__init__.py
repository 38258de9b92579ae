"""What a model is asked to predict: turns samples into a batch with labels.

Another objective adds its spec to :data:`ObjectiveSpec` (a union that `name` tells apart) and nothing else: the loop
and the loader know only what :class:`Objective` says.
"""

from typing import Annotated

from pydantic import Field

from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.objectives.masked import MaskedSpec
from hubkit.data.objectives.numeric import NumericMaskedSpec

ObjectiveSpec = Annotated[MaskedSpec | NumericMaskedSpec | CausalSpec, Field(discriminator="name")]
