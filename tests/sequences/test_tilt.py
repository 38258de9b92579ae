"""Random tokens and random parentheses: that they match, and where they close."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.sequences.base import Range
from hubkit.sequences.tilt import DOMAINS, FlatParentheses, NestingParentheses, UniformTokens, UnigramTokens
from hubkit.sequences.vocabulary import Vocabulary

from .drawn import KEY, assert_sequences_stand_alone, assert_well_formed, golden, sequences

LENGTHS = st.tuples(st.integers(1, 60), st.integers(1, 60)).map(lambda ends: Range(min=min(ends), max=max(ends) + 1))
SOME = settings(max_examples=40, deadline=None)


def nests(tokens: list[int]) -> bool:
    """Say whether some way of reading each token as an opening or a closing one nests: all prefixes by hand."""
    stacks = {()}
    for token in tokens:
        opened = {(*stack, token) for stack in stacks}
        closed = {stack[:-1] for stack in stacks if stack and stack[-1] == token}
        stacks = {stack for stack in opened | closed if len(stack) <= 6}
    return () in stacks


def closes(free: list[int], target: int) -> int:
    """Return the free place nearest to a target, of two the farther one."""
    return min(free, key=lambda place: (abs(place - target), -place))


@pytest.mark.parametrize(
    ("domain", "rows"),
    [
        (UniformTokens(length=Range(min=5, max=50)), "59d091edb3f72448"),
        (UnigramTokens(length=Range(min=5, max=50)), "9bf78a69f265f6cf"),
        (NestingParentheses(length=Range(min=5, max=50)), "23feeae0d86ca877"),
        (FlatParentheses(length=Range(min=5, max=50)), "ea65a2a1426ef125"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.domain,
)
def test_the_rows_are_these_for_ever(domain, rows):
    assert golden(domain) == rows


@pytest.mark.parametrize("kind", DOMAINS)
def test_sequences_stand_alone(kind):
    assert_sequences_stand_alone(kind(length=Range(min=2, max=40)))


@SOME
@given(st.sampled_from(DOMAINS), LENGTHS, st.integers(0, 2**63))
def test_lengths_are_in_range_and_all_is_learnt(kind, length, seed):
    domain = kind(length=length, vocabulary=Vocabulary(size=30))
    drawn = sequences(domain, 20, seed=seed)
    assert_well_formed(domain, drawn)
    lengths = np.diff(drawn.offsets)
    assert length.min <= lengths.min()
    assert lengths.max() <= length.max
    assert not drawn.loss[::2].any()


@pytest.mark.parametrize("kind", DOMAINS)
def test_lengths_are_told_without_the_tokens(kind):
    domain = kind(length=Range(min=3, max=90))
    indices = np.arange(50, dtype=np.uint64)
    assert domain.lengths(KEY, indices).tolist() == np.diff(domain.generate(KEY, indices).offsets).tolist()


def test_tokens_have_their_frequencies():
    for domain, weights in (
        (UniformTokens(vocabulary=8), [1.0] * 8),
        (
            UnigramTokens(vocabulary=Vocabulary(size=8, distribution={"kind": "zipf"})),
            [1 / (r + 3.7) for r in range(8)],
        ),
        (UnigramTokens(vocabulary=Vocabulary(distribution={"counts": [5, 0, 3, 2]})), [5, 0, 3, 2]),
    ):
        tokens = sequences(domain, 200).tokens
        shares = np.bincount(tokens, minlength=len(weights)) / len(tokens)
        np.testing.assert_allclose(shares, np.array(weights) / sum(weights), atol=5 * 0.5 / len(tokens) ** 0.5)


@SOME
@given(LENGTHS, st.floats(0, 1), st.integers(0, 2**63))
def test_nesting_parentheses_nest(length, probability, seed):
    domain = NestingParentheses(length=length, open_probability=probability, vocabulary=1000)
    drawn = sequences(domain, 10, seed=seed)
    for i in range(10):
        tokens, stack = drawn.sequence(i).tolist(), []
        counts = Counter(tokens)
        assert all(count % 2 == 0 for count in counts.values())
        if all(count == 2 for count in counts.values()):  # then each token opens first and closes next
            for token in tokens:
                if token in stack:
                    assert stack.pop() == token
                else:
                    stack.append(token)
            assert not stack


def test_nesting_parentheses_of_few_tokens_nest_in_some_reading():
    domain = NestingParentheses(length=Range(min=2, max=12), vocabulary=2)
    drawn = sequences(domain, 100)
    assert all(nests(drawn.sequence(i).tolist()) for i in range(100))


@pytest.mark.parametrize("probability", [0.1, 0.4, 0.5, 1.0])
def test_parentheses_open_as_often_as_they_are_asked_to(probability):
    """A sequence of four either nests (abba) or not (aabb): the second token decides."""
    drawn = sequences(NestingParentheses(length=4, open_probability=probability), 4000)
    rows = drawn.tokens.reshape(-1, 4)
    rows = rows[rows[:, 0] != rows[:, 2]]  # a a a a says nothing
    deep = (rows[:, 0] == rows[:, 3]) & (rows[:, 1] == rows[:, 2])
    assert abs(deep.mean() - probability) < 0.04


@SOME
@given(LENGTHS, st.lists(st.sampled_from([0.0, 1.0, 3.0]), min_size=1, max_size=9).filter(any), st.integers(0, 2**63))
def test_flat_parentheses_close_near_a_distance_that_occurs(length, distances, seed):
    domain = FlatParentheses(length=length, distances=distances, vocabulary=2**24)
    drawn = sequences(domain, 10, seed=seed)
    for i in range(10):
        tokens = drawn.sequence(i).tolist()
        free = set(range(len(tokens)))
        if len(set(tokens)) * 2 < len(tokens):
            continue  # one id in 2**24 came twice
        for at, token in enumerate(tokens):
            if at in free:
                free.remove(at)
                place = tokens.index(token, at + 1)
                targets = [min(at + d, len(tokens) - 1) for d, weight in enumerate(distances, 1) if weight]
                assert place in {closes(sorted(free), target) for target in targets}
                free.remove(place)
        assert not free


def test_the_first_distance_is_geometric():
    mean, rows = 2.543, sequences(FlatParentheses(length=200, vocabulary=2**24), 4000).tokens.reshape(-1, 200)
    distances = (rows[:, 1:] == rows[:, :1]).argmax(1) + 1  # all places are still free
    for distance in (1, 2, 3, 5):
        share = (1 - 1 / mean) ** (distance - 1) / mean
        assert abs((distances == distance).mean() - share) < 5 * (share / 4000) ** 0.5
    assert abs(distances.mean() - mean) < 0.2


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (NestingParentheses, {"length": 7}, "no even number from 7 to 7.*raise length.max by 1"),
        (FlatParentheses, {"length": 1}, "no even number from 1 to 1"),
        (NestingParentheses, {"open_probability": 1.5}, "open_probability: .*less than or equal to 1.*1.5"),
        (FlatParentheses, {"distances": [0, 0]}, "distances: all of them are 0"),
        (FlatParentheses, {"mean_distance": 0.5}, "mean_distance: .*greater than or equal to 1"),
        (UniformTokens, {"length": 0}, "length: min: 0 allows an empty sequence"),
    ],
)
def test_what_is_impossible_is_refused_by_name(kind, values, message):
    with pytest.raises(UserError, match=message):
        kind.build(values)
