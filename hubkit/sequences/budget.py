"""Token budgets: sizes such as ``5M``, and which domain's turn it is, so that every prefix keeps to the ratios."""

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import BeforeValidator, Field

from hubkit.kernels import kernel

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_FEWEST, _MOST = 1 << 10, 1 << 16  # lengths that are asked of a domain at once: few first, for small budgets


def parse_size(value: Any) -> Any:
    """Return the number that a size says: ``200K``, ``5M``, ``1.5B`` (thousands, millions, billions) or a number.

    Raises:
        ValueError: A text is no size, or no whole number.
    """
    if isinstance(value, float):
        value = f"{value:f}"  # YAML reads 5e6 as one
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d[\d_]*(?:\.\d+)?)\s*([KMBT]?)", value.strip().upper())
    if not match:
        raise ValueError(f"{value!r} is not a size; write 200K, 5M, 1.5B or a whole number")
    size = Fraction(match[1].replace("_", "")) * _UNITS[match[2]]
    if size.denominator != 1:
        raise ValueError(f"{value!r} is not a whole number of tokens; write more or fewer digits")
    return int(size)


Size = Annotated[int, BeforeValidator(parse_size), Field(gt=0, le=10**13)]
"""A number of tokens, also written ``5M``."""


def split_budget(tokens: int, shares: dict[str, float]) -> dict[str, int]:
    """Return the tokens of each split, rounded down; they are exact, and grow with `tokens`."""
    parts = {split: Fraction(str(share)) for split, share in shares.items()}
    return {split: int(tokens * part / sum(parts.values())) for split, part in parts.items()}


class Turns(NamedTuple):
    """Whose turn it is in each row of a split."""

    domains: np.ndarray
    """uint16 (rows,): the domain's position."""
    tokens: np.ndarray
    """int64 (domains,): how many tokens each has."""
    refused: tuple[int, int] | None
    """Position and length of the sequence that the budget had no room for; None where `most_rows` came first."""


def take_turns(
    ratios: list[float], budget: int, lengths: Callable[[int, int, int], np.ndarray], most_rows: int | None = None
) -> Turns:
    """Return the rows that a budget buys: each is the domain's that lacks most tokens for its ratio, ties in order.

    So a domain never has more than one sequence too much, in any prefix, and a larger budget only adds rows. The rows
    end before the first that would go over the budget.

    Args:
        ratios: A domain's share of the tokens, in any unit; one with 0 never has a turn.
        budget: Tokens.
        lengths: Called with (domain, start, stop): the lengths of its sequences `start` to `stop` (exclusive), int64.
        most_rows: Stop after so many rows.
    """
    weights = np.array(ratios, np.float64) / sum(ratios)
    known = np.zeros((len(ratios), _MOST), np.int64)
    # Of each domain: where in `known` the next length is, how many are there, how many there were before those.
    cursors, ends, bases = (np.zeros(len(ratios), np.int64) for _ in range(3))
    used, parts, rows = np.zeros(len(ratios), np.int64), [], 0
    while most_rows is None or rows < most_rows:
        part = np.empty(min(_MOST, _MOST if most_rows is None else most_rows - rows), np.uint16)
        count, short, refused = _turns(weights, used, known, cursors, ends, budget, part)
        parts.append(part[:count])
        rows += count
        if refused:
            return Turns(np.concatenate(parts), used, (short, refused))
        if short >= 0:
            bases[short] += ends[short]
            wanted = int(min(max(bases[short], _FEWEST), _MOST))  # what is known doubles
            cursors[short], ends[short] = 0, wanted
            known[short, :wanted] = lengths(short, int(bases[short]), int(bases[short]) + wanted)
    return Turns(np.concatenate(parts), used, None)


@kernel
def _turns(weights, used, known, cursors, ends, budget, out):
    """Go on until `out` is full; return how many rows it has, and why it stopped before.

    The second result is the domain whose lengths have run out, or -1; or, where the third is not 0, the domain whose
    next sequence is that long and does not fit.
    """
    total = np.int64(0)
    for domain in range(len(used)):
        total += used[domain]
    for row in range(len(out)):
        turn, most = -1, 0.0
        for domain in range(len(weights)):
            lack = weights[domain] * total - used[domain]
            if weights[domain] > 0.0 and (turn < 0 or lack > most):
                turn, most = domain, lack
        if cursors[turn] == ends[turn]:
            return row, turn, 0
        length = known[turn, cursors[turn]]
        if total + length > budget:
            return row, turn, length
        cursors[turn] += 1
        used[turn] += length
        total += length
        out[row] = turn
    return len(out), -1, 0


@kernel
def counts_before(domains, number, step):
    """Return how many rows of each domain come before row 0, `step`, 2·`step`, …, as int64 (blocks, `number`)."""
    counts = np.zeros(((len(domains) + step - 1) // step, number), np.int64)
    running = np.zeros(number, np.int64)
    for row in range(len(domains)):
        if row % step == 0:
            counts[row // step] = running
        running[domains[row]] += 1
    return counts
