"""How many sequences of each source the first batches of a mixture have, without counting through them."""

from collections.abc import Sequence


def allotted(total: int, ratios: Sequence[float]) -> list[int]:
    """Divide a number of sequences among sources in proportion to their ratios.

    The highest quotients ratio / (2 given + 1) get the next (Sainte-Laguë's method, the divisor method of Webster), so
    that no source ever loses a sequence when the total grows: the sources of batch *s* are the difference of two calls.

    Args:
        total: Sequences to divide.
        ratios: Of the sources, positive; only their proportions count.

    Returns:
        Sequences of each source; they sum to `total`.
    """
    whole = sum(ratios)
    # With this divisor each source has at most what it will have in the end; one less, because floats are rounded.
    level = max(0.0, total - len(ratios) / 2)
    given = [max(0, int(ratio / whole * level + 0.5) - 1) for ratio in ratios]
    while sum(given) < total:
        given[max(range(len(ratios)), key=lambda source: ratios[source] / (2 * given[source] + 1))] += 1
    return given
