"""The bytes of a source as they are stored: from a disk, a bucket, a server, in one part or several."""

import hashlib
from collections.abc import Iterator

from hubkit.errors import UserError
from hubkit.reading.remote import is_remote, open_remote
from hubkit.reading.sources import Found

CHUNK_BYTES = 2**20


class Digest:
    """The sha256 of a source's stored bytes, all parts together, taken while they are read."""

    def __init__(self) -> None:
        self.bytes = 0
        """How many were read."""
        self.complete = False
        """Whether the end was reached; it isn't if whoever reads stops early."""
        self.lines = 0
        """How many lines end there, where a span was read; nothing else is known of that then."""
        self._sha256 = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """The digest in hex."""
        assert self.complete, "the source was not read to its end"
        return self._sha256.hexdigest()

    def update(self, chunk: bytes) -> None:
        """Take in the next bytes."""
        self.bytes += len(chunk)
        self._sha256.update(chunk)


def stored(source: Found, digest: Digest | None = None, start: int = 0) -> Iterator[bytes]:
    """Yield a source's bytes, part after part, in chunks of at most `CHUNK_BYTES`.

    Args:
        source: What to read.
        digest: Takes in the bytes.
        start: Where to begin in a single file on a disk.

    Raises:
        UserError: It can't be read: it is gone, or forbidden, or the network failed. (Of bytes that make no sense, the
            layers above tell; an error that may be another one tomorrow must not decide what a corpus holds.)
    """
    for url in source.parts or (source.url,):
        try:
            with open_remote(url) if is_remote(url) else open(url, "rb", buffering=0) as file:
                if start:
                    file.seek(start)
                while chunk := file.read(CHUNK_BYTES):
                    if digest:
                        digest.update(chunk)
                    yield chunk
        except OSError as error:
            raise UserError(f"can't read {url}: {error.strerror or error}") from error
        except Exception as error:
            # The clients of fsspec's file systems have exceptions of their own.
            if not is_remote(url):
                raise
            raise UserError(f"can't read {url}: {type(error).__name__}: {error}") from error
    if digest:
        digest.complete = True
