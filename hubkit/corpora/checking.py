"""The verdict on one shard: its file and its rows against the manifest, and against the rows that the spec gives."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.builder import Block, CorpusBuilder
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest, blocks, rows_sha256, type_name
from hubkit.corpora.manifest import Manifest, ShardRecord
from hubkit.corpora.registry import restore
from hubkit.corpora.shards import checked_blocks
from hubkit.errors import UserError
from hubkit.files import file_sha256

Advance = Callable[[int], None]

VERDICTS = ("regenerated", "rederived", "intact", "wrong")
"""From the strongest to the failure."""


class Finding(NamedTuple):
    """What was found out about one shard, or about the manifest itself."""

    file: str
    verdict: str
    """One of `VERDICTS`."""
    reason: str
    """Why it is no better; empty if there is nothing to say."""
    digests: tuple[bytes, ...] = ()
    """Of its blocks, where its rows were read."""


class Part(NamedTuple):
    """One shard of a split."""

    split: str
    start: int
    record: ShardRecord


class _NotMade(Exception):
    """The builder could not make the rows again."""


@dataclass
class Check:
    """Checks shards one by one; goes to worker processes."""

    folder: Path
    manifest: Manifest
    reference: str | None
    """The builder that makes the rows again; None if that can't be done."""
    reason: str
    """Why it can't."""
    spec: dict[str, Any] = field(default_factory=dict)
    prepared: Path = Path()
    rows: dict[str, int] | None = None
    """Rows of each split that the spec gives; None where that is not known."""
    columns: list[dict[str, str]] | None = None
    """The columns that the spec gives, likewise."""
    given: type[CorpusBuilder] | None = None
    """The family of the builder, where no reference leads to it; then the check stays in this process."""

    @cached_property
    def builder(self) -> CorpusBuilder:
        """The builder, prepared."""
        assert self.reference is not None
        given = self.given
        builder = given(given.spec_type.model_validate(self.spec)) if given else restore(self.reference, self.spec)
        builder.prepared = self.prepared
        return builder

    def __call__(self, part: Part, advance: Advance) -> Finding:
        """Check one shard, which is here in full."""
        path, record = self.folder / part.record.file, part.record
        if not path.is_file():
            return Finding(record.file, "wrong", "it is missing")
        same_file = path.stat().st_size == record.bytes and file_sha256(path) == record.file_sha256
        try:
            if self.reference is None and same_file:
                advance(record.rows)
                return Finding(record.file, "intact", self.reason)
            stored = blocks(_batches(path))
            finding = self._intact(part, stored) if self.reference is None else self._regenerated(part, stored, advance)
        except _NotMade as error:
            return Check(self.folder, self.manifest, None, f"its rows can't be made again: {error}")(part, advance)
        except (OSError, pa.ArrowException, UserError) as error:
            return Finding(record.file, "wrong", f"it is damaged: {' '.join(str(error).split())}")
        if finding.verdict != "wrong" and not same_file:
            remark = "its rows are the recorded ones, and its bytes are not: another writer made the file"
            return finding._replace(reason="; ".join(filter(None, (remark, finding.reason))))
        return finding

    def _intact(self, part: Part, stored: Iterator[pa.RecordBatch]) -> Finding:
        """Compare the rows of a file that is not the recorded one with their recorded hash."""
        if not part.record.file.endswith(".parquet"):  # text, whose types hang on the files beside it
            return Finding(part.record.file, "wrong", "its bytes are not the recorded ones")
        digests = tuple(block_digest(block) for block in stored)
        if rows_sha256(digests) == part.record.rows_sha256:
            return Finding(part.record.file, "intact", self.reason, digests)
        return Finding(part.record.file, "wrong", "neither its bytes nor its rows are the recorded ones")

    def _regenerated(self, part: Part, stored: Iterator[pa.RecordBatch], advance: Advance) -> Finding:
        """Make the rows again and compare them one block after the other."""
        file, start, digests = part.record.file, part.start, list[bytes]()
        made = self._made(part.split, start, start + part.record.rows)
        for block, found in zip_longest(made, stored):
            at = start + len(digests) * BLOCK_ROWS
            if block is None or found is None:
                return Finding(file, "wrong", f"{'more' if block is None else 'fewer'} rows than {part.record.rows:,}")
            digest = block_digest(block.rows)
            if digest != block_digest(found):
                return Finding(file, "wrong", _first_difference(part.split, at, block.rows, found))
            digests.append(digest)
            advance(found.num_rows)
        if rows_sha256(digests) != part.record.rows_sha256:
            return Finding(
                file, "wrong", "its rows are those of the spec, and the manifest records another hash of them"
            )
        return Finding(file, "rederived" if self.manifest.sources else "regenerated", "", tuple(digests))

    def _made(self, split: str, start: int, stop: int) -> Iterator[Block]:
        """Yield the blocks that the spec gives; whatever is wrong with them is the builder's or the manifest's."""
        try:
            yield from checked_blocks(self.builder, split, start, stop)
        except (UserError, RuntimeError) as error:
            raise _NotMade(str(error)) from None


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BLOCK_ROWS)


def _first_difference(split: str, start: int, made: pa.RecordBatch, found: pa.RecordBatch) -> str:
    """Say which row of a block is not the one that the spec gives, and in which column."""
    columns = [[(column.name, type_name(column.type)) for column in batch.schema] for batch in (made, found)]
    if columns[0] != columns[1]:
        return f"its columns are {columns[1]}, and those of the spec {columns[0]}"
    for row in range(min(made.num_rows, found.num_rows)):
        for name in made.schema.names:
            wanted, there = (batch.select([name]).slice(row, 1) for batch in (made, found))
            if block_digest(wanted) != block_digest(there):
                shown = [_shown(batch.column(0)[0].as_py()) for batch in (there, wanted)]
                return f"row {start + row} of {split} differs in {name}: {shown[0]} instead of {shown[1]}"
    return f"{found.num_rows} rows from row {start} of {split} on instead of {made.num_rows}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
