"""Tokens: any corpus of text as token ids, one document a row.

The text comes from a corpus that is there already, a folder of Parquet or a repository on the Hub, and its rows stay in
their order. A document begins with the tokenizer's BOS token if it has one; special tokens that stand in the text are
encoded as the ordinary text that they are there. So a row is a function of the source's bytes and the spec alone, and
its ids are those of the `tokenizers` library, whichever library finds them (see :mod:`hubkit.tokenizers.encoding`).

Tokens that somebody made before, one long row of them in an HDF5 file, are cut into chunks; splits are contiguous
ranges of it.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from hubkit.corpora.builder import Block, CorpusBuilder, CorpusSpec, Source
from hubkit.corpora.tables import Part, RowReader, Table, find_table
from hubkit.corpora.texts import check_text_type
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.reading.tokens_h5 import FlatTokens
from hubkit.resources import load_module
from hubkit.tokenizers.encoding import Encoder
from hubkit.tokenizers.loading import find_files, is_own

spec = load_module(Path(__file__).with_name("_tokens_spec.py"), "hubkit_tokens_spec")
TokensSpec = spec.TokensSpec

_FOUND, _RULES = "tokens-source.json", "tokenizer.json"
_SAMPLE_ROWS = 64  # of each split: on these the fast path is compared with `tokenizers` before it is used
_SAMPLE_CHARACTERS = 4096
_NARROW = 1 << 16


class Tokens(CorpusBuilder):
    """Corpora of token ids, made of corpora of text."""

    name = "tokens"
    version = "1"
    spec_type = TokensSpec
    configs: Mapping[str, CorpusSpec] = {}
    libraries = ("numpy", "pyarrow", "tokenizers")
    spec: TokensSpec

    # --- preparation -------------------------------------------------------------------------------------------------

    def pieces(self) -> Sequence[str]:
        """Return the one piece: finding the source and the tokenizer."""
        return (self.spec.corpus,)

    def prepare(self, piece: str, folder: Path) -> None:
        """Find source and tokenizer, hash both, and try the fast path on the beginning of each split.

        Raises:
            UserError: One of them is not there or damaged, or they don't fit each other or the spec.
        """
        encoder = Encoder(self.spec.tokenizer)
        found: dict[str, Any] = {
            "vocabulary": encoder.vocabulary,
            "bos": _token(encoder, "bos", self.spec.bos, encoder.bos),
            "eos": _token(encoder, "eos", self.spec.eos, encoder.eos),
        }
        (folder / _RULES).write_text(encoder.rules, encoding="utf-8")
        _id_type(self.spec.dtype, encoder.vocabulary)
        found["tokenizer_files"] = self._tokenizer_files()
        found |= self._find_flat() if self.spec.flat else self._find_table(encoder)
        self._encoder = encoder  # this process may go on to make the rows
        found |= {"engine": encoder.engine, "reason": encoder.reason, "tokenizer_sha256": encoder.sha256}
        (folder / _FOUND).write_text(json.dumps(found), encoding="utf-8")

    def join(self, pieces: Sequence[Path], folder: Path) -> None:
        """Take over what the one piece found."""
        for name in (_FOUND, _RULES):
            shutil.copyfile(pieces[0] / name, folder / name)

    def _tokenizer_files(self) -> list[Source]:
        """Return the tokenizer's files on this machine: its rules, and what says which token begins a document."""
        if is_own(self.spec.tokenizer) or not Path(self.spec.tokenizer).expanduser().exists():
            return []
        files = find_files(self.spec.tokenizer)
        if "auto" not in (self.spec.bos, self.spec.eos):
            files = {_RULES: files[_RULES]}
        return [
            Source(f"{spec.TOKENIZER}/{name}", path.stat().st_size, file_sha256(path)) for name, path in files.items()
        ]

    def _find_flat(self) -> dict[str, Any]:
        path = Path(self.spec.corpus).expanduser()
        tokens = FlatTokens(path, self.spec.dataset)
        splits = _ranges(-(-len(tokens) // self.spec.chunk), self.spec.shares)
        part = Part(str(path.resolve()), self.spec.corpus, 0, path.stat().st_size, file_sha256(path))
        return {
            "name": self.spec.corpus,
            "tokens": len(tokens),
            "ranges": {split: [chunks.start, chunks.stop] for split, chunks in splits.items()},
            "rows": {split: len(chunks) for split, chunks in splits.items()},
            "parts": {"": [part]},
            "license": "unknown",
            "origin": "found",
        }

    def _find_table(self, encoder: Encoder) -> dict[str, Any]:
        table = find_table(self.spec.corpus, self.spec.revision)
        chosen = table.chosen(self.spec.splits)
        check_text_type(table.schema([self.spec.column]).field(0).type, self.spec.column, table.name)
        hashed = {split: [_hashed(part) for part in parts] for split, parts in chosen.items()}
        for parts in chosen.values():
            rows = min(_SAMPLE_ROWS, sum(part.rows for part in parts))
            texts = RowReader(parts, [self.spec.column]).read(0, rows)[self.spec.column] if rows else ()
            encoder.check([str(text)[:_SAMPLE_CHARACTERS] for text in texts])
        return {
            "name": table.name,
            "rows": {split: sum(part.rows for part in parts) for split, parts in chosen.items()},
            "parts": hashed,
            "license": table.license,
            "origin": table.origin,
        }

    @cached_property
    def _found(self) -> dict[str, Any]:
        return json.loads((self.prepared / _FOUND).read_bytes())

    @cached_property
    def _parts(self) -> dict[str, list[Part]]:
        return {split: [Part(*part) for part in parts] for split, parts in self._found["parts"].items()}

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self.prepared / _RULES, fast=self._found["engine"] != "tokenizers")

    @cached_property
    def _readers(self) -> dict[str, RowReader]:
        columns = [self.spec.column, *(name for name in self.spec.keep if name != self.spec.column)]
        return {split: RowReader(parts, columns) for split, parts in self._parts.items()}

    @cached_property
    def _flat(self) -> Any:
        return FlatTokens(Path(self._parts[""][0].path), self.spec.dataset)

    # --- what there is -----------------------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> pa.Schema:  # type: ignore[override]
        """The ids, and the columns that are kept."""
        known = (self.prepared / _FOUND).is_file()
        vocabulary = self._found["vocabulary"] if known else Encoder(self.spec.tokenizer, fast=False).vocabulary
        ids = pa.field("input_ids", pa.list_(pa.from_numpy_dtype(_id_type(self.spec.dtype, vocabulary))))
        if not self.spec.keep:
            return pa.schema([ids])
        table = Table(self._found["name"], self._parts) if known else find_table(self.spec.corpus, self.spec.revision)
        return pa.schema([ids, *table.schema(self.spec.keep, "keep")])

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows of each split: documents, or chunks."""
        most = self.spec.max_rows
        return {split: min(rows, most or rows) for split, rows in self._found["rows"].items()}

    @property
    def row_bytes(self) -> int:
        """About how many bytes a row takes; text has four bytes a token, and Parquet a third of the text's bytes."""
        width = _id_type(self.spec.dtype, self._found["vocabulary"]).itemsize
        if self.spec.flat:
            return self.spec.chunk * width
        parts = [part for parts in self._parts.values() for part in parts]
        return 8 + sum(part.bytes for part in parts) * 3 * width // 4 // max(1, sum(part.rows for part in parts))

    @property
    def recorded(self) -> TokensSpec:
        """The spec with names in place of paths on this machine."""
        given = {"corpus": self.spec.corpus}
        if not is_own(self.spec.tokenizer):
            given["tokenizer"] = self.spec.tokenizer
        paths = {field: Path(where).expanduser() for field, where in given.items()}
        names = {field: path.resolve().name for field, path in paths.items() if path.exists()}
        return self.spec.model_copy(update=names)

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of the source's files, if it lies on this machine, by name."""
        path = Path(self.spec.corpus).expanduser()
        if self.spec.flat:
            return {f"{spec.CORPUS}/{path.name}": path.stat().st_size} if path.is_file() else {}
        if not path.exists():
            return {}
        parts = [part for parts in find_table(self.spec.corpus).chosen(self.spec.splits).values() for part in parts]
        return {f"{spec.CORPUS}/{part.name}": part.bytes for part in parts}

    def sources(self) -> Sequence[Source]:
        """Return the source's files and those of the tokenizer, if it lies on this machine."""
        parts = [part for parts in self._parts.values() for part in parts]
        names = [Path(part.name).name if self.spec.flat else part.name for part in parts]
        files = [
            Source(f"{spec.CORPUS}/{name}", part.bytes, str(part.sha256))
            for name, part in zip(names, parts, strict=True)
        ]
        return [*files, *(Source(*file) for file in self._found["tokenizer_files"])]

    def facts(self) -> dict[str, Any]:
        """Return what the ids mean, and which library found them."""
        names = ("vocabulary", "bos", "eos", "tokenizer_sha256")
        facts = {name: self._found[name] for name in names} | {"tokenizer": self.recorded.tokenizer}
        if "@" in self._found["name"]:
            facts["corpus"] = self._found["name"]  # a repository at its commit
        if self.spec.flat:
            return facts | {"tokens": self._found["tokens"]}
        reason = self._found["reason"]
        return facts | {"encoder": self._found["engine"]} | ({"encoder_reason": reason} if reason else {})

    @property
    def _title(self) -> str:
        path = Path(self.spec.corpus).expanduser()
        return path.resolve().name if path.exists() else self.spec.corpus

    @property
    def summary(self) -> str:  # type: ignore[override]
        """What a row is, in two sentences."""
        if self.spec.flat:
            return (
                f"Each row is {self.spec.chunk:,} consecutive tokens of one sequence of {self._found['tokens']:,}. The "
                "splits are contiguous ranges of it."
            )
        return (
            f"Each row is a document of {self._title} as token ids, in the source's order. Special tokens in a "
            "document's text are encoded as ordinary text."
        )

    @property
    def license(self) -> str:  # type: ignore[override]
        """The source's licence."""
        return self._found["license"]

    @property
    def origin(self) -> Literal["generated", "found"]:  # type: ignore[override]
        """Where the source's text came from."""
        return self._found["origin"]

    # --- rows --------------------------------------------------------------------------------------------------------

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split.

        Raises:
            UserError: The source can't be read or has changed, a text is null or can't be encoded, or an id is none.
        """
        columns = self._chunks(split, start, stop) if self.spec.flat else self._documents(split, start, stop)
        return Block(pa.RecordBatch.from_arrays(columns, schema=self.schema))

    def _chunks(self, split: str, start: int, stop: int) -> list[pa.Array]:
        found, chunk = self._found, self.spec.chunk
        first = found["ranges"][split][0]
        ends = np.minimum(np.arange(first + start, first + stop + 1) * chunk, found["tokens"])
        type = _id_type(self.spec.dtype, found["vocabulary"])
        return [_lists(self._flat.read(int(ends[0]), int(ends[-1]), type, found["vocabulary"]), ends - ends[0])]

    def _documents(self, split: str, start: int, stop: int) -> list[pa.Array]:
        rows = self._readers[split].read(start, stop)
        text = rows[self.spec.column]
        if text.null_count:
            index = start + text.is_null().index(True).as_py()
            raise UserError(
                f"column: row {index} of {split} has no {self.spec.column}; leave such rows out of the source"
            )
        try:
            ids, ends = self._encoder.encode_batch(text.to_pylist(), start)
        except UserError as error:
            raise UserError(f"column: {split}: {error}") from None
        type = _id_type(self.spec.dtype, self._found["vocabulary"])
        ids, ends = _framed(ids.astype(type, copy=False), ends, self._found["bos"], self._found["eos"])
        if ends[-1] > np.iinfo(np.int32).max:
            raise UserError(f"corpus: rows {start} to {stop} of {split} have {ends[-1]} tokens; cut such documents")
        kept = [rows[name].cast(self.schema.field(name).type) for name in self.spec.keep]
        return [_lists(ids, ends), *(pa.concat_arrays(column.chunks) for column in kept)]


def _ranges(chunks: int, shares: Mapping[str, float]) -> dict[str, range]:
    """Divide consecutive chunks among splits, in order and in proportion, so that no two splits touch one chunk.

    Raises:
        UserError: A split would be empty.
    """
    found, share, total, start = {}, 0.0, sum(shares.values()), 0
    for split, part in shares.items():
        share += part
        stop = round(chunks * share / total)
        if start == stop:
            raise UserError(
                f"shares: {split}={part} of {chunks} chunks is none; raise it, lower chunk, or leave it out"
            )
        found[split], start = range(start, stop), stop
    return found


def _token(encoder: Encoder, field: str, wanted: str, own: str | None) -> int | None:
    """Return the id of the token to put around documents, or None."""
    token = own if wanted == "auto" else None if wanted == "none" else wanted
    id = None if token is None else encoder.token_id(token)
    if token is not None and id is None:
        raise UserError(f"{field}: the tokenizer has no token {token!r}; name one that it has, or set {field}=none")
    return id


def _id_type(name: str, vocabulary: int) -> np.dtype:
    """Return the type of ids.

    Raises:
        UserError: It is too narrow for the vocabulary.
    """
    if name == "uint16" and vocabulary > _NARROW:
        raise UserError(f"dtype: uint16 holds ids below {_NARROW}, and the tokenizer has {vocabulary}; set dtype=auto")
    return np.dtype(("uint16" if vocabulary <= _NARROW else "uint32") if name == "auto" else name)


def _hashed(part: Part) -> Part:
    """Return a file with its hash.

    Raises:
        UserError: It is not what its corpus's manifest says.
    """
    sha256 = file_sha256(Path(part.path))
    if part.sha256 not in (None, sha256):
        raise UserError(f"corpus: {part.path} is not the file that its corpus.json describes; build that corpus again")
    return part._replace(sha256=sha256, path=str(Path(part.path).absolute()))


def _framed(ids: np.ndarray, ends: np.ndarray, bos: int | None, eos: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Put tokens before and after each document; return ids and offsets."""
    extra = (bos is not None) + (eos is not None)
    if not extra:
        return ids, ends
    framed_ends = ends + extra * np.arange(len(ends))
    framed, own = np.empty(framed_ends[-1], ids.dtype), np.ones(framed_ends[-1], bool)
    for id, places in ((bos, framed_ends[:-1]), (eos, framed_ends[1:] - 1)):
        if id is not None:
            framed[places], own[places] = id, False
    framed[own] = ids
    return framed, framed_ends


def _lists(values: np.ndarray, ends: np.ndarray) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values))


BUILDER = Tokens
