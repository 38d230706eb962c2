"""The normal distribution: its quantile, the logarithm of its function, their relatives. In f64, f32 rounded once.

The quantile is cut in three as in Wichura's algorithm AS241 (PPND16, Applied Statistics 37, 1988), but each part is a
simple main term and a rational correction, which halves the rounding errors. What rounding took from the argument of a
part (the root of a logarithm, a distance from 1/2) is made good by the derivative. Coefficients are fits (reweighted
least squares of the linearised error, 60 digits).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from graphad.execute.native.lanes import Lanes, load, store
from graphad.execute.native.maths.compensated import Sum, exact_sum
from graphad.execute.native.maths.error_function import scaled_tail, times_gaussian, unlift
from graphad.execute.native.maths.exponential import expm1_as_sum
from graphad.execute.native.maths.formats import FORMATS, at_most
from graphad.execute.native.maths.logarithm import log, log_as_sum, log_of_sum
from graphad.execute.native.maths.polynomial import polynomial
from graphad.execute.native.maths.rare import where_rare

SQRT_HALF = math.sqrt(0.5)
_SQRT_HALF_REST = -4.833646656726457e-17
_SQRT_2_PI, _SQRT_2_PI_EXCESS = 0.7978845608028654, -6.247337834861335e-17
"""(2/pi)^(1/2), and what it is more in proportion."""

_ROOT_HALF = Fraction(SQRT_HALF) + Fraction(_SQRT_HALF_REST)

Quotient = tuple[tuple[float, ...], tuple[float, ...]]
"""Numerator and denominator, lowest power first."""

_CENTRAL = 0.425
"""|p - 1/2| up to which the quantile is a rational function of p."""
_SLOPE, _SLOPE_REST = 2.5066282746310007, -1.8328579980459167e-16
"""sqrt(2 pi), the quantile's slope at 1/2, as a sum of two numbers."""
_CENTRE: Quotient = (
    (4.874765941399953, 190.24313403360497, 2789.520901217141, 19138.247286754322, 62342.2503197888, 86450.51259960332,
     36838.594168968964, 575.067840263803),
    (1.0, 45.05042416721494, 792.1347254153541, 6894.088835567569, 31132.2592359677, 69956.47305642079,
     68080.80479472342, 20012.969088863952),
)  # fmt: skip
"""(z / q - sqrt(2 pi)) / q^2 of 0.180625 - q^2, q = p - 1/2: relative error of z 2^-56."""
_TAIL_SLOPE = Fraction(5, 4)
_TAIL: Quotient = (
    (-0.5765628892503164, -0.725940161429922, -0.14965244576289014, 0.17282786006328704, 0.11200656995892228,
     0.026242500862932113, 0.002629315663484482, 9.004525218206658e-05),
    (1.0, 2.0530090868125073, 1.676049942506177, 0.6895486721706262, 0.14804411855430724, 0.015192762162609272,
     0.0005475489619891118, 9.044044406902939e-09),
)  # fmt: skip
"""z - 1.25 r of r - 1.6, r = (-log(p))^(1/2), for 1.6 <= r <= 5: relative error of z 2^-55."""
_PER_PROBABILITY = (2.467, 12.36, -74.42, 779.9)
"""dz/dPhi = 1/phi(z) by q^2 up to 0.425^2, for what rounding took from q: within 3% (numpy.polynomial's fit)."""
_PER_LOG = (1.253, -0.6616, 0.142, -0.01082)
"""-dz/dlog(1 - Phi) by r from 1.58 to 5, for what rounding took from r: within 5% (numpy.polynomial's fit)."""
_FAR_SLOPE = Fraction(45, 32)
_FAR_TAIL: Quotient = (
    (-0.37334535649889644, -0.15772497193651344, -0.020379446261676013, -0.0004204898539605388, 8.793230561215213e-05,
     5.759698050768663e-06, 9.646354719368563e-08, -4.322602016083238e-10, -1.3410981307725114e-11),
    (1.0, 0.5936440507231426, 0.13293422362408083, 0.013882817456516984, 0.0006678741881764904, 1.140039779514254e-05,
     -4.688600655372097e-08, -1.6810501171671486e-09, -6.568566737788841e-15),
)  # fmt: skip
"""z - 1.40625 r of r - 5, for 5 <= r <= 28: relative error of z 2^-57."""


def _in_f64(formula: Callable[[Lanes], Lanes], x: Lanes) -> Lanes:
    """Return a function of f64 at f64 or f32."""
    return formula(x.convert("f64")).convert(x.kind)


def _fraction(x: Lanes, fraction: Quotient, factor: Fraction) -> Lanes:
    numerator = [float(Fraction(c) * factor) for c in fraction[0]]
    return polynomial(x, numerator) / polynomial(x, fraction[1])


