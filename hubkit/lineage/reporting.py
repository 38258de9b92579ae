"""A reproduction as text: the commands as a script for a shell, and afterwards what was compared as a table."""

import shlex
from pathlib import Path
from typing import Any

from hubkit.lineage.comparing import WRONG, Compared, agrees
from hubkit.lineage.graph import SHORT
from hubkit.lineage.remaking import Remaking

_HASH = 64


def script(remaking: Remaking, folder: Path) -> str:
    """Return the commands as a script for a shell, with what stands against them as comments.

    Args:
        remaking: How the model is made again.
        folder: Where.
    """
    original = remaking.original
    lines = [f"# {original.name} at {original.commit}"]
    lines += [f"# it can't be made again: {obstacle}" for obstacle in remaking.obstacles]
    lines += [f"# {remark}" for remark in remaking.remarks]
    lines += ["set -e", f"mkdir -p {shlex.quote(str(folder))} && cd {shlex.quote(str(folder))}"]
    for step in remaking.steps:
        lines += ["", f"# {step.what}", str(step)]
    return "\n".join(lines)


def table(compared: list[Compared]) -> str:
    """Return what was compared as a table for people."""
    rows = [(entry.what, _shown(entry.published), _shown(entry.here), entry.verdict) for entry in compared]
    width = max(len(what) for what, *_ in rows)
    head = f"{'':<{width}}  {'published':>14}  {'here':>14}"
    return "\n".join([head, *(f"{what:<{width}}  {one:>14}  {two:>14}  {how}" for what, one, two, how in rows)])


def verdict(remaking: Remaking, compared: list[Compared]) -> str:
    """Return in one sentence how a reproduction came out."""
    name = remaking.original.name
    wrong = [entry.what for entry in compared if entry.verdict in WRONG]
    if not agrees(compared):
        return f"{name} was not reproduced: {', '.join(wrong) or 'nothing could be compared'}"
    left = sum(entry.verdict == "not made again" for entry in compared)
    rest = f"; {left} published numbers were not made again" if left else ""
    place = "on" if remaking.same else "though not known to be on"
    verdicts = {entry.verdict for entry in compared}
    how = "within the tolerance" if "close" in verdicts or "other bits" in verdicts else "equal to the bit"
    return f"{name} was reproduced, {how}, {place} the same device, versions and code{rest}"


def as_data(remaking: Remaking, compared: list[Compared] | None = None) -> dict[str, Any]:
    """Return plain data for scripts.

    Args:
        remaking: How the model is made again.
        compared: What was compared, if it was made.
    """
    original = remaking.original
    shown: dict[str, Any] = {
        "model": original.repo,
        "commit": original.commit,
        "release": original.release,
        "commands": [list(step.command) for step in remaking.steps],
        "obstacles": list(remaking.obstacles),
        "remarks": list(remaking.remarks),
        "same_surroundings": remaking.same,
    }
    if compared is not None:
        shown |= {"agrees": agrees(compared), "compared": [entry._asdict() for entry in compared]}
    return shown


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    text = "" if value is None else str(value)
    return text[:SHORT] if len(text) == _HASH else text
