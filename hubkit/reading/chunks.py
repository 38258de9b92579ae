"""Small tools for iterators over bytes. A Fault passes through them only after all the bytes that came before it."""

from collections.abc import Iterator

from hubkit.reading.record import Fault


def headed(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, at least `size` of them unless there are no more, and an iterator over all."""
    held, fault, total = [], None, 0
    try:
        while total < size:
            held.append(next(chunks))
            total += len(held[-1])
    except StopIteration:
        pass
    except Fault as error:
        fault = error
    head = b"".join(held)

    def everything() -> Iterator[bytes]:
        if head:
            yield head
        if fault:
            raise fault
        yield from chunks

    return head, everything()


def coalesced(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in chunks of at least `size`, but for the last."""
    held: list[bytes] = []
    total = 0
    try:
        for chunk in chunks:
            held.append(chunk)
            total += len(chunk)
            if total >= size:
                yield b"".join(held)
                held, total = [], 0
    except Fault:
        if total:
            yield b"".join(held)
        raise
    if total:
        yield b"".join(held)


def sliced(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in chunks of at most `size`."""
    for chunk in chunks:
        for start in range(0, len(chunk), size):
            yield chunk[start : start + size]


class Feed:
    """Bytes on demand, from chunks."""

    def __init__(self, chunks: Iterator[bytes]):
        self._chunks = chunks
        self._chunk = b""
        self._start = 0

    def peek(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end, and leave them where they are."""
        while len(self._chunk) - self._start < size:
            more = next(self._chunks, None)
            if more is None:
                break
            self._chunk, self._start = self._chunk[self._start :] + more, 0
        return self._chunk[self._start : self._start + size]

    def take(self, size: int) -> bytes:
        """Return the next bytes, fewer only at the end."""
        taken = self.peek(size)
        self._start += len(taken)
        return taken

    def skip(self, size: int) -> bool:
        """Pass over bytes, in constant memory; return whether there were so many."""
        while size and (passed := self.take(min(size, 2**16))):
            size -= len(passed)
        return not size
