"""Powers: a^b, x^p for a fixed number p, cube roots.

a^b = e^(b log(a)). For f64 the logarithm and the product are sums of two numbers, as in SLEEF's pow: log(m) is
2 s + 2/3 s^3 + s^5 T(s^2) with s = (m - 1) / (m + 1), of which the first two terms need 70 bits. For f32 all is done in
f64, which is shorter than the same in pairs of f32. Coefficients are minimax fits (Remez exchange, 60 digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import sum_of_ordered
from graphad.execute.native.maths.exponential import EXP_BOUNDS, exp_inside
from graphad.execute.native.maths.formats import FORMATS, at_least, at_most, format_of, power_of_two, split
from graphad.execute.native.maths.logarithm import LIFT, LN2_REST, LN2_SHORT
from graphad.execute.native.maths.polynomial import polynomial, polynomial_in_two

SERIES = (0.40000000000002256, 0.28571428570098345, 0.22222222520143442, 0.18181784347675875, 0.15386758235582804,
          0.13256796464446502, 0.13196528458201506)  # fmt: skip
"""T above: relative error of log(m) below 2^-65."""

TWO_THIRDS_LOW = 3.700743415417188e-17
"""2/3 beyond its f64."""

LOG2_SERIES = (2.8853900817900935, 0.9617966733328863, 0.5770835867174497, 0.41167260986163495, 0.3407322035589795)
"""log2(m) / s by s^2, for f32: relative error below 2^-37."""

EXP2_SHORT = (0.6931472067059795, 0.24022650922316988, 0.055503272199552776, 0.009618056672488383, 0.001340043086399219,
              0.0001546144711737339)  # fmt: skip
"""(2^r - 1) / r for f32: relative error of 2^r below 2^-28."""

LARGEST_EXPONENT = 1e20
"""A power of any number but 1, 0 and inf leaves its format before."""


def log_in_pair(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return log(x) for f64 x >= 0 as a sum of two numbers, to some 65 bits; (-inf, ?) at 0, (x, ?) at inf and nan."""
    form, lift = format_of(x), LIFT[x.kind]
    small = x < form.tiny
    k, m = split(small.select(x * 2.0**lift, x), small.select(x.constant(lift), 0.0))
    f = m - 1.0
    above, above_low = sum_of_ordered(f.constant(2.0), f)
    reciprocal = 1.0 / above
    s = f * reciprocal
    s_low = (-s).fma(above_low, (-s).fma(above, f)) * reciprocal
    twice = s + s
    z = s * s
    z_low = twice.fma(s_low, s.fma(s, -z))
    factor, factor_low = sum_of_ordered(z.constant(2 / 3), z * polynomial_in_two(z, z * z, SERIES))
    factor_low = factor_low + TWO_THIRDS_LOW
    cube = s * z
    cube_low = s_low.fma(z, s.fma(z_low, s.fma(z, -cube)))
    third = cube * factor
    third_low = cube_low.fma(factor, cube.fma(factor_low, cube.fma(factor, -third)))
    high, low = sum_of_ordered(twice, third)
    low = low + (third_low + (s_low + s_low))
    total, error = sum_of_ordered(k * LN2_SHORT, high)
    total, error = sum_of_ordered(total, k.fma(LN2_REST, error + low))
    return x.equals(0.0).select(-math.inf, (x < math.inf).select(total, x)), error


def _positive_power(x: Lanes, exponent: Lanes) -> Lanes:
    """x^exponent for f64 x >= 0, but for the exponent 0."""
    exponent = at_most(at_least(exponent, -LARGEST_EXPONENT), LARGEST_EXPONENT)
    log, log_low = log_in_pair(x)
    product = exponent * log
    product_low = exponent.fma(log_low, exponent.fma(log, -product))
    low, high = EXP_BOUNDS["f64"].low, EXP_BOUNDS["f64"].high
    inside = at_most(at_least(product, low), high)
    return exp_inside(inside, (product.abs() < -low).select(product_low, 0.0))


def _positive_power_single(x: Lanes, exponent: Lanes) -> Lanes:
    """x^exponent for f32 x >= 0, but for the exponent 0, in f64."""
    form = FORMATS["f64"]
    wide = x.convert("f64")
    exponent = at_most(at_least(exponent.convert("f64"), -LARGEST_EXPONENT), LARGEST_EXPONENT)
    k, m = split(wide)
    s = (m - 1.0) / (m + 1.0)
    log = s.fma(polynomial(s * s, LOG2_SERIES), k)
    log = wide.equals(0.0).select(-math.inf, (wide < math.inf).select(log, wide))
    # Beyond 200 the conversion to f32 gives 0 and inf.
    product = at_most(at_least(exponent * log, -200.0), 200.0)
    shift = form.round_to_integer + form.bias
    shifted = product + shift
    r = product - (shifted - shift)
    power = power_of_two(shifted, "f64")
    return polynomial(r, EXP2_SHORT).fma(r * power, power).convert("f32")


POSITIVE_POWER: dict[str, Callable[[Lanes, Lanes], Lanes]] = {"f64": _positive_power, "f32": _positive_power_single}


def power(a: Lanes, b: Lanes) -> Lanes:
    """y = a^b, in the cases of C99: 1 for b = 0 and for a = 1, nan for a < 0 where b is no integer.

    Args:
        a, b: f32 or f64, of one kind.
    """
    magnitude = POSITIVE_POWER[a.kind](a.abs(), b)
    whole = b.rint().equals(b)
    half = b * 0.5
    odd = whole & half.rint().differs(half)
    signed = odd.select(magnitude.copysign(a), magnitude)
    undefined = (a < 0.0) & (a > -math.inf) & ~whole
    return (a.equals(1.0) | b.equals(0.0)).select(1.0, undefined.select(math.nan, signed))


