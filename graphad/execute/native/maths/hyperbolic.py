"""Hyperbolic functions and their inverses."""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import polynomial_in_two, sum_of_ordered
from graphad.execute.native.maths.exponential import EXPM1_TERMS, reduced
from graphad.execute.native.maths.formats import at_most, format_of, power_of_two

TANH_HIGH = {"f64": 20.0, "f32": 10.0}
"""Above, tanh(x) is 1."""


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
    r = high + low
    square = r * r
    t = power * square.fma(polynomial_in_two(r, square, EXPM1_TERMS[x.kind]), low)
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
