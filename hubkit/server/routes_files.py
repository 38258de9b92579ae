"""Endpoints that send the files of a repository."""

from __future__ import annotations

import mimetypes

import pygit2
from starlette.responses import Response

from hubkit.server import refs, trees
from hubkit.server.context import Context
from hubkit.server.errors import ApiError, entry_not_found
from hubkit.server.paths import check_path
from hubkit.server.routes_lfs import refuse_gated
from hubkit.server.routing import Route
from hubkit.server.serving import safety_headers, serve_bytes, serve_file


def find_file(context: Context) -> tuple[pygit2.Commit, trees.Entry]:
    """Finds the file that a path names.

    Raises:
        ApiError: 404 for a missing revision or file, 400 for a path that is not allowed.
    """
    commit = refs.resolve(context.repo.git, context.params["rev"])
    path = check_path(context.params["path"])
    entry = trees.find(commit.tree, path)
    if entry is None or entry.is_folder:
        raise entry_not_found(path, str(commit.id))
    return commit, entry


def resolve(context: Context) -> Response:
    """Sends the content of a file, large or not."""
    refuse_gated(context)
    commit, entry = find_file(context)
    repo = context.repo
    headers = {"X-Repo-Commit": str(commit.id), **safety_headers(entry.path.rsplit("/", 1)[-1])}
    pointer = trees.facts(repo.git, entry.oid).pointer
    if pointer is None:
        return serve_bytes(context, trees.read_blob(repo.git, entry.oid), entry.oid, headers, _text_type(entry.path))
    if repo.lfs.size(pointer.oid) != pointer.size:
        raise ApiError(404, f"The content of {entry.path!r} is missing from this hub", headers=headers)
    headers |= {"X-Linked-Etag": f'"{pointer.oid}"', "X-Linked-Size": str(pointer.size)}
    return serve_file(context, repo.lfs.path(pointer.oid), pointer.size, pointer.oid, headers)


def raw(context: Context) -> Response:
    """Sends a file as it lies in git: for a large file that is its pointer."""
    refuse_gated(context)
    commit, entry = find_file(context)
    headers = {"X-Repo-Commit": str(commit.id), **safety_headers(entry.path.rsplit("/", 1)[-1])}
    data = trees.read_blob(context.repo.git, entry.oid)
    return serve_bytes(context, data, entry.oid, headers, "text/plain; charset=utf-8")


def _text_type(path: str) -> str:
    # As the Hub does: text is text, whatever it could be run as.
    guessed = mimetypes.guess_type(path)[0] or "text/plain"
    is_media = guessed.startswith(("image/", "audio/", "video/"))
    return "application/octet-stream" if is_media else "text/plain; charset=utf-8"


ROUTES = [
    Route("GET", "/{at}/{ns}/{name}/resolve/{rev}/{path*}", resolve),
    Route("GET", "/{at}/{ns}/{name}/raw/{rev}/{path*}", raw),
]
