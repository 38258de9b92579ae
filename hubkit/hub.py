"""Questions to the Hub that several rooms ask; everything else goes to `huggingface_hub` and `datasets` directly."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.hub_patience import be_patient, hub_api

if TYPE_CHECKING:
    import datasets

MODEL_FILES = [
    "*.json", "*.safetensors", "*.txt", "*.model", "*.py", "*.jinja", "*.yaml", "*.csv", "*.png", "*.svg", "LICENSE*",
    "runs/*",
]  # fmt: skip
"""What a release of a model may consist of (see hubkit.publishing.model); the card and pickles stay on the Hub."""

_RELEASE = re.compile(r"v\d+\.\d+\.\d+")
_REPOSITORY = re.compile(r"(?!\.)[\w.-]+/[\w.-]+(@[\w./-]+)?")

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Commit:
    """A repository at one commit."""

    repo: str
    revision: str
    """The commit, 40 hex digits."""
    release: str | None
    """The release tag that points at it, if there is one."""


def names_repository(where: str) -> bool:
    """Tell whether a name has the form OWNER/NAME[@REVISION]; ``./x`` and ``../x`` are folders."""
    return _REPOSITORY.fullmatch(where) is not None


def resolve(repo: str, revision: str | None = None, repo_type: str = "dataset") -> Commit:
    """Return the commit that a revision of a repository means now; offline, what it meant when it was fetched.

    Args:
        repo: ``owner/name``.
        revision: Tag, branch or commit; None is the newest.
        repo_type: ``dataset``, ``model`` or ``space``.

    Raises:
        UserError: The Hub is down, refuses the token, or has no such repository or revision; or we are offline
            (HF_HUB_OFFLINE=1) and it was not fetched before.
    """
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        return _resolve_fetched(repo, revision, repo_type)
    api = hub_api()
    with explained(f"{repo_type} {repo}"):
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
    with explained(repo):
        hub_api().whoami()


def load_rows(
    repo: str,
    revision: str | None,
    split: str,
    config: str | None = None,
    columns: tuple[str, ...] = (),
    alone: bool = False,
) -> "datasets.Dataset":
    """Return one split of a dataset, through plain `load_dataset`; offline, of what :func:`fetch_dataset` fetched.

    Args:
        repo: ``owner/name``.
        revision: The commit to read.
        split: Name of the split.
        config: Name of the config; None is the default one.
        columns: Columns that must be there; only these are kept. Empty keeps all.
        alone: Fetch the files of this split only, which must be Parquet; else `datasets` fetches all that there are.

    Raises:
        UserError: The dataset, its config, its split or a column is not there.
    """
    import datasets

    def load(place: str) -> Any:
        if alone:
            files = parquet_files(repo, revision, split, config)
            return datasets.load_dataset("parquet", data_files={split: files}, split=split)
        return datasets.load_dataset(place, config, split=split, revision=revision)

    rows = _loaded(repo, revision, split, load)
    assert isinstance(rows, datasets.Dataset)
    for column in columns:
        if column not in rows.column_names:
            raise UserError(f"dataset: {repo} has no column {column!r} (it has {', '.join(rows.column_names)})")
    return rows.select_columns(list(columns)) if columns else rows


def parquet_files(repo: str, revision: str | None, split: str, config: str | None = None) -> list[str]:
    """Return where the files of a split lie, as `datasets` finds them, without fetching any of them.

    Args:
        repo: ``owner/name``.
        revision: The commit to read.
        split: Name of the split.
        config: Name of the config; None is the default one.

    Returns:
        Addresses that fsspec knows, in the order of the rows; offline, paths of what was fetched before.

    Raises:
        UserError: The dataset, its config or its split is not there, or holds no Parquet.
    """
    import datasets
    from datasets.packaged_modules.parquet.parquet import Parquet

    def load(place: str) -> "datasets.DatasetBuilder":
        return datasets.load_dataset_builder(place, config, revision=revision)

    builder = _loaded(repo, revision, split, load)
    if not isinstance(builder, Parquet):
        raise UserError(
            f"dataset.streaming: {repo} holds no Parquet but {builder.name}; leave streaming out, or name its copy in "
            "Parquet where the Hub has made one (dataset.revision=refs/convert/parquet)"
        )
    files = builder.config.data_files or {}
    if split not in files:
        raise UserError(f"dataset: {repo} has an unknown split {split!r} (it has {', '.join(map(str, files))}).")
    return list(files[split])


def _loaded(repo: str, revision: str | None, split: str, load: Callable[[str], Answer]) -> Answer:
    """Return what `datasets` gives, told the name of a repository or, offline, its folder in the cache."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub import is_offline_mode

    be_patient()
    with explained(repo):
        place = repo
        if is_offline_mode():
            # By itself `load_dataset` would take whatever commit of the dataset was prepared last.
            place = str(fetch_dataset(repo, _resolve_fetched(repo, revision, "dataset").revision))
        try:
            return load(place)
        except UserError:
            raise
        except (DatasetsError, ValueError) as error:  # ValueError: no such config or split
            said = " ".join(str(error).split())
            raise UserError(f"dataset: can't load {split!r} of {repo}: {said}") from None


