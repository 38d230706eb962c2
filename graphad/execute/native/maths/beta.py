"""The logarithm of the beta function. In f64, f32 rounded once."""

from __future__ import annotations

import math

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.gamma import LOG_ROOT, LOG_ROOT_REST, STIRLING_FROM, gammaln, near_two, stirling
from graphad.execute.native.maths.logarithm import log, log1p
from graphad.execute.native.maths.rare import where_rare

_STEPS = 5
"""A second argument below 4.25 is raised by this."""


def _positive(a: Lanes, b: Lanes) -> Lanes:
    """log(B(a, b)) for f64 a, b > 0.

    With s <= l the arguments and t = s + l: log(Gamma(s)) + log(Gamma(l) / Gamma(t)), the latter without what cancels in
    Stirling's formula (as in TOMS 708's betaln and algdiv); where s is large too, the former likewise, and what is left
    has one sign.
    """
    swapped = a < b
    s, l = swapped.select(a, b), swapped.select(b, a)
    # B(s, l) = B(s, l + n) (s + l) / l (s + l + 1) / (l + 1) ...
    raised = l < STIRLING_FROM
    numerator, denominator = s + l, l
    for k in range(1, _STEPS):
        numerator, denominator = numerator * (s + (l + float(k))), denominator * (l + float(k))
    numerator, denominator = raised.select(numerator, 1.0), raised.select(denominator, 1.0)
    l = raised.select(l + float(_STEPS), l)
    t, ratio = s + l, s / l
    both = s >= STIRLING_FROM
    near = near_two(s)
    numerator, denominator = (
        near.down.select(numerator, numerator * near.product),
        near.down.select(denominator * near.product, denominator),
    )
    logarithm = log(both.select(ratio, numerator / denominator))
    first = both.select(s - 0.5, 1.0) * logarithm
    series = stirling(l) - stirling(t)
    series = series + both.select(stirling(s) + LOG_ROOT, near.value)
    second = both.select(s.constant(0.5), s).fma(log(l), both.select(0.0, -s))
    third = (t - 0.5) * log1p(ratio)
    return (first - third) - (second - series)


def _reflected(a: Lanes, b: Lanes) -> tuple[Lanes]:
    """log|B(a, b)| where an argument is not positive, SciPy's choices at whole numbers."""
    whole_a, whole_b = a.equals(a.rint()) & (a <= 0.0), b.equals(b.rint()) & (b <= 0.0)
    pole, other = whole_a.select(a, b), whole_a.select(b, a)
    mirrored = (1.0 - pole) - other
    finite = other.equals(other.rint()) & (mirrored > 0.0)
    at_pole = gammaln(mirrored) + gammaln(other) - gammaln(mirrored + other)
    value = gammaln(a) + gammaln(b) - gammaln(a + b)
    return ((whole_a | whole_b).select(finite.select(at_pole, math.inf), value),)


def betaln(a: Lanes, b: Lanes) -> Lanes:
    """log|B(a, b)|: for a, b > 0 the error is below 4 ulp of the result or of 2, whichever is larger."""
    wide = a.convert("f64"), b.convert("f64")
    rare = (wide[0] <= 0.0) | (wide[1] <= 0.0)
    (value,) = where_rare(rare, wide, [_positive(*wide)], "graphad_betaln", _reflected)
    return value.convert(a.kind)
