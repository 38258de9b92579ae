"""Spans of a big file of lines, which are read apart from each other, so that several processes share it.

Only plain files on a disk are cut, and only where each record is a line of UTF-8: elsewhere nobody can tell where a
record begins without reading everything before it. A record belongs to the span in which its first byte lies.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from hubkit.reading.chunks import headed
from hubkit.reading.encoding import unix_lines, utf8
from hubkit.reading.form import Form
from hubkit.reading.layout import HEAD_BYTES, layout
from hubkit.reading.record import Fault
from hubkit.reading.remote import is_remote
from hubkit.reading.signatures import compression_of, refusal
from hubkit.reading.sources import Found
from hubkit.reading.splitting import Lines
from hubkit.reading.stored import stored

SPAN_BYTES = 2**26
"""A span has at least so many bytes, and a file less than twice as long is not cut."""
MOST_SPANS = 256


class Span(NamedTuple):
    """Bytes of a file, from `start` to `stop` (exclusive)."""

    start: int
    stop: int


def spans_of(source: Found, form: Form) -> list[Span]:
    """Return the spans into which a source may be cut, in order; none where it must be read in one go.

    Raises:
        UserError: It can't be read.
    """
    size = source.bytes or 0
    count = min(size // SPAN_BYTES, MOST_SPANS)
    if count < 2 or source.parts or is_remote(source.url) or not _is_of_lines(source, form):
        return []
    cuts = [size * number // count for number in range(count + 1)]
    return [Span(start, stop) for start, stop in pairwise(cuts)]


def _is_of_lines(source: Found, form: Form) -> bool:
    """Return whether a plain file's beginning says that each of its records is a line of UTF-8."""
    head, chunks = headed(stored(source), HEAD_BYTES)
    if compression_of(head) or refusal(head):
        return False
    encoding, text = utf8(chunks, form.encoding)
    head, _ = headed(unix_lines(text), HEAD_BYTES)
    try:
        return encoding == "utf-8" and type(layout(head[:HEAD_BYTES], source.name, form, encoding)[0]) is Lines
    except Fault:
        return False


def lines_within(source: Found, span: Span) -> Iterator[bytes]:
    """Yield the bytes of the lines that begin in a span, in chunks; the last may end behind it.

    Raises:
        UserError: The file can't be read.
    """
    at = max(span.start - 1, 0)  # whether a line begins with the span, the byte before it tells
    begun = span.start == 0
    for chunk in stored(source, start=at):
        first = 0 if begun else chunk.find(b"\n") + 1
        begun = begun or first > 0
        reached = at + len(chunk) >= span.stop
        last = chunk.find(b"\n", max(span.stop - 1 - at, 0)) + 1 if reached else 0
        lines = chunk[first : last or None] if begun else b""
        if lines:
            yield lines
        if last or (reached and not begun):
            return
        at += len(chunk)
