"""Questions to the Hub that several rooms ask; everything else goes to `huggingface_hub` and `datasets` directly."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.errors import UserError
from hubkit.hub_errors import explained

if TYPE_CHECKING:
    import datasets

MODEL_FILES = [
    "*.json", "*.safetensors", "*.txt", "*.model", "*.py", "*.jinja", "*.yaml", "*.csv", "*.png", "*.svg", "LICENSE*",
    "runs/*",
]  # fmt: skip
"""What a release of a model may consist of (see hubkit.publishing.model); the card and pickles stay on the Hub."""

_RELEASE = re.compile(r"v\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Commit:
    """A repository at one commit."""

    repo: str
    revision: str
    """The commit, 40 hex digits."""
    release: str | None
    """The release tag that points at it, if there is one."""


def resolve(repo: str, revision: str | None = None, repo_type: str = "dataset") -> Commit:
    """Return the commit that a revision of a repository means now.

    Args:
        repo: ``owner/name``.
        revision: Tag, branch or commit; None is the newest.
        repo_type: ``dataset``, ``model`` or ``space``.

    Raises:
        UserError: The Hub is down, refuses the token, or has no such repository or revision.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    with explained(repo):
        commit = api.repo_info(repo, revision=revision, repo_type=repo_type).sha
        tags = api.list_repo_refs(repo, repo_type=repo_type).tags
    assert commit is not None
    releases = [tag.name for tag in tags if tag.target_commit == commit and _RELEASE.fullmatch(tag.name)]
    return Commit(repo, commit, releases[0] if releases else None)


def check_token(repo: str) -> None:
    """Refuse to go on without a token that the Hub knows: before the work that ends in publishing, not after it.

    Args:
        repo: What is to be published, for the message.

    Raises:
        UserError: There is no token, the Hub does not know it, or the Hub is down.
    """
    from huggingface_hub import HfApi

    with explained(repo):
        HfApi().whoami()


def load_rows(
    repo: str, revision: str | None, split: str, config: str | None = None, columns: tuple[str, ...] = ()
) -> "datasets.Dataset":
    """Return one split of a dataset, through plain `load_dataset`.

    Args:
        repo: ``owner/name``.
        revision: The commit to read.
        split: Name of the split.
        config: Name of the config; None is the default one.
        columns: Columns that must be there; only these are kept. Empty keeps all.

    Raises:
        UserError: The dataset, its config, its split or a column is not there.
    """
    import datasets
    from datasets.exceptions import DatasetsError

    with explained(repo):
        try:
            rows = datasets.load_dataset(repo, config, split=split, revision=revision)
        except (DatasetsError, ValueError) as error:  # ValueError: no such config or split
            said = " ".join(str(error).split())
            raise UserError(f"dataset: can't load {split!r} of {repo}: {said}") from None
    assert isinstance(rows, datasets.Dataset)
    for column in columns:
        if column not in rows.column_names:
            raise UserError(f"dataset: {repo} has no column {column!r} (it has {', '.join(rows.column_names)})")
    return rows.select_columns(list(columns)) if columns else rows


def fetch_model(repo: str, revision: str) -> Path:
    """Download a model repository at a commit and return its folder in the cache.

    Raises:
        UserError: The Hub is down or refuses.
    """
    from huggingface_hub import snapshot_download

    with explained(repo):
        return Path(snapshot_download(repo, revision=revision, allow_patterns=MODEL_FILES))
