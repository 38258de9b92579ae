"""CHANGELOG.md: one entry a release, newest first, the same bytes whenever the same release is planned again."""

import re

from hubkit.publishing.versions import Change, Level, Version

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


def _entry(version: Version, change: Change) -> str:
    said = change.why if change.level is Level.FIRST else f"{change.level.upper()}: {change.why}"
    lines = [f"## {version.tag}", "", f"{said[0].upper()}{said[1:]}."]
    if change.details:
        lines += ["", *(f"- {detail}" for detail in change.details)]
    return "\n".join(lines)


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
