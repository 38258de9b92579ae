"""Byte-level BPE, trained on any stream of texts: every text can be spelled, and nothing is normalised.

It is the tokenizer of GPT-2 (Radford et al., "Language models are unsupervised multitask learners", 2019): text is cut
into words by GPT-2's expression, and the pair of neighbouring tokens that occurs most often within words becomes a
token, again and again. Among pairs that occur equally often the one with the lower ids comes first, so that the same
texts give the same tokenizer, on any number of threads.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.files import atomic_folder
from hubkit.provenance import code_version, library_versions
from hubkit.tokenizers import save_tokenizer, tokenizer_sha256

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

VOCABULARY = 50_257
SPECIAL = ("<|endoftext|>",)
RECORD = "tokenizer_training.json"
"""What a trained tokenizer was trained on and how; lies beside it."""

_BYTES = 256
_LONGEST = 1000
# A merge walks through each word that it changes, so one word of a million letters would hold up everything.
_LONG_RUN = re.compile(rf"\S{{{_LONGEST}}}")


def train_bpe(
    texts: Iterable[str], vocabulary: int = VOCABULARY, special: Sequence[str] = SPECIAL
) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE in one pass over the texts; what is kept of them is how often each word occurs.

    Special tokens come first, so the first one has id 0; it begins and ends documents. In the texts they are ordinary
    text. A stretch of more than 1,000 characters without white space is cut there.

    Args:
        texts: What to train on.
        vocabulary: How many ids to make: special tokens, the 256 bytes, and merges. Texts with too few different words
            give fewer.
        special: The special tokens, in the order of their ids.

    Returns:
        A stock tokenizer: what it saves loads without hubkit.

    Raises:
        UserError: The vocabulary is too small, a special token is empty or occurs twice, or there is no text.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    check_settings(vocabulary, special)
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=list(special),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    backend.train_from_iterator(_pieces(texts), trainer)
    first = special[0] if special else None
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=first,
        eos_token=first,
        clean_up_tokenization_spaces=False,
    )


def followed(
    texts: Iterable[str], total: int | None, progress: Callable[[str, int, int], None], every: int = 1000
) -> Iterator[str]:
    """Yield the texts and say how far they are: every so many, and at the end, when merging begins."""
    done = 0
    for done, text in enumerate(texts, 1):
        yield text
        if done % every == 0:
            progress("reading", done, max(total or 0, done))
    progress("merging", done, done)


def check_settings(vocabulary: int, special: Sequence[str]) -> None:
    """Refuse what can't be trained, before any text is read.

    Raises:
        UserError: The vocabulary is too small, or a special token is empty or occurs twice.
    """
    least = _BYTES + len(special)
    if vocabulary < least:
        raise UserError(
            f"vocab-size: {vocabulary} is less than the {_BYTES} bytes and {len(special)} special tokens; "
            f"take at least {least}"
        )
    if vocabulary >= 1 << 31:
        raise UserError(f"vocab-size: {vocabulary} is more than ids can number; take less than 2^31")
    for token in special:
        if not token.strip():
            raise UserError(f"special: {token!r} is empty; name a token such as {SPECIAL[0]}")
        if special.count(token) > 1:
            raise UserError(f"special: {token!r} is named twice; once is enough")


def save_trained(tokenizer: "PreTrainedTokenizerFast", folder: Path, training: dict[str, Any]) -> dict[str, Any]:
    """Write a trained tokenizer and the record of its training, all of it or nothing.

    Args:
        tokenizer: The tokenizer.
        folder: Where; absent or empty.
        training: What it was trained on and how (plain data).

    Returns:
        The record.

    Raises:
        UserError: The folder holds something.
    """
    check_free(folder)
    record = {
        "format": 1,
        "algorithm": "byte-level BPE",
        **training,
        "vocabulary": len(tokenizer),
        "tokenizer_sha256": tokenizer_sha256(tokenizer),
        "code": code_version(),
        "libraries": library_versions(("tokenizers", "transformers")),
    }
    if folder.is_dir():
        folder.rmdir()
    with atomic_folder(folder) as temporary:
        save_tokenizer(tokenizer, temporary)
        text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
        (temporary / RECORD).write_text(text, encoding="utf-8")
    return record


def check_free(folder: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        UserError: It does, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty; name another folder")


def _pieces(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts, cut where they go on for too long without white space.

    Raises:
        UserError: There is no text at all.
    """
    empty = True
    for text in texts:
        empty = empty and not text
        start = 0
        for run in _LONG_RUN.finditer(text):
            yield text[start : run.end()]
            start = run.end()
        yield text[start:] if start else text
    if empty:
        raise UserError("corpus: there is no text to train on; name another column or split")
