"""What a handler knows of its request: who asks, for which repository, with what body."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse

from hubkit.server.errors import BAD_TOKEN, NO_TOKEN, ApiError, repo_not_found
from hubkit.server.paths import RepoKey
from hubkit.server.routing import Access, Route
from hubkit.server.signing import Signer
from hubkit.server.store import Repo, Store
from hubkit.server.tokens import Identity, TokenStore


@dataclass(frozen=True)
class Hub:
    """Everything that outlives a request.

    Attributes:
        store: The repositories.
        tokens: Who may do what.
        signer: Signs the URLs of uploads.
        base_url: What every URL that is handed out begins with; never taken from a request.
        instance: A random id of this run of the server.
    """

    store: Store
    tokens: TokenStore
    signer: Signer
    base_url: str
    instance: str

    @classmethod
    def open(cls, root: Path, base_url: str, instance: str) -> Hub:
        """Opens the hub in a folder."""
        return cls(Store(root), TokenStore(root), Signer.of(root), base_url, instance)

    def url(self, key: RepoKey, *parts: str) -> str:
        """The URL of a repository, or of something below it (parts are quoted by the caller)."""
        return "/".join([self.base_url, key.url_path, *parts])


@dataclass
class Context:
    """One request.

    Attributes:
        hub: What outlives the request.
        request: The request itself.
        params: The values in its path.
        identity: Whose token came with it, if any.
        found: The repository that its path names, once it is established that the asker may see it.
        body: Its body, read as the route wants it.
        drain_bytes: How much of the body to read, at least, when the answer is an error.
    """

    hub: Hub
    request: Request
    params: dict[str, str]
    identity: Identity | None = None
    found: Repo | None = None
    body: Any = None
    drain_bytes: int = 0

    @property
    def repo(self) -> Repo:
        """The repository that the path names."""
        assert self.found is not None, "only routes with access 'read' or 'write' have a repository"
        return self.found

    @property
    def user(self) -> str:
        """The name of the user who asks; only for routes that need a token."""
        assert self.identity is not None, "only routes that need a token have a user"
        return self.identity.user

    @property
    def query(self) -> QueryParams:
        """The query string."""
        return self.request.query_params

    @property
    def is_head(self) -> bool:
        """Whether only the headers are wanted."""
        return self.request.method == "HEAD"

    def flag(self, name: str) -> bool:
        """A query parameter as a truth value, however a client spells it."""
        return self.query.get(name, "").lower() in ("1", "true", "yes")

    def expand(self) -> list[str]:
        """The properties asked for by `expand=…` or `expand[]=…`."""
        return [*self.query.getlist("expand"), *self.query.getlist("expand[]")]

    def number(self, name: str, default: int, highest: int) -> int:
        """A query parameter as a number from 1 to the highest."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
            raise ApiError(400, f"{name}={text!r} must be a number above 0")
        return min(int(text), highest)


def json_response(value: Any, headers: dict[str, str] | None = None) -> JSONResponse:
    """A JSON answer."""
    return JSONResponse(value, headers=headers)


def authenticate(hub: Hub, request: Request) -> Identity | None:
    """Finds out whose token a request carries.

    Returns:
        The token's owner, or None for a request without a token.

    Raises:
        ApiError: 401 for a token that this hub does not know.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, value = header.partition(" ")
    token = value.strip() if scheme.lower() == "bearer" else None
    # Browsers repeat Basic credentials by themselves, also for requests that another site makes them send.
    if scheme.lower() == "basic" and (request.method in ("GET", "HEAD") or _is_git(request)):
        token = _basic_password(value)
    identity = hub.tokens.identify(token) if token else None
    if identity is None:
        raise ApiError(401, BAD_TOKEN)
    return identity


def _is_git(request: Request) -> bool:
    return request.scope["raw_path"].endswith((b"/git-upload-pack", b"/git-receive-pack", b"/info/lfs/objects/batch"))


def _basic_password(value: str) -> str | None:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, ValueError):
        return None


def authorise(context: Context, route: Route) -> None:
    """Establishes that the asker may do what the route does, and finds the repository.

    Raises:
        ApiError: 401 without a token where one is needed, 404 for a repository that is missing, 403 for a read token
            where something would change. Private and missing repositories look the same.
    """
    access: Access = route.access
    identity = context.identity
    if access in ("read", "write"):
        key = RepoKey(context.params["type"], context.params.get("ns", ""), context.params["name"])
        repo = context.hub.store.get(key)
        if repo is None or (repo.meta.private and identity is None):
            raise repo_not_found(identity is None)
        context.found = repo
        context.request.scope["hubkit.repo_path"] = repo.path
    if access in ("open", "read"):
        return
    if identity is None:
        raise ApiError(401, NO_TOKEN)
    if access in ("write", "create") and not identity.may_write:
        raise ApiError(403, f"The token {identity.token_name!r} may only read: use one with the role 'write'")
