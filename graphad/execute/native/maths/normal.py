"""The normal distribution: its quantile, the logarithm of its function, their relatives. In f64, f32 rounded once.

The quantile is cut in three as in Wichura's algorithm AS241 (PPND16, Applied Statistics 37, 1988), but each part is a
simple main term and a rational correction, which halves the rounding errors. Coefficients are fits (reweighted least
squares of the linearised error, 60 digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from graphad.execute.native.lanes import Lanes, constant, load, store
from graphad.execute.native.maths.error_function import Sum, scaled_tail, times_gaussian
from graphad.execute.native.maths.exponential import expm1
from graphad.execute.native.maths.formats import FORMATS, at_most
from graphad.execute.native.maths.logarithm import log, log_of_sum
from graphad.execute.native.maths.polynomial import polynomial
from graphad.execute.native.maths.rare import where_rare

SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_REST = -4.833646656726457e-17
_SQRT_2_PI, _SQRT_2_PI_EXCESS = 0.7978845608028654, -6.247337834861335e-17
"""(2/pi)^(1/2), and what it is more in proportion."""

Fraction = tuple[tuple[float, ...], tuple[float, ...]]
"""Numerator and denominator, lowest power first."""

_CENTRAL = 0.425
"""|p - 1/2| up to which the quantile is a rational function of p."""
_SLOPE, _SLOPE_REST = 2.5066282746310007, -1.8328579980459167e-16
"""sqrt(2 pi), the quantile's slope at 1/2, as a sum of two numbers."""
_CENTRE: Fraction = (
    (4.874765941399953, 190.24313403360497, 2789.520901217141, 19138.247286754322, 62342.2503197888, 86450.51259960332,
     36838.594168968964, 575.067840263803),
    (1.0, 45.05042416721494, 792.1347254153541, 6894.088835567569, 31132.2592359677, 69956.47305642079,
     68080.80479472342, 20012.969088863952),
)  # fmt: skip
"""(z / q - sqrt(2 pi)) / q^2 of 0.180625 - q^2, q = p - 1/2: relative error of z 2^-56."""
_TAIL_SLOPE = 1.25
_TAIL: Fraction = (
    (-0.5765628892503164, -0.725940161429922, -0.14965244576289014, 0.17282786006328704, 0.11200656995892228,
     0.026242500862932113, 0.002629315663484482, 9.004525218206658e-05),
    (1.0, 2.0530090868125073, 1.676049942506177, 0.6895486721706262, 0.14804411855430724, 0.015192762162609272,
     0.0005475489619891118, 9.044044406902939e-09),
)  # fmt: skip
"""z - 1.25 r of r - 1.6, r = (-log(p))^(1/2), for 1.6 <= r <= 5: relative error of z 2^-55."""
_FAR_SLOPE = 1.40625
_FAR_TAIL: Fraction = (
    (-0.37334535649889644, -0.15772497193651344, -0.020379446261676013, -0.0004204898539605388, 8.793230561215213e-05,
     5.759698050768663e-06, 9.646354719368563e-08, -4.322602016083238e-10, -1.3410981307725114e-11),
    (1.0, 0.5936440507231426, 0.13293422362408083, 0.013882817456516984, 0.0006678741881764904, 1.140039779514254e-05,
     -4.688600655372097e-08, -1.6810501171671486e-09, -6.568566737788841e-15),
)  # fmt: skip
"""z - 1.40625 r of r - 5, for 5 <= r <= 28: relative error of z 2^-57."""


def _in_f64(formula: Callable[[Lanes], Lanes], x: Lanes) -> Lanes:
    """Return a function of f64 at f64 or f32."""
    return formula(x.convert("f64")).convert(x.kind)


def _fraction(x: Lanes, fraction: Fraction) -> Lanes:
    return polynomial(x, fraction[0]) / polynomial(x, fraction[1])


def _centre(q: Lanes) -> Lanes:
    """z / q where Phi(z) = 1/2 + q, for |q| <= 0.425."""
    square = q * q
    return square.fma(_fraction(0.180625 - square, _CENTRE), _SLOPE_REST) + _SLOPE


def _tail(r: Lanes) -> Lanes:
    """z > 0 with 1 - Phi(z) = e^(-r^2), for 1.6 < r <= 5."""
    return r.fma(_TAIL_SLOPE, _fraction(r - 1.6, _TAIL))


def _far_tail(r: Lanes) -> tuple[Lanes]:
    """z > 0 with 1 - Phi(z) = e^(-r^2), for 5 < r < 28 or r = inf."""
    return (r.equals(math.inf).select(r, r.fma(_FAR_SLOPE, _fraction(r - 5.0, _FAR_TAIL))),)


def _whole_tail(r: Lanes) -> Lanes:
    return where_rare(r > 5.0, [r], [_tail(r)], "graphad_normal_far_tail", _far_tail)[0]


def ndtri(p: Lanes) -> Lanes:
    """z with Phi(z) = p: below 3 ulp; -inf at 0, inf at 1, nan outside [0, 1]."""

    def wide(p: Lanes) -> Lanes:
        q = p - 0.5
        outer = _whole_tail((-log((q < 0.0).select(p, 1.0 - p))).sqrt())
        return (q.abs() <= _CENTRAL).select(q * _centre(q), outer.copysign(q))

    return _in_f64(wide, p)


