"""Derivatives of the gamma and beta distribution functions by their shape parameters, as integrals over one tail.

With s = log t (gamma) or s = logit t (beta) the density is e^h(s) ds with a concave h, and the k-th derivative of the
density by a shape parameter is the density times a polynomial B_k in log t and polygamma values (a complete Bell
polynomial, `bell`). So ``d^k F(x) / da^k = integral of e^h(s) B_k(s) ds`` from -inf to s(x), or minus the integral from
s(x) on: the total is 0. Each element takes the side away from the mode, where e^h falls from its largest value at s(x)
and nothing cancels. What is returned is the integral over e^h(s(x)), which neither underflows nor overflows.

The tail is cut where e^h has fallen by e^-45, split where it has fallen by e^-1 and e^-8 and where h changes its form,
and each piece is integrated by 32-point Gauss-Legendre quadrature. Measured against 40-digit arithmetic, first
derivatives have a relative error below 2e-12 for gamma shapes from 1e-3 to 1e6, and below 1e-10 for beta shapes from
1e-2 to 1e4 (3e-9 where one is a million times the other: differences of digamma cancel). NumPy only, but for polygamma
values (SciPy).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphad.ops.scipy_functions import scipy_special

Array = np.ndarray[Any, Any]
Function = Callable[[Array], Array]
Index = tuple[int, int]

CUT = 45.0
CHUNK = 2048


def bell(cumulant: Callable[[int, int], Any], i: int, j: int) -> Any:
    """Return d^(i+j) e^h / da^i db^j over e^h, where ``cumulant(k, l)`` is d^(k+l) h / da^k db^l.

    The moments-from-cumulants recursion, on arrays or tensors alike.
    """

    @functools.cache
    def moment(i: int, j: int) -> Any:
        if i == j == 0:
            return 1
        total: Any = None
        if i:
            terms = [
                (math.comb(i - 1, k) * math.comb(j, m), cumulant(k + 1, m), moment(i - 1 - k, j - m))
                for k in range(i)
                for m in range(j + 1)
            ]
        else:
            terms = [(math.comb(j - 1, m), cumulant(0, m + 1), moment(0, j - 1 - m)) for m in range(j)]
        for count, factor, rest in terms:
            term = factor if isinstance(rest, int) else factor * rest
            term = term if count == 1 else count * term
            total = term if total is None else total + term
        return total

    return moment(i, j)


@functools.cache
def _nodes() -> tuple[Array, Array]:
    """Return nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(32)
    return (x + 1) / 2, w / 2


def _reach(drop: Function, slope: Function, start: Array, level: float) -> Array:
    """Return v with drop(v) = level, from a `start` beyond it: Newton's method on an increasing convex function."""
    v = start
    for _ in range(200):
        excess = drop(v) - level
        if not np.any(excess > 0.1 * level):
            break
        v = np.where(excess > 0, v - excess / slope(v), v)
    return v


def _tail(drop: Function, slope: Function, start: Array, splits: Sequence[Array], weight: Function) -> Array:
    """Integrate e^-drop(v) weight(v) over v > 0; all functions take arrays with one more axis in front."""
    cut = _reach(drop, slope, start, CUT)
    middle = _reach(drop, slope, cut, 8.0)
    near = _reach(drop, slope, middle, 1.0)
    edges = np.sort(np.stack([np.zeros_like(cut), near, middle, cut, *(np.clip(s, 0, cut) for s in splits)]), axis=0)
    points, weights = _nodes()
    total = np.zeros_like(cut)
    for low, high in itertools.pairwise(edges):
        v = low + (high - low) * points[:, None]
        total += (high - low) * (weights @ (np.exp(-drop(v)) * weight(v)))
    return total


def _in_chunks(function: Callable[..., Array], *operands: Array) -> Array:
    """Apply a function of flat float64 arrays a piece at a time, to keep its temporaries in the cache."""
    shape = operands[0].shape
    flat = [np.asarray(x, np.float64).ravel() for x in operands]
    y = np.empty(flat[0].shape)
    with np.errstate(all="ignore"):
        for k in range(0, y.size, CHUNK):
            y[k : k + CHUNK] = function(*(x[k : k + CHUNK] for x in flat))
    return y.reshape(shape)


