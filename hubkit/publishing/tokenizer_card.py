"""What the card of a tokenizer says: how text becomes ids, what it was trained on, and how to load it."""

from collections.abc import Mapping
from typing import Any

from hubkit.publishing.cards import citation, code_of, public, render_body, title_of
from hubkit.publishing.sources import CardFacts
from hubkit.publishing.versions import Version

_KINDS = {
    "BPE": "byte-pair encoding",
    "WordLevel": "word-level",
    "Unigram": "unigram",
    "WordPiece": "WordPiece",
}
_ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def tokenizer_card(
    rules: Mapping[str, Any], config: Mapping[str, Any], record: Mapping[str, Any] | None, repo: str, version: Version
) -> CardFacts:
    """Return the card of a tokenizer.

    Args:
        rules: Its `tokenizer.json`.
        config: Its `tokenizer_config.json`.
        record: What it was trained on, where that is known.
        repo: Where it is published.
        version: The release that the snippet loads.
    """
    model, added = rules["model"], rules.get("added_tokens") or []
    vocabulary = model.get("vocab") or ()
    names = set(vocabulary) if isinstance(vocabulary, Mapping) else {entry[0] for entry in vocabulary}
    record = public(record)
    title, corpus = title_of(repo), (record or {}).get("corpus") or {}
    facts = {
        "repo": repo,
        "title": title,
        "tag": version.tag,
        "kind": _KINDS.get(str(model.get("type")), str(model.get("type"))),
        "vocabulary": len(names | {token.get("content") for token in added}),
        "special": [(role, _text(config[role])) for role in _ROLES if config.get(role)],
        "record": record,
        "corpus": corpus,
        "code": code_of(record["code"]) if record and record.get("code") else None,
        "citation": citation(repo, version.tag, title, "Tokenizer"),
    }
    metadata: dict[str, Any] = {"library_name": "transformers", "tags": ["hubkit", "tokenizer"]}
    if corpus.get("revision"):  # on the Hub
        metadata["datasets"] = [corpus["corpus"]]
    return CardFacts(metadata, {"license": "apache-2.0"}, render_body("tokenizer.md.j2", facts))


def _text(token: Any) -> str:
    """Return the text of a special token, which a config may describe with its fields."""
    return str(token.get("content")) if isinstance(token, Mapping) else str(token)
