"""From the indexes of all sources to the rows of each split: duplicates out, the rest counted and laid in order.

What it leaves in a folder is a `Selection`: `selection.json` and, for each split, the numbers of its documents in each
index, one index after the other. Rows come in the order of the sources and, in a source, of its documents.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubkit.corpora.documents.index import SIZES, Index
from hubkit.corpora.documents.spool import SCHEMA, read_rows, texts_of

CHUNK_DOCUMENTS = 1 << 20


class Selection:
    """Which document of which source each row is."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What `selection.json` holds: `indexes`, `splits` (for each, how many rows each index gives), `domains`."""
        return json.loads((self.folder / "selection.json").read_bytes())

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: sum(counts) for split, counts in self.summary["splits"].items()}

    def take(self, split: str, start: int, stop: int) -> pa.RecordBatch:
        """Return rows `start` to `stop` (exclusive) of a split, from the spools: their columns, and `source`."""
        batches: list[pa.RecordBatch] = []
        labels: list[bytes] = []
        for number, rows in self._documents(split, start, stop):
            index = self.summary["indexes"][number]
            batches += read_rows(self.folder / index["folder"], rows)
            labels += [index["label"].encode()] * len(rows)
        columns = [*pa.concat_batches(batches).columns, texts_of(labels, pa.string())]
        return pa.RecordBatch.from_arrays(columns, [*SCHEMA.names, "source"])

    def _documents(self, split: str, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of each index that gives some of these rows, and their numbers there (int64)."""
        ends = self._ends[split]
        while start < stop:
            index = int(np.searchsorted(ends, start, "right"))
            end = min(stop, int(ends[index]))
            yield index, np.fromfile(self.folder / f"{split}.bin", "<i8", end - start, offset=8 * start)
            start = end

    @cached_property
    def _ends(self) -> dict[str, np.ndarray]:
        """For each split, the row behind the last one of each index."""
        return {split: np.cumsum(counts) for split, counts in self.summary["splits"].items()}


def select(
    indexes: Sequence[Index], keep: np.ndarray, splits: Sequence[str] | None, limit: int | None, folder: Path
) -> None:
    """Write the selection of the documents to keep.

    Args:
        indexes: Of all sources, in order.
        keep: bool, one for each of all their documents.
        splits: The splits, as the entries number them; None where each index has numbers of its own.
        limit: At most so many rows of each split, the first.
        folder: Where to write.
    """
    names = list(splits) if splits is not None else _named(indexes)
    counts = {name: [0] * len(indexes) for name in names}
    tally = Tally()
    offset = 0
    files = {name: (folder / f"{name}.bin").open("wb") for name in names}
    try:
        for number, index in enumerate(indexes):
            here = names if splits is not None else index.summary["splits"]
            for start, entries in index.chunks(CHUNK_DOCUMENTS):
                kept = keep[offset + start : offset + start + len(entries)]
                for split, name in enumerate(here):
                    chosen = np.flatnonzero(kept & (entries["split"] == split))
                    if limit is not None:
                        chosen = chosen[: limit - sum(counts[name])]
                    (start + chosen).tofile(files[name])
                    counts[name][number] += len(chosen)
                    tally.add(entries[chosen], index.summary["groups"])
            offset += len(index.entries)
    finally:
        for file in files.values():
            file.close()
    summary = {
        "indexes": [index.summary["source"] | {"folder": os.path.relpath(index.folder, folder)} for index in indexes],
        "splits": {name: parts for name, parts in counts.items() if sum(parts)},
        "domains": tally.domains(),
    }
    (folder / "selection.json").write_text(json.dumps(summary))


class Tally:
    """Counts of documents and their sizes by domain, and of their licences."""

    def __init__(self):
        self._groups: Counter[tuple[str, str | None]] = Counter()
        self._sizes: dict[tuple[str, str | None], np.ndarray] = {}

    def add(self, entries: np.ndarray, groups: Sequence[tuple[str, str | None]]) -> None:
        """Count entries whose groups have these names."""
        numbers = np.bincount(entries["group"], minlength=len(groups))
        order = np.argsort(entries["group"], kind="stable")
        ends = np.cumsum(numbers)
        sums = {size: np.concatenate([[0], np.cumsum(entries[size][order], dtype=np.int64)]) for size in SIZES}
        for number in np.flatnonzero(numbers).tolist():
            domain, licence = groups[number]
            start, end = ends[number] - numbers[number], ends[number]
            self._groups[domain, licence] += int(numbers[number])
            added = np.array([sums[size][end] - sums[size][start] for size in SIZES])
            self._sizes[domain, licence] = self._sizes.get((domain, licence), 0) + added

    def domains(self) -> dict[str, dict[str, Any]]:
        """Return for each domain, by name, its documents, its sizes, and how many documents state which licence."""
        found: dict[str, dict[str, Any]] = {}
        for (domain, licence), documents in sorted(
            self._groups.items(), key=lambda item: (item[0][0], item[0][1] or "")
        ):
            entry = found.setdefault(domain, {"documents": 0, **dict.fromkeys(SIZES, 0), "licences": {}})
            entry["documents"] += documents
            for size, count in zip(SIZES, self._sizes[domain, licence].tolist(), strict=True):
                entry[size] += count
            if licence is not None:
                entry["licences"][licence] = documents
        return found


def _named(indexes: Sequence[Index]) -> list[str]:
    """Return the splits that the sources name: the usual ones first."""
    names = {name for index in indexes for name in index.summary["splits"]}
    usual: Mapping[str, int] = {"train": 0, "validation": 1, "test": 2}
    return sorted(names, key=lambda name: (usual.get(name, 3), name))
