"""Elementary functions in plain IEEE operations, for compiled loops: the same bits on every machine.

Those of the C library differ in the last bit from one version to the next, and nothing like that may reach a row.
"""

import numpy as np
from numba import njit

_LN2_HIGH, _LN2_LOW = float.fromhex("0x1.62e42fee00000p-1"), float.fromhex("0x1.a39ef35793c76p-33")
"""ln 2 in two parts: the first has so few bits that its product with an exponent is exact."""
_QUARTER_HIGH, _QUARTER_MIDDLE = float.fromhex("0x1.921fb54400000p+0"), float.fromhex("0x1.0b4611a000000p-34")
_QUARTER_LOW = float.fromhex("0x1.898cc51701b84p-64")
"""A quarter turn, π/2, in three parts: products of the first two with fewer than 2**20 quarters are exact."""


@njit
def log(x):
    """Return the natural logarithm of a positive normal float64, to about 1 unit in the last place."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits >> 52) - 1023
    mantissa = np.int64((bits & 0x000FFFFFFFFFFFFF) | 0x3FF0000000000000).view(np.float64)
    if mantissa > 1.4142135623730951:
        mantissa *= 0.5
        exponent += 1
    # log m = 2 artanh s with s = (m − 1) / (m + 1) = f / (2 + f); |s| < 0.172, so eleven terms are enough.
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    series = 0.0
    for k in range(10, 0, -1):
        series = z * (series + 1.0 / (2 * k + 1))
    # 2s = f − s·f, and f is exact: so written, the leading term is not rounded.
    return exponent * _LN2_HIGH + (f - (s * (f - 2.0 * series) - exponent * _LN2_LOW))


@njit
def exp(x):
    """Return e to the x for a float64 with |x| < 700, to about 1 unit in the last place."""
    power = np.floor(x / 0.6931471805599453 + 0.5)
    r = (x - power * _LN2_HIGH) - power * _LN2_LOW  # |r| < 0.347
    series = 1.0
    for k in range(16, 1, -1):
        series = 1.0 + series * r / k
    return (1.0 + r * series) * np.int64((np.int64(power) + 1023) << 52).view(np.float64)


@njit
def power(x, y):
    """Return x to the y for a positive normal float64 x with |y log x| < 700.

    It is right to about 1 + |y log x| units in the last place.
    """
    return exp(y * log(x))


@njit
def sin(x):
    """Return the sine of a float64 with |x| < 1e6, to about 1e-16."""
    quarter, r = _reduced(x)
    value = _sin_near_0(r) if quarter & 1 == 0 else _cos_near_0(r)
    return -value if quarter & 2 else value


@njit
def cos(x):
    """Return the cosine of a float64 with |x| < 1e6, to about 1e-16."""
    quarter, r = _reduced(x)
    value = _cos_near_0(r) if quarter & 1 == 0 else _sin_near_0(r)
    return -value if (quarter + 1) & 2 else value


@njit
def _reduced(x):
    """Return the nearest whole number of quarter turns (int64), and what x is beyond them: at most an eighth turn."""
    quarters = np.floor(x * 0.6366197723675814 + 0.5)
    r = ((x - quarters * _QUARTER_HIGH) - quarters * _QUARTER_MIDDLE) - quarters * _QUARTER_LOW
    return np.int64(quarters), r


@njit
def _sin_near_0(x):
    """Return the sine for |x| < 0.79: nine terms of its series."""
    z, series = x * x, 1.0
    for k in range(16, 3, -2):
        series = 1.0 - z * series / (k * (k + 1))
    return x - x * (z * series / 6.0)


@njit
def _cos_near_0(x):
    """Return the cosine for |x| < 0.79: ten terms of its series."""
    z, series = x * x, 1.0
    for k in range(17, 2, -2):
        series = 1.0 - z * series / (k * (k + 1))
    return 1.0 - z * series * 0.5
