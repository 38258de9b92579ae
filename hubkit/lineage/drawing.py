"""A lineage as SVG: boxes in columns, data flowing from left to right; readable on light and on dark pages."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from hubkit.lineage.graph import Edge, Graph, Node, flag_texts
from hubkit.lineage.layout import Layout, arrange

_WIDTH, _GAP, _BETWEEN, _MARGIN = 300, 130, 24, 20
"""Of a box, between columns, between rows, around all; in pixels."""
_LINE, _PADDING, _PORT = 16, 8, 14
"""Of a line of text, around the text, between the arrows at one side of a box."""
_CHARACTERS = 46
"""Of a line in a box."""
_FACTS = 4

_STYLE = """
svg { font: 12px ui-sans-serif, system-ui, sans-serif; background: #fff; }
text { fill: #1f2328; } .small { fill: #59636e; font-size: 11px; } .flag { fill: #b3261e; font-size: 11px; }
rect { fill: #f6f8fa; stroke: #8c959f; } .root { stroke-width: 3; } .bad { stroke: #b3261e; stroke-dasharray: 5 3; }
.dataset { stroke: #1a7f37; } .model { stroke: #0969da; } .space { stroke: #8250df; } .evaluation { stroke: #9a6700; }
path { fill: none; stroke: #8c959f; stroke-width: 1.5; } path.flagged { stroke: #b3261e; } .head { fill: #8c959f; }
.label { paint-order: stroke; stroke: #fff; stroke-width: 3px; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; } .label { stroke: #0d1117; }
text { fill: #e6edf3; } .small { fill: #9198a1; } .flag { fill: #ff8a80; }
rect { fill: #161b22; stroke: #656d76; } .bad { stroke: #ff8a80; } .dataset { stroke: #3fb950; }
.model { stroke: #4493f8; }
.space { stroke: #ab7df8; } .evaluation { stroke: #d29922; } path.flagged { stroke: #ff8a80; }
}"""


@dataclass
class _Place:
    """Where a box or a joint is."""

    x: int
    y: int
    height: int


def svg(graph: Graph) -> str:
    """Return a graph as an SVG file.

    Every node is a box with its type, name, release, commit and date, and what is the matter with it; every edge an
    arrow from what was used to what uses it. Whole texts are in the `title` that browsers show.
    """
    layout = arrange(graph)
    places, height = _places(graph, layout)
    width = 2 * _MARGIN + len(layout.columns) * (_WIDTH + _GAP) - _GAP
    title = _printable(f"Lineage of {graph.nodes[graph.root].name}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label={quoteattr(title)} width="{width}" '
        f'height="{height}" viewBox="0 0 {width} {height}">',
        f"<title>{escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>',
    ]
    ports = _ports(graph, layout, places)
    for edge in graph.edges:
        parts += _arrow(graph, edge, [places[joint] for joint in layout.joints[edge]], ports[edge])
    for node in graph.nodes.values():
        parts += _box(graph, node, places[node.id])
    return "\n".join([*parts, "</svg>", ""])


def _places(graph: Graph, layout: Layout) -> tuple[dict[str, _Place], int]:
    """Return where each box and each joint is, and the height of all."""
    places: dict[str, _Place] = {}
    ends = []
    for number, members in enumerate(layout.columns):
        y = _MARGIN
        for member in members:
            height = _height(graph, graph.nodes[member]) if member in graph.nodes else 0
            places[member] = _Place(_MARGIN + number * (_WIDTH + _GAP), y, height)
            y += height + _BETWEEN
        ends.append(y - _BETWEEN)
    tallest = max(ends)
    for members, end in zip(layout.columns, ends, strict=True):
        for member in members:  # shorter columns stand in the middle
            places[member].y += (tallest - end) // 2
    return places, tallest + _MARGIN


def _height(graph: Graph, node: Node) -> int:
    """Return the height of a box, which has room for its text and for its arrows."""
    arrows = max(len(graph.made_of(node.id)), len(graph.used_by(node.id)))
    return 2 * _PADDING + max(_LINE * len(_lines(graph, node)), _PORT * arrows)


def _ports(graph: Graph, layout: Layout, places: dict[str, _Place]) -> dict[Edge, tuple[int, int, int, int]]:
    """Return where each edge leaves a box and enters another: x1, y1, x2, y2; without crossings at the boxes."""
    leaving, entering = defaultdict(list), defaultdict(list)
    for edge in graph.edges:
        chain = [edge.source, *layout.joints[edge], edge.target]
        leaving[edge.source].append((places[chain[1]].y, edge))
        entering[edge.target].append((places[chain[-2]].y, edge))
    starts, ends = _spread(leaving, places), _spread(entering, places)
    return {
        edge: (places[edge.source].x + _WIDTH, starts[edge], places[edge.target].x, ends[edge]) for edge in graph.edges
    }


def _spread(sides: dict[str, list[tuple[int, Edge]]], places: dict[str, _Place]) -> dict[Edge, int]:
    found = {}
    for node, edges in sides.items():
        edges.sort(key=lambda entry: entry[0])
        middle = places[node].y + places[node].height // 2
        for index, (_, edge) in enumerate(edges):
            found[edge] = middle + _PORT * index - _PORT * (len(edges) - 1) // 2
    return found


def _lines(graph: Graph, node: Node) -> list[tuple[str, str]]:
    """Return the lines of a box, each with its class."""
    at = " ".join(part for part in (node.release, node.short, node.date) if part and node.kind != "evaluation")
    more = [f"and {len(node.facts) - _FACTS} more"] if len(node.facts) > _FACTS else []
    texts = [
        ("small", node.kind),
        ("name", node.name),
        ("small", at),
        *(("small", fact) for fact in (*node.facts[:_FACTS], *more)),
        *(("flag", text) for text in _flags(graph, node)),
    ]
    return [(kind, line) for kind, text in texts for line in textwrap.wrap(_printable(text), _CHARACTERS)]


def _flags(graph: Graph, node: Node) -> list[str]:
    """Return what is the matter with a node and with what it uses."""
    used = [text for edge in graph.made_of(node.id) for text in flag_texts(list(graph.flags(edge)))]
    return [*flag_texts(list(node.flags())), *dict.fromkeys(used)]


def _box(graph: Graph, node: Node, place: _Place) -> Iterator[str]:
    lines = _lines(graph, node)
    classes = [node.kind, *(["root"] if node.id == graph.root else []), *(["bad"] if node.unreachable else [])]
    whole = "\n".join([f"{node.kind} {node.name} {node.revision or ''}", *node.facts, *_flags(graph, node)])
    yield f"<g><title>{escape(_printable(whole))}</title>"
    box = f'x="{place.x}" y="{place.y}" width="{_WIDTH}" height="{place.height}" rx="6"'
    yield f'<rect class="{" ".join(classes)}" {box}/>'
    top = place.y + (place.height - _LINE * len(lines)) // 2
    for number, (kind, text) in enumerate(lines, 1):
        yield f'<text class="{kind}" x="{place.x + 10}" y="{top + number * _LINE - 4}">{escape(text)}</text>'
    yield "</g>"


def _arrow(graph: Graph, edge: Edge, joints: list[_Place], ends: tuple[int, int, int, int]) -> Iterator[str]:
    """Yield a line from box to box, through the joints between them, and what it means beside its head."""
    x1, y1, x2, y2 = ends
    bend = _GAP // 2
    path = f"M{x1} {y1}"
    for joint in joints:
        path += f" C{x1 + bend} {y1} {joint.x - bend} {joint.y} {joint.x} {joint.y} H{joint.x + _WIDTH}"
        x1, y1 = joint.x + _WIDTH, joint.y
    path += f" C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    flagged = ' class="flagged"' if any(flag == "stale" for flag, _ in graph.flags(edge)) else ""
    yield f'<path{flagged} d="{path}" marker-end="url(#head)"/>'
    relation = escape(_printable(edge.relation))
    yield f'<text class="small label" text-anchor="end" x="{x2 - 12}" y="{y2 - 3}">{relation}</text>'


def _printable(text: str) -> str:
    """Return a text without characters that XML does not allow."""
    return "".join(character if character.isprintable() or character == "\n" else " " for character in text)
