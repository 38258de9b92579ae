"""What reading yields, and the exception by which a layer says that a source ends here, and badly."""

from typing import Any, NamedTuple

RAW_BYTES = 1000
"""So much of a bad record is kept."""


class Record(NamedTuple):
    """One record of a source: a document, or the reason why it is none.

    A good one has `text`, and `reason` is None; a bad one has `reason` and `raw`, and `text` is None.
    """

    position: int
    """Its number among the records of the source, from 0; blank lines are none."""
    line: int
    """The line on which it begins, from 1, blank ones counted; of the text, where that is compressed or UTF-16."""
    text: str | None = None
    """The document: valid Unicode with at least one visible character."""
    meta: Any = None
    """Whatever JSON value stood in the meta field; None where there was none. It may hold inf and nan, and integers of
    any size: Python writes and reads them, strict JSON has no word for the first two. It is nested at most 199 deep."""
    rest: dict[str, Any] | None = None
    """The other fields of a JSON record, beside text and meta; None where there are none."""
    reason: str | None = None
    """What is wrong with it: its kind, and after a colon more of it, and the mend if there is one."""
    raw: bytes | None = None
    """Its first `RAW_BYTES` bytes, as UTF-8 as far as they are that."""
    whole: bool = False
    """Whether this stands for all that follows in the source, which can't be read: an archive cut short, an image."""

    @property
    def kind(self) -> str | None:
        """The reason's first words, which many records share: `not JSON`, `not UTF-8`, `blank text` and so on."""
        return None if self.reason is None else self.reason.partition(":")[0]


class Fault(Exception):
    """What follows in a source can't be read; everything before it has been handed out."""

    def __init__(self, reason: str, raw: bytes = b"", cut: bool = True, salvaged: bytes = b""):
        super().__init__(reason)
        self.reason = reason
        self.raw = raw
        """What stands there, as far as it says something."""
        self.cut = cut
        """Whether the bytes before it break off; if not, they are complete and something else follows."""
        self.salvaged = salvaged
        """Bytes that still belong before it."""
