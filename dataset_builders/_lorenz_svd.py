"""Singular vectors of small matrices in plain IEEE operations, with the signs that LAPACK gives them.

A singular vector is only determined up to its sign, and LAPACK's signs are not fair coins: of the first left vectors of
random 3 × 5 matrices, 94 % begin with a negative number. Three things fix them, and :func:`frames` does the same:

1. Householder reflections with β = −sign(α) · norm bring the matrix to bidiagonal form (dgebrd). A matrix at least 11/6
   as long as wide is first brought to its triangle (dgeqrf, dgelqf). Where a column has one entry left, nothing is
   reflected, so the last diagonal entry keeps its sign.
2. Implicit QR sweeps, from the larger end to the smaller, shifted or not, diagonalise it (dbdsqr): that is what dgesdd
   uses below 26 columns. Each plane rotation keeps the sign of its first entry (dlartg since LAPACK 3.10). A matrix
   wider than long gives a lower bidiagonal one; rotations from the left make it an upper one first (dbdsdc).
3. Negative singular values are made positive by negating right vectors. (Of a single one: the left vector.)

Algorithms: Golub and Kahan 1965; Demmel and Kahan, "Accurate singular values of bidiagonal matrices", SIAM J. Sci.
Stat. Comput. 11, 1990; Anderson et al., "LAPACK Users' Guide", 1999. Sums run from the first term to the last.
"""

import math
from pathlib import Path

from numba import njit

from hubkit.resources import load_module

bidiagonal = load_module(Path(__file__).with_name("_lorenz_bidiagonal.py"), "hubkit_lorenz_bidiagonal")
diagonalise, raise_bands, lower_vectors = bidiagonal.diagonalise, bidiagonal.raise_bands, bidiagonal.lower_vectors

MOST = 15
"""The lesser of a matrix's sides is at most this: five systems have 15 coordinates."""


@njit
def frames(old, new, long, square, bands, left, right):
    """Find the singular vectors of a matrix (old, new), whose lesser side k is at most `MOST`.

    Args:
        old: Rows of the matrix.
        new: Columns of the matrix.
        long: float64 of shape (MOST, greatest length): the matrix, a row for each of its columns where old ≥ new, else
            for each of its rows; written over.
        square: float64 of shape (MOST, MOST): written over.
        bands: float64 of shape (5, greatest length): written over; begins with the singular values.
        left: float64 of shape (MOST, greatest length): receives the left vectors, of length `old`, as its first k rows.
        right: float64 of shape (MOST, greatest length): likewise the right vectors, of length `new`.
    """
    size, length, tall = min(old, new), max(old, new), old >= new
    diagonal, above, tau_long, tau_across, tau = bands[0], bands[1], bands[2], bands[3], bands[4]
    _set_identity(left, size, old)
    _set_identity(right, size, new)
    long_side = left if tall else right
    if length >= size * 11 // 6:
        _triangularise(long, size, length, tau_long)
        _copy_triangle(long, square, size, tall)
        _bidiagonalise(square, size, size, diagonal, above, tau, tau_across)
        diagonalise(diagonal, above, size, left, right)
        _reflect_all(square, size, size, tau, left)
        _reflect_across(square, size, tau_across, right)
        _reflect_all(long, size, length, tau_long, long_side)
        return
    _bidiagonalise(long, size, length, diagonal, above, tau_long, tau_across)
    if not tall:
        raise_bands(diagonal, above, size, tau, square[0])
    diagonalise(diagonal, above, size, left, right)
    if not tall:
        lower_vectors(left, size, tau, square[0])
    _reflect_all(long, size, length, tau_long, long_side)
    _reflect_across(long, size, tau_across, right if tall else left)


# --- reflections -----------------------------------------------------------------------------------------------------


@njit
def _set_identity(rows, size, length):
    for i in range(size):
        for j in range(length):
            rows[i, j] = 0.0
        rows[i, i] = 1.0


