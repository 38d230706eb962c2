"""Sums of two numbers, the second far below the first: twice the digits where one number has too few."""

from __future__ import annotations

from dataclasses import dataclass

from graphad.execute.native.lanes import Lanes


@dataclass(frozen=True, slots=True)
class Sum:
    """main + rest, the rest near the last place of main."""

    main: Lanes
    rest: Lanes


def sum_of_ordered(a: Lanes, b: Lanes) -> tuple[Lanes, Lanes]:
    """The rounded sum of a and b and its exact error, for |a| >= |b| or a = 0 (Dekker's fast two-sum)."""
    total = a + b
    return total, (a - total) + b


def exact_sum(a: Lanes, b: Lanes) -> Sum:
    """a + b (Knuth's two-sum)."""
    total = a + b
    added = total - a
    return Sum(total, (a - (total - added)) + (b - added))


def added(a: Sum, b: Sum) -> Sum:
    """a + b, but for the rounding of what is near its last place."""
    total = exact_sum(a.main, b.main)
    return Sum(total.main, total.rest + (a.rest + b.rest))


def exact_product(a: Lanes, b: Lanes) -> Sum:
    """a b."""
    main = a * b
    return Sum(main, a.fma(b, -main))


def product(a: Sum, b: Sum) -> Sum:
    """a b, but for the product of their rests."""
    main = a.main * b.main
    return Sum(main, a.rest.fma(b.main, a.main.fma(b.rest, a.main.fma(b.main, -main))))


def scaled(a: Sum, b: Lanes) -> Sum:
    """a b."""
    main = a.main * b
    return Sum(main, a.rest.fma(b, a.main.fma(b, -main)))
