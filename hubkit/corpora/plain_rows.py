"""Rows as a Python function gives them: dicts, made Arrow's, and messages that name the row which is wrong."""

import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubkit.corpora.hashing import type_name
from hubkit.errors import UserError

_REFUSED = (pa.ArrowException, OverflowError, TypeError, ValueError)
"""What Arrow raises for a value of another type."""

_OURS = {__file__, str(Path(__file__).with_name("functions.py"))}
"""Files whose frames say nothing to whoever wrote the function."""

_SHOWN = 200  # characters of a row in a message
_TRACED = 3  # frames of a traceback, from its end


@contextmanager
def of_row(split: str, index: int) -> Iterator[None]:
    """Make what somebody's function raises one message with its row and the end of the traceback; Ctrl-C passes.

    Raises:
        UserError: It raised something.
    """
    try:
        yield
    except Exception as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename not in _OURS]
        shown = "".join(traceback.format_list(frames[-_TRACED:])).rstrip()
        raise UserError(
            f"row {index} of {split}: the function raised {type(error).__name__}: {error}; mend it"
            + (f"\n{shown}" if shown else "")
        ) from error


def checked(row: Any, split: str, index: int) -> dict[str, Any]:
    """Return a row if it is a dict of columns.

    Raises:
        UserError: It isn't; shows it.
    """
    if not isinstance(row, Mapping) or not row or not all(isinstance(name, str) for name in row):
        raise UserError(f"row {index} of {split} is {shown(row)}: return a dict of columns, such as {{'text': …}}")
    return dict(row)


def batch_of(rows: Sequence[dict[str, Any]], schema: pa.Schema, split: str, first: int) -> pa.RecordBatch:
    """Return rows as Arrow's.

    Args:
        rows: Consecutive rows of a split.
        schema: The types of their columns.
        split: Whose rows they are.
        first: The place of the first of them.

    Raises:
        UserError: One has other columns than the schema, or a value of another type; says which.
    """
    names = set(schema.names)
    for index, row in enumerate(rows, first):
        if row.keys() != names:
            raise UserError(
                f"row {index} of {split} has the columns {', '.join(sorted(row))}, and the first ones have "
                f"{', '.join(schema.names)}: return the same every time, None where there is nothing"
            )
    try:
        return _converted(rows, schema)
    except _REFUSED:
        _blame(rows, schema, split, first)
        raise


def shown(value: Any) -> str:
    """Return a value for a message, shortened."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _blame(rows: Sequence[dict[str, Any]], schema: pa.Schema, split: str, first: int) -> None:
    """Raise what names the first value that has another type than its column."""
    for index, row in enumerate(rows, first):
        for column in schema:
            try:
                _converted([{column.name: row[column.name]}], pa.schema([column]))
            except _REFUSED:
                raise UserError(
                    f"row {index} of {split}: column {column.name!r} is {shown(row[column.name])}, and it is "
                    f"{type_name(column.type)} in the first rows: return one type, or give schema="
                ) from None


def _converted(rows: Iterable[dict[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    plain = [
        {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()} for row in rows
    ]
    return pa.RecordBatch.from_pylist(plain, schema)
