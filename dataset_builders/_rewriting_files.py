"""Reads existing pairs: files of `input,output` lines become Arrow files of blocks, and bad lines are set aside."""

import json
import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Self

import pyarrow as pa

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.tokenizers.characters import FILLER, SEPARATOR, symbol_fault

SPLITS = {"train": "_train.txt", "validation": "_val.txt"}
"""What follows the prefix in the name of each split's file."""
QUARANTINE, FOUND = "quarantine.jsonl", "found.json"
SCHEMA = pa.schema({"input": pa.string(), "output": pa.string()})
LONGEST = 1 << 18
"""Bytes of a line, its end included; a block of such rows still fits an Arrow column."""

_SHOWN = 80  # characters of a bad line that the quarantine repeats


class _BadLine(ValueError):
    """Why a line is set aside."""


def read(path: Path, folder: Path, most_bad: int) -> None:
    """Read one file, and leave in `folder` its pairs, its bad lines, and what was found on the way.

    Raises:
        UserError: It can't be read, more than `most_bad` of its lines are bad, or none is good.
    """
    symbols: set[str] = set()
    good = bad = 0
    try:
        with path.open("rb") as file, (folder / QUARANTINE).open("w", encoding="utf-8") as aside, _Pairs(folder) as out:
            for number, line in _lines(file):
                try:
                    out.add(_pair(line, symbols))
                    good += 1
                except _BadLine as fault:
                    bad += 1
                    _set_aside(aside, path, number, line, fault)
                    if bad > most_bad:
                        raise UserError(_too_bad(path, number, fault, most_bad)) from None
        source = {"name": path.name, "bytes": path.stat().st_size, "sha256": file_sha256(path)}
    except FileNotFoundError:
        both = " and ".join(f"FILES{end}" for end in SPLITS.values())
        raise UserError(f"files: {path} does not exist; give what {both} begin with") from None
    except OSError as error:
        raise UserError(f"files: can't read {path}: {error.strerror}") from None
    if not good:
        raise UserError(f"files: {path} has no line of the form input{SEPARATOR}output; name another file")
    found = {"rows": good, "bad_lines": bad, "symbols": "".join(sorted(symbols)), "source": source}
    (folder / FOUND).write_text(json.dumps(found), encoding="utf-8")


def _too_bad(path: Path, number: int, fault: _BadLine, most_bad: int) -> str:
    return (
        f"max_bad_lines: {path} has more than {most_bad} bad lines (the last is line {number}: {fault}); mend them, "
        "or raise the limit"
    )


def join(pieces: Sequence[Path], folder: Path) -> None:
    """Put the files that were read together, in the order of `SPLITS`; count the inputs that occur in both.

    Raises:
        UserError: Their symbols together can't be told from the filler.
    """
    found = [json.loads((piece / FOUND).read_bytes()) for piece in pieces]
    for split, piece in zip(SPLITS, pieces, strict=True):
        shutil.copyfile(piece / "pairs.arrow", folder / f"{split}.arrow")
    with (folder / QUARANTINE).open("wb") as aside:
        aside.writelines((piece / QUARANTINE).read_bytes() for piece in pieces)
    symbols = "".join(sorted({symbol for part in found for symbol in part["symbols"]}))
    if set(FILLER) <= set(symbols):
        raise UserError(f"files: the symbols of these files spell {FILLER!r}, which fills rows up; rename one of them")
    joined = {
        "rows": {split: part["rows"] for split, part in zip(SPLITS, found, strict=True)},
        "symbols": symbols,
        "sources": [part["source"] for part in found],
        "bad_lines": sum(part["bad_lines"] for part in found),
        "shared_inputs": _shared(*(folder / f"{split}.arrow" for split in SPLITS)),
    }
    (folder / FOUND).write_text(json.dumps(joined), encoding="utf-8")


def found(folder: Path) -> dict[str, Any]:
    """Return what :func:`join` found."""
    return json.loads((folder / FOUND).read_bytes())


def pairs(path: Path, start: int, stop: int) -> pa.Table:
    """Return rows `start` to `stop` (exclusive) of a file that was read; memory of their blocks only."""
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        blocks = [file.get_batch(at) for at in range(start // BLOCK_ROWS, -(-stop // BLOCK_ROWS))]
        return pa.Table.from_batches(blocks, SCHEMA).slice(start % BLOCK_ROWS, stop - start)


class _Pairs:
    """Writes pairs as an Arrow file of blocks."""

    def __init__(self, folder: Path):
        self.file = pa.ipc.new_file(str(folder / "pairs.arrow"), SCHEMA)
        self.waiting: list[tuple[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        self.file.close()

    def add(self, pair: tuple[str, str]) -> None:
        self.waiting.append(pair)
        if len(self.waiting) == BLOCK_ROWS:
            self.flush()

    def flush(self) -> None:
        if self.waiting:
            columns = [pa.array(column, pa.string()) for column in zip(*self.waiting, strict=True)]
            self.file.write_batch(pa.record_batch(columns, schema=SCHEMA))
            self.waiting = []


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Yield the number and the bytes of each line; None stands for one that is too long to be held."""
    number, within = 0, False
    for piece in iter(partial(file.readline, LONGEST), b""):
        ends = piece.endswith(b"\n")
        if not within:
            number += 1
            yield number, piece if ends or len(piece) < LONGEST else None
        within = not ends


def _pair(line: bytes | None, symbols: set[str]) -> tuple[str, str]:
    """Return input and output, and add what they are made of to `symbols`.

    Raises:
        _BadLine: The line has another form.
    """
    if line is None:
        raise _BadLine(f"longer than {LONGEST} bytes")
    try:
        text = line.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise _BadLine(f"not UTF-8 at byte {error.start}") from None
    first, separator, second = text.partition(SEPARATOR)
    if not separator or SEPARATOR in second:
        raise _BadLine(f"{text.count(SEPARATOR)} times {SEPARATOR!r}; once is needed")
    new = set(first + second) - symbols
    for symbol in sorted(new):
        fault = symbol_fault(symbol)
        if fault:
            raise _BadLine(fault)
    symbols |= new
    return first, second


def _set_aside(aside: Any, path: Path, number: int, line: bytes | None, fault: _BadLine) -> None:
    text = "" if line is None else line.decode(errors="backslashreplace").rstrip("\r\n")[:_SHOWN]
    record = {"file": path.name, "line": number, "reason": str(fault), "text": text}
    aside.write(json.dumps(record, ensure_ascii=False) + "\n")


def _shared(train: Path, validation: Path) -> int:
    """Return how many different inputs occur in both; holds those of validation in memory."""
    ours = {text for block in _inputs(validation) for text in block}
    both = {text for block in _inputs(train) for text in block if text in ours}
    return len(both)


def _inputs(path: Path) -> Iterator[list[str]]:
    with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as file:
        for at in range(file.num_record_batches):
            yield file.get_batch(at).column("input").to_pylist()
