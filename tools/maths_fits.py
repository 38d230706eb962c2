"""Fit the polynomials of maths/log_of_sum.py for f32: Remez's exchange in 60 digits.

python tools/maths_fits.py    # print the coefficients with the relative error they leave
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import mpmath

Number = Any
"""A number of mpmath."""


def minimax(function: Callable[[Number], Number], low: float, high: float, count: int) -> list[Number]:
    """Return `count` coefficients, lowest power first, of the least largest error relative to the function."""
    nodes = [
        (mpmath.mpf(low) + high) / 2 - (mpmath.mpf(high) - low) / 2 * mpmath.cos(mpmath.pi * k / count)
        for k in range(count + 1)
    ]
    for _ in range(12):
        rows = [[x**j / function(x) for j in range(count)] + [(-1) ** k] for k, x in enumerate(nodes)]
        solved = mpmath.lu_solve(mpmath.matrix(rows), mpmath.matrix([1] * (count + 1)))
        found = [solved[k] for k in range(count)]
        nodes = extrema(function, found, nodes)
    return found


def error(function: Callable[[Number], Number], coefficients: Sequence[Number], x: Number) -> Number:
    """Return the error of a polynomial relative to a function."""
    return mpmath.polyval(list(reversed(coefficients)), x) / function(x) - 1


def extrema(function: Callable[[Number], Number], coefficients: Sequence[Number], nodes: list[Number]) -> list[Number]:
    """Return where the error is largest next to each node, found on a grid between its neighbours."""
    ends = [nodes[0], *nodes, nodes[-1]]
    found = []
    for before, node, after in zip(ends, ends[1:], ends[2:], strict=False):
        sign = mpmath.sign(error(function, coefficients, node))
        grid = [before + (after - before) * k / 64 for k in range(65)]
        found.append(max(grid, key=lambda x: sign * error(function, coefficients, x)))
    return found


def power_slope(x: Number) -> Number:
    """(2^x - 1) / x."""
    return mpmath.expm1(x * mpmath.log(2)) / x if x else mpmath.log(2)


def log_slope(x: Number) -> Number:
    """log2(1 + x) / x."""
    return mpmath.log1p(x) / x / mpmath.log(2) if x else 1 / mpmath.log(2)


FITS = {
    "_POWER: (2^r - 1) / r for |r| <= 1/2": (power_slope, -0.5, 0.5, 8),
    "_LOG: log2(1 + p) / p for 0 <= p <= 1": (log_slope, 0.0, 1.0, 14),
}


if __name__ == "__main__":
    mpmath.mp.dps = 60
    for name, (function, low, high, count) in FITS.items():
        rounded = [mpmath.mpf(float(c)) for c in minimax(function, low, high, count)]
        grid = [low + (high - low) * k / mpmath.mpf(2000) for k in range(2001)]
        worst = max(abs(error(function, rounded, x)) for x in grid)
        print(f"{name}: 2^{float(mpmath.log(worst, 2)):.1f}\n{tuple(map(float, rounded))}")
