"""The same ids as a byte-level BPE of `tokenizers`, several times as fast: tiktoken, where equality can be proven.

Two things could make the libraries differ, and each is checked on the machine at hand.

**Merging.** `tokenizers` merges listed pairs of tokens, lowest rank first and leftmost among equals; tiktoken merges
any two neighbours whose bytes together are a token. Say that tokens x and y stand side by side while a text is merged,
and that xy is a token T. No merge has crossed the ends of xy, so within xy the same has happened as if T's text stood
alone. If T alone becomes the one token T, then (x, y) is the last merge on that way and no other pair is; if it does
not, no text at all ever becomes T. So tiktoken is given the tokens that their own text becomes, ranked by the last
merge on the way, and no others: it then makes the same merges in the same order. A table turns its ranks into ids.

**Cutting into words.** Both match one regular expression, with regex libraries that may know different versions of
Unicode. The expression tells letters, numbers, white space and the rest apart and nothing else, so it is enough that
the libraries agree about each character that occurs: :class:`Characters` asks both, once a character.
"""

import importlib.util
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tiktoken
    from tokenizers import Tokenizer

WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How GPT-2, GPT-NeoX and their kin cut a text into words that merges don't cross."""

_NEVER = {0xC0, 0xC1, *range(0xF5, 0x100)}
"""Bytes that UTF-8 does not use."""
_PAGE = 256
_UNKNOWN, _SAME, _DIFFERENT = range(3)


class Unproven(Exception):
    """Equality with `tokenizers` can't be shown; the message says why, for people."""


class Merger:
    """A byte-level BPE in tiktoken whose ids are those of `tokenizers`."""

    def __init__(self, backend: "Tokenizer"):
        """Take a tokenizer and prove what can be proven beforehand.

        Raises:
            Unproven: It is of another kind, or tiktoken is not installed.
        """
        if importlib.util.find_spec("tiktoken") is None:
            raise Unproven("tiktoken is not installed (pip install 'hubkit[tiktoken]')")
        import tiktoken

        rules = json.loads(backend.to_str())
        _check_rules(rules)
        self._normalizer = backend.normalizer
        self._kept = _kept_tokens(rules)
        ranks, self._ids = _table(rules["model"])
        if special := {token["id"] for token in rules["added_tokens"] if token["special"]} & set(self._ids.tolist()):
            raise Unproven(f"ordinary text can become the special tokens {sorted(special)}")
        self._tiktoken = tiktoken.Encoding("hubkit", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={})
        self._characters = Characters.known()

    def encode(self, text: str) -> np.ndarray | None:
        """Return the ids of a text (uint32), or None where tiktoken gives up or equality is not proven."""
        if not text.isascii():
            if self._normalizer is not None:
                text = self._normalizer.normalize_str(text)
            if not self._characters.agree(text):
                return None
        try:
            if self._kept is None:
                return self._ids[self._tiktoken.encode_to_numpy(text, disallowed_special=())]
            return self._encode_around(self._kept, text)
        except ValueError:  # such as a million blanks, for which its regular expressions have no stack
            return None

    def _encode_around(self, kept: "_Kept", text: str) -> np.ndarray:
        """Encode a text in which some stretches are tokens of their own."""
        pieces = []
        for stretch in kept.pattern.split(text):
            if stretch in kept.ids:
                pieces.append(kept.ids[stretch])
            elif stretch:
                pieces.append(self._ids[self._tiktoken.encode_to_numpy(stretch, disallowed_special=())])
        return np.concatenate(pieces) if pieces else np.empty(0, np.uint32)


class _Kept:
    """Added tokens that are not special, such as runs of blanks: found before anything else, leftmost and longest."""

    def __init__(self, ids: Mapping[str, int]):
        longest_first = sorted(ids, key=lambda content: (-len(content), content))
        self.pattern = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        self.ids = {content: np.array([id], np.uint32) for content, id in ids.items()}


def _check_rules(rules: Mapping[str, Any]) -> None:
    """Refuse what is not a byte-level BPE that cuts words as GPT-2 does."""
    model, words, normalizer = rules["model"], rules["pre_tokenizer"] or {}, rules["normalizer"]
    if model["type"] != "BPE" or words.get("type") != "ByteLevel":
        raise Unproven(f"a {model['type']} model on {words.get('type', 'uncut text')} is no byte-level BPE")
    if not words.get("use_regex", True) or words.get("add_prefix_space", True):
        raise Unproven("its words are cut in another way than GPT-2's")
    if normalizer is not None and normalizer["type"] != "NFC":
        raise Unproven(f"its normalizer is {normalizer['type']}")
    for option in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges"):
        if model.get(option):
            raise Unproven(f"its model sets {option}")


def _kept_tokens(rules: Mapping[str, Any]) -> _Kept | None:
    """Return the added tokens that stay tokens."""
    special = "".join(token["content"] for token in rules["added_tokens"] if token["special"])
    kept = [token for token in rules["added_tokens"] if not token["special"]]
    for token in kept:
        if token["single_word"] or token["lstrip"] or token["rstrip"] or set(token["content"]) & set(special):
            raise Unproven(f"its added token {token['content']!r} is not matched literally")
        if rules["normalizer"] and not (token["normalized"] and token["content"].isascii()):
            raise Unproven(f"its added token {token['content']!r} meets text before it is normalised")
    return _Kept({token["content"]: token["id"] for token in kept}) if kept else None


