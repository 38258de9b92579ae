"""Reads worlds: the `repr` of a Python dict with a description and data, in which numbers may be masked.

Only literals are read; nothing that a visitor types is ever run.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_CHARACTERS = 100_000
"""Longer text is not parsed."""
MAX_STEPS, MAX_DIMENSIONS = 5000, 64
"""Larger data is not drawn."""

_SIGMA = r"('sys0'\s*:\s*\{\s*'params'\s*:\s*\[\s*-?)"

Point = tuple[int, int]
"""A step and a dimension, both from 0."""


@dataclass(frozen=True)
class Trajectory:
    """The `data` of a world: a row for each step, a column for each dimension."""

    values: list[list[float | None]]
    """None where the number was masked."""
    guesses: dict[Point, float] = field(default_factory=dict)
    """What the filled world has at the masked numbers."""
    note: str = ""
    """What the reader of the plot should know."""


def mask_sigma(text: str, mask: str, count: Callable[[str], int]) -> str:
    """Return the world with the integer part of σ of sys0 masked.

    Args:
        text: The world.
        mask: The mask token, which stands for exactly one token.
        count: Says how many tokens the digits of a number take.

    Raises:
        ValueError: The text has no such number, or it is masked already.
    """
    if re.search(_SIGMA + re.escape(mask), text):
        raise ValueError("σ of sys0 is masked already.")
    found = re.search(_SIGMA + r"(\d+)", text)
    if found is None:
        raise ValueError("There is no σ to mask: the world has no 'sys0' whose 'params' begin with a number.")
    return text[: found.start(2)] + mask * count(found[2]) + text[found.end(2) :]


def read_trajectory(text: str, mask: str, filled: str | None = None) -> Trajectory:
    """Return the data of a world, with gaps where it is masked and the filled numbers beside them.

    Args:
        text: The world as the visitor wrote it.
        mask: The mask token.
        filled: The same world with its masks filled.

    Raises:
        ValueError: Neither text can be drawn; the message says why the first can't.
    """
    try:
        values = _read_data(_blank(text, mask))
    except ValueError as error:
        if filled is None:
            raise
        try:
            drawn = _read_data(filled)
        except ValueError:
            raise error from None
        return Trajectory(drawn, note="Drawn as filled: with its masks open, the text is not a readable world.")
    gaps = [(step, dim) for step, row in enumerate(values) for dim, value in enumerate(row) if value is None]
    if filled is None or not gaps:
        return Trajectory(values)
    try:
        complete = _read_data(filled)
    except ValueError:
        complete = []
    if [len(row) for row in complete] != [len(row) for row in values]:
        return Trajectory(values, note="The filled text is no longer a world of this shape, so its masks stay gaps.")
    return Trajectory(values, {(step, dim): _number(complete[step][dim]) for step, dim in gaps})


def _blank(text: str, mask: str) -> str:
    """Write None for each number that holds a mask."""
    part = rf"[-0-9.]*{re.escape(mask)}"
    # Matches begin only where a number does: otherwise a long row of digits would take quadratic time.
    return re.sub(rf"(?<![-0-9.])(?:{part})+[-0-9.]*(?:e-?\d+)?", "None", text)


def _read_data(text: str) -> list[list[float | None]]:
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"The text is longer than {MAX_CHARACTERS:,} characters.")
    try:
        world = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise ValueError("The text is not a readable Python dict (a bracket, comma or quote is amiss).") from None
    if not isinstance(world, dict):
        raise ValueError(f"The text is a Python {type(world).__name__}, not a dict.")
    data = world.get("data")
    if not isinstance(data, list) or not data:
        raise ValueError("The world has no 'data' with at least one row.")
    width = len(data[0]) if isinstance(data[0], list) else 0
    if len(data) > MAX_STEPS or width > MAX_DIMENSIONS:
        raise ValueError(f"The data is larger than {MAX_STEPS:,} steps of {MAX_DIMENSIONS} dimensions.")
    return [_read_row(row, step, width) for step, row in enumerate(data, 1)]


def _read_row(row: object, step: int, width: int) -> list[float | None]:
    if not isinstance(row, list) or not row:
        raise ValueError(f"Row {step} of 'data' is not a list of numbers.")
    if len(row) != width:
        raise ValueError(f"Row {step} of 'data' holds {len(row)} numbers, the first row {width}.")
    try:
        return [None if value is None else _number(value) for value in row]
    except ValueError as error:
        raise ValueError(f"Row {step} of 'data' {error}") from None


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"holds {str(value)[:40]!r}, which is not a number.")
    if not abs(value) <= 1e12:  # also NaN; far outside anything that float16 data can hold
        raise ValueError("holds a number too large to draw.")
    return float(value)
