"""A plan as text: what a person reads before saying yes."""

from typing import TYPE_CHECKING

from hubkit.publishing.plans import Action

if TYPE_CHECKING:
    from hubkit.publishing.plans import Plan, PlannedFile

_UNITS = ("B", "kB", "MB", "GB", "TB")


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
    lines = [_what(plan), _version(plan), ""]
    width = max((len(file.path) for file in plan.files), default=0)
    lines += [f"  {_verb(file):8} {file.path:{width}}  {size(file.size):>8}" for file in plan.files]
    if plan.kept:
        lines.append(f"  and {_count(len(plan.kept), 'other file')} of the repository, left as they are")
    if plan.left_out:
        lines += ["", "not published:", *(f"  {line}" for line in plan.left_out)]
    if plan.card_diff:
        lines += ["", "card:", plan.card_diff.rstrip("\n")]
    return "\n".join([*lines, "", _then(plan)])


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
    if not plan.changes:
        return f"everything is there; only the tag {plan.tag} is missing" if plan.tag else "nothing to do"
    sent = sum(file.action is Action.ADD for file in plan.files)
    create = "" if plan.exists else "create the repository, "
    commit = f"one commit with {_count(len(plan.changes), 'change')}"
    end = f"then the tag {plan.tag}" if plan.tag else "no tag"
    return f"{create}{commit} (sends {_count(sent, 'file')}, {size(plan.upload_bytes)}), verify it, {end}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
