"""What a publish will do, as a value: made before anything is sent, printed by a dry run, and executed as it is."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hubkit.publishing.sources import CARD, CROISSANT, PICTURES, RELEASE, RESULTS, RepoType, Stored


class Action(StrEnum):
    """What happens to one file of the repository."""

    ADD = "add"
    """Its bytes are sent; where a file of that name is there already, it is replaced."""
    COPY = "copy"
    """The repository has its bytes already, under another name or in another commit: nothing is sent."""
    SAME = "same"
    """It is there already, byte for byte."""
    DELETE = "delete"
    """An earlier release of hubkit's brought it, and the new one doesn't have it."""


@dataclass(frozen=True)
class PlannedFile:
    """One file of the release, or of an earlier one."""

    path: str
    action: Action
    size: int
    sha256: str | None = None
    git_oid: str | None = None
    source: Path | bytes | Stored | None = None
    """Where its bytes are; None for a file to delete."""
    replaces: bool = False
    """Whether a file with other bytes has that name."""


@dataclass(frozen=True)
class KeptFile:
    """A file of the repository that is no business of hubkit's."""

    path: str
    size: int
    git_oid: str


@dataclass(frozen=True)
class Plan:
    """Everything that :func:`hubkit.publishing.apply` will do, and nothing that it won't."""

    endpoint: str
    """Address of the Hub that the plan was made with."""
    repo: str
    kind: str
    """``corpus``, ``model`` or ``space``."""
    repo_type: RepoType
    private: bool
    """Whether the repository is, or will be made, private."""
    exists: bool
    parent_commit: str | None
    """Head of the main branch; None where the repository has to be created first."""
    version: str
    """Version that the repository has afterwards."""
    why: str
    """What makes it that version."""
    details: tuple[str, ...]
    tag: str | None
    """Tag to create, or None where nothing is released."""
    files: tuple[PlannedFile, ...]
    kept: tuple[KeptFile, ...]
    card_diff: str
    """Unified diff of README.md; empty where it stays as it is."""
    left_out: tuple[str, ...]
    """What lies in the folder and is not published, with reasons."""
    pull_request: bool = False
    """Whether a pull request is opened, so that the owner of the repository decides; the tag then comes later."""
    conflicts: tuple[str, ...] = ()
    """What people changed inside hubkit's sections of the card, and what becomes of it."""

    @property
    def changes(self) -> tuple[PlannedFile, ...]:
        """The files that a commit has to change; none where everything is there already."""
        return tuple(file for file in self.files if file.action is not Action.SAME)

    @property
    def upload_bytes(self) -> int:
        """Bytes of the files to send."""
        return sum(file.size for file in self.files if file.action is Action.ADD)

    @property
    def message(self) -> str:
        """First line of the commit."""
        if self.tag:
            return f"Release {self.tag}"
        ours = (CARD, RELEASE, CROISSANT, f"{PICTURES}/", f"{RESULTS}/")
        if all(file.path.startswith(ours) for file in self.changes):
            return "Update the card"
        return f"Bring the files back to v{self.version}"

    def render(self) -> str:
        """Return the plan as text for people."""
        from hubkit.publishing.rendering import render

        return render(self)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain data for scripts; contents and local paths stay out of it."""
        return {
            "hub": self.endpoint,
            "repo": self.repo,
            "repo_type": self.repo_type,
            "kind": self.kind,
            "private": self.private,
            "exists": self.exists,
            "parent_commit": self.parent_commit,
            "version": self.version,
            "why": self.why,
            "details": list(self.details),
            "tag": self.tag,
            "pull_request": self.pull_request,
            "upload_bytes": self.upload_bytes,
            "files": [
                {"path": file.path, "action": str(file.action), "size": file.size, "sha256": file.sha256}
                for file in self.files
            ],
            "kept": [file.path for file in self.kept],
            "left_out": list(self.left_out),
            "card_diff": self.card_diff,
            "conflicts": list(self.conflicts),
        }
