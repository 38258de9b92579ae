"""Rows and windows: how tokens become sequences."""

import datasets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hubkit.data.reading import ReadingSpec, Rows, Windows
from hubkit.data.tokens import TokenRows
from hubkit.errors import UserError

documents = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=12), min_size=1, max_size=10)


def token_rows(ids: list[list[int]]) -> TokenRows:
    return TokenRows(datasets.Dataset.from_dict({"input_ids": ids}))


@given(documents, st.integers(1, 20), st.integers(1, 25))
@settings(max_examples=100, deadline=None)
def test_windows_are_slices_of_all_rows_one_after_the_other(ids, length, stride):
    everything = [id for row in ids for id in row]
    if len(everything) < length:
        with pytest.raises(UserError, match=r"reading\.length: here has \d+ tokens, fewer than a window of"):
            ReadingSpec(form="windows", length=length, stride=stride).make(token_rows(ids), 0, "here")
        return
    made = ReadingSpec(form="windows", length=length, stride=stride).make(token_rows(ids), 0, "here")
    slices = [everything[begin : begin + length] for begin in range(0, len(everything) - length + 1, stride)]
    assert [made[number].ids.tolist() for number in range(len(made))] == slices
    assert made.lengths.tolist() == [length] * len(slices)
    assert not made[0].whole and made[0].breaks is None


@given(documents, st.integers(2, 20), st.integers(1, 25))
@settings(max_examples=100, deadline=None)
def test_a_window_knows_where_documents_begin(ids, length, stride):
    of = np.repeat(np.arange(len(ids)), [len(row) for row in ids])
    if len(of) < length:
        return
    made = Windows(token_rows(ids), length, stride, isolate=True, source="here")
    for number in range(len(made)):
        expected = of[number * stride : number * stride + length]
        assert made[number].breaks.tolist() == (np.flatnonzero(np.diff(expected)) + 1).tolist()


@given(documents, st.integers(2, 20))
@settings(max_examples=60, deadline=None)
def test_without_a_stride_each_token_is_asked_for_at_most_once(ids, length):
    # A window that needs a token in front of the first that is asked shares it with the window before.
    tokens = sum(map(len, ids))
    for more in (0, 1):
        if tokens < length + more:
            continue
        made = ReadingSpec(form="windows", length=length).make(token_rows(ids), more, "here")
        asked = [place for number in range(len(made)) for place in range(number * length + more, (number + 1) * length)]
        assert len(set(asked)) == len(asked)
        assert made.lengths[0] == length + more and len(made) == (tokens - more) // length


def test_rows_are_read_as_they_are():
    made = ReadingSpec().make(token_rows([[1, 2], [3, 4, 5]]), 1, "here")
    assert isinstance(made, Rows) and len(made) == 2
    assert made[1].ids.tolist() == [3, 4, 5] and made[1].whole
    assert made.lengths.tolist() == [2, 3]


def test_rows_that_can_not_be_sequences_are_refused():
    rows = token_rows([[1, 2], [3], [3, 4, 5]])
    with pytest.raises(UserError, match=r"reading\.length: row 2 of here has 3 tokens, more than 2; raise it, or read"):
        ReadingSpec(length=2).make(rows, 0, "here")
    with pytest.raises(
        UserError, match=r"reading\.form: row 1 of here has a single token, and no other .*; leave such"
    ):
        ReadingSpec().make(rows, 1, "here")
    assert len(ReadingSpec(length=3).make(rows, 0, "here")) == 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"form": "windows"}, "length is missing: say how many tokens a window has, such as 256"),
        ({"stride": 3}, "stride is for windows, and form is rows; leave it out, or set form to windows"),
        ({"isolate": True}, "isolate is for windows, and form is rows"),
    ],
)
def test_settings_that_say_nothing_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        ReadingSpec(**values)
