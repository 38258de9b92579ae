"""Compiled loops of the Lorenz family, and float16 as it needs them: by their bits, rounded and written.

NumPy's own float16 is slow and prints differently from version to version, so here a float16 is a `uint16`, four tables
say what its bits mean, and one function rounds to it. Each float operation is rounded on its own and in the written
order: never fast-math.

All of it is in one file, and whatever else a loop depends on is an argument: Numba's cache looks at the time of the
file that a function is in, and at nothing that it calls or reads elsewhere. Tables and constants are plain tuples,
which Numba passes faster than named ones.
"""

import math
from functools import lru_cache

import numpy as np
from numba import njit

_WIDTH = 16  # bytes that a number has in the table of texts: more than the longest takes, and one vector register
_NORMALIZATION, _EMBEDDING, _DATA, _SEPARATOR = (
    np.frombuffer(text, np.uint8) for text in (b"'normalization': ", b", 'embedding': [", b"]}, 'data': ", b", ")
)


def _kept(loop):
    """Compile a loop and keep the result for the next process, where there is a folder that can be written for that."""
    try:
        return njit(cache=True)(loop)
    except RuntimeError:  # the installation and the user's cache are both read-only
        return njit(loop)


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
    chars = np.array(texts, f"S{_WIDTH}").view(np.uint8).reshape(-1, _WIDTH)
    lengths = np.array([len(text) for text in texts], np.uint8)
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    return chars, lengths, values, np.array([float(text) for text in texts])


@njit
def _half(value):
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


@_kept
def simulate(draws, physics, tables, system, multip, normalize, starts, series, moments):
    """Integrate one system and write its columns; return False where this try is rejected.

    Args:
        draws: float64 of shape (6,): standard normals for σ, β, ρ and for the first point.
        physics: What systems are made with, all float64: the means of σ, β and ρ as a tuple; their relative spread; the
            spread of the first point; the radius of the ball to stay in; Euler steps in a unit of time.
        tables: See :data:`Tables`.
        system: Which system of its world this is, from 0.
        multip: Euler steps between two observations.
        normalize: Whether the columns are normalised and their moments written.
        starts: uint16 of shape (systems, 6): row `system` receives the bits of σ, β, ρ, x, y, z.
        series: uint16 of shape (steps, 3 · systems): columns 3 · `system` and on receive the bits of the orbit.
        moments: uint16 of shape (2, 3 · systems): likewise those of means and standard deviations, if normalised.
    """
    means, spread, start_spread, radius, step_size = physics
    _, _, values, decimals = tables
    start, column = starts[system], 3 * system
    for i in range(3):
        start[i] = _half(abs(means[i] * (1.0 + spread * draws[i])))
        start[3 + i] = _half(values[_half(draws[3 + i])] * start_spread)
    points = np.empty((len(series), 3))
    if not _integrate(decimals[start], radius * radius, step_size, multip, points):
        return False
    for i in range(3):
        mean, deviation = 0.0, 1.0
        if normalize:
            mean, deviation = _moments(points[:, i])
            if deviation == 0.0:  # a column that never moves can't be normalised
                return False
            moments[0, column + i], moments[1, column + i] = _half(mean), _half(deviation)
        for step in range(len(series)):
            series[step, column + i] = _half((points[step, i] - mean) / deviation)
    return True


@njit
def _integrate(start, limit, step_size, multip, points):
    """Fill `points` (steps, 3) by explicit Euler; return False where an orbit leaves the ball, if only between them."""
    sigma, beta, rho, x, y, z = start
    for step in range(len(points)):
        points[step, 0], points[step, 1], points[step, 2] = x, y, z
        for _ in range(multip):
            if not x * x + y * y + z * z <= limit:  # so written, it also rejects what is not a number
                return False
            dx = sigma * (y - x)
            dy = rho * x - y - x * z
            dz = x * y - beta * z
            x, y, z = x + dx / step_size, y + dy / step_size, z + dz / step_size
    return True


@njit
def _moments(column):
    """Return mean and standard deviation, summed from the first to the last as NumPy does along the first axis."""
    total = 0.0
    for value in column:
        total += value
    mean = total / len(column)
    total = 0.0
    for value in column:
        total += (value - mean) * (value - mean)
    return mean, math.sqrt(total / len(column))


