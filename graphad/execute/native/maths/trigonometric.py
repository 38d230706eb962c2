"""Sine, cosine, tangent and angles between units.

An angle is reduced to the nearest multiple of pi/2 by three fused steps (Cody and Waite), which serves every angle
that occurs; lanes beyond that range go through `with_large`.
"""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.large_angle import Angle, with_large
from graphad.execute.native.maths.polynomial import polynomial

_HALF_PI = {
    "f64": (float.fromhex("0x1.921fb54442d18p+0"), float.fromhex("0x1.1a62633145c06p-54"),
            float.fromhex("0x1.c1cd129024e08p-107")),
    "f32": (float.fromhex("0x1.921fb4p+0"), float.fromhex("0x1.4442d0p-24"), float.fromhex("0x1.846988p-48")),
}  # fmt: skip
"""pi/2 in three parts; the parts are positive, rounded down."""
_ROUNDING = {"f64": 1.5 * 2**52, "f32": 1.5 * 2**23}
"""Added to a small number, leaves the nearest integer in its lowest bits."""
_LIMIT = {"f64": 2.0**30, "f32": 2.0**16}
"""Up to here the first product of the reduction is exact and the third is small enough."""
_SIN = {
    "f64": (-0.1666666666666663, 0.008333333333321839, -0.00019841269829381662, 2.7557313558894584e-06,
            -2.5050739523185765e-08, 1.5895831956952363e-10),
    "f32": (-0.16666650772094727, 0.008331924676895142, -0.0001948414574144408),
}  # fmt: skip
"""(sin(r)/r - 1)/z, z = r^2, on [0, pi/4]: relative error of the sine 2^-57 and 2^-27."""
_COS = {
    "f64": (0.041666666666666595, -0.0013888888888873338, 2.4801587288997407e-05, -2.755731421528859e-07,
            2.087570511919026e-09, -1.1358733422823652e-11),
    "f32": (0.04166663810610771, -0.0013886959059163928, 2.4393646526732482e-05),
}  # fmt: skip
"""(cos(r) - 1 + z/2)/z^2 on [0, pi/4]."""

_DEGREES = {"f64": 180 / math.pi, "f32": float.fromhex("0x1.ca5dc0p+5")}
"""180 / pi, in f32 the quotient of the rounded numbers."""


