"""The two kinds of errors: those of the person who starts the server, and those of the HTTP protocol."""

from __future__ import annotations

import errno

# Clients compare with exactly this text.
BAD_TOKEN = "Invalid credentials in Authorization header"  # noqa: S105
NO_TOKEN = "Invalid username or password."  # noqa: S105

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class HubError(ValueError):
    """An error for the person who runs the server: one line that names the value and its mend."""


class ApiError(Exception):
    """An answer other than success, in the shape that Hub clients read.

    Args:
        status: The HTTP status.
        message: What went wrong, for a person.
        code: The `X-Error-Code` that clients turn into an exception class, such as `EntryNotFound`.
        headers: More response headers.
        body: More members of the JSON body beside `error`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: dict[str, str] | None = None,
        body: dict | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers or {}
        self.body = body or {}


def bad_request(message: str) -> ApiError:
    """Something in the request is malformed or not allowed."""
    return ApiError(400, message)


def repo_not_found(anonymous: bool) -> ApiError:
    """A repository that is missing, or that the asker may not see: both look the same."""
    if anonymous:
        return ApiError(401, NO_TOKEN, code="RepoNotFound")
    return ApiError(404, "Repository not found", code="RepoNotFound")


def revision_not_found(revision: str) -> ApiError:
    """A branch, tag or commit that the repository does not have."""
    return ApiError(404, f"Invalid rev id: {revision}", code="RevisionNotFound")


def entry_not_found(path: str, commit: str | None = None) -> ApiError:
    """A file or folder that the revision does not have.

    The commit is named too: clients remember for it that the file does not exist.
    """
    headers = {"X-Repo-Commit": commit} if commit else None
    return ApiError(404, f"Entry not found: {path}", code="EntryNotFound", headers=headers)


def too_large(message: str) -> ApiError:
    """A body, line or list above the server's limits."""
    return ApiError(413, message)


def disk_full() -> ApiError:
    """The disk that holds the hub has no room left."""
    return ApiError(507, "The disk that holds this hub is full: free some space, then repeat the same command")


def is_disk_full(error: BaseException) -> bool:
    """Tells whether an exception, ours or libgit2's, means that the disk is full."""
    if isinstance(error, OSError) and error.errno in _DISK_FULL:
        return True
    # libgit2 only passes on the text of the system's message.
    return "No space left on device" in str(error) or "Disk quota exceeded" in str(error)
