"""Publishes an evaluation of a model that is on the Hub already: its results join those in the card."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hubkit.publishing.applying import Release, apply
from hubkit.publishing.planning import plan

EVALUATION = "evaluation.json"


def publish_evaluation(folder: Path, repo: str, evaluation: dict[str, Any]) -> Release:
    """Add results to a model repository and its card.

    Args:
        folder: The model as it is on the Hub (a folder of the cache is not written to).
        repo: Its repository.
        evaluation: Results; they replace earlier ones of the same question, dataset and split.

    Raises:
        UserError: As for :func:`hubkit.publishing.plan` and :func:`hubkit.publishing.apply`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / "model"
        shutil.copytree(folder, copy)
        old = json.loads((copy / EVALUATION).read_text()) if (copy / EVALUATION).is_file() else {"results": []}
        results = {_identity(result): result for result in [*old["results"], *evaluation["results"]]}
        joined = {"format": 1, "results": list(results.values())}
        (copy / EVALUATION).unlink(missing_ok=True)  # a link into the cache
        (copy / EVALUATION).write_text(json.dumps(joined, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return apply(plan(copy, repo))


def _identity(result: dict[str, Any]) -> tuple[str, str, str]:
    return result["task"]["name"], result["dataset"]["repo"], result["dataset"]["split"]
