"""Text to token ids, many texts at a time: the ids of the `tokenizers` library, special tokens in the text escaped.

A document that happens to say ``<|endoftext|>`` must not end there, so special tokens are encoded as the ordinary text
that they are in a document; whoever wants one puts its id before or after the document's.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubkit.errors import UserError
from hubkit.tokenizers import lorenz, tokenizer_sha256
from hubkit.tokenizers.loading import load_rules
from hubkit.tokenizers.merging import Merger, Unproven

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

BATTERY = (
    "", " ", "  ", "\n", " \n", "\r\n\r\n", "a", " a", "a ", "  a  b   c", "\ta\n b \n\n c\t", "x" * 5000, " " * 700,
    "I'll, you've, he'd; it's we're I'm don't 'tis IT'S I'LL ''s 'x", "0 1 12 123 1234 3.14159 1e-5 0x1F ½ Ⅷ ٣٤٥ 五 ①",
    "naïve café Ελληνικά кириллица עברית العربية हिन्दी ไทย 中文字 日本語 한국어 ẞ ǅ ʰ ª",
    "e\u0301 \u212b \ufb01 \u0344",
    "\u00a0\u2003\u3000 \u200b\u200d\ufeff \x85 \u1680 \u180e \u2028\u2029 \x00\x01\x1c\x1f\x7f",
    "🙂 \U0001f469\u200d\U0001f680 \U0001f1eb\U0001f1f7 ☃\ufe0f \U0001d518 \U00010348 \U000e0067",
    "def f(x):\n    if x:\n\t\treturn [i**2 for i in range(10)]  # done\n", "!!! ... ---- ==> <|x|> </s> [MASK] ©®™",
    bytes(range(256)).decode("latin-1"), bytes(i * 181 % 256 for i in range(600)).decode("utf-8", "replace"),
)  # fmt: skip
"""What a fast path is tried on before it is used: kinds of white space, numbers, contractions, scripts, any bytes."""


class Encoder:
    """Turns texts into ids: those that `tokenizers` gives, whichever way they come about.

    Attributes:
        engine: ``tiktoken`` where its ids are proven to be the same (see :mod:`hubkit.tokenizers.merging`); ``lorenz``,
            which is compiled, for the Lorenz tokenizer; else ``tokenizers``.
        reason: Why it is `tokenizers`; None where it is not.
        vocabulary: How many ids there may be: the largest and one.
        rules: Rules and vocabulary, as `tokenizers` writes them to ``tokenizer.json``; where special tokens are written
            in the texts themselves (``characters:AB``), none is special in them.
        sha256: The identity of rules and vocabulary, as :func:`hubkit.tokenizers.tokenizer_sha256` gives it.
        bos: The token that begins a document, or None.
        eos: The token that ends a document, or None.
    """

    def __init__(self, tokenizer: "str | Path | Tokenizer | PreTrainedTokenizerFast", fast: bool = True):
        """Load a tokenizer, and find its fast path.

        Args:
            tokenizer: What :func:`hubkit.tokenizers.loading.load_rules` takes.
            fast: Whether another library than `tokenizers` may be used.

        Raises:
            UserError: There is no such tokenizer.
        """
        from tokenizers import Tokenizer

        rules = load_rules(tokenizer)
        whole = rules.backend.to_str()
        self.sha256 = hashlib.sha256(whole.encode()).hexdigest()
        self.rules = _without_special(whole) if rules.in_texts else whole
        self.bos, self.eos = rules.bos, rules.eos
        self._plain = Tokenizer.from_str(self.rules)
        self._plain.encode_special_tokens = True  # encode them as ordinary text
        self._plain.no_padding()
        self._plain.no_truncation()
        self.vocabulary = max(self._plain.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self._special = _special_ids(json.loads(self.rules))
        self.engine, self.reason, self._merger = "tokenizers", "it was not asked for", None
        if fast and self._is_lorenz():
            self.engine, self.reason = "lorenz", None
        elif fast:
            self._prove()

    def token_id(self, token: str) -> int | None:
        """Return the id of a token, special or not, or None."""
        return self._plain.token_to_id(token)

    def encode_batch(self, texts: Sequence[str], first: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of texts, one after the other.

        Args:
            texts: Any text; special tokens in it are ordinary text.
            first: The number of the first text, for messages.

        Returns:
            The ids, uint32 of shape (tokens,), and offsets, int64 of shape (len(texts) + 1,): those of text *i* stand
            at ``ids[offsets[i]:offsets[i + 1]]``.

        Raises:
            UserError: A text is no Unicode, or the tokenizer has no token for part of it, or can spell it only by a
                special token.
        """
        if self.engine == "lorenz" and texts:
            return self._worlds(texts, first)
        return _joined(self._pieces(texts, first))

    def check(self, texts: Iterable[str]) -> bool:
        """Compare the fast path with `tokenizers` on more texts; it is given up for good where they differ.

        Returns:
            Whether all ids are equal.
        """
        if self._merger is None:
            return True
        texts = list(texts)
        for text, expected in zip(texts, self._slow(texts, range(len(texts))), strict=True):
            found = self._merger.encode(text)
            if found is not None and not np.array_equal(found, expected):
                self.engine, self.reason, self._merger = "tokenizers", f"tiktoken differs on {_start(text)}", None
                return False
        return True

    def _prove(self) -> None:
        try:
            self._merger = Merger(self._plain)
        except Unproven as error:
            self.reason = str(error)
            return
        self.engine, self.reason = "tiktoken", None
        self.check(BATTERY)

    def _is_lorenz(self) -> bool:
        """Tell whether this is the Lorenz tokenizer, whatever it was called and wherever it lay."""
        ordered = sorted(self._plain.get_vocab().items(), key=lambda item: item[1])
        return tuple(token for token, _ in ordered) == lorenz.VOCABULARY and self.sha256 == tokenizer_sha256(
            lorenz.lorenz_tokenizer()
        )

    def _worlds(self, texts: Sequence[str], first: int) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and offsets by the compiled loop; what it refuses, `tokenizers` has the last word on."""
        import pyarrow as pa

        try:
            ids, offsets = lorenz.encode_batch(pa.array(texts, pa.large_string()))
        except UserError:
            return _joined(self._slow(texts, range(first, first + len(texts))))
        if np.isin(ids, self._special).any():
            return _joined(self._slow(texts, range(first, first + len(texts))))
        return ids.astype(np.uint32), offsets

    def _pieces(self, texts: Sequence[str], first: int) -> list[np.ndarray]:
        if self._merger is None:
            return self._slow(texts, range(first, first + len(texts)))
        try:
            pieces = [self._merger.encode(text) for text in texts]
        except UnicodeEncodeError:
            raise UserError(_not_unicode(texts, first)) from None
        left = [index for index, piece in enumerate(pieces) if piece is None]
        slow = self._slow([texts[index] for index in left], [first + index for index in left])
        for index, piece in zip(left, slow, strict=True):
            pieces[index] = piece
        return pieces  # type: ignore[reportReturnType]

    def _slow(self, texts: Sequence[str], numbers: Sequence[int]) -> list[np.ndarray]:
        """Return the ids of each text by `tokenizers`; the numbers are the texts' names in messages."""
        if not texts:
            return []
        try:
            found = self._plain.encode_batch_fast(list(texts), add_special_tokens=False)
        except Exception as error:  # tokenizers raises nothing more special
            raise UserError(self._unspeakable(texts, numbers, error)) from None
        pieces = [np.array(encoding.ids, np.uint32) for encoding in found]
        for number, text, piece in zip(numbers, texts, pieces, strict=True):
            if self._special and np.isin(piece, self._special).any():
                token = self._plain.id_to_token(next(id for id in piece.tolist() if id in self._special))
                raise UserError(
                    f"text {number} ({_start(text)}) holds {token!r}, which this tokenizer knows as a special token "
                    "only; leave such texts out or choose another tokenizer"
                )
        return pieces

    def _unspeakable(self, texts: Sequence[str], numbers: Sequence[int], error: Exception) -> str:
        """Return what is wrong with the first text that can't be encoded."""
        for number, text in zip(numbers, texts, strict=True):
            try:
                self._plain.encode_batch_fast([text], add_special_tokens=False)
            except Exception as problem:
                if _halved(text):
                    return _not_unicode([text], number)
                return (
                    f"text {number} ({_start(text)}) can't be encoded: {problem}; leave such texts out or choose "
                    "another tokenizer"
                )
        return f"these texts can't be encoded together: {error}; choose another tokenizer"


def _joined(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of all pieces, and where each begins and the last ends."""
    offsets = np.zeros(len(pieces) + 1, np.int64)
    np.cumsum([len(piece) for piece in pieces], out=offsets[1:])
    return np.concatenate(pieces) if pieces else np.empty(0, np.uint32), offsets


def _not_unicode(texts: Sequence[str], first: int) -> str:
    index = next(index for index, text in enumerate(texts) if _halved(text))
    return f"text {first + index} holds half a surrogate pair, which is no Unicode text; replace it"


def _halved(text: str) -> bool:
    """Tell whether a text holds half a surrogate pair."""
    return any("\ud800" <= letter < "\ue000" for letter in text)


def _start(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def _without_special(rules: str) -> str:
    """Return rules by which every token of the vocabulary is an ordinary one."""
    return json.dumps(json.loads(rules) | {"added_tokens": []}, ensure_ascii=False)


def _special_ids(rules: dict[str, Any]) -> list[int]:
    """Return the ids that no text may become: those of special tokens, but for the one of the unknown."""
    unknown = rules["model"].get("unk_token")
    return [token["id"] for token in rules["added_tokens"] if token["special"] and token["content"] != unknown]
