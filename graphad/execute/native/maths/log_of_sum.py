"""Logarithms of sums of exponentials.

log(e^a + e^b) is the larger operand and log(1 + e^-|a - b|), carried as a sum of two numbers; for f32 in f64, by short
polynomials. Where these cancel it is log(1 + u) in a rare branch, u = e^a + e^b - 1 with twice the digits of f64.
Coefficients are minimax fits (python tools/maths_fits.py).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.compensated import Sum, added, exact_sum, product, scaled, sum_of_ordered
from graphad.execute.native.maths.exponential import EXP2_BOUNDS, EXP_BOUNDS, LOG2_E, exp2_as_sum, exp_as_sum
from graphad.execute.native.maths.formats import FORMATS, at_least, power_of_two
from graphad.execute.native.maths.logarithm import LOG2_PARTS, log1p_as_sum, log1p_near_zero
from graphad.execute.native.maths.polynomial import polynomial, polynomial_in_two
from graphad.execute.native.maths.rare import where_some

_CANCELLED = {"f64": 2.0**-6, "f32": 2.0**-12}
"""A result that is this small beside the larger operand is computed anew."""
_POWER = (0.6931471805568754, 0.2402265069649013, 0.05550410906012785, 0.009618128942358771, 0.0013333478808939703,
          0.00015403629720460853, 1.5303611197446484e-05, 1.321544624290666e-06)  # fmt: skip
"""(2^r - 1) / r for |r| <= 1/2, for f32: relative error 2^-37."""
_LOG = (1.4426950408846069, -0.7213475186921798, 0.4808982294476049, -0.36067063467121757, 0.2884952392508905,
        -0.24007759005836693, 0.20402132941482998, -0.17225888491769678, 0.13762172164916445, -0.0968672251219306,
        0.055108182428689076, -0.02291486936430503, 0.006046050770433396, -0.0007490710235420336)  # fmt: skip
"""log2(1 + p) / p for 0 <= p <= 1, for f32: relative error 2^-38."""
_LONG_TERMS, _TERMS = 12, 24
"""Terms of e^r - 1 in pairs, and all of them: both leave 2^-100 for |r| <= log(2) / 2."""


@dataclass(frozen=True, slots=True)
class _Base:
    """The base c of exponentials and logarithms.

    Attributes:
        name: of the rare branch.
        unit: log(2) to this base.
        per_log: 1 / log(c) as a sum of two numbers.
        low: c^low is 0.
        power: c^(x + rest) as a sum of two numbers.
        reduced: n and r with c^x = 2^n e^r and |r| <= log(2) / 2, r to twice the digits of f64.
    """

    name: str
    unit: float
    per_log: tuple[float, float]
    low: float
    power: Callable[[Lanes, Lanes], Sum]
    reduced: Callable[[Lanes], tuple[Lanes, Sum]]


def _reduced(x: Lanes) -> tuple[Lanes, Sum]:
    form = FORMATS["f64"]
    n = (x * LOG2_E).rint()
    return n, Sum(*sum_of_ordered(n.fma(-form.ln2, x), n * -form.ln2_low))


def _reduced_in_base_two(x: Lanes) -> tuple[Lanes, Sum]:
    form = FORMATS["f64"]
    n = x.rint()
    return n, scaled(Sum(x.constant(form.ln2), x.constant(form.ln2_low)), x - n)


_E = _Base("graphad_logaddexp", math.log(2), (1.0, 0.0), EXP_BOUNDS["f64"].low, exp_as_sum, _reduced)
_TWO = _Base("graphad_logaddexp2", 1.0, LOG2_PARTS["f64"], EXP2_BOUNDS["f64"].low, exp2_as_sum, _reduced_in_base_two)


def _larger_and_distance(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """Return max(a, b) and -|a - b|, 0 where both are the same infinity, with what rounding took from it."""
    above = a > b
    larger, smaller = above.select(a, b), above.select(b, a)
    distance = a.equals(b).select(0.0, smaller - larger)
    back = distance - smaller
    lost = (smaller - (distance - back)) - (larger + back)
    # It is nan where a number is infinite or the difference overflows, and large only beyond all bounds.
    return larger, distance, (lost.abs() < 1.0).select(lost, 0.0)


def _rest_of_exponential(r: Sum) -> Sum:
    """e^r - 1 for |r| <= log(2) / 2, by Taylor's series."""
    value = Sum(polynomial(r.main, [1 / math.factorial(k) for k in range(_LONG_TERMS + 1, _TERMS)]), r.main * 0.0)
    for k in range(_LONG_TERMS, 0, -1):
        term = Fraction(1, math.factorial(k))
        high, low = float(term), float(term - Fraction(float(term)))
        value = product(value, r)
        main, rest = sum_of_ordered(r.main.constant(high), value.main)
        value = Sum(main, rest + (value.rest + low))
    return product(value, r)


