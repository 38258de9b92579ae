"""Which rows go into which file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.corpora.layout import MOST_SHARDS, shard_plan, whole_blocks
from hubkit.errors import UserError

SPLITS = st.dictionaries(st.sampled_from(["train", "validation", "test"]), st.integers(1, 100_000), min_size=1)


@given(SPLITS, st.integers(1, 40))
def test_shards_cover_every_row_once_and_begin_on_blocks(splits, blocks):
    plan = shard_plan(splits, blocks * BLOCK_ROWS)
    assert list(dict.fromkeys(shard.split for shard in plan)) == list(splits)
    for split, rows in splits.items():
        shards = [shard for shard in plan if shard.split == split]
        assert [shard.index for shard in shards] == list(range(len(shards)))
        assert {shard.count for shard in shards} == {len(shards)}
        assert [shard.start for shard in shards] == [0, *(shard.stop for shard in shards[:-1])]
        assert shards[-1].stop == rows
        assert all(shard.start % BLOCK_ROWS == 0 for shard in shards)
        assert all(shard.stop - shard.start == blocks * BLOCK_ROWS for shard in shards[:-1])
        assert 0 < shards[-1].stop - shards[-1].start <= blocks * BLOCK_ROWS


def test_names_are_those_by_which_datasets_finds_the_split():
    plan = shard_plan({"train": 2049, "test": 1}, 1024)
    assert [shard.file for shard in plan] == [
        "data/train-00000-of-00003.parquet",
        "data/train-00001-of-00003.parquet",
        "data/train-00002-of-00003.parquet",
        "data/test-00000-of-00001.parquet",
    ]


@pytest.mark.parametrize("rows", [0, -1024, 1, 1023, 1025])
def test_shard_rows_that_cut_a_block_are_refused(rows):
    with pytest.raises(UserError, match=rf"shard_rows: {rows} is not a positive multiple of 1024"):
        shard_plan({"train": 10}, rows)


def test_more_files_than_the_hub_takes_are_refused():
    assert len(shard_plan({"train": MOST_SHARDS * 1024}, 1024)) == MOST_SHARDS
    with pytest.raises(UserError, match=r"shard_rows: 1024 rows a shard make 10,000 files.*raise it"):
        shard_plan({"train": MOST_SHARDS * 1024, "test": 1}, 1024)


@pytest.mark.parametrize(
    ("target", "row", "rows"),
    [(1, 1000, 1024), (1024 * 1000, 1000, 1024), (1024 * 2600, 1000, 3072), (2**28, 1600, 167936)],
)
def test_sizes_are_whole_blocks(target, row, rows):
    assert whole_blocks(target, row) == rows
