"""The graph of a lineage: things at commits, what uses what, and what is wrong with that."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hubkit.lineage.records import Kind, Measured, Use
from hubkit.publishing.versions import Version

Flag = Literal["stale", "unreleased", "unpinned", "unreachable", "moved", "gated", "private"]

SHORT = 12
"""Hex digits of a commit that people see."""


@dataclass(frozen=True)
class Node:
    """A thing at one commit: a repository, or what has a name and a hash alone."""

    kind: Kind
    name: str
    """OWNER/NAME; or what is called so: a tokenizer of hubkit's, files on somebody's machine, an evaluation."""
    revision: str | None = None
    """The commit, 40 hex digits; of what is no repository the sha256, if it is known."""
    release: str | None = None
    """The tag at that commit; of several the highest version."""
    date: str | None = None
    """When the commit was made, such as ``2026-11-22``."""
    newest: str | None = None
    """The highest release of the repository."""
    behind: bool = False
    """Whether the newest release was made after this commit."""
    unreachable: str | None = None
    """Why the Hub does not show it, in words."""
    moved_from: str | None = None
    """The name that it was asked for by, where the Hub knows it by another now."""
    gated: bool = False
    private: bool = False
    facts: tuple[str, ...] = ()
    """What its own record says of it, in words."""
    uses: tuple[Use, ...] = field(default=(), repr=False)
    """What it was made of, as it records."""
    measured: tuple[Measured, ...] = field(default=(), repr=False)
    """Of a model, its evaluations."""

    @property
    def id(self) -> str:
        """Its identity in a graph."""
        return f"{self.kind}:{self.name}@{self.revision or ''}"

    @property
    def short(self) -> str:
        """The commit or hash as people see it; empty if it has none."""
        return (self.revision or "")[:SHORT]

    @property
    def is_repository(self) -> bool:
        """Whether the Hub can be asked for it."""
        return self.kind in ("model", "dataset", "space")

    def flags(self) -> Iterator[tuple[Flag, str]]:
        """Yield what is the matter with it, each with a remark in words."""
        if self.unreachable:
            yield "unreachable", self.unreachable
        if self.moved_from:
            yield "moved", f"it was called {self.moved_from}"
        if self.gated:
            yield "gated", "its files are for those whom its owner lets in"
        if self.private:
            yield "private", "only its owner's tokens see it"


@dataclass(frozen=True)
class Edge:
    """One thing was used by another."""

    source: str
    """Id of what was used."""
    target: str
    """Id of what uses it."""
    relation: str
    """How, such as ``trained on``."""
    pinned: bool
    """Whether the user says at which commit."""


@dataclass
class Graph:
    """Everything that was found on the way from one repository."""

    root: str
    """Id of the node that was asked for."""
    at_revision: bool = False
    """Whether it was asked for at a revision, and not for what it is now."""
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    """In the order in which they were found."""
    remarks: list[str] = field(default_factory=list)
    """What could not be asked, and what was left out."""
    cut: set[str] = field(default_factory=set)
    """Ids of nodes from which the walk went no further."""

    def made_of(self, node: str) -> list[Edge]:
        """Return the edges to what a node uses."""
        return [edge for edge in self.edges if edge.target == node]

    def used_by(self, node: str) -> list[Edge]:
        """Return the edges to what uses a node."""
        return [edge for edge in self.edges if edge.source == node]

    def commits_of(self, node: str) -> list[str]:
        """Return the ids of all commits of a node's repository that are in the graph, its own first."""
        own = self.nodes[node]
        others = [one.id for one in self.nodes.values() if (one.kind, one.name) == (own.kind, own.name)]
        return [node, *(other for other in others if other != node)]

    def flags(self, edge: Edge) -> Iterator[tuple[Flag, str]]:
        """Yield what is the matter with a use: of an old release, of a commit that is none, of no certain commit."""
        used, user = self.nodes[edge.source], self.nodes[edge.target]
        own = used.kind == "model" and user.kind == "evaluation"  # it lies in the model's repository
        if own or not used.is_repository or used.unreachable:
            return
        if not edge.pinned:
            yield "unpinned", f"it names {used.name} without a commit"
            return
        if used.behind:
            at = used.release or used.short
            yield "stale", f"{edge.relation} {at} of {used.name}, the newest is {used.newest}"
        if used.release is None:
            yield "unreleased", f"no tag of {used.name} is at {used.short}"

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        return {
            "root": self.root,
            "nodes": [_node_json(node, node.id in self.cut) for node in self.nodes.values()],
            "edges": [
                {"from": edge.source, "to": edge.target, "relation": edge.relation, "pinned": edge.pinned}
                | {"flags": dict(self.flags(edge))}
                for edge in self.edges
            ],
            "remarks": self.remarks,
        }


def newer_exists(release: str | None, newest: str | None) -> bool:
    """Tell whether of two tags of a repository the second is the higher version."""
    ours, highest = (Version.of_tag(tag) if tag else None for tag in (release, newest))
    return ours is not None and highest is not None and ours < highest


def _node_json(node: Node, cut: bool) -> dict[str, Any]:
    return {
        "id": node.id,
        "kind": node.kind,
        "name": node.name,
        "revision": node.revision,
        "release": node.release,
        "date": node.date,
        "newest": node.newest,
        "facts": list(node.facts),
        "flags": dict(node.flags()),
        "cut": cut,
    }


def flag_texts(flags: Sequence[tuple[Flag, str]]) -> list[str]:
    """Return flags as people read them: the word, and the remark behind it."""
    return [f"{flag}: {remark}" for flag, remark in flags]
