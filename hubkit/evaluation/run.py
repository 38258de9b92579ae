"""Evaluates a model folder on the test split of the dataset that it was trained on, or of another one."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.evaluation.mask_filling import ask_for_sigma
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
    names = lineage["recipe"]["evaluations"]
    if not names:
        raise UserError(f"{lineage['name']}: its recipe names no evaluations; add evaluations: [mask_filling] and train")
    results = [result for name in names for result in EVALUATIONS[name](folder, setting, limit, progress)]
    return {"format": 1, "results": results}


def write_evaluation(folder: Path, evaluation: dict[str, Any]) -> None:
    """Write `evaluation.json` beside the model, where its card finds it."""
    write_atomic(folder / EVALUATION, json.dumps(evaluation, indent=1, ensure_ascii=False) + "\n")


def _read_lineage(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "run.json").read_text())
    except (FileNotFoundError, ValueError):
        raise UserError(f"{folder} has no readable run.json, so it is not a model that hubkit trained") from None


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

    commit = setting.commit
    test = load_rows(commit.repo, commit.revision, setting.test, setting.config, (setting.column,))
    train = load_rows(commit.repo, commit.revision, setting.train, setting.config, ("params",))
    model = AutoModelForMaskedLM.from_pretrained(folder).to(_device()).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = test[setting.column][: limit if limit is not None else len(test)]
    sigmas = [params[0][0] for params in train["params"][:]]
    scores = ask_for_sigma(model, tokenizer, texts, sigmas, progress=progress)
    integer, number = scores["integer"], scores["number"]
    return [
        _result(
            "Recover σ: integer part masked",
            setting,
            scores,
            [
                _metric("accuracy", "top-1 accuracy", integer, "top_1"),
                _metric("accuracy", "top-2 accuracy", integer, "top_2"),
                _metric("rmse", "RMSE", integer, "rmse"),
            ],
        ),
        _result("Recover σ: whole number masked", setting, scores, [_metric("rmse", "RMSE", number, "rmse")]),
    ]


EVALUATIONS: dict[str, Callable[[Path, Setting, int | None, Progress], list[dict[str, Any]]]] = {
    "mask_filling": _mask_filling
}
"""Evaluations by the name that recipes use."""


def _result(question: str, setting: Setting, scores: dict[str, Any], metrics: list[dict[str, Any]]) -> dict[str, Any]:
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
        "metrics": metrics,
    }


def _metric(kind: str, name: str, scores: dict[str, float], key: str) -> dict[str, Any]:
    """Return a metric with the baseline beside it, both rounded to what so many rows can tell."""
    return {"type": kind, "name": name, "value": round(scores[key], 4), "baseline": round(scores[f"baseline_{key}"], 4)}


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
