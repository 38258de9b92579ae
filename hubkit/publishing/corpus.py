"""A corpus folder: `corpus.json` and the shards that it names."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.sources import OURS, CardFacts, Content, RepoFiles, Source, content_of_file
from hubkit.publishing.versions import Change, Version, corpus_change

MANIFEST = "corpus.json"

BESIDE = {"LICENSE", "LICENSE.txt", "LICENSE.md"}
"""What may lie beside the rows and is published with them."""

FUNCTION_FILE = "function.py"
"""The text of the function that made the rows, where one did."""


class CorpusSource(Source):
    """A finished build."""

    kind = "corpus"
    repo_type = "dataset"
    manifest_name = MANIFEST

    def read_manifest(self) -> dict[str, Any]:
        """Return `corpus.json`, checked against its model."""
        from hubkit.corpora.manifest import read_manifest

        read_manifest(self.root)
        return json.loads((self.root / MANIFEST).read_bytes())

    def files(self) -> list[Content]:
        """Return manifest and shards; every shard is compared with what the manifest says of it."""
        found = [content_of_file(MANIFEST, self.root / MANIFEST)]
        for split in self.manifest["splits"].values():
            found += [self._shard(record) for record in split["shards"]]
        named = {content.path for content in found}
        for name, path in self.walk():
            if name in named or name in OURS:
                continue
            if name in BESIDE or (name == FUNCTION_FILE and self.manifest["builder"] == "function"):
                found.append(self.content(name, path))
            elif name.startswith("data/") and name.endswith(".parquet") and not path.name.startswith("."):
                raise UserError(f"{path} is not in {MANIFEST}: remove it, or build into an empty folder")
            elif not name.startswith("."):
                self.left_out.append(f"{name} (not part of the corpus)")
        return found

    def _shard(self, record: Mapping[str, Any]) -> Content:
        file = self.root / record["file"]
        if not file.is_file():
            raise UserError(f"{file} is missing, and {MANIFEST} names it: build into an empty folder")
        content = content_of_file(record["file"], file)
        if content.size != record["bytes"] or content.sha256 != record["file_sha256"]:
            raise UserError(f"{file} is not the file that {MANIFEST} describes: build into an empty folder")
        return content

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Compare rows: see contract 5 in :mod:`hubkit.publishing.versions`."""
        return corpus_change(
            old, self.manifest, lambda split, rows: rows_prefix_sha256(self.root, self.manifest, split, rows)
        )

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return the dataset card."""
        from hubkit.publishing.dataset_card import dataset_card

        return dataset_card(self.root, self.manifest, repo, version)

    def described(
        self, card: Mapping[str, Any], repo: str, version: Version, hub: str, before: bytes | None
    ) -> bytes | None:
        """Return `croissant.json`."""
        from hubkit.publishing.croissant import croissant

        return croissant(self.manifest, card, repo, version, hub, before)

    def owned(self, manifest: Mapping[str, Any]) -> set[str]:
        """Return the shards that a manifest names."""
        splits = manifest.get("splits") or {}
        return {MANIFEST, *(shard["file"] for split in splits.values() for shard in split.get("shards") or ())}


def rows_prefix_sha256(folder: Path, manifest: Mapping[str, Any], split: str, rows: int) -> str:
    """Return the hash of the first rows of a split, as if it had no more.

    Args:
        folder: The corpus folder.
        manifest: Its `corpus.json`.
        split: Which split.
        rows: How many rows; the split has at least so many.
    """
    from hubkit.corpora.hashing import rows_sha256_of_parquet

    paths, have = [], 0
    for shard in manifest["splits"][split]["shards"]:
        if have >= rows:
            break
        paths.append(folder / shard["file"])
        have += shard["rows"]
    return rows_sha256_of_parquet(paths, limit=rows)
