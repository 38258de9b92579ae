"""Graphs as text and as SVG: complete, without recursion, whatever their form."""

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.lineage.drawing import svg
from hubkit.lineage.graph import Edge, Graph, Node
from hubkit.lineage.layout import arrange
from hubkit.lineage.tree import findings, tree

SVG = "{http://www.w3.org/2000/svg}"
A, B, C = (letter * 40 for letter in "abc")


def graph_of(nodes: list[Node], *edges: tuple[int, int], root: int = 0) -> Graph:
    graph = Graph(nodes[root].id, nodes={node.id: node for node in nodes})
    graph.edges = {Edge(nodes[one].id, nodes[other].id, "trained on", pinned=True): None for one, other in edges}
    return graph


def models(count: int) -> list[Node]:
    return [Node("model", f"lab/m{number}", A, "v1.0.0") for number in range(count)]


GRAPH = graph_of(
    [
        Node("model", "lab/m", B, "v1.0.0", "2026-01-02", "v1.0.0", facts=("minigpt", "20 steps")),
        Node("dataset", "lab/letters", A, "v1.0.0", "2026-01-01", "v1.1.0", behind=True),
        Node("space", "lab/demo", C, None, "2026-01-03", moved_from="lab/old", private=True),
        Node("dataset", "lab/gone", C, unreachable="the Hub has no lab/gone"),
        Node("evaluation", f"on lab/letters@{A[:12]} test", B, facts=("a 1", "b 2", "c 3", "d 4", "e 5")),
    ],
    (1, 0), (3, 0), (0, 2), (1, 2), (0, 4), (1, 4),
)  # fmt: skip

DRAWN = """\
model lab/m v1.0.0 bbbbbbbbbbbb 2026-01-02
  minigpt, 20 steps

made of
├── trained on dataset lab/letters v1.0.0 aaaaaaaaaaaa 2026-01-01
│     ! stale: trained on v1.0.0 of lab/letters, the newest is v1.1.0
└── trained on dataset lab/gone cccccccccccc
      ! unreachable: the Hub has no lab/gone

used by
├── trained on on lab/letters@aaaaaaaaaaaa test
│     a 1
│     b 2
│     c 3
│     d 4
│     and 1 more
│     ! stale: trained on v1.0.0 of lab/letters, the newest is v1.1.0
└── space lab/demo cccccccccccc 2026-01-03, trained on it
      ! moved: it was called lab/old
      ! private: only its owner's tokens see it"""


def test_the_text_is_a_tree_each_way():
    assert tree(GRAPH) == DRAWN


def test_every_flag_is_found_once():
    assert findings(GRAPH) == [
        "lab/m: stale: trained on v1.0.0 of lab/letters, the newest is v1.1.0",
        "lab/demo: stale: trained on v1.0.0 of lab/letters, the newest is v1.1.0",
        f"on lab/letters@{A[:12]} test: stale: trained on v1.0.0 of lab/letters, the newest is v1.1.0",
        "lab/demo: moved: it was called lab/old",
        "lab/demo: private: only its owner's tokens see it",
        "lab/gone: unreachable: the Hub has no lab/gone",
    ]


def test_a_cycle_is_named_and_not_followed():
    text = tree(graph_of(models(3), (0, 1), (1, 2), (2, 0)))
    assert text.count("lab/m0") == 3 and text.count("(see above)") == 2


def test_chains_may_be_deeper_than_the_stack():
    chain = graph_of(models(1100), *pairwise(range(1100)))
    assert len(tree(chain).splitlines()) == 1105
    assert [len(column) for column in arrange(chain).columns] == [1] * 1100


def test_svg_is_well_formed_and_complete():
    root = ElementTree.fromstring(svg(GRAPH))
    assert len(root.findall(f"{SVG}g")) == len(GRAPH.nodes)
    assert len(root.findall(f"{SVG}path")) == len(GRAPH.edges)
    text = " ".join(element.text or "" for element in root.iter(f"{SVG}text"))
    for node in GRAPH.nodes.values():
        assert node.name in text and (node.kind == "evaluation" or node.short in text)
    assert "unreachable: the Hub has no lab/gone" in text
    assert "prefers-color-scheme: dark" in svg(GRAPH)


def test_svg_takes_any_text():
    nasty = Node("model", "lab/<&\"'>\x00\x1b", A, facts=("]]>\ud800", "a" * 500))
    (box,) = ElementTree.fromstring(svg(graph_of([nasty]))).findall(f"{SVG}g")
    assert "lab/<&\"'>" in "".join(box.itertext())


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_boxes_do_not_meet_and_arrows_lead_to_the_right(edges):
    graph = graph_of(models(8), *(edge for edge in edges if edge[0] < edge[1]))
    layout = arrange(graph)
    column = {member: at for at, members in enumerate(layout.columns) for member in members}
    for edge in graph.edges:
        assert column[edge.target] - column[edge.source] == len(layout.joints[edge]) + 1
    boxes = [element.find(f"{SVG}rect") for element in ElementTree.fromstring(svg(graph)).findall(f"{SVG}g")]
    places = [{name: float(box.get(name, "0")) for name in ("x", "y", "height")} for box in boxes if box is not None]
    for one, other in ((one, other) for one in places for other in places if one is not other):
        apart = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
        assert one["x"] != other["x"] or apart


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=15))
def test_any_graph_can_be_drawn(edges):
    graph = graph_of(models(6), *edges)
    assert len(ElementTree.fromstring(svg(graph)).findall(f"{SVG}path")) == len(graph.edges)
    assert tree(graph).startswith("model lab/m0")
