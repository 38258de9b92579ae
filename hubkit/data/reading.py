"""How rows of tokens become sequences to learn from: each row by itself, or windows over all of them."""

from typing import Annotated, Literal, Protocol, Self

import numpy as np
from pydantic import Field, model_validator

from hubkit.data.tokens import Sample, TokenRows
from hubkit.errors import UserError
from hubkit.specs import Spec

Positive = Annotated[int, Field(gt=0)]


class ReadingSpec(Spec):
    """What a sequence is."""

    form: Literal["rows", "windows"] = "rows"
    """`rows`: each row is a sequence, padded to the longest of its batch. `windows`: the rows are put one after the
    other and cut; no padding, and a window may hold parts of several documents."""
    length: Positive | None = None
    """Tokens that the model reads of a window. Of rows, the longest that there may be; None is the longest there is."""
    stride: Positive | None = None
    """Tokens from the beginning of a window to that of the next; None is its length, so that none is read twice."""
    isolate: bool = False
    """In windows: no token sees those of another document."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.form == "windows" and self.length is None:
            raise ValueError("length is missing: say how many tokens a window has, such as 256")
        if self.form == "rows" and (self.stride is not None or self.isolate):
            field = "isolate" if self.stride is None else "stride"
            raise ValueError(f"{field} is for windows, and form is rows; leave it out, or set form to windows")
        return self

    def make(self, rows: TokenRows, more: int, source: str) -> "Sequences":
        """Return the sequences of a split.

        Args:
            rows: The split.
            more: Tokens that a window must have beyond `length`, and a row beyond none: one, if the model is not told
                how a sequence begins.
            source: What the rows are called, for messages.

        Raises:
            UserError: A row is longer than may be or has nothing to predict, or there are fewer tokens than one window
                has.
        """
        if self.form == "rows":
            longest = int(rows.lengths.argmax())
            if self.length is not None and rows.lengths[longest] > self.length:
                raise UserError(
                    f"reading.length: row {rows.number(longest)} of {source} has {rows.lengths[longest]} tokens, more "
                    f"than {self.length}; raise it, or read windows"
                )
            shortest = int(rows.lengths.argmin())
            if rows.lengths[shortest] <= more:
                raise UserError(
                    f"reading.form: row {rows.number(shortest)} of {source} has a single token, and no other by which "
                    "it could be predicted; leave such rows out, or read windows"
                )
            return Rows(rows)
        assert self.length is not None
        return Windows(rows, self.length + more, self.stride or self.length, self.isolate, source)


class Sequences(Protocol):
    """Sequences by number."""

    lengths: np.ndarray
    """Tokens of each, int64."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> Sample: ...


class Rows:
    """Each row by itself."""

    def __init__(self, rows: TokenRows):
        self.rows, self.lengths = rows, rows.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Sample:
        """Return a row."""
        return self.rows[number]


class Windows:
    """Windows of equal length over all rows, put one after the other; what fills no last window is left out."""

    def __init__(self, rows: TokenRows, length: int, stride: int, isolate: bool, source: str):
        """Cut the windows.

        Args:
            rows: The split.
            length: Tokens of a window.
            stride: Tokens from the beginning of a window to that of the next.
            isolate: Whether samples say where another document begins.
            source: What the rows are called, for messages.

        Raises:
            UserError: There are fewer tokens than one window has.
        """
        tokens = int(rows.starts[-1])
        if tokens < length:
            raise UserError(f"reading.length: {source} has {tokens} tokens, fewer than a window of {length}; lower it")
        self.rows, self.length, self.stride, self.isolate = rows, length, stride, isolate
        self.lengths = np.broadcast_to(np.int64(length), (tokens - length) // stride + 1)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Sample:
        """Return a window."""
        begin = number * self.stride
        sample = self.rows.span(begin, begin + self.length)
        if not self.isolate:
            return sample
        starts = self.rows.starts
        first, last = starts.searchsorted((begin, begin + self.length - 1), "right").tolist()
        return Sample(sample.ids, sample.learnt, sample.values, starts[first:last] - begin)
