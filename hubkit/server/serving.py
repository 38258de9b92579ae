"""Sending file contents: conditional requests, byte ranges, and headers that keep browsers from running anything."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from anyio import to_thread
from starlette.responses import Response, StreamingResponse

from hubkit.server.context import Context
from hubkit.server.errors import ApiError

_CHUNK_BYTES = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Span(NamedTuple):
    """The bytes from `start` up to, not including, `end`."""

    start: int
    end: int


def parse_range(header: str | None, size: int) -> Span | None:
    """Reads a Range header.

    Returns:
        The bytes that are wanted, or None when the whole file shall be sent: without a header, and for several ranges
        or other units, which a server may ignore.

    Raises:
        ApiError: 416 when the file has no such bytes.
    """
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if not found or (not found[1] and not found[2]):
        return None
    if found[1]:
        start, end = int(found[1]), min(int(found[2]) + 1 if found[2] else size, size)
        if found[2] and int(found[2]) < start:
            return None
    else:
        start, end = max(0, size - int(found[2])), size
    if start >= size or start >= end:
        raise ApiError(416, f"The file has {size} bytes, not {header}", headers={"Content-Range": f"bytes */{size}"})
    return Span(start, end)


def safety_headers(file_name: str) -> dict[str, str]:
    """Headers under which a browser stores a file and never shows or runs it."""
    plain = re.sub(r"[^\w .,()+=@-]", "_", file_name, flags=re.ASCII)
    return {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file_name, safe='')}; filename=\"{plain}\";",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


class _Plan(NamedTuple):
    status: int
    span: Span
    headers: dict[str, str]


def _plan(context: Context, size: int, etag: str, headers: dict[str, str]) -> _Plan:
    quoted = f'"{etag}"'
    request = context.request.headers
    headers = {"ETag": quoted, "Accept-Ranges": "bytes", **headers}
    if quoted in [tag.strip().removeprefix("W/") for tag in request.get("if-none-match", "").split(",")]:
        return _Plan(304, Span(0, 0), headers)
    range_header = request.get("range")
    if request.get("if-range", quoted) != quoted:
        range_header = None
    span = parse_range(range_header, size)
    if span is None:
        return _Plan(200, Span(0, size), headers | {"Content-Length": str(size)})
    headers["Content-Range"] = f"bytes {span.start}-{span.end - 1}/{size}"
    headers["Content-Length"] = str(span.end - span.start)
    return _Plan(206, span, headers)


def serve_bytes(context: Context, data: bytes, etag: str, headers: dict[str, str], media_type: str) -> Response:
    """Answers with a small content."""
    plan = _plan(context, len(data), etag, headers)
    body = b"" if context.is_head else data[plan.span.start : plan.span.end]
    return Response(body, plan.status, plan.headers, media_type)


def serve_file(context: Context, path: Path, size: int, etag: str, headers: dict[str, str]) -> Response:
    """Answers with a content that may be large: read piece by piece."""
    plan = _plan(context, size, etag, headers)
    if context.is_head or plan.status == 304:
        return Response(None, plan.status, plan.headers, "application/octet-stream")
    return StreamingResponse(_pieces(path, plan.span), plan.status, plan.headers, "application/octet-stream")


async def _pieces(path: Path, span: Span) -> AsyncIterator[bytes]:
    file = await to_thread.run_sync(path.open, "rb")
    try:
        await to_thread.run_sync(file.seek, span.start)
        left = span.end - span.start
        while left > 0:
            piece = await to_thread.run_sync(file.read, min(left, _CHUNK_BYTES))
            if not piece:
                return
            left -= len(piece)
            yield piece
    finally:
        file.close()
