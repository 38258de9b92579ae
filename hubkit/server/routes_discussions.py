"""Endpoints for discussions and pull requests."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from hubkit.server.context import Context, json_response
from hubkit.server.discussions import MAX_TEXT, MAX_TITLE, Discussions, Item, add_event, check_text, comment_data
from hubkit.server.errors import bad_request
from hubkit.server.routing import Route

PAGE_SIZE = 50

_TYPES = {"models": "model", "datasets": "dataset", "spaces": "space"}


def listing(context: Context) -> Response:
    """Lists discussions, newest first, page by page; drafts count as open."""
    query = context.query
    items = [item for item in reversed(Discussions(context.repo).items) if _fits(item, dict(query))]
    start = (context.number("p", 0, 1_000_000) if query.get("p") not in (None, "0") else 0) * PAGE_SIZE
    page = [_summary(context, item) for item in items[start : start + PAGE_SIZE]]
    closed = sum(item["status"] not in ("open", "draft") for item in items)
    return json_response({"discussions": page, "count": len(items), "start": start, "numClosedDiscussions": closed})


def _fits(item: Item, query: dict[str, str]) -> bool:
    kind, status = query.get("type", "all"), query.get("status", "all")
    is_open = item["status"] in ("open", "draft")
    return (
        (kind == "all" or item["isPullRequest"] == (kind == "pull_request"))
        and (status == "all" or is_open == (status == "open"))
        and query.get("author") in (None, "", item["author"])
    )


def _summary(context: Context, item: Item) -> dict[str, Any]:
    key = context.repo.key
    shown = {name: item[name] for name in ("num", "title", "createdAt", "status", "isPullRequest")}
    return shown | {"author": {"name": item["author"]}, "repo": {"name": key.id, "type": _TYPES[key.type]}}


def create(context: Context) -> Response:
    """Begins a discussion or a pull request."""
    body = context.body
    title = check_text(body.get("title"), "title", MAX_TITLE, 3)
    text = check_text(body.get("description") or "", "description", MAX_TEXT, 0)
    with context.hub.store.locked_repo(context.repo) as repo:
        wanted = body.get("pullRequest") is True
        item = Discussions(repo).create(context.user, title, text, wanted)
    return json_response({"num": item["num"], "url": url_of(context, item), "pullRequest": wanted})


def url_of(context: Context, item: Item) -> str:
    """The address of a discussion."""
    return context.hub.url(context.repo.key, "discussions", str(item["num"]))


def details(context: Context) -> Response:
    """Tells everything of one discussion."""
    found = Discussions(context.repo)
    item = found.get(context.params["num"])
    shown = _summary(context, item) | {"events": item["events"]}
    if item["isPullRequest"]:
        merged = {"mergeCommitId": item["mergeCommitId"]} if item["mergeCommitId"] else {}
        shown["changes"] = {"base": "refs/heads/main", **merged}
        shown["filesWithConflicts"] = item["status"] in ("open", "draft") and found.conflicts(item)
        if context.flag("diff"):
            shown["diff"] = found.diff(item)
    return json_response(shown)


def comment(context: Context) -> Response:
    """Adds a comment."""
    text = check_text(context.body.get("comment"), "comment", MAX_TEXT)
    with context.hub.store.locked_repo(context.repo) as repo:
        found = Discussions(repo)
        event = add_event(found.get(context.params["num"]), context.user, "comment", comment_data(text))
        found.save()
    return json_response({"newMessage": event})


def title(context: Context) -> Response:
    """Renames a discussion."""
    text = check_text(context.body.get("title"), "title", MAX_TITLE, 3)
    with context.hub.store.locked_repo(context.repo) as repo:
        found = Discussions(repo)
        item = found.get(context.params["num"])
        event = add_event(item, context.user, "title-change", {"from": item["title"], "to": text})
        item["title"] = text
        found.save()
    return json_response({"newTitle": event})


def status(context: Context) -> Response:
    """Opens or closes a discussion; a draft is opened before it can be merged."""
    wanted = context.body.get("status")
    if wanted not in ("open", "closed"):
        raise bad_request(f"Unknown status {wanted!r}: use open or closed")
    with context.hub.store.locked_repo(context.repo) as repo:
        found = Discussions(repo)
        item = found.get(context.params["num"])
        if item["status"] == "merged":
            raise bad_request(f"The pull request {item['num']} is merged")
        _say(context, item)
        event = found.set_status(item, context.user, wanted)
    return json_response({"newStatus": event})


def merge(context: Context) -> Response:
    """Merges a pull request."""
    with context.hub.store.locked_repo(context.repo) as repo:
        found = Discussions(repo)
        item = found.get(context.params["num"])
        _say(context, item)
        found.merge(item, context.user)
    return json_response({"mergeCommitId": item["mergeCommitId"]})


def _say(context: Context, item: Item) -> None:
    """Adds the comment that comes along with a change."""
    if context.body.get("comment"):
        add_event(item, context.user, "comment", comment_data(check_text(context.body["comment"], "comment", MAX_TEXT)))


_DISCUSSIONS = "/api/{type}/{ns}/{name}/discussions"

ROUTES = [
    Route("GET", _DISCUSSIONS, listing),
    Route("POST", _DISCUSSIONS, create, access="write", body="json"),
    Route("GET", f"{_DISCUSSIONS}/{{num}}", details),
    Route("POST", f"{_DISCUSSIONS}/{{num}}/comment", comment, access="write", body="json"),
    Route("POST", f"{_DISCUSSIONS}/{{num}}/title", title, access="write", body="json"),
    Route("POST", f"{_DISCUSSIONS}/{{num}}/status", status, access="write", body="json"),
    Route("POST", f"{_DISCUSSIONS}/{{num}}/merge", merge, access="write", body="json"),
]
