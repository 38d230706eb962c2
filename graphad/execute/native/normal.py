"""The normal distribution in lanes: its quantile, the inverse error functions, log Phi, and Mills' ratio.

What may enter: what `graphad.ops.normal` defines, by the same methods; f32 is computed in f64 and rounded once, as
there. The quantile is Wichura's AS241 (its coefficients are those of the op), the rest comes of e^(x^2) erfc(x).
"""

from __future__ import annotations

import math

from graphad.execute.native.floats import minimum
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.error_function import scaled_tail
from graphad.execute.native.maths.exponential import exp_inside
from graphad.execute.native.maths.formats import at_most
from graphad.execute.native.maths.logarithm import log, log1p
from graphad.execute.native.maths.polynomial import polynomial
from graphad.execute.native.maths.rare import where_rare
from graphad.ops.normal import _CENTRE, _FAR_TAIL, _TAIL

_ROOT_HALF, _ROOT_HALF_REST = 0.7071067811865476, -4.833646656726457e-17
"""2^-1/2 as a sum of two numbers."""
_ROOT_2, _ROOT_2_PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)


def ndtri(p: Lanes) -> Lanes:
    """z with Phi(z) = p; -inf at 0, inf at 1, nan outside."""
    q, tail = p - 0.5, minimum(p, 1.0 - p)
    return _quantile(q.convert("f64"), tail.convert("f64")).convert(p.kind)


def erfinv(x: Lanes) -> Lanes:
    """y with erf(y) = x; infinities at -1 and 1, nan outside."""
    wide = x.convert("f64")
    return _over_root_2(_quantile(wide * 0.5, (1.0 - wide.abs()) * 0.5)).convert(x.kind)


def erfcinv(x: Lanes) -> Lanes:
    """y with erfc(y) = x; inf at 0, -inf at 2, nan outside."""
    wide = x.convert("f64")
    return _over_root_2(-_quantile((wide - 1.0) * 0.5, minimum(wide, 2.0 - wide) * 0.5)).convert(x.kind)


def _over_root_2(z: Lanes) -> Lanes:
    """z / 2^1/2, rounded about once."""
    usual = z.fma(_ROOT_HALF, z * _ROOT_HALF_REST).copysign(z)
    return z.abs().equals(math.inf).select(z, usual)


def _quantile(q: Lanes, tail: Lanes) -> Lanes:
    """z with Phi(z) = 1/2 + q, of f64; `tail` is min(p, 1 - p) of the same p."""
    central = q.abs() <= 0.425
    square, r = (-q).fma(q, 0.180625), (-log(tail)).sqrt()
    near = r - 1.6
    numerator, denominator = (
        central.select(polynomial(square, centre), polynomial(near, outer))
        for centre, outer in zip(_CENTRE, _TAIL, strict=True)
    )
    value = numerator / denominator
    (size,) = where_rare(~central & (r > 5.0), [r], [value], "graphad_far_quantile", _far_quantile)
    return central.select(q * value, size.copysign(q))


def _far_quantile(r: Lanes) -> tuple[Lanes]:
    """The size of the quantile of the tail probability e^(-r^2), r > 5; inf where that is 0."""
    inside = r - 5.0
    value = polynomial(inside, _FAR_TAIL[0]) / polynomial(inside, _FAR_TAIL[1])
    return (r.equals(math.inf).select(math.inf, value),)


def log_ndtr(x: Lanes) -> Lanes:
    """log Phi(x): of the tail and -x^2 / 2 below 0, where both are negative, log(1 - Phi(-x)) above."""
    return _tails(x.convert("f64"))[0].convert(x.kind)


def inverse_mills(x: Lanes) -> Lanes:
    """phi(x) / Phi(x): near -x in the lower tail, 0 in the upper one."""
    return _tails(x.convert("f64"))[1].convert(x.kind)


def _tails(x: Lanes) -> tuple[Lanes, Lanes]:
    """log Phi(x) and phi(x) / Phi(x), of f64."""
    size = at_most(x.abs(), _FAR)
    tail = scaled_tail(size / _ROOT_2)
    scaled = (tail.main + tail.rest) * 0.5
    below = x < 0.0
    # phi(x) sqrt(2 pi), with what the rounding of the square loses.
    square = size * size
    density = exp_inside(square * -0.5, size.fma(size, -square) * -0.5)
    upper = density * scaled
    logarithm = below.select(log(scaled) - square * 0.5, log1p(-upper))
    ratio = below.select(1.0, density) / below.select(scaled, 1.0 - upper)
    usual = logarithm, ratio / _ROOT_2_PI
    far = where_rare(x.abs() >= _FAR, [x], usual, "graphad_far_tails", _far_tails)
    return far[0], far[1]


def _far_tails(x: Lanes) -> tuple[Lanes, Lanes]:
    """The same for x <= -_FAR, by the asymptotic series of the tail; -0.0 and 0 above."""
    inverse = 1.0 / x
    size = -x / polynomial(inverse * inverse, _SERIES)
    above = x > 0.0
    logarithm = x * x * -0.5 - log(size * _ROOT_2_PI)
    return above.select(-0.0, logarithm), above.select(0.0, size)


_FAR = 38.5
"""Phi(x) and phi(x) are 0 below -_FAR."""
_SERIES = (1.0, -1.0, 3.0, -15.0, 105.0, -945.0, 10395.0)
"""|x| Phi(x) / phi(x) by 1/x^2, for x <= -_FAR: relative error 2^-57."""
