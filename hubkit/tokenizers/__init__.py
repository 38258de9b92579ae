"""Tokenizers by name; whatever made them, all end as a stock `PreTrainedTokenizerFast`."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.errors import UserError
from hubkit.tokenizers.characters import character_tokenizer
from hubkit.tokenizers.ids import id_tokenizer
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.tokenizers.numeric import numeric_lorenz_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKENIZERS: dict[str, "Callable[[], PreTrainedTokenizerFast]"] = {
    "lorenz": lorenz_tokenizer,
    "numeric-lorenz": numeric_lorenz_tokenizer,
}


def make_tokenizer(name: str) -> "PreTrainedTokenizerFast":
    """Return the tokenizer of that name.

    Args:
        name: One of `TOKENIZERS`; ``characters:AB`` for one of these characters; ``ids:1000`` for the ids 0 to 999.

    Raises:
        UserError: There is none; the message lists those there are.
    """
    kind, _, symbols = name.partition(":")
    if kind == "characters":
        return character_tokenizer(symbols)
    if kind == "ids":
        return id_tokenizer(symbols)
    if name not in TOKENIZERS:
        known = ", ".join(sorted(TOKENIZERS))
        raise UserError(f"tokenizer: {name!r} is unknown (known: {known}, characters:SYMBOLS, ids:NUMBER)")
    return TOKENIZERS[name]()


def tokenizer_sha256(tokenizer: "PreTrainedTokenizerFast") -> str:
    """Return the identity of a tokenizer: the sha256 of its serialised rules and vocabulary."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()


def save_tokenizer(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Write a tokenizer so that `AutoTokenizer` of transformers 4 and 5 both load it.

    transformers 5 records a class name that version 4 does not have; both know `PreTrainedTokenizerFast`.
    """
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
