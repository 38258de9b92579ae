"""A Space folder: a Gradio app, what it needs, and `space.json` with the repositories that it shows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.sources import OURS, CardFacts, Content, RepoFiles, Source, content_of_file, need, read_json
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
        for entry in (*space.get("models", ()), *space.get("datasets", ())):
            need(entry, self.root / MANIFEST, "repo", "revision")
        return space

    def files(self) -> list[Content]:
        """Return every file but hidden ones, byte code and what hubkit writes itself."""
        found = []
        for path in sorted(self.root.rglob("*")):
            parts = path.relative_to(self.root).parts
            name = "/".join(parts)
            if not path.is_file() or name in OURS or path.suffix == ".pyc" or "__pycache__" in parts:
                continue
            if any(part.startswith(".") for part in parts):
                self.left_out.append(f"{name} (hidden)")
            else:
                found.append(content_of_file(name, path))
        return found

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Any change of the files is a MINOR one: nobody's code depends on a demo."""
        return Change(Level.MINOR, "the app changed", tuple(sorted(changed)))

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return the Space's card; asks the Hub which files the pinned models have."""
        from hubkit.publishing.space_card import space_card

        return space_card(self.manifest, repo, files_of)


def is_space(folder: Path) -> bool:
    """Tell whether a folder is meant as a Space."""
    return (folder / MANIFEST).is_file() or (folder / APP).is_file()
