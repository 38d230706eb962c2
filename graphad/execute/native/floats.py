"""Exact floating-point functions of lanes: signs, extrema, neighbours, remainders. Each result is NumPy's, bit for bit.

What may enter: functions whose result is a float, or a bit of one, that no rounding decides alone. Approximations of
transcendental functions stand in `maths`.
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes, bits_of
from graphad.execute.native.loops import repeat
from graphad.execute.native.maths.rare import where_rare


def bits(x: Lanes) -> Lanes:
    """Return the bit pattern, as a signed integer."""
    return x.bitcast(f"i{bits_of(x.kind)}")


def sign_bit(x: Lanes) -> Lanes:
    """Return where the sign bit is set: of -0.0, and of some nan, too."""
    return bits(x) < 0


def is_infinite(x: Lanes) -> Lanes:
    """Return where x is an infinity."""
    return x.abs().equals(math.inf)


def is_finite(x: Lanes) -> Lanes:
    """Return where x is neither infinite nor nan."""
    return x.abs() < math.inf


def sign(x: Lanes) -> Lanes:
    """-1, 0 or 1; nan of nan."""
    return (x > 0).select(1.0, (x < 0).select(-1.0, x.equals(0).select(0.0, x)))


def maximum(a: Lanes, b: Lanes) -> Lanes:
    """The larger; nan where either is; b where they are equal (zeros of either sign)."""
    return a.is_nan().select(a, (a > b).select(a, b))


def minimum(a: Lanes, b: Lanes) -> Lanes:
    """The smaller; nan where either is; b where they are equal (zeros of either sign)."""
    return a.is_nan().select(a, (a < b).select(a, b))


def fmax(a: Lanes, b: Lanes) -> Lanes:
    """The larger; the other one where one is nan; b where they are equal."""
    return b.is_nan().select(a, (a > b).select(a, b))


def fmin(a: Lanes, b: Lanes) -> Lanes:
    """The smaller; the other one where one is nan; b where they are equal."""
    return b.is_nan().select(a, (a < b).select(a, b))


def heaviside(x: Lanes, h: Lanes) -> Lanes:
    """0 for x < 0, h for x = 0, 1 for x > 0, nan of nan."""
    return x.equals(0).select(h, x.is_nan().select(x, (x < 0).select(0.0, x.constant(1.0))))


# Neighbours


def nextafter(a: Lanes, b: Lanes) -> Lanes:
    """The floating-point number next to a towards b; b where they are equal."""
    pattern = bits(a)
    outward = (a < b) ^ (pattern < 0)
    stepped = (pattern + outward.select(pattern.constant(1), -1)).bitcast(a.kind)
    from_zero = pattern.constant(1).bitcast(a.kind).copysign(b)
    moved = a.equals(0).select(from_zero, stepped)
    return (a.is_nan() | b.is_nan()).select(a + b, a.equals(b).select(b, moved))


def spacing(x: Lanes) -> Lanes:
    """The distance from x to the next number away from zero, with the sign of x; nan of infinities."""
    pattern = bits(x)
    away = (pattern + 1).bitcast(x.kind) - x
    smallest = pattern.constant(1).bitcast(x.kind)
    return x.equals(0).select(smallest, is_finite(x).select(away, x.constant(math.nan)))


# Remainders


def fmod(a: Lanes, b: Lanes) -> Lanes:
    """a - trunc(a / b) b, exactly, with the sign of a; nan for infinite a and for b = 0.

    While the rounded quotient is an integer that a float holds, it is the true one or the next; then one fused
    multiplication gives the rest without rounding, and one addition corrects it. Lanes with a larger quotient go
    through a loop of integer divisions.
    """
    size = b.abs()
    ratio = (a / b).abs()
    numerator = a.abs()
    quotient = ratio.intrinsic("trunc")
    rest = (-quotient).fma(size, numerator)
    rest = (rest < 0).select(rest + size, rest)
    # The quotient is 0, and b may be infinite.
    rest = (numerator < size).select(numerator, rest)
    limit = 2.0 ** (53 if a.kind == "f64" else 24)
    large = (ratio >= limit) & (size > 0) & is_finite(a)
    (rest,) = where_rare(large, (numerator, size), (rest,), f"fmod_{a.kind}", _long_fmod)
    return rest.copysign(a)


def _long_fmod(a: Lanes, b: Lanes) -> tuple[Lanes]:
    """a mod b for finite a, b > 0, by integer division: eleven bits of the difference of the exponents at a time."""
    (high, exponent), (divisor, unit) = (_integer_part(x.convert("f64")) for x in (a, b))

    def shift(rest: Lanes, distance: Lanes) -> tuple[Lanes, Lanes]:
        step = (distance < 11).select(distance, 11)
        return _modulo(rest << step, divisor), distance - step

    start = (_modulo(high, divisor), exponent - unit)
    rest, _ = repeat(start, lambda rest, distance: distance > 0, shift)
    # 2^(unit - 1075), a subnormal number where the exponent is small; the product is exact.
    normal = unit > 52
    pattern = normal.select(unit - 52, 1) << normal.select(52, unit - 1)
    return ((rest.convert("f64") * pattern.bitcast("f64")).convert(a.kind),)


def _modulo(a: Lanes, b: Lanes) -> Lanes:
    """The rest of a division of 64-bit integers as if they were unsigned."""
    return a.with_(f"urem {a.type} {a.text}, {b.text}")


def _integer_part(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return integers m < 2^53 and e >= 1 with x = m 2^(e - 1075)."""
    pattern = x.bitcast("i64")
    exponent = (pattern >> 52) & 2047
    fraction = pattern & ((1 << 52) - 1)
    normal = exponent > 0
    return normal.select(fraction | (1 << 52), fraction), normal.select(exponent, 1)


def divmod_(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """floor(a / b) and a - floor(a / b) b, each as NumPy rounds it (Python's float division), for b = 0 too."""
    rest = fmod(a, b)
    quotient = (a - rest) / b
    turns = rest.differs(0) & ((b < 0) ^ (rest < 0))
    modulus = turns.select(rest + b, rest)
    modulus = rest.equals(0).select(b.constant(0.0).copysign(b), modulus)
    quotient = turns.select(quotient - 1.0, quotient)
    floor = quotient.intrinsic("floor")
    floor = ((quotient - floor) > 0.5).select(floor + 1.0, floor)
    ratio = a / b
    floor = quotient.equals(0).select(a.constant(0.0).copysign(ratio), floor)
    zero = b.equals(0)
    return zero.select(ratio, floor), zero.select(rest, modulus)
