"""Zstandard, block by block (RFC 8878).

The library alone can't tell a file that is cut short from one that is complete, gives out as much as a few bytes may
stand for, and drops what it has in hand when it meets damage. Fed with one block after the other, of which none expands
to more than 128 KiB, it has none of these faults, and the walk over the blocks costs nothing beside their content.
"""

from collections.abc import Iterator

import zstandard

from hubkit.reading.chunks import Feed
from hubkit.reading.record import Fault

WINDOW_BYTES = 2**31
"""The longest window that is accepted, as much as `zstd --long=31` makes."""

_FRAME = b"\x28\xb5\x2f\xfd"
_DICTIONARY_BYTES = (0, 1, 2, 4)
_RUN, _RESERVED = 1, 3


def expanded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what the frames of a file hold; frames to be skipped and empty ones hold nothing.

    Raises:
        Fault: It is cut short, damaged, needs a dictionary or a longer window, or something else follows the frames.
    """
    feed = Feed(chunks)
    while magic := feed.peek(4):
        if magic == _FRAME:
            yield from _frame(feed)
        elif magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:
            size = int.from_bytes(_taken(feed, 8)[4:], "little")
            if not feed.skip(size):
                raise _cut()
        elif _FRAME.startswith(magic):
            raise _cut()
        else:
            raise Fault("trailing bytes: something else follows the zstd data", raw=feed.peek(1000), cut=False)


def _frame(feed: Feed) -> Iterator[bytes]:
    header, has_checksum = _header(feed)
    stream = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES).decompressobj()
    try:
        stream.decompress(header)
        last = 0
        while not last:
            start = feed.peek(3)
            last, kind, size = start[0] & 1 if start else 0, *_block(start)
            if kind == _RESERVED:
                raise Fault("damaged: a zstd block of no known kind")
            yield stream.decompress(_taken(feed, 3 + (1 if kind == _RUN else size)))
        if has_checksum:
            stream.decompress(_taken(feed, 4))
    except zstandard.ZstdError as error:
        raise Fault(f"damaged: {error}") from None


def _header(feed: Feed) -> tuple[bytes, bool]:
    """Return a frame's header, and whether a checksum follows its blocks."""
    descriptor = feed.peek(5)[4:]
    if not descriptor:
        raise _cut()
    flags = descriptor[0]
    single = flags >> 5 & 1
    size = (1 - single) + _DICTIONARY_BYTES[flags & 3] + (single, 2, 4, 8)[flags >> 6]
    return _taken(feed, 5 + size), bool(flags >> 2 & 1)


def _block(start: bytes) -> tuple[int, int]:
    """Return kind and size of the block that three bytes announce."""
    number = int.from_bytes(start, "little")
    return number >> 1 & 3, number >> 3


def _taken(feed: Feed, size: int) -> bytes:
    taken = feed.take(size)
    if len(taken) < size:
        raise _cut()
    return taken


def _cut() -> Fault:
    return Fault("cut short: the zstd data end before their end; fetch the file again")
