"""Stored bytes to the bytes that they stand for: plain, gzip, zstd, xz or bzip2, told by content and not by name."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from hubkit.reading import zstd
from hubkit.reading.chunks import coalesced, headed, sliced
from hubkit.reading.record import Fault
from hubkit.reading.signatures import HEAD_BYTES, compression_of, refusal

CHUNK_BYTES = 2**20
"""So much comes out at once, however well it was compressed."""
SLICE_BYTES = 2**16
"""So much goes in at once."""


def plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the decompressed bytes of a file in chunks of about `CHUNK_BYTES`.

    Raises:
        Fault: It is cut short, damaged, followed by other bytes, or something else than text under the compression.
    """
    head, chunks = headed(chunks, HEAD_BYTES)
    name = compression_of(head)
    if name:
        chunks = coalesced(_DECODERS[name](chunks), CHUNK_BYTES)
        head, chunks = headed(chunks, HEAD_BYTES)
    why = refusal(head)
    twice = compression_of(head) if name else None
    if twice:
        why = f"compressed twice: {twice} within {name}; decompress it once"
    if why:
        raise Fault(why, raw=head)
    yield from chunks


class _Stream(Protocol):
    """A decompressor of the standard library, at one stream of a file that may hold several."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Gzip:
    """zlib with the interface of lzma and bz2, and one step back in memory for the case of damage."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        data = self._zlib.unconsumed_tail + data
        before = self._zlib.copy()
        try:
            expanded = self._zlib.decompress(data, max_length)
        except zlib.error as error:
            raise Fault(f"damaged: {error}", salvaged=_salvaged(before, data)) from None
        self.needs_input = len(expanded) < max_length
        return expanded


def _salvaged(stream: Any, data: bytes) -> bytes:
    """Return what comes out before the damage; zlib itself drops what it had in hand when it met that."""
    expanded = []
    try:
        for byte in data:
            expanded.append(stream.decompress(bytes((byte,))))
    except zlib.error:
        pass
    return b"".join(expanded)


def _decoder(name: str, magic: bytes, new: Callable[[], _Stream]) -> Callable[[Iterator[bytes]], Iterator[bytes]]:
    def expanded(chunks: Iterator[bytes]) -> Iterator[bytes]:
        stream = new()
        for piece in sliced(chunks, SLICE_BYTES):
            data = piece
            while data:
                if stream.eof:  # between two streams, where padding with zeros is allowed
                    data = data.lstrip(b"\0")
                    if not data.startswith(magic[: len(data)]):
                        raise Fault(f"trailing bytes: something else follows the {name} data", raw=data, cut=False)
                    stream = new() if data else stream
                if data:
                    yield from _drained(stream, data)
                    data = stream.unused_data
        if not stream.eof:
            raise Fault(f"cut short: the {name} data end before their end; fetch the file again")

    return expanded


def _drained(stream: _Stream, data: bytes) -> Iterator[bytes]:
    """Yield what a decompressor makes of some input."""
    try:
        yield stream.decompress(data, CHUNK_BYTES)
        while not stream.needs_input and not stream.eof:
            yield stream.decompress(b"", CHUNK_BYTES)
    except Fault as fault:
        yield fault.salvaged
        raise
    except (lzma.LZMAError, OSError) as error:
        raise Fault(f"damaged: {error}") from None


_DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "gzip": _decoder("gzip", b"\x1f\x8b", _Gzip),
    "xz": _decoder("xz", b"\xfd7zXZ\x00", lzma.LZMADecompressor),
    "bzip2": _decoder("bzip2", b"BZh", bz2.BZ2Decompressor),
    "zstd": zstd.expanded,
}