def _near_zero(base: _Base, a: Lanes, b: Lanes) -> tuple[Lanes]:
    """log(c^a + c^b) / log(c) for f32 or f64 where it is near 0."""
    form = FORMATS["f64"]
    total = Sum(a.constant(-1.0, "f64"), a.constant(0.0, "f64"))
    # Below these powers of 2 are denormal, and nothing beside a result that is none.
    reduced = [base.reduced(at_least(x.convert("f64"), -1022 * base.unit)) for x in (a, b)]
    powers = [power_of_two(n + (form.round_to_integer + form.bias), "f64") for n, _ in reduced]
    for power in powers:
        total = added(total, Sum(power, power.constant(0.0)))
    for power, (_, r) in zip(powers, reduced, strict=True):
        total = added(total, scaled(_rest_of_exponential(r), power))
    value = _in_base(base, log1p_near_zero(total))
    return ((value.main + value.rest).convert(a.kind),)


def _in_base(base: _Base, logarithm: Sum) -> Sum:
    main, rest = (logarithm.main.constant(number) for number in base.per_log)
    return product(logarithm, Sum(main, rest)) if base.per_log != (1.0, 0.0) else logarithm


def _long(base: _Base, a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """Return the larger f64 and log(c^a + c^b) / log(c), to some 8 bits more than f64's while they are added."""
    larger, distance, lost = _larger_and_distance(a, b)
    logarithm = _in_base(base, log1p_as_sum(base.power(at_least(distance, base.low), lost)))
    total = exact_sum(larger, logarithm.main)
    rest = total.rest + logarithm.rest
    # An infinite operand has no rest.
    return larger, total.main + rest.equals(rest).select(rest, 0.0)


def _short(base: _Base, a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """Return the larger f32 and log(c^a + c^b) / log(c), in f64."""
    above = a > b
    larger, smaller = above.select(a, b).convert("f64"), above.select(b, a).convert("f64")
    # The same infinity twice has the distance 0; beyond 200 the rest is nothing to f32.
    distance = at_least(larger.equals(smaller).select(0.0, (smaller - larger) * (1 / base.unit)), -200.0)
    form = FORMATS["f64"]
    shift = form.round_to_integer + form.bias
    shifted = distance + shift
    r = distance - (shifted - shift)
    scale = power_of_two(shifted, "f64")
    power = polynomial_in_two(r, r * r, _POWER).fma(r * scale, scale)
    logarithm = polynomial_in_two(power, power * power, [c * base.unit for c in _LOG])
    return larger, power.fma(logarithm, larger)


def _everywhere(base: _Base, a: Lanes, b: Lanes) -> Lanes:
    larger, value = (_short if a.kind == "f32" else _long)(base, a, b)
    cancelled = value.abs() < larger.abs() * _CANCELLED[a.kind]
    usual, name = [value.convert(a.kind)], f"{base.name}_{a.kind}"
    return where_some(cancelled, [a, b], usual, name, functools.partial(_near_zero, base))[0]


def logaddexp(a: Lanes, b: Lanes) -> Lanes:
    """y = log(e^a + e^b) without overflow: below 2 ulp, down to 2^-45 of an operand.

    Args:
        a, b: f32 or f64, of one kind.
    """
    return _everywhere(_E, a, b)


def logaddexp2(a: Lanes, b: Lanes) -> Lanes:
    """y = log2(2^a + 2^b) without overflow: below 2 ulp, down to 2^-45 of an operand; 0 at (-1, -1).

    Args:
        a, b: f32 or f64, of one kind.
    """
    return _everywhere(_TWO, a, b)
