"""What earlier releases left: their files, their manifest, and `release.json`, the list of what hubkit brought.

The list is how a file of an older release is told from one that a person put beside it: the first is deleted when the
new release doesn't have it, the second stays.
"""

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.publishing.hub import RemoteFile, Repository, State
from hubkit.publishing.sources import RELEASE, Content, Source
from hubkit.publishing.versions import Version

FORMAT = 1


@dataclass(frozen=True)
class PastRelease:
    """The last release, as far as the next one depends on it."""

    version: Version
    commit: str
    files: Mapping[str, RemoteFile]
    manifest: Mapping[str, Any] | None
    """None where the tag isn't hubkit's."""
    owned: frozenset[str]
    """The files that it brought."""


def past_release(repository: Repository, source: Source, state: State | None) -> PastRelease | None:
    """Read the highest release at its tag, or return None if there was none."""
    if state is None or state.last is None:
        return None
    commit = state.releases[state.last]
    files = state.files if commit == state.head else repository.files(commit)
    manifest = read_object(repository, source.manifest_name, commit, files)
    owned = frozenset(files_brought_by(repository, source, commit, files))
    return PastRelease(state.last, commit, files, manifest, owned)


def files_brought_by(repository: Repository, source: Source, commit: str, files: Mapping[str, RemoteFile]) -> set[str]:
    """Return the files of a commit that hubkit brought there."""
    release = read_object(repository, RELEASE, commit, files)
    # A person's own file of that name says nothing about what is ours to delete.
    if release is not None and _is_ours(release, source):
        return {str(entry.get("path")) for entry in release.get("files") or () if isinstance(entry, dict)}
    manifest = read_object(repository, source.manifest_name, commit, files)
    return source.owned(manifest) if manifest is not None else set()


@dataclass(frozen=True)
class Written:
    """What hubkit wrote into the repository beside the release's own files."""

    fields: Mapping[str, Any]
    """Of the card."""
    sections: Mapping[str, str]
    """Of the card, with the sha256 of each."""
    beside: frozenset[str]
    """Files that the card comes with."""


def written(repository: Repository, source: Source, commit: str, files: Mapping[str, RemoteFile]) -> Written:
    """Return what hubkit wrote into a commit, as far as that is on record."""
    release = read_object(repository, RELEASE, commit, files)
    if release is None or not _is_ours(release, source):
        return Written({}, {}, frozenset())
    card, sections = (value if isinstance(value := release.get(key), dict) else {} for key in ("card", "sections"))
    beside = frozenset(str(entry.get("path")) for entry in release.get("beside") or () if isinstance(entry, dict))
    return Written(card, sections, beside)


def _is_ours(release: Mapping[str, Any], source: Source) -> bool:
    return release.get("format") == FORMAT and release.get("kind") == source.kind


def release_list(
    kind: str,
    version: Version,
    contents: Iterable[Content],
    card: Mapping[str, Any],
    sections: Mapping[str, str],
    beside: Iterable[Content],
) -> bytes:
    """Return `release.json` for a release of these files.

    Args:
        kind: What is released.
        version: Its version.
        contents: Its files.
        card: The fields that hubkit sets in its card.
        sections: The sections that it writes there, with the sha256 of each.
        beside: The files that the card comes with, which decide no version.
    """
    release = {
        "format": FORMAT,
        "kind": kind,
        "version": str(version),
        "files": _listed(contents),
        "beside": _listed(beside),
        "card": card,
        "sections": sections,
    }
    return (json.dumps(release, indent=1, ensure_ascii=False) + "\n").encode()


def _listed(contents: Iterable[Content]) -> list[dict[str, Any]]:
    ordered = sorted(contents, key=lambda content: content.path)
    return [{"path": content.path, "size": content.size, "sha256": content.sha256} for content in ordered]


def read_object(
    repository: Repository, path: str, revision: str, files: Container[str] | None = None
) -> dict[str, Any] | None:
    """Read a JSON object of a repository; None where there is none, which is no reason to refuse a new release.

    Args:
        repository: The repository.
        path: Of the file.
        revision: The commit.
        files: The paths of that commit, where they are known: it saves a question.
    """
    data = repository.read(path, revision) if files is None or path in files else None
    try:
        value = json.loads(data) if data is not None else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
