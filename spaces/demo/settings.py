"""What this Space shows: its title, its models and data sets, each pinned to one commit.

The step that deploys the Space writes `space.json` beside this file. While developing, two environment variables name
another model, or a local folder that holds one.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

FORMAT = 1
"""The version of `space.json` that this code reads."""
MODEL, REVISION = "HUBKIT_SPACE_MODEL", "HUBKIT_SPACE_REVISION"
"""The environment variables that replace the model."""
TITLE = "Fill in a world"

_HOW = (
    "Put a file space.json beside app.py:\n"
    '  {"format": 1, "title": "…", "models": [{"repo": "owner/model", "revision": "<40 hex digits>"}],\n'
    '   "datasets": [{"repo": "owner/data", "revision": "<40 hex digits>"}]}\n'
    f"or set {MODEL} to a local folder, or to a repository together with {REVISION} (its commit, 40 hex digits)."
)


class SettingsError(ValueError):
    """The Space can't start as it is set up; the message says how to mend that."""


@dataclass(frozen=True)
class Pin:
    """A repository at one commit, or (revision None) a local folder."""

    repo: str
    revision: str | None
    kind: str = "model"

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision[:7]}" if self.revision else self.repo

    def link(self, endpoint: str) -> str:
        """Return HTML that names the repository at its commit and leads to it on the Hub at `endpoint`."""
        if self.revision is None:
            return f"<code>{escape(self.repo)}</code> (local folder)"
        folder = "datasets/" if self.kind == "dataset" else ""
        url = f"{endpoint.rstrip('/')}/{folder}{self.repo}/tree/{self.revision}"
        return f'<a href="{escape(url)}" target="_blank" rel="noopener">{escape(str(self))}</a>'


@dataclass(frozen=True)
class Settings:
    """What `space.json` and the environment say."""

    title: str
    models: tuple[Pin, ...]
    datasets: tuple[Pin, ...]


def read_settings(folder: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return what the Space shows.

    Args:
        folder: Where `space.json` lies, if there is one.
        environment: The variables that may replace its model.

    Raises:
        SettingsError: No model is named, or one isn't pinned to a commit.
    """
    content = _read_json(folder / "space.json")
    if environment.get(MODEL):
        models: tuple[Pin, ...] = (_override(environment),)
    else:
        models = _pins(content, "models", "model")
    if not models:
        raise SettingsError(f"This Space knows no model to show. {_HOW}")
    return Settings(str(content.get("title") or TITLE), models, _pins(content, "datasets", "dataset"))


def _read_json(path: Path) -> dict:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SettingsError(f"{path.name} is not JSON ({error}). {_HOW}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise SettingsError(f'{path.name} must be an object with "format": {FORMAT}. {_HOW}')
    return content


def _pins(content: dict, field: str, kind: str) -> tuple[Pin, ...]:
    entries = content.get(field, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise SettingsError(f"space.json: {field} must be a list of objects. {_HOW}")
    return tuple(_pin(str(entry.get("repo", "")), entry.get("revision"), kind, field) for entry in entries)


def _override(environment: Mapping[str, str]) -> Pin:
    name = environment[MODEL]
    if Path(name).is_dir():
        return Pin(str(Path(name)), None)
    return _pin(name, environment.get(REVISION), "model", f"{MODEL}={name} (no local folder) with {REVISION}")


def _pin(repo: str, revision: object, kind: str, field: str) -> Pin:
    # A branch or tag can move, and then the demo would show another model than the one that its page names.
    if not repo or not isinstance(revision, str) or not re.fullmatch(r"[0-9a-f]{40}", revision):
        raise SettingsError(f"{field}: {repo!r} needs a revision of 40 hex digits, not {revision!r}. {_HOW}")
    return Pin(repo, revision, kind)
