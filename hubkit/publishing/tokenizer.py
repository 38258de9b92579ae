"""A tokenizer folder: what `hubkit tokenizer train` or `save_pretrained` writes, to be shared by several models."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.sources import OURS, CardFacts, Content, RepoFiles, Source, content_of_bytes, read_json
from hubkit.publishing.versions import Change, Level, Version

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
RECORD = "tokenizer_training.json"
"""What it was trained on; only a trained one has it."""

_PUBLISHED = frozenset({TOKENIZER, CONFIG, RECORD, "special_tokens_map.json", "added_tokens.json", "LICENSE"})


class TokenizerSource(Source):
    """A tokenizer by itself; the Hub keeps it as a model repository without weights."""

    kind = "tokenizer"
    repo_type = "model"
    manifest_name = TOKENIZER

    def read_manifest(self) -> dict[str, Any]:
        """Return `tokenizer.json`, with which text becomes ids."""
        mend = "save the tokenizer with save_pretrained"
        if not (self.root / CONFIG).is_file():
            raise UserError(f"{self.root / CONFIG} is missing: {mend}")
        rules = read_json(self.root / TOKENIZER, mend)
        if not isinstance(rules.get("model"), Mapping):
            raise UserError(f"{self.root / TOKENIZER}: the field model is missing: {mend}")
        return rules

    def files(self) -> list[Content]:
        """Return what transformers reads of a tokenizer, and the record of its training, without folders in it."""
        found = []
        for name, path in self.walk():
            if name == RECORD:
                found.append(content_of_bytes(name, _portable(read_json(path, "train the tokenizer again"))))
            elif name in _PUBLISHED:
                found.append(self.content(name, path))
            elif name not in OURS and not path.name.startswith("."):
                self.left_out.append(f"{name} (not part of a tokenizer)")
        return found

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Other ids for the same text are MAJOR, more added tokens MINOR, and other files PATCH."""
        new, names = self.manifest, tuple(sorted(changed))
        if old == new:
            return Change(Level.PATCH, "the same text becomes the same ids, other files beside it", names)
        differing = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
        before, after = (side.get("added_tokens") or [] for side in (old, new))
        if differing == ["added_tokens"] and all(token in after for token in before):
            added = [str(token.get("content")) for token in after if token not in before]
            return Change(Level.MINOR, "tokens were added; all others keep their ids", (f"added: {', '.join(added)}",))
        return Change(Level.MAJOR, "text becomes other ids", (f"{TOKENIZER}: {', '.join(differing)} changed",))

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return the tokenizer's card."""
        from hubkit.publishing.tokenizer_card import tokenizer_card

        record = read_json(self.root / RECORD, "train it again") if (self.root / RECORD).is_file() else None
        return tokenizer_card(self.manifest, read_json(self.root / CONFIG, "save it again"), record, repo, version)


def is_tokenizer(folder: Path) -> bool:
    """Tell whether a folder holds a tokenizer; one beside a model is part of that."""
    return (folder / TOKENIZER).is_file()


def _portable(record: dict[str, Any]) -> bytes:
    """Return the record of a training as it is published: a folder of this machine is named by its last part."""
    from hubkit.publishing.cards import public

    return (json.dumps(public(record), indent=1, ensure_ascii=False) + "\n").encode()
