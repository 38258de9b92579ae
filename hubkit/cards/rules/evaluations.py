"""Rules on a model's results: the shape of model-index, values that are numbers, datasets at a commit."""

import math
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hubkit.cards import legal
from hubkit.cards.findings import Flaw, Severity, rule
from hubkit.cards.rules.references import dataset_trouble

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_INDEX = "model-index"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NUMBER = re.compile(r"\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*(%|±.*|\+/-.*)?")
_MODEL: Any = {"kinds": ("model",), "reads_fields": True}
Path = tuple[str | int, ...]


@rule(Severity.ERROR, "model-index-shape", "model-index has the shape that the Hub reads.", **_MODEL)
def _shape(card: "Card") -> Iterator[Flaw]:
    for i, entry in _items(card.fields.get(_INDEX)):
        path: Path = (_INDEX, i)
        if not isinstance(entry, dict) or not isinstance(entry.get("results"), list):
            yield Flaw(card.front.line(*path), "this entry of model-index has no list of results", "add results:")
            continue
        if not entry.get("name"):
            yield Flaw(card.front.line(*path), "this entry of model-index has no name", "add the model's name")
        for j, result in enumerate(entry["results"]):
            yield from _incomplete(card, (*path, "results", j), result)


@rule(Severity.WARNING, "model-index-empty", "model-index has results.", **_MODEL)
def _empty(card: "Card") -> Iterator[Flaw]:
    for i, entry in _items(card.fields.get(_INDEX)):
        if isinstance(entry, dict) and entry.get("results") == []:
            line = card.front.line(_INDEX, i, "results")
            yield Flaw(
                line, "model-index has no results: a program wrote it without an evaluation", "remove model-index"
            )


@rule(Severity.ERROR, "model-index-value", "The value of a metric is a number.", **_MODEL)
def _value(card: "Card") -> Iterator[Flaw]:
    for path, result in _results(card):
        for k, metric in _items(result.get("metrics")):
            if isinstance(metric, dict) and "value" in metric and not _is_number(metric["value"]):
                line = card.front.line(*path, "metrics", k, "value")
                told = card.front.raw(*path, "metrics", k, "value")
                name = metric.get("type", "a metric")
                message = f"the value of {name} is {told if told is not None else 'no single number'}"
                yield Flaw(line, message, "write the number that was measured, or remove the metric")


@rule(Severity.ERROR, "model-index-task", "The task of a result is one of the Hub's.", **_MODEL)
def _task(card: "Card") -> Iterator[Flaw]:
    for path, result in _results(card):
        task = result.get("task")
        kind = task.get("type") if isinstance(task, dict) else None
        if isinstance(kind, str) and kind not in legal.TASKS:
            line = card.front.line(*path, "task", "type")
            mend = legal.nearest(kind, legal.TASKS, "a task of huggingface.co/tasks")
            yield Flaw(line, f"the task {kind} is not one of the Hub's", mend)


@rule(Severity.ERROR, "model-index-dataset", "The dataset of a result is the id of a dataset.", **_MODEL)
def _dataset(card: "Card") -> Iterator[Flaw]:
    for path, result in _results(card):
        data = result.get("dataset")
        kind = data.get("type") if isinstance(data, dict) else None
        if isinstance(kind, str) and (trouble := dataset_trouble(kind)):
            yield Flaw(card.front.line(*path, "dataset", "type"), f"dataset: {trouble[0]}", trouble[1])


@rule(Severity.WARNING, "model-index-pin", "A result says on which config, split and commit it was made.", **_MODEL)
def _pin(card: "Card") -> Iterator[Flaw]:
    for path, result in _results(card):
        data = result.get("dataset")
        if not isinstance(data, dict):
            continue
        missing = [name for name in ("config", "split", "revision") if not data.get(name)]
        line = card.front.line(*path, "dataset")
        if missing:
            yield Flaw(
                line, f"the dataset of this result has no {', no '.join(missing)}", f"add {' and '.join(missing)}"
            )
        elif not _COMMIT.fullmatch(str(data["revision"])):
            line = card.front.line(*path, "dataset", "revision")
            message = f"the revision {data['revision']} of the dataset is no commit, so it can move"
            yield Flaw(line, message, "write the 40 digits of the commit")


