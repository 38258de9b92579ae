"""Random draws inside compiled loops: one small generator an item, addressed by (key, index, attempt).

Item *i*, attempt *a* of a stream has its own generator, xoshiro256++ (Blackman and Vigna, "Scrambled linear
pseudorandom number generators", ACM TOMS 47, 2021), whose four words of state are the Philox block of that address: the
words that :func:`hubkit.randomness.generator` begins with. So a row depends on nothing that was drawn for another, and
draws cost a nanosecond each.

    state = np.empty(4, np.uint64)
    for index in range(start, stop):
        seed(state, key_low, key_high, index, 0)      # the key as halves(stream_key(…))
        length = between(state, 1, 20)

All of it is integer arithmetic and plain IEEE operations: the same bits on every machine.
"""

import numpy as np
from numba import njit

from hubkit.elementary import log

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_HALF, _32, _64 = np.uint64((1 << 32) - 1), np.uint64(32), np.uint64(64)
_12, _17, _23, _45 = np.uint64(12), np.uint64(17), np.uint64(23), np.uint64(45)


def halves(key: int) -> tuple[np.uint64, np.uint64]:
    """Return the low and the high word of a 128-bit key, as the loops take it."""
    return np.uint64(key & (1 << 64) - 1), np.uint64(key >> 64)


@njit(inline="always")
def high_product(a, b):
    """Return the high word of the 128-bit product of two uint64."""
    low_a, high_a, low_b, high_b = a & _HALF, a >> _32, b & _HALF, b >> _32
    middle = high_a * low_b + ((low_a * low_b) >> _32)
    crossed = low_a * high_b + (middle & _HALF)
    return high_a * high_b + (middle >> _32) + (crossed >> _32)


@njit
def seed(state, key_low, key_high, index, attempt):
    """Make `state` (uint64 of shape (4,)) the generator of an item: the first Philox-4x64 block of its address."""
    a, b, c, d = np.uint64(1), np.uint64(0), np.uint64(index), np.uint64(attempt)
    for _ in range(10):
        high_0, low_0 = high_product(_MULTIPLIER_0, a), _MULTIPLIER_0 * a
        high_1, low_1 = high_product(_MULTIPLIER_1, c), _MULTIPLIER_1 * c
        a, b, c, d = high_1 ^ b ^ key_low, low_1, high_0 ^ d ^ key_high, low_0
        key_low += _WEYL_0
        key_high += _WEYL_1
    state[0], state[1], state[2], state[3] = a, b, c, d


@njit(inline="always")
def _rotated(x, bits):
    return (x << bits) | (x >> (_64 - bits))


@njit
def word(state):
    """Return the next 64 random bits (uint64)."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    result = _rotated(a + d, _23) + a
    c ^= a
    d ^= b
    state[0], state[1], state[2], state[3] = a ^ d, b ^ c, c ^ (b << _17), _rotated(d, _45)
    return result


@njit
def below(state, limit):
    """Return an integer (int64) from 0 to `limit` (exclusive, positive), each exactly as likely.

    Lemire, "Fast random integer generation in an interval", ACM TOMACS 29, 2019.
    """
    n = np.uint64(limit)
    draw = word(state)
    low = draw * n
    if low < n:
        least = (np.uint64(0) - n) % n
        while low < least:
            draw = word(state)
            low = draw * n
    return np.int64(high_product(draw, n))


@njit
def between(state, least, most):
    """Return an integer (int64) from `least` to `most`, both included."""
    return least + below(state, most - least + 1)


@njit
def uniform(state):
    """Return a float64 from 0 to 1, both excluded: an odd multiple of 2**-53, each as likely."""
    return (np.float64(word(state) >> _12) + 0.5) * 2.0**-52


@njit
def sample(state, pool, count):
    """Move `count` different elements of `pool`, drawn at random and in random order, to its front (Fisher–Yates).

    `pool` keeps its elements, so that it serves for the next item too if their order before is the same for everyone:
    restore it, or fill it anew, or rows would depend on the rows before.
    """
    for i in range(count):
        j = i + below(state, len(pool) - i)
        pool[i], pool[j] = pool[j], pool[i]


@njit
def normal(state):
    """Return a standard normal float64, from one word: the inverse of its distribution function, to 1e-16.

    Wichura, "Algorithm AS 241: the percentage points of the normal distribution", Applied Statistics 37, 1988.
    """
    return normal_quantile(uniform(state))


@njit
def normal_quantile(p):
    """Return the value that a standard normal falls below with probability `p`, between 0 and 1, both excluded."""
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        above = 2.50908092873012267270e3 * r + 3.34305755835881281050e4
        above = (above * r + 6.72657709270087008530e4) * r + 4.59219539315498714570e4
        above = (above * r + 1.37316937655094611250e4) * r + 1.97159095030655144270e3
        above = (above * r + 1.33141667891784377450e2) * r + 3.38713287279636660800e0
        under = 5.22649527885285456100e3 * r + 2.87290857357219426740e4
        under = (under * r + 3.93078958000927106100e4) * r + 2.12137943015865958670e4
        under = (under * r + 5.39419602142475110770e3) * r + 6.87187007492057908300e2
        under = (under * r + 4.23133307016009112520e1) * r + 1.0
        return above * q / under
    r = np.sqrt(-log(p if q <= 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        above = 7.74545014278341407640e-4 * r + 2.27238449892691845833e-2
        above = (above * r + 2.41780725177450611770e-1) * r + 1.27045825245236838258e0
        above = (above * r + 3.64784832476320460504e0) * r + 5.76949722146069140550e0
        above = (above * r + 4.63033784615654529590e0) * r + 1.42343711074968357734e0
        under = 1.05075007164441684324e-9 * r + 5.47593808499534494600e-4
        under = (under * r + 1.51986665636164571966e-2) * r + 1.48103976427480074590e-1
        under = (under * r + 6.89767334985100004550e-1) * r + 1.67638483018380384940e0
        under = (under * r + 2.05319162663775882187e0) * r + 1.0
    else:
        r -= 5.0
        above = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
        above = (above * r + 1.24266094738807843860e-3) * r + 2.65321895265761230930e-2
        above = (above * r + 2.96560571828504891230e-1) * r + 1.78482653991729133580e0
        above = (above * r + 5.46378491116411436990e0) * r + 6.65790464350110377720e0
        under = 2.04426310338993978564e-15 * r + 1.42151175831644588870e-7
        under = (under * r + 1.84631831751005468180e-5) * r + 7.86869131145613259100e-4
        under = (under * r + 1.48753612908506148525e-2) * r + 1.36929880922735805310e-1
        under = (under * r + 5.99832206555887937690e-1) * r + 1.0
    return above / under if q > 0.0 else -(above / under)
