"""Endpoints for whole repositories: make, delete, rename, configure, describe, list."""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from hubkit.server import metadata, refs
from hubkit.server.context import Context, json_response
from hubkit.server.errors import ApiError, bad_request, repo_not_found
from hubkit.server.paths import RepoKey, check_repo
from hubkit.server.routing import Route
from hubkit.server.store import Repo

PAGE_SIZE = 1000
_SORT_KEYS = {"createdAt": "createdAt", "lastModified": "lastModified"}
_TYPES = {"model": "models", "dataset": "datasets", "space": "spaces"}


def _type(body: dict[str, Any]) -> str:
    type_ = body.get("type") or "model"
    if not isinstance(type_, str) or type_ not in _TYPES:
        raise bad_request(f"Unknown repository type {type_!r}: this hub has model, dataset and space")
    return _TYPES[type_]


def _named(context: Context) -> RepoKey:
    body = context.body
    name, namespace = body.get("name"), body.get("organization") or context.user
    if isinstance(name, str) and "/" in name and not body.get("organization"):
        namespace, _, name = name.partition("/")
    if not isinstance(name, str) or not isinstance(namespace, str):
        raise bad_request("'name' and 'organization' must be texts")
    return check_repo(_type(body), namespace, name)


def _private(body: dict[str, Any], default: bool) -> bool:
    if "visibility" in body:
        if body["visibility"] not in ("public", "private", "protected"):
            raise bad_request(f"Unknown visibility {body['visibility']!r}: use public or private")
        return body["visibility"] != "public"
    private = body.get("private", default)
    if not isinstance(private, bool):
        raise bad_request(f"'private' must be true or false, not {private!r}")
    return private


def create(context: Context) -> Response:
    """Makes a repository with an initial commit; 409 (with its URL, which clients read) when it exists."""
    key = _named(context)
    url = context.hub.url(key)
    sdk = context.body.get("sdk")
    if key.type == "spaces" and sdk not in ("gradio", "streamlit", "docker", "static"):
        raise bad_request(f"Unknown Space SDK {sdk!r}: use gradio, streamlit, docker or static")
    try:
        repo = context.hub.store.create(key, context.user, _private(context.body, False), sdk)
    except ApiError as error:
        error.body["url"] = url
        raise
    return json_response({"url": url, "name": key.id, "id": repo.meta.uid})


def _existing(context: Context, key: RepoKey) -> Repo:
    repo = context.hub.store.get(key)
    if repo is None:
        raise repo_not_found(anonymous=False)
    return repo


def delete(context: Context) -> Response:
    """Removes a repository."""
    context.hub.store.delete(_existing(context, _named(context)))
    return json_response({})


def move(context: Context) -> Response:
    """Renames a repository."""
    type_ = _type(context.body)
    keys = []
    for field in ("fromRepo", "toRepo"):
        namespace, slash, name = str(context.body.get(field, "")).partition("/")
        if not slash:
            raise bad_request(f"{field!r} must be namespace/name")
        keys.append(check_repo(type_, namespace, name))
    context.hub.store.move(_existing(context, keys[0]), keys[1])
    return json_response({"url": context.hub.url(keys[1])})


def settings(context: Context) -> Response:
    """Changes who may see a repository."""
    body, repo = context.body, context.repo
    changes: dict[str, bool | str] = {}
    if "visibility" in body or "private" in body:
        changes["private"] = _private(body, repo.meta.private)
    if "gated" in body:
        if body["gated"] not in ("auto", "manual", False):
            raise bad_request(f"Unknown value {body['gated']!r} for 'gated': use 'auto', 'manual' or false")
        changes["gated"] = body["gated"]
    with context.hub.store.locked_repo(repo) as current:
        current.update(**changes)
        return json_response({"private": current.meta.private, "gated": current.meta.gated})


def describe(context: Context) -> Response:
    """Describes a revision of a repository."""
    commit = refs.resolve(context.repo.git, context.params.get("rev", refs.DEFAULT_BRANCH))
    return json_response(metadata.info(context.repo, commit, context.flag("blobs"), context.expand()))


def auth_check(context: Context) -> Response:
    """Answers 200: whoever gets here has passed the check."""
    return json_response({})


def no_namespace(context: Context) -> Response:
    """Refuses names of the real Hub's early days, such as `gpt2`: here every repository has a namespace."""
    raise repo_not_found(context.identity is None)


