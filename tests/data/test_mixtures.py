"""Mixtures: how many sequences each source gives to each step, and which."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.data.batches import Batches, Source
from hubkit.data.mixtures import allotted

from .rows import ASK_ALL, FIRST, Rows, whole


def slowly(total: int, ratios: list[float]) -> list[int]:
    """Divide by the definition: each goes to the source with the highest quotient, of equal ones the first."""
    given = [0] * len(ratios)
    for _ in range(total):
        quotients = [ratio / (2 * count + 1) for ratio, count in zip(ratios, given, strict=True)]
        given[quotients.index(max(quotients))] += 1
    return given


ratios = st.lists(st.one_of(st.integers(1, 9), st.floats(1e-3, 1e3)), min_size=1, max_size=6)


@given(total=st.integers(0, 300), ratios=ratios)
@settings(max_examples=300, deadline=None)
def test_sequences_are_divided_by_the_highest_quotients_and_no_source_ever_loses_one(total, ratios):
    given = allotted(total, ratios)
    assert given == slowly(total, ratios) and sum(given) == total
    assert all(0 <= more - now <= 1 for now, more in zip(given, allotted(total + 1, ratios), strict=True))


@given(total=st.integers(0, 10**12), ratios=ratios)
@settings(max_examples=200, deadline=None)
def test_shares_of_any_size_are_met(total, ratios):
    given = allotted(total, ratios)
    assert sum(given) == total
    for count, ratio in zip(given, ratios, strict=True):
        # Between them, the sources' roundings move the divisor by as much as half a sequence each.
        assert abs(count - total * ratio / sum(ratios)) <= len(ratios) / 2 + 1


def mixture(ratios, sizes, size=6, seed=0, rank=0, processes=1) -> Batches:
    """Return batches of several sources, of which each has ten ids of its own."""
    sources = [
        Source(f"source {number}", Rows([1] * rows, FIRST + 10 * number, 10), ratio)
        for number, (rows, ratio) in enumerate(zip(sizes, ratios, strict=True))
    ]
    return Batches(sources, ASK_ALL, size, seed, rank=rank, processes=processes)


def drawn(made: Batches, step: int) -> list[tuple[int, int]]:
    """Return the sequences of a step: source, and number up to ten."""
    return [divmod(int(id) - FIRST, 10) for id in whole(made, step)["labels"][:, 0]]


def test_each_step_has_its_share_and_the_counts_say_so():
    made = mixture([3, 2, 1], [10, 10, 10])
    seen = np.zeros(3, int)
    for step in range(20):
        here = np.bincount([source for source, _ in drawn(made, step)], minlength=3)
        assert here.tolist() == [3, 2, 1]
        seen += here
        assert list(made.counts(step + 1).values()) == seen.tolist()
    assert list(made.counts(0)) == ["source 0", "source 1", "source 2"]


def test_shares_that_no_step_can_have_even_out():
    made = mixture([0.7, 0.2, 0.1], [10, 10, 10], size=4)
    totals = [list(made.counts(step).values()) for step in range(51)]
    assert totals[50] == [140, 40, 20]
    for step in range(50):
        here = np.bincount([source for source, _ in drawn(made, step)], minlength=3)
        assert here.tolist() == np.subtract(totals[step + 1], totals[step]).tolist()


def test_an_exhausted_source_begins_again_in_another_order():
    made = mixture([5, 1], [10, 10])
    first = [number for step in range(8) for source, number in drawn(made, step) if source == 0]
    epochs = [first[start : start + 10] for start in range(0, 40, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert len(made) == 10, "until the second source has been read once"


@pytest.mark.parametrize(
    ("sizes", "ratios", "size", "steps"),
    [([96], [0.1], 8, 12), ([97], [0.3], 8, 12), ([30, 10], [0.3, 0.1], 4, 10), ([7, 100], [1, 1], 2, 100)],
)
def test_an_epoch_ends_when_every_source_has_been_read(sizes, ratios, size, steps):
    made = mixture(ratios, sizes, size)
    assert len(made) == steps
    if len(sizes) > 1:
        assert all(count >= rows for count, rows in zip(made.counts(steps).values(), sizes, strict=True))
        assert any(count < rows for count, rows in zip(made.counts(steps - 1).values(), sizes, strict=True))


def test_the_processes_share_the_batch_of_one():
    alone = mixture([2, 1], [7, 9])
    parts = [mixture([2, 1], [7, 9], rank=rank, processes=3) for rank in range(3)]
    for step in (0, 5, 11):
        together = drawn(alone, step)
        assert [drawn(part, step) for part in parts] == [together[rank::3] for rank in range(3)]


def test_the_sources_have_orders_of_their_own():
    made = mixture([1, 1], [10, 10], size=20)
    read = drawn(made, 0)
    assert [number for source, number in read if source == 0] != [number for source, number in read if source == 1]
    assert drawn(mixture([1, 1], [10, 10], size=20, seed=1), 0) != read


def test_a_batch_far_away_is_found_at_once():
    made = mixture([3, 1], [1000, 77])
    started = time.process_time()
    far = drawn(made, 10**6)
    assert sum(made.counts(10**6).values()) == 6 * 10**6 and made.tokens(10**6) == 6
    assert time.process_time() - started < 0.2
    assert drawn(mixture([3, 1], [1000, 77]), 10**6) == far


def test_what_one_source_gives_is_counted_together_whatever_it_is_called_twice():
    twice = Batches([Source("rows", Rows([1] * 9))] * 2, ASK_ALL, 4, 0)
    assert twice.counts(3) == {"rows": 12}
