"""Walks from a repository both ways: back by what each one records, forth by the Hub's list filters."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from hubkit.errors import UserError
from hubkit.lineage.asking import Asking, reason
from hubkit.lineage.graph import Edge, Graph, Node
from hubkit.lineage.records import Kind, Measured, Use
from hubkit.publishing.hub import check_name

if TYPE_CHECKING:
    from huggingface_hub import HfApi

DEPTH = 6
"""Steps that are walked each way."""
MOST = 500
"""Nodes of a graph; more nobody reads."""
THREADS = 8
"""Questions to the Hub at a time."""

KINDS: tuple[Kind, ...] = ("model", "dataset", "space")


def trace(api: "HfApi", repo: str, revision: str | None = None, kind: Kind | None = None, depth: int = DEPTH) -> Graph:
    """Return what a repository was made of, and what was made of it.

    Args:
        api: The Hub's client.
        repo: ``owner/name``.
        revision: Tag, branch or commit; then of its users only those that name this commit, or none, are followed.
            None is the newest, with the users of all commits.
        kind: ``model``, ``dataset`` or ``space``; None looks which of these the Hub has.
        depth: How many steps to walk each way.

    Raises:
        UserError: The Hub can't be asked, or has nothing of that name, or things of several types.
    """
    check_name(repo)
    asking = Asking(api)
    with ThreadPoolExecutor(THREADS) as pool:
        root = _root(asking, pool, repo, revision, kind)
        walk = _Walk(Graph(root.id, at_revision=revision is not None), asking, pool, depth)
        walk.add(root)
        walk.back(root)
        walk.forth(root)
        walk.evaluations()
    return walk.graph


class _Walk:
    """A walk through one graph."""

    def __init__(self, graph: Graph, asking: Asking, pool: ThreadPoolExecutor, depth: int):
        self.graph = graph
        self.asking = asking
        self.pool = pool
        self.depth = depth
        self._asked: dict[tuple[str, str, str | None], Node] = {}

    def back(self, root: Node) -> None:
        """Follow what each node records, one step of all nodes at a time."""
        level, seen = [root], {root.id}
        for step in range(self.depth + 1):
            wanted = [(node, use) for node in level for use in node.uses if use.is_repository]
            if step == self.depth or self._is_full(len(wanted)):
                self._cut([node for node, _ in wanted])
                return
            self._ask(use for _, use in wanted)
            below = {used.id: used for used in (self._used(node, use) for node, use in wanted)}
            level = [node for node in below.values() if node.id not in seen]
            seen |= below.keys()

    def forth(self, root: Node) -> None:
        """Follow what names each node, one step of all nodes at a time."""
        level, seen = [root], {root.id}
        for step in range(self.depth + 1):
            level = [node for node in level if node.kind != "space" and node.is_repository]
            if step == self.depth:
                return self._cut(level)
            above: dict[str, Node] = {}
            for start in range(0, len(level), THREADS):
                part = level[start : start + THREADS]
                if self._is_full(len(part)):
                    return self._cut(level[start:])
                for node, (users, remarks) in zip(part, self.pool.map(self.asking.users, part), strict=True):
                    self.graph.remarks += remarks
                    above |= {user.id: user for user in users if self._uses(user, node)}
            level = [node for node in above.values() if node.id not in seen]
            seen |= above.keys()
        return None

    def evaluations(self) -> None:
        """Join the evaluations with the datasets that they are about, as far as the walk met those."""
        for node in list(self.graph.nodes.values()):
            for one in node.measured:
                about = Node("dataset", one.repo, one.revision).id
                if about in self.graph.nodes:
                    edge = Edge(about, _evaluation(node, one).id, "evaluated on", pinned=True)
                    self.graph.edges[edge] = None

    def add(self, node: Node) -> None:
        """Put a node into the graph, with its evaluations and with what it used that no Hub has to be asked for."""
        if node.id in self.graph.nodes:
            return
        self.graph.nodes[node.id] = node
        for use in node.uses:
            if not use.is_repository:
                thing = Node(use.kind, use.name, use.revision)
                self.graph.nodes.setdefault(thing.id, thing)
                self._join(thing, node, use)
        for one in node.measured:
            found = _evaluation(node, one)
            self.graph.nodes[found.id] = found
            self.graph.edges[Edge(node.id, found.id, "evaluated", pinned=True)] = None

    def _uses(self, user: Node, node: Node) -> bool:
        """Note how a user uses a repository; tell whether it does, at this commit if that is asked for."""
        matching = [use for use in user.uses if (use.kind, use.name) == (node.kind, node.name)]
        if self.graph.at_revision and node.id == self.graph.root:
            matching = [use for use in matching if use.revision in (None, node.revision, node.release)]
        if not matching:
            return False
        self.add(user)
        for use in matching:
            if use.revision in (None, node.revision):
                self._join(node, user, use)
            else:
                self._ask([use])
                self._used(user, use)
        return True

    def _used(self, user: Node, use: Use) -> Node:
        """Note one thing that a node uses, and return it."""
        node = self._asked[use.kind, use.name, use.revision]
        node = self.graph.nodes.get(node.id, node)
        self.add(node)
        self._join(node, user, use)
        return node

    def _join(self, used: Node, user: Node, use: Use) -> None:
        self.graph.edges[Edge(used.id, user.id, use.relation, pinned=use.revision is not None)] = None

    def _ask(self, uses: Iterable[Use]) -> None:
        """Ask for what was not asked for yet, everything at once."""
        wanted = {(use.kind, use.name, use.revision): use for use in uses}
        new = [use for key, use in wanted.items() if key not in self._asked]
        for use, node in zip(new, self.pool.map(self.asking.node, new), strict=True):
            self._asked[use.kind, use.name, use.revision] = node

    def _is_full(self, more: int) -> bool:
        """Tell whether the graph would grow beyond what anybody reads; the remarks say so."""
        full = len(self.graph.nodes) + more > MOST
        if full:
            self.graph.remarks.append(f"the walk ended at {MOST} nodes: ask for a lower depth")
        return full

    def _cut(self, nodes: list[Node]) -> None:
        self.graph.cut |= {node.id for node in nodes}


def _evaluation(model: Node, measured: Measured) -> Node:
    """Return the node of an evaluation, whose commit is that of the model."""
    return Node("evaluation", measured.name, model.revision, facts=measured.metrics)


def _root(asking: Asking, pool: ThreadPoolExecutor, repo: str, revision: str | None, kind: Kind | None) -> Node:
    """Return the node to begin with.

    Raises:
        UserError: As of :func:`trace`.
    """
    from huggingface_hub.errors import RepositoryNotFoundError

    def ask(one: Kind) -> Node | Exception:
        try:
            return asking.find(Use("", one, repo, revision))
        except Exception as error:  # told below, if no type has the repository
            return error

    answers = list(pool.map(ask, KINDS if kind is None else [kind]))
    found = [answer for answer in answers if isinstance(answer, Node)]
    if len(found) > 1:
        types = " and a ".join(node.kind for node in found)
        raise UserError(f"{repo} is a {types}: say which you mean by --type")
    if found:
        return found[0]
    errors = [answer for answer in answers if isinstance(answer, Exception)]
    # That one type has no repository of the name says nothing beside what another one answers.
    telling = [error for error in errors if not isinstance(error, RepositoryNotFoundError)]
    raise UserError(reason((telling or errors)[0], repo))
