"""A commit, from the newline-delimited JSON that clients send to a moved branch.

Everything that the commit needs is on disk and synced before the branch moves, and the branch moves in one rename:
whoever is interrupted anywhere leaves the old state.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pygit2

from hubkit.server import refs
from hubkit.server.discussions import MAX_TITLE, Discussions
from hubkit.server.errors import bad_request, too_large
from hubkit.server.gitobjects import PACK_FROM, LooseWriter, ObjectWriter, PackWriter, commit_data
from hubkit.server.lfs import MAX_POINTER_BYTES, format_pointer, parse_pointer
from hubkit.server.paths import check_oid, check_path
from hubkit.server.patterns import LfsRules, attribute_line
from hubkit.server.store import Repo, Store
from hubkit.server.trees import TreeEditor, read_blob

# What may lie in git itself; anything larger must be uploaded as a large file first.
MAX_REGULAR_BYTES = 10 * 1024 * 1024
MAX_LINE_BYTES = MAX_REGULAR_BYTES * 4 // 3 + 65536
MAX_OPERATIONS = 100_000
MAX_MESSAGE_BYTES = 65536

ATTRIBUTES = ".gitattributes"


@dataclass(frozen=True)
class Body:
    """The body of a commit request, spooled to disk.

    Attributes:
        file: The spooled lines, at their beginning.
        lines: How many there are.
    """

    file: BinaryIO
    lines: int


@dataclass
class _Draft:
    """A commit in the making."""

    repo: Repo
    tip: pygit2.Commit
    editor: TreeEditor
    writer: ObjectWriter
    lfs_paths: list[str] = field(default_factory=list)
    attributes: bytes | None = None


@dataclass(frozen=True)
class Done:
    """What a commit request made.

    Attributes:
        commit: The id of the new commit; of the tip, for a request that changes nothing.
        title: Its title.
        pull_request: The number of the pull request that was opened for it.
    """

    commit: str
    title: str
    pull_request: int | None = None


def commit(store: Store, repo: Repo, branch: str, body: Body, author: str, proposed: bool = False) -> Done:
    """Applies the operations of a commit request to a branch, or to a new pull request.

    Args:
        store: The hub's repositories.
        repo: The repository.
        branch: The branch that shall move, or the ref of a pull request.
        body: The request.
        author: The user name of who commits.
        proposed: Open a pull request with the commit; the branch stays as it is.

    Raises:
        ApiError: 412 when `parentCommit` is not the tip of the branch, 400 for what is malformed or not allowed,
            404 for a branch or a deleted file that does not exist.
    """
    if body.lines > MAX_OPERATIONS:
        raise too_large(f"A commit may have at most {MAX_OPERATIONS} operations, not {body.lines}: split it")
    with store.locked_repo(repo) as current:
        discussions = Discussions(current)
        if branch.startswith(refs.PULLS):
            discussions.of_ref(branch)
        tip = refs.branch_tip(current.git, refs.DEFAULT_BRANCH if proposed else branch)
        operations = _operations(body.file)
        message = _header(operations, tip)
        writer = PackWriter(current.git, store.temporary) if body.lines > PACK_FROM else LooseWriter(current.git)
        draft = _Draft(current, tip, TreeEditor(current.git, str(tip.tree.id)), writer)
        try:
            for kind, value in operations:
                _apply(draft, kind, value)
            _extend_attributes(draft)
            title, _, description = message.partition("\n")
            if not proposed:
                return Done(_conclude(draft, branch, author, message), title)
            item = discussions.create(author, title[:MAX_TITLE], description.strip(), True)
            return Done(_conclude(draft, f"{refs.PULLS}{item['num']}", author, message), title, item["num"])
        finally:
            writer.abort()


def _operations(file: BinaryIO) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise too_large(
                f"Line {number} of the commit is too long: files above {MAX_REGULAR_BYTES} bytes belong to LFS"
            )
        if not line.strip():
            continue
        try:
            item = json.loads(line)
            kind, value = item["key"], item["value"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise bad_request(f"Line {number} of the commit is not a JSON object with 'key' and 'value'") from None
        if not isinstance(kind, str) or not isinstance(value, dict):
            raise bad_request(f"Line {number} of the commit: 'key' must be a text and 'value' an object")
        yield kind, value


def _header(operations: Iterator[tuple[str, dict[str, Any]]], tip: pygit2.Commit) -> str:
    """Reads the header, checks the parent and returns the message."""
    kind, value = next(operations, ("", {}))
    if kind != "header":
        raise bad_request("The first line of a commit must be its header")
    parent = value.get("parentCommit")
    if parent is not None and not (isinstance(parent, str) and len(parent) >= 5 and _is_tip(tip, parent)):
        raise refs.stale_parent()
    summary, description = value.get("summary"), value.get("description") or ""
    if not isinstance(summary, str) or not summary.strip() or not isinstance(description, str):
        raise bad_request("The header of a commit needs a 'summary' that is not empty")
    title = " ".join(summary.split())
    message = f"{title}\n\n{description}" if description.strip() else title
    if len(message.encode("utf-8", "replace")) > MAX_MESSAGE_BYTES:
        raise too_large(f"The message of a commit may have at most {MAX_MESSAGE_BYTES} bytes")
    # A commit object ends at a NUL, and cannot hold half a surrogate pair.
    return message.replace("\0", "").encode("utf-8", "replace").decode()


def _is_tip(tip: pygit2.Commit, parent: str) -> bool:
    return str(tip.id).startswith(parent.lower())


def _apply(draft: _Draft, kind: str, value: dict[str, Any]) -> None:
    path = value.get("path")
    if kind == "deletedFolder" and isinstance(path, str):
        path = path.rstrip("/")
    path = check_path(path)
    if kind == "file":
        _add_regular(draft, path, value)
    elif kind == "lfsFile":
        _add_lfs(draft, path, value)
    elif kind in ("deletedFile", "deletedFolder"):
        draft.editor.delete(path, kind == "deletedFolder")
        if path == ATTRIBUTES:
            draft.attributes = b""
    else:
        raise bad_request(f"Unknown operation {kind!r} in a commit")


def _add_regular(draft: _Draft, path: str, value: dict[str, Any]) -> None:
    content, encoding = value.get("content"), value.get("encoding", "utf-8")
    if not isinstance(content, str):
        raise bad_request(f"The file {path!r} has no 'content'")
    try:
        data = base64.b64decode(content, validate=True) if encoding == "base64" else content.encode()
    except (binascii.Error, ValueError):
        raise bad_request(f"The content of {path!r} is not valid {encoding}") from None
    if len(data) > MAX_REGULAR_BYTES:
        raise bad_request(f"{path!r} has {len(data)} bytes: above {MAX_REGULAR_BYTES} it must be uploaded to LFS")
    pointer = parse_pointer(data) if len(data) < MAX_POINTER_BYTES else None
    if pointer:
        # Whoever writes a pointer by hand gets no content that this repository does not own.
        _check_owned(draft, path, pointer.oid, pointer.size)
    draft.editor.put(path, draft.writer.add("blob", data))
    if path == ATTRIBUTES:
        draft.attributes = data


def _add_lfs(draft: _Draft, path: str, value: dict[str, Any]) -> None:
    if value.get("algo", "sha256") != "sha256":
        raise bad_request(f"Unknown hash {value['algo']!r} for {path!r}: use sha256")
    oid = check_oid(value.get("oid"))
    size = _check_owned(draft, path, oid, value.get("size"))
    draft.editor.put(path, draft.writer.add("blob", format_pointer(oid, size)))
    draft.lfs_paths.append(path)


def _check_owned(draft: _Draft, path: str, oid: str, size: object) -> int:
    actual = draft.repo.lfs.size(oid)
    if actual is None:
        raise bad_request(f"{path!r} points at LFS object {oid}, which was not uploaded to this repository")
    if size is not None and size != actual:
        raise bad_request(f"{path!r} announces {size} bytes, but LFS object {oid} has {actual}")
    return actual


def _extend_attributes(draft: _Draft) -> None:
    """Writes down which files are large where no pattern says so, or git would take pointers for content."""
    content = draft.attributes
    if content is None:
        existing = draft.editor.get(ATTRIBUTES)
        content = read_blob(draft.repo.git, existing) if existing else b""
    rules = LfsRules(content)
    paths = dict.fromkeys(draft.lfs_paths)
    missing = [path for path in paths if draft.editor.get(path) and not rules.match(path)]
    if missing:
        start = content if not content or content.endswith(b"\n") else content + b"\n"
        content = start + b"".join(map(attribute_line, missing))
        draft.editor.put(ATTRIBUTES, draft.writer.add("blob", content))


def _conclude(draft: _Draft, branch: str, author: str, message: str) -> str:
    tip, writer = draft.tip, draft.writer
    tree = draft.editor.write(writer)
    if tree == str(tip.tree.id):
        return str(tip.id)
    new = writer.add("commit", commit_data(tree, [str(tip.id)], author, message))
    writer.finish()
    refs.move_branch(draft.repo.git, branch, str(tip.id), new)
    return new


def upload_mode(rules: LfsRules, path: str, size: int, sample: bytes) -> str:
    """Says whether a file belongs into git (`regular`) or into the large file store (`lfs`)."""
    if size == 0:
        return "regular"
    is_large = size > MAX_REGULAR_BYTES or b"\0" in sample or rules.match(path)
    return "lfs" if is_large else "regular"


def lfs_rules(repo: Repo, tree: pygit2.Tree) -> LfsRules:
    """The rules of the `.gitattributes` at the root of a tree."""
    return LfsRules(root_file(repo, tree, ATTRIBUTES))


def root_file(repo: Repo, tree: pygit2.Tree, name: str) -> bytes:
    """The content of a small file at the root of a tree; empty where there is none."""
    if name not in tree or not isinstance(tree[name], pygit2.Blob):
        return b""
    return read_blob(repo.git, str(tree[name].id))
