"""Which names of repositories, files and revisions are allowed; all others are refused before they touch the disk."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from hubkit.server.errors import ApiError, bad_request, revision_not_found

REPO_TYPES = ("models", "datasets", "spaces")

# Namespaces that would collide with the server's own addresses.
RESERVED_NAMESPACES = frozenset(
    [
        *("api", "datasets", "spaces", "models", "kernels", "buckets", "collections", "papers", "organizations"),
        *("settings", "docs", "login", "join", "new", "raw", "resolve"),
    ]
)

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
_HEX40 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MAX_SEGMENT_BYTES = 255
_MAX_PATH_BYTES = 2048
_MAX_REVISION = 200

# Code points that HFS+ ignores when it compares names: `.g<zero width joiner>it` is `.git` there.
_HFS_IGNORED = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


class RepoKey(NamedTuple):
    """What names a repository: its type (plural, as in URLs), namespace and name."""

    type: str
    namespace: str
    name: str

    @property
    def id(self) -> str:
        """`namespace/name`, as clients write it."""
        return f"{self.namespace}/{self.name}"

    @property
    def url_path(self) -> str:
        """The path of the repository's page and files: models have no prefix."""
        return self.id if self.type == "models" else f"{self.type}/{self.id}"


def is_name(text: str) -> bool:
    """Tells whether a text is a valid namespace or repository name (the Hub's own rules)."""
    if not _NAME.fullmatch(text) or "--" in text or ".." in text:
        return False
    return not text.lower().endswith((".git", ".lock"))


def check_repo(type_: str, namespace: str, name: str) -> RepoKey:
    """Checks the name of a repository that is about to be made.

    Raises:
        ApiError: 400 that names the value and the rule.
    """
    if type_ not in REPO_TYPES:
        raise bad_request(f"Unknown repository type {type_!r}: use model, dataset or space")
    for text in (namespace, name):
        if not is_name(text):
            raise bad_request(
                f"Invalid repository name {namespace + '/' + name!r}: use up to 96 letters, digits, '-', '_' and '.', "
                "not starting or ending with '-' or '.', without '--' or '..', and not ending with '.git'"
            )
    if namespace.lower() in RESERVED_NAMESPACES:
        raise bad_request(f"The namespace {namespace!r} is reserved: choose another one")
    return RepoKey(type_, namespace, name)


def _means_git_folder(segment: str) -> bool:
    # NTFS drops trailing dots and spaces and reads `name:stream`; HFS+ ignores some code points; 8.3 names abbreviate.
    plain = segment.translate(_HFS_IGNORED).split(":", 1)[0].rstrip(". ").lower()
    return plain in {".git", "git~1"}


def path_problem(path: str) -> str | None:
    """Says what is wrong with the path of a file in a repository, or None when it is fine."""
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if not 0 < size <= _MAX_PATH_BYTES:
        return f"it is empty or longer than {_MAX_PATH_BYTES} bytes"
    if "\\" in path or any(unicodedata.category(char) == "Cc" for char in path):
        return "it contains a backslash or a control character"
    problems = (_segment_problem(segment) for segment in path.split("/"))
    return next((problem for problem in problems if problem), None)


def _segment_problem(segment: str) -> str | None:
    if segment in {"", ".", ".."}:
        return "it has an empty, '.' or '..' segment"
    if _means_git_folder(segment):
        return "it names a .git folder"
    if len(segment.encode()) > _MAX_SEGMENT_BYTES:
        return f"a segment is longer than {_MAX_SEGMENT_BYTES} bytes"
    return None


def check_path(path: object) -> str:
    """Returns the path of a file in a repository when it is allowed.

    Raises:
        ApiError: 400 that names the path and what is wrong with it.
    """
    if not isinstance(path, str):
        raise bad_request(f"A path must be a text, not {type(path).__name__}")
    problem = path_problem(path)
    if problem:
        raise bad_request(f"Invalid path {path!r}: {problem}")
    return path


def check_ref_name(name: object) -> str:
    """Returns the name of a branch or tag that is about to be made, when it is allowed.

    Raises:
        ApiError: 400 that names the value and the rule.
    """
    import pygit2

    valid = (
        isinstance(name, str)
        and 0 < len(name) <= _MAX_REVISION
        and path_problem(name) is None
        and not name.startswith(("refs/", "-"))
        # A name that looks like a commit could shadow that commit.
        and not _HEX40.fullmatch(name)
        and name != "HEAD"
        and pygit2.reference_is_valid_name(f"refs/heads/{name}")
    )
    if not valid:
        raise bad_request(f"Invalid branch or tag name {name!r}: use letters, digits, '.', '_', '-' and '/'")
    return str(name)


def check_revision(revision: str) -> str:
    """Returns a revision to look up; what could never exist is simply not found."""
    if not 0 < len(revision) <= _MAX_REVISION or path_problem(revision):
        raise revision_not_found(revision)
    return revision


def is_commit_id(text: str) -> bool:
    """Tells whether a text is a full commit id."""
    return bool(_HEX40.fullmatch(text))


def check_oid(oid: object) -> str:
    """Returns an LFS object id (a lower-case sha256 in hex) when it is one.

    Raises:
        ApiError: 422 as the LFS protocol wants it.
    """
    if not isinstance(oid, str) or not _SHA256.fullmatch(oid):
        raise ApiError(422, f"Invalid LFS object id {oid!r}: it must be a sha256 in 64 lower-case hex digits")
    return oid
