"""How often each value of a column occurs, as long as there are few of them: labels, rules, tasks."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from hubkit.corpora.hashing import type_name

MOST_VALUES = 20
"""A column with more values than this isn't counted."""

LONGEST = 64
"""Characters; a longer text is no name of a class."""

_HEAD = 64
"""So many rows are looked at first: mostly they tell already that there are too many values."""

Value = str | int | bool | None


class ValueCounts:
    """Running counts of the values of a column, nulls included. The counts of parts join to those of the whole."""

    def __init__(self) -> None:
        self.counts: dict[Value, int] | None = {}
        """None once there were too many, or one that was too long."""

    def add(self, column: pa.Array) -> None:
        """Take in values, all of one type that :func:`is_countable` knows."""
        if not self.counts and _counted(column.slice(0, _HEAD)) is None:
            self.counts = None
        if self.counts is not None:
            self.join(_counted(column))

    def join(self, other: Iterable[tuple[Value, int]] | None) -> None:
        """Take in the state of another part."""
        if self.counts is None or other is None:
            self.counts = None
            return
        for value, count in other:
            self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > MOST_VALUES:
            self.counts = None

    def state(self) -> list[tuple[Value, int]] | None:
        """Return values and counts in the order of the values, null last; None where there are too many."""
        if self.counts is None:
            return None
        return sorted(self.counts.items(), key=lambda item: (item[0] is None, item[0] if item[0] is not None else 0))


def is_countable(type: pa.DataType) -> bool:
    """Tell whether values of a type can be names of classes: texts, whole numbers and booleans."""
    if pa.types.is_dictionary(type):
        return is_countable(type.value_type)
    return type_name(type) == "string" or pa.types.is_integer(type) or pa.types.is_boolean(type)


def _counted(column: pa.Array) -> list[tuple[Value, int]] | None:
    """Return values and counts; None where there are too many values, or one that is too long or no text at all."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_string_view(column.type):  # which Arrow can't count
        column = column.cast(pa.large_string())
    found = pc.call_function("value_counts", [column])
    if len(found) > MOST_VALUES:
        return None
    try:
        values: list[Value] = found.field(0).to_pylist()
    except UnicodeDecodeError:  # bytes that somebody's file calls text
        return None
    if any(isinstance(value, str) and len(value) > LONGEST for value in values):
        return None
    return list(zip(values, found.field(1).to_pylist(), strict=True))