def fetch_model(repo: str, revision: str, files: Sequence[str] = MODEL_FILES) -> Path:
    """Download a model repository at a commit and return its folder in the cache; offline, look for it there.

    Args:
        repo: ``owner/name``.
        revision: The commit, 40 hex digits.
        files: Patterns of the files that are wanted; the folder may have others, fetched before.

    Raises:
        UserError: The Hub is down or refuses; or we are offline and not all of it was fetched before.
    """
    return _fetch(repo, revision, "model", list(files))


def fetch_dataset(repo: str, revision: str) -> Path:
    """Download a dataset repository at a commit and return its folder in the cache; offline, look for it there.

    Raises:
        UserError: The Hub is down or refuses; or we are offline and not all of it was fetched before.
    """
    return _fetch(repo, revision, "dataset")


def remember(commit: Commit, revision: str | None, repo_type: str) -> None:
    """Note in the cache what a revision, and the release if there is one, mean, for when we are offline.

    Args:
        commit: From :func:`resolve`.
        revision: What was asked for; None is the newest.
        repo_type: ``dataset`` or ``model``.

    Raises:
        UserError: The Hub is down, or the revision has moved on in the meantime.
    """
    with explained(commit.repo):
        for name in {revision, commit.release} if commit.release else {revision}:
            found = hub_api().resolve_revision(commit.repo, repo_type=repo_type, revision=name).resolved
            if found != commit.revision:
                raise UserError(f"{name or 'main'} of {commit.repo} has moved on: run the same command again")


def _fetch(repo: str, revision: str, repo_type: str, patterns: list[str] | None = None) -> Path:
    from huggingface_hub import errors, snapshot_download

    be_patient()
    with explained(repo):
        try:
            return Path(snapshot_download(repo, repo_type=repo_type, revision=revision, allow_patterns=patterns))
        except errors.LocalEntryNotFoundError as error:
            if not isinstance(error.__cause__, errors.OfflineModeIsEnabled):
                raise
            raise _not_fetched(repo, revision) from None


def _resolve_fetched(repo: str, revision: str | None, repo_type: str) -> Commit:
    """Return the commit that a revision meant when it was fetched.

    Raises:
        UserError: It never was; only single files of a repository do not count, for nothing says what is missing.
    """
    from huggingface_hub import constants, errors, get_cached_repo_tree

    with explained(repo):
        try:
            commit = hub_api().resolve_revision(repo, repo_type=repo_type, revision=revision).resolved
            get_cached_repo_tree(repo, repo_type=repo_type, revision=commit)
        except (errors.RevisionResolutionError, errors.CachedRepoTreeNotFoundError):
            raise _not_fetched(repo, revision) from None
    references = Path(constants.HF_HUB_CACHE) / f"{repo_type}s--{repo.replace('/', '--')}" / "refs"
    known = sorted(path for path in references.glob("v*") if _RELEASE.fullmatch(path.name))
    return Commit(repo, commit, next((path.name for path in known if path.read_text() == commit), None))


def _not_fetched(repo: str, revision: str | None) -> UserError:
    return UserError(
        f"HF_HUB_OFFLINE is set, and {repo} at {revision or 'its newest commit'} is not, or not completely, in the "
        "cache: run `hubkit prefetch RECIPE` where there is a network, with the same HF_HOME"
    )
