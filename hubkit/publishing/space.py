"""A Space folder: a Gradio app, what it needs, and `space.json` with the repositories that it shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.hub import need_pins
from hubkit.publishing.sources import OURS, CardFacts, Content, RepoFiles, Source, need, read_json
from hubkit.publishing.versions import Change, Level, Version

MANIFEST = "space.json"
APP = "app.py"
REQUIREMENTS = "requirements.txt"


class SpaceSource(Source):
    """A demo."""

    kind = "space"
    repo_type = "space"
    manifest_name = MANIFEST

    def read_manifest(self) -> dict[str, Any]:
        """Return `space.json`; the app and its requirements must be there too."""
        for name in (APP, REQUIREMENTS):
            if not (self.root / name).is_file():
                raise UserError(f"{self.root / name} is missing: a Space needs {APP}, {REQUIREMENTS} and {MANIFEST}")
        space = read_json(self.root / MANIFEST, "it names the Space's title, models and datasets")
        need(space, self.root / MANIFEST, "title")
        for field in ("models", "datasets"):
            need_pins(space.get(field) or [], self.root / MANIFEST, field)
        if not isinstance(space["title"], str) or not space["title"].strip():
            raise UserError(f"{self.root / MANIFEST}: the field title is not a text")
        return space

    def files(self) -> list[Content]:
        """Return every file but hidden ones, byte code and what hubkit writes itself."""
        found = []
        for name, path in self.walk():
            if name in OURS or path.suffix == ".pyc" or path.parent.name == "__pycache__":
                continue
            if path.name.startswith("."):
                self.left_out += self.hidden(name)
            else:
                found.append(self.content(name, path))
        return found

    def hidden(self, name: str) -> list[str]:
        """Say what is hidden: a Space can need such a file."""
        return [f"{name} (hidden)"]

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Any change of the files is a MINOR one: nobody's code depends on a demo."""
        why = "what it shows changed" if list(changed) == [MANIFEST] else "the app changed"
        return Change(Level.MINOR, why, tuple(sorted(changed)))

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return the Space's card; asks the Hub which files the pinned models have."""
        from hubkit.publishing.space_card import space_card

        return space_card(self.manifest, repo, version, files_of)


def is_space(folder: Path) -> bool:
    """Tell whether a folder is meant as a Space."""
    return (folder / MANIFEST).is_file() or (folder / APP).is_file()
