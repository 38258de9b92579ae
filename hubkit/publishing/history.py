"""The releases of a repository: what each holds, what it changed, and which of its tags hubkit did not make."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hubkit.hub_errors import explained
from hubkit.hub_patience import hub_api
from hubkit.publishing import changelog, corpus
from hubkit.publishing.hub import Repository, find_repository
from hubkit.publishing.model import is_weights
from hubkit.publishing.releases import FORMAT, read_object
from hubkit.publishing.rendering import count, size
from hubkit.publishing.sources import CHANGELOG, RELEASE, RepoType
from hubkit.publishing.versions import Version

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_QUESTIONS = 8
"""Releases that the Hub is asked about at the same time."""


@dataclass(frozen=True)
class ReleaseInfo:
    """One tag of the form vX.Y.Z."""

    version: Version
    commit: str
    date: str | None
    """When it was committed (ISO 8601); None where the Hub no longer knows."""
    kind: str | None
    """``corpus``, ``model``, ``space`` …; None where hubkit did not make it, so that nothing was compared."""
    level: str | None
    why: str | None
    """What made it that version, from the changelog."""
    details: tuple[str, ...]
    files: int
    bytes: int
    rows: Mapping[str, int]
    """Rows of each split, where a manifest says them."""
    weights: int
    """Bytes of a model's weights; 0 for anything else."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        return {**asdict(self), "version": str(self.version), "tag": self.version.tag, "details": list(self.details)}


@dataclass(frozen=True)
class History:
    """A repository and its releases, newest first."""

    repo: str
    repo_type: RepoType
    releases: tuple[ReleaseInfo, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        releases = [release.to_json() for release in self.releases]
        return {"repo": self.repo, "repo_type": self.repo_type, "releases": releases}

    def render(self) -> str:
        """Return the releases as text for people."""
        if not self.releases:
            return f"{self.repo_type} {self.repo} has no releases: no tag of the form v1.0.0"
        return "\n".join(line for release in self.releases for line in _lines(release))


def releases(repo: str, repo_type: RepoType | None = None, api: "HfApi | None" = None) -> History:
    """Return the releases of a repository.

    Args:
        repo: ``OWNER/NAME``.
        repo_type: Its type, where the name belongs to several repositories.
        api: The Hub's client; by default one that takes endpoint and token from the environment.

    Raises:
        UserError: There is no such repository, or the Hub can't be asked.
    """
    with explained(repo):
        repository = find_repository(api or hub_api(), repo, repo_type)
        tags = repository.releases()
        if not tags:
            return History(repo, repository.repo_type, ())
        dates = {commit.commit_id: commit.created_at.isoformat() for commit in repository.history("main")}
        newest = _text(repository, CHANGELOG, "main")

        def told(version: Version) -> ReleaseInfo:
            return _told(repository, version, tags[version], dates, newest)

        with ThreadPoolExecutor(_QUESTIONS) as pool:
            found = tuple(pool.map(told, sorted(tags, reverse=True)))
    return History(repo, repository.repo_type, found)


def _told(repository: Repository, version: Version, commit: str, dates: Mapping[str, str], newest: str) -> ReleaseInfo:
    """Return everything that is to be said of one release."""
    date = dates.get(commit) or repository.history(commit)[0].created_at.isoformat()
    listed = read_object(repository, RELEASE, commit)
    if listed is None or listed.get("format") != FORMAT or listed.get("version") != str(version):
        files = repository.files(commit).values()
        total = sum(file.size for file in files)
        return ReleaseInfo(version, commit, date, None, None, None, (), len(files), total, {}, 0)
    said = changelog.notes(newest, version) or changelog.notes(_text(repository, CHANGELOG, commit), version)
    files = [entry for entry in listed.get("files") or () if isinstance(entry, dict)]
    manifest = read_object(repository, corpus.MANIFEST, commit, [str(entry.get("path")) for entry in files])
    return ReleaseInfo(
        version,
        commit,
        date,
        str(listed.get("kind")),
        str(said.level) if said and said.level else None,
        said.why if said else None,
        said.details if said else (),
        len(files),
        sum(int(entry["size"]) for entry in files),
        {name: int(split["rows"]) for name, split in ((manifest or {}).get("splits") or {}).items()},
        sum(int(entry["size"]) for entry in files if is_weights(str(entry["path"]))),
    )


def _text(repository: Repository, path: str, revision: str) -> str:
    data = repository.read(path, revision)
    return data.decode("utf-8", "replace") if data is not None else ""


def _lines(release: ReleaseInfo) -> list[str]:
    """Return a release as lines: which it is, what made it so, what it holds."""
    day = (release.date or "")[:10]
    head = f"{release.version.tag:<9} {day:<10}  {release.commit[:12]}"
    holds = [f"{split} {count(rows, 'row')}" for split, rows in release.rows.items()]
    holds += [f"weights {size(release.weights)}"] if release.weights else []
    holds.append(f"{count(release.files, 'file')}, {size(release.bytes)}")
    if release.kind is None:
        said = "not made by hubkit: nothing says what it changed"
    else:
        level = f"{release.level.upper()}: " if release.level not in (None, "first") else ""
        said = f"{level}{release.why or 'the changelog says nothing of it'}"
    return [f"{head}  {said}", *(f"    - {line}" for line in release.details), f"    {' · '.join(holds)}"]
