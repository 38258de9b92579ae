"""Elementary functions: near the true value everywhere, and the same bits for ever."""

from decimal import Decimal, localcontext
from math import pi

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubkit.elementary import cos, exp, log, power, sin

POSITIVE = st.floats(1e-300, 1e300, allow_subnormal=False)
ANGLES = st.floats(-1e6, 1e6)
DIGITS = 50
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")


def error(value: float, truth: Decimal) -> float:
    """Return how far a value is from the truth, in units of 2**-53 of the truth (about one in the last place)."""
    return float(abs(Decimal(value) - truth) / abs(truth) * 2**53) if truth else abs(value) * 2**53


def true_sine(x: float, quarters: int = 0) -> Decimal:
    """Return the sine of x + `quarters` quarter turns by its series in decimals, taken near 0."""
    with localcontext() as context:
        context.prec = DIGITS
        angle = (Decimal(x) + quarters * PI / 2).remainder_near(2 * PI)
        term = total = angle
        for k in range(2, 80, 2):
            term = -term * angle * angle / (k * (k + 1))
            total += term
        return total


@settings(max_examples=300, deadline=None)
@given(POSITIVE)
@example(1.0)
@example(1.4142135623730951)
@example(1.4142135623730954)
@example(1 + 2**-52)
@example(1 - 2**-53)
def test_the_logarithm_is_right_to_the_last_places(x):
    with localcontext() as context:
        context.prec = DIGITS
        assert error(log(x), Decimal(x).ln()) < 4


@settings(max_examples=300, deadline=None)
@given(st.floats(-700, 700))
@example(0.0)
@example(-1e-300)
def test_the_exponential_is_right_to_the_last_places(x):
    with localcontext() as context:
        context.prec = DIGITS
        assert error(exp(x), Decimal(x).exp()) < 4


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-3, 1e6), st.floats(-10, 10))
@example(2.0, 0.0)
def test_a_power_is_right_to_its_promise(x, y):
    with localcontext() as context:
        context.prec = DIGITS
        exponent = Decimal(y) * Decimal(x).ln()
        assert error(power(x, y), exponent.exp()) < 6 + 4 * abs(float(exponent))


@settings(max_examples=200, deadline=None)
@given(ANGLES)
@example(0.0)
@example(1e6)
@example(pi / 4)
@example(pi / 2)
@example(-3 * pi / 4)
def test_sine_and_cosine_are_right_to_1e16(x):
    assert abs(Decimal(float(sin(x))) - true_sine(x)) < Decimal("2e-16")
    assert abs(Decimal(float(cos(x))) - true_sine(x, quarters=1)) < Decimal("2e-16")


@settings(max_examples=200, deadline=None)
@given(ANGLES)
def test_sine_is_odd_and_cosine_even(x):
    assert sin(-x) == -sin(x)
    assert cos(-x) == cos(x)


def test_small_angles_keep_all_their_places():
    for x in (1e-300, 1e-9, 1e-3, 0.7):
        assert error(sin(x), true_sine(x)) < 2


@pytest.mark.parametrize(
    ("function", "arguments", "bits"),
    [
        (log, (0.1,), "-0x1.26bb1bbb55515p+1"),
        (log, (12345.678,), "0x1.2d79559791e31p+3"),
        (exp, (-0.3,), "0x1.7b4c869c37c05p-1"),
        (exp, (123.456,), "0x1.1428e1cbc0143p+178"),
        (power, (3.7, -1.6), "0x1.f8efdec701250p-4"),
        (sin, (0.5,), "0x1.eaee8744b05f0p-2"),
        (sin, (-98765.4,), "-0x1.4cccf698e626dp-7"),
        (cos, (2.5,), "-0x1.9a2f7ef858b7dp-1"),
        (cos, (777.7,), "0x1.3dd3747a808cfp-3"),
    ],
)
def test_the_bits_are_these_for_ever(function, arguments, bits):
    assert float(function(*arguments)).hex() == bits
