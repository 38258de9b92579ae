"""Draws follow their distribution, with replacement and without, and depend on nothing that was drawn before."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.draws import halves, seed
from hubkit.errors import UserError
from hubkit.kernels import kernel
from hubkit.sequences.vocabulary import Vocabulary, draw_sequence


@kernel
def _drawn(key_low, key_high, table, pool, rows, length, replacement):
    state, out = np.empty(4, np.uint64), np.empty((rows, length), np.uint32)
    for i in range(rows):
        seed(state, key_low, key_high, i, 0)
        draw_sequence(state, table, pool, replacement, out[i])
    return out


def drawn(vocabulary, rows, length, replacement, key=1):
    pool = vocabulary.pool()
    out = _drawn(*halves(key), vocabulary.table, pool, rows, length, replacement)
    assert (pool == vocabulary.pool()).all(), "the pool is left as it was"
    return out


VOCABULARIES = {
    "uniform": Vocabulary(size=6),
    "zipf": Vocabulary.build({"size": 6, "distribution": "zipf"}),
    "steep": Vocabulary.build({"size": 6, "distribution": {"kind": "zipf", "alpha": 3, "beta": 0}}),
    "counts": Vocabulary.build({"distribution": {"kind": "counts", "counts": [5, 0, 1, 2, 0, 9]}}),
}


def probabilities(vocabulary):
    weights = vocabulary.table.weights if len(vocabulary.table.weights) else np.ones(vocabulary.size)
    return weights / weights.sum()


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_frequencies_with_replacement(vocabulary):
    out = drawn(vocabulary, 40_000, 5, True)
    p = probabilities(vocabulary)
    deviation = np.abs(np.bincount(out.ravel(), minlength=vocabulary.size) / out.size - p)
    assert (deviation <= 5 * np.sqrt(p * (1 - p) / out.size)).all()


@pytest.mark.parametrize("vocabulary", VOCABULARIES.values(), ids=VOCABULARIES)
def test_pairs_without_replacement_are_drawn_one_after_the_other(vocabulary):
    out = drawn(vocabulary, 60_000, 2, False)
    p = probabilities(vocabulary)
    counts = np.zeros((vocabulary.size, vocabulary.size))
    np.add.at(counts, (out[:, 0], out[:, 1]), 1)
    expected = p[:, None] * p[None, :] / (1 - p[:, None])
    np.fill_diagonal(expected, 0)
    deviation = np.abs(counts / len(out) - expected)
    assert (deviation <= 5 * np.sqrt(expected * (1 - expected) / len(out))).all()


def test_the_keys_that_replace_long_rejection_are_the_same_distribution():
    # Of two likely tokens and three very unlikely ones, the last three come by keys in almost every row.
    weights = [1e9, 1e9, 3, 2, 1]
    vocabulary = Vocabulary.build({"distribution": {"kind": "counts", "counts": weights}})
    out = drawn(vocabulary, 40_000, 5, False)
    assert (np.sort(out, axis=1) == np.arange(5)).all()
    third = np.bincount(out[:, 2], minlength=5)[2:] / len(out)
    assert np.abs(third - [3 / 6, 2 / 6, 1 / 6]).max() < 0.0125
    after_first = out[out[:, 2] == 2][:, 3]
    assert abs((after_first == 3).mean() - 2 / 3) < 0.02


@given(st.integers(1, 200), st.floats(0, 10), st.integers(0, 2**64))
@settings(max_examples=40, deadline=None)
def test_all_tokens_come_once_when_as_many_are_drawn(size, alpha, key):
    vocabulary = Vocabulary.build({"size": size, "distribution": {"kind": "zipf", "alpha": alpha}})
    assert (np.sort(drawn(vocabulary, 3, size, False, key), axis=1) == np.arange(size)).all()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=50).filter(any))
@settings(max_examples=50, deadline=None)
def test_alias_tables_hold_the_weights(counts):
    table = Vocabulary.build({"distribution": {"kind": "counts", "counts": counts}}).table
    held = np.zeros(len(counts))
    for slot, (threshold, alias) in enumerate(zip(table.thresholds.tolist(), table.aliases.tolist(), strict=True)):
        held[slot] += threshold / 2**64
        held[alias] += 1 - threshold / 2**64
    np.testing.assert_allclose(held / len(counts), np.array(counts) / sum(counts), atol=1e-12)
    assert (held[np.array(counts) == 0] == 0).all()


def test_zipf_is_mandelbrots_formula():
    vocabulary = Vocabulary.build({"size": 1000, "distribution": {"kind": "zipf", "alpha": 1.3, "beta": 2.7}})
    ranks = np.arange(1000)
    np.testing.assert_allclose(vocabulary.table.weights, 1 / (ranks + 1 + 2.7) ** 1.3, rtol=1e-14)


def test_counts_are_read_from_files_into_the_spec(tmp_path):
    lines, values = tmp_path / "counts.txt", tmp_path / "counts.json"
    lines.write_text("the 12\nof 5\nand 0.5\n")
    values.write_text(json.dumps([12, 5, 0.5]))
    specs = [
        Vocabulary.build({"distribution": {"kind": "counts", "counts": source}})
        for source in (str(lines), str(values), [12, 5, 0.5])
    ]
    assert specs[0].sha256 == specs[1].sha256 == specs[2].sha256
    assert specs[0].size == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "size"),
        ({"size": 3, "distribution": {"kind": "counts", "counts": [1, 2]}}, "leave size out"),
        ({"distribution": {"kind": "counts", "counts": [0, 0]}}, "counts: all of them are 0"),
        ({"distribution": {"kind": "counts", "counts": [1, -2]}}, "counts"),
        ({"distribution": {"kind": "counts", "counts": "/nowhere/counts"}}, "can't read /nowhere/counts"),
        ({"distribution": {"kind": "zipf", "alpha": -1}}, "alpha"),
        ({"distribution": "normal"}, "uniform"),
    ],
)
def test_impossible_vocabularies(values, message):
    with pytest.raises(UserError, match=message):
        Vocabulary.build(values)
