"""Endpoints that change files: how shall they be uploaded, and commit them."""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.responses import Response

from hubkit.server import commits, refs, trees
from hubkit.server.bodies import spool
from hubkit.server.context import Context, json_response
from hubkit.server.errors import bad_request, too_large
from hubkit.server.paths import check_path
from hubkit.server.patterns import IgnoreRules
from hubkit.server.routing import Route

MAX_FILES = 10_000


def preupload(context: Context) -> Response:
    """Tells for each file whether it goes into git or to LFS, and what the branch has at its place."""
    repo = context.repo
    tip = refs.branch_tip(repo.git, refs.DEFAULT_BRANCH if context.flag("create_pr") else context.params["rev"])
    wanted = context.body.get("files")
    if not isinstance(wanted, list):
        raise bad_request("'files' must be a list")
    if len(wanted) > MAX_FILES:
        raise too_large(f"{len(wanted)} files at once; at most {MAX_FILES} are accepted")
    rules = commits.lfs_rules(repo, tip.tree)
    ignore = context.body.get("gitIgnore")
    if not isinstance(ignore, str):
        ignore = commits.root_file(repo, tip.tree, ".gitignore").decode("utf-8", "replace")
    ignored = IgnoreRules(ignore)
    answers = []
    for item in wanted:
        path, size, sample = _announced(item)
        answer: dict[str, Any] = {"path": path, "uploadMode": commits.upload_mode(rules, path, size, sample)}
        answer["shouldIgnore"] = ignored.match(path)
        entry = trees.find(tip.tree, path)
        if entry is not None and not entry.is_folder:
            pointer = trees.facts(repo.git, entry.oid).pointer
            answer["oid"] = pointer.oid if pointer else entry.oid
        answers.append(answer)
    return json_response({"files": answers, "commitOid": str(tip.id)})


def _announced(item: Any) -> tuple[str, int, bytes]:
    if not isinstance(item, dict):
        raise bad_request("Each of 'files' must be an object with 'path', 'size' and 'sample'")
    path, size = check_path(item.get("path")), item.get("size", 0)
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise bad_request(f"The size of {path!r} must be a number, not {size!r}")
    try:
        return path, size, base64.b64decode(item.get("sample") or "", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise bad_request(f"The sample of {path!r} is not valid base64") from None


async def commit(context: Context) -> Response:
    """Commits files to a branch, to a pull request, or to a new one."""
    file, lines = await spool(context)
    with file:
        body = commits.Body(file, lines)
        repo, branch, proposed = context.repo, context.params["rev"], context.flag("create_pr")
        work = partial(commits.commit, context.hub.store, repo, branch, body, context.user, proposed)
        done = await to_thread.run_sync(work)
    url = context.hub.url(repo.key, "commit", done.commit)
    answer = {"success": True, "commitOid": done.commit, "commitUrl": url, "commitTitle": done.title, "hookOutput": ""}
    if done.pull_request is not None:
        answer["pullRequestUrl"] = context.hub.url(repo.key, "discussions", str(done.pull_request))
    return json_response(answer)


_REPO = "/api/{type}/{ns}/{name}"

ROUTES = [
    Route("POST", f"{_REPO}/preupload/{{rev}}", preupload, access="write", body="json"),
    Route("POST", f"{_REPO}/commit/{{rev}}", commit, access="write", body="stream"),
]
