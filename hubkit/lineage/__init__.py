"""Lineage: what a repository was made of and what was made of it, and how a model is made again from what it records.

:func:`trace` walks from a repository both ways (:mod:`.walk`), :func:`tree` and :func:`svg` draw what it found.
:mod:`.original` reads what a model records of its making, :mod:`.remaking` says by which commands it is made again and
what stands against that, :mod:`.running` runs them, :mod:`.comparing` puts what was made beside what was published.
"""

from hubkit.lineage.drawing import svg
from hubkit.lineage.graph import Edge, Graph, Node
from hubkit.lineage.tree import tree
from hubkit.lineage.walk import trace

__all__ = ["Edge", "Graph", "Node", "svg", "trace", "tree"]
