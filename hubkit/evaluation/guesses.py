"""What somebody guesses who has seen the training split and no model: the baselines that a model is compared with."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Guesses:
    """Guesses of σ and `step_multip` of the first system."""

    mean: float
    """Mean of σ: the constant with the least RMSE."""
    integers: list[int]
    """Microcosm's guesses of σ's integer part: the mean's, and the next nearest to the mean."""
    integer_mean: float
    """Mean of σ's integer part: the constant with the least RMSE (half a unit below the mean of σ)."""
    by_decimals: dict[str, "IntegerGuess"]
    """A table: what σ's integer part is, given its decimals."""
    multips: list[int]
    """The two most frequent values of `step_multip`."""

    def given(self, decimals: str) -> "IntegerGuess":
        """Return what the table says of these decimals; for unknown ones the constants."""
        return self.by_decimals.get(decimals) or IntegerGuess(self.integers, self.integer_mean)


@dataclass(frozen=True)
class IntegerGuess:
    """A guess of σ's integer part."""

    best: list[int]
    """The two most frequent values, the more frequent one first."""
    mean: float


def guesses_from(sigmas: Iterable[float], multips: Iterable[int]) -> Guesses:
    """Return the guesses that a training split leads to.

    Args:
        sigmas: σ of each world's first system, as the decimal that stands in the text.
        multips: `step_multip` of each world's first system.
    """
    table: defaultdict[str, Counter[int]] = defaultdict(Counter)
    total, count = 0.0, 0
    for sigma in sigmas:
        integer, _, decimals = repr(float(sigma)).partition(".")
        table[decimals][int(integer) if integer.isdigit() else 0] += 1
        total, count = total + sigma, count + 1
    overall = sum(table.values(), Counter())
    mean = total / count
    nearest = [int(mean), int(mean) + 1 if mean % 1 >= 0.5 else int(mean) - 1]
    by_decimals = {decimals: _guess(counts, overall) for decimals, counts in table.items()}
    return Guesses(mean, nearest, _mean(overall), by_decimals, _best(Counter(multips)))


def _guess(counts: Counter[int], overall: Counter[int]) -> IntegerGuess:
    """Return the guess that counts lead to; where they are few or equal, what is frequent overall counts too."""
    weight = 0.5 / overall.total()
    blended = Counter({value: counts[value] + weight * often for value, often in overall.items()})
    return IntegerGuess(_best(blended), _mean(blended))


def _best(counts: Counter[int]) -> list[int]:
    """Return the two most frequent values; of equal ones the smaller comes first, and a lone one comes twice."""
    best = sorted(counts, key=lambda value: (-counts[value], value))[:2]
    return (best * 2)[:2]


def _mean(counts: Counter[int]) -> float:
    return sum(value * often for value, often in counts.items()) / counts.total()