def _polygammas(count: int, x: Array) -> list[Array]:
    """Return digamma and its derivatives at x, `count` of them."""
    return [np.asarray(scipy_special("polygamma")(k, x)) for k in range(count)]


def gamma_tail(order: int, a: Array, log_x: Array) -> Array:
    """Return d^order P(a, x) / da^order over x p(x), p the density of the gamma distribution of shape a."""

    def chunk(a: Array, log_x: Array) -> Array:
        valid = (a > 0) & ~np.isnan(log_x)
        a = np.where(valid, a, 1)
        end = np.clip(np.where(valid, log_x, 0), -1e15, 709.0)
        x = np.exp(end)
        side = np.where(x > a, 1.0, -1.0)
        psi = _polygammas(order, a)

        def drop(v: Array) -> Array:
            return np.asarray(x * np.expm1(side * v) - side * a * v)

        def slope(v: Array) -> Array:
            return np.asarray(side * (x * np.exp(side * v) - a))

        def weight(v: Array) -> Array:
            s = end + side * v
            return np.asarray(bell(lambda k, _: s - psi[0] if k == 1 else -psi[k - 1], order, 0))

        upper = np.minimum(np.sqrt(2 * CUT / x), np.maximum(2.0, np.log(4.5 * CUT) - end))
        # The drop is convex, so that its slope at 0 gives a bound as well: the better one far from the mode.
        start = np.minimum(np.where(side > 0, upper, CUT / a + 1), CUT / np.abs(x - a))
        splits = [np.full_like(a, 6.0), np.full_like(a, 36.0)]
        return np.where(valid, -side * _tail(drop, slope, start, splits, weight), np.nan)

    return _in_chunks(chunk, a, log_x)


def beta_tail(order: Index, a: Array, b: Array, log_odds: Array) -> Array:
    """Return d^(i+j) I_x(a, b) / da^i db^j over x (1 - x) p(x), for x = expit(log_odds) and the beta density p."""
    i, j = order

    def chunk(a: Array, b: Array, log_odds: Array) -> Array:
        valid = (a > 0) & (b > 0) & ~np.isnan(log_odds)
        a, b = np.where(valid, a, 1), np.where(valid, b, 1)
        end = np.clip(np.where(valid, log_odds, 0), -1e15, 1e15)
        # Beyond the mode look from the other end: I_x(a, b) = 1 - I_{1-x}(b, a).
        swap = a * np.exp(-np.logaddexp(0, end)) < b * np.exp(-np.logaddexp(0, -end))
        first, last, limit = np.where(swap, b, a), np.where(swap, a, b), np.where(swap, -end, end)
        x = np.exp(-np.logaddexp(0, -limit))
        psi = {0: _polygammas(i, a), 1: _polygammas(j, b), 2: _polygammas(i + j, a + b)}

        def drop(v: Array) -> Array:
            return np.asarray(first * v + (first + last) * np.log1p(x * np.expm1(-v)))

        def slope(v: Array) -> Array:
            fall = x * np.expm1(-v)
            return np.asarray(first - (first + last) * (x + fall) / (1 + fall))

        def weight(v: Array) -> Array:
            s = limit - v
            below, above = -np.logaddexp(0, -s), -np.logaddexp(0, s)
            logarithms: Mapping[Index, Array] = {
                (1, 0): np.where(swap, above, below),
                (0, 1): np.where(swap, below, above),
            }

            def cumulant(k: int, m: int) -> Array:
                total = psi[2][k + m - 1]
                if m == 0:
                    total = total - psi[0][k - 1]
                elif k == 0:
                    total = total - psi[1][m - 1]
                return total + logarithms.get((k, m), 0)

            return np.asarray(bell(cumulant, i, j))

        start = (CUT + (first + last) * np.logaddexp(0, limit)) / first
        start = np.minimum(start, CUT / np.maximum(slope(np.zeros_like(x)), 0))
        splits = [limit - 6, limit + 6, limit + 36]
        return np.where(valid, np.where(swap, -1, 1) * _tail(drop, slope, start, splits, weight), np.nan)

    return _in_chunks(chunk, a, b, log_odds)
