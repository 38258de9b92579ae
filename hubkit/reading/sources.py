"""Patterns to sources: paths, globs, directories, and whatever address fsspec knows."""

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hubkit.errors import UserError
from hubkit.reading.parts import DATA_NAME, grouped, whole_name
from hubkit.reading.remote import find_remote, is_remote


class Found(NamedTuple):
    """Something to read: a file, or an archive in several parts."""

    name: str
    """Its path or address as the pattern led to it; no two sources have the same. Of several parts, what they share."""
    url: str
    """Where it lies: an absolute path, or an address with its protocol; of several parts, the first."""
    bytes: int | None
    """Its stored size, of all parts together; None where the server doesn't say."""
    stamp: str
    """Another text when the source changes: size and time, or what the server calls its version."""
    parts: tuple[str, ...] = ()
    """Where the parts lie, in order, if there are several; the source is their concatenation."""


def find_sources(patterns: Sequence[str]) -> list[Found]:
    """Return what patterns lead to, in natural order of the names (2 before 10), nothing twice.

    A directory stands for the files in it, however deep, whose names say that they hold records (`.jsonl`, `.ndjson`,
    `.json`, `.txt`, also compressed, also in parts). Hidden files are left out of directories and globs.

    Args:
        patterns: Paths, globs (also ``**``), directories, or addresses such as ``s3://bucket/*.jsonl.zst``,
            ``hf://datasets/org/name/*.jsonl`` and ``https://…``.

    Raises:
        UserError: There is no pattern, or one leads nowhere or can't be followed, or a part of an archive is missing.
    """
    if not patterns:
        raise UserError("files: none are named; name at least one path, pattern or address")
    files: dict[str, Found] = {}
    for pattern in patterns:
        found = list(_find(pattern))
        if not found:
            raise UserError(f"files: {_why_nothing(pattern)}")
        for file in found:
            files.setdefault(file.url, file)
    by_name = {file.name: file for file in files.values()}
    sources = [_joined(name, [by_name[member] for member in members]) for name, members in grouped(list(by_name))]
    return sorted(sources, key=lambda source: natural(source.name))


def natural(name: str) -> tuple[list[str | int], str]:
    """Return a key by which names sort as people count: `shard2` before `shard10`."""
    return [int(part) if part.isdigit() else part for part in re.split("([0-9]+)", name)], name


def _find(pattern: str) -> Iterator[Found]:
    """Yield the single files that one pattern leads to."""
    if is_remote(pattern):
        for file, in_folder in find_remote(pattern):
            if not in_folder or DATA_NAME.fullmatch(whole_name(file.url)):
                yield Found(file.url, *file)
        return
    path = os.path.expanduser(pattern)
    if os.path.isdir(path):
        names = glob.glob("**", root_dir=path, recursive=True)
        paths = [os.path.join(path, name) for name in names if DATA_NAME.fullmatch(whole_name(name))]
    elif os.path.lexists(path):  # also a file whose name looks like a pattern
        paths = [path]
    else:
        paths = glob.glob(path, recursive=True)
    for name in paths:
        if not os.path.isdir(name):
            yield _local(os.path.normpath(name))


def _local(path: str) -> Found:
    try:
        status = os.stat(path)
    except OSError as error:
        raise UserError(f"files: can't read {path}: {error.strerror}; mend it or leave it out") from None
    return Found(path, os.path.abspath(path), status.st_size, f"{status.st_size} {status.st_mtime_ns}")


def _joined(name: str, members: list[Found]) -> Found:
    """Return one source of the parts of an archive; a single file that is no part stays what it is."""
    if members[0].name == name:
        return members[0]
    sizes = [member.bytes for member in members if member.bytes is not None]
    return Found(
        name,
        members[0].url,
        sum(sizes) if len(sizes) == len(members) else None,
        ", ".join(member.stamp for member in members),
        tuple(member.url for member in members),
    )


def _why_nothing(pattern: str) -> str:
    if not is_remote(pattern) and Path(pattern).expanduser().is_dir():
        return f"{pattern} holds no .jsonl, .ndjson, .json or .txt, compressed or not; name its files by a pattern"
    if any(sign in pattern for sign in "*?["):
        return f"nothing matches {pattern}; check the pattern (** stands for any folders)"
    return f"{pattern} does not exist; check the path" + (" and the access to it" if is_remote(pattern) else "")
