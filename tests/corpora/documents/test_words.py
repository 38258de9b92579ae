"""Words as `str.split` finds them; splits by hash as exact fractions say."""

from fractions import Fraction

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.documents.shares import split_numbers
from hubkit.corpora.documents.words import count_words

SPACES = st.sampled_from(" \t\n\x0b\x1c\x1f\x85\xa0\u1680\u2000\u200a\u200b\u2028\u2029\u202f\u205f\u3000")
TEXTS = st.text(SPACES | st.sampled_from("a\x08\x0e\x7fé€ーâ\U0001f600") | st.characters(codec="utf-8"), max_size=30)


@given(st.lists(TEXTS | st.text("ab \n\x1d\x08!", max_size=100), max_size=20))
@settings(max_examples=200, deadline=None)
def test_words_are_those_of_split(texts):
    array = pa.array(texts, pa.large_string())
    assert count_words(array).tolist() == [len(text.split()) for text in texts]
    assert count_words(array[3:]).tolist() == [len(text.split()) for text in texts[3:]]


def test_every_character():
    texts = [f"a{chr(code)}b" for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
    counts = count_words(pa.array(texts, pa.large_string()))
    assert counts.tolist() == [len(text.split()) for text in texts]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5), st.lists(st.integers(0, 2**64 - 1)))
@settings(max_examples=100, deadline=None)
def test_splits_are_exact_shares(shares, keys):
    exact = [Fraction(repr(share)) for share in shares]
    ends = [sum(exact[: number + 1]) / sum(exact) for number in range(len(exact))]
    expected = [next(number for number, end in enumerate(ends) if key < int(end * 2**64)) for key in keys]
    assert split_numbers(np.array(keys, np.uint64), shares).tolist() == expected


def test_decimal_shares_are_a_whole():
    ends = [0.98, 0.99, 1]
    edges = np.array([int(Fraction(str(end)) * 2**64) for end in ends[:2]], np.uint64)
    assert split_numbers(np.array([0, *(edges - 1), *edges, 2**64 - 1], np.uint64), [0.98, 0.01, 0.01]).tolist() == [
        0, 0, 1, 1, 2, 2,
    ]  # fmt: skip
