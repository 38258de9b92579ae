"""The commands that make a published model again from what its repository records, and what stands against that."""

import copy
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.errors import UserError
from hubkit.lineage.original import CORPUS, RECIPE, Data, Original
from hubkit.lineage.surroundings import differences
from hubkit.publishing.model import EVALUATION

PUBLISHED, MADE, CORPORA = "published", "run", "corpora"
"""Folders of a reproduction: the original's small files, the training, and corpora."""
MODEL = f"{MADE}/model"


@dataclass(frozen=True)
class Step:
    """One command, as a person would type it in the folder of the reproduction."""

    what: str
    """What it does, in a few words."""
    command: tuple[str, ...]
    makes: str | None = None
    """A file that is there when nothing is left to do."""
    by_hand: bool = False
    """Whether it is left to people: it would change the environment that runs it."""

    def __str__(self) -> str:
        return " ".join(shlex.quote(part) for part in self.command)


@dataclass(frozen=True)
class Remaking:
    """How a model is made again."""

    original: Original
    steps: tuple[Step, ...]
    obstacles: tuple[str, ...]
    """What makes it impossible."""
    remarks: tuple[str, ...]
    """What can make the numbers differ, and what is not made again."""
    same: bool
    """Whether device, versions and code are those of the original, as far as these are written down."""
    rebuilt: Mapping[str, Data]
    """Corpora that are made again, by the folder that they are built in."""


def remaking(original: Original, here: Mapping[str, Any]) -> Remaking:
    """Return how a model is made again.

    Args:
        original: From :func:`hubkit.lineage.original.find_original`.
        here: From :func:`hubkit.lineage.surroundings.surroundings`.
    """
    recipe = pinned_recipe(original)
    overrides = _overrides(original.recipe or {}, recipe)
    differing = differences(original.run, here)
    regenerable = {f"{CORPORA}/{_folder(data)}": data for data in original.data if _hindrance(data) is None}
    steps = [_install(original), _download(original), _prefetch(overrides)]
    for folder, data in regenerable.items():
        steps += _build(folder, data)
    read = dict.fromkeys((data.repo, data.commit) for data in _read(original) if data.corpus is not None)
    steps += [_verify(*pin) for pin in read]
    steps.append(Step("train", ("hubkit", "train", f"{PUBLISHED}/{RECIPE}", f"output={MADE}", *overrides)))
    if recipe.get("evaluations"):
        steps.append(Step("evaluate", ("hubkit", "evaluate", MODEL), makes=f"{MODEL}/{EVALUATION}"))
    remarks = [*differing, *_unsteady(original, recipe), *filter(None, map(_hindrance, original.data))]
    obstacles = [*_obstacles(original), *_unreadable(recipe)]
    return Remaking(original, tuple(steps), tuple(obstacles), tuple(remarks), not differing, regenerable)


def pinned_recipe(original: Original) -> dict[str, Any]:
    """Return the recipe of a model with every revision a commit, and nothing published."""
    recipe = copy.deepcopy(dict(original.recipe or original.run["recipe"]))
    # The record names what the training read, in the recipe's order.
    for data, pin in zip([recipe["dataset"], *(recipe.get("mix") or ())], original.run["datasets"], strict=False):
        if pin.get("repo"):
            data["revision"] = pin["revision"]
    noted = original.run.get("also_evaluate") or {}
    for name, data in (recipe.get("also_evaluate") or {}).items():
        if name in noted and noted[name].get("repo"):
            data["revision"] = noted[name]["revision"]
    tokenizer, origin = original.run.get("tokenizer") or {}, original.run.get("init_from") or {}
    if tokenizer.get("revision"):
        recipe["tokenizer"] = f"{tokenizer['name']}@{tokenizer['revision']}"
    elif not _is_own(str(recipe.get("tokenizer"))):
        recipe["tokenizer"] = f"{PUBLISHED}/tokenizer.json"
    if origin.get("repo"):
        recipe["init_from"] = f"{origin['repo']}@{origin['revision']}"
    recipe["publish_to"] = None
    return recipe


def _overrides(published: Mapping[str, Any], pinned: Mapping[str, Any]) -> list[str]:
    """Return the assignments that turn the recipe that was published into the pinned one; none where it is."""
    found = []
    for field, value in pinned.items():
        before = published.get(field)
        if before == value or (field == "tokenizer" and before == "./tokenizer.json"):
            continue
        if isinstance(before, dict) and isinstance(value, dict) and before.keys() == value.keys():
            found += [f"{field}.{key}={_yaml(value[key])}" for key in value if value[key] != before[key]]
        else:
            found.append(f"{field}={_yaml(value)}")
    return found


