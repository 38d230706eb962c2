"""Functions of samples, sequences and polynomials, covariance, and applying functions, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparing import assert_same, check, random

import graphad as ga


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (1, 1), (6, 1), (6, 2), (2, 7)])
def test_convolve_and_correlate(mode: str, sizes: tuple[int, int]) -> None:
    a, v = random(sizes[0]), random(sizes[1], seed=3)
    check(lambda n, s, t: (n.convolve(s, t, mode), n.correlate(s, t, mode)), a, v)
    check(lambda n, s: (n.convolve(s, v, mode), n.correlate(v, s, mode)), a)


def test_convolve_dtypes() -> None:
    for dtypes in (
        ("int64", "int32"),
        ("float32", "float32"),
        ("float32", "int64"),
        ("uint8", "bool"),
        ("bool", "bool"),
    ):
        a, v = random(6, dtype=dtypes[0]), random(3, dtype=dtypes[1], seed=2)
        check(lambda n, s, t: n.convolve(s, t), a, v)
    check(lambda n, s: n.convolve(s, 2.0), random(4))
    a, v = random(6) + 1j * random(6, seed=1), random(3) - 1j * random(3, seed=2)
    check(lambda n, s, t: (n.convolve(s, t), n.correlate(s, t, "full"), n.correlate(t, s, "same")), a, v)
    with pytest.raises(ga.GraphadError, match="not empty"):
        ga.trace(lambda t: np.convolve(t, np.zeros(0)), np.ones(3))


def test_long_convolutions() -> None:
    # Long enough that Fourier transforms compute it.
    a, v = random(20_000), random(3_000, seed=1)
    check(lambda n, s, t: n.convolve(s, t, "same"), a, v, tolerance=1e-10)
    a[5] = np.nan
    found = ga.trace(np.convolve, a, v)(a, v)
    assert_same(found, np.convolve(a, v), 1e-10)


@pytest.mark.parametrize("order", [1, 2])
def test_gradient(order: int) -> None:
    x = random(4, 5)
    at = np.array([0.0, 0.5, 2.0, 2.5])
    check(lambda n, t: n.gradient(t, edge_order=order), x)
    check(lambda n, t: n.gradient(t, 2.0, axis=1, edge_order=order), x)
    check(lambda n, t: n.gradient(t, at, 0.5, edge_order=order), x)
    check(lambda n, t, s: n.gradient(t, s, axis=0, edge_order=order), x, at)
    check(lambda n, t: n.gradient(t, np.arange(4) * 0.25, axis=0, edge_order=order), x)


def test_gradient_of_other_dtypes_and_axes() -> None:
    x = random(4, 5)
    check(lambda n, t: n.gradient(t, axis=(1, 0)), x)
    check(lambda n, t: n.gradient(t), random(3, dtype="int64"))
    check(lambda n, t: n.gradient(t), random(2, dtype="float32"))


def test_trapezoid() -> None:
    y, x = random(3, 4), np.array([0.0, 1.0, 1.5, 4.0])
    check(lambda n, t: (n.trapezoid(t), n.trapezoid(t, dx=0.5, axis=0), n.trapezoid(t, x)), y)
    check(lambda n, t, s: n.trapezoid(t, s), y, np.cumsum(np.abs(random(3, 4)), 1))
    check(lambda n, t: n.trapezoid(t), random(4, dtype="int64"))
    check(lambda n, t: n.trapezoid(t), random(1))


def test_interp() -> None:
    xp, fp = np.array([0.0, 1.0, 1.5, 4.0]), np.array([1.0, -1.0, 2.0, 0.0])
    x = np.array([[-1.0, 0.0, 0.3], [1.0, 1.5, 2.0], [4.0, 5.0, np.nan]])
    check(lambda n, t: (n.interp(t, xp, fp), n.interp(t, xp, fp, left=-7.0, right=9.0)), x)
    check(lambda n, t, s, u: n.interp(t, s, u), x, xp, fp)
    check(
        lambda n, t: n.interp(t, [360.0, 10.0, 200.0], [5.0, 10.0, 3.0], period=360), random(7, low=-720.0, high=720.0)
    )
    check(lambda n, t: n.interp(t, [1.0], [3.0], left=0.0), np.array([0.0, 1.0, 2.0]))
    check(lambda n, t: n.interp(0.7, xp, t), fp)
    check(lambda n, t: n.interp(t, xp, fp), np.array([1, 2, 3]))
    ga.check_grads(lambda t, s, u: np.interp(t, s, u), (np.array([0.3, 1.2, 3.9, -1.0, 7.0]), xp, fp))


def test_unwrap() -> None:
    x = np.cumsum(random(3, 7, low=-9.0, high=9.0), 1)
    check(lambda n, t: (n.unwrap(t), n.unwrap(t, axis=0), n.unwrap(t, discont=4.0), n.unwrap(t, period=3.0)), x)
    check(lambda n, t: (n.unwrap(t, period=4), n.unwrap(t, period=5), n.unwrap(t)), np.array([0, 1, 2, -1, 0, 7]))
    check(lambda n, t: n.unwrap(t), np.array([0.0, np.pi, 0.0, -np.pi]))
    check(lambda n, t: n.unwrap(t), random(1))


def test_ediff1d() -> None:
    check(lambda n, t: (n.ediff1d(t), n.ediff1d(t, 9.0, [1.0, 2.0]), n.ediff1d(t, to_end=[[3.0, 4.0]])), random(2, 3))
    check(lambda n, t: n.ediff1d(t), random(1))
    check(lambda n, t: n.ediff1d(t, to_begin=1.0), random(0))


def test_polynomials() -> None:
    p, q = random(4), random(2, seed=5)
    check(lambda n, s, t: (n.polyval(s, t), n.polyval(t, 2.0), n.polyval(s, n.sin(t))), p, random(2, 3))
    check(lambda n, s, t: (n.polyadd(s, t), n.polysub(t, s), n.polymul(s, t)), p, q)
    check(lambda n, s: (n.polyder(s), n.polyder(s, 2), n.polyder(s, 6), n.polyder(s, 0)), p)
    check(lambda n, s: (n.polyint(s), n.polyint(s, 2, [1.0, 2.0]), n.polyint(s, 2, 3.0)), p)
    check(lambda n, s: (n.polyder(s), n.polyval(s, 3)), np.array([3, 1, 2]))


def test_vander() -> None:
    for x in (random(4), random(3, dtype="int32"), random(2, dtype="float32"), random(0)):
        check(lambda n, t: (n.vander(t), n.vander(t, 2), n.vander(t, 5, increasing=True), n.vander(t, 0)), x)


def test_cov() -> None:
    x, y = random(3, 6), random(3, 6, seed=9)
    check(lambda n, s, t: (n.cov(s), n.cov(s, t), n.cov(s, rowvar=False), n.cov(s, bias=True), n.cov(s, ddof=3)), x, y)
    weights, counts = random(6, low=0.1), np.array([1, 2, 1, 3, 1, 1])
    check(
        lambda n, s, w: (n.cov(s, aweights=w), n.cov(s, fweights=counts), n.cov(s, None, True, True, None, counts, w)),
        x,
        weights,
    )
    check(lambda n, s: (n.cov(s[0]), n.cov(s[0], s[1]), n.cov(s, dtype="float32")), x)
    check(lambda n, s, t: (n.corrcoef(s), n.corrcoef(s, t), n.corrcoef(s[0]), n.corrcoef(s, rowvar=False)), x, y)
    check(lambda n, s: n.cov(s), random(2, 4, dtype="int64"))
    check(lambda n, s: n.cov(s), random(2, 1))


def test_piecewise() -> None:
    x = np.linspace(-2, 2, 7)
    check(lambda n, t: n.piecewise(t, [t < 0, t >= 0.5], [-1, 1]), x)
    check(lambda n, t: n.piecewise(t, [t < 0, t < 1], [lambda s: -s, lambda s: s**2, lambda s: s * 10]), x)
    check(lambda n, t: n.piecewise(t, t > 0, [lambda s, k: s * k, 7.0], 3.0), x)
    check(lambda n, t: n.piecewise(t, [t > 0], [1.7]), np.array([-1, 0, 2]))
    ga.check_grads(lambda t: np.piecewise(t, [t < 0.1], [np.sin, np.exp]), (x,))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_apply_along_axis(axis: int) -> None:
    x = random(2, 3, 4)
    check(lambda n, t: n.apply_along_axis(lambda r: n.sum(r * r), axis, t), x)
    check(lambda n, t: n.apply_along_axis(lambda r, k: r[:2] * k, axis, t, 2.0), x)
    check(lambda n, t: n.apply_along_axis(lambda r: n.outer(r, r), axis, t), x)


def test_apply_along_the_only_axis_and_derivatives() -> None:
    x = random(2, 3, 4)
    check(lambda n, t: n.apply_along_axis(lambda r: n.sort(r), 0, t), random(5))
    ga.check_grads(lambda t: np.apply_along_axis(lambda r: np.cumprod(r)[1:], 1, t), (x,))


def test_apply_over_axes() -> None:
    x = random(2, 3, 4)
    check(lambda n, t: (n.apply_over_axes(n.sum, t, [0, 2]), n.apply_over_axes(n.cumsum, t, 1)), x)


GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "convolve": lambda x: np.convolve(x[0], x[1] ** 2, "same"),
    "correlate": lambda x: np.correlate(x[0], x[1, :2], "full"),
    "gradient": lambda x: np.gradient(x**2, np.cumsum(x[0] ** 2), axis=1, edge_order=2),
    "trapezoid": lambda x: np.trapezoid(x**2, np.cumsum(x, 1)),
    "unwrap": lambda x: np.unwrap(x * 4) ** 2,
    "ediff1d": lambda x: np.ediff1d(x**2),
    "polyval": lambda x: np.polyval(x[0], x),
    "polyint": lambda x: np.polyint(x[0] ** 2, 2),
    "polymul": lambda x: np.polymul(x[0], x[1]),
    "vander": lambda x: np.vander(x[0]),
    "cov": lambda x: np.cov(x, aweights=x[0]),
    "corrcoef": lambda x: np.corrcoef(x),
}


@pytest.mark.parametrize("name", sorted(GRADIENTS))
def test_derivatives(name: str) -> None:
    ga.check_grads(GRADIENTS[name], (random(3, 4, low=0.3, high=2.0),), rtol=1e-4)
