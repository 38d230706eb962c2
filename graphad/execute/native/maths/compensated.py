"""Sums of two numbers, the second far below the first: twice the digits where one number has too few."""

from __future__ import annotations

from graphad.execute.native.lanes import Lanes


def sum_of_ordered(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """The rounded sum of a and b and its exact error, for |a| >= |b| or a = 0 (Dekker's fast two-sum)."""
    total = a + b
    return total, (a - total) + b
