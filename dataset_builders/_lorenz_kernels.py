"""Compiled loops of the generator ``microcosm``: one system integrated, one world observed and written down.

Each float operation is rounded on its own and in the written order: never fast-math. Tables and constants are
arguments, as plain tuples, which Numba passes faster than named ones.
"""

import math
from pathlib import Path

import numpy as np
from numba import njit

from hubkit.kernels import kernel
from hubkit.resources import load_module

_halves_module = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
half = _halves_module.half
WIDTH = 16  # as in the table of texts

_NORMALIZATION, _EMBEDDING, _DATA, _SEPARATOR = (
    np.frombuffer(text, np.uint8) for text in (b"'normalization': ", b", 'embedding': [", b"]}, 'data': ", b", ")
)


@kernel
def simulate(draws, physics, tables, system, multip, normalize, starts, series, moments):
    """Integrate one system and write its columns; return False where this try is rejected.

    Args:
        draws: float64 of shape (6,): standard normals for σ, β, ρ and for the first point.
        physics: What systems are made with, all float64: the means of σ, β and ρ as a tuple; their relative spread; the
            spread of the first point; the radius of the ball to stay in; Euler steps in a unit of time.
        tables: See :data:`hubkit_lorenz_halves.Tables`.
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
        start[i] = half(abs(means[i] * (1.0 + spread * draws[i])))
        start[3 + i] = half(values[half(draws[3 + i])] * start_spread)
    points = np.empty((len(series), 3))
    if not _integrate(decimals[start], radius * radius, step_size, multip, points):
        return False
    for i in range(3):
        mean, deviation = 0.0, 1.0
        if normalize:
            mean, deviation = _moments(points[:, i])
            if deviation == 0.0:  # a column that never moves can't be normalised
                return False
            moments[0, column + i], moments[1, column + i] = half(mean), half(deviation)
        for step in range(len(series)):
            series[step, column + i] = half((points[step, i] - mean) / deviation)
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
            bits[i, j] = half(matrix[i, j])
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
            bits[row, j] = half(sums[j])
    return bits


@njit
def _dilate(series, scales, values):
    """Multiply float16 columns by their scales, in place: what the product with the diagonal matrix comes to."""
    for row in range(series.shape[0]):
        for j in range(series.shape[1]):
            series[row, j] = half(np.float32(0) + values[series[row, j]] * values[scales[j]])  # 0 + -0 is 0


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
        for j in range(WIDTH):  # all of them, by one move; what is too much is written over next
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
        tables: See :data:`hubkit_lorenz_halves.Tables`.
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


@kernel
def describe(series, moments, left, scales, right, tables):
    """Observe a world and return its text (uint8) from its normalization on: ``'normalization': …, 'data': […]}``.

    Args:
        series: As in :func:`_observe`, like `left`, `scales`, `right` and `tables`.
        moments: uint16 of shape (2, old): bits of means and standard deviations, or (0, 0) where not normalised.
    """
    data, left_bits, right_bits = _observe(series, left, scales, right, tables)
    numbers = moments.size + left.size + scales.size + right.size + data.size
    lists = len(moments) + len(left) + len(right) + len(data)
    out = np.empty((WIDTH + 2) * numbers + 4 * lists + 100, np.uint8)
    at = _put_lists(out, _put(out, 0, _NORMALIZATION), moments, tables)
    at = _put_lists(out, _put(out, at, _EMBEDDING), left_bits, tables)
    at = _put_list(out, _put(out, at, _SEPARATOR), scales, tables)
    at = _put_lists(out, _put(out, at, _SEPARATOR), right_bits, tables)
    at = _put_lists(out, _put(out, at, _DATA), data, tables)
    out[at] = ord("}")
    return out[: at + 1]
