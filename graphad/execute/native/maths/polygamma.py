"""Derivatives of digamma, by Euler and Maclaurin's sum of (x + k)^-s. All in f64, f32 rounded once."""

from __future__ import annotations

import math
from fractions import Fraction

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.polynomial import polynomial
from graphad.execute.native.maths.rare import where_rare

LARGEST_ORDER = 10
"""The series is good up to here."""
_TERMS = 8
"""Terms that are added one by one."""
_BERNOULLI = tuple(
    Fraction(*pair)
    for pair in ((1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510), (43867, 798),
                 (-174611, 330), (854513, 138))
)  # fmt: skip
"""B_2, B_4, ..."""


def _corrections(s: int) -> tuple[float, ...]:
    """Return B_2j / (2j)! s (s + 1) ... (s + 2j - 2) for j = 1, 2, ..."""
    rising = [math.prod(range(s, s + 2 * j - 1)) for j in range(1, len(_BERNOULLI) + 1)]
    return tuple(
        float(number * product / math.factorial(2 * j))
        for j, (number, product) in enumerate(zip(_BERNOULLI, rising, strict=True), 1)
    )


def _power(x: Lanes, exponent: int) -> Lanes:
    """x^exponent, exponent >= 1, by squares."""
    if exponent == 1:
        return x
    half = _power(x, exponent // 2)
    return half * half * x if exponent % 2 else half * half


def _zeta(s: int, x: Lanes) -> Lanes:
    """(x^-s + (x + 1)^-s + ...) for f64 x >= 0 and a whole s >= 2; the smallest terms first."""
    inverse = 1.0 / (x + float(_TERMS))
    series = polynomial(inverse * inverse, _corrections(s))
    # (1/a) (series / a + 1/2 + a / (s - 1)) / a^(s - 1), without a itself, which may be infinite.
    total = inverse.fma(inverse.fma(series, 0.5), 1 / (s - 1)) * _power(inverse, s - 1)
    for k in range(_TERMS - 1, -1, -1):
        total = total + _power(1.0 / (x + float(k)) if k else 1.0 / x, s)
    return total


def polygamma(order: int, x: Lanes) -> Lanes:
    """d^order digamma(x) / dx^order, 1 <= order <= LARGEST_ORDER: below order + 6 ulp for x > 0.

    For x < 0 the error is small beside order! / d^(order + 1), d the distance of the nearest whole number. It is
    infinite at 0, -1, -2, ... as SciPy has it: inf for odd orders, -inf for even ones.
    """
    s = order + 1

    def reflected(x: Lanes) -> tuple[Lanes]:
        # Both parts are exact where they are small. The terms below 0 are those of `under` up to -x.
        over, under = x - x.intrinsic("floor"), x.intrinsic("ceil") - x
        below = _zeta(s, under) - _zeta(s, 1.0 - x)
        value = _zeta(s, over) + (below if s % 2 == 0 else -below)
        return (over.equals(0.0).select(math.inf, (x > -math.inf).select(value, math.inf)),)

    wide = x.convert("f64")
    usual = _zeta(s, wide)
    (value,) = where_rare(wide <= 0.0, [wide], [usual], f"graphad_polygamma_{order}", reflected)
    return (value * ((-1.0) ** s * math.factorial(order))).convert(x.kind)