def listing(context: Context) -> Response:
    """Lists the repositories of a type that the asker may see: filtered, sorted, in pages."""
    type_ = context.params["type"]
    query, expand = context.query, context.expand()
    full = context.flag("full")
    wants = set(expand) | ({"cardData"} if context.flag("cardData") else set())
    wants |= {"config"} if context.flag("config") else set()
    sort = query.get("sort") or "createdAt"
    rows = []
    for repo in context.hub.store.all(type_):
        visible = context.identity is not None or not repo.meta.private
        if visible and _fits_name(context, repo):
            row = _summary(repo, full, wants)
            if row is not None and _fits_tags(context, row):
                # Downloads and likes are not counted here, so the newest comes first for them too.
                rows.append((str(row[_SORT_KEYS.get(sort, "createdAt")]), row["id"], row))
    rows.sort(key=lambda row: row[:2], reverse=query.get("direction") != "1")
    page, following = _page(context, rows)
    headers = {"Link": following} if following else None
    return json_response([metadata.select(row, expand) for row in page], headers)


def _summary(repo: Repo, full: bool, wants: set[str]) -> dict[str, Any] | None:
    try:
        return metadata.summary(repo, full, wants)
    except (ApiError, KeyError, OSError):
        return None  # deleted while the list was made


def _fits_name(context: Context, repo: Repo) -> bool:
    author = context.query.get("author")
    texts = [text.lower() for text in context.query.getlist("search")]
    return author in (None, "", repo.key.namespace) and all(text in repo.key.id.lower() for text in texts)


def _fits_tags(context: Context, row: dict[str, Any]) -> bool:
    query = context.query
    wanted = [tag for value in query.getlist("filter") for tag in value.split(",")]
    if query.get("pipeline_tag"):
        wanted.append(query["pipeline_tag"])
    if not set(wanted) <= set(row["tags"]):
        return False
    if context.flag("gated") and not row["gated"]:
        return False
    # Spaces name what they use in their card.
    return all(set(query.getlist(key)) <= set(row.get(key) or []) for key in ("models", "datasets") if key in query)


def _page(context: Context, rows: list[tuple[str, str, Any]]) -> tuple[list[Any], str | None]:
    """Cuts out one page. The cursor names the last row that was seen, so nothing is skipped when others come or go."""
    limit = context.number("limit", PAGE_SIZE, PAGE_SIZE)
    cursor = context.query.get("cursor")
    if cursor:
        seen = _read_cursor(cursor)
        rising = context.query.get("direction") == "1"
        rows = [row for row in rows if (row[:2] > seen if rising else row[:2] < seen)]
    page = rows[:limit]
    if len(rows) <= limit:
        return [row for *_, row in page], None
    token = base64.urlsafe_b64encode(json.dumps(page[-1][:2]).encode()).decode()
    return [row for *_, row in page], next_link(context, {"cursor": token})


def _read_cursor(text: str) -> tuple[str, str]:
    try:
        sort_key, id_ = json.loads(base64.urlsafe_b64decode(text))
        return str(sort_key), str(id_)
    except (ValueError, TypeError, RecursionError):
        raise bad_request("The cursor is not one that this hub handed out") from None


def next_link(context: Context, changes: dict[str, str]) -> str:
    """The `Link` header that leads to the next page: the same question with some parameters changed."""
    items = [(key, value) for key, value in context.query.multi_items() if key not in changes]
    path = context.request.scope["raw_path"].decode("ascii", "replace")
    return f'<{context.hub.base_url}{path}?{urlencode([*items, *changes.items()])}>; rel="next"'


ROUTES = [
    Route("POST", "/api/repos/create", create, access="create", body="json"),
    Route("DELETE", "/api/repos/delete", delete, access="create", body="json"),
    Route("POST", "/api/repos/move", move, access="create", body="json"),
    Route("PUT", "/api/{type}/{ns}/{name}/settings", settings, access="write", body="json"),
    Route("GET", "/api/{type}", listing, access="open"),
    Route("GET", "/api/{type}/{ns}/{name}", describe),
    Route("GET", "/api/{type}/{ns}/{name}/revision/{rev}", describe),
    Route("GET", "/api/{type}/{ns}/{name}/auth-check", auth_check),
    Route("GET", "/api/{type}/{ns}/{name}/auth-check/write", auth_check, access="write"),
]

# These would fit too much: they come after all others.
LATE_ROUTES = [
    Route("GET", "/api/{type}/{name}", no_namespace, access="open"),
    Route("GET", "/api/{type}/{name}/revision/{rev}", no_namespace, access="open"),
    Route("GET", "/api/{type}/{name}/tree/{path*}", no_namespace, access="open"),
    Route("GET", "/{at}/{name}/resolve/{rev}/{path*}", no_namespace, access="open"),
]
