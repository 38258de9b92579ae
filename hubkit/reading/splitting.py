"""Where a record ends and the next begins: at line ends, at blank lines, or where a JSON value closes."""

from collections.abc import Callable, Iterator
from typing import ClassVar, NamedTuple

import numpy as np

from hubkit.reading.boundaries import (
    line_bounds,
    line_ends,
    paragraph_bounds,
    paragraph_ends,
    value_bounds,
    value_ends,
)
from hubkit.reading.record import RAW_BYTES, Fault


class Page(NamedTuple):
    """A piece of a source with whole records in it, and nothing between them."""

    data: bytes
    starts: np.ndarray
    """int64: where each record begins in the data, behind blank lines and commas."""
    stops: np.ndarray
    """int64: where each ends, without its line end."""
    lines: np.ndarray
    """int64: the line of each in the source, from 1."""
    next_line: int
    """The line on which the page ends."""
    too_long: bool = False
    """Whether these are only the first bytes of one record that is longer than allowed."""
    fault: Fault | None = None
    """What follows the page, which holds at most one record then; that may break off."""

    @classmethod
    def of_fault(cls, fault: Fault) -> "Page":
        """Return a page without records."""
        none = np.empty(0, np.int64)
        return cls(b"", none, none, none, 1, fault=fault)


class Lines:
    """Finds the ends of records in a text that comes in chunks of any size: a record is a line."""

    _bounds: ClassVar[Callable[..., tuple[np.ndarray, np.ndarray]]] = staticmethod(line_bounds)

    def ends(self, chunk: bytes) -> np.ndarray:
        """Return the offsets (int64) in the next chunk behind which no more of a record follows."""
        return _line_ends(chunk)

    def bounds(self, data: bytes, start: int, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return begin and end of what lies in `data` from `start` on, up to each of `ends`; blank ones left out."""
        return self._bounds(np.frombuffer(data, np.uint8), start, ends)

    def unfinished(self) -> str | None:
        """Return what is wrong with a text that stops here, if it can't."""
        return None


class Paragraphs(Lines):
    """A record is what lies between blank lines."""

    _bounds = staticmethod(paragraph_bounds)

    def __init__(self) -> None:
        self._state = np.array([1, 0])  # whether the line is blank so far; whether the paragraph has anything in it

    def ends(self, chunk: bytes) -> np.ndarray:
        """Return the offsets behind the blank lines that end paragraphs."""
        return paragraph_ends(np.frombuffer(chunk, np.uint8), self._state)


class Values(Lines):
    """A record is a JSON object or list, over however many lines; `in_list`, it is one element of an outer list."""

    _bounds = staticmethod(value_bounds)

    def __init__(self, in_list: bool) -> None:
        self._state = np.array([0, 0, 0])  # open brackets; whether in a string; whether behind a backslash
        self._outer = int(in_list)

    def ends(self, chunk: bytes) -> np.ndarray:
        """Return the offsets behind the brackets that close records."""
        return value_ends(np.frombuffer(chunk, np.uint8), self._outer, self._state)

    def unfinished(self) -> str | None:
        """Return that the outer list is open, if it is."""
        return "cut short: the JSON array is not closed" if self._outer and self._state[0] > 0 else None


def pages(chunks: Iterator[bytes], splitter: Lines, longest: int) -> Iterator[Page]:
    """Yield all records of a text, a page of them at a time; nothing longer than `longest` and a chunk is held.

    A Fault of the chunks comes with the last page.
    """
    part, line, fault = _Part(longest), 1, None
    try:
        for chunk in chunks:
            ends = splitter.ends(chunk)
            line_ends = ends if type(splitter) is Lines else _line_ends(chunk)
            start = 0
            if part.size and len(ends):
                start = int(ends[0])
                part.add(chunk[:start])
                yield part.page(splitter, line)
                line += part.lines
                part, ends = _Part(longest), ends[1:]
                line_ends = line_ends[np.searchsorted(line_ends, start, "right") :]
            if len(ends):
                starts, stops = splitter.bounds(chunk, start, ends)
                start = int(ends[-1])
                lines = line + np.searchsorted(line_ends, starts, "right")
                line += int(np.searchsorted(line_ends, start, "right"))
                yield Page(chunk, starts, stops, lines, line)
            if start < len(chunk):
                part.add(chunk[start:])
    except Fault as error:
        fault = error
    why = splitter.unfinished()
    if fault is None and why:
        fault = Fault(why)
    if part.size or fault:
        yield part.page(splitter, line, fault)


class _Part:
    """A record that comes in several chunks."""

    def __init__(self, longest: int):
        self.size = 0
        self.lines = 0
        self._longest = longest
        self._chunks: list[bytes] = []

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes; of a record that is too long only the first are kept."""
        self.size += len(chunk)
        self.lines += chunk.count(b"\n")
        self._chunks.append(chunk)
        if self.size > self._longest and len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)[:RAW_BYTES]]

    def page(self, splitter: Lines, line: int, fault: Fault | None = None) -> Page:
        """Return a page with this record alone in it."""
        data = b"".join(self._chunks)
        starts, stops = splitter.bounds(data, 0, np.array([len(data)]))
        lines = line + np.searchsorted(_line_ends(data), starts, "right")
        return Page(data, starts, stops, lines, line + self.lines, self.size > len(data), fault)


def _line_ends(chunk: bytes) -> np.ndarray:
    return line_ends(np.frombuffer(chunk, np.uint8))
