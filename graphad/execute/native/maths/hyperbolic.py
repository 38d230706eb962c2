"""Hyperbolic functions and their inverses. Coefficients are minimax fits (Remez exchange, 48 digits)."""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import sum_of_ordered
from graphad.execute.native.maths.exponential import expm1_rest, reduced
from graphad.execute.native.maths.formats import at_most, format_of, power_of_two
from graphad.execute.native.maths.logarithm import log_of_sum, sum_with_one
from graphad.execute.native.maths.polynomial import polynomial

SINH_TERMS = {
    "f64": (0.16666666666666677, 0.00833333333332153, 0.00019841269886403484, 2.7557243909458435e-06,
            2.510914810215372e-08),
    "f32": (0.16666667, 0.008333289, 0.00019905076),
}  # fmt: skip
"""(sinh(r) - r) / r^3 by r^2 for |r| <= log(2) / 2: relative error of sinh(r) below 2^-61 and 2^-30."""

COSH_TERMS = {
    "f64": (0.5000000000000013, 0.04166666666651318, 0.0013888888947577544, 2.4801489370761764e-05,
            2.763148323104048e-07),
    "f32": (0.5, 0.041666266, 0.0013946333),
}  # fmt: skip
"""(cosh(r) - 1) / r^2 by r^2: relative error of cosh(r) below 2^-57 and 2^-29."""

SINH_HIGH = {"f64": 710.6, "f32": 89.7}
"""Above, sinh and cosh overflow."""

SINH_LOW = {"f64": 2.0**-27, "f32": 2.0**-12}
"""Below, sinh(x) is x."""

WIDE = {"f64": 56.0, "f32": 26.0}
"""From this n on, 2^-n is nothing beside 2^n."""

TANH_HIGH = {"f64": 20.0, "f32": 10.0}
"""Above, tanh(x) is 1."""


def _halves(size: Lanes) -> tuple[Lanes, Lanes, Lanes, Lanes, Lanes]:
    """Take |x| = n log(2) + r apart.

    Returns:
        (2^n + 2^-n) / 4, (2^n - 2^-n) / 4, r without its last digits, sinh(r) minus that, and cosh(r) - 1.
    """
    form = format_of(size)
    shifted, high, low = reduced(at_most(size, SINH_HIGH[size.kind]), form.bias - 2)
    shift = form.round_to_integer + (form.bias - 2)
    # A quarter of the powers: 2^n itself may overflow where the result does not.
    rising = power_of_two(shifted, size.kind)
    falling = power_of_two(shift - at_most(shifted - shift, WIDE[size.kind]), size.kind)
    r = high + low
    square = r * r
    sinh_rest = (r * square).fma(polynomial(square, SINH_TERMS[size.kind]), low)
    cosh_rest = square * polynomial(square, COSH_TERMS[size.kind])
    return rising + falling, rising - falling, high, sinh_rest, cosh_rest


def sinh(x: Lanes) -> Lanes:
    """y = (e^x - e^-x) / 2 = sinh(r) (2^n + 2^-n) / 2 + cosh(r) (2^n - 2^-n) / 2.

    The largest two terms are added without error.

    Args:
        x: f32 or f64.
    """
    size = x.abs()
    total, difference, high, sinh_rest, cosh_rest = _halves(size)
    leading = total.fma(high, difference)
    error = total.fma(high, difference - leading)
    y = leading + total.fma(sinh_rest, difference.fma(cosh_rest, error))
    # Near 0 the result is x, which half of it may not represent.
    return (size < SINH_LOW[x.kind]).select(size, y + y).copysign(x)


def cosh(x: Lanes) -> Lanes:
    """y = (e^x + e^-x) / 2 = cosh(r) (2^n + 2^-n) / 2 + sinh(r) (2^n - 2^-n) / 2.

    The largest two terms are added without error.

    Args:
        x: f32 or f64.
    """
    total, difference, high, sinh_rest, cosh_rest = _halves(x.abs())
    leading = difference.fma(high, total)
    error = difference.fma(high, total - leading)
    y = leading + total.fma(cosh_rest, difference.fma(sinh_rest, error))
    return y + y


def tanh(x: Lanes) -> Lanes:
    """y = sinh(x) / cosh(x) = (e^2|x| - 1) / (e^2|x| + 1) with the sign of x.

    Numerator and denominator are sums of two numbers, and the quotient's remainder is divided too.

    Args:
        x: f32 or f64.
    """
    form = format_of(x)
    size = at_most(x.abs(), TANH_HIGH[x.kind])
    shifted, high, low = reduced(size + size, form.bias)
    power = power_of_two(shifted, x.kind)
    t = power * expm1_rest(high, low)
    linear = power * high
    # Where power + 1 is rounded, the numerator must differ from it by 2 nevertheless.
    above = power + 1.0
    numerator, numerator_low = sum_of_ordered(above - 2.0, linear)
    numerator, numerator_low = sum_of_ordered(numerator, numerator_low + t)
    denominator, denominator_low = sum_of_ordered(above, linear + t)
    reciprocal = 1.0 / denominator
    quotient = numerator * reciprocal
    remainder = (-quotient).fma(denominator, numerator) + (-quotient).fma(denominator_low, numerator_low)
    return remainder.fma(reciprocal, quotient).copysign(x)


def _log1p_of_ordered(a: Lanes, b: Lanes) -> Lanes:
    """log(1 + a + b) for a >= b >= 0, also where the sum overflows."""
    huge = a > format_of(a).huge
    scale = huge.select(a.constant(0.25), 1.0)
    part, part_error = sum_of_ordered(a * scale, b * scale)
    total, error = sum_with_one(part)
    return log_of_sum(total, error + part_error, huge.select(a.constant(2.0), 0.0))


def arcsinh(x: Lanes) -> Lanes:
    """y with sinh(y) = x: log(1 + |x| + x^2 / (1 + (1 + x^2)^(1/2))) with the sign of x.

    Args:
        x: f32 or f64.
    """
    size = x.abs()
    square = size * size
    other = square / (1.0 + size.fma(size, 1.0).sqrt())
    far = size > 4 * format_of(x).round_to_integer
    y = _log1p_of_ordered(size, far.select(size, other))
    return (size < math.inf).select(y, size).copysign(x)


def arccosh(x: Lanes) -> Lanes:
    """y >= 0 with cosh(y) = x: log(1 + t + (2 t + t^2)^(1/2)), t = x - 1; nan below 1.

    Args:
        x: f32 or f64.
    """
    t = x - 1.0
    far = x > 4 * format_of(x).round_to_integer
    root = far.select(x, t.fma(t, t + t).sqrt())
    y = _log1p_of_ordered(root, far.select(x, t))
    return (x < math.inf).select((x >= 1.0).select(y, math.nan), x)


def arctanh(x: Lanes) -> Lanes:
    """y with tanh(y) = x: log(1 + 2 |x| / (1 - |x|)) / 2 with the sign of x; inf at 1, nan above.

    Args:
        x: f32 or f64.
    """
    size = x.abs()
    twice = size + size
    rest, rest_error = sum_of_ordered(x.constant(1.0), -size)
    reciprocal = 1.0 / rest
    quotient = twice * reciprocal
    remainder = (-quotient).fma(rest, twice) - quotient * rest_error
    total, error = sum_with_one(quotient)
    y = 0.5 * log_of_sum(total, remainder.fma(reciprocal, error))
    outside = size.equals(1.0).select(x.constant(math.inf), math.nan)
    return (size < 1.0).select(y, outside).copysign(x)
