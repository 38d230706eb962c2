"""Derivatives of digamma, by Euler and Maclaurin's sum of (x + k)^-s. All in f64, f32 rounded once."""

from __future__ import annotations

import math
from fractions import Fraction

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import (
    Sum,
    added,
    exact_product,
    exact_sum,
    product,
    scaled,
    sum_of_ordered,
)
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


def _power(x: Lanes, exponent: int) -> Sum:
    """x^exponent, exponent >= 1, by squares."""
    if exponent == 1:
        return Sum(x, x.constant(0.0))
    half = _power(x, exponent // 2)
    square = product(half, half) if exponent > 3 else exact_product(half.main, half.main)
    return scaled(square, x) if exponent % 2 else square


def _reciprocal_power(x: Lanes, lost: Lanes, exponent: int) -> Sum:
    """(x + lost)^-exponent, for lost near the last place of x: nan is the rest of 0 and inf."""
    inverse = 1.0 / x
    error = (-inverse).fma(lost, (-inverse).fma(x, 1.0))
    power = _power(inverse, exponent)
    return Sum(power.main, power.main.fma(error * float(exponent), power.rest))


def _zeta(s: int, argument: Sum) -> Sum:
    """(x^-s + (x + 1)^-s + ...) for f64 x >= 0 and a whole s >= 2; the smallest terms first."""
    x = argument.main
    end = exact_sum(x, x.constant(float(_TERMS)))
    inverse = 1.0 / end.main
    series = polynomial(inverse * inverse, _corrections(s))
    # (1/a) (series / a + 1/2 + a / (s - 1)) / a^(s - 1), without a itself, which may be infinite.
    first, first_rest = 1 / (s - 1), float(Fraction(1, s - 1) - Fraction(1 / (s - 1)))
    factor = Sum(*sum_of_ordered(x.constant(first), inverse * inverse.fma(series, 0.5)))
    tail = product(
        Sum(factor.main, factor.rest + first_rest), _reciprocal_power(end.main, end.rest + argument.rest, s - 1)
    )
    total, rest = x.constant(0.0), tail.rest
    for k in range(_TERMS - 1, -1, -1):
        at = x + float(k) if k else x
        # Exact wherever the term is not far below the tail.
        lost = x - (at - float(k)) + argument.rest if k else argument.rest
        term = _reciprocal_power(at, lost, s)
        total, rest = total + term.main, rest + term.rest
    whole = exact_sum(tail.main, total)
    return Sum(whole.main, rest + whole.rest)


def _times(x: Sum, factor: float) -> Lanes:
    """x factor, rounded once; a rest of nan is that of 0 or inf, and none."""
    rest = x.rest.equals(x.rest).select(x.rest * factor, 0.0)
    return x.main.fma(factor, rest)


def polygamma(order: int, x: Lanes) -> Lanes:
    """d^order digamma(x) / dx^order, 1 <= order <= LARGEST_ORDER: below 2 ulp for x > 0.

    For x < 0 the error is small beside order! / d^(order + 1), d the distance of the nearest whole number. It is
    infinite at 0, -1, -2, ... as SciPy has it: inf for odd orders, -inf for even ones.
    """
    s = order + 1
    factor = (-1.0) ** s * math.factorial(order)

    def reflected(x: Lanes) -> tuple[Lanes]:
        # The terms below 0 are those of `under` up to -x.
        over, under = exact_sum(x, -x.intrinsic("floor")), exact_sum(x.intrinsic("ceil"), -x)
        sign = x.constant(1.0 if s % 2 == 0 else -1.0)
        terms = added(scaled(_zeta(s, under), sign), scaled(_zeta(s, exact_sum(x.constant(1.0), -x)), -sign))
        value = _times(added(_zeta(s, over), terms), factor)
        return (over.main.equals(0.0).select(math.inf * factor, (x > -math.inf).select(value, math.inf * factor)),)

    wide = x.convert("f64")
    usual = _zeta(s, Sum(wide, wide.constant(-0.0)))
    # The rest is nothing to f32, whose code goes without it.
    value = _times(usual, factor) if x.kind == "f64" else usual.main * factor
    return where_rare(wide <= 0.0, [wide], [value], f"graphad_polygamma_{order}", reflected)[0].convert(x.kind)
