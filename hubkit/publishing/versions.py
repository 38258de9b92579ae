"""Versions are computed, not chosen: what changed between two releases says which number goes up."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

_TAG = re.compile(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


@dataclass(frozen=True, order=True)
class Version:
    """A semantic version."""

    major: int
    minor: int
    patch: int

    @classmethod
    def of_tag(cls, tag: str) -> Self | None:
        """Return the version that a tag such as ``v1.2.0`` names, or None for any other tag."""
        match = _TAG.fullmatch(tag)
        return cls(*(int(part) for part in match.groups())) if match else None

    @property
    def tag(self) -> str:
        """The git tag: ``v1.2.0``."""
        return f"v{self}"

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


FIRST = Version(1, 0, 0)
"""The version of a repository's first release."""


class Level(StrEnum):
    """How far the next version is from the last."""

    FIRST = "first"
    MAJOR = "major"
    MINOR = "minor"
    PATCH = "patch"
    NONE = "none"


@dataclass(frozen=True)
class Change:
    """What a release changes, and how much that is."""

    level: Level
    why: str
    """One sentence, for the plan and the changelog."""
    details: tuple[str, ...] = ()
    """What changed, one line each."""

    def after(self, last: Version | None) -> Version:
        """Return the version that this change makes of the last one (the last one itself for no change)."""
        if last is None:
            return FIRST
        steps = {
            Level.MAJOR: Version(last.major + 1, 0, 0),
            Level.MINOR: Version(last.major, last.minor + 1, 0),
            Level.PATCH: Version(last.major, last.minor, last.patch + 1),
        }
        return steps.get(self.level, last)


UNCHANGED = Change(Level.NONE, "no published file changed")
FIRST_RELEASE = Change(Level.FIRST, "the first release")

PrefixHash = Callable[[str, int], str]
"""Given a split and a number of rows: the hash of so many of its first rows, in the new corpus."""


def corpus_change(old: Mapping[str, Any], new: Mapping[str, Any], prefix: PrefixHash) -> Change:
    """Compare two corpora by their manifests.

    Args:
        old: `corpus.json` of the last release.
        new: `corpus.json` of the folder; some published file is known to differ.
        prefix: Hashes the first rows of a new split; called only where a split grew.
    """
    try:
        return _compare_corpora(old, new, prefix)
    except (KeyError, TypeError):
        return Change(Level.MAJOR, "the last release has a manifest that hubkit can't compare with")


def _compare_corpora(old: Mapping[str, Any], new: Mapping[str, Any], prefix: PrefixHash) -> Change:
    configs = {column.get("config") for column in old["columns"]}
    columns = [_columns(manifest, configs) for manifest in (old, new)]
    if columns[0] != columns[1]:
        return Change(Level.MAJOR, "the columns changed", (f"columns: {columns[0]} → {columns[1]}",))
    broken = [line for split in old["splits"] if (line := _broken(split, old["splits"], new["splits"], prefix))]
    if broken:
        return Change(Level.MAJOR, "rows of the last release are gone or different", tuple(broken))
    grown = [
        f"{split}: {old['splits'][split]['rows']:,} → {now['rows']:,} rows"
        if split in old["splits"]
        else f"{split}: a new split of {now['rows']:,} rows"
        for split, now in new["splits"].items()
        if split not in old["splits"] or now["rows"] > old["splits"][split]["rows"]
    ]
    if grown:
        return Change(Level.MINOR, "rows were added; every row of the last release is unchanged", tuple(grown))
    return Change(Level.PATCH, "the same rows, written anew", tuple(_rewritten(old, new)))


def _columns(manifest: Mapping[str, Any], configs: Collection[str | None]) -> str:
    """Return the columns of some configs; that of files without further ones has no name."""
    columns = [column for column in manifest["columns"] if column.get("config") in configs]
    return ", ".join(f"{'/'.join(_named(column))} ({column['type']})" for column in columns)


def _named(column: Mapping[str, str]) -> list[str]:
    return [column[part] for part in ("config", "name") if part in column]


def _broken(split: str, old: Mapping[str, Any], new: Mapping[str, Any], prefix: PrefixHash) -> str | None:
    """Return what is wrong with the old rows of a split in the new corpus, or None if they are all there."""
    was, now = old[split], new.get(split)
    if now is None:
        return f"{split}: the split is gone"
    if now["rows"] < was["rows"]:
        return f"{split}: {was['rows']:,} → {now['rows']:,} rows"
    found = now["rows_sha256"] if now["rows"] == was["rows"] else prefix(split, was["rows"])
    return None if found == was["rows_sha256"] else f"{split}: its first {was['rows']:,} rows differ"


def _rewritten(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Say which recorded circumstances differ between two corpora of the same rows."""
    names = ("generator_version", "code", "libraries", "numerics", "writer", "summary", "license", "spec_sha256")
    words = [name.replace("_", " ") for name in names if old.get(name) != new.get(name)]
    return [f"what corpus.json records of: {', '.join(words)}"] if words else []


def model_change(
    old: Mapping[str, Any], new: Mapping[str, Any], changed: Sequence[str], weights: Callable[[str], bool]
) -> Change:
    """Compare two models by their lineage and files.

    Args:
        old: `run.json` of the last release.
        new: `run.json` of the folder.
        changed: The published files that differ, at least one.
        weights: Tells whether a path holds weights.
    """
    breaks = [
        line
        for line in (
            _differs("architecture", old.get("architecture"), new.get("architecture")),
            _differs("direction", old.get("direction"), new.get("direction")),
            _differs("tokenizer", _tokenizer(old), _tokenizer(new)),
            _datasets(old.get("datasets") or (), new.get("datasets") or ()),
        )
        if line
    ]
    if breaks:
        return Change(Level.MAJOR, "what goes in or comes out is not what it was", tuple(breaks))
    if any(weights(path) for path in changed):
        return Change(Level.MINOR, "new weights, same architecture, tokenizer and data", tuple(sorted(changed)))
    return Change(Level.PATCH, "the same weights, other files beside them", tuple(sorted(changed)))


def _differs(what: str, old: Any, new: Any) -> str | None:
    return None if old == new else f"{what}: {old} → {new}"


def _tokenizer(run: Mapping[str, Any]) -> str:
    tokenizer = run.get("tokenizer") or {}
    return f"{tokenizer.get('name')} ({str(tokenizer.get('sha256'))[:12]})"


def _datasets(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> str | None:
    """Return what makes the training data another dataset, or None where each is the same MAJOR release."""
    was = {entry["repo"]: entry for entry in old}
    now = {entry["repo"]: entry for entry in new}
    if was.keys() != now.keys():
        return f"datasets: {', '.join(was) or 'none'} → {', '.join(now) or 'none'}"
    for repo, entry in now.items():
        if was[repo].get("revision") == entry.get("revision"):
            continue
        releases = [Version.of_tag(str(side.get("release"))) for side in (was[repo], entry)]
        # A commit that was never released promises nothing about its rows, so it counts as another dataset.
        if None in releases or releases[0].major != releases[1].major:  # type: ignore[union-attr]
            return f"dataset {repo}: {_pin(was[repo])} → {_pin(entry)}"
    return None


def _pin(entry: Mapping[str, Any]) -> str:
    return str(entry.get("release") or str(entry.get("revision"))[:12])
