"""Where tokenizers come from: by name, from a folder or a file, from the Hub, or made in this process."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hubkit.errors import UserError
from hubkit.hub import names_repository
from hubkit.tokenizers import TOKENIZERS, make_tokenizer
from hubkit.tokenizers.characters import are_characters

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
"""Kinds of special tokens, by the names that a tokenizer's config has for them."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")


class Rules(NamedTuple):
    """A tokenizer as it was found."""

    backend: "Tokenizer"
    bos: str | None
    """The token that begins a document, if the tokenizer has one."""
    eos: str | None
    """The token that ends a document, if the tokenizer has one."""
    in_texts: bool = False
    """Whether special tokens are written in the texts themselves, and are ordinary symbols there."""


def is_own(name: str) -> bool:
    """Tell whether a tokenizer is one of hubkit's by that name, whatever folder has the same."""
    return name in TOKENIZERS or name.startswith(("characters:", "ids:"))


def load_rules(tokenizer: "str | Path | Tokenizer | PreTrainedTokenizerFast") -> Rules:
    """Return a tokenizer's rules, and which tokens begin and end a document.

    Args:
        tokenizer: One of hubkit's by name, such as ``lorenz`` or ``characters:AB``; a folder; a ``tokenizer.json``; a
            Hub repository ``owner/name`` or ``owner/name@revision``; or one in memory.

    Raises:
        UserError: There is none, or its file is damaged.
    """
    from tokenizers import Tokenizer

    if isinstance(tokenizer, Tokenizer):
        return Rules(tokenizer, None, None)
    if not isinstance(tokenizer, str | Path):
        backend = tokenizer.backend_tokenizer
        in_texts = are_characters(backend)
        return Rules(backend, tokenizer.bos_token, tokenizer.eos_token, in_texts)  # type: ignore[arg-type]
    if str(tokenizer).startswith("characters:"):
        return Rules(make_tokenizer(str(tokenizer)).backend_tokenizer, None, None, in_texts=True)
    if is_own(str(tokenizer)):
        return load_rules(make_tokenizer(str(tokenizer)))
    return _read(find_files(str(tokenizer)))


def load_tokenizer(name: str) -> "PreTrainedTokenizerFast":
    """Return a tokenizer as the stock class of transformers, whatever class it was saved as.

    Where no config says so, ``<|endoftext|>`` begins and ends a document, as in GPT-2.

    Args:
        name: One of hubkit's by name, a folder, a ``tokenizer.json``, or ``owner/name[@revision]`` on the Hub.

    Raises:
        UserError: There is none, or its file is damaged.
    """
    if is_own(name):
        return make_tokenizer(name)
    from transformers import PreTrainedTokenizerFast

    files = find_files(name)
    rules, config = _read(files), _config(files)
    special: dict[str, Any] = {kind: token for kind in SPECIAL if (token := _content(config.get(kind))) is not None}
    # transformers 4 says "additional" for what version 5 calls "extra"; a mapping names tokens of its own.
    extra = config.get("extra_special_tokens") or config.get("additional_special_tokens") or []
    extra = list(extra.values()) if isinstance(extra, dict) else extra
    special["additional_special_tokens"] = [_content(token) for token in extra]
    if not {"bos_token", "eos_token"} & config.keys() and rules.backend.token_to_id(END_OF_TEXT) is not None:
        special |= dict.fromkeys(("bos_token", "eos_token"), END_OF_TEXT)
    return PreTrainedTokenizerFast(tokenizer_object=rules.backend, clean_up_tokenization_spaces=False, **special)


def find_files(where: str) -> dict[str, Path]:
    """Return the files of a tokenizer by their names: ``tokenizer.json``, and its config if there is one.

    Raises:
        UserError: There is none; the message says where it was looked for.
    """
    path = Path(where).expanduser()
    if path.is_dir():
        return _files_in(path, where)
    if path.is_file():
        beside = path.with_name(TOKENIZER_FILES[1])
        return {TOKENIZER_FILES[0]: path} | ({beside.name: beside} if beside.is_file() else {})
    if names_repository(where) and not where.endswith(".json"):
        return _files_in(_download(where), where)
    raise UserError(
        f"tokenizer: {where!r} is no folder, no file and no repository OWNER/NAME "
        f"(hubkit's own: {', '.join(sorted(TOKENIZERS))}, characters:SYMBOLS, ids:NUMBER)"
    )


def _files_in(folder: Path, where: str) -> dict[str, Path]:
    found = {name: folder / name for name in TOKENIZER_FILES if (folder / name).is_file()}
    if TOKENIZER_FILES[0] not in found:
        raise UserError(f"tokenizer: {where} has no {TOKENIZER_FILES[0]}; save a fast tokenizer there")
    return found


def _download(where: str) -> Path:
    """Return the folder of a repository in the cache, with its tokenizer and, unless fetched before, nothing else."""
    from hubkit.hub import fetch_model, resolve

    repo, _, revision = where.partition("@")
    return fetch_model(repo, resolve(repo, revision or None, "model").revision, TOKENIZER_FILES)


def _read(files: dict[str, Path]) -> Rules:
    from tokenizers import Tokenizer

    path = files[TOKENIZER_FILES[0]]
    try:
        backend = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more special
        raise UserError(f"tokenizer: {path} is no tokenizer: {error}; save it again") from None
    config = _config(files)
    return Rules(backend, _content(config.get("bos_token")), _content(config.get("eos_token")))


def _config(files: dict[str, Path]) -> dict[str, Any]:
    """Return what stands in a tokenizer's config; nothing if it has none."""
    if TOKENIZER_FILES[1] not in files:
        return {}
    try:
        return json.loads(files[TOKENIZER_FILES[1]].read_bytes())
    except ValueError as error:
        raise UserError(f"tokenizer: {files[TOKENIZER_FILES[1]]} is not valid JSON ({error}); save it again") from None


def _content(token: Any) -> str | None:
    """Return a token of a config, which may be an object or a text."""
    return token["content"] if isinstance(token, dict) else token
