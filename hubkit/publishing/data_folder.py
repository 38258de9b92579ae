"""A folder of rows that hubkit did not make: Parquet or JSON Lines, published as they are, with hashes of their rows.

The manifest is made in memory from the files. It says what the rows are, and nothing of how they came about.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.corpora.json_rows import Lines
from hubkit.errors import UserError
from hubkit.publishing.corpus import BESIDE, MANIFEST, CorpusSource
from hubkit.publishing.data_layout import DEFAULT, Config, card_fields, find_configs
from hubkit.publishing.sources import (
    OURS,
    CardFacts,
    Content,
    RepoFiles,
    content_of_bytes,
    content_of_file,
    token_in,
)
from hubkit.publishing.versions import Change, Version, corpus_change

if TYPE_CHECKING:
    from hubkit.corpora.manifest import Overlap
    from hubkit.corpora.row_files import SplitRows

SUMMARY = "The rows are published as their owner's files hold them."

_BESIDE_SUFFIXES = {".md", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".bib", ".cff", ".txt"}
"""What lies beside the rows and is published with them: texts and the pictures of a card."""


class DataFolder(CorpusSource):
    """Somebody's files."""

    def read_manifest(self) -> dict[str, Any]:
        """Read all rows once and return the manifest of what they are.

        Raises:
            UserError: A file can't be published; says which, and on which line.
        """
        from hubkit.corpora.manifest import Manifest

        configs = [self._read(config) for config in find_configs(self.root, _written_before(self.root))]
        self.configs = {config.config.name: config for config in configs}
        license = card_fields(self.root).get("license")
        unknown = dict.fromkeys(("builder", "generator_version", "config", "spec", "spec_sha256", "tokenizer"))
        manifest = Manifest(
            **unknown,
            code={}, libraries={}, numerics={}, writer={}, sources=[], facts={}, reports=[],
            columns=[column for config in configs for column in config.columns()],
            summary=SUMMARY,
            license=license if isinstance(license, str) else "unknown",
            origin="files",
            overlaps=[overlap for config in configs if (overlap := config.overlap())],
            splits={key: record for config in configs for key, record in config.records().items()},
        )  # fmt: skip
        self._text = manifest.text().encode()
        return json.loads(self._text)

    def _read(self, config: Config) -> "ConfigRows":
        """Read the rows of a config, while a second thread hashes its files."""
        from hubkit.corpora.row_files import read_splits

        with ThreadPoolExecutor(1) as hashing:
            files = [file for some in config.splits.values() for file in some]
            contents = {file.name: hashing.submit(content_of_file, file.name, file.path) for file in files}
            try:
                rows = read_splits(config.splits, _refuse_tokens)
            except BaseException:
                hashing.shutdown(cancel_futures=True)
                raise
        return ConfigRows(config, *rows, contents)

    def files(self) -> list[Content]:
        """Return manifest and files of rows, and the texts and pictures that lie beside them."""
        shards = {name: content for config in self.configs.values() for name, content in config.contents.items()}
        found = [content_of_bytes(MANIFEST, self._text), *shards.values()]
        for name, path in self.walk():
            if name in shards or name in OURS or name == MANIFEST or path.name.startswith("."):
                continue
            if name in BESIDE or path.suffix.lower() in _BESIDE_SUFFIXES:
                found.append(self.content(name, path))
            else:
                self.left_out.append(f"{name} (no file of rows, and no text or picture)")
        return found

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Compare rows, by the hashes of their blocks: see contract 5 in :mod:`hubkit.publishing.versions`."""
        return corpus_change(old, self.manifest, self._prefix_sha256)

    def _prefix_sha256(self, key: str, rows: int) -> str:
        from hubkit.corpora.row_files import digest_of

        name, _, split = key.rpartition("/")
        config = self.configs[name or DEFAULT]
        return digest_of(config.splits[split], config.config.splits[split], config.schema, rows)

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return the dataset card: what is known of the files."""
        from hubkit.publishing.data_card import data_card

        return data_card(list(self.configs.values()), self.manifest, card_fields(self.root), repo, version)


class ConfigRows:
    """What was found out about a config: its schema, the rows of its splits, the bytes of its files."""

    def __init__(
        self,
        config: Config,
        schema: Any,
        splits: "Mapping[str, SplitRows]",
        overlap: "Overlap | None",
        contents: "Mapping[str, Future[Content]]",
    ):
        self.config = config
        self.schema = schema
        """The rows' Arrow schema, with the metadata of the first file."""
        self.splits = splits
        self._overlap = overlap
        self._contents = contents

    @cached_property
    def contents(self) -> dict[str, Content]:
        """Its files, by path."""
        return {name: content.result() for name, content in self._contents.items()}

    def overlap(self) -> "Overlap | None":
        """Return what the splits share, by the manifest's names for them."""
        if not self._overlap:
            return None
        key, found = self.config.key, self._overlap
        pairs = [pair.model_copy(update={"split": key(pair.split), "other": key(pair.other)}) for pair in found.pairs]
        repeats = {key(split): rows for split, rows in found.repeats.items()}
        return found.model_copy(update={"pairs": pairs, "repeats": repeats})

    def columns(self) -> list[dict[str, str]]:
        """Return what the manifest says of the columns."""
        from hubkit.corpora.hashing import type_name

        where = {} if self.config.name == DEFAULT else {"config": self.config.name}
        return [{"name": field.name, "type": type_name(field.type), **where} for field in self.schema]

    def records(self) -> dict[str, Any]:
        """Return what the manifest says of the splits, by its names for them."""
        from hubkit.corpora.hashing import rows_sha256
        from hubkit.corpora.manifest import ShardRecord, SplitRecord

        records = {}
        for split, found in self.splits.items():
            shards = []
            for file, rows in zip(self.config.splits[split], found.files, strict=True):
                content = self.contents[file.name]
                shards.append(
                    ShardRecord(
                        file=file.name,
                        rows=rows.rows,
                        bytes=content.size,
                        rows_sha256=rows_sha256(rows.digests),
                        file_sha256=content.sha256,
                    )
                )
            records[self.config.key(split)] = SplitRecord(
                rows=found.rows,
                rows_sha256=rows_sha256(found.digests),
                rejected=0,
                failed=0,
                statistics=dict(found.statistics),
                shards=shards,
            )
        return records


def is_data_folder(manifest: Path) -> bool:
    """Tell whether a `corpus.json` is one that was made for files, as in a clone of what this module published."""
    try:
        return json.loads(manifest.read_bytes()).get("origin") == "files"
    except (OSError, ValueError, AttributeError):
        return False


def _written_before(folder: Path) -> list[dict[str, Any]]:
    """Return what hubkit wrote under `configs:` for the files of an earlier release, if the folder is a clone of it."""
    from hubkit.publishing.data_layout import default_entry

    if not is_data_folder(folder / MANIFEST):
        return []
    try:
        splits = json.loads((folder / MANIFEST).read_bytes())["splits"]
        plain = {key: [shard["file"] for shard in split["shards"]] for key, split in splits.items() if "/" not in key}
    except (KeyError, TypeError, AttributeError):  # somebody edited it; the README's word counts then
        return []
    return [default_entry(plain)]


def _refuse_tokens(name: str, lines: Lines) -> None:
    """Refuse text that holds a token; compressed files show theirs only here."""
    at = token_in(lines.data)
    if at is not None:
        line = lines.first + lines.data.count(b"\n", 0, at)
        raise UserError(f"{name}:{line} holds what looks like an access token: take it out, and revoke that token")
