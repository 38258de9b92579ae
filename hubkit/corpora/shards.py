"""Makes one shard: rows → Parquet under its name, and a record of what was written. Runs in a worker process."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hubkit.corpora.builder import Block, CorpusBuilder
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest, rows_sha256, type_name
from hubkit.corpora.layout import Shard
from hubkit.corpora.manifest import Characters, ColumnStatistics
from hubkit.errors import UserError
from hubkit.files import atomic_path, file_sha256, write_atomic

WORK = ".hubkit-build"
"""Folder of a build's unfinished business: the plan, a record a finished shard, the lock."""


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
            pq.write_table(pa.schema([field]).empty_table(), sink)
        except pa.ArrowNotImplementedError:
            raise UserError(f"column {field.name}: Parquet has no {field.type}; declare another type") from None
        back = pq.read_schema(pa.BufferReader(sink.getvalue())).field(0).type
        if type_name(back) != type_name(field.type):
            raise UserError(f"column {field.name}: Parquet gives {field.type} back as {back}; declare it as {back}")


def record_path(folder: Path, shard: Shard) -> Path:
    """Return where the record of a finished shard lies until the manifest is written."""
    return folder / WORK / f"{shard.name}.json"


def make_shard(
    builder: CorpusBuilder, shard: Shard, folder: Path, writer: dict[str, Any], advance: Callable[[int], None]
) -> None:
    """Generate, write and sync one shard, then its record.

    Args:
        builder: Whose rows.
        shard: Which rows.
        folder: The corpus folder.
        writer: Options of the Parquet writer, as in the manifest.
        advance: Called with the number of rows after each block.

    Raises:
        OSError: The disk is full or not writable; no half-written file keeps a final name.
        UserError: The builder says that its spec can't be met, or gives other rows than it was asked for.
        RuntimeError: The builder failed; the message says on which rows, and the cause why.
    """
    digests: list[bytes] = []
    statistics = TextStatistics(builder.schema)
    rejected = 0
    with atomic_path(folder / shard.file) as temporary:
        with pq.ParquetWriter(temporary, builder.schema, **_parquet_options(writer)) as parquet:
            group: list[pa.RecordBatch] = []
            for start in range(shard.start, shard.stop, BLOCK_ROWS):
                stop = min(start + BLOCK_ROWS, shard.stop)
                block = _block(builder, shard.split, start, stop)
                digests.append(block_digest(block.rows))
                statistics.add(block.rows)
                rejected += block.rejected
                group.append(block.rows)
                if len(group) * BLOCK_ROWS >= writer["row_group_rows"] or stop == shard.stop:
                    parquet.write_table(pa.Table.from_batches(group), writer["row_group_rows"])
                    group = []
                advance(block.rows.num_rows)
        size, sha256 = temporary.stat().st_size, file_sha256(temporary)
    record = {
        "shard": {
            "file": shard.file,
            "rows": shard.stop - shard.start,
            "bytes": size,
            "rows_sha256": rows_sha256(digests),
            "file_sha256": sha256,
        },
        "digests": [digest.hex() for digest in digests],
        "rejected": rejected,
        "characters": statistics.state(),
    }
    write_atomic(record_path(folder, shard), json.dumps(record))


def finished_record(folder: Path, shard: Shard) -> dict[str, Any] | None:
    """Return the record of a shard that an earlier run finished, if its file is still what the record says."""
    try:
        record = json.loads(record_path(folder, shard).read_text())
        path = folder / shard.file
        if path.stat().st_size == record["shard"]["bytes"] and file_sha256(path) == record["shard"]["file_sha256"]:
            return record
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _holds_view(type: pa.DataType) -> bool:
    views = (pa.types.is_string_view, pa.types.is_binary_view, pa.types.is_list_view, pa.types.is_large_list_view)
    inner = (type.field(index).type for index in range(type.num_fields))
    return any(is_view(type) for is_view in views) or any(_holds_view(part) for part in inner)


def _block(builder: CorpusBuilder, split: str, start: int, stop: int) -> Block:
    """Return a block from the builder, which may be anybody's code."""
    try:
        block = builder.block(split, start, stop)
    except UserError:
        raise
    except Exception as error:
        # Its own kind of exception might not survive the way to the parent process, or be taken for a full disk.
        what = f"{type(error).__name__}: {error}"
        raise RuntimeError(f"{builder.name} failed on rows {start} to {stop - 1} of {split}: {what}") from error
    if block.rows.num_rows != stop - start or not block.rows.schema.equals(builder.schema):
        raise UserError(
            f"{builder.name}.block({split!r}, {start}, {stop}) returned {block.rows.num_rows} rows of "
            f"{block.rows.schema.names}; {stop - start} rows in its schema are needed"
        )
    return block


class TextStatistics:
    """Running minimum, maximum and sum of lengths of the text columns; sums of parts join exactly."""

    def __init__(self, schema: pa.Schema):
        self.columns = [field.name for field in schema if type_name(field.type) == "string"]
        self.values: dict[str, dict[str, int]] = {}

    def add(self, rows: pa.RecordBatch) -> None:
        """Take in a batch of rows."""
        for name in self.columns:
            column = rows.column(name)
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            lengths = pc.call_function("utf8_length", [column.cast(pa.large_string())]).drop_null().to_numpy()
            if len(lengths):
                state = {"min": lengths.min(), "max": lengths.max(), "sum": lengths.sum(), "count": len(lengths)}
                self.join({name: {key: int(value) for key, value in state.items()}})

    def join(self, other: dict[str, dict[str, int]]) -> None:
        """Take in another part's state."""
        for name, new in other.items():
            old = self.values.get(name, new | {"sum": 0, "count": 0})
            self.values[name] = {
                "min": min(old["min"], new["min"]),
                "max": max(old["max"], new["max"]),
                "sum": old["sum"] + new["sum"],
                "count": old["count"] + new["count"],
            }

    def state(self) -> dict[str, dict[str, int]]:
        """Return what :meth:`join` takes."""
        return self.values

    def summary(self) -> dict[str, ColumnStatistics]:
        """Return what the manifest says."""
        return {
            name: ColumnStatistics(
                characters=Characters(min=v["min"], mean=round(v["sum"] / v["count"], 1), max=v["max"])
            )
            for name, v in self.values.items()
        }


def _parquet_options(writer: dict[str, Any]) -> dict[str, Any]:
    return {
        "compression": writer["compression"],
        "compression_level": writer["compression_level"],
        "write_page_index": writer["page_index"],
        "use_content_defined_chunking": writer["content_defined_chunking"],
    }
