"""Writes a Space: the app, the models that it shows at their commits, and examples of their test splits."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hubkit.demo.examples import prompts, worlds
from hubkit.errors import UserError
from hubkit.hub import Commit, load_rows, resolve
from hubkit.hub_errors import explained
from hubkit.models.loading import CAUSAL, MASKED, MODELS, architecture_files, auto_class
from hubkit.resources import resource

EXAMPLES = 4
PACKAGE = "hubkit_models"
"""The folder of a Space that holds copies out of hubkit/models."""

_SOURCES = ("*.py", "*.css", "requirements.txt")
_GENERATION = ("directed_generation.py", "streaming.py")
_FILES = {"fill": "examples.json", "generate": "prompts.json"}


def compose_space(models: Sequence[str], folder: Path, title: str | None = None) -> dict[str, Any]:
    """Write a Space folder that shows published models, pinned to the commits that their revisions mean now.

    Args:
        models: Repositories, one of each kind at most: one that fills masks, one that generates. ``owner/name`` is its
            newest commit, ``owner/name@revision`` another.
        folder: Where to write; a Space that was composed there is replaced.
        title: Of the page; None names it after the models.

    Returns:
        The content of `space.json`: what is pinned.

    Raises:
        UserError: A model is not on the Hub, has no lineage, or has no page; two are of one kind; or the folder holds
            something else.
    """
    if folder.exists() and not (folder / "space.json").is_file():
        raise UserError(f"{folder} is there and is no Space that hubkit composed; choose another folder")
    shown = [_shown(name) for name in models]
    for kind in ("fill", "generate"):
        rivals = [model.commit.repo for model in shown if model.kind == kind]
        if len(rivals) > 1:
            raise UserError(f"model: {' and '.join(rivals)} both {kind}, and a Space shows one of each kind")
    data = {(entry["repo"], entry["revision"]) for model in shown for entry in model.lineage["datasets"]}
    pins = {
        "format": 1,
        "title": title or _title(shown),
        "models": [{"repo": model.commit.repo, "revision": model.commit.revision} for model in shown],
        "datasets": [{"repo": repo, "revision": revision} for repo, revision in sorted(data)],
    }
    examples = {_FILES[model.kind]: _examples(model) for model in shown}
    shutil.rmtree(folder, ignore_errors=True)
    copy_app(folder, [model.architecture for model in shown])
    for name, content in {"space.json": pins, **examples}.items():
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return pins


def copy_app(folder: Path, architectures: Sequence[str] = ()) -> None:
    """Write the app of a Space, and beside it what generates text and the architectures that transformers lacks.

    Args:
        folder: Where to write.
        architectures: Model types, hubkit's own or stock ones; a Space runs no code of a model's repository.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in _SOURCES:
        for source in sorted(resource("spaces", "demo").glob(pattern)):
            shutil.copyfile(source, folder / source.name)
    package = folder / PACKAGE
    package.mkdir(exist_ok=True)
    for name in _GENERATION:
        shutil.copyfile(MODELS / name, package / name)
    for architecture in architectures:
        for source in architecture_files(architecture):
            (package / architecture).mkdir(exist_ok=True)
            shutil.copyfile(source, package / architecture / source.name)


class _Shown(NamedTuple):
    """A model that a Space shows."""

    commit: Commit
    lineage: dict[str, Any]
    kind: str
    """`fill` or `generate`."""
    architecture: str
    direction: str


def _shown(name: str) -> _Shown:
    """Return what a Space has to know of a model, ``owner/name`` or ``owner/name@revision``."""
    repo, _, revision = name.partition("@")
    commit = resolve(repo, revision or None, "model")
    config = _read(commit, "config.json")
    kind = {CAUSAL: "generate", MASKED: "fill"}.get(auto_class(config) or "")
    direction = str(config.get("direction") or "forward")
    architecture = str(config.get("model_type"))
    if kind is None or architecture == "numeric_roberta" or direction == "permuted":
        why = "it reads its tokens in a permuted order" if direction == "permuted" else f"{architecture} has no tab"
        raise UserError(f"model: {repo} neither fills masks nor generates on a page ({why}); leave it out")
    return _Shown(commit, _read(commit, "run.json"), kind, architecture, direction)


def _read(commit: Commit, name: str) -> dict[str, Any]:
    """Return a JSON file of a model on the Hub."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        with explained(commit.repo):
            path = hf_hub_download(commit.repo, name, revision=commit.revision)
    except EntryNotFoundError:
        raise UserError(f"model: {commit.repo} has no {name}, so it is not a model that hubkit published") from None
    return json.loads(Path(path).read_text(encoding="utf-8"))


def _title(shown: Sequence[_Shown]) -> str:
    names = " and ".join(model.lineage["name"] for model in shown)
    return f"Fill in a world: {names}" if [model.kind for model in shown] == ["fill"] else f"Try {names}"


def _examples(model: _Shown) -> list[dict[str, str]]:
    """Return examples of the test split, for the tab that shows the model."""
    recipe = model.lineage["recipe"]
    spec = recipe.get("dataset") or recipe["datasets"][0]
    if not spec.get("repo"):  # trained on tokens that were never published as text
        return []
    dataset = model.lineage["datasets"][0]
    rows = load_rows(dataset["repo"], dataset["revision"], spec["test"], spec["config"], (spec["column"],))
    texts = [str(text) for text in rows[: 2 * EXAMPLES][spec["column"]]]
    made = worlds(texts) if model.kind == "fill" else prompts(texts, model.direction)
    return made[:EXAMPLES]
