"""How the rows of a split differ between two releases: added, removed, changed, moved.

Only what differs is read. Files that begin at the same row and hold the same rows (by their hash) are left alone; of
the rest each row leaves a key of eight bytes, and the rows of the few examples are read again. A row is *moved* if the
same bytes stand at another index, and *changed* if other bytes stand at its index, where the indices still mean the
same rows: both releases have as many of them, or more rows stayed in their place than moved.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubkit.publishing.diff_files import Part
from hubkit.publishing.diff_readers import RowReader

_ODD = np.uint64(0x9E3779B97F4A7C15)

Opener = Callable[[Part], RowReader]
"""Fetches a file of one release."""


@dataclass(frozen=True)
class Example:
    """One row that differs."""

    old_index: int | None
    new_index: int | None
    old: dict[str, Any] | None
    """Its columns in the old release; of a changed row only those that differ; None for an added row."""
    new: dict[str, Any] | None


@dataclass(frozen=True)
class SplitDiff:
    """What happened to a split."""

    name: str
    old_rows: int
    new_rows: int
    same: int
    """Rows that stayed as and where they were."""
    counts: dict[str, int]
    """How many rows were ``added``, ``removed``, ``changed`` and ``moved``."""
    examples: dict[str, list[Example]]
    columns: tuple[str, ...] | None
    """The columns by which rows were compared, where they are not all columns of both."""
    read: int
    """Files that had to be read."""

    @property
    def differs(self) -> bool:
        """Whether anything happened."""
        return any(self.counts.values()) or self.old_rows != self.new_rows

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        examples = {kind: [dict(vars(example)) for example in found] for kind, found in self.examples.items()}
        return {**vars(self), "columns": list(self.columns) if self.columns else None, "examples": examples}


@dataclass(frozen=True)
class _Keys:
    """Rows by index and key."""

    index: np.ndarray
    key: np.ndarray

    def without(self, places: np.ndarray) -> "_Keys":
        keep = np.ones(len(self.index), bool)
        keep[places] = False
        return _Keys(self.index[keep], self.key[keep])


@dataclass(frozen=True)
class Matches:
    """Indices of rows: pairs for what both releases have."""

    same: int
    added: np.ndarray
    removed: np.ndarray
    changed: np.ndarray
    moved: np.ndarray
    """Two columns: where each row was, and where it is."""


class Side:
    """The files of a split in one release, opened as they are needed."""

    def __init__(self, parts: Sequence[Part], opener: Opener):
        self.parts, self._opener = parts, opener
        self._open: dict[str, RowReader] = {}

    def file(self, part: Part) -> RowReader:
        """Return a file, fetched."""
        if part.path not in self._open:
            self._open[part.path] = self._opener(part)
        return self._open[part.path]

    def starts(self) -> list[int]:
        """Return the index of the first row of each file; asks a file for its rows where nothing else tells them."""
        starts = [0]
        for part in self.parts:
            starts.append(starts[-1] + (part.rows if part.rows is not None else self.file(part).rows))
        return starts

    def columns(self) -> dict[str, str]:
        """Return the columns of the files that were fetched."""
        return {name: kind for file in self._open.values() for name, kind in file.columns.items()}

    @property
    def read(self) -> int:
        """How many files were fetched."""
        return len(self._open)

    def row(self, index: int) -> dict[str, Any]:
        """Return one row."""
        starts = self.starts()
        at = int(np.searchsorted(starts, index, side="right")) - 1
        return self.file(self.parts[at]).row(index - starts[at])


def unchanged(name: str, rows: int, read: int = 0) -> SplitDiff:
    """Return the comparison of a split that holds the same rows in both releases."""
    return SplitDiff(name, rows, rows, rows, _counts(None), {}, None, read)


def compare_split(name: str, old: Side, new: Side, limit: int) -> SplitDiff:
    """Compare a split of two releases.

    Args:
        name: Of the split.
        old: Its files in the older release; none where it is new.
        new: Its files in the newer one; none where it is gone.
        limit: Examples of each kind, at most.
    """
    identities = [[part.identity for part in side.parts] for side in (old, new)]
    if identities[0] == identities[1] and None not in identities[0]:
        known = [part.rows for part in old.parts]
        rows = sum(known) if None not in known else old.starts()[-1]  # type: ignore[arg-type]
        return unchanged(name, rows, old.read)
    starts = old.starts(), new.starts()
    left, right = _differing(old, starts[0], new, starts[1])
    was, now = [old.file(part) for part in left.values()], [new.file(part) for part in right.values()]
    plain = not all(file.typed for file in [*was, *now])
    columns, all_columns = _columns(was, now, plain)
    matches = match(_keys(old, left, columns, plain), _keys(new, right, columns, plain), starts[0][-1], starts[1][-1])
    skipped = starts[0][-1] - sum(old.file(part).rows for part in left.values())
    examples = _examples(matches, old, new, limit)
    compared = None if all_columns else tuple(columns)
    return SplitDiff(
        name,
        starts[0][-1],
        starts[1][-1],
        matches.same + skipped,
        _counts(matches),
        examples,
        compared,
        old.read + new.read,
    )


def _differing(
    old: Side, old_starts: list[int], new: Side, new_starts: list[int]
) -> tuple[dict[int, Part], dict[int, Part]]:
    """Return the files, by their first row, that do not hold the same rows from the same index on in both releases."""
    was = dict(zip(old_starts, old.parts, strict=False))
    now = dict(zip(new_starts, new.parts, strict=False))
    same = {
        start
        for start in was.keys() & now.keys()
        if was[start].identity is not None and was[start].identity == now[start].identity
    }
    return (
        {start: part for start, part in was.items() if start not in same},
        {start: part for start, part in now.items() if start not in same},
    )


def _columns(old: Sequence[RowReader], new: Sequence[RowReader], plain: bool) -> tuple[list[str], bool]:
    """Return the columns that both sides have (with the same types, where they have any), and whether these are all."""
    if not old or not new:
        return (list((old or new)[0].columns) if old or new else []), True
    was, now = old[0].columns, new[0].columns
    shared = [name for name, kind in was.items() if name in now and (plain or now[name] == kind)]
    return shared, len(shared) == len(was) == len(now)


def _keys(side: Side, parts: dict[int, Part], columns: Sequence[str], plain: bool) -> _Keys:
    """Read files and return the keys of their rows."""
    indices, keys = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
    for start, part in parts.items():
        found = list(side.file(part).keys(columns, plain))
        keys += found
        rows = sum(len(piece) for piece in found)
        indices.append(np.arange(start, start + rows))
    return _Keys(np.concatenate(indices), np.concatenate(keys))


def match(old: _Keys, new: _Keys, old_rows: int, new_rows: int) -> Matches:
    """Find out what became of each row.

    Args:
        old: Rows of the older release that may have changed.
        new: Rows of the newer one that may be other ones.
        old_rows: All rows of the older release.
        new_rows: All rows of the newer one.
    """
    _, at_old, at_new = np.intersect1d(old.index, new.index, assume_unique=True, return_indices=True)
    stayed = old.key[at_old] == new.key[at_new]
    same = int(stayed.sum())
    old, new = old.without(at_old[stayed]), new.without(at_new[stayed])
    _, at_old, at_new = np.intersect1d(_occurrences(old), _occurrences(new), assume_unique=True, return_indices=True)
    moved = np.stack([old.index[at_old], new.index[at_new]], axis=1)
    moved = moved[np.argsort(moved[:, 0], kind="stable")]
    old, new = old.without(at_old), new.without(at_new)
    unread = old_rows - len(old.index) - len(moved)  # rows in their place, read or not
    changed = np.empty(0, np.int64)
    if old_rows == new_rows or unread >= len(moved):
        changed = np.intersect1d(old.index, new.index, assume_unique=True)
    removed, added = np.setdiff1d(old.index, changed), np.setdiff1d(new.index, changed)
    return Matches(same, added, removed, changed, moved)


def _occurrences(rows: _Keys) -> np.ndarray:
    """Return keys in which the first, second … of several equal rows differ, so that each is matched once."""
    order = np.argsort(rows.key, kind="stable")
    ordered = rows.key[order]
    places = np.arange(len(ordered))
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, bool)
    number = places - np.maximum.accumulate(np.where(begins, places, 0)) if len(ordered) else places
    found = np.empty_like(rows.key)
    found[order] = ordered + number.astype(np.uint64) * _ODD
    return found


def _counts(matches: Matches | None) -> dict[str, int]:
    kinds = ("added", "removed", "changed", "moved")
    return {kind: len(getattr(matches, kind)) if matches else 0 for kind in kinds}


def _examples(matches: Matches, old: Side, new: Side, limit: int) -> dict[str, list[Example]]:
    """Read a few rows of each kind."""
    changed = []
    for index in (int(index) for index in matches.changed[:limit]):
        was, now = old.row(index), new.row(index)
        names = [name for name in {**was, **now} if was.get(name) != now.get(name)]
        changed.append(
            Example(index, index, {name: was.get(name) for name in names}, {name: now.get(name) for name in names})
        )
    found = {
        "added": [Example(None, int(index), None, new.row(int(index))) for index in matches.added[:limit]],
        "removed": [Example(int(index), None, old.row(int(index)), None) for index in matches.removed[:limit]],
        "changed": changed,
        "moved": [Example(int(a), int(b), old.row(int(a)), None) for a, b in matches.moved[:limit]],
    }
    return {kind: examples for kind, examples in found.items() if examples}
