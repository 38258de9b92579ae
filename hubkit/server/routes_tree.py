"""Endpoints for what is inside a repository: files, folders, branches, tags, commits."""

from __future__ import annotations

import base64
import json
from itertools import islice
from typing import Any

import pygit2
from starlette.responses import Response

from hubkit.server import refs, trees
from hubkit.server.context import Context, json_response
from hubkit.server.errors import bad_request, entry_not_found, too_large
from hubkit.server.paths import check_path, path_problem
from hubkit.server.routes_repos import next_link
from hubkit.server.routing import Route

TREE_PAGE = 1000
EXPANDED_TREE_PAGE = 50
COMMITS_PAGE = 50
MAX_PATHS = 1000
_MAX_SKIP = 1 << 40


def tree(context: Context) -> Response:
    """Lists a folder, page by page; all pages show the commit that the first one saw."""
    git, expand = context.repo.git, context.flag("expand")
    commit, skip = _tree_start(context)
    path = context.params.get("path", "")
    folder = trees.find(commit.tree, check_path(path) if path else "")
    if folder is None or not folder.is_folder:
        raise entry_not_found(path, str(commit.id))
    highest = EXPANDED_TREE_PAGE if expand else TREE_PAGE
    limit = context.number("limit", highest, highest)
    found = list(islice(trees.walk(git, folder.oid, path, context.flag("recursive")), skip, skip + limit + 1))
    page = [trees.describe(git, entry) for entry in found[:limit]]
    if expand:
        _add_last_commits(git, commit, page)
    headers = {"X-Repo-Commit": str(commit.id)}
    if len(found) > limit:
        headers["Link"] = next_link(context, {"cursor": _cursor(str(commit.id), skip + limit)})
    return json_response(page, headers)


def _cursor(commit: str, skip: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([commit, skip]).encode()).decode()


def _tree_start(context: Context) -> tuple[pygit2.Commit, int]:
    cursor = context.query.get("cursor")
    if not cursor:
        return refs.resolve(context.repo.git, context.params["rev"]), 0
    try:
        commit, skip = json.loads(base64.urlsafe_b64decode(cursor))
        return refs.resolve(context.repo.git, str(commit)), min(max(0, int(skip)), _MAX_SKIP)
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise bad_request("The cursor is not one that this hub handed out") from None


def _add_last_commits(git: pygit2.Repository, commit: pygit2.Commit, page: list[dict[str, Any]]) -> None:
    last = refs.last_commits(git, commit, [item["path"] for item in page])
    for item in page:
        item["lastCommit"] = last[item["path"]]


def paths_info(context: Context) -> Response:
    """Describes some files and folders; those that do not exist are left out."""
    git = context.repo.git
    commit = refs.resolve(git, context.params["rev"])
    paths = context.body.get("paths", [])
    if len(paths) > MAX_PATHS:
        raise too_large(f"too many parameters: {len(paths)} paths, at most {MAX_PATHS} at once")
    wanted = [path.strip("/") for path in paths]
    entries = [trees.find(commit.tree, path) for path in wanted if not path_problem(path)]
    page = [trees.describe(git, entry) for entry in entries if entry is not None]
    if (context.body.get("expand") or ["false"])[-1].lower() in ("1", "true"):
        _add_last_commits(git, commit, page)
    return json_response(page)


def list_refs(context: Context) -> Response:
    """Lists branches and tags, and pull requests if asked."""
    found: dict[str, Any] = dict(refs.listing(context.repo.git))
    if not context.flag("include_prs"):
        del found["pullRequests"]
    return json_response(found)


def commits(context: Context) -> Response:
    """Lists the history of a revision, newest first, page by page."""
    git = context.repo.git
    start = refs.resolve(git, context.params["rev"])
    limit = context.number("limit", COMMITS_PAGE, 1000)
    page = context.number("p", 1, 1_000_000) - 1
    found = refs.history(git, start, page * limit, limit + 1)
    formatted = "formatted" in context.expand()
    headers = {"Link": next_link(context, {"p": str(page + 2)})} if len(found) > limit else None
    return json_response([refs.describe_commit(commit, formatted) for commit in found[:limit]], headers)


def create_branch(context: Context) -> Response:
    """Makes a branch."""
    start = context.body.get("startingPoint") or refs.DEFAULT_BRANCH
    with context.hub.store.locked_repo(context.repo) as repo:
        refs.create_branch(repo.git, context.params["branch"], str(start))
    return json_response({})


def delete_branch(context: Context) -> Response:
    """Removes a branch."""
    with context.hub.store.locked_repo(context.repo) as repo:
        refs.delete_branch(repo.git, context.params["branch"])
    return json_response({})


def create_tag(context: Context) -> Response:
    """Makes a tag at a revision."""
    message = context.body.get("message")
    if message is not None and (not isinstance(message, str) or len(message) > 65536):
        raise bad_request("'message' must be a text of at most 65536 characters")
    with context.hub.store.locked_repo(context.repo) as repo:
        refs.create_tag(repo.git, context.body.get("tag"), context.params["rev"], context.user, message)
    return json_response({})


def delete_tag(context: Context) -> Response:
    """Removes a tag."""
    with context.hub.store.locked_repo(context.repo) as repo:
        refs.delete_tag(repo.git, context.params["rev"])
    return json_response({})


_REPO = "/api/{type}/{ns}/{name}"

ROUTES = [
    Route("GET", f"{_REPO}/tree/{{rev}}", tree),
    Route("GET", f"{_REPO}/tree/{{rev}}/{{path*}}", tree),
    Route("POST", f"{_REPO}/paths-info/{{rev}}", paths_info, body="form"),
    Route("GET", f"{_REPO}/refs", list_refs),
    Route("GET", f"{_REPO}/commits/{{rev}}", commits),
    Route("POST", f"{_REPO}/branch/{{branch}}", create_branch, access="write", body="json"),
    Route("DELETE", f"{_REPO}/branch/{{branch}}", delete_branch, access="write"),
    Route("POST", f"{_REPO}/tag/{{rev}}", create_tag, access="write", body="json"),
    Route("DELETE", f"{_REPO}/tag/{{rev}}", delete_tag, access="write"),
]
