"""Diagonalises bidiagonal matrices by implicit QR sweeps, as LAPACK's dbdsqr does: see `_lorenz_svd.py`."""

import math

from numba import njit

_EPSILON = 2.0**-53
_TOLERANCE = 64.0 * math.sqrt(math.sqrt(math.sqrt(32.0))) * _EPSILON  # ε^(7/8), as dbdsqr has it
_TINY = 2.0**-1022
_MOST_LOOKS = 10  # a bound on sweeps and deflations, in units of size²; some 3 · size of them are usual


@njit
def _rotation(f, g):
    """Return cosine, sine and length of the rotation that brings (f, g) to (r, 0), where r has the sign of f."""
    if g == 0.0:
        return 1.0, 0.0, f
    if f == 0.0:
        return 0.0, math.copysign(1.0, g), abs(g)
    size = math.sqrt(f * f + g * g)
    r = math.copysign(size, f)
    return abs(f) / size, g / r, r


@njit
def _rotate(vectors, length, i, cosine, sine):
    """Rotate the vectors `i` and `i` + 1."""
    for j in range(length):
        a, b = vectors[i, j], vectors[i + 1, j]
        vectors[i, j] = cosine * a + sine * b
        vectors[i + 1, j] = cosine * b - sine * a


@njit
def raise_bands(diagonal, side, size, cosines, sines):
    """Bring a lower bidiagonal matrix to upper form by rotations from the left, and note them."""
    for i in range(size - 1):
        cosines[i], sines[i], diagonal[i] = _rotation(diagonal[i], side[i])
        side[i] = sines[i] * diagonal[i + 1]
        diagonal[i + 1] *= cosines[i]


@njit
def lower_vectors(left, size, cosines, sines):
    """Take the rotations of :func:`raise_bands` back, in the left vectors."""
    for i in range(size - 2, -1, -1):
        for j in range(size):
            a, b = left[j, i], left[j, i + 1]
            left[j, i] = cosines[i] * a - sines[i] * b
            left[j, i + 1] = cosines[i] * b + sines[i] * a


@njit
def diagonalise(d, e, size, left, right):
    """Bring an upper bidiagonal matrix (diagonal `d`, above it `e`) to its singular values; rotate vectors along."""
    negligible = _negligible(d, e, size)
    bottom, last_top, last_bottom, down = size - 1, -1, -1, True
    for _ in range(_MOST_LOOKS * size * size):
        if bottom <= 0:
            break
        top = _block_top(e, bottom, negligible)
        if top == bottom:
            bottom -= 1
            continue
        if top == bottom - 1:
            d[bottom], d[top], sine_right, cosine_right, sine_left, cosine_left = _pair(d[top], e[top], d[bottom])
            e[top] = 0.0
            _rotate(right, size, top, cosine_right, sine_right)
            _rotate(left, size, top, cosine_left, sine_left)
            bottom -= 2
            continue
        if top > last_bottom or bottom < last_top or last_top < 0:
            down = abs(d[top]) >= abs(d[bottom])
        least = _deflate(d, e, top, bottom, down)
        if least < 0.0:  # an entry of e vanished: look again
            continue
        last_top, last_bottom = top, bottom
        shift = _shift(d, e, size, top, bottom, down, least)
        if shift == 0.0:
            at = _sweep_unshifted(d, e, top, bottom, down, size, left, right)
        else:
            at = _sweep_shifted(d, e, top, bottom, down, shift, size, left, right)
        if abs(e[at]) <= negligible:
            e[at] = 0.0
    _make_positive(d, size, left, right)
    _sort(d, size, left, right)


@njit
def _negligible(d, e, size):
    """Return the size up to which an entry of `e` counts as zero."""
    least = mu = abs(d[0])
    for i in range(1, size):
        if least == 0.0:
            break
        mu = abs(d[i]) * (mu / (mu + abs(e[i - 1])))
        least = min(least, mu)
    return max(_TOLERANCE * (least / math.sqrt(size)), 6.0 * size * size * _TINY)


