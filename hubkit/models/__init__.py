"""Architectures: one module each, whose spec says how to make the model.

Another architecture adds its spec to :data:`ModelSpec` (a union that `architecture` tells apart) and nothing else.
"""

from hubkit.models.roberta import RobertaSpec

ModelSpec = RobertaSpec
