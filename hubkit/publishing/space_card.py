"""What the card of a Space says: the fields that the Hub builds it from, and the repositories that it shows."""

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.cards import citation, one_of, render_body
from hubkit.publishing.model import is_weights
from hubkit.publishing.sources import CardFacts, RepoFiles
from hubkit.publishing.space import APP
from hubkit.publishing.versions import Version

PYTHON = "3.11"
"""The Hub's default, 3.10, is too old for transformers 5."""

_COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_SHORT = 60
_TO_LOAD = {
    "config.json", "generation_config.json", "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "chat_template.jinja",
}  # fmt: skip


def space_card(space: Mapping[str, Any], repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
    """Return the card of a Space.

    Args:
        space: Its `space.json`.
        repo: Where it is published.
        version: The release to cite.
        files_of: Lists the files of a pinned model on the Hub.
    """
    models, datasets = list(space.get("models") or ()), list(space.get("datasets") or ())
    sdk_version = str(space.get("sdk_version") or _gradio())
    metadata: dict[str, Any] = {
        "sdk": "gradio",
        "sdk_version": sdk_version,
        "python_version": PYTHON,
        "app_file": APP,
        "models": _names(models),
        "datasets": _names(datasets),
        "preload_from_hub": [_preload(entry, files_of) for entry in models],
    }
    defaults = {
        "title": space["title"],
        "emoji": space.get("emoji") or "🔭",
        "colorFrom": one_of(space.get("colorFrom") or "indigo", _COLORS, "space.json: colorFrom"),
        "colorTo": one_of(space.get("colorTo") or "blue", _COLORS, "space.json: colorTo"),
        "short_description": _short_description(space, models),
        "license": space.get("license") or "apache-2.0",
    }
    pins = [("Model", "", entry) for entry in models] + [("Dataset", "/datasets", entry) for entry in datasets]
    facts = {
        "repo": repo,
        "title": space["title"],
        "sdk_version": sdk_version,
        "pins": pins,
        "models": _names(models),
        "app": APP,
        "citation": citation(repo, version.tag, str(space["title"]), "Space"),
    }
    metadata = {key: value for key, value in metadata.items() if value}
    return CardFacts(metadata, defaults, render_body("space.md.j2", facts))


def _names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(entry["repo"] for entry in entries))


def _gradio() -> str:
    try:
        return installed("gradio")
    except PackageNotFoundError:
        raise UserError('gradio is not installed, so space.json has to say which one to use: "sdk_version"') from None


def _short_description(space: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> str:
    given = space.get("short_description")
    if given is None:
        text = f"Try {models[0]['repo']} in the browser" if models else str(space["title"])
        return text if len(text) <= _SHORT else text[: _SHORT - 1].rstrip() + "…"
    given = str(given)
    if len(given) > _SHORT:
        raise UserError(f"space.json: short_description has {len(given)} characters, and the Hub allows {_SHORT}")
    return given


def _preload(entry: Mapping[str, Any], files_of: RepoFiles) -> str:
    """Return the line that has a model's files in the Space's image, pinned to the commit."""
    repo, revision = entry["repo"], entry["revision"]
    files = sorted(path for path in files_of(repo, "model", revision) if _is_loaded(path))
    if not any(is_weights(path) for path in files):
        raise UserError(f"space.json: the model {repo} has no weights at {revision[:12]}: publish it first")
    return f"{repo} {','.join(files)} {revision}"


def _is_loaded(path: str) -> bool:
    """Tell whether from_pretrained reads a file of a model."""
    return path in _TO_LOAD or is_weights(path) or ("/" not in path and path.endswith(".py"))
