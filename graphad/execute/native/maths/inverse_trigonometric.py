"""Angles of a sine, a cosine, a tangent and a point. Coefficients are minimax fits (Remez exchange, 40 digits)."""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.long_polynomial import long_polynomial

_HALF_PI = {"f64": math.pi / 2, "f32": 1.57079637050628662109375}
_HALF_PI_REST = {"f64": 6.123233995736766e-17, "f32": -4.371139000186241e-08}
"""pi/2 - _HALF_PI."""

_ARCSIN = {
    "f64": (0.1666666666666541, 0.07500000000336596, 0.04464285682861354, 0.030381959126824797, 0.022371758265720423,
            0.017359701844672393, 0.013885261626120925, 0.012169054871322397, 0.00652859631845338, 0.01952670495132211,
            -0.016222001921583247, 0.031910849999556366),
    "f32": (0.16666752099990845, 0.074953094124794, 0.04546916112303734, 0.02418467216193676, 0.04215855896472931),
}  # fmt: skip
"""(arcsin(s)/s - 1)/z, z = s^2, for s <= 1/2: relative error of the angle 2^-55 and 2^-27."""
_ARCTAN = {
    "f64": (-0.3333333333333319, 0.1999999999995218, -0.14285714280053552, 0.11111110776262274, -0.09090897549647772,
            0.07692056495789844, -0.06663061574400622, 0.058475787592452935, -0.05037898578686563, 0.03802865974155923,
            -0.017867701772106608),
    "f32": (-0.33333316445350647, 0.19998526573181152, -0.1424434632062912, 0.10598751902580261, -0.060888275504112244),
}  # fmt: skip
"""(arctan(t)/t - 1)/z, z = t^2, for t <= tan(pi/8): relative error of the angle 2^-59 and 2^-30."""
_TAN_EIGHTH = math.sqrt(2) - 1


def _arcsine(size: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return s and arcsin(s) - s for s = size <= 1/2, or s = sqrt((1 - size)/2) beyond, and where size <= 1/2.

    nan where size is above 1.
    """
    small = size <= 0.5
    halved = size.fma(-0.5, 0.5)
    z = small.select(size * size, halved)
    s = small.select(size, halved.sqrt())
    return s, (s * z) * long_polynomial(z, _ARCSIN[size.kind]), small


def arcsin(x: Lanes) -> Lanes:
    """y in [-pi/2, pi/2] with sin(y) = x: below 1.5 ulp; nan outside [-1, 1].

    Beyond 1/2 by arcsin(x) = pi/2 - 2 arcsin(sqrt((1 - x)/2)), as fdlibm's e_asin.c.
    """
    s, rest, small = _arcsine(x.abs())
    large = s.fma(-2.0, _HALF_PI[x.kind])
    lost = s.fma(-2.0, _HALF_PI[x.kind] - large)
    return small.select(s + rest, large + (rest.fma(-2.0, _HALF_PI_REST[x.kind]) + lost)).copysign(x)


def arccos(x: Lanes) -> Lanes:
    """y in [0, pi] with cos(y) = x: below 1.5 ulp, also near 1; nan outside [-1, 1]. Method as `arcsin`."""
    s, rest, small = _arcsine(x.abs())
    angle = s + rest
    signed = small.select(angle.copysign(x), angle)
    remaining = _HALF_PI[x.kind] - (signed - _HALF_PI_REST[x.kind])
    return small.select(remaining, 2.0 * (x < 0.0).select(remaining, angle))


def _octants(opposite: Lanes, adjacent: Lanes, difference: Lanes) -> Lanes:
    """Return the angle in [0, pi/2] of a point with coordinates >= 0, whose `difference` is nan if both are infinite.

    Cephes's cut in three: around the angles 0, pi/4 and pi/2. Of two zeros the denominator is 0.
    """
    half_pi, half_pi_rest = _HALF_PI[opposite.kind], _HALF_PI_REST[opposite.kind]
    low = difference <= adjacent * (_TAN_EIGHTH - 1)
    high = difference >= opposite * (1 - _TAN_EIGHTH)
    equal = opposite.equals(adjacent)
    numerator = low.select(opposite, high.select(-adjacent, equal.select(0.0, difference)))
    denominator = low.select(adjacent, high.select(opposite, opposite + adjacent))
    middle = low.select(0.0, high.select(opposite.constant(half_pi), half_pi / 2))
    t = numerator / denominator.equals(0.0).select(1.0, denominator)
    z = t * t
    correction = (t * z).fma(long_polynomial(z, _ARCTAN[t.kind]), middle * (half_pi_rest / half_pi))
    return middle + (t + correction)


def arctan(x: Lanes) -> Lanes:
    """y in [-pi/2, pi/2] with tan(y) = x: below 1.9 ulp."""
    size = x.abs()
    return _octants(size, size.constant(1.0), size - 1.0).copysign(x)


_SHRINK_ABOVE = {"f64": 2.0**1000, "f32": 2.0**120}
_GROW_BELOW = {"f64": 2.0**-960, "f32": 2.0**-100}


def arctan2(y: Lanes, x: Lanes) -> Lanes:
    """The angle of the point (x, y) in [-pi, pi], C's atan2: below 2 ulp, also of zeros and infinities."""
    size = x.abs()
    scale = (size > _SHRINK_ABOVE[x.kind]).select(
        x.constant(0.5), (size < _GROW_BELOW[x.kind]).select(x.constant(2.0**60), 1.0)
    )
    opposite, adjacent = y.abs() * scale, size * scale
    angle = _octants(opposite, adjacent, opposite - adjacent)
    half_pi, half_pi_rest = _HALF_PI[x.kind], _HALF_PI_REST[x.kind]
    left = x.bitcast("i" + x.kind[1:]) < 0
    return left.select(2 * half_pi - (angle - 2 * half_pi_rest), angle).copysign(y)
