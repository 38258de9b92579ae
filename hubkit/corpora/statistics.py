"""What the columns hold: lengths (characters of a text, items of a list) and, where they are few, the values.

All of it takes constant memory, and statistics of parts join exactly.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hubkit.corpora.hashing import numbers, type_name
from hubkit.corpora.histogram import Histogram
from hubkit.corpora.manifest import ColumnStatistics, Lengths
from hubkit.corpora.value_counts import ValueCounts, is_countable

State = dict[str, dict[str, Any]]
"""By what it is (`lengths`, `values`) and column; plain data, as JSON keeps it."""


class Statistics:
    """Running statistics of all columns of which there is something to say."""

    def __init__(self, schema: pa.Schema):
        self.kinds = {field.name: kind for field in schema if (kind := _kind(field.type))}
        """What the lengths of a column count."""
        self.lengths = {name: _Lengths() for name in self.kinds}
        self.values = {field.name: ValueCounts() for field in schema if is_countable(field.type)}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        for name, lengths in self.lengths.items():
            lengths.add(_lengths(rows.column(name)))
        for name, values in self.values.items():
            if values.counts is not None:
                values.add(rows.column(name))

    def join(self, other: State) -> None:
        """Take in another part's state."""
        for name, lengths in other["lengths"].items():
            self.lengths[name].join(**lengths)
        for name, counts in other["values"].items():
            self.values[name].join(counts)

    def state(self) -> State:
        """Return what :meth:`join` takes."""
        return {
            "lengths": {name: lengths.state() for name, lengths in self.lengths.items() if lengths.count},
            "values": {name: values.state() for name, values in self.values.items()},
        }

    def summary(self) -> dict[str, ColumnStatistics]:
        """Return what the manifest says; nothing of a column without any value."""
        found: dict[str, dict[str, Any]] = {
            name: {self.kinds[name]: lengths.summary()} for name, lengths in self.lengths.items() if lengths.count
        }
        for name, values in self.values.items():
            counts = values.state()
            if counts and counts[0][0] is not None:  # nulls come last, so there is more than these
                found.setdefault(name, {})["values"] = counts
        return {name: ColumnStatistics(**all) for name, all in found.items()}


class _Lengths:
    """Running minimum, maximum, sum, number and histogram of lengths."""

    def __init__(self) -> None:
        self.min, self.max, self.sum, self.count = 0, 0, 0, 0
        self.histogram = Histogram()

    def add(self, lengths: np.ndarray) -> None:
        if len(lengths):
            self._join(int(lengths.min()), int(lengths.max()), int(lengths.sum()), len(lengths))
            self.histogram.add(lengths)

    def join(self, min: int, max: int, sum: int, count: int, histogram: list[int]) -> None:
        self._join(min, max, sum, count)
        self.histogram.join(histogram)

    def _join(self, least: int, greatest: int, sum: int, count: int) -> None:
        self.min = min(self.min, least) if self.count else least
        self.max = max(self.max, greatest)
        self.sum += sum
        self.count += count

    def state(self) -> dict[str, Any]:
        told = {"min": self.min, "max": self.max, "sum": self.sum, "count": self.count}
        return told | {"histogram": self.histogram.state()}

    def summary(self) -> Lengths:
        mean = round(self.sum / self.count, 1)
        return Lengths(min=self.min, mean=mean, max=self.max, total=self.sum, histogram=self.histogram.by_start())


def _kind(type: pa.DataType) -> str | None:
    name = type_name(type)
    return "characters" if name == "string" else "items" if name.startswith("list<") else None


def _lengths(column: pa.Array) -> np.ndarray:
    """Return the lengths of the values that are not null, as int64."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if type_name(column.type) == "string":
        lengths = pc.call_function("utf8_length", [column.cast(pa.large_string())])
    else:
        lengths = pc.call_function("list_value_length", [column])
    return numbers(lengths.drop_null()).astype(np.int64)
