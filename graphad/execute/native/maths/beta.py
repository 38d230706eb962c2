"""The logarithm of the beta function. In f64, f32 rounded once."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphad.execute.native.lanes import Lanes, load, store
from graphad.execute.native.maths.compensated import Sum, added, product, scaled, sum_of_ordered
from graphad.execute.native.maths.gamma import (
    LOG_ROOT,
    LOG_ROOT_REST,
    STIRLING_FROM,
    gammaln,
    log_near_two,
    shifted,
    stirling_rest,
)
from graphad.execute.native.maths.logarithm import log, log1p_as_sum, log_as_sum
from graphad.execute.native.maths.rare import where_rare

_STEPS = 5
"""A second argument below 4.25 is raised by this."""


def _positive(a: Lanes, b: Lanes) -> Lanes:
    """log(B(a, b)) for f64 a, b > 0.

    With s <= l the arguments and t = s + l: log(Gamma(s)) + log(Gamma(l) / Gamma(t)), the latter without what cancels
    in Stirling's formula (as in TOMS 708's betaln and algdiv); where s is large too, the former likewise, and what is
    left has one sign. Logarithms, products and their sum are sums of two numbers.
    """
    swapped = a < b
    small, large = swapped.select(a, b), swapped.select(b, a)
    # B(s, l) = B(s, l + n) (s + l) / l (s + l + 1) / (l + 1) ...
    raised = large < STIRLING_FROM
    numerator, denominator = 1.0 + small / large, large.constant(1.0)
    for k in range(1, _STEPS):
        following = large + float(k)
        numerator, denominator = numerator * (small + following), denominator * following
    large = raised.select(large + float(_STEPS), large)
    near = shifted(small)
    numerator, denominator = raised.select(numerator, 1.0), raised.select(denominator, 1.0)
    quotient = near.down.select(numerator, numerator * near.product) / near.down.select(
        denominator * near.product, denominator
    )
    both, total = small >= STIRLING_FROM, Sum(*sum_of_ordered(large, small))
    inverse = 1.0 / large
    ratio = small * inverse
    ratio_rest = (-ratio).fma(large, small) * inverse
    first = scaled(log_as_sum(both.select(ratio, quotient)), both.select(small - 0.5, 1.0))
    second = product(log1p_as_sum(Sum(ratio, ratio_rest)), Sum(0.5 - total.main, -total.rest))
    third = scaled(log_as_sum(large), both.select(small.constant(-0.5), -small))
    linear = Sum(both.select(LOG_ROOT, small), both.select(small.constant(LOG_ROOT_REST), 0.0))
    largest = added(added(first, second), added(third, linear))
    series = (stirling_rest(large) - stirling_rest(total.main)) + both.select(
        stirling_rest(small), log_near_two(near.distance)
    )
    value = largest.main + (largest.rest.equals(largest.rest).select(largest.rest, 0.0) + series)
    return (large.equals(math.inf) & small.equals(small)).select(-math.inf, value)


_FAR = 1e6
"""An argument is far beyond the other if it is so much larger, and larger than this (Cephes's beta.c)."""


def _log_gammas(values: Sequence[Lanes]) -> list[Lanes]:
    """log|Gamma| of several single numbers, by one piece of code."""
    code = values[0].code
    slot = code.slot("double", len(values))

    def place(index: int | str) -> str:
        return code.value(f"getelementptr double, ptr {slot}, i64 {index}")

    for k, value in enumerate(values):
        store(value, place(k))
    with code.loop("0", str(len(values))) as i:
        address = place(i)
        store(gammaln(load(code, "f64", address)), address)
    return [load(code, "f64", place(k)) for k in range(len(values))]


def _reflected(a: Lanes, b: Lanes) -> tuple[Lanes]:
    """log|B(a, b)| where an argument is not positive, with SciPy's choices at whole numbers."""
    pole_a, pole_b = a.equals(a.rint()) & (a <= 0.0), b.equals(b.rint()) & (b <= 0.0)
    first, second = pole_a.select(b, a), pole_a.select(a, b)
    # At a whole second argument n <= 0 it is log|B(1 - first - n, first)| where that is one of whole numbers, or inf.
    pole = pole_a | pole_b
    mirrored = (1.0 - second) - first
    infinite = (a + b).abs().equals(math.inf) | (pole & ~(first.equals(first.rint()) & (mirrored > 0.0)))
    second = pole.select(mirrored, second)
    swapped = first.abs() < second.abs()
    small, large = swapped.select(first, second), swapped.select(second, first)
    gamma_small, gamma_large, gamma_sum = _log_gammas((small, large, small + large))
    inverse, rest = 1.0 / large, small * (1.0 - small)
    series = inverse * (rest * inverse).fma((1.0 - 2.0 * small) - rest * inverse, 6.0 * rest) * (1 / 12)
    far = (large > _FAR) & (large > small.abs() * _FAR)
    value = far.select(gamma_small - small * log(large) + series, gamma_small + gamma_large - gamma_sum)
    return (infinite.select(math.inf, value),)


def betaln(a: Lanes, b: Lanes) -> Lanes:
    """log|B(a, b)|; SciPy's infinities.

    For a, b > 0 the error is below 3 ulp of the result or of 2, whichever is larger. For other arguments three
    logarithms may cancel.
    """
    wide = a.convert("f64"), b.convert("f64")
    rare = (wide[0] <= 0.0) | (wide[1] <= 0.0)
    (value,) = where_rare(rare, wide, [_positive(*wide)], "graphad_betaln", _reflected)
    return value.convert(a.kind)
