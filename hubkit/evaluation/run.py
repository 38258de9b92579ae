"""Evaluates a model folder on the test split of the dataset that it was trained on, or of another one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.evaluation.guesses import Guesses, guesses_from
from hubkit.evaluation.mask_filling import ask_about_worlds
from hubkit.files import write_atomic
from hubkit.hub import Commit, load_rows, resolve

EVALUATION = "evaluation.json"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Setting:
    """What an evaluation reads: which dataset, which splits, which column."""

    commit: Commit
    config: str | None
    train: str
    test: str
    column: str


def evaluate_model(
    folder: Path,
    dataset: str | None = None,
    revision: str | None = None,
    limit: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Run the evaluations that a model's recipe names.

    Args:
        folder: A model folder with its `run.json`.
        dataset: Another dataset of the same kind; None is the one of the lineage, at its commit.
        revision: Of `dataset`; None is its newest.
        limit: Ask only about so many rows of the test split.
        progress: Hears (what, done, total).

    Returns:
        The content of `evaluation.json`.

    Raises:
        UserError: The folder has no lineage, or its model can't answer the questions.
    """
    lineage = _read_lineage(folder)
    setting = _setting(lineage, dataset, revision)
    names = lineage["recipe"].get("evaluations")
    if not names:
        raise UserError(
            f"{lineage['name']}: its recipe names no evaluations; add evaluations: [mask_filling], train again"
        )
    unknown = ", ".join(name for name in names if name not in EVALUATIONS)
    if unknown:
        raise UserError(f"{lineage['name']}: this version of hubkit has no evaluation {unknown}; upgrade it")
    results = [result for name in names for result in EVALUATIONS[name](folder, setting, limit, progress)]
    return {"format": 1, "results": results}


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write `evaluation.json` beside the model, where its card finds it."""
    write_atomic(folder / EVALUATION, json.dumps(evaluation, indent=1, ensure_ascii=False) + "\n")


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Return what :func:`write_evaluation` wrote."""
    return json.loads((folder / EVALUATION).read_text(encoding="utf-8"))


def _read_lineage(folder: Path) -> dict[str, Any]:
    try:
        lineage = json.loads((folder / "run.json").read_bytes())
        if lineage["name"] and lineage["recipe"]["dataset"] and lineage["datasets"][0]["revision"]:
            return lineage
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        pass
    raise UserError(f"{folder} has no readable run.json, so it is not a model that hubkit trained")


def _setting(lineage: dict[str, Any], dataset: str | None, revision: str | None) -> Setting:
    recipe, trained_on = lineage["recipe"]["dataset"], lineage["datasets"][0]
    if dataset is None:
        commit = Commit(trained_on["repo"], trained_on["revision"], trained_on["release"])
    else:
        commit = resolve(dataset, revision)
    return Setting(commit, recipe["config"], recipe["train"], recipe["test"], recipe["column"])


def _mask_filling(folder: Path, setting: Setting, limit: int | None, progress: Progress) -> list[dict[str, Any]]:
    """Return the results of the mask-filling evaluation, one for each question."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # of loading the weights, which takes no time
    commit = setting.commit
    test = load_rows(commit.repo, commit.revision, setting.test, setting.config, (setting.column,))[setting.column]
    model = AutoModelForMaskedLM.from_pretrained(folder).to(_device()).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = test if limit is None else test[:limit]
    scores = ask_about_worlds(model, tokenizer, texts, _guesses(setting), progress=progress)
    integer, number, multip = scores["integer"], scores["number"], scores["multip"]
    accuracies = (("accuracy", "top-1 accuracy", "top_1"), ("accuracy", "top-2 accuracy", "top_2"))
    errors = (("rmse", "RMSE", "rmse"), ("rmse", "RMSE of the expected value", "expected_rmse"))
    first = _result("Recover σ: integer part masked", setting, scores, integer, (*accuracies, *errors))
    return [
        first | {"strong_baseline": "looked up by the decimals that stay visible"},
        _result("Recover σ: whole number masked", setting, scores, number, errors),
        _result("Recover step_multip", setting, scores, multip, accuracies),
    ]


def _guesses(setting: Setting) -> Guesses:
    """Return what the training split leads to, read column by column: it may have a million rows."""
    from pyarrow.compute import call_function

    commit = setting.commit
    train = load_rows(commit.repo, commit.revision, setting.train, setting.config, ("params", "step_multip")).data
    systems = call_function("list_element", [train.column("params"), 0])
    sigmas = call_function("list_element", [systems, 0])
    multips = call_function("list_element", [train.column("step_multip"), 0])
    return guesses_from(sigmas.to_pylist(), multips.to_pylist())


EVALUATIONS: dict[str, Callable[[Path, Setting, int | None, Progress], list[dict[str, Any]]]] = {
    "mask_filling": _mask_filling
}
"""Evaluations by the name that recipes use."""


def _result(
    question: str, setting: Setting, scores: dict[str, Any], own: dict[str, float], metrics: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    """Return one entry of `evaluation.json`.

    Args:
        question: What people call it.
        setting: What was read.
        scores: Of all questions, for the counts.
        own: Of this question.
        metrics: Type, name and key in `own` of each metric to report.
    """
    commit = setting.commit
    return {
        "task": {"type": "fill-mask", "name": question},
        "dataset": {
            "repo": commit.repo,
            "revision": commit.revision,
            "config": setting.config or "default",
            "split": setting.test,
            "name": commit.repo,
        },
        "rows": scores["rows"],
        "skipped": scores["skipped"],
        "metrics": [{"type": kind, "name": name} | _values(own, key) for kind, name, key in metrics],
    }


def _values(scores: dict[str, float], key: str) -> dict[str, float]:
    """Return a metric's value with the baselines beside it, rounded to what so many rows can tell."""
    known = {"value": key, "baseline": f"baseline_{key}", "strong_baseline": f"strong_baseline_{key}"}
    return {name: round(scores[source], 4) for name, source in known.items() if source in scores}


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
