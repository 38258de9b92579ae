"""Corpora cut out of text that is there already: JSON Lines or plain text, in files near and far, compressed or not.

A row is a document. Each source is read once, a big plain file in several spans by several workers: its documents go,
as rows will have them, into a spool, and a keyed hash of each text, with sizes, into an index. Then exact duplicates
go, wherever they are, the first one stays, and the rest is dealt out to the splits by those hashes, so that a document
is in the same split whatever else the corpus holds. Then any worker takes the rows of any shard from the spools, in the
order of the sources. Memory does not grow with the size of any of them; on the disk of the output folder a build needs
room for the text, uncompressed, besides the corpus itself.

    hubkit build text --set 'files=[data/*.jsonl.zst]' --set min_characters=10 -o out
"""

import json
import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubkit.corpora.builder import Block, CorpusBuilder, Source
from hubkit.corpora.documents.duplicates import mark_firsts
from hubkit.corpora.documents.index import QUARANTINE, Document, Index, Indexer, read_index
from hubkit.corpora.documents.masking import mask_emails, mask_emails_within
from hubkit.corpora.documents.metadata import Describer, canonical_text
from hubkit.corpora.documents.near_duplicates import mark_later_ones, write_signatures
from hubkit.corpora.documents.quarantine import bear, bear_files, counts_of, gather
from hubkit.corpora.documents.selection import Selection, select
from hubkit.corpora.documents.tokens import TokenCounter
from hubkit.errors import UserError
from hubkit.randomness import stream_key
from hubkit.reading import Digest, Form, Found, Span, documents, find_sources, spans_of
from hubkit.reading.remote import is_remote
from hubkit.reading.stored import stored
from hubkit.resources import load_module

spec = load_module(Path(__file__).with_name("_text_spec.py"), "hubkit_text_spec")
TextSpec = spec.TextSpec

_SPLIT = re.compile(r"[a-z][a-z0-9_]*")
_SUFFIXES = re.compile(r"(\.(jsonl?|ndjson|txt|text|gz|gzip|zst|zstd|xz|bz2|part|\d+))+$", re.IGNORECASE)

# --- named configs ---------------------------------------------------------------------------------------------------

# Each is how one known collection is laid out; `--set files=[…]` says where it is.
CONFIGS = {
    "text-pile": TextSpec(files=("pile/**/*.jsonl.zst",), min_characters=10),
    "text-slimpajama": TextSpec(files=("slimpajama/**/*.jsonl.zst",), min_characters=10),
    "text-redpajama": TextSpec(files=("redpajama/**/*.jsonl",), min_characters=10),
    "text-cc100": TextSpec(files=("cc100/*.txt.xz",), form=Form(format="paragraphs"), min_characters=10),
}

# --- the family ------------------------------------------------------------------------------------------------------