LONGEST_PRODUCT = 16
"""Powers up to this are products; beyond, `power` is as quick."""


def power_scalar(x: Lanes, exponent: float) -> Lanes:
    """y = x^exponent for a number: a product, of a square root or reciprocal too, or `power`.

    Products are carried in pairs of f64 (f32: in f64), so that they are rounded once, as the C library's pow nearly
    always is: they differ from NumPy's by one unit in the last place at most. Integers wrap, as NumPy's do.

    Args:
        x: f32, f64 or an integer kind.
        exponent: a number; for integers a non-negative integer.
    """
    if exponent == 1:
        return x
    if exponent == 0 or x.kind[0] != "f":
        return _product(x, int(exponent))
    if exponent == 2:
        return x * x
    if exponent == 0.5:
        return x.sqrt()
    if exponent == -1:
        return 1.0 / x
    if not float(2 * exponent).is_integer() or abs(exponent) > LONGEST_PRODUCT:
        return power(x, x.constant(exponent))
    if float(exponent).is_integer():
        return _product_of_root(x, int(exponent))
    root = _product_of_root(x.abs(), exponent)
    return ((x < 0.0) & (x > -math.inf)).select(math.nan, root)


def _product(x: Lanes, exponent: int) -> Lanes:
    """x^exponent for an exponent >= 0, by squares."""
    result: Lanes | None = None
    while exponent:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        if exponent:
            x = x * x
    return x.constant(1) if result is None else result


def _product_of_root(x: Lanes, exponent: float) -> Lanes:
    """x^exponent for f32 or f64 and half an integer, for x >= 0 if it is none itself."""
    count = abs(int(exponent if float(exponent).is_integer() else 2 * exponent))
    root = count != abs(exponent)
    if x.kind == "f32":
        wide = x.convert("f64")
        wide = wide.sqrt() if root else wide
        return _product(1.0 / wide if exponent < 0 else wide, count).convert("f32")
    high, low = x, x.constant(0.0)
    if root:
        high = x.sqrt()
        low = (-high).fma(high, x) * (0.5 * (1.0 / high))
    if exponent < 0:
        reciprocal = 1.0 / high
        error = (-reciprocal).fma(high, 1.0)
        low = (error - reciprocal * low if root else error) * reciprocal
        high = reciprocal
    high, low = _product_of_pair((high, low if root or exponent < 0 else None), count)
    y = high + low
    # The low part is nan where the high one is 0 or inf, and hides the sign of a zero.
    return ((y < 0.0) | (y > 0.0)).select(y, high)


Pair: TypeAlias = tuple[Lanes, Lanes | None]
"""A sum of two numbers; no second one is 0."""


def _product_of_pair(x: Pair, exponent: int) -> tuple[Lanes, Lanes]:
    """x^exponent for an exponent > 1 as a sum of two numbers, by squares."""
    result: Pair | None = None
    while exponent:
        if exponent & 1:
            result = x if result is None else _times(result, x)
        exponent >>= 1
        if exponent:
            x = _times(x, x)
    if result is None or result[1] is None:
        raise ValueError("the exponent must be at least 2")
    return result[0], result[1]


def _times(a: Pair, b: Pair) -> Pair:
    """The product of two sums of two numbers."""
    high = a[0] * b[0]
    low = a[0].fma(b[0], -high)
    if b[1] is not None:
        low = a[0].fma(b[1], low)
    if a[1] is not None:
        low = a[1].fma(b[0], low)
    return high, low


CBRT_START = (1.685393431898795, -1.1108208706887919, 0.5468206677152441, -0.1308952622587106, 0.011798612881987367)
"""m^-1/3 for 1/2 <= m < 4: relative error below 2^-7."""


def cbrt(x: Lanes) -> Lanes:
    """y = x^(1/3), real for negative x too.

    x = 2^(3 q) m, m^-1/3 by a polynomial, a step of third order and for f64 one of Newton's, and m m^(-2/3) with a
    last step (as in SLEEF's cbrt).

    Args:
        x: f32 or f64.
    """
    form = format_of(x)
    size = x.abs()
    small = size < form.tiny
    lift = form.mantissa // 3 + 1
    bits = small.select(size * 8.0**lift, size).bitcast(form.bits)
    # The exponent with its bias, and as much more as makes the bias a multiple of 3.
    more = -form.bias % 3
    count = 2.0**form.mantissa
    field = ((bits >> form.mantissa) | ((form.bias + form.mantissa) << form.mantissa)).bitcast(x.kind) - (count - more)
    third = (form.bias + more) // 3
    shift = form.round_to_integer + (form.bias - third)
    shifted = field.fma(1 / 3, shift)
    scale = power_of_two(shifted, x.kind)
    number = shifted.bitcast(form.bits)
    triple = (number + number + number) << form.mantissa
    origin = ((form.bias + more) + 3 * (form.bias - third)) << form.mantissa
    m = (bits - triple + origin).bitcast(x.kind)
    root = polynomial(m, CBRT_START)
    error = 1.0 - m * root * root * root
    root = root.fma(error * error.fma(2 / 9, 1 / 3), root)
    if x.kind == "f64":
        error = (m * root).fma(-(root * root), 1.0)
        root = root.fma(error * (1 / 3), root)
    y = m * (root * root)
    y = (y * (-2 / 3)).fma(y.fma(root, -1.0), y) * (scale * small.select(x.constant(2.0**-lift), 1.0))
    return (size > 0.0).select((size < math.inf).select(y, size), size).copysign(x)
