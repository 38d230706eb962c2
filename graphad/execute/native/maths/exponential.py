"""Exponentials: e^x, 2^x, e^x - 1.

x = n log(2) + r with |r| <= log(2) / 2, reduced by Cody and Waite with fused products, the first of which leaves no
rounding error, and e^r by a polynomial. n comes from adding 1.5 * 2^mantissa, whose sum holds it in its lowest
bits, and goes into the exponent by integer arithmetic. Coefficients are minimax fits (Remez exchange, 48 digits).
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import Sum, sum_of_ordered
from graphad.execute.native.maths.formats import at_least, at_most, format_of, power_of_two, two_powers_of_two
from graphad.execute.native.maths.polynomial import polynomial_in_two
from graphad.ir.frozen import frozen

LOG2_E = 1 / math.log(2)

EXP_TERMS = {
    "f64": (0.5000000000000006, 0.1666666666666667, 0.041666666666573066, 0.008333333333326136, 0.001388888893251479,
            0.00019841269874820892, 2.4801504313769817e-05, 2.7557255399858758e-06, 2.762637107227717e-07,
            2.510521715246786e-08),
    "f32": (0.49999994, 0.16666521, 0.04166839, 0.008368717, 0.0013814582),
}  # fmt: skip
"""(e^r - 1 - r) / r^2: relative error of e^r below 2^-56 (f64) and 2^-28 (f32)."""

EXPM1_TERMS = {
    "f64": (0.16666666666666677, 0.04166666666666658, 0.008333333333322151, 0.001388888888894228,
            0.00019841269884959692, 2.4801587199065727e-05, 2.755724527966256e-06, 2.755738629894615e-07,
            2.5108691037811194e-08, 2.087914305528175e-09),
    "f32": (0.16666666, 0.04166648, 0.008333419, 0.0013933253, 0.00019824141),
}  # fmt: skip
"""(e^r - 1 - r - r^2 / 2) / r^3: relative error of e^r - 1 below 2^-59 and 2^-29."""

EXP2_TERMS = {
    "f64": (0.6931471805599457, 0.24022650695910097, 0.05550410866479039, 0.009618129107606998, 0.0013333558153439725,
            0.0001540353044157905, 1.5252727385771548e-05, 1.3215442671440965e-06, 1.0180647312690054e-07,
            7.072571149459942e-09, 4.0781370659489415e-10),
    "f32": (0.6931472, 0.2402265, 0.05550327, 0.009618057, 0.001340043, 0.00015461448),
}  # fmt: skip
"""(2^r - 1) / r."""


@frozen(slots=True)
class Bounds:
    """Where a function of a format leaves its range: at `low` and below it is 0, at `high` and above it overflows."""

    low: float
    high: float


EXP_BOUNDS = {"f64": Bounds(-746.0, 710.0), "f32": Bounds(-104.0, 89.0)}
EXP2_BOUNDS = {"f64": Bounds(-1076.0, 1025.0), "f32": Bounds(-151.0, 129.0)}
EXPM1_LOW = {"f64": -40.0, "f32": -20.0}
"""Below, e^x - 1 is -1."""


def reduced(x: Lanes, offset: int) -> tuple[Lanes, Lanes, Lanes]:
    """Take ``x = n log(2) + high + low`` apart, n an integer, |high + low| <= log(2) / 2; `high` is exact.

    Returns:
        1.5 * 2^mantissa + offset + n, high and low.
    """
    form = format_of(x)
    shift = form.round_to_integer + offset
    shifted = x.fma(LOG2_E, shift)
    whole = shifted - shift
    return shifted, whole.fma(-form.ln2, x), whole * -form.ln2_low


def expm1_near_zero(high: Lanes, low: Lanes) -> Lanes:
    """e^(high + low) - 1 for |high + low| <= log(2) / 2, with an error that is small beside 1."""
    r = high + low
    square = r * r
    return high + square.fma(polynomial_in_two(r, square, EXP_TERMS[r.kind]), low)


def expm1_rest(high: Lanes, low: Lanes) -> Lanes:
    """e^(high + low) - 1 - high for |high + low| <= log(2) / 2, as exact as beside high is worth while."""
    r = high + low
    square = r * r
    return square.fma(polynomial_in_two(r, square, EXPM1_TERMS[r.kind]).fma(r, 0.5), low)


def exp_inside(x: Lanes, rest: Lanes | float = 0.0) -> Lanes:
    """e^(x + rest) for x within its bounds, or nan, and a rest near the last place of x."""
    shifted, high, low = reduced(x, 2 * format_of(x).bias)
    if isinstance(rest, Lanes):
        low = low + rest
    first, second = two_powers_of_two(shifted)
    return expm1_near_zero(high, low).fma(first, first) * second


def exp(x: Lanes) -> Lanes:
    """y = e^x; 0 and inf beyond the format, denormals rounded once.

    Args:
        x: f32 or f64.
    """
    bounds = EXP_BOUNDS[x.kind]
    return exp_inside(at_most(at_least(x, bounds.low), bounds.high))


def exp2(x: Lanes) -> Lanes:
    """y = 2^x; exact at integers, 0 and inf beyond the format, denormals rounded once.

    Args:
        x: f32 or f64.
    """
    bounds, form = EXP2_BOUNDS[x.kind], format_of(x)
    x = at_most(at_least(x, bounds.low), bounds.high)
    shift = form.round_to_integer + 2 * form.bias
    shifted = x + shift
    r = x - (shifted - shift)
    first, second = two_powers_of_two(shifted)
    return polynomial_in_two(r, r * r, EXP2_TERMS[x.kind]).fma(r * first, first) * second


def exp_as_sum(x: Lanes, rest: Lanes) -> Sum:
    """e^(x + rest) for x within its bounds, or nan, and a rest near the last place of x, as a sum of two numbers."""
    shifted, high, low = reduced(x, 2 * format_of(x).bias)
    return _power_as_sum(shifted, high, low + rest)


def exp2_as_sum(x: Lanes, rest: Lanes) -> Sum:
    """2^(x + rest) for x within its bounds, or nan, and a rest near the last place of x, as a sum of two numbers."""
    form = format_of(x)
    shift = form.round_to_integer + 2 * form.bias
    shifted = x + shift
    r = x - (shifted - shift)
    high = r * form.ln2
    return _power_as_sum(shifted, high, r.fma(form.ln2_low, r.fma(form.ln2, -high)) + rest * form.ln2)


def _power_as_sum(shifted: Lanes, high: Lanes, low: Lanes) -> Sum:
    """2^n e^(high + low) for f64, given 1.5 * 2^mantissa + 2 bias + n and |high + low| <= log(2) / 2, to some 60 bits.

    1, r and r^2 / 2 are added without error.
    """
    first, second = two_powers_of_two(shifted)
    high, low = sum_of_ordered(high, low)
    half, square = high * 0.5, high * high
    half_square = half * high
    linear, error = sum_of_ordered(high.constant(1.0), high)
    leading, more = sum_of_ordered(linear, half_square)
    cubic = (square * high) * polynomial_in_two(high, square, EXPM1_TERMS["f64"])
    rest = low.fma(linear, half.fma(high, -half_square)) + (error + more) + cubic
    main, rest = sum_of_ordered(leading, rest)
    return Sum(main * first * second, rest * first * second)


def expm1_as_sum(x: Lanes, unit: float = 1.0, rest: Lanes | float = 0.0) -> Sum:
    """unit (e^(x + rest) - 1) as a sum of two numbers, where unit e^x is normal.

    With e^r = 1 + r + t it is (2^n - 1) + 2^n r + 2^n t, of which the first two are added without error.

    Args:
        x: f32 or f64.
        unit: a power of two.
        rest: near the last place of x.
    """
    form = format_of(x)
    shifted, high, low = reduced(x, form.bias + int(math.log2(unit)))
    if isinstance(rest, Lanes):
        low = low + rest
    power = power_of_two(shifted, x.kind)
    beside = power - unit
    leading = power.fma(high, beside)
    error = power.fma(high, beside - leading)
    return Sum(*sum_of_ordered(leading, power.fma(expm1_rest(high, low), error)))


def expm1(x: Lanes) -> Lanes:
    """y = e^x - 1, accurate near 0; -0.0 at -0.0, inf where it overflows.

    Args:
        x: f32 or f64.
    """
    inside = at_most(at_least(x, EXPM1_LOW[x.kind]), EXP_BOUNDS[x.kind].high)
    # Half of it: 2^n itself may overflow where the result does not.
    half = expm1_as_sum(inside, 0.5).main
    # Near 0 the result is x, which half of it may not represent.
    return (x.abs() < format_of(x).round_to_integer ** -1).select(x, half + half)