@njit
def _reflected(alpha, total):
    """Return β, the factor and the scale of the reflector that brings (α, …) to (β, 0, …).

    `total` is the sum of squares after α, and the scale makes the reflector's first entry 1.
    """
    if total == 0.0:
        return alpha, 0.0, 1.0
    beta = -math.copysign(math.sqrt(alpha * alpha + total), alpha)
    return beta, (beta - alpha) / beta, 1.0 / (alpha - beta)


@njit
def _reflect(reflectors, i, length, tau, rows, j):
    """Apply the reflector `i` (its entry i is 1, those before are 0) to row `j` of `rows`, in place."""
    total = rows[j, i]
    for at in range(i + 1, length):
        total += reflectors[i, at] * rows[j, at]
    total *= tau
    rows[j, i] -= total
    for at in range(i + 1, length):
        rows[j, at] -= total * reflectors[i, at]


@njit
def _clear_column(columns, i, size, length, taus):
    """Reflect what column `i` has below its diagonal away, in all later columns too; return the diagonal entry."""
    total = 0.0
    for at in range(i + 1, length):
        total += columns[i, at] * columns[i, at]
    beta, tau, scale = _reflected(columns[i, i], total)
    for at in range(i + 1, length):
        columns[i, at] *= scale
    taus[i] = tau
    for j in range(i + 1, size):
        _reflect(columns, i, length, tau, columns, j)
    columns[i, i] = beta
    return beta


@njit
def _clear_row(columns, i, size, length, taus):
    """Reflect what row `i` has beyond its superdiagonal away, in all later rows too; return the entry that is left."""
    total = 0.0
    for j in range(i + 2, size):
        total += columns[j, i] * columns[j, i]
    beta, tau, scale = _reflected(columns[i + 1, i], total)
    for j in range(i + 2, size):
        columns[j, i] *= scale
    taus[i] = tau
    for at in range(i + 1, length):
        total = columns[i + 1, at]
        for j in range(i + 2, size):
            total += columns[j, i] * columns[j, at]
        total *= tau
        columns[i + 1, at] -= total
        for j in range(i + 2, size):
            columns[j, at] -= total * columns[j, i]
    return beta


@njit
def _triangularise(columns, size, length, taus):
    """Bring a matrix, given as its columns, to its triangle; the reflectors take the place of the zeros."""
    for i in range(size):
        _clear_column(columns, i, size, length, taus)


@njit
def _copy_triangle(columns, square, size, tall):
    """Copy the triangle's columns into `square`; those of its transpose where the matrix was transposed."""
    for i in range(size):
        for j in range(size):
            if tall:
                square[i, j] = columns[i, j] if j <= i else 0.0
            else:
                square[i, j] = columns[j, i] if i <= j else 0.0


@njit
def _bidiagonalise(columns, size, length, diagonal, above, taus, taus_across):
    """Bring a matrix, given as its columns, to upper bidiagonal form; the reflectors take the place of the zeros."""
    for i in range(size):
        diagonal[i] = _clear_column(columns, i, size, length, taus)
        if i < size - 1:
            above[i] = _clear_row(columns, i, size, length, taus_across)


@njit
def _reflect_all(columns, size, length, taus, vectors):
    """Apply the reflectors of columns, in reverse, to each of `size` vectors."""
    for i in range(size - 1, -1, -1):
        for j in range(size):
            _reflect(columns, i, length, taus[i], vectors, j)


@njit
def _reflect_across(columns, size, taus, vectors):
    """Apply the reflectors of rows, in reverse, to the first entries of each of `size` vectors."""
    for i in range(size - 2, -1, -1):
        for row in range(size):
            total = vectors[row, i + 1]
            for j in range(i + 2, size):
                total += columns[j, i] * vectors[row, j]
            total *= taus[i]
            vectors[row, i + 1] -= total
            for j in range(i + 2, size):
                vectors[row, j] -= total * columns[j, i]
