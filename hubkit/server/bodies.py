"""Reading request bodies: bounded, and on disk where they can be large."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from anyio import move_on_after, to_thread
from starlette.requests import ClientDisconnect, Request

from hubkit.server.context import Context
from hubkit.server.errors import bad_request, too_large

MAX_JSON_BYTES = 16 << 20
MAX_COMMIT_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20

# So much of an unwanted body is read and thrown away, so that the client gets to see the answer.
MAX_DRAIN_BYTES = 64 << 20
_DRAIN_SECONDS = 30


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yields the body in pieces large enough to be worth a thread each."""
    buffer = bytearray()
    async for piece in request.stream():
        buffer += piece
        if len(buffer) >= _CHUNK_BYTES:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)


def announced_length(request: Request) -> int | None:
    """The Content-Length of a request, if it has one."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _check_length(request: Request, limit: int) -> None:
    length = announced_length(request)
    if length is not None and length > limit:
        raise too_large(f"The body has {length} bytes; at most {limit} are accepted here")


async def read_small(request: Request, limit: int = MAX_JSON_BYTES) -> bytes:
    """Reads a body into memory.

    Raises:
        ApiError: 413 when it is too large.
    """
    _check_length(request, limit)
    body = bytearray()
    async for chunk in chunks(request):
        body += chunk
        if len(body) > limit:
            raise too_large(f"The body is larger than the {limit} bytes that are accepted here")
    return bytes(body)


async def read_json(request: Request) -> dict[str, Any]:
    """Reads a JSON object; an empty body counts as an empty object.

    Raises:
        ApiError: 400 when it is anything else.
    """
    body = await read_small(request)
    if not body.strip():
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("The body is not valid JSON") from None
    if not isinstance(value, dict):
        raise bad_request("The body must be a JSON object")
    return value


async def read_form(request: Request) -> dict[str, list[str]]:
    """Reads a form, or a JSON object of texts and lists of texts.

    Raises:
        ApiError: 400 when it is anything else.
    """
    if "json" in request.headers.get("content-type", ""):
        members = (await read_json(request)).items()
        return {key: [str(part) for part in (item if isinstance(item, list) else [item])] for key, item in members}
    form: dict[str, list[str]] = {}
    try:
        for key, item in parse_qsl((await read_small(request)).decode(), keep_blank_values=True, errors="strict"):
            form.setdefault(key, []).append(item)
    except ValueError:
        raise bad_request("The body is not a valid form") from None
    return form


async def spool(context: Context, limit: int = MAX_COMMIT_BYTES) -> tuple[BinaryIO, int]:
    """Reads a body to a temporary file of the hub.

    Returns:
        The file, at its beginning, and how many lines it has. The caller closes it.

    Raises:
        ApiError: 413 when it is too large.
    """
    _check_length(context.request, limit)
    # Unnamed: nothing remains of it, even after a kill.
    file: BinaryIO = tempfile.TemporaryFile(dir=context.hub.store.temporary)  # type: ignore[assignment]  # noqa: SIM115
    try:
        size = lines = 0
        async for chunk in chunks(context.request):
            size += len(chunk)
            lines += chunk.count(b"\n")
            if size > limit:
                raise too_large(f"The body is larger than the {limit} bytes that are accepted here")
            await to_thread.run_sync(file.write, chunk)
        await to_thread.run_sync(file.seek, 0)
    except BaseException:
        file.close()
        raise
    return file, lines + 1


async def drain(request: Request, limit: int = MAX_DRAIN_BYTES) -> None:
    """Throws away what is left of a body: a client that is cut off while it sends never reads why."""
    if (announced_length(request) or 0) > limit:
        return  # it will be cut off in any case
    size = 0
    # A body that was read to its end raises RuntimeError here.
    with contextlib.suppress(ClientDisconnect, RuntimeError), move_on_after(_DRAIN_SECONDS):
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                return
