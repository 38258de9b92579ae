"""A map-style dataset over JSONL files as people find them: `{"text": …, "meta": {…}}`, a document a line.

Only an index of byte offsets is kept (24 bytes a document, memory-mapped); a document is read from the file when it is
asked for. The dataset pickles to a few paths, so loader workers of any start method share one index and no text.
"""

import json
import mmap
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
import torch
import xxhash
from torch.utils.data import Dataset

from hubkit.errors import UserError
from hubkit.files import atomic_path
from hubkit.randomness import stream_key
from hubkit.reading.boundaries import line_bounds, line_ends

_CHUNK = 16 << 20  # bytes read at once while an index is made
_PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
_BOM = b"\xef\xbb\xbf"
_WORD = (1 << 64) - 1


@dataclass(frozen=True)
class BadLine:
    """A line that holds no document, and why."""

    file: str
    line: int
    """Counted from 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


class JsonlDataset(Dataset):
    """The documents of JSONL files, for torch's `DataLoader`.

    An item is a line's fields as a dict (`{"text": …, "meta": …}`), or with a tokenizer its token ids, int64 (length,).
    Documents shorter than `min_characters` are left out. Which documents are held out hangs on their text and `seed`
    alone: neither the order nor the number of files matters, and equal texts are never on both sides.

    The index is made once and kept beside each file (or in `cache`), named after the file's size and time of change
    and all that decides what is in it, so that a changed file gets a new one. It takes one pass over the text.
    """

    def __init__(
        self,
        files: str | Path | Sequence[str | Path],
        split: Literal["train", "held_out", "all"] = "train",
        *,
        held_out: float = 0.01,
        seed: int = 0,
        field: str = "text",
        min_characters: int = 10,
        tokenizer: Callable[[str], Any] | None = None,
        max_tokens: int | None = None,
        bad_lines: Literal["refuse", "skip"] = "refuse",
        cache: str | Path | None = None,
    ):
        """Find the documents; make the indexes that are missing.

        Args:
            files: Plain JSONL files, in the order in which their documents are counted.
            split: Documents of one side, or of both.
            held_out: Share of the documents that is held out, between 0 and 1.
            seed: Another seed holds out other documents.
            field: The field with the text.
            min_characters: Shorter texts are left out.
            tokenizer: Called with a text; gives a mapping with `input_ids`, as transformers' tokenizers do.
            max_tokens: Token ids behind this many are cut off.
            bad_lines: "refuse" the file at its first line that holds no document, or "skip" such lines, which
                `self.bad_lines` then lists.
            cache: Folder for the indexes; None is the folder of each file.

        Raises:
            UserError: A file that is missing or compressed, a bad line, a folder that can't be written to, or an
                impossible value.
        """
        if not 0 <= held_out <= 1:
            raise UserError(f"held_out: {held_out} is not between 0 and 1; it is a share of the documents")
        if split not in ("train", "held_out", "all"):
            raise UserError(f"split: {split!r} is unknown (known: train, held_out, all)")
        if bad_lines not in ("refuse", "skip"):
            raise UserError(f"bad_lines: {bad_lines!r} is unknown (known: refuse, skip)")
        paths = [files] if isinstance(files, str | Path) else files
        self.field, self.tokenizer, self.max_tokens = field, tokenizer, max_tokens
        self._files = [_File(Path(path), field, min_characters, cache) for path in paths]
        self.bad_lines = [bad for file in self._files for bad in file.bad]
        """The lines that were skipped, with the reason."""
        if self.bad_lines and bad_lines == "refuse":
            raise UserError(
                f"{self.bad_lines[0]}; {len(self.bad_lines)} such lines in all; mend them, or set bad_lines='skip'"
            )
        key, border = stream_key("held out", seed) & _WORD, round(held_out * (1 << 64))
        kept = [file.chosen(split, key, border) for file in self._files]
        self._kept = None if split == "all" else kept
        self._ends = list(accumulate(map(len, kept)))

    def __len__(self) -> int:
        """Return the number of documents of this split."""
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Any:
        """Return document `index`, a dict or token ids.

        Raises:
            IndexError: There are not so many.
            UserError: The file has changed since its index was made.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        index %= len(self)
        number = bisect_right(self._ends, index)
        index -= self._ends[number - 1] if number else 0
        row = self._files[number].row(int(self._kept[number][index]) if self._kept else index)
        if self.tokenizer is None:
            return row
        return torch.tensor(self.tokenizer(row[self.field])["input_ids"][: self.max_tokens], dtype=torch.int64)

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the documents in order."""
        return (self[index] for index in range(len(self)))

    def collate(self, items: Sequence[Any]) -> Any:
        """Return a batch, for `DataLoader(collate_fn=dataset.collate)`.

        Dicts stay a list, because documents differ in their `meta`. Token ids of any number of documents, also one,
        become `input_ids` and `attention_mask`, both int64 (batch, longest), padded on the right.
        """
        if self.tokenizer is None:
            return list(items)
        lengths = torch.tensor([len(ids) for ids in items])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        pad = getattr(self.tokenizer, "pad_token_id", None) or 0
        ids = torch.nn.utils.rnn.pad_sequence(list(items), batch_first=True, padding_value=pad)
        return {"input_ids": ids, "attention_mask": mask.long()}


class _File:
    """One file and its index: (documents, 3) uint64 of first byte, byte behind the last, and hash of the text."""

    def __init__(self, path: Path, field: str, min_characters: int, cache: str | Path | None):
        self.path, self.field = path.absolute(), field
        self.stamp = self._stat()
        decisive = json.dumps([1, str(self.path), *self.stamp, field, min_characters])
        name = f".{path.name}.{xxhash.xxh3_64_hexdigest(decisive.encode())}"
        folder = self.path.parent if cache is None else Path(cache).absolute()
        self.index_path, bad_path = folder / f"{name}.npy", folder / f"{name}.bad.json"
        if not (self.index_path.exists() and bad_path.exists()):
            self._make(min_characters, bad_path)
        self.bad = [BadLine(*entry) for entry in json.loads(bad_path.read_bytes())]
        self._open()

    def _stat(self) -> tuple[int, int]:
        try:
            found = os.stat(self.path)
        except OSError as error:
            raise UserError(f"files: can't read {self.path}: {error.strerror}") from None
        return found.st_size, found.st_mtime_ns

    def _make(self, min_characters: int, bad_path: Path) -> None:
        """Read the file once; write the index, last, and beside it what is wrong with the file."""
        bad: list[BadLine] = []
        try:
            with atomic_path(self.index_path) as temporary:
                index = np.fromiter(_scan(self.path, self.field, min_characters, bad), np.dtype((np.uint64, 3)))
                if self._stat() != self.stamp:
                    raise UserError(f"files: {self.path} changed while it was read; try again when it is complete")
                with atomic_path(bad_path) as listed:
                    listed.write_text(json.dumps([[item.file, item.line, item.reason] for item in bad]))
                with temporary.open("wb") as file:
                    np.save(file, index)
        except OSError as error:
            raise UserError(
                f"cache: can't write the index of {self.path} to {self.index_path.parent}: {error.strerror}; "
                "name a folder that can be written to"
            ) from None

    def _open(self) -> None:
        """Map index and file into memory; the processes of a machine share what the operating system has read."""
        self.index = np.asarray(np.load(self.index_path, mmap_mode="r"))
        if self._stat() != self.stamp:
            raise UserError(f"files: {self.path} changed since its index was made; make the dataset again")
        with self.path.open("rb") as file:
            self.text = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.stamp[0] else b""

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is mapped: another process maps it again."""
        return {name: value for name, value in self.__dict__.items() if name not in ("index", "text")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Map index and file into the memory of this process."""
        self.__dict__.update(state)
        self._open()

    def chosen(self, split: str, key: int, border: int) -> Any:
        """Return the numbers of the documents in a split.

        Args:
            split: "train", "held_out" or "all".
            key: Mixed into the hash of each text.
            border: Documents whose hash is below it are held out; 0 to 2⁶⁴.
        """
        if split == "all":
            return range(len(self.index))
        hashes = _mixed(self.index[:, 2] ^ np.uint64(key))
        held = np.ones(len(hashes), bool) if border > _WORD else hashes < np.uint64(border)
        return np.flatnonzero(held if split == "held_out" else ~held).astype(np.uint32)

    def row(self, number: int) -> dict[str, Any]:
        """Return the fields of a document."""
        start, stop, _ = self.index[number].tolist()
        return orjson.loads(self.text[start:stop])


def _mixed(words: np.ndarray) -> np.ndarray:
    """Return uint64 words with each bit spread over all (the finaliser of SplitMix64; Steele et al., OOPSLA 2014)."""
    words = (words ^ words >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ words >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return words ^ words >> np.uint64(31)


def _scan(path: Path, field: str, min_characters: int, bad: list[BadLine]) -> Iterator[tuple[int, int, int]]:
    """Yield first byte, byte behind the last, and hash of the text, of each document; list the lines without one."""
    for start, line, number in _lines(path):
        try:
            text = _text(line, field)
        except ValueError as error:
            bad.append(BadLine(str(path), number, str(error)))
            continue
        if len(text) >= min_characters:
            yield start, start + len(line), xxhash.xxh3_64_intdigest(text.encode())


def _lines(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Yield first byte, content and number of each line that isn't blank."""
    offset, number, rest = 0, 0, b""
    with path.open("rb") as file:
        head = file.read(8)
        for magic, packer in _PACKED.items():
            if head.startswith(magic):
                raise UserError(f"files: {path} is packed with {packer}, where no byte can be found again; unpack it")
        offset = len(_BOM) if head.startswith(_BOM) else 0
        file.seek(offset)
        while content := rest + (chunk := file.read(_CHUNK)):
            ends = line_ends(np.frombuffer(content, np.uint8))
            if not chunk:
                ends = np.append(ends, len(content))  # the last line needs no line feed
            starts, stops = line_bounds(np.frombuffer(content, np.uint8), 0, ends)
            numbers = number + 1 + np.searchsorted(ends, starts, side="right")
            for start, stop, line in zip(starts.tolist(), stops.tolist(), numbers.tolist(), strict=True):
                yield offset + start, content[start:stop], line
            used = int(ends[-1]) if len(ends) else 0
            offset, number, rest = offset + used, number + len(ends), content[used:]


def _text(line: bytes, field: str) -> str:
    """Return the text of a line; the ValueError says what is wrong with it."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from None
    if not isinstance(row, Mapping):
        raise ValueError(f"a {type(row).__name__}; an object with the field {field!r} is needed")
    if field not in row:
        raise ValueError(f"no field {field!r} (known: {', '.join(list(row)[:8])})")
    if not isinstance(row[field], str):
        raise ValueError(f"{field!r} is a {type(row[field]).__name__}; a text is needed")
    return row[field]