@njit
def _block_top(e, bottom, negligible):
    """Return where the unreduced block that ends at `bottom` begins."""
    for i in range(bottom - 1, -1, -1):
        if abs(e[i]) <= negligible:
            e[i] = 0.0
            return i + 1
    return 0


@njit
def _deflate(d, e, top, bottom, down):
    """Return a lower bound of the block's least singular value, or -1 after making a small entry of `e` zero."""
    step = 1 if down else -1
    first, last = (top, bottom) if down else (bottom, top)
    at = min(last - step, last)
    if abs(e[at]) <= _TOLERANCE * abs(d[last]):
        e[at] = 0.0
        return -1.0
    least = mu = abs(d[first])
    for i in range(first, last, step):
        at = min(i, i + step)
        if abs(e[at]) <= _TOLERANCE * mu:
            e[at] = 0.0
            return -1.0
        mu = abs(d[i + step]) * (mu / (mu + abs(e[at])))
        least = min(least, mu)
    return least


@njit
def _shift(d, e, size, top, bottom, down, least):
    """Return the shift of the next sweep: 0 where another would cost small singular values their accuracy."""
    most = abs(d[bottom])
    for i in range(top, bottom):
        most = max(most, abs(d[i]), abs(e[i]))
    if size * _TOLERANCE * (least / most) <= max(_EPSILON, 0.01 * _TOLERANCE):
        return 0.0
    if down:
        start, shift = abs(d[top]), _least_of_pair(d[bottom - 1], e[bottom - 1], d[bottom])
    else:
        start, shift = abs(d[bottom]), _least_of_pair(d[top], e[top], d[top + 1])
    if start > 0.0 and (shift / start) * (shift / start) < _EPSILON:
        return 0.0
    return shift


@njit
def _least_of_pair(f, g, h):
    """Return the lesser singular value of the triangle (f g; 0 h)."""
    f, g, h = abs(f), abs(g), abs(h)
    low, high = min(f, h), max(f, h)
    if low == 0.0:
        return 0.0
    total, apart = 1.0 + low / high, (high - low) / high
    if g < high:
        ratio = (g / high) * (g / high)
        return low * (2.0 / (math.sqrt(total * total + ratio) + math.sqrt(apart * apart + ratio)))
    ratio = high / g
    if ratio == 0.0:
        return low * high / g
    a, b = total * ratio, apart * ratio
    half = (low * (1.0 / (math.sqrt(1.0 + a * a) + math.sqrt(1.0 + b * b)))) * ratio
    return half + half


@njit
def _sweep_unshifted(d, e, top, bottom, down, size, left, right):
    """Make an implicit QR sweep with shift 0; return which entry of `e` it made smaller."""
    step = 1 if down else -1
    first, last = (top, bottom) if down else (bottom, top)
    cosine, old_cosine, old_sine, at = 1.0, 1.0, 0.0, top
    for i in range(first, last, step):
        at = min(i, i + step)
        cosine, sine, r = _rotation(d[i] * cosine, e[at])
        if i != first:
            e[at - step] = old_sine * r
        old_cosine, old_sine, d[i] = _rotation(old_cosine * r, d[i + step] * sine)
        _rotate(right if down else left, size, at, cosine, sine if down else -sine)
        _rotate(left if down else right, size, at, old_cosine, old_sine if down else -old_sine)
    h = d[last] * cosine
    d[last], e[at] = h * old_cosine, h * old_sine
    return at


@njit
def _sweep_shifted(d, e, top, bottom, down, shift, size, left, right):
    """Make an implicit QR sweep; return which entry of `e` it made smaller."""
    step = 1 if down else -1
    first, last = (top, bottom) if down else (bottom, top)
    at = min(first, first + step)
    f, g = (abs(d[first]) - shift) * (math.copysign(1.0, d[first]) + shift / d[first]), e[at]
    for i in range(first, last, step):
        j, at = i + step, min(i, i + step)
        cosine, sine, r = _rotation(f, g)
        if i != first:
            e[at - step] = r
        f, e[at] = cosine * d[i] + sine * e[at], cosine * e[at] - sine * d[i]
        g = sine * d[j]
        d[j] *= cosine
        cosine_left, sine_left, d[i] = _rotation(f, g)
        f, d[j] = cosine_left * e[at] + sine_left * d[j], cosine_left * d[j] - sine_left * e[at]
        if j != last:
            g = sine_left * e[at + step]
            e[at + step] *= cosine_left
        _rotate(right if down else left, size, at, cosine, sine if down else -sine)
        _rotate(left if down else right, size, at, cosine_left, sine_left if down else -sine_left)
    e[at] = f
    return at


