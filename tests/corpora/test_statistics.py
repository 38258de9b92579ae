"""What a build notes of its columns: lengths, their histogram, and values where they are few."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.corpora.histogram import BITS, Histogram, bin_starts, bin_stop, coarser
from hubkit.corpora.manifest import ColumnStatistics
from hubkit.corpora.statistics import Statistics
from hubkit.corpora.value_counts import LONGEST, MOST_VALUES, ValueCounts, is_countable

LENGTHS = st.lists(st.integers(0, (1 << 53) - 1) | st.integers(0, 300), min_size=1, max_size=40)


def histogram(lengths: list[int]) -> Histogram:
    made = Histogram()
    made.add(np.array(lengths, np.int64))
    return made


def test_bins_follow_each_other_without_a_gap_and_are_narrow():
    starts = bin_starts(1568)
    assert starts[:2] == [0, 1] and starts[63:67] == [63, 64, 66, 68]
    assert [bin_stop(start) for start in starts[:-1]] == starts[1:]
    assert bin_stop(starts[-1]) == 1 << 53
    assert all((bin_stop(start) - start) * 2**BITS <= max(start, 2**BITS) for start in starts)


@given(LENGTHS, st.integers(0, BITS))
def test_every_length_is_in_its_bin_at_every_fineness(lengths, bits):
    coarse = coarser(histogram(lengths).by_start(), bits)
    assert list(coarse) == sorted(coarse)
    for start, count in coarse.items():
        assert count == sum(start <= length < bin_stop(start, bits) for length in lengths) > 0
    assert sum(coarse.values()) == len(lengths)


@given(LENGTHS, st.integers(0, 40))
def test_histograms_of_parts_join_to_that_of_the_whole(lengths, cut):
    joined = Histogram()
    for part in (lengths[:cut], lengths[cut:]):
        joined.join(json.loads(json.dumps(histogram(part).state())))
    assert joined.state() == histogram(lengths).state()


VALUES = {
    pa.string(): st.sampled_from(["copy", "reverse", "", "null"]) | st.text(max_size=3),
    pa.int16(): st.integers(-5, 25),
    pa.bool_(): st.booleans(),
    pa.dictionary(pa.int8(), pa.large_string()): st.sampled_from("abc"),
}


@pytest.mark.parametrize("type", VALUES, ids=str)
def test_values_are_counted_exactly_whatever_the_parts(type):
    @given(st.lists(VALUES[type] | st.none(), max_size=60), st.integers(0, 60))
    def check(values, cut):
        whole, joined = ValueCounts(), ValueCounts()
        whole.add(pa.array(values, type))
        for part in (values[:cut], values[cut:]):
            some = ValueCounts()
            some.add(pa.array(part, type))
            joined.join(json.loads(json.dumps(some.state())))
        assert joined.state() == whole.state()
        few = len(set(values)) <= MOST_VALUES
        assert (dict(whole.state() or ()) == {v: values.count(v) for v in values}) if few else whole.state() is None

    check()


def test_too_many_values_or_too_long_ones_are_not_counted():
    for values in ([str(i) for i in range(MOST_VALUES + 1)], ["a"] * 100 + ["x" * (LONGEST + 1)]):
        counts = ValueCounts()
        counts.add(pa.array(["a"]))
        counts.add(pa.array(values))
        counts.add(pa.array(["a"]))
        assert counts.state() is None
        late = ValueCounts()
        late.join([("a", 1)])
        late.join(counts.state())
        assert late.state() is None


def test_bytes_that_are_no_text_are_no_values():
    counts = ValueCounts()
    counts.add(pa.array([b"\xff"]).view(pa.string()))
    assert counts.state() is None


def test_what_is_no_name_of_a_class_is_not_counted():
    assert [is_countable(type) for type in (pa.uint64(), pa.bool_(), pa.string())] == [True] * 3
    assert not any(is_countable(type) for type in (pa.float32(), pa.list_(pa.int8()), pa.date32(), pa.binary()))


def test_the_manifest_gives_values_back_with_their_types():
    schema = pa.schema(
        {"b": pa.bool_(), "i": pa.int8(), "s": pa.string(), "none": pa.string(), "l": pa.list_(pa.int8())}
    )
    columns = [[True, False, None], [1, 0, 1], ["1", "true", None], [None] * 3, [[], [1] * 70, None]]
    statistics = Statistics(schema)
    statistics.add(pa.record_batch([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema))
    told = statistics.summary()
    back = {
        name: ColumnStatistics.model_validate_json(json.dumps(c.model_dump(mode="json"))) for name, c in told.items()
    }
    assert back == told
    assert [type(value) for value, _ in back["b"].values or ()] == [bool, bool, type(None)]
    assert back["i"].values == [(0, 1), (1, 2)]
    assert back["s"].values == [("1", 1), ("true", 1), (None, 1)]
    assert back["l"].items is not None and back["l"].items.histogram == {0: 1, 70: 1}
    assert "none" not in back
