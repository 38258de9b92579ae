"""A comparison as text: counts first, then a few examples of each kind."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hubkit.publishing.rendering import count, size

if TYPE_CHECKING:
    from hubkit.publishing.diff import Diff, FileChange
    from hubkit.publishing.diff_rows import Example, SplitDiff
    from hubkit.publishing.diff_weights import WeightsDiff

_SHOWN = 60
"""Characters of a value."""
_LEAD = 12
"""Characters before the first one that differs."""
_LISTED = 20
"""Tensors and fields of one kind."""


def render(diff: "Diff") -> str:
    """Return a comparison as text."""
    sides = [f"{side.name} ({side.commit[:12]})" for side in (diff.old, diff.new)]
    lines = [f"{diff.repo_type} {diff.repo}: {sides[0]} → {sides[1]}"]
    if not diff.files:
        return "\n".join([*lines, "", "no file differs"])
    if diff.splits:
        lines += ["", "rows:", *(line for split in diff.splits for line in _split(split))]
    if diff.weights:
        lines += ["", "weights:", *_weights(diff.weights)]
    for name, changes in diff.fields.items():
        shown = [f"  {change.path}: {_value(change.old)} → {_value(change.new)}" for change in changes[:_LISTED]]
        lines += ["", f"{name}:", *shown, *_more(len(changes))]
    lines += ["", "files:", *(_file(file) for file in diff.files)]
    if diff.card:
        lines += ["", "card:", diff.card.rstrip("\n")]
    return "\n".join(lines)


def _split(split: "SplitDiff") -> Iterator[str]:
    """Yield what happened to a split."""
    counts = [f"{number:,} {kind}" for kind, number in split.counts.items() if number]
    rows = f"{split.old_rows:,} → {count(split.new_rows, 'row')}"
    if split.old_rows == split.new_rows:
        rows = count(split.new_rows, "row")
    yield f"  {split.name}: {rows}; {', '.join(counts) or 'all the same'}"
    if split.columns is not None:
        yield f"    compared by the columns that both have: {', '.join(split.columns) or 'none'}"
    for kind, examples in split.examples.items():
        for example in examples:
            yield from _example(kind, example)
        left = split.counts[kind] - len(examples)
        if left:
            yield f"    … and {left:,} more {kind}"


def _example(kind: str, example: "Example") -> Iterator[str]:
    if kind == "changed":
        assert example.old is not None and example.new is not None
        yield f"    ~ {example.old_index}"
        for name in example.old:
            was, now = _apart(example.old[name], example.new[name])
            yield f"        {name}: {was} → {now}"
    elif kind == "moved":
        yield f"    > {example.old_index} → {example.new_index}  {_row(example.old or {})}"
    elif kind == "added":
        yield f"    + {example.new_index}  {_row(example.new or {})}"
    else:
        yield f"    - {example.old_index}  {_row(example.old or {})}"


def _row(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {_value(value)}" for name, value in row.items())


def _value(value: Any) -> str:
    """Return a value on one line, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str) if value is not None else "(none)"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _apart(old: Any, new: Any) -> tuple[str, str]:
    """Return two values, each cut so that the place where they part is seen."""
    texts = [json.dumps(value, ensure_ascii=False, default=str) for value in (old, new)]
    if max(map(len, texts)) <= _SHOWN:
        return texts[0], texts[1]
    shared = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    start = max(0, shared - _LEAD)
    cut = [("…" if start else "") + text[start : start + _SHOWN] for text in texts]
    cut = [part + ("…" if start + _SHOWN < len(text) else "") for part, text in zip(cut, texts, strict=True)]
    return cut[0], cut[1]


def _weights(weights: "WeightsDiff") -> Iterator[str]:
    """Yield what happened to the weights: the tensors that moved farthest first."""
    changes = sorted(weights.changes, key=lambda change: -(change.largest or 0))
    largest = "" if weights.largest is None else f"; the largest difference is {weights.largest:.3g}"
    yield f"  {len(changes):,} of {count(weights.tensors, 'tensor')} differ{largest}"
    for change in changes[:_LISTED]:
        if change.old == change.new:
            yield f"  ~ {change.name} {change.new}: {change.largest:.3g}"
        else:
            yield f"  ~ {change.name}: {change.old or '(none)'} → {change.new or '(none)'}"
    yield from _more(len(changes))


def _more(number: int) -> list[str]:
    return [f"  … and {number - _LISTED:,} more"] if number > _LISTED else []


def _file(file: "FileChange") -> str:
    if file.old_size is None:
        return f"  add     {file.path}  {size(file.new_size or 0)}"
    if file.new_size is None:
        return f"  delete  {file.path}  {size(file.old_size)}"
    return f"  change  {file.path}  {size(file.old_size)} → {size(file.new_size)}"
