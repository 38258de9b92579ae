"""CHANGELOG.md: one entry a release, newest first, the same bytes whenever the same release is planned again."""

import re
from dataclasses import dataclass

from hubkit.publishing.versions import FIRST_RELEASE, Change, Level, Version

_LEVEL = re.compile(r"(MAJOR|MINOR|PATCH): ")
_HEADING = re.compile(r"^## (v\d+\.\d+\.\d+)[ \t]*\r?$", re.MULTILINE)

_TITLE = """# Changelog

Versions are computed from what changed: MAJOR breaks what was there, MINOR adds to it, PATCH repeats it in other bytes.
"""


def updated(text: str | None, version: Version, change: Change, last: Version | None) -> str | None:
    """Return the changelog with the entry of a release; where there is none to add or take back, `text` as it is.

    An entry of a version above the last released one stems from a publish that was interrupted: it is replaced, so
    that running the command again doesn't tell the same story twice. What people wrote into other entries stays.

    Args:
        text: What the repository's main branch has, or None.
        version: What is about to be released, or is the last release where nothing is.
        change: What it changes.
        last: The last released version.
    """
    head, entries = _split(text if text is not None else _TITLE)
    kept = [entry for entry in entries if last is not None and _version(entry) <= last]
    if version == last and len(kept) == len(entries):
        return text
    if version != last:
        kept.insert(0, _entry(version, change))
    return "\n".join([head.rstrip() + "\n", *(entry.rstrip() + "\n" for entry in kept)])


@dataclass(frozen=True)
class Notes:
    """What a changelog says of one release."""

    level: Level | None
    """None where a person rewrote the entry so that it no longer says."""
    why: str
    details: tuple[str, ...]


def notes(text: str, version: Version) -> Notes | None:
    """Return what a changelog says of a release, or None if it says nothing."""
    found = next((entry for entry in _split(text)[1] if _version(entry) == version), None)
    if found is None:
        return None
    lines = [line.strip() for line in found.splitlines()[1:]]
    details = tuple(line.removeprefix("- ") for line in lines if line.startswith("- "))
    said = " ".join(line for line in lines if line and not line.startswith("- "))
    if match := _LEVEL.match(said):
        return Notes(Level(match.group(1).lower()), said[match.end() :].removesuffix("."), details)
    return Notes(Level.FIRST if said == _sentence(FIRST_RELEASE.why) else None, said.removesuffix("."), details)


def _entry(version: Version, change: Change) -> str:
    said = change.why if change.level is Level.FIRST else f"{change.level.upper()}: {change.why}"
    lines = [f"## {version.tag}", "", _sentence(said)]
    if change.details:
        lines += ["", *(f"- {detail}" for detail in change.details)]
    return "\n".join(lines)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _split(text: str) -> tuple[str, list[str]]:
    """Cut a changelog into what precedes the first release and one text a release."""
    starts = [match.start() for match in _HEADING.finditer(text)]
    if not starts:
        return text, []
    return text[: starts[0]], [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]


def _version(entry: str) -> Version:
    match = _HEADING.match(entry)
    version = Version.of_tag(match.group(1)) if match else None
    # A heading such as v01.2.0 is a person's, and no release of ours: it counts as old and stays.
    return version or Version(0, 0, 0)
