"""The entries of `evaluation.json`: what was asked, of which rows, and how the model did."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hubkit.evaluation.subject import Subject

DIGITS = 4
"""Digits behind the point: what so many rows can tell."""


class Shown(NamedTuple):
    """A score that is shown to people."""

    type: str
    """The Hub's name of the metric."""
    name: str
    """What people call it."""
    key: str
    """Its name among the scores."""


def result(
    subject: Subject,
    task: str,
    question: str,
    rows: int,
    skipped: int,
    scores: Mapping[str, float],
    shown: Sequence[Shown],
    **more: Any,
) -> dict[str, Any]:
    """Return one entry of `evaluation.json`.

    Args:
        subject: What was evaluated.
        task: The Hub's name of the task.
        question: What people call it.
        rows: Rows of the split that were asked about.
        skipped: Rows that pose no such question.
        scores: All scores by their keys; those of baselines are `baseline_KEY` and `strong_baseline_KEY`, the bounds of
            a confidence interval `KEY_low` and `KEY_high`.
        shown: Which of them to report.
        **more: Further fields of the entry.
    """
    commit, dataset = subject.commit, subject.dataset
    return {
        "task": {"type": task, "name": question},
        "dataset": {
            "repo": commit.repo,
            "revision": commit.revision,
            "config": dataset.config or "default",
            "split": dataset.test,
            "name": commit.repo,
        },
        "rows": rows,
        "skipped": skipped,
        "metrics": [{"type": metric.type, "name": metric.name} | _values(scores, metric.key) for metric in shown],
    } | more


def _values(scores: Mapping[str, float], key: str) -> dict[str, float]:
    """Return a score with its interval and the baselines beside it, rounded."""
    known = {
        "value": key,
        "low": f"{key}_low",
        "high": f"{key}_high",
        "baseline": f"baseline_{key}",
        "strong_baseline": f"strong_baseline_{key}",
    }
    return {name: round(scores[source], DIGITS) for name, source in known.items() if source in scores}
