"""Which rows go into which file: the shard plan and the folder's names."""

from collections.abc import Mapping
from dataclasses import dataclass

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.errors import UserError

WORK = ".hubkit-build"
"""Folder of a build's unfinished business: the plan, the preparation, a record a finished shard, the lock."""

LOCK = "lock"
"""In that folder: held by the process that builds."""

SHARD_BYTES = 256 << 20
"""Aim for the rows of a shard, uncompressed; text compresses to a third, so files stay well under the Hub's 500 MB."""

ROW_GROUP_BYTES = 32 << 20
"""Aim for a row group, uncompressed: what a reader that wants one row has to fetch."""


MOST_SHARDS = 9_999
"""The Hub takes fewer than 10,000 files in a folder."""


@dataclass(frozen=True)
class Shard:
    """Rows `start` to `stop` (exclusive) of a split, in one file."""

    split: str
    index: int
    count: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """``train-00000-of-00004``: the spelling by which `datasets` finds the split."""
        return f"{self.split}-{self.index:05d}-of-{self.count:05d}"

    @property
    def file(self) -> str:
        """Path inside the corpus folder."""
        return f"data/{self.name}.parquet"


def whole_blocks(target_bytes: int, row_bytes: int) -> int:
    """Return how many rows, in whole blocks, come to about `target_bytes`."""
    return max(1, round(target_bytes / row_bytes / BLOCK_ROWS)) * BLOCK_ROWS


def shard_plan(splits: Mapping[str, int], shard_rows: int) -> list[Shard]:
    """Cut every split into shards of `shard_rows` rows (the last may be shorter).

    Raises:
        UserError: `shard_rows` is not a positive multiple of the block size, or so small that there are too many files.
    """
    if shard_rows <= 0 or shard_rows % BLOCK_ROWS:
        raise UserError(f"shard_rows: {shard_rows} is not a positive multiple of {BLOCK_ROWS}, the rows of a block")
    counts = {split: -(-rows // shard_rows) for split, rows in splits.items()}
    if sum(counts.values()) > MOST_SHARDS:
        raise UserError(
            f"shard_rows: {shard_rows} rows a shard make {sum(counts.values()):,} files, and a folder on the Hub takes "
            f"{MOST_SHARDS:,}; raise it"
        )
    plan = []
    for split, rows in splits.items():
        count = counts[split]
        for index in range(count):
            plan.append(Shard(split, index, count, index * shard_rows, min(rows, (index + 1) * shard_rows)))
    return plan