@rule(Severity.ERROR, "model-index-source", "The source of a result has an address.", **_MODEL)
def _source(card: "Card") -> Iterator[Flaw]:
    for path, result in _results(card):
        source = result.get("source")
        if source is not None and (not isinstance(source, dict) or not source.get("url")):
            yield Flaw(card.front.line(*path, "source"), "the source of this result has no url", "add it")


@rule(
    Severity.WARNING,
    "training-curve",
    "Who can't read TensorBoard's files finds the curve as an image.",
    kinds=("model",),
)
def _curve(card: "Card") -> Iterator[Flaw]:
    events = [path for path in card.files.sizes if "tfevents" in path]
    if events and not any(path.endswith((".png", ".svg", ".jpg", ".webp")) for path in card.files.sizes):
        message = f"the training is recorded in {events[0]} alone, which not everybody can read"
        yield Flaw(card.front.line(), message, "add the curve as PNG and show it in the card")


@rule(
    Severity.ERROR, "eval-results-shape", "Files in .eval_results/ have the shape that the Hub reads.", kinds=("model",)
)
def _files(card: "Card") -> Iterator[Flaw]:
    for path in card.files.sizes:
        if path.startswith(".eval_results/") and path.endswith((".yaml", ".yml")):
            yield from _entries(path, card.files.read(path) or b"")


def _entries(path: str, data: bytes) -> Iterator[Flaw]:
    """Yield what is wrong with the entries of one file of results."""
    import yaml

    try:
        values, node = yaml.safe_load(data), yaml.compose(data, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        yield Flaw(1, f"this is not valid YAML ({' '.join(str(error).split())})", "write it anew", path)
        return
    if not isinstance(values, list) or not isinstance(node, yaml.SequenceNode):
        yield Flaw(1, "this is no list of results", "write a list of entries with dataset and value", path)
        return
    for entry, place in zip(values, node.value, strict=True):
        data_set = entry.get("dataset") if isinstance(entry, dict) else None
        found = data_set if isinstance(data_set, dict) else {}
        missing = [f"dataset.{key}" for key in ("id", "task_id") if not found.get(key)]
        missing += ["value"] if not isinstance(entry, dict) or not _is_number(entry.get("value")) else []
        if missing:
            line = place.start_mark.line + 1
            yield Flaw(line, f"this result has no {' and no '.join(missing)}", f"add {' and '.join(missing)}", path)


def _incomplete(card: "Card", path: Path, result: Any) -> Iterator[Flaw]:
    """Yield what a result must have and has not."""
    here = card.front.line(*path)
    if not isinstance(result, dict):
        yield Flaw(here, "this result has no fields", "write task, dataset and metrics")
        return
    for part, keys in (("task", ("type",)), ("dataset", ("type", "name"))):
        value = result.get(part)
        missing = [key for key in keys if not (isinstance(value, dict) and value.get(key))]
        if missing:
            names = " and ".join(f"{part}.{key}" for key in missing)
            yield Flaw(card.front.line(*path, part), f"this result has no {names}", f"add {names}")
    metrics = result.get("metrics")
    if not isinstance(metrics, list) or not metrics:
        yield Flaw(here, "this result has no metrics", "list them, or remove the result")
        return
    for k, metric in enumerate(metrics):
        missing = [key for key in ("type", "value") if not (isinstance(metric, dict) and key in metric)]
        if missing:
            line = card.front.line(*path, "metrics", k)
            yield Flaw(line, f"this metric has no {' and no '.join(missing)}", f"add {' and '.join(missing)}")


def _results(card: "Card") -> Iterator[tuple[Path, dict[str, Any]]]:
    for i, entry in _items(card.fields.get(_INDEX)):
        for j, result in _items(entry.get("results") if isinstance(entry, dict) else None):
            if isinstance(result, dict):
                yield (_INDEX, i, "results", j), result


def _items(value: Any) -> list[tuple[int, Any]]:
    return list(enumerate(value)) if isinstance(value, list) else []


def _is_number(value: Any) -> bool:
    if isinstance(value, str):  # "20.0 ± 1.2" is legal
        return _NUMBER.fullmatch(value) is not None
    if isinstance(value, dict):  # some metrics give one number an item
        return bool(value) and all(_is_number(item) for item in value.values())
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
