"""The rows of a selection, read again from their sources."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from hubkit.corpora.documents.selection import Selection
from hubkit.errors import UserError
from hubkit.reading import Form, Found, Record, documents, find_sources

SKIPPING = 4
"""To read a document costs about this many times what it costs to skip one."""


class _Place(NamedTuple):
    split: str
    row: int
    """The row that comes next."""
    records: Iterator[tuple[str, Record]]


class Reader:
    """Reads rows, best in order: it stays in the source where it is, so that a big archive is not unpacked again."""

    def __init__(self, selection: Selection, form: Form):
        self.selection, self.form = selection, form
        self._place: _Place | None = None

    def read(self, split: str, start: int, stop: int) -> list[tuple[str, Record]]:
        """Return rows `start` to `stop` (exclusive) of a split: the label of the source, and the record, which is good.

        Raises:
            UserError: A source can't be read, or is not what it was when it was indexed.
        """
        place, self._place = self._at(split, start), None  # after an error the place would be wrong
        rows = list(islice(place.records, stop - start))
        self._place = place._replace(row=start + len(rows))
        return rows

    def _at(self, split: str, row: int) -> _Place:
        """Return the place of a row: the one there is, moved on, where that costs less than to begin anew."""
        place = self._place
        if place and place.split == split and 0 <= (row - place.row) * SKIPPING <= self.selection.inside(split, row):
            deque(islice(place.records, row - place.row), maxlen=0)
            return place._replace(row=row)
        return _Place(split, row, self._records(split, row))

    def _records(self, split: str, row: int) -> Iterator[tuple[str, Record]]:
        for number, positions in self.selection.after(split, row):
            source, label = self.selection.sources[number], self.selection.summary["sources"][number]["label"]
            check_unchanged(source)
            for record in documents(source, self.form, positions):
                if record.text is None:
                    raise _changed(source)
                yield label, record


def check_unchanged(source: Found) -> None:
    """Refuse a source that is not what it was when it was found.

    Raises:
        UserError: Names it.
    """
    if [now.stamp for now in find_sources(source.parts or [source.url])] != [source.stamp]:
        raise _changed(source)


def _changed(source: Found) -> UserError:
    return UserError(f"files: {source.name} has changed since it was indexed; delete the output folder and build again")
