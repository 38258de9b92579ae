"""What changed between two revisions of a model or a Space: config, recipe, what they pin, evaluation, weights."""

from collections.abc import Mapping
from typing import Any

from hubkit.publishing.diff_sides import Fields, Pair, each, put
from hubkit.publishing.diff_weights import WeightsDiff, compare_weights
from hubkit.publishing.model import CONFIG, EVALUATION, RUN, is_weights
from hubkit.publishing.space import MANIFEST


def compare_models(pair: Pair, fields: Fields) -> WeightsDiff | None:
    """Compare two models by config, lineage, evaluation and weights."""
    runs = pair.json(RUN)
    put(fields, "config", *pair.json(CONFIG))
    put(fields, "recipe", *each(runs, lambda run: run.get("recipe")))
    put(fields, "pins", *each(runs, _pins))
    put(fields, "evaluation", *each(pair.json(EVALUATION), _measured))
    weights = [sorted(path for path in side.files if is_weights(path)) for side in pair.both]
    hashes = [[side.files[path].sha256 or side.files[path].git_oid for path in paths]
              for side, paths in zip(pair.both, weights, strict=True)]  # fmt: skip
    if hashes[0] == hashes[1]:
        return None
    files = [[pair.fetch(path, side) for path in paths] for side, paths in zip(pair.both, weights, strict=True)]
    return compare_weights(files[0], files[1])


def _pins(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model was made from, each dataset by its name."""
    return {
        "datasets": {f"{entry.get('repo')}": _at(entry) for entry in run["datasets"]},
        "also_evaluate": {name: f"{_at(entry)} of {entry.get('repo')}" for name, entry in _evaluated(run).items()},
        "tokenizer": run.get("tokenizer"),
        "init_from": run.get("init_from"),
    }


def _evaluated(run: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    return {name: entry for name, entry in (run.get("also_evaluate") or {}).items() if "repo" in entry}


def _at(entry: Mapping[str, Any]) -> Any:
    return entry.get("release") or entry.get("revision")


def compare_spaces(pair: Pair, fields: Fields) -> None:
    """Compare two Spaces by what they show."""
    shown = each(
        pair.json(MANIFEST),
        lambda found: {
            **{key: value for key, value in found.items() if key not in ("models", "datasets")},
            **{key: {pin["repo"]: pin["revision"] for pin in found.get(key) or ()} for key in ("models", "datasets")},
        },
    )
    put(fields, "pins", *shown)


def _measured(evaluation: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the numbers of an `evaluation.json` by task, dataset and metric, for a comparison field by field.

    A metric goes by its name: top-1 and top-2 accuracy are of one type.
    """
    found: dict[str, Any] = {}
    for result in (evaluation or {}).get("results") or ():
        task, data = result.get("task") or {}, result.get("dataset") or {}
        where = " ".join(
            str(data[key]) for key in ("repo", "config", "split") if data.get(key) not in (None, "default")
        )
        place = found.setdefault(str(task.get("name") or task.get("type")), {}).setdefault(where, {})
        for metric in result.get("metrics") or ():
            place[str(metric.get("name") or metric.get("type"))] = metric.get("value")
    return found
