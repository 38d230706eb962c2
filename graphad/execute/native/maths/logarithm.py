"""Logarithms, and what is made of one: logit, x log(y), x log(1 + y), relative entropy.

x = 2^k m with 2^-1/2 <= m < 2^1/2, and log(m) by a polynomial: in s = (m - 1) / (m + 1) for f64 (as fdlibm's e_log.c
has it), in m - 1 for f32, where it is short enough to save the division. Coefficients are minimax fits (Remez
exchange, 48 digits).
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import Sum, sum_of_ordered
from graphad.execute.native.maths.formats import FORMATS, format_of, split
from graphad.execute.native.maths.polynomial import polynomial_in_two

ATANH_TERMS = (
    0.6666666666666734, 0.39999999999416397, 0.28571428742117616, 0.2222219859311837, 0.18183563590798982,
    0.15314063264580044, 0.1479587311658606,
)  # fmt: skip
"""(log(1 + f) / s - 2) / s^2 by s^2, where s = f / (2 + f): relative error of the logarithm below 2^-59."""

LOG_TERMS = (0.3333333, -0.25000823, 0.20001228, -0.16623338, 0.14201735, -0.13160372, 0.12761818, -0.07634264)
"""(log(1 + f) - f + f^2 / 2) / f^3 by f, for f32: relative error of the logarithm below 2^-27."""

_MIDDLE, _MIDDLE_CENTRE = (0.19, 0.69), 1.40625
"""Numbers p between the first two are near enough to the third one less 1."""
_MIDDLE_LOG = (0.3409265869705932, 1.7467136443544747e-17)
"""log(1.40625) as a sum of two numbers (mpmath.log)."""

LIFT = {"f64": 54, "f32": 25}
"""Denormals are multiplied by 2^LIFT, which makes them normal."""

LN2_SHORT, LN2_REST = 0.6931471803691238, 1.9082149292705877e-10
"""log(2) in two parts of f64, the first of 33 bits, so that its product with an exponent is exact (fdlibm's)."""

LOG2_PARTS = {"f64": (1.4426950408889634, 2.0355273740931033e-17), "f32": (1.4426950216293335, 1.9259629911266175e-08)}
LOG10_PARTS = {"f64": (0.4342944819032518, 1.098319650216765e-17), "f32": (0.4342944920063019, -1.0103050052231683e-08)}
"""1 / log(2) and 1 / log(10), each as a sum of two numbers of the format."""
LOG10_2_PARTS = {"f64": (0.30102999566383914, 1.42050232272661e-13), "f32": (0.301025390625, 4.605038981195214e-06)}
"""log(2) / log(10) as such a sum, the first so short that its product with an exponent is exact."""


def log_rest(f: Lanes, above: Lanes, half_square: Lanes) -> Lanes:
    """log(1 + f) - f + f^2 / 2, for 2^-1/2 <= 1 + f < 2^1/2, above = f + 2 and f^2 / 2."""
    if f.kind == "f64":
        s = f / above
        z = s * s
        return s * z.fma(polynomial_in_two(z, z * z, ATANH_TERMS), half_square)
    z = f * f
    return z * f * polynomial_in_two(f, z, LOG_TERMS)


def parts(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return k and m of ``x = 2^k m``, denormals too.

    Where there is no such k it is what makes the logarithm right: -inf at 0, inf at inf, nan at nan and below 0.
    """
    form, lift = format_of(x), LIFT[x.kind]
    small = x < form.tiny
    nowhere = x.equals(0.0).select(x.constant(math.inf), math.nan)
    lifted = (x > 0.0).select(x.constant(lift), nowhere)
    k, m = split(small.select(x * 2.0**lift, x), small.select(lifted, 0.0))
    return (x < math.inf).select(k, x), m


def log(x: Lanes) -> Lanes:
    """y = log(x), the natural logarithm; -inf at 0, nan below.

    Args:
        x: f32 or f64.
    """
    form = format_of(x)
    k, m = parts(x)
    f = m - 1.0
    half_square = f * 0.5 * f
    rest = k.fma(form.ln2_low, log_rest(f, m + 1.0, half_square))
    return k.fma(form.ln2, f - (half_square - rest))


def log_in_two(m: Lanes) -> tuple[Lanes, Lanes]:
    """Return log(m) for 2^-1/2 <= m < 2^1/2 as a rounded number and most of its error."""
    f = m - 1.0
    half_square = f * 0.5 * f
    high, error = sum_of_ordered(f, -half_square)
    return high, error + log_rest(f, m + 1.0, half_square)


def log_as_sum(x: Lanes, more: float = 0.0) -> Sum:
    """log(x) + more log(2) for f64, to some 60 bits; the rest is nan where the logarithm is infinite."""
    k, m = parts(x)
    if more:
        k = k + more
    f = m - 1.0
    half = f * 0.5
    high = (-half).fma(f, f)
    rest = log_rest(f, m + 1.0, half * f) + (-half).fma(f, f - high)
    total, lost = sum_of_ordered(k * LN2_SHORT, high)
    main, rest = sum_of_ordered(total, k.fma(LN2_REST, lost + rest))
    return Sum((k.abs() < math.inf).select(main, k), rest)


def log1p_as_sum(p: Sum) -> Sum:
    """log(1 + p) for f64 0 <= p <= 1, to some 60 bits; the rest is below 2^-9.

    It is log(c) + log((1 + p) / c) with c near 1 + p, the latter by s = (1 + p - c) / (1 + p + c), |s| < 0.092.
    """
    low, high = p.main < _MIDDLE[0], p.main > _MIDDLE[1]
    form = FORMATS["f64"]

    def chosen(at_one: float, middle: float, at_two: float) -> Lanes:
        return low.select(p.main.constant(at_one), high.select(p.main.constant(at_two), middle))

    centre = chosen(0.0, _MIDDLE_CENTRE - 1.0, 1.0)
    numerator, beside = p.main - centre, centre + 2.0
    denominator = beside + p.main
    lost = p.main - (denominator - beside)
    reciprocal = 1.0 / denominator
    s = numerator * reciprocal
    s_rest = ((-s).fma(lost + p.rest, (-s).fma(denominator, numerator)) + p.rest) * reciprocal
    z = s * s
    rest = s_rest.fma(2.0, chosen(0.0, _MIDDLE_LOG[1], form.ln2_low))
    total, lost = sum_of_ordered(chosen(0.0, _MIDDLE_LOG[0], form.ln2), s + s)
    return Sum(total, lost + (s * z).fma(polynomial_in_two(z, z * z, ATANH_TERMS), rest))


def log1p_near_zero(f: Sum) -> Sum:
    """log(1 + f) for f64 |f| < 1/4, to some 60 bits."""
    half = f.main * 0.5
    main = (-half).fma(f.main, f.main)
    error = (-half).fma(f.main, f.main - main)
    rest = f.rest / (f.main + 1.0)
    return Sum(main, log_rest(f.main, f.main + 2.0, half * f.main) + (error + rest))


def scaled_log(x: Lanes, factor: tuple[float, float], of_two: tuple[float, float]) -> Lanes:
    """log(x) times a number, given like its product with log(2) as a sum of two."""
    k, m = parts(x)
    high, low = log_in_two(m)
    product = high * factor[0]
    error = low.fma(factor[0], high.fma(factor[1], high.fma(factor[0], -product)))
    whole = k * of_two[0] if of_two[0] != 1 else k
    if of_two[1]:
        error = k.fma(of_two[1], error)
    total, rest = sum_of_ordered(whole, product)
    return (k.abs() < math.inf).select(total + (rest + error), k)


def log2(x: Lanes) -> Lanes:
    """y = log(x) / log(2); exact at powers of 2, -inf at 0, nan below.

    Args:
        x: f32 or f64.
    """
    return scaled_log(x, LOG2_PARTS[x.kind], (1.0, 0.0))


def log10(x: Lanes) -> Lanes:
    """y = log(x) / log(10); exact at powers of 10, -inf at 0, nan below.

    Args:
        x: f32 or f64.
    """
    return scaled_log(x, LOG10_PARTS[x.kind], LOG10_2_PARTS[x.kind])


def log_of_sum(high: Lanes, low: Lanes, more: Lanes | None = None) -> Lanes:
    """log(high + low) + more log(2) for normal high > 0, whatever elsewhere; `low` is small beside high.

    Near 1 it is as accurate as high - 1 + low is.
    """
    form = format_of(high)
    k, m = split(high)
    scale = (m.bitcast(form.bits) - high.bitcast(form.bits) + form.one).bitcast(high.kind)
    # Beyond 2^64 the low part is nothing to the logarithm, and at the end of the range there is no such scale.
    f, error = sum_of_ordered(m - 1.0, (k < 64.0).select(low * scale, 0.0))
    if more is not None:
        k = k + more
    half_square = f * 0.5 * f
    rest = k.fma(form.ln2_low, log_rest(f, f + 2.0, half_square) + error)
    return k.fma(form.ln2, f - (half_square - rest))


def sum_with_one(x: Lanes) -> tuple[Lanes, Lanes]:
    """The rounded sum of 1 and x >= -1 and its exact error."""
    larger = x > 1.0
    return sum_of_ordered(larger.select(x, 1.0), larger.select(x.constant(1.0), x))


def log1p(x: Lanes) -> Lanes:
    """y = log(1 + x), accurate near 0; -0.0 at -0.0, -inf at -1, nan below.

    Args:
        x: f32 or f64.
    """
    inside = log_of_sum(*sum_with_one(x)).copysign(x)
    outside = x.equals(-1.0).select(x.constant(-math.inf), math.nan)
    return (x < math.inf).select((x > -1.0).select(inside, outside), x)


def logit(x: Lanes) -> Lanes:
    """y = log(x / (1 - x)), the inverse of the logistic function; -inf at 0, inf at 1, nan outside.

    Below 1/4 it is the logarithm of the quotient, above it that of 1 + (2 x - 1) / (1 - x), whose numerator is exact.

    Args:
        x: f32 or f64.
    """
    form, lift = format_of(x), LIFT[x.kind]
    small, below = x < form.tiny, x < 0.25
    numerator = below.select(small.select(x * 2.0**lift, x), x + x - 1.0)
    rest, rest_low = sum_of_ordered(x.constant(1.0), -x)
    reciprocal = 1.0 / rest
    quotient = numerator * reciprocal
    remainder = (-quotient).fma(rest, numerator) - quotient * rest_low
    one = below.select(x.constant(0.0), 1.0)
    larger = quotient > one
    total, error = sum_of_ordered(larger.select(quotient, one), larger.select(one, quotient))
    more = small.select(x.constant(-lift), 0.0)
    inside = log_of_sum(total, remainder.fma(reciprocal, error), more)
    outside = x.equals(0.0).select(x.constant(-math.inf), x.equals(1.0).select(x.constant(math.inf), math.nan))
    return ((x > 0.0) & (x < 1.0)).select(inside, outside)


def xlogy(x: Lanes, y: Lanes) -> Lanes:
    """z = x log(y), 0 where x is and y is a number.

    Args:
        x, y: f32 or f64, of one kind.
    """
    return _product_or_zero(x, y, log(y))


def xlog1py(x: Lanes, y: Lanes) -> Lanes:
    """z = x log(1 + y), 0 where x is and y is a number.

    Args:
        x, y: f32 or f64, of one kind.
    """
    return _product_or_zero(x, y, log1p(y))


def _product_or_zero(x: Lanes, y: Lanes, logarithm: Lanes) -> Lanes:
    zero = x.equals(0.0) & y.equals(y)
    return zero.select(0.0, x * logarithm)


def rel_entr(x: Lanes, y: Lanes) -> Lanes:
    """z = x log(x / y) for x, y > 0; 0 for x = 0 <= y; inf elsewhere.

    The difference of the significands is exact and its quotient a sum of two numbers: nothing is lost for x near y.

    Args:
        x, y: f32 or f64, of one kind.
    """
    (k, m), (k_y, m_y) = parts(x), parts(y)
    difference, reciprocal = m - m_y, 1.0 / m_y
    quotient = difference * reciprocal
    remainder = (-quotient).fma(m_y, difference)
    total, error = sum_with_one(quotient)
    inside = x * log_of_sum(total, remainder.fma(reciprocal, error), k - k_y)
    outside = (x.equals(0.0) & (y >= 0.0)).select(x.constant(0.0), math.inf)
    numbers = x.equals(x) & y.equals(y)
    return numbers.select(((x > 0.0) & (y > 0.0)).select(inside, outside), math.nan)
