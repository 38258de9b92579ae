"""Evaluates a model folder on the test split of the dataset that it was trained on, or of another one."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.evaluation import exact_match as exact_matches
from hubkit.evaluation import perplexity as perplexities
from hubkit.evaluation.exact_match import exact_match
from hubkit.evaluation.lorenz import check_masks, mask_filling, number_recovery
from hubkit.evaluation.perplexity import perplexity
from hubkit.evaluation.subject import Progress, Subject, find_subject
from hubkit.files import write_atomic
from hubkit.hub import Commit

EVALUATION = "evaluation.json"

EVALUATIONS: dict[str, Callable[[Subject], list[dict[str, Any]]]] = {
    "mask_filling": mask_filling,
    "number_recovery": number_recovery,
    "perplexity": perplexity,
    "exact_match": exact_match,
}
"""Evaluations by the name that recipes use; each returns entries of `evaluation.json`."""

_CHECKS: dict[str, Callable[[Subject], object]] = {
    "mask_filling": partial(check_masks, evaluation="mask_filling"),
    "number_recovery": partial(check_masks, evaluation="number_recovery"),
    "perplexity": perplexities.check,
    "exact_match": exact_matches.check,
}
"""What each of them refuses of a recipe alone, before there is a model or a dataset."""


def check_evaluations(recipe: Mapping[str, Any]) -> None:
    """Refuse a recipe whose evaluations its model could never answer: before the training, not after it.

    Args:
        recipe: As :meth:`hubkit.training.recipe.Recipe.published` gives it.

    Raises:
        UserError: Names the evaluation, and what to change.
    """
    nowhere = Subject(Path(recipe["name"]), {"name": recipe["name"], "recipe": recipe}, Commit("", "", None))
    for name in recipe["evaluations"]:
        _CHECKS[name](nowhere)


def evaluate_model(
    folder: Path,
    dataset: str | None = None,
    revision: str | None = None,
    limit: int | None = None,
    progress: Progress = lambda what, done, total: None,
    names: Sequence[str] = (),
) -> dict[str, Any]:
    """Run the evaluations that a model's recipe names, or others.

    Args:
        folder: A model folder with its `run.json`.
        dataset: Another dataset of the same kind; None is the one of the lineage, at its commit.
        revision: Of `dataset`; None is its newest.
        limit: Ask only about so many sequences of the test split, the first ones.
        progress: Hears (what, done, total).
        names: Evaluations, of those in :data:`EVALUATIONS`; empty are those of the recipe.

    Returns:
        The content of `evaluation.json`.

    Raises:
        UserError: The folder has no lineage, there is no such evaluation, or its model can't answer the questions.
    """
    subject = find_subject(folder, dataset, revision, limit, progress)
    chosen, own = list(dict.fromkeys(names)), subject.lineage["name"]
    for name in chosen:
        if name not in EVALUATIONS:
            raise UserError(f"--metric: there is no evaluation {name} ({_fitting(subject)})")
    chosen = chosen or subject.recipe.get("evaluations")
    if not chosen:
        raise UserError(f"{own}: its recipe names no evaluations; say which by --metric NAME ({_fitting(subject)})")
    unknown = ", ".join(name for name in chosen if name not in EVALUATIONS)
    if unknown:
        raise UserError(f"{own}: this version of hubkit has no evaluation {unknown}; upgrade it")
    return {"format": 1, "results": [entry for name in chosen for entry in EVALUATIONS[name](subject)]}


def _fitting(subject: Subject) -> str:
    """Return the evaluations that a model can answer, in words."""
    names = [name for name in EVALUATIONS if _fits(name, subject)]
    return f"of this model: {', '.join(names)}" if names else "and none fits this model"


def _fits(name: str, subject: Subject) -> bool:
    try:
        _CHECKS[name](subject)
    except UserError:
        return False
    return True


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write `evaluation.json` beside the model, where its card finds it."""
    write_atomic(folder / EVALUATION, json.dumps(evaluation, indent=1, ensure_ascii=False) + "\n")


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Return what :func:`write_evaluation` wrote."""
    return json.loads((folder / EVALUATION).read_text(encoding="utf-8"))


def add_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write results beside the model; earlier ones stay, but for those of the same question, dataset and split."""
    earlier = read_evaluation(folder)["results"] if (folder / EVALUATION).is_file() else []
    results = {_identity(entry): entry for entry in [*earlier, *evaluation["results"]]}
    write_evaluation(folder, {"format": 1, "results": list(results.values())})


def _identity(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["task"]["name"], entry["dataset"]["repo"], entry["dataset"]["split"]