# --- merging ---------------------------------------------------------------------------------------------------------


@cache
def byte_letters() -> tuple[str, ...]:
    """Return the letter by which byte-level tokenizers write each byte: itself where it is visible in Latin-1."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in visible else next(spare)) for byte in range(256))


def _table(model: Mapping[str, Any]) -> tuple[dict[bytes, int], np.ndarray]:
    """Return tiktoken's ranks of tokens, and the id (uint32) of each rank.

    Raises:
        Unproven: The vocabulary lacks a byte, or the merges can't be ranked.
    """
    vocabulary: dict[str, int] = model["vocab"]
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else tuple(merge) for merge in model["merges"]]
    if len(set(merges)) < len(merges):
        raise Unproven("a merge stands twice in its list")
    letters = byte_letters()
    if absent := [byte for byte, letter in enumerate(letters) if letter not in vocabulary and byte not in _NEVER]:
        raise Unproven(f"its vocabulary lacks {len(absent)} of the bytes of UTF-8")
    ways: dict[str, list[int]] = {}
    for rank, (left, right) in enumerate(merges):
        ways.setdefault(left + right, []).append(rank)
    order = {pair: rank for rank, pair in enumerate(merges)}
    last = {
        token: ways[token][0] if len(ways[token]) == 1 else _last_merge(token, order)
        for token in _reachable(model, list(ways))
    }
    tokens = [*(letter for letter in letters if letter in vocabulary), *sorted(last, key=last.__getitem__)]
    byte_of = {letter: byte for byte, letter in enumerate(letters)}
    try:
        ranks = {bytes(byte_of[letter] for letter in token): rank for rank, token in enumerate(tokens)}
    except KeyError as error:
        raise Unproven(f"its merges hold {error}, which stands for no byte") from None
    return ranks, np.array([vocabulary[token] for token in tokens], np.uint32)


def _reachable(model: Mapping[str, Any], tokens: Sequence[str]) -> list[str]:
    """Return the tokens that their own text becomes."""
    from tokenizers import Tokenizer

    bare = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": model}))
    found = bare.encode_batch_fast(tokens)  # type: ignore[reportArgumentType]
    return [token for token, encoding in zip(tokens, found, strict=True) if encoding.ids == [model["vocab"][token]]]


def _last_merge(token: str, order: Mapping[tuple[str, ...], int]) -> int:
    """Return the rank of the merge that makes a token out of its own text."""
    parts, rank = list(token), -1
    while len(parts) > 1:
        rank, at = min((order.get((left, right), len(order)), at) for at, (left, right) in enumerate(pairwise(parts)))
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return rank


# --- cutting into words ----------------------------------------------------------------------------------------------


class Characters:
    """The characters that both libraries' regular expressions take for the same kind, found out as they occur."""

    def __init__(self):
        self._tokenizers, self._tiktoken = _probes()
        self._state = np.full(0x110000, _UNKNOWN, np.uint8)

    @staticmethod
    @cache
    def known() -> "Characters":
        """Return the one of this process: what it knows does not depend on a vocabulary."""
        return Characters()

    def agree(self, text: str) -> bool:
        """Tell whether the libraries cut a text into the same words."""
        points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        state = self._state[points]
        if not state.all():
            for page in np.unique(points[state == _UNKNOWN] // _PAGE).tolist():
                self._ask(range(page * _PAGE, (page + 1) * _PAGE))
            state = self._state[points]
        return state.max(initial=_SAME) == _SAME

    def _ask(self, points: range) -> None:
        """Find out about a page of code points: together, and one by one where that gives different ids."""
        if self._same(points):
            self._state[points.start : points.stop] = _SAME
        else:
            for point in points:
                self._state[point] = _SAME if self._same([point]) else _DIFFERENT

    def _same(self, points: Iterable[int]) -> bool:
        """Tell whether both libraries take these for the same kinds: by what each lets stand in one word with them."""
        letters = [chr(point) for point in points if not 0xD800 <= point < 0xE000]
        text = "".join(f"{letter}a\n{letter}1\n{letter}!\n" for letter in letters)
        return self._tokenizers.encode(text).ids == self._tiktoken.encode_ordinary(text)


def _probes() -> "tuple[Tokenizer, tiktoken.Encoding]":
    """Return the same small tokenizer twice: it joins the last byte of any character to a, 1 and !, within words."""
    import tiktoken
    from tokenizers import Tokenizer, models, pre_tokenizers

    letters = byte_letters()
    pairs = [(last, ord(mark)) for mark in "a1!" for last in range(0xC0)]
    tokens = [*letters, *(letters[last] + letters[mark] for last, mark in pairs)]
    merges = [(letters[last], letters[mark]) for last, mark in pairs]
    whole = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    ranks = {bytes([byte]): byte for byte in range(256)} | {bytes(pair): 256 + at for at, pair in enumerate(pairs)}
    return whole, tiktoken.Encoding("probe", pat_str=WORDS, mergeable_ranks=ranks, special_tokens={})
