"""Two revisions of a repository side by side: how a comparison looks into them, and notes the fields that differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubkit.publishing.diff_fields import FieldChange, changed_fields
from hubkit.publishing.hub import RemoteFile, Repository
from hubkit.publishing.releases import read_object

Fields = dict[str, tuple[FieldChange, ...]]
"""Fields that differ, by what they belong to: ``columns``, ``spec``, ``config``, ``recipe``, ``pins`` …"""


@dataclass(frozen=True)
class Revision:
    """One side of a comparison: what was asked for, and what is there."""

    name: str
    commit: str
    files: Mapping[str, RemoteFile] = field(repr=False)


@dataclass(frozen=True)
class Pair:
    """Two revisions of one repository, and how to look into them."""

    repository: Repository
    old: Revision
    new: Revision

    @property
    def both(self) -> tuple[Revision, Revision]:
        """The older one and the newer one."""
        return self.old, self.new

    def json(self, path: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return a JSON object as it is on each side; the same one where the file is the same."""
        old = read_object(self.repository, path, self.old.commit, self.old.files)
        same = path in self.old.files and self.old.files.get(path) == self.new.files.get(path)
        return old, old if same else read_object(self.repository, path, self.new.commit, self.new.files)

    def text(self, path: str, side: Revision) -> str:
        """Return a text file; empty where there is none."""
        data = self.repository.read(path, side.commit) if path in side.files else None
        return (data or b"").decode("utf-8", "replace")

    def fetch(self, path: str, side: Revision) -> Path:
        """Download a file into the Hub's cache."""
        repository = self.repository
        api, kind = repository.api, repository.repo_type
        return Path(api.hf_hub_download(repository.name, path, repo_type=kind, revision=side.commit))


def put(fields: Fields, name: str, old: Any, new: Any) -> None:
    """Note the fields that differ, if any."""
    if found := changed_fields(old, new):
        fields[name] = tuple(found)


def each(pair: tuple[Any, Any], look: Callable[[Any], Any]) -> list[Any]:
    """Return what two objects say; of one that is missing, or of another form, nothing."""
    found = []
    for value in pair:
        try:
            found.append(look(value) if value is not None else None)
        except (KeyError, TypeError, AttributeError):
            found.append(None)
    return found
