"""The ASGI application: who may talk to the server at all, which handler answers, and what an error looks like."""

from __future__ import annotations

import inspect
import logging
import re
from typing import Any
from urllib.parse import urlsplit

import pygit2
from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hubkit.server import (
    html,
    pages,
    routes_account,
    routes_commit,
    routes_discussions,
    routes_files,
    routes_git,
    routes_lfs,
    routes_repos,
    routes_tree,
)
from hubkit.server.bodies import MAX_DRAIN_BYTES, drain, read_form, read_json
from hubkit.server.context import Context, Hub, authenticate, authorise
from hubkit.server.errors import ApiError, disk_full, is_disk_full
from hubkit.server.routing import Route, Router

logger = logging.getLogger("hubkit.server")

ROUTES: list[Route] = [
    *routes_account.ROUTES,
    *routes_repos.ROUTES,
    *routes_tree.ROUTES,
    *routes_commit.ROUTES,
    *routes_discussions.ROUTES,
    *routes_lfs.ROUTES,
    *routes_files.ROUTES,
    *routes_git.ROUTES,
    *pages.ROUTES,
    *routes_repos.LATE_ROUTES,
]

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")

# Writers may wait for a repository's lock; they must not use up the threads that readers need.
_MAX_WRITERS = 16


class HubApp:
    """The application for one hub.

    Args:
        hub: What it serves.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._router = Router(ROUTES)
        self._hosts = allowed_hosts(hub.base_url)
        self._writers: CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        context = Context(self._hub, request, {})
        route: Route | None = None
        try:
            self._check_origin(request)
            route, context.params = self._router.match(request.method, scope["raw_path"])
            response = await self._answer(route, context)
        except ClientDisconnect:
            return
        except Exception as error:
            await drain(request, max(context.drain_bytes, MAX_DRAIN_BYTES))
            response = _error_response(as_api_error(error, request), request, route)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        await response(scope, receive, send)

    def _check_origin(self, request: Request) -> None:
        # A web site can make a browser send requests here, under the site's own name (DNS rebinding) or from its pages.
        host = request.headers.get("host", "").lower()
        if host not in self._hosts:
            raise ApiError(421, f"This hub answers to {', '.join(sorted(self._hosts))} only")
        origin = request.headers.get("origin")
        if origin and request.method not in ("GET", "HEAD"):
            parts = urlsplit(origin)
            if parts.scheme != "http" or parts.netloc.lower() not in self._hosts:
                raise ApiError(403, "Requests from pages of other sites are refused")

    async def _answer(self, route: Route, context: Context) -> Response:
        await to_thread.run_sync(_admit, context, route)
        if route.body == "json":
            context.body = await read_json(context.request)
        elif route.body == "form":
            context.body = await read_form(context.request)
        if inspect.iscoroutinefunction(route.handler):
            return await route.handler(context)
        limiter = self._limiter() if route.access in ("write", "create") else None
        return await to_thread.run_sync(route.handler, context, limiter=limiter)

    def _limiter(self) -> CapacityLimiter:
        # It belongs to a running event loop, so it cannot be made earlier.
        if self._writers is None:
            self._writers = CapacityLimiter(_MAX_WRITERS)
        return self._writers


def allowed_hosts(base_url: str) -> frozenset[str]:
    """The Host headers that a server at this URL answers to."""
    parts = urlsplit(base_url)
    names = {*_LOCAL_NAMES, parts.netloc.rpartition(":")[0].lower()}
    hosts = {f"{name}:{parts.port}" for name in names}
    return frozenset(hosts | names if parts.port == 80 else hosts)


def _admit(context: Context, route: Route) -> None:
    context.identity = authenticate(context.hub, context.request)
    authorise(context, route)


def as_api_error(error: Exception, request: Request) -> ApiError:
    """Turns any exception into an answer; the unforeseen is logged, without headers and query: they hold secrets."""
    if isinstance(error, ApiError):
        return error
    if is_disk_full(error):
        logger.error("The disk is full: %s", _shown(request))
        return disk_full()
    if isinstance(error, (FileNotFoundError, pygit2.GitError, KeyError)) and _vanished(request):
        return ApiError(409, "The repository was moved or deleted meanwhile")
    logger.error("Failed: %s", _shown(request), exc_info=error)
    return ApiError(500, "The hub failed to answer: see its log")


def _shown(request: Request) -> str:
    return f"{request.method} {request.scope['raw_path'].decode('ascii', 'backslashreplace')}"


def _vanished(request: Request) -> bool:
    context_repo = request.scope.get("hubkit.repo_path")
    return context_repo is not None and not context_repo.exists()


def _error_response(error: ApiError, request: Request, route: Route | None) -> Response:
    # A header is one line of ASCII; the message may quote anything that a client sent.
    line = re.sub(r"[^ -~]+", " ", error.message.encode("ascii", "backslashreplace").decode())
    headers = {"X-Error-Message": line[:1000].strip(), **error.headers}
    if error.code:
        headers["X-Error-Code"] = error.code
    is_git = route is not None and route.is_git
    if error.status == 401 and (is_git or "text/html" in request.headers.get("accept", "")):
        # Browsers and git ask their user; any name will do, the token is the password.
        headers["WWW-Authenticate"] = 'Basic realm="hubkit hub: the password is a token", charset="UTF-8"'
    if route is not None and route.is_page:
        parts = [html.tag("h1", html.text(error.status)), html.tag("p", html.text(error.message))]
        return html.page(str(error.status), *parts, status=error.status, headers=headers)
    body: dict[str, Any] = {"error": error.message, **error.body}
    return JSONResponse(body, status_code=error.status, headers=headers)
