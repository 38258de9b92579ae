"""From the indexes of all sources to the rows of each split: duplicates out, the rest counted and laid in order.

What it leaves in a folder is a `Selection`: `selection.json` and, for each split, the wanted positions in each source,
one source after the other. Rows come in the order of the sources and, in a source, of its documents.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hubkit.corpora.documents.index import SIZES, Index
from hubkit.reading import Found

CHUNK_DOCUMENTS = 1 << 20


class Selection:
    """Which document of which source each row is."""

    def __init__(self, folder: Path):
        self.folder = folder

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What `selection.json` holds: `sources`, `splits` (for each, how many rows each source gives), `domains`."""
        return json.loads((self.folder / "selection.json").read_bytes())

    @cached_property
    def sources(self) -> list[Found]:
        """The sources, as they were when they were indexed."""
        stored = [source["found"] for source in self.summary["sources"]]
        return [Found(**found | {"parts": tuple(found["parts"])}) for found in stored]

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        return {split: sum(counts) for split, counts in self.summary["splits"].items()}

    def inside(self, split: str, row: int) -> int:
        """Return how many rows of a split come before a row from the same source."""
        for count in self.summary["splits"][split]:
            if row < count:
                return row
            row -= count
        return 0

    def after(self, split: str, row: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield, from a row of a split on, the number of each source that gives rows, and their positions (int64)."""
        start = 0
        for source, count in enumerate(self.summary["splits"][split]):
            if max(row, start) < start + count:
                skipped = max(row - start, 0)
                offset = 8 * (start + skipped)
                yield source, np.fromfile(self.folder / f"{split}.bin", "<i8", count - skipped, offset=offset)
            start += count


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
                    chosen = entries[kept & (entries["split"] == split)]
                    if limit is not None:
                        chosen = chosen[: limit - sum(counts[name])]
                    np.ascontiguousarray(chosen["position"]).tofile(files[name])
                    counts[name][number] += len(chosen)
                    tally.add(chosen, index.summary["groups"])
            offset += len(index.entries)
    finally:
        for file in files.values():
            file.close()
    summary = {
        "sources": [index.summary["source"] for index in indexes],
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