def _in_two(number: Fraction) -> tuple[float, float]:
    """Return a number as a sum of two of f64."""
    return float(number), float(number - Fraction(float(number)))


def _centre(q: Lanes, lost: Lanes | None, square: Lanes, factor: Fraction) -> Lanes:
    """factor z where Phi(z) = 1/2 + u (q + lost), for |u q| <= 0.425 and (u q)^2 as given; `factor` has the unit u too.

    The largest term comes last, so that little more than its rounding is lost.
    """
    slope, slope_rest = _in_two(factor * (Fraction(_SLOPE) + Fraction(_SLOPE_REST)))
    rest = q * square.fma(_fraction(0.180625 - square, _CENTRE, factor), slope_rest)
    if lost is not None:
        rest = lost.fma(polynomial(square, [float(factor) * c for c in _PER_PROBABILITY]), rest)
    return q.fma(slope, rest)


def _root(square: Sum) -> tuple[Lanes, Lanes]:
    """Return the rounded root r of a sum of two numbers, and what is left of the sum without r^2."""
    r = square.main.sqrt()
    return r, (-r).fma(r, square.main) + square.rest


def _tail(square: Sum, factor: Fraction) -> Lanes:
    """factor z where z > 0 and 1 - Phi(z) = e^-square, for 1.6 < square^(1/2) <= 5."""
    r, left = _root(square)
    correction = polynomial(r, [float(factor) * c for c in _PER_LOG])
    slope, slope_rest = _in_two(_TAIL_SLOPE * factor)
    value = left.fma(correction, _fraction(r - 1.6, _TAIL, factor))
    return r.fma(slope, r.fma(slope_rest, value) if slope_rest else value)


def _far_tail(square: Sum, factor: Fraction) -> Lanes:
    """factor z where z > 0 and 1 - Phi(z) = e^-square, for 5 < square^(1/2) < 28 or inf."""
    r, left = _root(square)
    slope, slope_rest = _in_two(_FAR_SLOPE * factor)
    value = (left * (0.72 * float(factor)) / r) + _fraction(r - 5.0, _FAR_TAIL, factor)
    return r.equals(math.inf).select(r, r.fma(slope, r.fma(slope_rest, value)))


def _whole_tail(square: Sum, factor: Fraction, name: str) -> Lanes:
    """factor z where z > 0 and 1 - Phi(z) = e^-square, for 1.6 < square^(1/2); the name is that of its rare part."""

    def far(main: Lanes, rest: Lanes) -> tuple[Lanes]:
        return (_far_tail(Sum(main, rest), factor),)

    return where_rare(square.main > 25.0, [square.main, square.rest], [_tail(square, factor)], name, far)[0]


def _minus_log(p: Lanes, halvings: int = 0) -> Sum:
    """-log(p / 2^halvings)."""
    logarithm = log_as_sum(p, -float(halvings))
    return Sum(-logarithm.main, -logarithm.rest)


def _beyond(x: Lanes, edge: float) -> tuple[Lanes, Lanes]:
    """Return x - edge and its rounding error, which is there for 0 <= x < edge / 2 only."""
    q = x - edge
    return q, x - (q + edge)


def ndtri(p: Lanes) -> Lanes:
    """z with Phi(z) = p: below 2 ulp; -inf at 0, inf at 1, nan outside [0, 1]."""

    def wide(p: Lanes) -> Lanes:
        q, lost = _beyond(p, 0.5)
        square = _minus_log((q < 0.0).select(p, 1.0 - p))
        outer = _whole_tail(square, Fraction(1), "graphad_normal_far_tail")
        return (q.abs() <= _CENTRAL).select(_centre(q, lost, q * q, Fraction(1)), outer).copysign(q)

    return _in_f64(wide, p)


_ERROR_TAIL = "graphad_error_function_far_tail"


def erfinv(x: Lanes) -> Lanes:
    """y with erf(y) = x: below 2 ulp; nan outside [-1, 1]."""

    def wide(x: Lanes) -> Lanes:
        q = x * 0.5
        outer = _whole_tail(_minus_log((-q.abs()) + 0.5), _ROOT_HALF, _ERROR_TAIL)
        return (q.abs() <= _CENTRAL).select(_centre(x, None, q * q, _ROOT_HALF / 2), outer).copysign(x)

    return _in_f64(wide, x)


def erfcinv(x: Lanes) -> Lanes:
    """y with erfc(y) = x: below 2 ulp, also near 0; inf at 0, -inf at 2, nan outside [0, 2]."""

    def wide(x: Lanes) -> Lanes:
        double, lost = _beyond(x, 1.0)
        q = double * 0.5
        outer = _whole_tail(_minus_log((q < 0.0).select(x, 2.0 - x), 1), _ROOT_HALF, _ERROR_TAIL)
        return -(q.abs() <= _CENTRAL).select(_centre(double, lost, q * q, _ROOT_HALF / 2), outer).copysign(q)

    return _in_f64(wide, x)