@njit
def _pair(f, g, h):
    """Return lesser and greater singular value (signed) of (f g; 0 h), and its sines and cosines: dlasv2."""
    ft, ht, largest = f, h, 1
    swapped = abs(h) > abs(f)
    if swapped:
        ft, ht, largest = h, f, 3
    fa, ha, ga = abs(ft), abs(ht), abs(g)
    if ga == 0.0:
        least, most, cosine_left, cosine_right, sine_left, sine_right = ha, fa, 1.0, 1.0, 0.0, 0.0
    elif ga > fa and fa / ga < _EPSILON:
        largest = 2
        least, most = fa / (ga / ha) if ha > 1.0 else (fa / ga) * ha, ga
        cosine_left, sine_left, sine_right, cosine_right = 1.0, ht / g, 1.0, ft / g
    else:
        if ga > fa:
            largest = 2
        least, most, sine_right, cosine_right, sine_left, cosine_left = _usual_pair(ft, g, ht)
    if swapped:
        cosine_left, sine_left, cosine_right, sine_right = sine_right, cosine_right, sine_left, cosine_left
    if largest == 1:
        sign = math.copysign(1.0, cosine_right) * math.copysign(1.0, cosine_left) * math.copysign(1.0, f)
    elif largest == 2:
        sign = math.copysign(1.0, sine_right) * math.copysign(1.0, cosine_left) * math.copysign(1.0, g)
    else:
        sign = math.copysign(1.0, sine_right) * math.copysign(1.0, sine_left) * math.copysign(1.0, h)
    least = math.copysign(least, sign * math.copysign(1.0, f) * math.copysign(1.0, h))
    return least, math.copysign(most, sign), sine_right, cosine_right, sine_left, cosine_left


@njit
def _usual_pair(f, g, h):
    """Return what :func:`_pair` does, without signs, where |f| ≥ |h| and g is neither 0 nor huge."""
    fa, ha = abs(f), abs(h)
    d = fa - ha
    part = 1.0 if d == fa else d / fa
    m = g / f
    t = 2.0 - part
    mm = m * m
    s = math.sqrt(t * t + mm)
    r = abs(m) if part == 0.0 else math.sqrt(part * part + mm)
    a = 0.5 * (s + r)
    if mm != 0.0:
        t = (m / (s + t) + m / (r + part)) * (1.0 + a)
    elif part == 0.0:
        t = math.copysign(2.0, f) * math.copysign(1.0, g)
    else:
        t = g / math.copysign(d, f) + m / t
    size = math.sqrt(t * t + 4.0)
    cosine_right, sine_right = 2.0 / size, t / size
    cosine_left, sine_left = (cosine_right + sine_right * m) / a, (h / f) * sine_right / a
    return ha / a, fa * a, sine_right, cosine_right, sine_left, cosine_left


@njit
def _make_positive(d, size, left, right):
    """Make singular values positive by negating right vectors; of a single one, the left."""
    for i in range(size):
        if d[i] < 0.0:
            d[i] = -d[i]
            vectors = left if size == 1 else right
            for j in range(size):
                vectors[i, j] = -vectors[i, j]


@njit
def _sort(d, size, left, right):
    """Bring singular values and vectors into decreasing order."""
    for end in range(size - 1, 0, -1):
        least = end
        for i in range(end - 1, -1, -1):
            if d[i] < d[least]:
                least = i
        if least != end:
            d[end], d[least] = d[least], d[end]
            for j in range(size):
                left[end, j], left[least, j] = left[least, j], left[end, j]
                right[end, j], right[least, j] = right[least, j], right[end, j]
