"""What changed between two revisions of a repository: rows, schema, spec, card, files; weights, recipe, evaluation."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.hub_patience import hub_api
from hubkit.publishing.diff_datasets import compare_datasets
from hubkit.publishing.diff_fields import FieldChange
from hubkit.publishing.diff_models import compare_models, compare_spaces
from hubkit.publishing.diff_rows import SplitDiff
from hubkit.publishing.diff_sides import Fields, Pair, Revision
from hubkit.publishing.diff_weights import WeightsDiff
from hubkit.publishing.hub import RemoteFile, Repository, find_repository
from hubkit.publishing.sources import CARD, RepoType

if TYPE_CHECKING:
    from huggingface_hub import HfApi

EXAMPLES = 3
"""Rows of each kind that are shown."""


@dataclass(frozen=True)
class FileChange:
    """A file that differs; a size of None means that it is not there."""

    path: str
    old_size: int | None
    new_size: int | None


@dataclass(frozen=True)
class Diff:
    """What lies between two revisions."""

    repo: str
    repo_type: RepoType
    old: Revision
    new: Revision
    files: tuple[FileChange, ...]
    card: str
    """Unified diff of README.md."""
    fields: Mapping[str, tuple[FieldChange, ...]]
    """As :data:`hubkit.publishing.diff_sides.Fields`."""
    splits: tuple[SplitDiff, ...] = ()
    weights: WeightsDiff | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        return {
            "repo": self.repo,
            "repo_type": self.repo_type,
            "old": {"revision": self.old.name, "commit": self.old.commit},
            "new": {"revision": self.new.name, "commit": self.new.commit},
            "files": [dict(vars(file)) for file in self.files],
            "card": self.card,
            "fields": {name: [dict(vars(change)) for change in found] for name, found in self.fields.items()},
            "splits": [found.to_json() for found in self.splits],
            "weights": self.weights.to_json() if self.weights else None,
        }

    def render(self) -> str:
        """Return the differences as text for people."""
        from hubkit.publishing.diff_rendering import render

        return render(self)


def diff(
    repo: str,
    old: str,
    new: str,
    *,
    repo_type: RepoType | None = None,
    examples: int = EXAMPLES,
    api: "HfApi | None" = None,
) -> Diff:
    """Compare two revisions of a repository; of the data only files that differ are downloaded.

    Args:
        repo: ``OWNER/NAME``.
        old: Tag, branch or commit.
        new: The same, later in the history.
        repo_type: Its type, where the name belongs to several repositories.
        examples: Rows of each kind to read, at most.
        api: The Hub's client; by default one that takes endpoint and token from the environment.

    Raises:
        UserError: There is no such repository or revision, the order is the wrong one, or the Hub can't be asked.
    """
    if examples < 0:
        raise UserError(f"--rows: {examples} is not a number of examples; write 0 or more")
    with explained(repo):
        repository = find_repository(api or hub_api(), repo, repo_type)
        pair = _pair(repository, old, new)
        files = _files(pair.old.files, pair.new.files)
        card = _card(pair, {file.path for file in files})
        fields: Fields = {}
        splits: tuple[SplitDiff, ...] = ()
        weights = None
        if repository.repo_type == "dataset":
            splits = compare_datasets(pair, fields, examples)
        elif repository.repo_type == "model":
            weights = compare_models(pair, fields)
        else:
            compare_spaces(pair, fields)
    return Diff(repo, repository.repo_type, pair.old, pair.new, files, card, fields, splits, weights)


def _pair(repository: Repository, old: str, new: str) -> Pair:
    """Look both revisions up.

    Raises:
        UserError: One does not exist, or they stand in the wrong order.
    """
    commits = [repository.commit(name) for name in (old, new)]
    if commits[0] != commits[1] and commits[1] in (commit.commit_id for commit in repository.history(commits[0])):
        raise UserError(f"{old} comes after {new}: write `hubkit diff {repository.name} {new} {old}`")
    sides = [Revision(name, commit, repository.files(commit)) for name, commit in zip((old, new), commits, strict=True)]
    return Pair(repository, *sides)


def _files(old: Mapping[str, RemoteFile], new: Mapping[str, RemoteFile]) -> tuple[FileChange, ...]:
    sizes = [{path: file.size for path, file in side.items()} for side in (old, new)]
    different = [path for path in old.keys() | new.keys() if old.get(path) != new.get(path)]
    return tuple(FileChange(path, sizes[0].get(path), sizes[1].get(path)) for path in sorted(different))


def _card(pair: Pair, changed: set[str]) -> str:
    if CARD not in changed:
        return ""
    was, now = (pair.text(CARD, side).splitlines() for side in pair.both)
    names = [f"{CARD} ({side.name})" for side in pair.both]
    lines = difflib.unified_diff(was, now, fromfile=names[0], tofile=names[1], lineterm="")
    return "".join(f"{line}\n" for line in lines)
