"""What splits share whose rows are only read, from files that were not made as shards."""

from pathlib import Path

import pyarrow as pa

from hubkit.corpora.hashing import type_name
from hubkit.corpora.manifest import Overlap
from hubkit.corpora.overlap import Sketch, compared_column, report

_SKETCH_ROWS = 1 << 20
"""After so many rows a sketch of a split that is in no shards is written, and another begun (8 MiB of hashes)."""


class Comparison:
    """Compares splits whose rows come one after the other, in any number and from whatever files."""

    def __init__(self, folder: Path):
        """Say where the sketches may lie meanwhile."""
        self._folder = folder
        self._schema: pa.Schema | None = None
        self._sketch: Sketch | None = None
        self._rows = 0
        self._paths: dict[str, list[Path]] = {}

    def add(self, split: str, rows: pa.RecordBatch) -> None:
        """Take in the next rows of a split; the first ones of all decide which column is compared."""
        if not rows.num_rows:
            return
        if self._schema is None:
            self._schema = _most_read(rows)
        self._sketch = self._sketch or Sketch(self._schema)
        self._sketch.add(rows)
        self._rows += rows.num_rows
        if self._rows >= _SKETCH_ROWS:
            self.end_split(split)

    def end_split(self, split: str) -> None:
        """Write the sketch of the rows since the last one."""
        if self._sketch:
            paths = self._paths.setdefault(split, [])
            paths.append(self._folder / f"{split}-{len(paths)}.npy")
            self._sketch.write(paths[-1])
        self._sketch, self._rows = None, 0

    def report(self) -> Overlap | None:
        """Return what the splits share, once all have ended; see :func:`report`."""
        return report(self._schema, self._paths) if self._schema else None


def _most_read(rows: pa.RecordBatch) -> pa.Schema:
    """Return the schema of the column by which rows of unknown origin are compared, empty if there is none.

    That is the usual one where there is one of a usual name, and else the text with the most characters: what comes
    first may be an identifier, by which all rows differ, or a class, by which they hardly do.
    """
    texts = [field for field in rows.schema if type_name(field.type) == "string"]
    compared = compared_column(rows.schema)
    if compared and texts and compared[0] not in ("text", "input_ids"):
        return pa.schema([max(texts, key=lambda field: rows.column(field.name).nbytes)])
    return pa.schema([rows.schema.field(compared[0])] if compared else [])