class Text(CorpusBuilder):
    """Corpora of documents that people wrote."""

    name = "text"
    version = "1"
    spec_type = TextSpec
    schema = pa.schema(
        {
            "text": pa.large_string(),  # a block may well hold more than the 2 GiB of plain ones
            "meta": pa.large_string(),
            "extra": pa.large_string(),
            "domain": pa.string(),
            "source": pa.string(),
        }
    )
    configs = CONFIGS
    origin = "found"
    spec: TextSpec

    @property
    def summary(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How the rows came about, in two or three sentences."""
        spec = self.spec
        near = ", and near duplicates by MinHash," if spec.near_duplicates == "minhash" else ""
        splits = f"the field `{spec.split_field}`" if spec.split_field else "a keyed hash of the text"
        masked = f" E-mail addresses are masked as `{spec.email_mask}`." if spec.mask_emails else ""
        return (
            "Each row is a document as it was found, with the fields beside it as JSON text (`meta`, and the others in "
            f"`extra`). Exact duplicates{near} are left out; {splits} decides the split of a document.{masked}"
        )

    @property
    def license(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The licence that the spec states."""
        return self.spec.license

    @property
    def libraries(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What rows may hang on: who parses and prints JSON, who hashes, and who finds near duplicates."""
        return ("numpy", "pyarrow", "orjson", "xxhash", *(["datatrove"] * (self.spec.near_duplicates == "minhash")))

    # --- preparation

    @cached_property
    def _found(self) -> dict[str, Found]:
        return {found.name: found for found in find_sources(self.spec.files)}

    @cached_property
    def _parts(self) -> dict[str, tuple[Found, Span | None, bool]]:
        """The pieces by name: of which source, of which span of it, and whether to look at what it holds at all."""
        parts = {}
        for name, found in self._found.items():
            spans = spans_of(found, self.spec.form)
            parts[name] = found, None, not spans  # to be hashed, at least: what takes longest begins first
            for span in spans:
                parts[f"{name}, bytes {span.start} to {span.stop - 1}"] = found, span, True
        return parts

    def pieces(self) -> Sequence[str]:
        """Return the names of the sources, in order; behind that of a source in spans, which is hashed, these.

        Raises:
            UserError: A pattern leads to nothing.
        """
        return list(self._parts)

    @cached_property
    def _labels(self) -> dict[str, str]:
        """What rows and reports call the sources: their paths below the folder that holds all of them."""
        paths = {name: name.split("/") for name in self._found}
        levels = zip(*(path[:-1] for path in paths.values()), strict=False)
        shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
        return {name: "/".join(path[shared:]) for name, path in paths.items()}

    def prepare(self, piece: str, folder: Path) -> None:
        """Read one source, or a span of it, and leave its documents, their index, and what was wrong in it.

        Raises:
            UserError: It can't be read, changes meanwhile, or has too many domains or splits.
        """
        spec, digest = self.spec, Digest()
        found, span, has_documents = self._parts[piece]
        key = stream_key(spec.seed, self.name, "documents") & (1 << 64) - 1
        shares = None if spec.split_field else tuple(spec.shares.values())
        counter = None if spec.count_tokens is None else TokenCounter(spec.count_tokens)
        indexer = Indexer(folder, key, shares, counter)
        if not has_documents:
            deque(stored(found, digest), maxlen=0)
        elif spec.near_duplicates == "minhash":
            write_signatures(self._index(found, span, digest, indexer), folder)
        else:
            deque(self._index(found, span, digest, indexer), maxlen=0)
        if [now.stamp for now in find_sources(found.parts or [found.url])] != [found.stamp]:
            raise _changed(found.name)
        source = {"label": self._labels[found.name], "stamp": found.stamp, "lines": digest.lines}
        indexer.close(source if span else source | {"bytes": digest.bytes, "sha256": digest.sha256})

    def _index(self, found: Found, span: Span | None, digest: Digest, indexer: Indexer) -> Iterator[str]:
        """Put every record of a source, or a span of it, where it belongs; yield the texts of the documents."""
        spec, describer = self.spec, self._describer(found.name)
        most = float("inf") if spec.max_characters is None else spec.max_characters
        for record in documents(found, spec.form, digest, span):
            if record.text is None:
                indexer.refuse(record, record.reason or "unreadable")
                continue
            text, masked = self._masked(record.text)
            if not spec.min_characters <= len(text) <= most:
                indexer.drop("min_characters" if len(text) < spec.min_characters else "max_characters")
                continue
            domain, licence, split = describer(record)
            if spec.split_field and not _is_split(split):
                reason = f"no split: {spec.split_field} is {str(split)[:80]!r}, not a name such as train"
                indexer.refuse(record._replace(raw=record.text[:1000].encode()), reason)
                continue
            meta, extra = self._as_text(record.meta), self._as_text(record.rest)
            indexer.add(Document(text, meta, extra, (domain, licence), split, masked))
            yield text

    @cached_property
    def _describer(self) -> Callable[[str], Describer]:
        """What gives the describer of a source's documents."""
        form, spec = self.spec.form, self.spec
        return cache(
            lambda source: Describer(form.meta_field, spec.domain_field, spec.split_field, spec.domain or _stem(source))
        )

    def _masked(self, text: str) -> tuple[str, int]:
        return mask_emails(text, self.spec.email_mask) if self.spec.mask_emails else (text, 0)

    def join(self, pieces: Sequence[Path], folder: Path) -> None:
        """Drop duplicates, deal the documents out to the splits, and put together what was wrong.

        Raises:
            UserError: More records are bad than the spec bears, or no document is left, or a source changed meanwhile.
        """
        indexes = [read_index(piece) for piece in pieces]
        _check_same(indexes, {self._labels[name]: found.stamp for name, found in self._found.items()})
        bear_files(indexes, self.spec.max_bad_files)
        bear(indexes, self.spec.max_bad, self.spec.max_bad_share)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            keep = mark_firsts([index.entries for index in indexes], Path(scratch))
            duplicates = len(keep) - int(np.count_nonzero(keep))
            if self.spec.near_duplicates == "minhash":
                filled = [index for index in indexes if len(index.entries)]
                counts = [len(index.entries) for index in filled]
                keep[mark_later_ones([index.folder for index in filled], counts, Path(scratch))] = False
            kept = int(np.count_nonzero(keep))
            select(indexes, keep, None if self.spec.split_field else list(self.spec.shares), self.spec.limit, folder)
        counts = {"quarantined": counts_of(indexes, "bad"), "filtered": counts_of(indexes, "filtered")}
        if not kept:
            raise UserError(f"files: no document is left ({canonical_text(counts)}); mend the files, or the spec")
        facts = {"duplicates": duplicates, "near_duplicates": len(keep) - duplicates - kept} | counts
        (folder / "facts.json").write_text(json.dumps(facts))
        gather(indexes, folder / QUARANTINE)

    # --- what was found

    @cached_property
    def _selection(self) -> Selection:
        return Selection(self.prepared)

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows of each split."""
        return self._selection.rows

    @property
    def row_bytes(self) -> int:
        """The mean size of a document, and something for the fields beside it."""
        domains = self._selection.summary["domains"].values()
        documents = sum(domain["documents"] for domain in domains)
        return 200 + sum(domain["bytes"] for domain in domains) // documents

    @property
    def recorded(self) -> TextSpec:
        """The spec with the sources' own names in place of paths on this machine; addresses stay as they are."""
        here = {name: label for name, label in self._labels.items() if not is_remote(name)}
        away = tuple(pattern for pattern in self.spec.files if is_remote(pattern))
        counter = self.spec.count_tokens and self.spec.count_tokens.rstrip("/").rsplit("/", 1)[-1]
        if counter and not Path(str(self.spec.count_tokens)).expanduser().exists():
            counter = self.spec.count_tokens
        return self.spec.model_copy(update={"files": (*here.values(), *away), "count_tokens": counter})

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes of the sources as they are now."""
        return {self._labels[name]: found.bytes for name, found in self._found.items() if found.bytes is not None}

    def sources(self) -> Sequence[Source]:
        """Return the sources with their sizes and sha256."""
        return [
            Source(index["label"], index["bytes"], index["sha256"])
            for index in self._selection.summary["indexes"]
            if "sha256" in index
        ]

    def facts(self) -> dict[str, Any]:
        """Return counts.

        Returns:
            `domains`: of each domain its documents, characters, bytes (of UTF-8), words, tokens (if counted), masked
            addresses (if masked) and licences (documents by licence); `duplicates` and `near_duplicates` dropped;
            records `quarantined` and `filtered`, by reason.
        """
        domains = self._selection.summary["domains"]
        for name, domain in domains.items():
            if self.spec.count_tokens is None:
                domain.pop("tokens", None)
            if not self.spec.mask_emails:
                domain.pop("masked", None)
            if name in self.spec.licences:
                domain["licences"] = {self.spec.licences[name]: domain["documents"]}
        return {"domains": domains} | json.loads((self.prepared / "facts.json").read_bytes())

    def reports(self) -> Mapping[str, Path]:
        """Return what could not be read: a JSON line each with file, line, reason and the beginning of it."""
        path = self.prepared / QUARANTINE
        return {path.name: path} if path.stat().st_size else {}

    # --- rows

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split."""
        return Block(self._selection.take(split, start, stop))

    def _as_text(self, value: Any) -> str | None:
        """Return what stood beside a text as JSON."""
        return canonical_text(mask_emails_within(value, self.spec.email_mask) if self.spec.mask_emails else value)


def _stem(source: str) -> str:
    """Return a file's name without its folder and what says how it is written."""
    return _SUFFIXES.sub("", re.split(r"[/\\]", source)[-1]) or source


def _check_same(indexes: Sequence[Index], stamps: Mapping[str, str]) -> None:
    """Refuse a source that is not what it was when one of its spans was read, by this run or an earlier one."""
    for source in (index.summary["source"] for index in indexes):
        if source["stamp"] != stamps[source["label"]]:
            raise _changed(source["label"])


def _changed(source: str) -> UserError:
    return UserError(f"files: {source} changed while it was read; run the same command again")


def _is_split(value: Any) -> bool:
    return isinstance(value, str) and bool(_SPLIT.fullmatch(value)) and value != "all"


BUILDER = Text
