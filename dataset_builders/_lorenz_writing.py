"""Writes Lorenz worlds down, as text or as token ids: the same loops, with another alphabet.

An alphabet says in bytes what each number and each phrase between numbers comes to. Text is a byte a character, ids are
two bytes a token, and neither needs to know what stands beside: digits are only joined to tokens within a number.
"""

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from hubkit.kernels import kernel
from hubkit.resources import load_module
from hubkit.tokenizers.lorenz import encode_batch

halves = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")

_WIDTH = 16  # bytes a record: a number with the separator after it
_SEPARATOR_WIDTH = 2  # bytes of ", " as text, and of "," as an id
_START, _SEPARATOR, _EMPTY, _OPEN, _CLOSE, _OPEN_LISTS, _NEXT_LIST, _CLOSE_LISTS = range(8)
_INIT_POINT, _STEP_SIZE, _NEXT_SYSTEM, _NORMALIZATION, _EMBEDDING, _DATA, _END = range(8, 15)
_COUNTS, _SYSTEMS, _MULTIPS = 15, 20, 25


class Alphabet(NamedTuple):
    """What numbers and phrases are written as."""

    numbers: np.ndarray
    """uint8 of shape (65536 · 16,): 16 of each float16, by its bits, its bytes and those of the separator. The last is
    how many they are in all, in place of what belongs there: a zero, if anything."""
    phrases: np.ndarray
    """uint8: the bytes of all phrases in a row, and what a move may read behind them."""
    bounds: np.ndarray
    """int64: where each phrase begins, and where the last ends."""


def _phrases(step_size: int, multips: tuple[int, ...]) -> list[str]:
    """Return the phrases in the order of their numbers above."""
    return [
        *("{'description': {'num_sys': ", ", ", "[]", "[", "]", "[[", "], [", "]]", ", 'init_point': "),
        *(f", 'step_size': {step_size}, 'name': 'lorenz', 'step_multip': ", "}, ", "'normalization': "),
        *(", 'embedding': [", "]}, 'data': ", "}"),
        *(f"{count}, " for count in range(1, 6)),
        *(f"'sys{system}': {{'params': " for system in range(5)),
        *(str(multip) for multip in multips),
    ]


@lru_cache(maxsize=4)
def text_alphabet(step_size: int, multips: tuple[int, ...]) -> Alphabet:
    """Return the alphabet of text, in ASCII."""
    return _alphabet([text.encode() for text in _finite()], b", ", [p.encode() for p in _phrases(step_size, multips)])


@lru_cache(maxsize=4)
def id_alphabet(step_size: int, multips: tuple[int, ...]) -> Alphabet:
    """Return the alphabet of token ids, as little-endian uint16."""

    def encoded(texts: list[str]) -> list[bytes]:
        ids, offsets = encode_batch(pa.array(texts))
        return [ids[start:stop].astype("<u2").tobytes() for start, stop in pairwise(offsets)]

    (separator,) = encoded([", "])
    return _alphabet(encoded(_finite()), separator, encoded(_phrases(step_size, multips)))


def _finite() -> list[str]:
    """Return the text of each float16, and none for those that are not finite, which no world holds."""
    return [text if text[-1].isdigit() else "" for text in halves.half_texts()]


def _alphabet(numbers: list[bytes], separator: bytes, phrases: list[bytes]) -> Alphabet:
    assert len(separator) == _SEPARATOR_WIDTH
    records = np.zeros((len(numbers), _WIDTH), np.uint8)
    for record, number in zip(records, numbers, strict=True):
        if number:
            written = number + separator
            record[: len(written)] = list(written)
            assert record[-1] == 0
            record[-1] = len(written)
    bounds = np.cumsum([0, *map(len, phrases)], dtype=np.int64)
    return Alphabet(records.ravel(), np.frombuffer(b"".join([*phrases, bytes(_WIDTH)]), np.uint8).copy(), bounds)