@njit
def _halves(matrix):
    """Return the float16 bits of a float64 matrix."""
    bits = np.empty(matrix.shape, np.uint16)
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            bits[i, j] = _half(matrix[i, j])
    return bits


@njit
def _product(left, right, values):
    """Return the bits of a matrix product of float16, summed in float32 from first term to last, then rounded.

    A product of two float16 is exact in float32, so a fused multiply-add would not change it.
    """
    factors = np.empty(right.shape, np.float32)
    for i in range(right.shape[0]):
        for j in range(right.shape[1]):
            factors[i, j] = values[right[i, j]]
    bits = np.empty((left.shape[0], right.shape[1]), np.uint16)
    sums = np.empty(right.shape[1], np.float32)
    for row in range(left.shape[0]):
        sums[:] = 0
        for i in range(right.shape[0]):
            value = values[left[row, i]]
            for j in range(right.shape[1]):
                sums[j] += value * factors[i, j]
        for j in range(right.shape[1]):
            bits[row, j] = _half(sums[j])
    return bits


@njit
def _dilate(series, scales, values):
    """Multiply float16 columns by their scales, in place: what the product with the diagonal matrix comes to."""
    for row in range(series.shape[0]):
        for j in range(series.shape[1]):
            series[row, j] = _half(np.float32(0) + values[series[row, j]] * values[scales[j]])  # 0 + -0 is 0


@njit
def _put(out, at, chars):
    """Write characters into `out` from `at` on; return where they end, as the other writers do."""
    for i in range(len(chars)):
        out[at + i] = chars[i]
    return at + len(chars)


@njit
def _put_list(out, at, bits, tables):
    chars, lengths, _, _ = tables
    out[at] = ord("[")
    at += 1
    for i in range(len(bits)):
        if i:
            at = _put(out, at, _SEPARATOR)
        for j in range(_WIDTH):  # all of them, by one move; what is too much is written over next
            out[at + j] = chars[bits[i], j]
        at += lengths[bits[i]]
    out[at] = ord("]")
    return at + 1


@njit
def _put_lists(out, at, bits, tables):
    out[at] = ord("[")
    at += 1
    for i in range(len(bits)):
        if i:
            at = _put(out, at, _SEPARATOR)
        at = _put_list(out, at, bits[i], tables)
    out[at] = ord("]")
    return at + 1


@njit
def _observe(series, left, scales, right, tables):
    """Return the bits of the observations, and those of both frames: ((series · left) · diag(scales)) · right.

    Args:
        series: uint16 of shape (steps, old): bits of the columns; may be written over.
        left: float64 of shape (old, k): frame l, or (0, 0) to leave it out.
        scales: uint16 of shape (k,): bits of diag, or (0,) to leave it out.
        right: float64 of shape (k, new): frame r, or (0, 0) to leave it out.
        tables: See :data:`Tables`.
    """
    _, _, values, _ = tables
    left_bits, right_bits = _halves(left), _halves(right)
    data = series
    if left.size:
        data = _product(data, left_bits, values)
    if scales.size:
        _dilate(data, scales, values)
    if right.size:
        data = _product(data, right_bits, values)
    return data, left_bits, right_bits


@_kept
def describe(series, moments, left, scales, right, tables):
    """Observe a world and return its text (uint8) from its normalization on: ``'normalization': …, 'data': […]}``.

    Args:
        series: As in :func:`_observe`, like `left`, `scales`, `right` and `tables`.
        moments: uint16 of shape (2, old): bits of means and standard deviations, or (0, 0) where not normalised.
    """
    data, left_bits, right_bits = _observe(series, left, scales, right, tables)
    numbers = moments.size + left.size + scales.size + right.size + data.size
    lists = len(moments) + len(left) + len(right) + len(data)
    out = np.empty((_WIDTH + 2) * numbers + 4 * lists + 100, np.uint8)
    at = _put_lists(out, _put(out, 0, _NORMALIZATION), moments, tables)
    at = _put_lists(out, _put(out, at, _EMBEDDING), left_bits, tables)
    at = _put_list(out, _put(out, at, _SEPARATOR), scales, tables)
    at = _put_lists(out, _put(out, at, _SEPARATOR), right_bits, tables)
    at = _put_lists(out, _put(out, at, _DATA), data, tables)
    out[at] = ord("}")
    return out[: at + 1]
