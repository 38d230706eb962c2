"""Sums of two numbers, the second far below the first: twice the digits where one number has too few."""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths.polynomial import polynomial


def polynomial_in_two(x: Lanes, square: Lanes, coefficients: Sequence[float]) -> Lanes:
    """c[0] + c[1] x + ... + c[n] x^n, even and odd powers apart: half the latency for one more product."""
    return polynomial(square, coefficients[1::2]).fma(x, polynomial(square, coefficients[::2]))


def sum_of_ordered(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """The rounded sum of a and b and its exact error, for |a| >= |b| or a = 0 (Dekker's fast two-sum)."""
    total = a + b
    return total, (a - total) + b