def _endless_tail(square: Lanes, rest: Lanes) -> tuple[Lanes]:
    """z > 0 with 1 - Phi(z) = e^-square, for any square > 25.

    Beyond 27^2 it solves z^2 = 2 square - log(2 pi) - 2 log(z) + 2 log(1 - 1/z^2 + 3/z^4 - ...) by iteration.
    """
    code = square.code
    slot = code.slot("double")
    store(square.sqrt() * math.sqrt(2), slot)
    with code.loop("0", "5"):
        z = load(code, "f64", slot)
        s = 1.0 / (z * z)
        series = 1.0 - s * (1.0 - 3.0 * s * (1.0 - 5.0 * s * (1.0 - 7.0 * s)))
        logarithm = 2.0 * log(z / series) + math.log(2 * math.pi)
        # A quarter of z^2, which may overflow.
        store(2.0 * (square * 0.5 - logarithm * 0.25).sqrt(), slot)
    beyond = (square < math.inf).select(load(code, "f64", slot), square)
    return ((square > 27.0**2).select(beyond, _far_tail(Sum(square, rest), Fraction(1))),)


def ndtri_exp(x: Lanes) -> Lanes:
    """z with log(Phi(z)) = x: below 2 ulp, also near z = 0; -inf at -inf, inf at 0, nan above."""

    def wide(x: Lanes) -> Lanes:
        form = FORMATS["f64"]
        high, low = x > -0.08, x < -2.5
        # 2 Phi(z) - 1, or Phi(z) - 1 where it is near 0.
        double = exact_sum(x, x.constant(form.ln2))
        exponent, rest = high.select(x, double.main), high.select(0.0, double.rest + form.ln2_low)
        error = expm1_as_sum(at_most(exponent, 1.0), rest=rest)
        logarithm = _minus_log(-error.main)
        square = Sum(low.select(-x, logarithm.main), low.select(0.0, logarithm.rest))
        usual = _tail(square, Fraction(1))
        far = where_rare(
            square.main > 25.0, [square.main, square.rest], [usual], "graphad_normal_endless_tail", _endless_tail
        )
        q = error.main * 0.5
        centre = _centre(error.main, error.rest, q * q, Fraction(1, 2))
        return low.select(-far[0], high.select(far[0], centre))

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


def _gaussian(factor: Sum, size: Lanes) -> tuple[Sum, Lanes]:
    """factor e^(-size^2 / 2) 2^lift for size >= 0, as `times_gaussian` has it."""
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
        power, scale = _gaussian(half, size)
        other = power.main * scale * unlift("f64")
        right = x > 0.0
        high = right.select(1.0 - other, half.main)
        low = right.select((1.0 - high) - other, half.rest)
        value = log_of_sum(high, low) - right.select(0.0, x * (x * 0.5))
        return -value.abs()

    return _in_f64(wide, x)


def inverse_mills(x: Lanes) -> Lanes:
    """phi(x) / Phi(x): below 2 ulp; near -x in the lower tail, 0 in the upper one.

    For x > 0 it is (2/pi)^(1/2) E / (2 - T E) with E = e^(-x^2 / 2) and T the scaled tail, else without the E.
    """

    def wide(x: Lanes) -> Lanes:
        size = x.abs()
        tail = _scaled_tail(size)
        one = Sum(x.constant(1.0), x.constant(0.0))
        power, scale = _gaussian(one, size)
        right = x > 0.0
        # Lifted, as a denormal is rounded at the end.
        numerator = right.select(power.main * scale, 1.0)
        numerator_rest = right.select(power.rest * scale, 0.0)
        unlifted = unlift("f64")
        part, part_rest = numerator * unlifted, numerator_rest * unlifted
        cumulative = (-tail.main).fma(part, 2.0)
        cumulative_rest = (-tail.main).fma(part_rest, (-tail.rest).fma(part, (-tail.main).fma(part, 2.0 - cumulative)))
        denominator = right.select(cumulative, tail.main)
        denominator_rest = right.select(cumulative_rest, tail.rest)
        reciprocal = 1.0 / denominator
        root = numerator * _SQRT_2_PI
        root_rest = numerator.fma(_SQRT_2_PI, -root) + (root * _SQRT_2_PI_EXCESS + numerator_rest * _SQRT_2_PI)
        quotient = root * reciprocal
        remainder = (-quotient).fma(denominator, root) + (-quotient).fma(denominator_rest, root_rest)
        value = remainder.fma(reciprocal, quotient) * right.select(unlifted, x.constant(1.0))
        return (x < -_FAR).select(size, value)

    return _in_f64(wide, x)
