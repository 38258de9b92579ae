"""Where the nodes of a lineage are drawn: columns in the direction in which data flows, rows with few crossings.

After K. Sugiyama, S. Tagawa, M. Toda: Methods for Visual Understanding of Hierarchical System Structures (1981).
Longest paths give the columns, a joint in each column that an edge passes keeps it from running through boxes, and each
column is ordered by the mean place of what it is joined with.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

from hubkit.lineage.graph import Edge, Graph

_SWEEPS = 4


@dataclass(frozen=True)
class Layout:
    """Which column each thing is in, and which is above which."""

    columns: list[list[str]]
    """Ids of nodes and of joints, from top to bottom."""
    joints: dict[Edge, list[str]]
    """Ids of the points through which an edge runs between its ends, from left to right."""


def arrange(graph: Graph) -> Layout:
    """Return the layout of a graph: every edge goes to the right, but for those that close a cycle."""
    column = _columns(graph)
    members: dict[int, list[str]] = defaultdict(list)
    for node in graph.nodes:
        members[column[node]].append(node)
    joints, left, right = {}, defaultdict(list), defaultdict(list)
    for number, edge in enumerate(graph.edges):
        between = range(column[edge.source] + 1, column[edge.target])
        joints[edge] = [f"joint {number} {at}" for at in between]
        for at, joint in zip(between, joints[edge], strict=True):
            members[at].append(joint)
        chain = [edge.source, *joints[edge], edge.target]
        for one, other in pairwise(chain):
            right[one].append(other)
            left[other].append(one)
    columns = [members[at] for at in sorted(members)]
    for _ in range(_SWEEPS):
        _order(columns, left)
        _order(columns[::-1], right)
    return Layout(columns, joints)


def _order(columns: list[list[str]], joined: dict[str, list[str]]) -> None:
    """Order each column by the mean place of what its members are joined with on one side."""
    place: dict[str, float] = {}
    for members in columns:
        here = {member: index / max(1, len(members) - 1) for index, member in enumerate(members)}
        wanted = {}
        for member in members:
            known = [place[other] for other in joined[member] if other in place]
            wanted[member] = sum(known) / len(known) if known else here[member]
        members.sort(key=wanted.__getitem__)
        place |= {member: (index + 0.5) / len(members) for index, member in enumerate(members)}


def _columns(graph: Graph) -> dict[str, int]:
    """Return each node's column, from 0: the length of the longest path that leads to it."""
    forward = _without_cycles(graph)
    column, missing = dict.fromkeys(graph.nodes, 0), dict.fromkeys(graph.nodes, 0)
    following = defaultdict(list)
    for edge in forward:
        missing[edge.target] += 1
        following[edge.source].append(edge.target)
    ready = [node for node in graph.nodes if not missing[node]]
    while ready:
        node = ready.pop()
        for target in following[node]:
            column[target] = max(column[target], column[node] + 1)
            missing[target] -= 1
            if not missing[target]:
                ready.append(target)
    return column


def _without_cycles(graph: Graph) -> list[Edge]:
    """Return the edges but for those that lead back to where a walk along them came from."""
    following = defaultdict(list)
    for edge in graph.edges:
        following[edge.source].append(edge)
    kept, done = [], set()
    for start in graph.nodes:
        if start in done:
            continue
        path, stack = {start}, [(start, iter(following[start]))]
        while stack:
            node, left = stack[-1]
            edge = next(left, None)
            if edge is None:
                stack.pop()
                path.discard(node)
                done.add(node)
            elif edge.target not in path:
                kept.append(edge)
                if edge.target not in done:
                    path.add(edge.target)
                    stack.append((edge.target, iter(following[edge.target])))
    return kept
