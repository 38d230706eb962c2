"""The normal distribution: its quantile, the logarithm of its function, their relatives. In f64; f32 is rounded once."""

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
from graphad.ops.normal import _CENTRE, _FAR_TAIL, _TAIL

SQRT_HALF = math.sqrt(0.5)
_SQRT_2_PI = math.sqrt(2 / math.pi)
_CENTRAL = 0.425
"""|p - 1/2| up to which the quantile is a rational function of p."""


def _in_f64(formula: Callable[[Lanes], Lanes], x: Lanes) -> Lanes:
    """Return a function of f64 at f64 or f32."""
    return formula(x.convert("f64")).convert(x.kind)


# The quantile: Wichura's algorithm AS241 (PPND16, Applied Statistics 37, 1988), in three parts.


def _centre(q: Lanes) -> Lanes:
    """z / q where Phi(z) = 1/2 + q, for |q| <= 0.425."""
    square = (-q).fma(q, 0.180625)
    return polynomial(square, _CENTRE[0]) / polynomial(square, _CENTRE[1])


def _tail(r: Lanes) -> Lanes:
    """z > 0 with 1 - Phi(z) = e^(-r^2), for 1.3 < r <= 5."""
    return polynomial(r - 1.6, _TAIL[0]) / polynomial(r - 1.6, _TAIL[1])


def _far_tail(r: Lanes) -> tuple[Lanes]:
    """z > 0 with 1 - Phi(z) = e^(-r^2), for 5 < r < 28 or r = inf."""
    value = polynomial(r - 5.0, _FAR_TAIL[0]) / polynomial(r - 5.0, _FAR_TAIL[1])
    return (r.equals(math.inf).select(r, value),)


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
    """y with erf(y) = x: below 3 ulp; nan outside [-1, 1]."""

    def wide(x: Lanes) -> Lanes:
        q = x * 0.5
        outer = _whole_tail((-log((-q.abs()) + 0.5)).sqrt()) * SQRT_HALF
        return (q.abs() <= _CENTRAL).select(x * (_centre(q) * (0.5 * SQRT_HALF)), outer.copysign(x))

    return _in_f64(wide, x)


def erfcinv(x: Lanes) -> Lanes:
    """y with erfc(y) = x: below 3 ulp, also near 0; inf at 0, -inf at 2, nan outside [0, 2]."""

    def wide(x: Lanes) -> Lanes:
        q = 0.5 - x * 0.5
        outer = _whole_tail((math.log(2) - log((q > 0.0).select(x, 2.0 - x))).sqrt())
        return (q.abs() <= _CENTRAL).select(q * _centre(q), outer.copysign(q)) * SQRT_HALF

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


def _gaussian(factor: Sum, size: Lanes) -> Lanes:
    """factor e^(-size^2 / 2) for size >= 0."""
    inside = at_most(size, _END)
    half = inside * 0.5
    square = inside * half
    return times_gaussian(factor, square, inside.fma(half, -square))


def log_ndtr(x: Lanes) -> Lanes:
    """log(Phi(x)): below 3 ulp in both tails."""

    def wide(x: Lanes) -> Lanes:
        size = x.abs()
        tail = scaled_tail(at_most(size, 1e30) * SQRT_HALF)
        other = _gaussian(Sum(tail.main * 0.5, tail.rest * 0.5), size)
        right = x > 0.0
        high = right.select(1.0 - other, tail.main * 0.5)
        low = right.select((1.0 - high) - other, tail.rest * 0.5)
        value = log_of_sum(high, low) - right.select(0.0, x * (x * 0.5))
        return -value.abs()

    return _in_f64(wide, x)


def inverse_mills(x: Lanes) -> Lanes:
    """phi(x) / Phi(x): below 4 ulp in both tails; near -x in the lower one, 0 in the upper one."""

    def wide(x: Lanes) -> Lanes:
        size = x.abs()
        tail = scaled_tail(at_most(size, 1e30) * SQRT_HALF)
        one = Sum(constant(x.code, "f64", 1.0, x.count), constant(x.code, "f64", 0.0, x.count))
        density = _gaussian(one, size)
        right = x > 0.0
        value = _SQRT_2_PI * right.select(density, 1.0) / right.select((-tail.main).fma(density, 2.0), tail.main)
        return (x < -1e9).select(size, value)

    return _in_f64(wide, x)