def _quotient(size: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return size - q pi/2 but for the later parts of pi/2, and q as a float and in the lowest bits of an integer.

    q is the integer next to size 2/pi; the difference is exact up to the limit.
    """
    shifted = size.fma(2 / math.pi, _ROUNDING[size.kind])
    quotient = shifted - _ROUNDING[size.kind]
    return (-quotient).fma(_HALF_PI[size.kind][0], size), quotient, shifted.bitcast("u" + size.kind[1:])


def _reduced(x: Lanes) -> Angle:
    """Return |x| with r within one unit in its last place, however small it is; the rest is left out."""
    size = x.abs()
    r, quotient, q = _quotient(size)
    for part in _HALF_PI[x.kind][1:]:
        r = (-quotient).fma(part, r)
    return with_large(size, _LIMIT[x.kind], Angle(r, r.constant(0.0), q))


def _reduced_finely(x: Lanes) -> Angle:
    """Return |x| with the rest that r leaves."""
    size = x.abs()
    exact, quotient, q = _quotient(size)
    _, second, third = _HALF_PI[x.kind]
    product = quotient * second
    main = exact - product
    lost = ((exact - main) - product) - quotient.fma(second, -product)
    lost = (-quotient).fma(third, lost)
    r = main + lost
    return with_large(size, _LIMIT[x.kind], Angle(r, lost - (r - main), q))


def _quarter_waves(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return sin(r), cos(r) and q of |x| = q pi/2 + r."""
    angle = _reduced(x)
    r, q = angle.r, angle.q
    z = r * r
    sine = (r * z).fma(polynomial(z, _SIN[x.kind]), r)
    cosine = z.fma(z.fma(polynomial(z, _COS[x.kind]), -0.5), 1.0)
    return sine, cosine, q


def _signed(value: Lanes, sign: Lanes) -> Lanes:
    """Return `value` with its sign flipped where the highest bit of `sign` is set."""
    top = 1 << (int(value.kind[1:]) - 1)
    return (value.bitcast(sign.kind) ^ (sign & top)).bitcast(value.kind)


def _odd(q: Lanes) -> Lanes:
    return (q & 1).differs(0)


def _sine(x: Lanes, sine: Lanes, cosine: Lanes, q: Lanes) -> Lanes:
    top = int(x.kind[1:]) - 1
    return _signed(_odd(q).select(cosine, sine), (q << (top - 1)) ^ x.bitcast(q.kind))


def _cosine(x: Lanes, sine: Lanes, cosine: Lanes, q: Lanes) -> Lanes:
    top = int(x.kind[1:]) - 1
    return _signed(_odd(q).select(sine, cosine), (q + 1) << (top - 1))


def sin(x: Lanes) -> Lanes:
    """sin(x), x in radians: below 1.6 ulp in f64 and f32 everywhere; nan at infinities.

    Minimax polynomials on [-pi/4, pi/4] (Remez, 50 digits), pi/2 in three parts, Payne and Hanek's reduction beyond
    2^30 (2^16 in f32).
    """
    return _sine(x, *_quarter_waves(x))


def cos(x: Lanes) -> Lanes:
    """cos(x), x in radians; method and errors are those of `sin`, cos(0) is 1 and no value is larger."""
    return _cosine(x, *_quarter_waves(x))


def sincos(x: Lanes) -> tuple[Lanes, Lanes]:
    """(sin(x), cos(x)) from one reduction, the same bits as `sin` and `cos`."""
    waves = _quarter_waves(x)
    return _sine(x, *waves), _cosine(x, *waves)


def tan(x: Lanes) -> Lanes:
    """tan(x), x in radians: below 1.5 ulp; the quotient of sine and cosine with the rounding of all three put right.

    Range and method as `sin`.
    """
    angle = _reduced_finely(x)
    r = angle.r
    z = r * r
    above, below = (r * z) * polynomial(z, _SIN[x.kind]), z * z.fma(polynomial(z, _COS[x.kind]), -0.5)
    sine, cosine = r + above, 1.0 + below
    sine_rest = angle.rest.fma(cosine, above - (sine - r))
    cosine_rest = (-angle.rest).fma(sine, below - (cosine - 1.0))
    odd = _odd(angle.q)
    numerator, numerator_rest = odd.select(cosine, sine), odd.select(cosine_rest, sine_rest)
    denominator, denominator_rest = odd.select(sine, cosine), odd.select(sine_rest, cosine_rest)
    inverse = 1.0 / denominator
    quotient = numerator * inverse
    error = (-quotient).fma(denominator, numerator) + (-quotient).fma(denominator_rest, numerator_rest)
    return _signed(error.fma(inverse, quotient), (angle.q << (int(x.kind[1:]) - 1)) ^ x.bitcast(angle.q.kind))


def _turned(x: Lanes) -> tuple[Lanes, Lanes]:
    """Return sin(pi |x|) and cos(pi |x|), exact where they are 0; nan at infinities."""
    size = x.abs()
    angle = size - 2.0 * (size * 0.5).intrinsic("floor")
    doubled = angle + angle
    halves = doubled.rint()
    r = (doubled - halves) * (math.pi / 2)
    z = r * r
    sine = (r * z).fma(polynomial(z, _SIN[x.kind]), r)
    cosine = z.fma(z.fma(polynomial(z, _COS[x.kind]), -0.5), 1.0)
    one, two, three = halves.equals(1.0), halves.equals(2.0), halves.equals(3.0)
    odd = one | three
    first, second = odd.select(cosine, sine), odd.select(sine, cosine)
    return (two | three).select(-first, first), (one | two).select(-second, second)


def sin_pi(x: Lanes) -> Lanes:
    """sin(pi x): below 3 ulp; 0 at integers."""
    return _turned(x)[0] * x.constant(1.0).copysign(x)


def tan_pi(x: Lanes) -> Lanes:
    """tan(pi x): below 5 ulp; 0 at integers."""
    sine, cosine = _turned(x)
    return sine / cosine * x.constant(1.0).copysign(x)


def deg2rad(x: Lanes) -> Lanes:
    """x pi / 180: NumPy's bits."""
    return x * (math.pi / 180)


def rad2deg(x: Lanes) -> Lanes:
    """x 180 / pi: NumPy's bits."""
    return x * _DEGREES[x.kind]
