"""Reading with git itself: clone and fetch over its smart HTTP protocol, answered by the `git` program.

Pushing is refused: it would have to verify every pushed object first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import zlib
from collections.abc import AsyncIterator

from starlette.responses import Response, StreamingResponse

from hubkit.server.bodies import read_small
from hubkit.server.context import Context
from hubkit.server.errors import ApiError, bad_request, too_large
from hubkit.server.routes_lfs import refuse_gated
from hubkit.server.routing import Route

# What a client has and wants, as text: even large repositories need far less.
_MAX_REQUEST_BYTES = 32 << 20
_CHUNK_BYTES = 1 << 16
_HEADERS = {"Cache-Control": "no-cache, max-age=0, must-revalidate"}


async def advertise(context: Context) -> Response:
    """Tells git which branches and tags there are."""
    service = context.query.get("service", "")
    if service == "git-receive-pack":
        raise _no_push()
    if service != "git-upload-pack":
        raise ApiError(403, "This hub speaks the smart HTTP protocol only: update git")
    refuse_gated(context)
    process = await _upload_pack(context, "--advertise-refs")
    output, _ = await process.communicate()
    line = f"# service={service}\n"
    head = f"{len(line) + 4:04x}{line}0000".encode()
    return Response(head + output, headers=_HEADERS, media_type=f"application/x-{service}-advertisement")


async def upload_pack(context: Context) -> Response:
    """Sends what a clone or a fetch asks for."""
    refuse_gated(context)
    body = await read_small(context.request, _MAX_REQUEST_BYTES)
    if context.request.headers.get("content-encoding") == "gzip":
        body = _unzip(body)
    process = await _upload_pack(context)
    return StreamingResponse(
        _converse(process, body), headers=_HEADERS, media_type="application/x-git-upload-pack-result"
    )


def receive_pack(context: Context) -> Response:
    """Refuses a push."""
    raise _no_push()


def _no_push() -> ApiError:
    return ApiError(403, "This hub does not take pushes yet: use `hf upload`")


def _unzip(body: bytes) -> bytes:
    try:
        decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
        plain = decoder.decompress(body, _MAX_REQUEST_BYTES)
    except zlib.error:
        raise bad_request("The body is not valid gzip") from None
    if decoder.unconsumed_tail:
        raise too_large(f"The body unpacks to more than {_MAX_REQUEST_BYTES} bytes")
    return plain


async def _upload_pack(context: Context, *options: str) -> asyncio.subprocess.Process:
    git = shutil.which("git")
    if git is None:
        raise ApiError(
            501, "Cloning needs the program git on the computer of this hub: install it, or use `hf download`"
        )
    # Nobody's own configuration takes part.
    environment = {"PATH": os.environ.get("PATH", ""), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    protocol = context.request.headers.get("git-protocol", "")
    if re.fullmatch(r"version=\d", protocol):
        environment["GIT_PROTOCOL"] = protocol
    command = [git, "-c", "uploadpack.allowFilter=true", "upload-pack", "--strict", "--stateless-rpc", *options]
    return await asyncio.create_subprocess_exec(
        *command,
        str(context.repo.path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=environment,
    )


async def _converse(process: asyncio.subprocess.Process, body: bytes) -> AsyncIterator[bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        # Its questions fit into the pipe or are read while it answers: both directions must move at once.
        feeding = asyncio.create_task(_feed(process.stdin, body))
        while piece := await process.stdout.read(_CHUNK_BYTES):
            yield piece
        await feeding
        await process.wait()
    finally:
        # Whoever hangs up in the middle leaves no process behind.
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def _feed(stdin: asyncio.StreamWriter, body: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(body)
        await stdin.drain()
        stdin.close()


_REPOS = ("/{at}/{ns}/{name}.git", "/{at}/{ns}/{name}")

ROUTES = [
    route
    for repo in _REPOS
    for route in (
        Route("GET", f"{repo}/info/refs", advertise, is_git=True),
        Route("POST", f"{repo}/git-upload-pack", upload_pack, body="stream", is_git=True),
        Route("POST", f"{repo}/git-receive-pack", receive_pack, access="write", body="stream", is_git=True),
    )
]
