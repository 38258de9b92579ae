"""Puts what was made again beside what was published: rows, losses, evaluations, weights."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hubkit.errors import UserError
from hubkit.lineage.remaking import MODEL, Remaking
from hubkit.publishing.model import EVALUATION, RUN
from hubkit.publishing.sources import content_of_file

TOLERANCE = 0.02
"""By which share of its value a number may differ where the weights do."""
_LOSSES = {
    "final_train_loss": "final training loss",
    "final_validation_loss": "final validation loss",
    "best_validation_loss": "best validation loss",
}

Verdict = Literal["equal", "close", "other bits", "differs", "missing", "not made again"]

WRONG: tuple[Verdict, ...] = ("differs", "missing")
"""Verdicts by which a reproduction does not agree with its original."""


class Compared(NamedTuple):
    """One thing that was compared."""

    what: str
    published: Any
    here: Any
    verdict: Verdict


def agrees(compared: list[Compared]) -> bool:
    """Tell whether nothing differs and something was compared."""
    return bool(compared) and not any(entry.verdict in WRONG for entry in compared)


def compare(remaking: Remaking, folder: Path, tolerance: float = TOLERANCE) -> list[Compared]:
    """Return what was made again beside what was published.

    Where all weights are equal to the bit, so must be every number, but for the last digit that is written down. Else a
    loss or score is *close* within the tolerance, or within the published interval of confidence.

    Args:
        remaking: What was to be made.
        folder: Where it was made.
        tolerance: A share of the published value.

    Raises:
        UserError: There is no finished model in the folder.
    """
    made = folder / MODEL
    try:
        run = json.loads((made / RUN).read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{made} holds no finished model: the same command with --run makes it") from None
    weights = list(_weights(remaking, made))
    same = bool(weights) and all(entry.verdict == "equal" for entry in weights)
    allowed = 0.0 if same else tolerance
    numbers = [*_training(remaking.original.run, run, allowed), *_scores(remaking, made, allowed)]
    return [*_rows(remaking, folder), *weights, *numbers]


def _rows(remaking: Remaking, folder: Path) -> Iterator[Compared]:
    """Yield the corpora that were built again, by the hashes of their splits' rows."""
    from hubkit.corpora.manifest import read_manifest

    for place, data in remaking.rebuilt.items():
        built = read_manifest(folder / place / "built").splits
        for name, split in (data.corpus or {}).get("splits", {}).items():
            here = built[name].rows_sha256 if name in built else None
            yield _equal(f"rows of {data.repo} {name}", split.get("rows_sha256"), here)


def _weights(remaking: Remaking, made: Path) -> Iterator[Compared]:
    for name, file in sorted(remaking.original.weights.items()):
        path = made / name
        if not path.is_file():
            yield Compared(name, file.sha256, None, "missing")
            continue
        content = content_of_file(name, path)
        verdict: Verdict = "equal" if file.holds(content) else "other bits"
        yield Compared(name, file.sha256 or file.git_oid, content.sha256, verdict)


def _training(there: Mapping[str, Any], here: Mapping[str, Any], tolerance: float) -> Iterator[Compared]:
    """Yield how long the trainings were, and how they ended."""
    before, after = there.get("training") or {}, here.get("training") or {}
    yield _equal("steps", before.get("steps"), after.get("steps"))
    for key, name in _LOSSES.items():
        if before.get(key) is not None:
            yield _near(name, before[key], after.get(key), tolerance)


def _scores(remaking: Remaking, made: Path, tolerance: float) -> Iterator[Compared]:
    try:
        results = json.loads((made / EVALUATION).read_bytes())["results"]
    except (OSError, ValueError, KeyError):
        results = []
    here = dict(_metrics(results))
    questions = {key[:-1] for key in here}
    digits = 1e-4  # what evaluations are rounded to
    for key, metric in _metrics(remaking.original.results):
        name, published = f"{key[0]}: {key[-1]}", metric.get("value")
        if key[:-1] not in questions:
            yield Compared(f"{name} ({key[1]})", published, None, "not made again")
            continue
        value = here.get(key, {}).get("value")
        low, high = metric.get("low"), metric.get("high")
        compared = _near(name, published, value, tolerance, digits)
        if compared.verdict == "differs" and tolerance and _within(value, low, high):
            compared = compared._replace(verdict="close")
        yield compared


def _metrics(results: Any) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield each score by what was asked, of what data, and its name."""
    for entry in results if isinstance(results, list | tuple) else ():
        task, data = entry.get("task") or {}, entry.get("dataset") or {}
        asked = (str(task.get("name") or task.get("type")), str(data.get("repo")), str(data.get("revision")))
        for metric in entry.get("metrics") or ():
            yield (*asked, str(data.get("split")), str(metric.get("name") or metric.get("type"))), metric


def _equal(what: str, published: Any, here: Any) -> Compared:
    verdict: Verdict = "missing" if here is None else "equal" if published == here else "differs"
    return Compared(what, published, here, verdict)


def _near(what: str, published: Any, here: Any, tolerance: float, digits: float = 0.0) -> Compared:
    """Compare two numbers; NaN is equal to NaN."""
    if not _is_number(published) or not _is_number(here):
        return _equal(what, published, here)
    if published == here or (math.isnan(published) and math.isnan(here)):
        return Compared(what, published, here, "equal")
    near = abs(published - here) <= max(tolerance * abs(published), 1.5 * digits)
    return Compared(what, published, here, "close" if near else "differs")


def _within(value: Any, low: Any, high: Any) -> bool:
    return all(map(_is_number, (value, low, high))) and low <= value <= high


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
