"""Draws inside compiled loops: addressed like the stream of blocks, fair, in range, and the same for ever."""

import math
from collections import Counter
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubkit.draws import below, between, halves, high_product, normal, normal_quantile, sample, seed, uniform, word
from hubkit.randomness import generator, stream_key

WORD = st.integers(0, 2**64 - 1)
KEY = st.integers(0, 2**128 - 1)
INDEX = st.integers(0, 2**63 - 1)


def state_of(key: int, index: int = 0, attempt: int = 0) -> np.ndarray:
    state = np.empty(4, np.uint64)
    seed(state, *halves(key), np.int64(index), np.int64(attempt))
    return state


def plain_words(words: list[int], count: int) -> list[int]:
    """xoshiro256++ as its authors write it, on Python's integers."""
    s, mask, drawn = list(words), 2**64 - 1, []

    def rotated(x: int, bits: int) -> int:
        return (x << bits | x >> (64 - bits)) & mask

    for _ in range(count):
        drawn.append((rotated((s[0] + s[3]) & mask, 23) + s[0]) & mask)
        shifted = s[1] << 17 & mask
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= shifted
        s[3] = rotated(s[3], 45)
    return drawn


def assert_fair(counts: list[int]) -> None:
    """Hold that equally likely outcomes came about equally often: chi square within six standard deviations."""
    expected = sum(counts) / len(counts)
    degrees = len(counts) - 1
    chi_square = sum((count - expected) ** 2 for count in counts) / expected
    assert abs(chi_square - degrees) < 6 * math.sqrt(2 * degrees)


@settings(deadline=None)
@given(WORD, WORD)
def test_the_high_word_of_a_product_is_exact(a, b):
    assert int(high_product(np.uint64(a), np.uint64(b))) == a * b >> 64


@settings(deadline=None)
@given(KEY)
def test_halves_make_up_the_key(key):
    low, high = halves(key)
    assert int(low) | int(high) << 64 == key


@settings(deadline=None)
@given(KEY, INDEX, INDEX)
def test_an_item_begins_with_the_block_of_its_address(key, index, attempt):
    expected = generator(key, index, attempt).bit_generator.random_raw(4).tolist()
    assert state_of(key, index, attempt).tolist() == expected


@settings(max_examples=50, deadline=None)
@given(KEY, INDEX)
def test_words_are_those_of_the_authors(key, index):
    state = state_of(key, index)
    expected = plain_words(state.tolist(), 10)
    assert [int(word(state)) for _ in range(10)] == expected


def test_the_words_are_these_for_ever():
    state = state_of(stream_key(0, "golden", "1", "train"), 7, 1)
    assert [int(word(state)) for _ in range(3)] == [0xEF3BFCD71F826EA8, 0x4B31BB0BA06B97F7, 0x3E01856808FF8F81]
    assert [int(below(state, 1000)) for _ in range(5)] == [541, 635, 5, 407, 407]
    assert [float(normal(state)).hex() for _ in range(3)] == [
        "0x1.e408dd3b06560p-1",
        "-0x1.91a093d5226f1p+1",
        "0x1.39216b9cfb9ddp-1",
    ]


@settings(deadline=None)
@given(KEY, st.integers(1, 2**63 - 1))
@example(0, 1)
def test_below_is_in_range(key, limit):
    state = state_of(key)
    assert all(0 <= below(state, limit) < limit for _ in range(8))


@settings(deadline=None)
@given(KEY, st.integers(-(2**40), 2**40), st.integers(0, 2**40))
def test_between_is_in_range(key, least, width):
    state = state_of(key)
    assert all(least <= between(state, least, least + width) <= least + width for _ in range(8))


@pytest.mark.parametrize("limit", [2, 3, 7, 10, 64, 1000])
def test_below_is_fair(limit):
    state = state_of(limit)
    counts = Counter(int(below(state, limit)) for _ in range(100 * limit))
    assert_fair([counts[value] for value in range(limit)])


def test_below_is_fair_where_words_do_not_divide_evenly():
    """For 3·2**62 outcomes a plain product would give every third of them twice as often as the others."""
    state, limit = state_of(5), 3 << 61
    draws = [int(below(state, limit)) for _ in range(3000)]
    assert_fair([Counter(draw % 3 for draw in draws)[rest] for rest in range(3)])
    assert_fair([Counter(draw * 3 // limit for draw in draws)[third] for third in range(3)])


def test_uniform_stays_inside_and_spreads_evenly():
    state = state_of(11)
    draws = np.array([uniform(state) for _ in range(20_000)])
    assert draws.min() > 0
    assert draws.max() < 1
    assert_fair(np.histogram(draws, 50, (0, 1))[0].tolist())


@settings(max_examples=300, deadline=None)
@given(st.floats(1e-300, 1 - 2**-53))
@example(0.5)
@example(0.075)
@example(0.925)
@example(2**-53)
@example(1 - 2**-53)
@example(1.4e-11)  # where the far tail begins
def test_normal_quantile_is_that_of_the_standard_library(p):
    assert normal_quantile(p) == pytest.approx(NormalDist().inv_cdf(p), rel=2e-14, abs=1e-16)


def test_normals_have_the_moments_of_a_normal():
    state = state_of(12)
    draws = np.array([normal(state) for _ in range(40_000)])
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((draws**power).mean() - moment) < 5 * math.sqrt(variance / len(draws))


@settings(deadline=None)
@given(KEY, st.integers(1, 60), st.data())
def test_sample_keeps_the_elements(key, size, data):
    pool, count = np.arange(size, dtype=np.int64), data.draw(st.integers(0, size))
    sample(state_of(key), pool, count)
    assert sorted(pool.tolist()) == list(range(size))


def test_sample_is_fair():
    counts = Counter()
    for index in range(6000):
        pool = np.arange(5, dtype=np.int64)
        sample(state_of(13, index), pool, 2)
        counts[tuple(pool[:2].tolist())] += 1
    assert_fair([counts[a, b] for a in range(5) for b in range(5) if a != b])
