"""One repository as its Hub shows it: what a plan is made from and what an upload is verified against."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hubkit.errors import UserError
from hubkit.publishing.sources import Content, RepoType, need
from hubkit.publishing.versions import Version

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, GitCommitInfo, HfApi, ModelInfo, SpaceInfo

REPO_TYPES: tuple[RepoType, ...] = ("model", "dataset", "space")

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class RemoteFile:
    """A file at some commit."""

    path: str
    size: int
    git_oid: str
    """Name of its git blob; for a file in large-file storage that is the pointer's."""
    sha256: str | None
    """Hash of its content, for a file in large-file storage."""

    def holds(self, content: Content) -> bool:
        """Tell whether these are the bytes of a local file."""
        if self.size != content.size:
            return False
        return self.sha256 == content.sha256 if self.sha256 else self.git_oid == content.git_oid


@dataclass(frozen=True)
class State:
    """A repository at one moment."""

    head: str
    """Commit of the main branch."""
    private: bool
    files: Mapping[str, RemoteFile]
    """Files at that commit."""
    releases: Mapping[Version, str]
    """Commits of the tags vX.Y.Z."""

    @property
    def last(self) -> Version | None:
        """The highest released version."""
        return max(self.releases, default=None)


class Repository:
    """A repository on a Hub, which may not exist yet. Raises what huggingface_hub raises."""

    def __init__(self, api: "HfApi", name: str, repo_type: RepoType):
        self.api = api
        self.name = name
        self.repo_type: RepoType = repo_type

    def state(self) -> State | None:
        """Return what is there now, or None if the repository doesn't exist."""
        info = self._info(self.repo_type)
        if info is None:
            return None
        if info.id != self.name:
            # huggingface.co answers for other spellings and for former names too; cards would go on naming those.
            raise UserError(f"{self.name} is called {info.id} on this Hub: publish to that name")
        assert info.sha is not None
        return State(info.sha, bool(info.private), self.files(info.sha), self.releases())

    def releases(self) -> dict[Version, str]:
        """Return the commits of the tags of the form vX.Y.Z."""
        refs = self.api.list_repo_refs(self.name, repo_type=self.repo_type)
        versions = {Version.of_tag(ref.name): ref.target_commit for ref in refs.tags}
        return {version: commit for version, commit in versions.items() if version is not None}

    def other_types(self) -> list[RepoType]:
        """Return the types, other than this one, that repositories of this name have."""
        others = [Repository(self.api, self.name, other) for other in REPO_TYPES if other != self.repo_type]
        return [other.repo_type for other in others if other.exists()]

    def exists(self) -> bool:
        """Tell whether there is a repository of this name and type."""
        return self._info(self.repo_type) is not None

    def commit(self, revision: str) -> str:
        """Return the commit that a branch, tag or commit id means.

        Raises:
            UserError: The repository has no such revision.
        """
        from huggingface_hub.errors import RevisionNotFoundError

        try:
            sha = self.api.repo_info(self.name, revision=revision, repo_type=self.repo_type).sha
        except RevisionNotFoundError:
            raise UserError(
                f"{self.name} has no revision {revision!r}: `hubkit releases {self.name}` lists its releases; a "
                "branch or a commit id will do too"
            ) from None
        assert sha is not None
        return sha

    def history(self, revision: str) -> "list[GitCommitInfo]":
        """Return the commits that lead to a revision, newest first."""
        return self.api.list_repo_commits(self.name, repo_type=self.repo_type, revision=revision)

    def files(self, revision: str) -> dict[str, RemoteFile]:
        """Return the files at a revision, by path."""
        from huggingface_hub.hf_api import RepoFile

        tree = self.api.list_repo_tree(self.name, recursive=True, revision=revision, repo_type=self.repo_type)
        return {
            entry.path: RemoteFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
            for entry in tree
            if isinstance(entry, RepoFile)
        }

    def read(self, path: str, revision: str) -> bytes | None:
        """Return the bytes of a (small) file, or None if the revision doesn't have it."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.errors import RemoteEntryNotFoundError
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_backoff

        endpoint = self.api.endpoint
        url = hf_hub_url(self.name, path, repo_type=self.repo_type, revision=revision, endpoint=endpoint)
        headers = {**build_hf_headers(token=self.api.token), "Accept-Encoding": "identity"}
        response = http_backoff("GET", url, headers=headers, max_retries=2)
        try:
            hf_raise_for_status(response)
        except RemoteEntryNotFoundError:
            return None
        return response.content

    def commit_of(self, tag: str) -> str | None:
        """Return the commit that a tag points at, or None if there is no such tag."""
        refs = self.api.list_repo_refs(self.name, repo_type=self.repo_type)
        return next((ref.target_commit for ref in refs.tags if ref.name == tag), None)

    def url(self, revision: str) -> str:
        """Return the page of a revision."""
        prefix = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        return f"{self.api.endpoint}/{prefix}{self.name}/tree/{quote(revision, safe='')}"

    def discussion_url(self, number: int) -> str:
        """Return the page of a discussion or pull request."""
        prefix = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        return f"{self.api.endpoint}/{prefix}{self.name}/discussions/{number}"

    def _info(self, repo_type: RepoType) -> "ModelInfo | DatasetInfo | SpaceInfo | None":
        from huggingface_hub.errors import RepositoryNotFoundError

        try:
            return self.api.repo_info(self.name, repo_type=repo_type)  # type: ignore[return-value]
        except RepositoryNotFoundError as error:
            # Without a token everything private looks absent, and nothing can be created anyway.
            if error.response.status_code == 401:
                raise
            return None


def find_repository(api: "HfApi", name: str, repo_type: RepoType | None = None) -> Repository:
    """Return the repository of a name, whatever its type.

    Args:
        api: The Hub's client.
        name: ``OWNER/NAME``.
        repo_type: Its type, where a name belongs to several; None takes the only one.

    Raises:
        UserError: There is none, or there are several.
    """
    check_name(name)
    wanted = (repo_type,) if repo_type else REPO_TYPES
    found = [repository for kind in wanted if (repository := Repository(api, name, kind)).exists()]
    if not found:
        raise UserError(
            f"the Hub at {api.endpoint} has no {repo_type or 'repository'} {name}, or this token may not see it"
        )
    if len(found) > 1:
        types = " and a ".join(repository.repo_type for repository in found)
        raise UserError(f"{name} is a {types} on this Hub: say which with --type")
    return found[0]


def check_name(repo: str) -> None:
    """Check the spelling of a repository's name.

    Raises:
        UserError: It is not OWNER/NAME in the Hub's letters.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"{' '.join(str(error).split())} Write OWNER/NAME, such as lab/lorenz-tiny") from None
    if "/" not in repo:
        raise UserError(f"the repository {repo!r} has no owner: write OWNER/NAME, such as lab/{repo}")


def need_pins(entries: Any, file: Path, field: str) -> None:
    """Check a list of repositories at commits.

    Raises:
        UserError: It is no list, or one of them has another form.
    """
    if not isinstance(entries, list):
        raise UserError(f"{file}: the field {field} is not a list")
    for entry in entries:
        need_pin(entry, file, field)


def need_pin(entry: Any, file: Path, field: str) -> None:
    """Check one repository at a commit; anything else would be printed in cards as if it were one.

    Raises:
        UserError: A part is missing, or the revision is a branch or tag, which move.
    """
    need(entry, file, "repo", "revision")
    repo, revision = entry["repo"], entry["revision"]
    check_name(str(repo))
    if not isinstance(revision, str) or not _COMMIT.fullmatch(revision):
        raise UserError(f"{file}: {field}: the revision {revision!r} of {repo} is not a full commit id")
