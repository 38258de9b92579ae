"""The arithmetic of exact match. Needs no library at all, so that it costs no import of `evaluate`."""

from math import ceil, sqrt
from operator import eq

Z = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""
MOST_LENGTHS = 12
"""Lines of the table by length, at most."""


def score(predictions, references):
    """Return how often answers are exactly right.

    Args:
        predictions: Answers: texts, or anything that can be compared.
        references: The right ones.

    Returns:
        `exact_match` (the share of answers that are equal to the right ones, to the last character), `error_rate` (the
        rest), and of both `…_low` and `…_high`: a confidence interval of 95 % (Wilson, "Probable inference", 1927).

    Raises:
        ValueError: There is no answer, or not as many as right ones.
    """
    if not len(predictions) or len(predictions) != len(references):
        raise ValueError(f"predictions: {len(predictions)} answers to {len(references)} questions; give one to each")
    hits, rows = sum(map(eq, predictions, references)), len(predictions)
    low, high = _wilson(hits, rows)
    scores = {"exact_match": hits / rows, "exact_match_low": low, "exact_match_high": high}
    return scores | {"error_rate": 1 - hits / rows, "error_rate_low": 1 - high, "error_rate_high": 1 - low}


def by_length(predictions, references, lengths):
    """Return how often answers are exactly right, by the length of the question.

    Args:
        predictions: Answers.
        references: The right ones.
        lengths: Of the questions, integers.

    Returns:
        A list of `from` and `to` (lengths, both inclusive), `rows` and `exact_match`: of each length by itself, or of
        ranges of equal width where there are more than a dozen.

    Raises:
        ValueError: There are not as many lengths as answers.
    """
    if len(lengths) != len(predictions):
        raise ValueError(f"lengths: {len(lengths)} of {len(predictions)} questions; give one for each")
    least, most = min(lengths), max(lengths)
    width = 1 if len(set(lengths)) <= MOST_LENGTHS else ceil((most - least + 1) / MOST_LENGTHS)
    groups = {}
    for answer, right, length in zip(predictions, references, lengths, strict=True):
        groups.setdefault((length - least) // width, []).append(answer == right)
    return [
        {
            "from": least + group * width,
            "to": min(most, least + (group + 1) * width - 1),
            "rows": len(hits),
            "exact_match": sum(hits) / len(hits),
        }
        for group, hits in sorted(groups.items())
    ]


def _wilson(hits, rows):
    """Return the score interval of a share, which also holds for shares of 0 and 1."""
    share, weight = hits / rows, Z * Z / rows
    middle = (share + weight / 2) / (1 + weight)
    half = Z * sqrt(share * (1 - share) / rows + weight / rows / 4) / (1 + weight)
    # At the ends rounding would leave the bound a hair inside.
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == rows else middle + half)
