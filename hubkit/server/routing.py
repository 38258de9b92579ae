"""Finds the handler of a request by its raw path.

Clients send branch names as one segment with `%2F` inside; a path that is decoded before it is split loses where the
name ends. So the path is split first, and each segment decoded by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

from hubkit.server.errors import ApiError, bad_request
from hubkit.server.paths import RESERVED_NAMESPACES

Access = Literal["open", "account", "read", "write", "create"]
BodyKind = Literal["none", "json", "form", "stream"]

_TYPES = ("models", "datasets", "spaces")


@dataclass(frozen=True)
class Route:
    """One endpoint.

    Attributes:
        method: The HTTP method; `GET` answers `HEAD` too.
        pattern: The path. `{type}` is `models`, `datasets` or `spaces`; `{at}` is what stands before a repository in
            URLs of pages and files (nothing for models); `{path*}` is the rest; any other `{name}` is one segment.
        handler: Takes a `Context` and returns a response. A plain function runs in a thread, a coroutine in the loop.
        access: What it takes: `open` nothing, `account` a valid token, `read` a visible repository, `write` a write
            token and a repository, `create` a write token.
        body: How the body is read before the handler runs.
        is_page: Whether people read it: then errors are pages too.
        is_git: Whether git reads it: it sends a token only when it is asked for one.
    """

    method: str
    pattern: str
    handler: Callable[[Any], Any]
    access: Access = "read"
    body: BodyKind = "none"
    is_page: bool = False
    is_git: bool = False


class Router:
    """All routes, ready to be searched.

    Args:
        routes: The endpoints; the first that fits wins.
    """

    def __init__(self, routes: list[Route]) -> None:
        self._routes = [(route, segments) for route in routes for segments in _expand(route.pattern)]

    def match(self, method: str, raw_path: bytes) -> tuple[Route, dict[str, str]]:
        """Finds the route of a request and the values in its path.

        Raises:
            ApiError: 404 when no path fits, 405 when none with this method does, 400 when the path cannot be decoded.
        """
        wanted = "GET" if method == "HEAD" else method
        segments = _split(raw_path)
        other_methods = set()
        for route, pattern in self._routes:
            values = _match(pattern, segments)
            if values is None:
                continue
            if route.method == wanted:
                return route, values
            other_methods.add(route.method)
        if other_methods:
            allowed = ", ".join(sorted(other_methods))
            raise ApiError(405, f"{method} is not possible here: use {allowed}", headers={"Allow": allowed})
        raise ApiError(404, "This hub has no such endpoint")


def _split(raw_path: bytes) -> list[str]:
    try:
        segments = [unquote_to_bytes(part).decode("utf-8", "strict") for part in raw_path.split(b"/")[1:]]
    except UnicodeDecodeError:
        raise bad_request("The path of the URL is not valid UTF-8") from None
    # A trailing slash means the same page.
    return segments[:-1] if segments and segments[-1] == "" else segments


def _expand(pattern: str) -> list[list[str]]:
    segments = [part for part in pattern.split("/") if part]
    if "{at}" not in segments:
        return [segments]
    index = segments.index("{at}")
    before, after = segments[:index], segments[index + 1 :]
    return [[*before, *prefix, *after] for prefix in ([], ["=datasets"], ["=spaces"])]


def _match(pattern: list[str], segments: list[str]) -> dict[str, str] | None:
    values: dict[str, str] = {"type": "models"}
    for index, part in enumerate(pattern):
        if part.endswith("*}"):
            values[part[1:-2]] = "/".join(segments[index:])
            return values
        if index >= len(segments) or not _match_segment(part, segments[index], values):
            return None
    return values if len(pattern) == len(segments) else None


def _match_segment(part: str, segment: str, values: dict[str, str]) -> bool:
    if part == "{type}":
        values["type"] = segment
        return segment in _TYPES
    if part.startswith("="):
        values["type"] = part[1:]
        return segment == part[1:]
    if not part.startswith("{"):
        return segment == part
    name, _, ending = part[1:].partition("}")
    if not segment.endswith(ending) or segment == ending or (name == "ns" and segment in RESERVED_NAMESPACES):
        return False
    values[name] = segment.removesuffix(ending) if ending else segment
    return True
