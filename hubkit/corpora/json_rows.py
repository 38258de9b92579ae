"""Rows of JSON Lines as Arrow sees them: blocks of lines, types that grow no further than `datasets` lets them."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa
import pyarrow.json as paj

from hubkit.corpora.common_types import Conflict, common_schema
from hubkit.errors import UserError
from hubkit.reading.compression import plain
from hubkit.reading.encoding import utf8
from hubkit.reading.record import Fault
from hubkit.reading.signatures import HEAD_BYTES, compression_of

BLOCK_BYTES = 4 << 20
"""So much text is parsed at once."""
LONGEST_LINE = 256 << 20
"""A longer line is refused: it would have to be held in memory whole, by every reader too."""

_COMPRESSED = {"gzip": (".gz",), "zstd": (".zst", ".zstd"), "xz": (".xz",), "bzip2": (".bz2",)}
_CHANGED = re.compile(r"Column\((?P<path>[^)]*)\) (?P<what>changed from .*?) in row")


class Lines(NamedTuple):
    """Some whole lines of a file."""

    first: int
    """The number of the first one, from 1."""
    data: bytes


class Unlike(Exception):
    """Rows have columns that the schema has no place for; `schema` has it."""

    def __init__(self, schema: pa.Schema):
        super().__init__()
        self.schema = schema


def lines_of(path: Path, name: str) -> Iterator[Lines]:
    """Yield a file's lines in blocks of about `BLOCK_BYTES`, decompressed, without byte-order mark.

    Raises:
        UserError: It is damaged, no text in UTF-8, compressed otherwise than its name says (`datasets` goes by that),
            or has a line of more than `LONGEST_LINE` bytes.
    """
    _check_compression(path, name)
    pieces, size, first = list[bytes](), 0, 1
    try:
        encoding, chunks = utf8(plain(_stored(path)), "auto")
        if encoding != "utf-8":
            raise UserError(f"{name} is in {encoding}: save it as UTF-8")
        for chunk in chunks:
            pieces.append(chunk)
            size += len(chunk)
            end = chunk.rfind(b"\n") + 1 if size >= BLOCK_BYTES else 0
            if end:
                pieces[-1], rest = chunk[:end], chunk[end:]
                block = Lines(first, b"".join(pieces))
                yield block
                pieces, size, first = [rest], len(rest), first + block.data.count(b"\n")
            elif size > LONGEST_LINE:
                raise UserError(f"{name}:{first}: the line is longer than {LONGEST_LINE:,} bytes: split the row")
    except Fault as fault:
        line = first + sum(piece.count(b"\n") for piece in pieces)
        raise UserError(f"{name}:{line}: {fault.reason}; make the file again") from None
    if size:
        yield Lines(first, b"".join(pieces))


def parsed(lines: Lines, name: str, schema: pa.Schema | None) -> pa.RecordBatch:
    """Return the rows of some lines, with the columns of `schema` in its order.

    Args:
        lines: What to parse.
        name: The file's, for messages.
        schema: What has been seen before; None where nothing has.

    Raises:
        Unlike: The rows are wider than the schema.
        UserError: A line is no JSON object, or a value is of another kind than before; says which line.
    """
    _check_utf8(lines, name)  # Arrow doesn't, and `datasets` would fail at such rows
    try:
        if schema is not None:
            with suppress(pa.ArrowInvalid, pa.ArrowNotImplementedError):
                return _one_batch(_read(lines.data, schema))
        table = _read(lines.data, None)
        wanted = table.schema if schema is None else common_schema(schema, table.schema, is_json=True)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, Conflict) as error:
        raise _blame(lines, name, schema, error) from None
    if schema is None:
        return _one_batch(table)
    if wanted == schema:
        raise _blame(lines, name, schema, ValueError("their types can't be told"))
    raise Unlike(wanted)


def _read(data: bytes, schema: pa.Schema | None) -> pa.Table:
    if not data.strip():
        return (schema or pa.schema([])).empty_table()
    unexpected = "infer" if schema is None else "error"
    return paj.read_json(
        pa.BufferReader(data),
        read_options=paj.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=paj.ParseOptions(explicit_schema=schema, unexpected_field_behavior=unexpected),
    )


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_arrays([[]] * len(table.schema), schema=table.schema)


# --- whose fault ------------------------------------------------------------------------------------------------------


def _blame(lines: Lines, name: str, schema: pa.Schema | None, error: Exception) -> UserError:
    """Return what to say of lines that can't be parsed together: the first that is wrong by itself or beside others."""
    for number, line in enumerate(lines.data.split(b"\n"), lines.first):
        if not line.strip():
            continue
        try:
            found = _read(line, None).schema
            schema = found if schema is None else common_schema(schema, found, is_json=True)
            continue
        except Conflict as conflict:
            reason = f"{conflict}: make the values of a column one type"
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as alone:
            reason = _not_an_object(line) or _of_arrow(alone)
        return UserError(f"{name}:{number}: {reason}")
    return UserError(f"{name}:{lines.first}: Arrow can't read these lines ({' '.join(str(error).split())})")


def _of_arrow(error: Exception) -> str:
    said = " ".join(str(error).split())
    match = _CHANGED.search(said)
    if not match:
        return f"{said.removeprefix('JSON parse error: ')}: mend the line, or take it out"
    return f"column {match['path'].strip('/')!r} {match['what']}: make the values of a column one type"


def _not_an_object(line: bytes) -> str | None:
    """Return why a line is no JSON object, or None where it is."""
    try:
        value: Any = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"not JSON ({error.msg}): mend the line, or take it out"
    if not isinstance(value, dict):
        return 'not a JSON object: write one object a line, such as {"text": …}'
    return None


# --- bytes ------------------------------------------------------------------------------------------------------------


def _check_utf8(lines: Lines, name: str) -> None:
    try:
        if not lines.data.isascii():
            lines.data.decode()
    except UnicodeDecodeError as error:
        line = lines.first + lines.data.count(b"\n", 0, error.start)
        raise UserError(f"{name}:{line}: not UTF-8 (byte 0x{lines.data[error.start]:02x}): save it as UTF-8") from None


def _stored(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                yield chunk
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None


def _check_compression(path: Path, name: str) -> None:
    head = next(_stored(path), b"")[:HEAD_BYTES]
    held = compression_of(head)
    said = next((kind for kind, endings in _COMPRESSED.items() if name.lower().endswith(endings)), None)
    if held != said and head:
        is_ = f"is {held}" if held else "is not compressed"
        wanted = f"end its name in {_COMPRESSED[held][0]}" if held else f"take {Path(name).suffix} off its name"
        raise UserError(f"{name} {is_}, which its name does not say: {wanted}")
