"""Reading and editing git trees: walk, describe, look up, and apply the operations of a commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pygit2
from pygit2.enums import FileMode

from hubkit.server.errors import bad_request, entry_not_found
from hubkit.server.gitobjects import ObjectWriter
from hubkit.server.lfs import MAX_POINTER_BYTES, Pointer, parse_pointer

MAX_DEPTH = 64


class Entry(NamedTuple):
    """One file or folder of a tree."""

    path: str
    oid: str
    is_folder: bool


class FileFacts(NamedTuple):
    """What a listing says of a file: its size, and where the content lies if it is an LFS file."""

    size: int
    pointer: Pointer | None


def find(tree: pygit2.Tree, path: str) -> Entry | None:
    """Looks up a path; the empty path is the tree itself."""
    if not path:
        return Entry("", str(tree.id), True)
    try:
        item = tree[path]
    except KeyError:
        return None
    return Entry(path, str(item.id), item.filemode == FileMode.TREE)


def walk(git: pygit2.Repository, tree_oid: str, prefix: str, recursive: bool) -> Iterator[Entry]:
    """Yields the entries of a tree in git's order, each folder before what it holds."""
    tree = git[tree_oid]
    assert isinstance(tree, pygit2.Tree)
    for item in tree:
        path = f"{prefix}/{item.name}" if prefix else str(item.name)
        is_folder = item.filemode == FileMode.TREE
        yield Entry(path, str(item.id), is_folder)
        if is_folder and recursive:
            yield from walk(git, str(item.id), path, True)


def files(git: pygit2.Repository, tree_oid: str) -> Iterator[Entry]:
    """Yields all files below a tree."""
    return (entry for entry in walk(git, tree_oid, "", True) if not entry.is_folder)


# Keyed by the id of the content, which never changes; shared by all repositories: it says nothing of who owns what.
_known_facts: dict[str, FileFacts] = {}
_MAX_KNOWN_FACTS = 1 << 17


def facts(git: pygit2.Repository, oid: str) -> FileFacts:
    """The size of a file, looking through an LFS pointer."""
    known = _known_facts.get(oid)
    if known is None:
        _, size = git.odb.read_header(pygit2.Oid(hex=oid))
        pointer = parse_pointer(read_blob(git, oid)) if size < MAX_POINTER_BYTES else None
        known = FileFacts(pointer.size if pointer else size, pointer)
        if len(_known_facts) >= _MAX_KNOWN_FACTS:
            _known_facts.clear()
        _known_facts[oid] = known
    return known


def read_blob(git: pygit2.Repository, oid: str) -> bytes:
    """The raw content of a blob."""
    return git.odb.read(pygit2.Oid(hex=oid))[1]


def describe(git: pygit2.Repository, entry: Entry) -> dict[str, Any]:
    """An entry as the tree and paths-info endpoints show it."""
    if entry.is_folder:
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": entry.path}
    size, pointer = facts(git, entry.oid)
    shown: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": size, "path": entry.path}
    if pointer:
        shown["lfs"] = {"oid": pointer.oid, "size": pointer.size, "pointerSize": pointer.pointer_size}
    return shown


class TreeEditor:
    """Changes files in a tree; folders are loaded when touched, appear when needed and vanish when empty.

    Args:
        git: The repository.
        root: The id of the tree to start from.
    """

    def __init__(self, git: pygit2.Repository, root: str) -> None:
        self._git = git
        self._root = _Folder(root)

    def get(self, path: str) -> str | None:
        """The blob id of a file, or None where there is no such file."""
        *folders, name = path.split("/")
        folder: _Folder | None = self._root
        for part in folders:
            child = folder.load(self._git).get(part)
            if not isinstance(child, _Folder):
                return None
            folder = child
        entry = folder.load(self._git).get(name)
        return entry.oid if isinstance(entry, _File) else None

    def put(self, path: str, oid: str) -> None:
        """Adds or replaces a file.

        Raises:
            ApiError: 400 when the path runs through a file, or is a folder.
        """
        *folders, name = path.split("/")
        if len(folders) > MAX_DEPTH:
            raise bad_request(f"Invalid path {path!r}: more than {MAX_DEPTH} folders deep")
        folder = self._root
        for part in folders:
            folder.dirty = True
            child = folder.load(self._git).setdefault(part, _Folder(None))
            if not isinstance(child, _Folder):
                raise bad_request(f"Cannot add {path!r}: {part!r} is a file, no folder; delete it in the same commit")
            folder = child
        folder.dirty = True
        existing = folder.load(self._git).get(name)
        if isinstance(existing, _Folder) and not existing.is_empty(self._git):
            raise bad_request(f"Cannot add {path!r}: it is a folder; delete it in the same commit")
        mode = existing.mode if isinstance(existing, _File) else int(FileMode.BLOB)
        folder.load(self._git)[name] = _File(oid, mode)

    def delete(self, path: str, folder_wanted: bool) -> None:
        """Removes a file or a whole folder.

        Raises:
            ApiError: 404 when there is none of that kind.
        """
        *folders, name = path.split("/")
        folder = self._root
        trail = [folder]
        for part in folders:
            child = folder.load(self._git).get(part)
            if not isinstance(child, _Folder):
                break
            folder = child
            trail.append(folder)
        target = folder.load(self._git).get(name) if len(trail) == len(folders) + 1 else None
        if not isinstance(target, _Folder if folder_wanted else _File):
            error = entry_not_found(path)
            error.message = f"A {'folder' if folder_wanted else 'file'} with this name doesn't exist: {path}"
            raise error
        del folder.load(self._git)[name]
        for parent in trail:
            parent.dirty = True

    def write(self, writer: ObjectWriter) -> str:
        """Writes the changed trees and returns the id of the root."""
        return self._root.write(self._git, writer) or writer.add("tree", b"")


class _File(NamedTuple):
    oid: str
    mode: int


class _Folder:
    """A folder: an unread tree id until someone looks inside."""

    def __init__(self, oid: str | None) -> None:
        self._oid = oid
        self._children: dict[str, _File | _Folder] | None = None
        self.dirty = oid is None

    def load(self, git: pygit2.Repository) -> dict[str, _File | _Folder]:
        if self._children is None:
            self._children = {}
            if self._oid is not None:
                tree = git[self._oid]
                assert isinstance(tree, pygit2.Tree)
                for item in tree:
                    is_folder = item.filemode == FileMode.TREE
                    child = _Folder(str(item.id)) if is_folder else _File(str(item.id), int(item.filemode))
                    self._children[str(item.name)] = child
        return self._children

    def is_empty(self, git: pygit2.Repository) -> bool:
        return all(isinstance(child, _Folder) and child.is_empty(git) for child in self.load(git).values())

    def write(self, git: pygit2.Repository, writer: ObjectWriter) -> str | None:
        """Writes what changed below; None where nothing is left."""
        if not self.dirty:
            return self._oid
        rows: list[tuple[bytes, int, str]] = []
        for name, child in self.load(git).items():
            encoded = name.encode()
            if isinstance(child, _File):
                rows.append((encoded, child.mode, child.oid))
            elif oid := child.write(git, writer):
                rows.append((encoded, int(FileMode.TREE), oid))
        if not rows:
            return None
        # Git sorts a folder as if its name ended with a slash.
        rows.sort(key=lambda row: row[0] + b"/" if row[1] == FileMode.TREE else row[0])
        data = b"".join(b"%o %s\0" % (mode, name) + bytes.fromhex(oid) for name, mode, oid in rows)
        return writer.add("tree", data)
