"""A published model as the repository records its making: recipe, data, environment, results, hashes of the weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.lineage.asking import Asking
from hubkit.lineage.graph import Node
from hubkit.lineage.records import Use
from hubkit.publishing.hub import RemoteFile, Repository, check_name
from hubkit.publishing.model import EVALUATION, RUN, is_weights

if TYPE_CHECKING:
    from huggingface_hub import HfApi

RECIPE = "recipe.json"
CORPUS = "corpus.json"


@dataclass(frozen=True)
class Data:
    """A dataset that was read."""

    repo: str
    commit: str
    node: Node
    """As the Hub shows it now."""
    corpus: Mapping[str, Any] | None
    """Its `corpus.json`; None where hubkit did not make it, or it can't be read."""


@dataclass(frozen=True)
class Original:
    """What is to be made again."""

    repo: str
    commit: str
    release: str | None
    run: Mapping[str, Any]
    """`run.json`."""
    recipe: Mapping[str, Any] | None
    """`recipe.json`."""
    results: tuple[Mapping[str, Any], ...]
    """Entries of `evaluation.json`."""
    weights: Mapping[str, RemoteFile]
    """Files of the weights, by name."""
    files: frozenset[str]
    data: tuple[Data, ...]
    """What it was trained on."""
    others: tuple[Node, ...]
    """The model that it was initialised from and that of its tokenizer, where these are on the Hub."""
    evaluated: tuple[Data, ...] = ()
    """What else losses were noted on during the training."""

    @property
    def name(self) -> str:
        """The model at its release, or else its commit, for people."""
        return f"{self.repo} {self.release or self.commit[:12]}"

    @property
    def environment(self) -> Mapping[str, Any]:
        """Where it was trained."""
        return self.run.get("environment") or {}


def find_original(api: "HfApi", repo: str, revision: str | None = None) -> Original:
    """Return what a model repository records of its making.

    Args:
        api: The Hub's client.
        repo: ``owner/name``.
        revision: Tag, branch or commit; None is the newest.

    Raises:
        UserError: The Hub has no such model or can't be asked, or hubkit did not train it.
    """
    check_name(repo)
    asking = Asking(api)
    with explained(repo):
        _refuse_other_types(Repository(api, repo, "model"))
        node = asking.find(Use("", "model", repo, revision))
        assert node.revision is not None
        repository = Repository(api, node.name, "model")
        files = repository.files(node.revision)
        run = _read(repository, RUN, node.revision, files)
        if not run or not _is_readable(run):
            raise UserError(
                f"{repo} has no readable {RUN} at {node.short}: hubkit did not train it, so nothing says how"
            )
        evaluation = _read(repository, EVALUATION, node.revision, files) or {}
        recipe = _read(repository, RECIPE, node.revision, files)
    data = {
        relation: tuple(
            _data(api, asking, use)
            for use in node.uses
            if use.relation == relation and use.revision and use.is_repository
        )
        for relation in ("trained on", "evaluated on")
    }
    others = tuple(asking.node(use) for use in node.uses if use.kind == "model" and use.revision)
    return Original(
        node.name, node.revision, node.release, run, recipe,
        tuple(entry for entry in evaluation.get("results") or () if isinstance(entry, dict)),
        {name: file for name, file in files.items() if is_weights(name)}, frozenset(files),
        data["trained on"], others, data["evaluated on"],
    )  # fmt: skip


def _refuse_other_types(repository: Repository) -> None:
    """Refuse a name that a dataset or a Space has, and no model."""
    others = [] if repository.exists() else repository.other_types()
    if others:
        raise UserError(
            f"{repository.name} is a {others[0]}, and models are made again: `hubkit lineage {repository.name}` "
            "names those that belong to it"
        )


def _is_readable(run: Mapping[str, Any]) -> bool:
    """Tell whether a `run.json` has the form of one."""
    forms = ((run.get("recipe"), dict), (run.get("datasets"), list), (run.get("also_evaluate", {}), dict))
    return all(isinstance(value, form) for value, form in forms)


def _data(api: "HfApi", asking: Asking, use: Use) -> Data:
    node = asking.node(use)
    commit = use.revision or node.revision or ""
    corpus = None
    if node.unreachable is None and not node.gated:
        with explained(use.name):
            repository = Repository(api, node.name, "dataset")
            content = repository.read(CORPUS, commit)
            corpus = _object(content) if content is not None else None
    return Data(use.name, commit, node, corpus)


def _read(repository: Repository, path: str, commit: str, files: Mapping[str, RemoteFile]) -> dict[str, Any] | None:
    content = repository.read(path, commit) if path in files else None
    return None if content is None else _object(content)


def _object(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object, or None for anything else."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
