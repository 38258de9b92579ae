"""The index of a source of documents: what there is to know of each without its text, one fixed-width entry a document.

An index takes 40 bytes a document on disk and is written in chunks, as is the spool of the documents themselves beside
it, so that a source of any size needs the memory of a chunk. Keys are XXH3 (128 bits, seeded): two different documents
share one with a chance of n²/2¹²⁹, which is nothing, unless somebody who knows the seed set out to make them.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xxhash

from hubkit.corpora.documents.shares import split_numbers
from hubkit.corpora.documents.spool import SCHEMA, SpoolWriter, texts_of
from hubkit.corpora.documents.words import count_words
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.reading import Record

ENTRY = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("group", "<u2"),
        ("split", "<u2"),
        ("characters", "<u4"),
        ("bytes", "<u4"),
        ("words", "<u4"),
        ("tokens", "<u4"),
        ("masked", "<u4"),
    ]
)
"""A document: the halves of its key, the numbers of its group and its split, its sizes. It has the same number in the
spool."""

SIZES = ("characters", "bytes", "words", "tokens", "masked")
MOST_NAMES = 10_000
"""So many groups, or splits, may one source have."""
MOST_EXAMPLES = 3
QUARANTINE = "quarantine.jsonl"
"""The file of bad records in an index's folder."""

Counting = Callable[[Sequence[str]], list[int]]
"""Returns how many tokens each text has."""

_CHUNK_DOCUMENTS, _CHUNK_BYTES = 4096, 4 << 20


class Document(NamedTuple):
    """One document, as the rows will have it."""

    text: str
    meta: str | None
    """What stands beside the text, as JSON; so is `extra`."""
    extra: str | None
    group: tuple[str, str | None]
    """What it is counted under: its domain and its licence."""
    split: str | None
    """The split that its source names; None where its key decides."""
    masked: int
    """How many addresses were masked in it."""


class Names:
    """Numbers for names, in the order in which they come."""

    def __init__(self, field: str):
        """Begin to number the values of a field of the spec."""
        self.field = field
        self.numbers: dict[Any, int] = {}

    def __getitem__(self, name: Any) -> int:
        number = self.numbers.setdefault(name, len(self.numbers))
        if number == MOST_NAMES:
            raise UserError(f"{self.field}: there are more than {MOST_NAMES:,} of them; name a field with fewer values")
        return number


class Indexer:
    """Writes index and spool of one source into a folder, with what was wrong in it and how much there is of all."""

    def __init__(self, folder: Path, seed: int, shares: Sequence[float] | None, tokens: Counting | None):
        """Begin an index.

        Args:
            folder: Empty.
            seed: Of the keys, 64 bits.
            shares: Of the splits, to which the keys deal the documents; None where these name their own.
            tokens: Counts the tokens of texts, if that is wanted.
        """
        self.folder, self.seed = folder, seed
        self.shares, self.tokens = shares, tokens
        self.groups, self.splits = Names("domain_field"), Names("split_field")
        self.records, self.bad, self.filtered = 0, Counter[str](), Counter[str]()
        self.examples: dict[str, list[tuple[int, str]]] = {}
        self.broken: str | None = None
        self._waiting: list[Document] = []
        self._waiting_bytes = 0
        self._index = (folder / "index.bin").open("wb")
        self._spool = SpoolWriter(folder)
        self._quarantine = (folder / QUARANTINE).open("w", encoding="utf-8")

    def add(self, document: Document) -> None:
        """Take in a document."""
        self.records += 1
        self._waiting.append(document)
        self._waiting_bytes += len(document.text)
        if len(self._waiting) == _CHUNK_DOCUMENTS or self._waiting_bytes >= _CHUNK_BYTES:
            self._flush()

    def drop(self, reason: str) -> None:
        """Count a good record that is not wanted."""
        self.records += 1
        self.filtered[reason] += 1

    def refuse(self, record: Record, reason: str) -> None:
        """Set a bad record aside."""
        self.records += 1
        kind = reason.partition(":")[0]
        self.bad[kind] += 1
        if record.whole and kind != "trailing bytes":  # behind those nothing is lost
            self.broken = reason
        examples = self.examples.setdefault(kind, [])
        if len(examples) < MOST_EXAMPLES:
            examples.append((record.line, reason))
        line = {
            "line": record.line,
            "reason": reason,
            "raw": (record.raw or b"").decode(errors="backslashreplace"),
        }
        self._quarantine.write(json.dumps(line, ensure_ascii=False) + "\n")

    def close(self, source: dict[str, Any]) -> None:
        """Finish: write the rest, and the summary.

        Args:
            source: What to remember of the source itself: its `label`, its `stamp`, how many `lines` were read of it if
                it was cut into spans, and its `bytes` and `sha256` where all of it was read.
        """
        self._flush()
        self._index.close()
        self._spool.close()
        self._quarantine.close()
        summary = {
            "source": source,
            "records": self.records,
            "groups": list(self.groups.numbers),
            "splits": list(self.splits.numbers),
            "bad": self.bad,
            "examples": self.examples,
            "broken": self.broken,
            "filtered": self.filtered,
        }
        write_atomic(self.folder / "summary.json", json.dumps(summary))

    def _flush(self) -> None:
        """Write the entries and the rows of the documents that wait."""
        documents, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not documents:
            return
        texts, metas, extras, groups, splits, masked = zip(*documents, strict=True)
        contents = [text.encode() for text in texts]
        others = [metas, extras, [domain for domain, _ in groups]]
        columns = [contents, *([None if value is None else value.encode() for value in values] for values in others)]
        arrays = [texts_of(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
        entries = np.zeros(len(documents), ENTRY)
        entries["high"], entries["low"] = _keys(contents, self.seed).T
        entries["group"] = [self.groups[group] for group in groups]
        entries["characters"] = [len(text) for text in texts]
        entries["bytes"] = [len(content) for content in contents]
        entries["words"] = count_words(arrays[0])
        entries["masked"] = masked
        if self.shares:
            entries["split"] = split_numbers(entries["high"], self.shares)
        else:
            entries["split"] = [self.splits[split] for split in splits]
        if self.tokens:
            entries["tokens"] = self.tokens(texts)
        entries.tofile(self._index)
        self._spool.write(arrays)


def _keys(contents: Sequence[bytes], seed: int) -> np.ndarray:
    """Return the hashes of texts, as uint64 of shape (n, 2)."""
    digests = [xxhash.xxh3_128_digest(content, seed) for content in contents]
    return np.frombuffer(b"".join(digests), ">u8").reshape(-1, 2)


class Index(NamedTuple):
    """The finished index of one source."""

    folder: Path
    entries: np.ndarray
    """Of `ENTRY`, on disk; a document each, in the order of the source."""
    summary: dict[str, Any]
    """As :meth:`Indexer.close` wrote it."""

    def chunks(self, size: int = 1 << 20) -> Iterator[tuple[int, np.ndarray]]:
        """Yield where a chunk of entries begins, and the chunk, in memory."""
        for start in range(0, len(self.entries), size):
            yield start, np.array(self.entries[start : start + size])


def read_index(folder: Path) -> Index:
    """Return the index that an :class:`Indexer` left in a folder."""
    path = folder / "index.bin"
    entries = np.memmap(path, ENTRY, "r") if path.stat().st_size else np.empty(0, ENTRY)
    return Index(folder, entries, json.loads((folder / "summary.json").read_bytes()))
