"""The LFS endpoints: ask where to upload or download, then do it through a signed URL."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.responses import JSONResponse, Response

from hubkit.server.bodies import announced_length, chunks
from hubkit.server.context import Context, json_response
from hubkit.server.errors import ApiError, bad_request, entry_not_found
from hubkit.server.lfs import Expected, Incoming, check_room
from hubkit.server.paths import check_oid
from hubkit.server.routing import Route
from hubkit.server.serving import serve_file
from hubkit.server.signing import LIFETIME_S
from hubkit.server.store import Repo

MEDIA_TYPE = "application/vnd.git-lfs+json"
MAX_OBJECTS = 1000


def batch(context: Context) -> Response:
    """Says for each object what to do: nothing for an upload that the repository has already."""
    operation, objects = context.body.get("operation"), context.body.get("objects")
    if operation not in ("upload", "download") or not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
        raise ApiError(422, f"A batch needs an 'operation' (upload or download) and at most {MAX_OBJECTS} 'objects'")
    if operation == "upload" and not (context.identity and context.identity.may_write):
        raise ApiError(403 if context.identity else 401, "Uploading needs a token with the role 'write'")
    if operation == "download":
        refuse_gated(context)
    if context.body.get("hash_algo", "sha256") != "sha256":
        raise ApiError(409, "This hub only knows sha256")
    transfers = context.body.get("transfers", ["basic"])
    if not isinstance(transfers, list) or "basic" not in transfers:
        raise ApiError(422, "This hub only knows the transfer 'basic'")
    answers = [_answer(context, operation, item) for item in objects]
    return JSONResponse({"transfer": "basic", "objects": answers, "hash_algo": "sha256"}, media_type=MEDIA_TYPE)


def _answer(context: Context, operation: str, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ApiError(422, "Each of 'objects' must have 'oid' and 'size'")
    oid, size = check_oid(item.get("oid")), item.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ApiError(422, f"The size of {oid} must be a number, not {size!r}")
    answer: dict[str, Any] = {"oid": oid, "size": size, "authenticated": True}
    try:
        actions = _upload(context, oid, size) if operation == "upload" else _download(context, oid)
    except ApiError as error:
        return {"oid": oid, "size": size, "error": {"code": error.status, "message": error.message}}
    return answer | ({"actions": actions} if actions else {})


def _upload(context: Context, oid: str, size: int) -> dict[str, Any] | None:
    existing = context.repo.lfs.size(oid)
    if existing is not None:
        if existing != size:
            raise ApiError(422, f"LFS object {oid} has {existing} bytes, not {size}")
        return None
    check_room(context.hub.store.temporary, size)
    query = context.hub.signer.query("PUT", context.repo.meta.uid, oid, size)
    href = _lfs_url(context, "objects", oid, str(size)) + f"?{query}"
    return {
        "upload": {"href": href, "expires_in": LIFETIME_S},
        "verify": {"href": _lfs_url(context, "verify")},
    }


def _download(context: Context, oid: str) -> dict[str, Any]:
    if context.repo.lfs.size(oid) is None:
        raise ApiError(404, f"This repository has no LFS object {oid}")
    query = context.hub.signer.query("GET", context.repo.meta.uid, oid)
    return {"download": {"href": _lfs_url(context, "objects", oid) + f"?{query}", "expires_in": LIFETIME_S}}


def _lfs_url(context: Context, *parts: str) -> str:
    key = context.repo.key
    return "/".join([f"{context.hub.base_url}/{key.url_path}.git/info/lfs", *parts])


def refuse_gated(context: Context) -> None:
    """Refuses files of a gated repository to those without a token.

    Raises:
        ApiError: 401 GatedRepo.
    """
    if context.repo.meta.gated and context.identity is None:
        message = f"Access to {context.repo.key.id} is restricted: log in with a token of this hub"
        raise ApiError(401, message, code="GatedRepo")


def verify(context: Context) -> Response:
    """Confirms that an upload has arrived; its content was verified then."""
    oid, size = check_oid(context.body.get("oid")), context.body.get("size")
    existing = context.repo.lfs.size(oid)
    if existing is None:
        raise ApiError(404, f"This repository has no LFS object {oid}")
    if size is not None and size != existing:
        raise ApiError(422, f"LFS object {oid} has {existing} bytes, not {size}")
    return json_response({})


def _signed_repo(context: Context, *parts: str | int) -> Repo:
    # The signature stands in for a token, so the route is open; it is bound to this very repository.
    from hubkit.server.paths import RepoKey

    params = context.params
    repo = context.hub.store.get(RepoKey(params["type"], params["ns"], params["name"]))
    method = "PUT" if context.request.method == "PUT" else "GET"
    uid = repo.meta.uid if repo else ""
    context.hub.signer.check(dict(context.query), method, uid, *parts)
    if repo is None:
        raise entry_not_found(params["oid"])
    return repo


async def upload(context: Context) -> Response:
    """Receives an object: streamed to disk, verified, synced, and only then given to the repository."""
    oid, size_text = check_oid(context.params["oid"]), context.params["size"]
    if not (size_text.isascii() and size_text.isdigit() and len(size_text) < 19):
        raise bad_request(f"Invalid size {size_text!r}")
    expected = Expected(oid, int(size_text))
    repo = await to_thread.run_sync(_signed_repo, context, expected.oid, expected.size)
    # From here on the body is wanted: if something fails, so much of it is read before the answer.
    context.drain_bytes = expected.size
    length = announced_length(context.request)
    if length is not None and length != expected.size:
        raise bad_request(f"The upload has {length} bytes; {expected.size} were announced")
    incoming = await to_thread.run_sync(Incoming, context.hub.store.temporary, expected)
    try:
        async for chunk in chunks(context.request):
            await to_thread.run_sync(incoming.write, chunk)
        await to_thread.run_sync(_adopt, context, repo, incoming, oid)
    finally:
        incoming.discard()
    return Response(status_code=200)


def _adopt(context: Context, repo: Repo, incoming: Incoming, oid: str) -> None:
    incoming.finish()
    with context.hub.store.locked_repo(repo) as current:
        current.lfs.adopt(incoming.path, oid)


def download(context: Context) -> Response:
    """Sends an object."""
    oid = check_oid(context.params["oid"])
    repo = _signed_repo(context, oid)
    size = repo.lfs.size(oid)
    if size is None:
        raise entry_not_found(oid)
    return serve_file(context, repo.lfs.path(oid), size, oid, {})


_LFS = "/{at}/{ns}/{name}.git/info/lfs"

ROUTES = [
    Route("POST", f"{_LFS}/objects/batch", batch, body="json"),
    Route("POST", f"{_LFS}/verify", verify, access="write", body="json"),
    Route("PUT", f"{_LFS}/objects/{{oid}}/{{size}}", upload, access="open", body="stream"),
    Route("GET", f"{_LFS}/objects/{{oid}}", download, access="open"),
]
