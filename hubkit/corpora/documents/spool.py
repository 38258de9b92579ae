"""The spool of a source: its documents as rows will have them, so that no source is parsed twice.

It is an Arrow file of record batches of a few MB, from which any of its rows can be had without the others. They are
not compressed: LZ4 would save two thirds of the disk, and take as much time as all the rest of reading does.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

SCHEMA = pa.schema(
    {
        "text": pa.large_string(),  # a batch may well hold more than the 2 GiB of plain ones
        "meta": pa.large_string(),
        "extra": pa.large_string(),
        "domain": pa.string(),
    }
)
"""What there is of a document; its source is known by the spool."""

_ROWS, _ENDS = "spool.arrow", "spool-ends.npy"


class SpoolWriter:
    """Writes the spool of one source, batch after batch, into the folder of its index."""

    def __init__(self, folder: Path):
        """Begin a spool."""
        self._folder = folder
        self._ends = [0]
        self._file = pa.OSFile(str(folder / _ROWS), "wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)

    def write(self, columns: Sequence[pa.Array]) -> None:
        """Append documents, by the columns of `SCHEMA`."""
        self._writer.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._ends.append(self._ends[-1] + len(columns[0]))

    def close(self) -> None:
        """Finish the spool."""
        self._writer.close()
        self._file.close()
        np.save(self._folder / _ENDS, np.array(self._ends, np.int64))


def texts_of(contents: Sequence[bytes | None], type: pa.DataType) -> pa.Array:
    """Return texts, which come in UTF-8, as an array of a type of text. (Arrow's own way imports pandas.)"""
    offsets = np.zeros(len(contents) + 1, np.int64)
    np.cumsum([len(content or b"") for content in contents], out=offsets[1:])
    if type == pa.string():
        assert offsets[-1] < 1 << 31, "more than this type holds"
        offsets = offsets.astype(np.int32)
    valid = None
    if None in contents:
        valid = pa.py_buffer(np.packbits([content is not None for content in contents], bitorder="little"))
    data = pa.py_buffer(b"".join(content for content in contents if content))
    return pa.Array.from_buffers(type, len(contents), [valid, pa.py_buffer(offsets), data])


def read_rows(folder: Path, rows: np.ndarray) -> list[pa.RecordBatch]:
    """Return rows of the spool in a folder, in memory of their own.

    Args:
        folder: Where a :class:`SpoolWriter` wrote.
        rows: int64, rising, not empty.

    Returns:
        Record batches of `SCHEMA`, which together hold the rows in order.
    """
    ends = np.load(folder / _ENDS)
    first, last = np.searchsorted(ends, [rows[0], rows[-1]], "right") - 1
    cuts = np.searchsorted(rows, ends[first : last + 2])
    return [
        _taken(folder / _ROWS, number, rows[start:stop] - ends[number])
        for number, start, stop in zip(range(first, last + 1), cuts[:-1], cuts[1:], strict=True)
        if start < stop
    ]


def _taken(path: Path, number: int, rows: np.ndarray) -> pa.RecordBatch:
    """Return rows of one record batch; it is mapped for that alone, for what is mapped counts as this process's."""
    indices = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)])
    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).get_batch(number).take(indices)
