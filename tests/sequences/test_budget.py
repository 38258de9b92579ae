"""Sizes are read, and turns keep every prefix of a split to the ratios."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.sequences.budget import counts_before, parse_size, split_budget, take_turns


@pytest.mark.parametrize(
    ("text", "number"),
    [("200K", 200_000), ("5M", 5_000_000), ("1.5B", 1_500_000_000), ("2t", 2 * 10**12), ("7", 7), (9, 9),
     (5e6, 5_000_000), ("0.1K", 100), ("1_000", 1000), (" 3 M ", 3_000_000)],
)  # fmt: skip
def test_sizes(text, number):
    assert parse_size(text) == number


@pytest.mark.parametrize("text", ["", "M", "5G", "-5M", "1e3M", "1.5", "0.0001K", "5 M 3"])
def test_what_is_no_size(text):
    with pytest.raises(ValueError, match="write"):
        parse_size(text)


@given(st.integers(1, 10**13))
def test_splits_of_a_budget(tokens):
    budgets = split_budget(tokens, {"train": 0.8, "validation": 0.1, "test": 0.1})
    assert budgets["train"] == tokens * 8 // 10
    assert budgets["validation"] == budgets["test"] == tokens // 10


def stream(lengths):
    """Lengths that repeat for ever."""
    return lambda domain, start, stop: np.array([lengths[domain][i % len(lengths[domain])] for i in range(start, stop)])


MIXTURES = st.integers(1, 6).flatmap(
    lambda count: st.tuples(
        st.lists(st.floats(0.01, 10), min_size=count, max_size=count),
        st.lists(
            st.lists(st.integers(1, 300), min_size=1, max_size=7), min_size=count, max_size=count
        ),
    )
)  # fmt: skip


@given(MIXTURES, st.integers(3000, 40_000))
@settings(max_examples=60, deadline=None)
def test_every_prefix_keeps_to_the_ratios(mixture, budget):
    ratios, lengths = mixture
    turns = take_turns(ratios, budget, stream(lengths))
    shares = np.array(ratios) / sum(ratios)
    longest = np.array([max(own) for own in lengths])
    used, next_ones, total = np.zeros(len(ratios)), [0] * len(ratios), 0
    for domain in turns.domains.tolist():
        length = lengths[domain][next_ones[domain] % len(lengths[domain])]
        next_ones[domain] += 1
        used[domain] += length
        total += length
        assert (used - shares * total <= longest + 1e-6).all(), "no domain has more than one sequence too much"
    assert turns.tokens.tolist() == used.tolist()
    assert budget - max(longest) < total <= budget
    assert turns.refused is not None and total + turns.refused[1] > budget


@given(MIXTURES, st.integers(500, 20_000), st.integers(1, 20_000), st.integers(1, 50))
@settings(max_examples=40, deadline=None)
def test_a_larger_budget_only_adds_rows(mixture, budget, more, limit):
    ratios, lengths = mixture
    small, large = (take_turns(ratios, size, stream(lengths)).domains for size in (budget, budget + more))
    assert (large[: len(small)] == small).all()
    assert (take_turns(ratios, budget, stream(lengths), limit).domains == small[:limit]).all()


def test_many_rows_and_a_domain_without_a_share():
    turns = take_turns([1, 0, 3], 400_000, stream([[1], [1], [1]]))
    assert turns.tokens.tolist() == [100_000, 0, 300_000]
    assert turns.domains[:4].tolist() == [0, 2, 2, 2]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=50), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_counts_before_a_block(domains, step):
    counts = counts_before(np.array(domains, np.uint16), 4, step)
    assert counts.tolist() == [
        [domains[:start].count(domain) for domain in range(4)] for start in range(0, len(domains), step)
    ]
