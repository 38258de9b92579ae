"""A plan as text: what a person reads before saying yes."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hubkit.publishing.plans import Action

if TYPE_CHECKING:
    from hubkit.publishing.plans import Plan, PlannedFile

_UNITS = ("B", "kB", "MB", "GB", "TB")
_LISTED = 20
"""Files that are named of those to which the same happens."""


def size(count: int) -> str:
    """Return a number of bytes for people: ``1.2 MB``."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def render(plan: "Plan") -> str:
    """Return a plan as text."""
    lines = [_what(plan), _version(plan), "", *_files(plan.files)]
    if plan.kept:
        lines.append(f"  and {count(len(plan.kept), 'other file')} of the repository, left as they are")
    if plan.left_out:
        lines += ["", "not published:", *(f"  {line}" for line in plan.left_out)]
    if plan.conflicts:
        lines += ["", "conflicts in the card:", *(f"  {line}" for line in plan.conflicts)]
    if plan.card_diff:
        lines += ["", "card:", plan.card_diff.rstrip("\n")]
    return "\n".join([*lines, "", _then(plan)])


def _files(files: "Sequence[PlannedFile]") -> Iterator[str]:
    """Yield a line a file; of many files to which the same happens, the first ones and what the others come to."""
    width = max((len(file.path) for file in files), default=0)
    seen: dict[str, list[int]] = {}
    for file in files:
        sizes = seen.setdefault(_verb(file), [])
        sizes.append(file.size)
        if len(sizes) <= _LISTED:
            yield f"  {_verb(file):8} {file.path:{width}}  {size(file.size):>8}"
    for verb, sizes in seen.items():
        if left := sizes[_LISTED:]:
            more = f"… and {count(len(left), 'more file')}"
            yield f"  {verb:8} {more:{width}}  {size(sum(left)):>8}"


def _what(plan: "Plan") -> str:
    if not plan.exists:
        state = f"new, {'private' if plan.private else 'public'}"
    else:
        state = f"{'private' if plan.private else 'public'}, at {str(plan.parent_commit)[:12]}"
    return f"{plan.kind} → {plan.repo_type} {plan.repo} on {plan.endpoint} ({state})"


def _version(plan: "Plan") -> str:
    word = "version" if plan.tag else "stays at version"
    return "\n".join([f"{word} {plan.version}: {plan.why}", *(f"  - {line}" for line in plan.details)])


def _verb(file: "PlannedFile") -> str:
    return "replace" if file.action is Action.ADD and file.replaces else str(file.action)


def _then(plan: "Plan") -> str:
    """Say what applying does, in its order."""
    from hubkit.publishing.committing import batches

    if not plan.changes:
        return f"everything is there; only the tag {plan.tag} is missing" if plan.tag else "nothing to do"
    sent = sum(file.action is Action.ADD for file in plan.files)
    create = "" if plan.exists else "create the repository, "
    parts = len(batches(plan.changes))
    commit = f"one commit with {count(len(plan.changes), 'change')}"
    if parts > 1:
        commit = f"{count(len(plan.changes), 'change')} in {parts} commits of a pull request, merged as one"
    sends = f"(sends {count(sent, 'file')}, {size(plan.upload_bytes)})"
    if plan.pull_request:
        then = f"; after the merge, the same command without --create-pr tags {plan.tag}" if plan.tag else ""
        return f"a pull request with {count(len(plan.changes), 'change')} {sends}, verified{then}"
    end = f"then the tag {plan.tag}" if plan.tag else "no tag"
    return f"{create}{commit} {sends}, verify it, {end}"


def count(number: int, noun: str) -> str:
    """Return so many of something: ``1 file``, ``2,000 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
