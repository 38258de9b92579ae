"""Every sequence is right by an independent definition, whatever the parameters, and hangs on nothing but its index."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.draws import halves
from hubkit.errors import UserError
from hubkit.sequences.mapping import Duplicate, Identity
from hubkit.sequences.ngram import NGram, language_weights
from hubkit.sequences.shortening import Deduplicate, Delete
from hubkit.sequences.sorting import FindArrayElement, SortBySequence, SortNumbers
from hubkit.sequences.vocabulary import Vocabulary

from . import slow

KEY = halves(0x1234567890ABCDEF1234567890ABCDEF)
DOMAINS = (Identity, Duplicate, Deduplicate, Delete, SortNumbers, SortBySequence, FindArrayElement, NGram)


def ranges(low, high):
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(
        lambda ends: {"min": min(ends), "max": max(ends)}
    )


VOCABULARY = st.fixed_dictionaries(
    {"size": st.integers(60, 90), "distribution": st.sampled_from(["uniform", "zipf", {"kind": "zipf", "alpha": 2.5}])}
)
DRAWN = {"vocabulary": VOCABULARY, "length": ranges(1, 60), "replacement": st.booleans()}
PARAMETERS = {
    Identity: DRAWN | {"reverse": st.booleans()},
    Duplicate: DRAWN | {"num_duplicate": ranges(1, 5)},
    Deduplicate: {
        "vocabulary": VOCABULARY,
        "length": ranges(1, 60),
        "unique_token_ratio": st.floats(0, 1),
        "repeat_token_ratio": st.floats(0, 1),
        "repeat_token_times": ranges(1, 5),
    },
    Delete: {
        "vocabulary": VOCABULARY,
        "length": ranges(11, 50),
        "seq_to_delete_length": ranges(1, 10),
        "should_delete_ratio": st.sampled_from([0, 0.5, 1]),
        "choose": st.sampled_from(["slice", "tokens"]),
    },
    SortNumbers: {
        "nums": st.tuples(st.integers(0, 50), st.sampled_from([60, 61, 5000])).map(
            lambda pair: {"min": pair[0], "max": sum(pair)}
        ),
        "length": ranges(1, 60),
        "replacement": st.booleans(),
        "descending": st.booleans(),
    },
    SortBySequence: {"vocabulary": VOCABULARY, "length": ranges(1, 60), "order_length": ranges(1, 60)},
    FindArrayElement: DRAWN | {"find": st.sampled_from(["element", "place"])},
    NGram: {"vocabulary": VOCABULARY, "length": ranges(1, 60), "gram_count": st.integers(1, 3)},
}


@pytest.mark.parametrize("kind", DOMAINS)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_sequences_are_right(kind, data):
    domain = kind.build(data.draw(st.fixed_dictionaries(PARAMETERS[kind])))
    key = halves(data.draw(st.integers(0, 2**128 - 1)))
    start = data.draw(st.integers(0, 2**40))
    indices = np.arange(start, start + 20, dtype=np.uint64)
    made = domain.generate(key, indices)
    assert len(made) == 20
    assert (domain.lengths(key, indices) == np.diff(made.offsets)).all()
    assert (made.tokens.dtype, made.offsets.dtype, made.loss.dtype) == (np.uint32, np.int64, np.int32)
    for i in range(20):
        getattr(slow, domain.domain)(domain, made.sequence(i).tolist(), made.ranges(i))


@pytest.mark.parametrize("kind", DOMAINS)
def test_a_sequence_hangs_on_its_index_alone(kind):
    domain = kind()
    whole = domain.generate(KEY, np.arange(50, dtype=np.uint64))
    some = domain.generate(KEY, np.array([30, 7, 49], np.uint64))
    for place, index in enumerate((30, 7, 49)):
        assert (some.sequence(place) == whole.sequence(index)).all()
        assert some.ranges(place) == whole.ranges(index)
    other = domain.generate(halves(1), np.arange(50, dtype=np.uint64))
    assert not np.array_equal(other.tokens, whole.tokens)
    assert len(domain.generate(KEY, np.empty(0, np.uint64))) == 0


GOLDEN = {
    "Identity": "d41a8d5419028028",
    "Duplicate": "972de3f8b71f76a9",
    "Deduplicate": "edc8b20bf23bab18",
    "Delete": "3bb1b9f247d18cea",
    "SortNumbers": "e47fc97981a40f83",
    "SortBySequence": "537ef2c85e558464",
    "FindArrayElement": "939c993728ee6b92",
    "NGram": "c2b657674fc1c4b3",
}
"""Of the first hundred sequences with default parameters."""


@pytest.mark.parametrize("kind", DOMAINS)
def test_golden(kind):
    made = kind().generate(KEY, np.arange(100, dtype=np.uint64))
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in made)).hexdigest()
    assert digest[:16] == GOLDEN[kind.__name__]


def test_every_length_of_a_range_occurs():
    made = Identity.build({"length": {"min": 3, "max": 6}}).generate(KEY, np.arange(400, dtype=np.uint64))
    counts = np.bincount(np.diff(made.offsets) // 2)
    assert (counts[3:] > 60).all() and counts.sum() == counts[3:7].sum()


@pytest.mark.parametrize("ratio", [0.25, 0.9])
def test_delete_finds_its_tokens_as_often_as_asked(ratio):
    domain = Delete(should_delete_ratio=ratio)
    made = domain.generate(KEY, np.arange(4000, dtype=np.uint64))
    inside = 0
    for i in range(4000):
        s, q, _ = slow.parts(domain, made.sequence(i).tolist())
        inside += q[0] in s
    assert abs(inside / 4000 - ratio) < 0.035


@pytest.mark.parametrize("gram_count", [1, 2, 3])
def test_ngrams_follow_their_table(gram_count):
    vocabulary = Vocabulary.build({"size": 3, "distribution": "zipf"})
    domain = NGram.build({"vocabulary": vocabulary.model_dump(), "length": 2000, "gram_count": gram_count})
    made = domain.generate(KEY, np.arange(100, dtype=np.uint64))
    counts = np.zeros((3 ** (gram_count - 1), 3))
    for i in range(100):
        row = made.sequence(i).astype(int)
        context = np.zeros(len(row) - gram_count + 1, int)
        for back in range(gram_count - 1):
            context = context * 3 + row[back : back + len(context)]
        np.add.at(counts, (context, row[gram_count - 1 :]), 1)
    weights = language_weights(vocabulary, gram_count, 0)
    expected = weights / weights.sum(axis=1, keepdims=True)
    totals = counts.sum(axis=1, keepdims=True)
    assert (np.abs(counts / totals - expected) <= 5 * np.sqrt(expected * (1 - expected) / totals)).all()


def test_languages_differ_and_are_the_same_in_every_stream():
    vocabulary = Vocabulary(size=20)
    assert not np.array_equal(language_weights(vocabulary, 2, 0), language_weights(vocabulary, 2, 1))
    weights = language_weights(vocabulary, 2, 0)
    assert ((weights > 0) & (weights < 1)).all() and abs(weights.mean() - 0.5) < 0.05


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (Identity, {"length": 501}, "length: 501 different tokens .* vocabulary of 500; lower length.max"),
        (Identity, {"length": {"min": 5, "max": 4}}, "min: 5 is above max"),
        (Identity, {"length": 0}, "min: 0 allows an empty sequence"),
        (Identity, {"lenght": 3}, "lenght is not a field"),
        (
            Identity,
            {"length": 3, "vocabulary": {"distribution": {"kind": "counts", "counts": [1, 0, 1]}}},
            "length: 3 different tokens .* vocabulary of 2",
        ),
        (Duplicate, {"num_duplicate": 0}, "min: 0"),
        (Duplicate, {"num_duplicate": 1_000_000}, "num_duplicate"),
        (Deduplicate, {"vocabulary": 10}, "unique_token_ratio: 50 different tokens"),
        (Deduplicate, {"repeat_token_ratio": 1.5}, "repeat_token_ratio"),
        (Delete, {"length": 10}, "seq_to_delete_length.max below length.min"),
        (Delete, {"vocabulary": 100}, "vocabulary.size to 110, or set should_delete_ratio=1"),
        (SortNumbers, {"nums": {"min": 5, "max": 9}, "replacement": False}, "length: 100 different numbers"),
        (SortBySequence, {"vocabulary": 10}, "order_length: 20 different tokens"),
        (FindArrayElement, {"length": 70_000, "replacement": True}, "65536 or less"),
        (NGram, {"gram_count": 3}, "gram_count: a table of 500\\^3 .* vocabulary.size to 203"),
    ],
)
def test_impossible_parameters(kind, values, message):
    with pytest.raises(UserError, match=message):
        kind.build(values)
