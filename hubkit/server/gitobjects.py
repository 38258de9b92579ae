"""Writing git objects so that all of them are on disk before any ref points at them."""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zlib
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import pygit2

from hubkit.server.files import fsync_folder

Kind = Literal["commit", "tree", "blob", "tag"]

_KIND_NUMBER: dict[Kind, int] = {"commit": 1, "tree": 2, "blob": 3, "tag": 4}

# Above this many objects one pack (two syncs in all) is much faster than loose objects (a sync each); git's own
# receive-pack draws the same line at 100.
PACK_FROM = 100


def object_id(kind: Kind, data: bytes) -> str:
    """The git id of an object."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


class ObjectWriter(Protocol):
    """Takes objects; after `finish` they are durable."""

    def add(self, kind: Kind, data: bytes) -> str:
        """Takes an object and returns its id."""
        ...

    def finish(self) -> None:
        """Makes everything durable."""
        ...

    def abort(self) -> None:
        """Forgets what is not yet durable."""
        ...


class LooseWriter:
    """Writes each object to its own file, synced by libgit2: for small commits.

    Args:
        git: The repository.
    """

    def __init__(self, git: pygit2.Repository) -> None:
        pygit2.settings.enable_fsync_gitdir(True)
        self._git = git

    def add(self, kind: Kind, data: bytes) -> str:
        """Writes an object and returns its id."""
        return str(self._git.write(_KIND_NUMBER[kind], data))

    def finish(self) -> None:
        """Does nothing: every object is durable as soon as it is added."""

    def abort(self) -> None:
        """Does nothing: objects that nobody points at do no harm."""


class PackWriter:
    """Writes all objects into one pack file: for large commits.

    Args:
        git: The repository.
        temporary: A folder on the same file system for the growing pack.
    """

    def __init__(self, git: pygit2.Repository, temporary: Path) -> None:
        self._git = git
        self._packs = Path(git.path) / "objects" / "pack"
        self._path = temporary / f"pack-{os.getpid()}-{time.monotonic_ns()}"
        self._file: BinaryIO = open(self._path, "w+b")  # noqa: SIM115
        self._file.write(b"PACK" + struct.pack(">II", 2, 0))
        self._entries: dict[str, tuple[int, int]] = {}

    def add(self, kind: Kind, data: bytes) -> str:
        """Appends an object, unless the repository or the pack has it, and returns its id."""
        oid = object_id(kind, data)
        if oid in self._entries or oid in self._git:
            return oid
        record = _entry_header(_KIND_NUMBER[kind], len(data)) + zlib.compress(data, 1)
        self._entries[oid] = (zlib.crc32(record), self._file.tell())
        self._file.write(record)
        return oid

    def finish(self) -> None:
        """Completes the pack and its index, syncs both and moves them into the repository."""
        if not self._entries:
            self.abort()
            return
        checksum = self._seal()
        index = self._path.with_suffix(".idx")
        try:
            with open(index, "wb") as file:
                file.write(_pack_index(self._entries, checksum))
                file.flush()
                os.fsync(file.fileno())
            name = self._packs / f"pack-{checksum.hex()}"
            # Git looks for indexes: the pack must be there before its index appears.
            os.replace(self._path, name.with_suffix(".pack"))
            os.replace(index, name.with_suffix(".idx"))
            fsync_folder(self._packs)
        finally:
            index.unlink(missing_ok=True)

    def abort(self) -> None:
        """Removes the unfinished pack."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _seal(self) -> bytes:
        # The number of objects is only known now, and the checksum covers it.
        file = self._file
        file.seek(8)
        file.write(struct.pack(">I", len(self._entries)))
        file.seek(0)
        digest = hashlib.sha1(usedforsecurity=False)
        while chunk := file.read(1 << 20):
            digest.update(chunk)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
        file.close()
        return digest.digest()


def _entry_header(kind: int, size: int) -> bytes:
    first = (kind << 4) | (size & 15)
    size >>= 4
    header = bytearray()
    while size:
        header.append(first | 0x80)
        first = size & 0x7F
        size >>= 7
    header.append(first)
    return bytes(header)


def _pack_index(entries: dict[str, tuple[int, int]], checksum: bytes) -> bytes:
    # Version 2 of git's index: fan-out, ids, CRCs, offsets, and 64-bit offsets where 31 bits do not reach.
    ordered = sorted(entries)
    fanout = [0] * 256
    for oid in ordered:
        fanout[int(oid[:2], 16)] += 1
    for index in range(1, 256):
        fanout[index] += fanout[index - 1]
    offsets, large = [], []
    for oid in ordered:
        offset = entries[oid][1]
        if offset < 1 << 31:
            offsets.append(offset)
        else:
            offsets.append((1 << 31) | len(large))
            large.append(offset)
    body = b"".join(
        [
            b"\xfftOc" + struct.pack(">I", 2),
            struct.pack(">256I", *fanout),
            b"".join(bytes.fromhex(oid) for oid in ordered),
            struct.pack(f">{len(ordered)}I", *(entries[oid][0] for oid in ordered)),
            struct.pack(f">{len(offsets)}I", *offsets),
            struct.pack(f">{len(large)}Q", *large),
            checksum,
        ]
    )
    return body + hashlib.sha1(body, usedforsecurity=False).digest()


def commit_data(tree: str, parents: list[str], author: str, message: str) -> bytes:
    """The bytes of a commit object.

    Args:
        tree: The id of its tree.
        parents: The ids of its parents.
        author: The user name of its author, who is the committer too.
        message: The whole message.
    """
    who = signature(author)
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {who}", f"committer {who}", ""]
    return ("\n".join(lines) + "\n" + message.rstrip("\n") + "\n").encode()


def tag_data(target: str, name: str, author: str, message: str) -> bytes:
    """The bytes of an annotated tag that points at a commit."""
    lines = [f"object {target}", "type commit", f"tag {name}", f"tagger {signature(author)}", ""]
    return ("\n".join(lines) + "\n" + message.rstrip("\n") + "\n").encode()


def signature(user: str) -> str:
    """Git's `name <mail> time zone` for a user, now."""
    return f"{user} <{user}@noreply.invalid> {int(time.time())} +0000"
