"""Rows as arrays: padding, and ranges of what is learnt."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.batching import learnt, padded

row = st.lists(st.booleans(), min_size=1, max_size=12)


def ranges(mask):
    """Return the [start, end) pairs of the true stretches of a row, one after the other."""
    edges = np.flatnonzero(np.diff([False, *mask, False]))
    return edges.tolist()


@given(st.lists(row, min_size=1, max_size=6))
def test_ranges_say_what_is_learnt(masks):
    ids, present = padded([np.arange(1, len(mask) + 1) for mask in masks], 0)
    found = learnt([np.array(ranges(mask), np.int32) for mask in masks], present)
    for mask, got, tokens in zip(masks, found, ids, strict=True):
        assert got[: len(mask)].tolist() == mask
        assert not got[len(mask) :].any()
        assert tokens[: len(mask)].tolist() == list(range(1, len(mask) + 1))


@pytest.mark.parametrize("wrong", [[0], [0, 4], [-1, 2], [0, 1, 2]])
def test_ranges_that_fit_no_row_are_refused(wrong):
    _, present = padded([np.arange(3), np.arange(9)], 0)
    with pytest.raises(ValueError, match="in the 3 tokens of a row"):
        learnt([np.array(wrong), np.array([], int)], present)


def test_the_rows_of_a_mixture_are_learnt_where_they_say():
    import tempfile
    from pathlib import Path

    from hubkit.corpora.job import prepare
    from hubkit.corpora.registry import find

    builder = find("seqthetic-identity", ["tokens=20K"]).builder
    with tempfile.TemporaryDirectory() as folder:
        prepare(builder, Path(folder))
        rows = next(builder.blocks("train", 0, 8)).rows
    _, present = padded([np.array(ids) for ids in rows["input_ids"].to_pylist()], 0)
    mask = learnt([np.array(flat) for flat in rows["loss"].to_pylist()], present)
    assert 0.3 < mask.sum() / present.sum() < 0.7, "about half of a sequence and its copy is the copy"
