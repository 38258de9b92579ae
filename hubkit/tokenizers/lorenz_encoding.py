"""Encodes Lorenz texts by a compiled loop: the ids of :func:`hubkit.tokenizers.lorenz.lorenz_tokenizer`, much faster.

Apart from the tokenizer's own file, because Numba takes a while to import and most users of the tokenizer need none.
"""

import re

import numpy as np
import pyarrow as pa
from numba import njit

from hubkit.errors import UserError
from hubkit.kernels import kernel
from hubkit.tokenizers.lorenz import PATTERN, VOCABULARY, check_text

_ID = {token: id for id, token in enumerate(VOCABULARY)}
_PAIRS, _TRIPLE, _QUADRUPLE, _EXPONENTS = _ID["00"], _ID["000"], _ID["0000"], _ID["e-05"]
_WORDS = [token for token in VOCABULARY if len(token) > 4 and token[0] in "'["]  # the keys, [END] and [PAD]
_SPACE, _REFUSED, _WORD, _DIGIT, _EXPONENT = -1, -2, -3, -4, -5


def _kinds() -> np.ndarray:
    """Return int64 (256,): for each byte the id of the token that it is, or how a longer one may begin with it."""
    kinds = np.full(256, _REFUSED)
    kinds[list(b" \t\n\v\f\r")] = _SPACE
    for token in VOCABULARY[10:]:
        if len(token) == 1:
            kinds[ord(token)] = _ID[token]
    kinds[list(b"0123456789")], kinds[ord("'")], kinds[ord("e")] = _DIGIT, _WORD, _EXPONENT
    return kinds


_KINDS = _kinds()
_OPEN = _ID["["]
_LETTERS = np.frombuffer("".join(_WORDS).encode(), np.uint8)
_ENDS = np.cumsum([0, *map(len, _WORDS)])
_WORD_IDS = np.array([_ID[word] for word in _WORDS])


def encode_batch(texts: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """Do what :func:`hubkit.tokenizers.lorenz.encode_batch` says."""
    if not pa.types.is_large_string(texts.type):
        texts = texts.cast(pa.large_string())
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    if texts.null_count:
        raise UserError(f"row {texts.is_null().index(True).as_py()}: text is null; leave such rows out")
    if not len(texts):
        return np.empty(0, np.uint16), np.zeros(1, np.int64)
    _, ends, data = texts.buffers()
    bounds = np.frombuffer(ends, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    characters = np.frombuffer(data or b"", np.uint8)
    ids, offsets = np.empty(bounds[-1] - bounds[0], np.uint16), np.zeros(len(texts) + 1, np.int64)
    row = _encode(characters, bounds, ids, offsets, 0, _KINDS, _LETTERS, _ENDS, _WORD_IDS)
    while row < len(texts):  # it is refused, or has white space beyond ASCII
        found = _encode_slowly(texts[row].as_py(), row)
        offsets[row + 1] = offsets[row] + len(found)
        ids[offsets[row] : offsets[row + 1]] = found
        row = _encode(characters, bounds, ids, offsets, row + 1, _KINDS, _LETTERS, _ENDS, _WORD_IDS)
    return ids[: offsets[-1]].copy() if offsets[-1] < len(ids) // 2 else ids[: offsets[-1]], offsets


def _encode_slowly(text: str, row: int) -> list[int]:
    """Return the ids of a text by the tokenizer's own pattern."""
    try:
        check_text(text)
    except UserError as error:
        raise UserError(f"row {row}: {error}") from None
    return [_ID[piece] for piece in re.findall(PATTERN, text)]


@kernel
def _encode(characters, bounds, ids, offsets, first, kinds, letters, ends, word_ids):
    """Encode texts from `first` on; return the first that only the slow way can judge, or how many there are."""
    for row in range(first, len(bounds) - 1):
        at, stop, count = bounds[row], bounds[row + 1], offsets[row]
        while at < stop:
            kind = kinds[characters[at]]
            if kind == _SPACE:
                at += 1
                continue
            width = 1
            if kind == _DIGIT:
                kind, width = _number(characters, at, stop)
            elif kind == _WORD or (kind == _OPEN and stop - at > 4):
                kind, width = _word(characters, at, stop, kind, letters, ends, word_ids)
            elif kind == _EXPONENT:
                kind, width = _exponent(characters, at, stop)
            if kind < 0:
                return row
            ids[count] = kind
            count += 1
            at += width
        offsets[row + 1] = count
    return len(bounds) - 1


@njit
def _number(characters, at, stop):
    """Return id and width of the digits that begin at `at`: four or three zeros, two digits, or one."""
    digit = np.int64(characters[at]) - 48
    if stop - at > 1:
        second = np.int64(characters[at + 1]) - 48
        if digit == 0 and second == 0 and stop - at > 2 and characters[at + 2] == 48:
            if stop - at > 3 and characters[at + 3] == 48:
                return _QUADRUPLE, 4
            return _TRIPLE, 3
        if 0 <= second <= 9:
            return _PAIRS + 10 * digit + second, 2
    return digit, 1


@njit
def _exponent(characters, at, stop):
    """Return id and width of the exponent that begins at `at`, if one does."""
    if stop - at < 4 or characters[at + 1] != 45 or characters[at + 2] != 48 or not 53 <= characters[at + 3] <= 56:
        return _REFUSED, 0
    return _EXPONENTS + np.int64(characters[at + 3]) - 53, 4


@njit
def _word(characters, at, stop, otherwise, letters, ends, word_ids):
    """Return id and width of the word that begins at `at`; `otherwise` and 1 if none does."""
    for word in range(len(word_ids)):
        width = ends[word + 1] - ends[word]
        if width <= stop - at:
            same = 0
            while same < width and characters[at + same] == letters[ends[word] + same]:
                same += 1
            if same == width:
                return word_ids[word], width
    return otherwise, 1
