"""Large files: the pointer that lies in git, and the store that holds the content, one for each repository.

A store for the whole hub would save space, but anybody who knows the sha256 of a private file could then have it
through a public repository.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hubkit.server.errors import ApiError, disk_full
from hubkit.server.files import fsync_folder

_VERSION = b"version https://git-lfs.github.com/spec/v1\n"

# A pointer file is always smaller; anything else need not be looked at.
MAX_POINTER_BYTES = 1024

# Room that must stay on the disk beside an announced upload.
_RESERVE_BYTES = 16 << 20


class Pointer(NamedTuple):
    """What a pointer file says of the content.

    Attributes:
        oid: Its sha256 in hex.
        size: Its size in bytes.
        pointer_size: The size of the pointer file itself.
    """

    oid: str
    size: int
    pointer_size: int


def format_pointer(oid: str, size: int) -> bytes:
    """The pointer file for a content."""
    return _VERSION + f"oid sha256:{oid}\nsize {size}\n".encode()


def parse_pointer(data: bytes) -> Pointer | None:
    """Reads a pointer file; None when the data is anything else."""
    if not data.startswith(_VERSION) or len(data) >= MAX_POINTER_BYTES:
        return None
    fields = {}
    for line in data.decode("utf-8", "replace").splitlines()[1:]:
        key, _, value = line.partition(" ")
        fields[key] = value
    algorithm, _, oid = fields.get("oid", "").partition(":")
    size = fields.get("size", "")
    is_hash = algorithm == "sha256" and len(oid) == 64 and not set(oid) - set("0123456789abcdef")
    if not is_hash or not (size.isascii() and size.isdigit() and len(size) < 19):
        return None
    return Pointer(oid, int(size), len(data))


class LfsStore:
    """The large files of one repository, by sha256.

    Args:
        repo_path: The repository's folder.
    """

    def __init__(self, repo_path: Path) -> None:
        self._folder = repo_path / "lfs"

    def path(self, oid: str) -> Path:
        """Where the content lies, or would lie."""
        return self._folder / oid[:2] / oid[2:4] / oid

    def size(self, oid: str) -> int | None:
        """The size of an object, or None when this repository does not own it."""
        try:
            return self.path(oid).stat().st_size
        except FileNotFoundError:
            return None

    def adopt(self, source: Path, oid: str) -> None:
        """Moves a complete, synced and verified file into the store."""
        target = self.path(oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(source, target)
        for folder in (target.parent, target.parent.parent, self._folder, self._folder.parent):
            fsync_folder(folder)


@dataclass(frozen=True)
class Expected:
    """What an upload must turn out to be."""

    oid: str
    size: int


class Incoming:
    """A file that is being uploaded: hashed and counted as it is written, never held in memory.

    Args:
        folder: The hub's folder of temporary files.
        expected: What the upload announced.

    Raises:
        ApiError: 507 when the disk has no room for it.
    """

    def __init__(self, folder: Path, expected: Expected) -> None:
        check_room(folder, expected.size)
        self._expected = expected
        self.path = folder / f"lfs-{secrets.token_hex(12)}"
        self._file = open(self.path, "xb", buffering=0)  # noqa: SIM115
        self._digest = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Appends data.

        Raises:
            ApiError: 400 as soon as there is more than was announced.
        """
        self._size += len(data)
        if self._size > self._expected.size:
            raise ApiError(400, f"The upload is longer than the announced {self._expected.size} bytes")
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._digest.update(data)

    def finish(self) -> None:
        """Verifies size and sha256 and makes the file durable.

        Raises:
            ApiError: 400 when the content is not what was announced.
        """
        if self._size != self._expected.size:
            raise ApiError(400, f"The upload has {self._size} bytes; {self._expected.size} were announced")
        if self._digest.hexdigest() != self._expected.oid:
            raise ApiError(400, f"The upload's sha256 is {self._digest.hexdigest()}, not {self._expected.oid}")
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        """Removes the file, unless it was adopted."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def check_room(folder: Path, size: int) -> None:
    """Refuses an upload that the disk has no room for.

    Raises:
        ApiError: 507.
    """
    if shutil.disk_usage(folder).free < size + _RESERVE_BYTES:
        raise disk_full()
