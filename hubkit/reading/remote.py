"""Addresses that fsspec follows: buckets, the Hub, web servers. Files on a disk need none of this."""

from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from hubkit.errors import UserError

BLOCK_BYTES = 2**23
"""How much is asked of a server at once."""

_EXTRAS = {"s3": "s3", "s3a": "s3"}
_VERSIONS = ("ETag", "etag", "blob_id", "checksum", "md5Hash", "content_md5", "Content-MD5")
_TIMES = ("LastModified", "Last-Modified", "last_modified", "updated", "mtime", "modified", "created")


class Remote(NamedTuple):
    """A file on a server."""

    url: str
    bytes: int | None
    stamp: str


def is_remote(pattern: str) -> bool:
    """Return whether a pattern is an address, and not a path."""
    return "://" in pattern


def open_remote(url: str) -> IO[bytes]:
    """Open an address for reading from start to end."""
    system, path = _system(url)
    return system.open(path, "rb", block_size=BLOCK_BYTES, cache_type="readahead")


def find_remote(pattern: str) -> Iterator[tuple[Remote, bool]]:
    """Yield the files that an address, a glob or a folder leads to, and whether a folder led to them.

    Raises:
        UserError: The protocol is unknown, or the server refuses or can't be reached.
    """
    system, path = _system(pattern)
    try:
        system.invalidate_cache()  # what was there when this process asked last tells nothing about now
        if any(sign in path for sign in "*?["):
            found, in_folder = system.glob(path, detail=True), False
        else:
            info = system.info(path)
            in_folder = info["type"] == "directory"
            found = system.find(path, detail=True) if in_folder else {path: info}
    except Exception as error:  # each file system has its own
        if _is_missing(error):
            return
        error = error.__cause__ or error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"files: can't look for {pattern}: {reason}; check the address and the access to it") from error
    for name, info in found.items():
        if info["type"] == "file":
            yield Remote(system.unstrip_protocol(name), info.get("size"), _stamp(info)), in_folder


def _is_missing(error: Exception) -> bool:
    """Return whether there is no such file; that of the web says so of whatever failed, and only the cause tells."""
    status = getattr(error.__cause__, "status", None)
    if "ClientError" in {kind.__name__ for kind in type(error.__cause__).__mro__}:  # of aiohttp
        return status in (404, 410)
    return isinstance(error, FileNotFoundError)


def _stamp(info: dict[str, Any]) -> str:
    """Return what identifies this version of a file: its size, and its tag if there is one, else its time."""
    known = [str(info[key]) for key in _VERSIONS if info.get(key)] or [str(info[key]) for key in _TIMES if key in info]
    return " ".join([str(info.get("size")), *known[:1]])


def _system(url: str) -> tuple[Any, str]:
    import fsspec

    protocol = url.partition("://")[0]
    try:
        return fsspec.url_to_fs(url)
    except ImportError as error:
        extra = _EXTRAS.get(protocol)
        mend = f"pip install 'hubkit[{extra}]'" if extra else f"install what it needs ({error})"
        raise UserError(f"files: {url}: {protocol}:// can't be read here; {mend}") from None
    except ValueError as error:
        raise UserError(f"files: {url}: {error}; use a path, s3://, hf:// or https://") from None