def erfinv(x: Lanes) -> Lanes:
    """y with erf(y) = x: below 4 ulp; nan outside [-1, 1]."""

    def wide(x: Lanes) -> Lanes:
        q = x * 0.5
        outer = _whole_tail((-log((-q.abs()) + 0.5)).sqrt()) * SQRT_HALF
        return (q.abs() <= _CENTRAL).select(x * (_centre(q) * (0.5 * SQRT_HALF)), outer.copysign(x))

    return _in_f64(wide, x)


def erfcinv(x: Lanes) -> Lanes:
    """y with erfc(y) = x: below 4 ulp, also near 0; inf at 0, -inf at 2, nan outside [0, 2]."""

    def wide(x: Lanes) -> Lanes:
        double = x - 1.0
        q = double * 0.5
        outer = _whole_tail((math.log(2) - log((q < 0.0).select(x, 2.0 - x))).sqrt()) * SQRT_HALF
        return -(q.abs() <= _CENTRAL).select(double * (_centre(q) * (0.5 * SQRT_HALF)), outer.copysign(q))

    return _in_f64(wide, x)


def _endless_tail(r: Lanes) -> tuple[Lanes]:
    """z > 0 with 1 - Phi(z) = e^(-r^2), for any r > 5.

    Beyond 27 it solves z^2 = 2 r^2 - log(2 pi) - 2 log(z) + 2 log(1 - 1/z^2 + 3/z^4 - ...) by iteration.
    """
    code = r.code
    slot = code.slot("double")
    store(r * math.sqrt(2), slot)
    square = r * r
    with code.loop("0", "5"):
        z = load(code, "f64", slot)
        s = 1.0 / (z * z)
        series = 1.0 - s * (1.0 - 3.0 * s * (1.0 - 5.0 * s * (1.0 - 7.0 * s)))
        logarithm = 2.0 * log(z / series) + math.log(2 * math.pi)
        store(r * (2.0 - logarithm / square).sqrt(), slot)
    beyond = (r < math.inf).select(load(code, "f64", slot), r)
    return ((r > 27.0).select(beyond, _far_tail(r)[0]),)


def ndtri_exp(x: Lanes) -> Lanes:
    """z with log(Phi(z)) = x: below 4 ulp, also near z = 0; -inf at -inf, inf at 0, nan above."""

    def wide(x: Lanes) -> Lanes:
        form = FORMATS["f64"]
        high, low = x > -0.08, x < -2.5
        # 2 Phi(z) - 1, or Phi(z) - 1 where it is near 0.
        error = expm1(high.select(x, (x + form.ln2) + form.ln2_low))
        r = low.select(-x, -log(-error)).sqrt()
        outer = where_rare(r > 5.0, [r], [_tail(r)], "graphad_normal_endless_tail", _endless_tail)[0]
        q = error * 0.5
        return low.select(-outer, high.select(outer, q * _centre(q)))

    return _in_f64(wide, x)


# The distribution function and its logarithmic derivative, by e^(t^2) erfc(t) with t = |x| / sqrt(2).

_END = 39.5
"""The density is below 2^-1100 from here on."""


_FAR = 1e8
"""1 / size^2 is nothing beside 1 from here on."""


def _scaled_tail(size: Lanes) -> Sum:
    """e^(t^2) erfc(t) of t = min(size, _FAR) / sqrt(2).

    It is corrected for the rounding of t by its derivative, 2 t y - 2 / sqrt(pi).
    """
    inside = at_most(size, _FAR)
    t = inside * SQRT_HALF
    lost = inside.fma(_SQRT_HALF_REST, inside.fma(SQRT_HALF, -t))
    tail = scaled_tail(t)
    return Sum(tail.main, lost.fma((t + t).fma(tail.main, -2 / math.sqrt(math.pi)), tail.rest))


def _gaussian(factor: Sum, size: Lanes) -> Lanes:
    """factor e^(-size^2 / 2) for size >= 0."""
    inside = at_most(size, _END)
    half = inside * 0.5
    square = inside * half
    return times_gaussian(factor, square, inside.fma(half, -square))


def log_ndtr(x: Lanes) -> Lanes:
    """log(Phi(x)): below 2 ulp, in both tails too."""

    def wide(x: Lanes) -> Lanes:
        size = x.abs()
        tail = _scaled_tail(size)
        half = Sum(tail.main * 0.5, tail.rest * 0.5)
        other = _gaussian(half, size)
        right = x > 0.0
        high = right.select(1.0 - other, half.main)
        low = right.select((1.0 - high) - other, half.rest)
        value = log_of_sum(high, low) - right.select(0.0, x * (x * 0.5))
        return -value.abs()

    return _in_f64(wide, x)


def inverse_mills(x: Lanes) -> Lanes:
    """phi(x) / Phi(x): below 4 ulp, in both tails 2; near -x in the lower one, 0 in the upper one."""

    def wide(x: Lanes) -> Lanes:
        size = x.abs()
        tail = _scaled_tail(size)
        root = constant(x.code, "f64", _SQRT_2_PI, x.count)
        density = _gaussian(Sum(root, root * _SQRT_2_PI_EXCESS), size)
        right = x > 0.0
        cumulative = (tail.main * density).fma(-1 / _SQRT_2_PI, 2.0)
        quotient = right.select(density, root) / right.select(cumulative, tail.main)
        correction = (quotient * tail.rest).fma(-1 / _SQRT_2_PI, _SQRT_2_PI_EXCESS)
        value = quotient.fma(right.select(0.0, correction), quotient)
        return (x < -_FAR).select(size, value)

    return _in_f64(wide, x)
