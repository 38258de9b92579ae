"""Float16 as the Lorenz family needs it: by its bits, rounded and written.

NumPy's own float16 is slow and prints differently from version to version, so here a float16 is a `uint16`, four tables
say what its bits mean, and two functions round to it: :func:`half` gives the bits, :func:`rounded` the value, without
branches, so that a loop over it runs on vectors.
"""

import math
from functools import lru_cache

import numpy as np
from numba import njit

WIDTH = 16
"""Bytes that a number has in a table of texts: more than the longest takes, and one vector register."""

_SIGN, _SIZE = np.int64(-(2**63)), np.int64(2**63 - 1)
_CUT, _NORMAL_BIAS = np.int64(42), np.int64((1023 - 15) << 10)
_BELOW_HALF = np.int64((1 << 41) - 1)
_LEAST_NORMAL, _OVERFLOW = 2.0**-14, 65520.0

Tables = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""What each of the 65,536 float16 is, by its bits: `chars`, `lengths`, `values`, `decimals`.

chars: uint8 of shape (65536, 16): its text (see :func:`half_texts`) in ASCII, padded on the right.
lengths: uint8 of shape (65536,): how many of those bytes count.
values: float32 of shape (65536,): the exact value.
decimals: float64 of shape (65536,): the value of the text, which is what the integrator goes on with.
"""


@lru_cache(maxsize=1)
def half_texts() -> tuple[str, ...]:
    """Return the text of each of the 65,536 float16, by its bits; made at the first call (about 0.05 s).

    It has the fewest digits that name the number, and is laid out as NumPy's `repr` was before version 2: positional
    from 1e-4 on (``0.1``, ``1234.0``, ``-0.0``), with an exponent below (``6e-05``).
    """
    halves = np.arange(0x7C00, dtype=np.uint16).view(np.float16)
    positional = (halves >= np.float16(1e-4)) | (halves == 0)
    numbers = [
        np.format_float_positional(half, trim="0") if plain else np.format_float_scientific(half, trim="-")
        for half, plain in zip(halves, positional.tolist(), strict=True)
    ]
    nans = ["nan"] * (0x7FFF - 0x7C00)
    return (*numbers, "inf", *nans, *("-" + number for number in numbers), "-inf", *nans)


@lru_cache(maxsize=1)
def half_tables() -> Tables:
    """Return the tables of all float16, made at the first call (about 0.1 s)."""
    texts = half_texts()
    chars = np.array(texts, f"S{WIDTH}").view(np.uint8).reshape(-1, WIDTH)
    lengths = np.array([len(text) for text in texts], np.uint8)
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    return chars, lengths, values, np.array([float(text) for text in texts])


@njit
def half(value):
    """Return the bits of the float16 nearest to a float64, ties to even."""
    bits = np.float64(value).view(np.uint64)
    sign = np.uint16(bits >> np.uint64(48)) & np.uint16(0x8000)
    size = abs(value)
    if size >= 2.0**-14:
        if not size < 65520.0:
            return sign | np.uint16(0x7C00)
        # Move the exponent's bias from 1023 to 15, then cut 42 bits off; a carry rightly raises the exponent.
        bits = (bits & np.uint64(0x7FFFFFFFFFFFFFFF)) - (np.uint64(1023 - 15) << np.uint64(52))
        bits += np.uint64((1 << 41) - 1) + ((bits >> np.uint64(42)) & np.uint64(1))
        return sign | np.uint16(bits >> np.uint64(42))
    if math.isnan(size):
        return np.uint16(0x7E00)
    # Below the normals a float16 counts units of 2**-24; adding 2**52 rounds a float64 to whole ones, ties to even.
    return sign | np.uint16((size * 2.0**24 + 2.0**52) - 2.0**52)


@njit
def rounded(value):
    """Return the float16 nearest to a float64, ties to even, as a float64: what :func:`half` gives the bits of."""
    size = abs(value)
    bits = np.float64(size).view(np.int64)
    normal = np.int64(((bits + _BELOW_HALF + ((bits >> _CUT) & 1)) >> _CUT) << _CUT).view(np.float64)
    small = ((size * 2.0**24 + 2.0**52) - 2.0**52) * 2.0**-24  # units of 2**-24: adding 2**52 rounds to whole ones
    size = normal if size >= _LEAST_NORMAL else small
    size = size if size < _OVERFLOW else np.inf
    sign = np.float64(value).view(np.int64) & _SIGN
    return np.int64(np.float64(size).view(np.int64) | sign).view(np.float64)


@njit
def bits_of(value):
    """Return the bits (as int64) of a finite float16 that is given as a float64."""
    bits = np.float64(value).view(np.int64)
    size = abs(value)
    normal = ((bits & _SIZE) >> _CUT) - _NORMAL_BIAS
    small = np.int64(size * 2.0**24)
    return (normal if size >= _LEAST_NORMAL else small) | ((bits >> np.int64(48)) & np.int64(0x8000))
