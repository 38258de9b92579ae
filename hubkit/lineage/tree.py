"""A lineage as text: the repository, below it as trees what it was made of and what uses it."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from hubkit.lineage.graph import Edge, Flag, Graph, Node, flag_texts

_METRICS = 4
"""Numbers of an evaluation that are shown."""


class _Line(NamedTuple):
    edge: Edge
    node: Node
    prefix: str
    """What stands before the branch of this line."""
    is_last: bool


Branch = tuple[Edge, str]
"""An edge, and the id of the node at its other end."""
Branches = Callable[[Graph, str], list[Branch]]


def tree(graph: Graph) -> str:
    """Return a graph as text for people; a node that comes again is named and not repeated."""
    root = graph.nodes[graph.root]
    lines = [_label(root), *(f"  {text}" for text in _remarks(graph, root, None))]
    for title, branches in (("made of", _back), ("used by", _forth)):
        drawn = list(_draw(graph, branches))
        lines += ["", title, *(drawn or ["  nothing that the Hub knows of"])]
    if graph.remarks:
        lines += ["", *dict.fromkeys(graph.remarks)]
    return "\n".join(lines)


def findings(graph: Graph) -> list[str]:
    """Return everything that is flagged, each as one line: what, and where."""
    found = [
        f"{graph.nodes[edge.target].name}: {text}"
        for edge in graph.edges
        for text in flag_texts(list(graph.flags(edge)))
    ]
    for node in graph.nodes.values():
        found += [f"{node.name}: {text}" for text in flag_texts(list(node.flags()))]
    return list(dict.fromkeys(found))


def _back(graph: Graph, node: str) -> list[Branch]:
    """Return the edges to what a node uses; its evaluations too, for the text has no other place for them."""
    # Repositories before what has only a name and a hash.
    used = sorted(graph.made_of(node), key=lambda edge: not graph.nodes[edge.source].is_repository)
    made = [(edge, edge.source) for edge in used]
    return made if node == graph.root else made + _evaluations(graph, node)


def _forth(graph: Graph, node: str) -> list[Branch]:
    """Return the edges to what uses a node, at whichever of its commits if it was asked for as it is now."""
    commits = [node] if node == graph.root and graph.at_revision else graph.commits_of(node)
    users = [(edge, edge.target) for commit in commits for edge in graph.used_by(commit)]
    # An evaluation stands below its model, and not below its dataset once more.
    return _evaluations(graph, node) + [(edge, user) for edge, user in users if not _is_evaluation(graph, user)]


def _evaluations(graph: Graph, node: str) -> list[Branch]:
    if graph.nodes[node].kind != "model":
        return []
    return [(edge, edge.target) for edge in graph.used_by(node) if _is_evaluation(graph, edge.target)]


def _is_evaluation(graph: Graph, node: str) -> bool:
    return graph.nodes[node].kind == "evaluation"


def _draw(graph: Graph, branches: Branches) -> Iterator[str]:
    """Yield the lines of one tree, without recursion: a chain may be deep."""
    shown = {graph.root}
    stack = _pushed(graph, branches(graph, graph.root), "")
    while stack:
        edge, node, prefix, is_last = stack.pop()
        branch, below = ("└── ", "    ") if is_last else ("├── ", "│   ")
        again = node.id in shown
        yield f"{prefix}{branch}{_branch(edge, node)}" + (" (see above)" if again else "")
        following = [] if again or node.kind == "evaluation" else branches(graph, node.id)
        inner = prefix + below
        for text in _of_edge(graph, edge) if again else _remarks(graph, node, edge):
            yield f"{inner}{'│ ' if following else '  '}{text}"
        shown.add(node.id)
        stack += _pushed(graph, following, inner)


def _pushed(graph: Graph, branches: list[Branch], prefix: str) -> list[_Line]:
    """Return the lines to draw next, the first one last."""
    ends = reversed(branches)
    return [_Line(edge, graph.nodes[node], prefix, index == 0) for index, (edge, node) in enumerate(ends)]


def _branch(edge: Edge, node: Node) -> str:
    """Return what stands behind a branch: how it uses what is above it, or how that uses it."""
    if node.kind == "evaluation" or node.id == edge.source:
        return f"{edge.relation} {_label(node)}"
    return f"{_label(node)}, {edge.relation} it"


def _label(node: Node) -> str:
    """Return what a node is, its release, commit and date."""
    if node.kind == "evaluation":
        return node.name
    parts = (node.kind, node.name, node.release, node.short, node.date)
    return " ".join(part for part in parts if part)


def _remarks(graph: Graph, node: Node, edge: Edge | None) -> list[str]:
    """Return what stands below a node: what its record says, and what is the matter with it."""
    facts = node.facts
    if node.kind == "evaluation" and len(facts) > _METRICS:
        facts = (*facts[:_METRICS], f"and {len(facts) - _METRICS} more")
    lines = [", ".join(facts)] if facts and node.kind != "evaluation" else list(facts)
    lines += _marked(list(node.flags()))
    # Where an evaluation stands nothing else shows the edge from its dataset.
    edges = graph.made_of(node.id) if node.kind == "evaluation" else [edge] if edge else []
    lines += dict.fromkeys(line for each in edges for line in _of_edge(graph, each))
    if node.id in graph.cut:
        lines.append("… the walk ends here: --depth goes further")
    return lines


def _of_edge(graph: Graph, edge: Edge) -> list[str]:
    return _marked(list(graph.flags(edge)))


def _marked(flags: list[tuple[Flag, str]]) -> list[str]:
    return [f"! {text}" for text in flag_texts(flags)]
