"""Observes the orbits of a portable world through its random linear embedding: the numbers that will be written down.

Products go column by column, so that each loop runs along the steps on vectors: ((series · l) · diag) · r, every factor
and every product a float16, every sum float32, added from the first term to the last.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from hubkit.draws import normal
from hubkit.kernels import kernel
from hubkit.resources import load_module

float16 = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
svd = load_module(Path(__file__).with_name("_lorenz_svd.py"), "hubkit_lorenz_svd")
bits_of, rounded, frames, MOST = float16.bits_of, float16.rounded, svd.frames, svd.MOST

_SCALES = 10.0, 100.0  # by what a direction may be stretched, beside 1


class Sheets(NamedTuple):
    """What a group of worlds is observed through, and what is seen: bits of float16 (uint16)."""

    left: np.ndarray
    """(worlds, MOST, MOST): frame l of each, as its first (old, k)."""
    right: np.ndarray
    """(worlds, MOST, greatest dimension): frame r of each, as its first (k, new)."""
    scales: np.ndarray
    """(worlds, MOST): diag of each, as its first (k,)."""
    data: np.ndarray
    """(worlds, most columns, steps)."""


def sheets(worlds: int, columns: int, steps: int) -> Sheets:
    """Return memory for so many worlds with at most `columns` dimensions or coordinates."""
    shapes = (worlds, MOST, MOST), (worlds, MOST, columns), (worlds, MOST), (worlds, columns, steps)
    return Sheets(*(np.empty(shape, np.uint16) for shape in shapes))


@kernel
def find_frames(members, states, shapes, sheets, length):
    """Draw the matrices of some worlds and write their frames down; it is the last that a world draws.

    Args:
        members: Which worlds.
        states: uint64 (worlds, 4): their generators.
        shapes: int64 (worlds, 5): see :class:`hubkit_lorenz_portable.Drafts`.
        sheets: Receives l and r.
        length: The greatest side of a matrix, and at least `MOST`.
    """
    matrix, square, bands = np.empty((MOST, length)), np.empty((MOST, MOST)), np.empty((5, length))
    left, right = np.empty((MOST, length)), np.empty((MOST, length))
    for draft in members:
        old, new = 3 * shapes[draft, 0], shapes[draft, 1]
        size, state = min(old, new), states[draft]
        for i in range(old):
            for j in range(new):
                value = normal(state)
                if old >= new:
                    matrix[j, i] = value
                else:
                    matrix[i, j] = value
        frames(old, new, matrix, square, bands, left, right)
        for j in range(size):
            for i in range(old):
                sheets.left[draft, i, j] = bits_of(rounded(left[j, i]))
            for i in range(new):
                sheets.right[draft, j, i] = bits_of(rounded(right[j, i]))


@kernel
def observe(members, shapes, series, sheets, values, rotate, dilate, rotate_again, finite):
    """Write down what is seen of some worlds, how many columns it has, and whether all of it is finite.

    Args:
        members: Which worlds.
        shapes: int64 (worlds, 5): see :class:`hubkit_lorenz_portable.Drafts`; the last receives the columns.
        series: float32 (worlds, most coordinates, steps): the columns of the orbits, float16 values.
        sheets: Holds the frames; receives scales and data.
        values: float32 of shape (65536,): what each float16 is.
        rotate: Whether l is used; `dilate` and `rotate_again` likewise.
        finite: bool (worlds,): receives whether all numbers are finite.
    """
    steps = series.shape[2]
    rotated, mixed = np.empty((MOST, steps), np.float32), np.empty((sheets.data.shape[1], steps), np.float32)
    for draft in members:
        old, new = 3 * shapes[draft, 0], shapes[draft, 1]
        size, columns, seen = min(old, new), old, series[draft]
        if rotate:
            _turn(seen, sheets.left[draft], values, old, size, rotated)
            columns, seen = size, rotated
        if dilate:
            _set_scales(sheets.scales[draft, :size], shapes[draft, 2], shapes[draft, 3])
            _dilate(seen, sheets.scales[draft], values, size, rotated)
            seen = rotated
        if rotate_again:
            _turn(seen, sheets.right[draft], values, size, new, mixed)
            columns, seen = new, mixed
        shapes[draft, 4] = columns
        finite[draft] = _write_bits(seen, columns, sheets.data[draft])


@njit
def _turn(series, frame, values, old, new, product):
    """Multiply `old` columns by a frame (old, new)."""
    for j in range(new):
        sums = product[j]
        sums[:] = 0
        for i in range(old):
            factor, column = values[frame[i, j]], series[i]
            for step in range(len(sums)):
                sums[step] += factor * column[step]
        for step in range(len(sums)):
            sums[step] = rounded(np.float64(sums[step]))


@njit
def _set_scales(scales, hierarchies, pick):
    """Write the bits of diag: ones, then equally many copies of each scale, as many as fit beside the ones."""
    copies, ends = len(scales) // hierarchies, len(scales)
    scales[:] = bits_of(1.0)
    if hierarchies == 2:
        scales[ends - copies :] = bits_of(_SCALES[pick])
    elif hierarchies == 3:
        scales[ends - 2 * copies : ends - copies] = bits_of(_SCALES[0])
        scales[ends - copies :] = bits_of(_SCALES[1])


@njit
def _dilate(series, scales, values, size, product):
    """Multiply columns by their scales."""
    zero = np.float32(0)
    for j in range(size):
        scale, column, out = values[scales[j]], series[j], product[j]
        for step in range(len(out)):  # 0 + -0 is 0, as in a product with the diagonal matrix
            out[step] = rounded(np.float64(zero + column[step] * scale))


@njit
def _write_bits(series, columns, data):
    """Write the bits of the observations; return whether all are finite."""
    finite = True
    for j in range(columns):
        column, out, most = series[j], data[j], np.float32(0)
        for step in range(len(column)):
            out[step] = bits_of(np.float64(column[step]))
            most = max(most, abs(column[step]))
        finite &= most < np.inf
    return finite