@kernel
def write(first, drafts, sheets, plan, alphabet, out, at, ends):
    """Write the worlds of a group into `out` (uint8) from `at` on, and where each ends into `ends`.

    Returns:
        The first that does not fit, or how many there are; and where the last ends that does.
    """
    numbers, phrases, bounds = alphabet
    for draft in range(first, len(ends)):
        count, new = drafts.shapes[draft, 0], drafts.shapes[draft, 1]
        old, size, columns = 3 * count, min(3 * count, new), drafts.shapes[draft, 4]
        if len(out) - at < _room(count, old, size, new, columns, plan.num_steps):
            return draft, at
        at = _put(out, at, _START, phrases, bounds)
        at = _put(out, at, _COUNTS + count - 1, phrases, bounds)
        for system in range(count):
            start = drafts.starts[draft, system]
            at = _put(out, at, _SYSTEMS + system, phrases, bounds)
            at = _put_list(out, at, start[:3], numbers, phrases, bounds)
            at = _put(out, at, _INIT_POINT, phrases, bounds)
            at = _put_list(out, at, start[3:], numbers, phrases, bounds)
            at = _put(out, at, _STEP_SIZE, phrases, bounds)
            at = _put(out, at, _MULTIPS + drafts.multips[draft, system], phrases, bounds)
            at = _put(out, at, _NEXT_SYSTEM, phrases, bounds)
        at = _put(out, at, _NORMALIZATION, phrases, bounds)
        moments = drafts.moments[draft, : 2 if plan.normalize else 0, :old]
        at = _put_lists(out, at, moments, numbers, phrases, bounds)
        at = _put(out, at, _EMBEDDING, phrases, bounds)
        left, right = sheets.left[draft, : old if plan.rotate else 0, :size], sheets.right[draft]
        at = _put_lists(out, at, left, numbers, phrases, bounds)
        at = _put(out, at, _SEPARATOR, phrases, bounds)
        at = _put_list(out, at, sheets.scales[draft, : size if plan.dilate else 0], numbers, phrases, bounds)
        at = _put(out, at, _SEPARATOR, phrases, bounds)
        at = _put_lists(out, at, right[: size if plan.rotate_again else 0, :new], numbers, phrases, bounds)
        at = _put(out, at, _DATA, phrases, bounds)
        at = _put_lists(out, at, sheets.data[draft, :columns].T, numbers, phrases, bounds)
        at = _put(out, at, _END, phrases, bounds)
        ends[draft] = at
    return len(ends), at


@njit
def _room(count, old, size, new, columns, steps):
    """Return how many bytes a world takes at most."""
    numbers = 6 * count + 2 * old + old * size + size + size * new + columns * steps
    lists = 2 * count + 2 + old + size + steps
    return _WIDTH * numbers + 8 * lists + 300 * (1 + count)


@intrinsic
def _move(typing_context, out, at, source, start):
    """Copy 16 bytes from `source`, from element `start` on, to `out`, from `at` on, by one move."""

    def generate(context, builder, signature, arguments):
        def place(array, index):
            data = context.make_array(signature.args[array])(context, builder, arguments[array]).data
            return builder.bitcast(builder.gep(data, [arguments[index]]), vector.as_pointer())

        vector = ir.VectorType(ir.IntType(8), 16)
        moved = builder.load(place(2, 3))
        moved.align = 1
        builder.store(moved, place(0, 1)).align = 1
        return context.get_dummy_value()

    return types.none(out, types.int64, source, types.int64), generate


@njit
def _put(out, at, phrase, phrases, bounds):
    """Write a phrase into `out` from `at` on; return where it ends, as the other writers do."""
    start, stop = bounds[phrase], bounds[phrase + 1]
    for i in range(start, stop, _WIDTH):
        _move(out, at + i - start, phrases, i)  # pyright: ignore[reportCallIssue]
    return at + stop - start


@njit
def _put_numbers(out, at, bits, numbers):
    """Write at least one number, and separators between them."""
    for i in range(len(bits)):
        record = _WIDTH * np.int64(bits[i])
        _move(out, at, numbers, record)  # pyright: ignore[reportCallIssue]  (what is too much is written over next)
        out[at + _WIDTH - 1] = 0
        at += np.int64(numbers[record + _WIDTH - 1])
    return at - _SEPARATOR_WIDTH


@njit
def _put_list(out, at, bits, numbers, phrases, bounds):
    if not len(bits):
        return _put(out, at, _EMPTY, phrases, bounds)
    at = _put_numbers(out, _put(out, at, _OPEN, phrases, bounds), bits, numbers)
    return _put(out, at, _CLOSE, phrases, bounds)


@njit
def _put_lists(out, at, bits, numbers, phrases, bounds):
    if not len(bits):
        return _put(out, at, _EMPTY, phrases, bounds)
    at = _put(out, at, _OPEN_LISTS, phrases, bounds)
    for i in range(len(bits)):
        if i:
            at = _put(out, at, _NEXT_LIST, phrases, bounds)
        at = _put_numbers(out, at, bits[i], numbers)
    return _put(out, at, _CLOSE_LISTS, phrases, bounds)
