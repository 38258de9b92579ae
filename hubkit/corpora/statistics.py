"""Lengths of what a column holds: characters of a text, items of a list. Statistics of parts join exactly."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hubkit.corpora.hashing import numbers, type_name
from hubkit.corpora.manifest import ColumnStatistics, Lengths

State = dict[str, dict[str, int]]
"""By column: least, greatest, sum and number of the lengths of its values that are not null."""


class Statistics:
    """Running minimum, maximum and sum of the lengths of all text and list columns."""

    def __init__(self, schema: pa.Schema):
        kinds = {field.name: _kind(field.type) for field in schema}
        self.kinds = {name: kind for name, kind in kinds.items() if kind}
        self.values: State = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        for name in self.kinds:
            lengths = _lengths(rows.column(name))
            if len(lengths):
                state = {"min": lengths.min(), "max": lengths.max(), "sum": lengths.sum(), "count": len(lengths)}
                self.join({name: {key: int(value) for key, value in state.items()}})

    def join(self, other: State) -> None:
        """Take in another part's state."""
        for name, new in other.items():
            old = self.values.get(name, new | {"sum": 0, "count": 0})
            self.values[name] = {
                "min": min(old["min"], new["min"]),
                "max": max(old["max"], new["max"]),
                "sum": old["sum"] + new["sum"],
                "count": old["count"] + new["count"],
            }

    def state(self) -> State:
        """Return what :meth:`join` takes."""
        return self.values

    def summary(self) -> dict[str, ColumnStatistics]:
        """Return what the manifest says; nothing of a column without any value."""
        return {name: self._of(name, value) for name, value in self.values.items()}

    def _of(self, name: str, value: dict[str, int]) -> ColumnStatistics:
        lengths: dict[str, Any] = {
            "min": value["min"],
            "mean": round(value["sum"] / value["count"], 1),
            "max": value["max"],
            "total": value["sum"],
        }
        return ColumnStatistics(**{self.kinds[name]: Lengths(**lengths)})


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
