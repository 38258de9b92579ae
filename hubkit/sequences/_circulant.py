"""Exact samples of fractional Gaussian noise by circulant embedding, with a Fourier transform of our own.

Davies and Harte, "Tests for Hurst effect", Biometrika 74, 1987, in the form of Dietrich and Newsam, "Fast and exact
simulation of stationary Gaussian processes through circulant embedding of the covariance matrix", SIAM Journal on
Scientific Computing 18, 1997: a covariance matrix of n points sits in a circulant one of 2n, whose eigenvalues are the
Fourier transform of its first row and, for this noise, never negative (Craigmile, "Simulating a class of stationary
Gaussian processes using the Davies–Harte algorithm", Journal of Time Series Analysis 24, 2003). White complex noise,
scaled by their roots and transformed, has two independent samples, its real part and its imaginary part.

The transform takes its input in bit-reversed order. White noise has no order, so only the eigenvalues are permuted.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from hubkit.elementary import cos, power, sin
from hubkit.kernels import kernel


class Embedding(NamedTuple):
    """What the loops need to know of a Hurst exponent and a size."""

    scales: np.ndarray
    """float64 (size,): roots of eigenvalue / size, in bit-reversed order."""
    cosines: np.ndarray
    """float64 (size,): from place h on, cos(πk/h) for k < h, for each power of two h."""
    sines: np.ndarray
    """float64 (size,): -sin(πk/h) likewise."""


@lru_cache(maxsize=4)
def embedding(hurst: float, points: int) -> Embedding:
    """Return what is needed for samples of `points` points or more.

    Args:
        hurst: Between 0 and 1, both excluded.
        points: 1 or more.
    """
    size = 2 << max(1, (points - 1).bit_length())
    cosines, sines = twiddles(size)
    order, lags = _bit_reversed(size), np.minimum(np.arange(size), np.arange(size, 0, -1))
    real, imag = autocovariance(hurst, size // 2 + 1)[lags[order]], np.zeros(size)
    transform(real, imag, cosines, sines)
    assert real.min() > -1e-9 * real.max(), "an eigenvalue is negative beyond rounding"
    return Embedding(np.sqrt(np.maximum(real, 0.0) / size)[order], cosines, sines)


def _bit_reversed(size: int) -> np.ndarray:
    """Return the numbers below `size`, a power of two, with their bits in reverse."""
    order = np.zeros(1, np.int64)
    while len(order) < size:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


@kernel
def autocovariance(hurst, count):
    """Return the covariance of increments 0, 1, … `count` - 1 steps apart: ½(|k+1|^2H - 2|k|^2H + |k-1|^2H).

    The three nearly cancel for a large k. Taken out of k^2H, they are ½((1 + 1/k)^2H + (1 - 1/k)^2H) - 1, a series in
    1/k² that keeps all places; 32 terms are enough from k = 2 on.
    """
    twice, result = 2.0 * hurst, np.ones(count)
    for k in range(1, count):
        if k == 1:
            result[k] = 0.5 * power(2.0, twice) - 1.0
            continue
        square, term, series = 1.0 / (float(k) * k), 1.0, 0.0
        for j in range(0, 64, 2):
            term *= (twice - j) * (twice - j - 1) / ((j + 1) * (j + 2)) * square
            series += term
        result[k] = power(float(k), twice) * series
    return result


@kernel
def twiddles(size):
    """Return cosines and sines as in :class:`Embedding`."""
    cosines, sines = np.ones(size), np.zeros(size)
    half = 1
    while half < size:
        for k in range(half):
            cosines[half + k], sines[half + k] = cos(np.pi * k / half), -sin(np.pi * k / half)
        half *= 2
    return cosines, sines


@kernel
def transform(real, imag, cosines, sines):
    """Transform complex numbers in place: from bit-reversed order, a power of two and at least 4 of them.

    Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier series", Mathematics of Computation
    19, 1965; the first two stages, whose factors are 1 and -i, are one.
    """
    for i in range(0, len(real), 4):
        a, b, c, d = real[i] + real[i + 1], real[i] - real[i + 1], real[i + 2] + real[i + 3], real[i + 2] - real[i + 3]
        e, f, g, h = imag[i] + imag[i + 1], imag[i] - imag[i + 1], imag[i + 2] + imag[i + 3], imag[i + 2] - imag[i + 3]
        real[i], real[i + 1], real[i + 2], real[i + 3] = a + c, b + h, a - c, b - h
        imag[i], imag[i + 1], imag[i + 2], imag[i + 3] = e + g, f - d, e - g, f + d
    half = 4
    while half < len(real):
        c, s = cosines[half : 2 * half], sines[half : 2 * half]
        for start in range(0, len(real), 2 * half):  # join the transforms of the even places and of the odd ones
            even_real, odd_real = real[start : start + half], real[start + half : start + 2 * half]
            even_imag, odd_imag = imag[start : start + half], imag[start + half : start + 2 * half]
            for k in range(half):
                x = odd_real[k] * c[k] - odd_imag[k] * s[k]
                y = odd_real[k] * s[k] + odd_imag[k] * c[k]
                odd_real[k], odd_imag[k] = even_real[k] - x, even_imag[k] - y
                even_real[k] += x
                even_imag[k] += y
        half *= 2
