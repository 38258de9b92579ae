"""Makes one shard: rows → Parquet under its name, and a record of what was written. Runs in a worker process."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.behind import Behind
from hubkit.corpora.builder import Block, CorpusBuilder, Failure, blamed, too_many
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest, rows_sha256, type_name
from hubkit.corpora.layout import WORK, Shard
from hubkit.corpora.overlap import Sketch, sketch_path
from hubkit.corpora.plan import Plan
from hubkit.corpora.statistics import Statistics
from hubkit.errors import UserError
from hubkit.files import atomic_path, file_sha256, write_atomic


def check_schema(schema: pa.Schema) -> None:
    """Refuse a schema that Parquet does not give back: its rows would have another hash once they are read.

    Raises:
        UserError: Names the column and the type to declare instead.
    """
    for field in schema:
        if _holds_view(field.type):  # writing one in chunks that the content defines aborts the process
            raise UserError(f"column {field.name}: {field.type} can't be written to Parquet; declare it without _view")
        sink = pa.BufferOutputStream()
        try:
            pq.ParquetWriter(sink, pa.schema([field])).close()  # an empty table would be made by way of pandas
        except pa.ArrowNotImplementedError:
            raise UserError(f"column {field.name}: Parquet has no {field.type}; declare another type") from None
        back = pq.read_schema(pa.BufferReader(sink.getvalue())).field(0).type
        if type_name(back) != type_name(field.type):
            raise UserError(f"column {field.name}: Parquet gives {field.type} back as {back}; declare it as {back}")


def record_path(folder: Path, shard: Shard) -> Path:
    """Return where the record of a finished shard lies until the manifest is written."""
    return folder / WORK / f"{shard.name}.json"


def make_shard(
    builder: CorpusBuilder,
    shard: Shard,
    folder: Path,
    writer: dict[str, Any],
    plan: Plan,
    advance: Callable[[int], None],
) -> None:
    """Generate, write and sync one shard, then its record.

    Args:
        builder: Whose rows.
        shard: Which rows.
        folder: The corpus folder.
        writer: Options of the Parquet writer, as in the manifest.
        plan: Whether to sketch the rows, and how many exceptions to bear.
        advance: Called with the number of rows after each block.

    Raises:
        OSError: The disk is full or not writable; no half-written file keeps a final name.
        UserError: The builder says that its spec can't be met, gives other rows than it was asked for, or fails too
            often.
        RuntimeError: The builder failed; the message says on which rows, and the cause why.
    """
    noted = _Noted(builder.schema, plan.overlap)
    rejected, failures = 0, list[Failure]()
    group_rows = writer["row_group_rows"]
    with atomic_path(folder / shard.file) as temporary:
        with (
            pq.ParquetWriter(temporary, builder.schema, **_parquet_options(writer)) as parquet,
            Behind(noted.add, group_rows // BLOCK_ROWS) as note,  # mostly while a row group is written
        ):
            group: list[pa.RecordBatch] = []
            for block in checked_blocks(builder, shard.split, shard.start, shard.stop):
                note(block.rows)
                rejected += block.rejected
                if block.failures:
                    failures += block.failures
                    _bear(folder, shard, failures, plan.max_failures)
                group.append(block.rows)
                if len(group) * BLOCK_ROWS >= group_rows:
                    parquet.write_table(pa.Table.from_batches(group), group_rows)
                    group = []
                advance(block.rows.num_rows)
            if group:
                parquet.write_table(pa.Table.from_batches(group), group_rows)
        size, sha256 = temporary.stat().st_size, file_sha256(temporary)
    if noted.sketch:
        noted.sketch.write(sketch_path(folder, shard))
    record = {
        "shard": {
            "file": shard.file,
            "rows": shard.stop - shard.start,
            "bytes": size,
            "rows_sha256": rows_sha256(noted.digests),
            "file_sha256": sha256,
        },
        "digests": [digest.hex() for digest in noted.digests],
        "rejected": rejected,
        "failures": [{"split": shard.split} | failure._asdict() for failure in failures],
        "statistics": noted.statistics.state(),
    }
    write_atomic(record_path(folder, shard), json.dumps(record))


class _Noted:
    """What is kept of a shard's rows beside its file: their digests, their lengths, and hashes by which to compare."""

    def __init__(self, schema: pa.Schema, overlap: bool):
        self.digests: list[bytes] = []
        self.statistics = Statistics(schema)
        self.sketch = Sketch(schema) if overlap else None

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in the next block."""
        self.digests.append(block_digest(rows))
        self.statistics.add(rows)
        if self.sketch:
            self.sketch.add(rows)


def checked_blocks(builder: CorpusBuilder, split: str, start: int, stop: int) -> Iterator[Block]:
    """Yield the blocks of a range of rows from a builder, which may be anybody's code.

    Raises:
        UserError: A block has other rows or columns than were asked for.
        RuntimeError: The builder failed; the message says on which rows.
    """
    source = iter(builder.blocks(split, start, stop))
    for first in range(start, stop, BLOCK_ROWS):
        last = min(first + BLOCK_ROWS, stop)
        with blamed(builder, f"on rows {first} to {last - 1} of {split}"):
            block = next(source, None)
            rows = block.rows.num_rows if block else 0  # what is no block at all fails here, under the builder's name
        if block is None or rows != last - first or not block.rows.schema.equals(builder.schema):
            names = block.rows.schema.names if block else []
            raise UserError(
                f"{builder.name}.block({split!r}, {first}, {last}) returned {rows} rows of {names}; "
                f"{last - first} rows in its schema are needed"
            )
        yield block


def _bear(folder: Path, shard: Shard, failures: list[Failure], most: int) -> None:
    """Stop where the exceptions of this shard and of all finished ones are more than a build bears.

    Raises:
        UserError: Shows the last of them.
    """
    finished = (json.loads(path.read_bytes()) for path in (folder / WORK).glob("*-of-*.json"))
    count = len(failures) + sum(len(record["failures"]) for record in finished)
    if count > most:
        raise too_many(failures, most)


def finished_record(folder: Path, shard: Shard, thorough: bool = True) -> dict[str, Any] | None:
    """Return the record of a shard that an earlier run finished, if its file is still what the record says.

    Args:
        folder: The corpus folder.
        shard: Which one.
        thorough: Read the whole file and compare its hash; else its size.
    """
    try:
        record = json.loads(record_path(folder, shard).read_text())
        path = folder / shard.file
        same = path.stat().st_size == record["shard"]["bytes"]
        if same and (not thorough or file_sha256(path) == record["shard"]["file_sha256"]):
            return record
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _holds_view(type: pa.DataType) -> bool:
    views = (pa.types.is_string_view, pa.types.is_binary_view, pa.types.is_list_view, pa.types.is_large_list_view)
    inner = (type.field(index).type for index in range(type.num_fields))
    return any(is_view(type) for is_view in views) or any(_holds_view(part) for part in inner)


def _parquet_options(writer: dict[str, Any]) -> dict[str, Any]:
    return {
        "compression": writer["compression"],
        "compression_level": writer["compression_level"],
        "write_page_index": writer["page_index"],
        "use_content_defined_chunking": writer["content_defined_chunking"],
    }