def _yaml(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _install(original: Original) -> Step:
    libraries = original.environment.get("libraries") or {}
    # What stands behind a plus, such as torch's `+cpu`, is a build that no index has under that name.
    versions = [f"{name}=={version.partition('+')[0]}" for name, version in libraries.items()]
    hubkit = (original.run.get("code") or {}).get("hubkit")
    own = [f"hubkit=={hubkit}"] if hubkit else []
    return Step("install the versions that made it", ("pip", "install", *own, *versions), by_hand=True)


def _download(original: Original) -> Step:
    command = ("hf", "download", "--quiet", original.repo, "--revision", original.commit, "--local-dir", PUBLISHED)
    heavy = ("--exclude", "*.safetensors", "--exclude", "runs/*")
    return Step("fetch its recipe and results", (*command, *heavy))


def _prefetch(overrides: list[str]) -> Step:
    changes = [part for change in overrides if not change.startswith("publish_to=") for part in ("--set", change)]
    return Step("fetch what it was trained on", ("hubkit", "prefetch", f"{PUBLISHED}/{RECIPE}", *changes))


def _build(folder: str, data: Data) -> Iterator[Step]:
    where = ("--repo-type", "dataset", "--revision", data.commit, "--local-dir", folder)
    yield Step(f"fetch the spec of {data.repo}", ("hf", "download", "--quiet", data.repo, CORPUS, *where))
    command = ("hubkit", "build", f"{folder}/{CORPUS}", "-o", f"{folder}/built")
    yield Step(f"make the rows of {data.repo} again", command)


def _verify(repo: str, commit: str) -> Step:
    return Step(f"verify {repo}", ("hubkit", "verify", repo, "--revision", commit))


def _read(original: Original) -> tuple[Data, ...]:
    """Return all that the training read."""
    return (*original.data, *original.evaluated)


def _folder(data: Data) -> str:
    return f"{data.repo.replace('/', '--')}-{data.commit[:12]}"


def _hindrance(data: Data) -> str | None:
    """Return why the rows of a dataset are not made again, in words; None where they are."""
    from hubkit.corpora.registry import families, load

    at, corpus = f"{data.repo} at {data.commit[:12]}", data.corpus
    if corpus is None:
        return f"{at} was not made by hubkit: its commit alone says what the rows are"
    spec = corpus.get("spec")
    builder = str(spec.get("builder")) if isinstance(spec, dict) else "of no name"
    if corpus.get("origin") != "generated":
        return f"{at} holds rows from outside, which are verified by their hashes and not made again"
    if builder not in families():
        return f"{at}: its builder {builder!r} is not installed here, so the rows are not made again"
    if load(builder).version != corpus.get("generator_version"):
        return (
            f"{at}: version {corpus.get('generator_version')} of {builder} made it, and here is {load(builder).version}"
        )
    return None


def _obstacles(original: Original) -> Iterator[str]:
    """Yield what was read and nobody else has."""
    for entry in original.run["datasets"]:
        if isinstance(entry, dict) and "path" in entry:
            yield f"it was trained on {entry['path']} (sha256 {str(entry.get('sha256'))[:12]}), which is not on the Hub"
    recipe = original.run["recipe"]
    for name, data in (recipe.get("also_evaluate") or {}).items():
        if isinstance(data, dict) and not data.get("repo"):
            yield f"also_evaluate.{name} is data of somebody's machine"
    origin = original.run.get("init_from")
    if isinstance(origin, dict) and "path" in origin:
        sha256 = str(origin.get("sha256"))[:12]
        yield f"it began with the weights {origin['path']} (sha256 {sha256}), which are not on the Hub"
    for node in (*(data.node for data in _read(original)), *original.others):
        if node.unreachable:
            yield f"{node.kind} {node.name} at {node.short}: {node.unreachable}"
    tokenizer = original.run.get("tokenizer") or {}
    if not (tokenizer.get("revision") or _is_own(str(tokenizer.get("name"))) or "tokenizer.json" in original.files):
        yield f"its tokenizer {tokenizer.get('name')} is not in the repository"


def _unreadable(recipe: Mapping[str, Any]) -> Iterator[str]:
    """Yield why this version of hubkit can't train by a recipe."""
    from hubkit.training.recipe import Recipe

    # Whether the tokenizer is where it will be downloaded to is not known yet.
    try:
        Recipe.build({**recipe, "tokenizer": "lorenz"}, origin="its recipe")
    except UserError as error:
        yield f"this version of hubkit can't read it: {error}"


def _unsteady(original: Original, recipe: Mapping[str, Any]) -> Iterator[str]:
    """Yield what lets a second training differ from the first, or is not made again."""
    training, outcome = recipe.get("training") or {}, original.run.get("training") or {}
    device = original.environment.get("device")
    if device != "cpu" and not training.get("deterministic"):
        yield "training.deterministic: it is off, and a GPU then gives other last bits each time"
    if outcome.get("stopped") and training.get("max_minutes"):
        yield f"it was stopped by the clock ({outcome['stopped']}), and another machine stops elsewhere"
    if original.results and not recipe.get("evaluations"):
        yield "its recipe names no evaluations: those that were published are not made again"


def _is_own(tokenizer: str) -> bool:
    from hubkit.tokenizers.loading import is_own

    return is_own(tokenizer)
