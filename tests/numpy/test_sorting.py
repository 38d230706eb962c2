"""Sorting, searching, counting and order statistics against NumPy, traced through both namespaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from comparing import assert_same, check, random

import graphad as ga
import graphad.numpy as gnp

TIES = np.array([[2.0, 1.0, 2.0, 1.0, 0.0], [3.0, 3.0, 3.0, -1.0, 3.0], [0.0, -0.5, 1.0, 0.0, 1.0]])
HOLES = np.array(
    [[2.0, np.nan, 2.5, 1.0, 0.0], [np.nan] * 5, [0.0, -0.5, np.nan, np.nan, 1.0], [1.0, 4.0, 3.0, 2.0, 0.0]]
)
ARRAYS = {
    "distinct": random(3, 5),
    "ties": TIES,
    "nan": HOLES,
    "size 1": random(1, 1),
    "strided": random(6, 8)[::-2, ::-3],
    "f32": random(4, 3, dtype="float32"),
    "int": random(4, 5, dtype="int64"),
    "uint8": random(4, 5, dtype="uint8"),
    "bool": random(4, 5, dtype="bool"),
}
EMPTY = np.zeros((2, 0))


@pytest.mark.parametrize("name", sorted(ARRAYS))
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_sort_and_argsort(name: str, axis: int | None) -> None:
    x = ARRAYS[name]
    check(lambda n, t: n.sort(t, axis=axis), x)
    check(lambda n, t: n.argsort(t, axis=axis, kind="stable"), x)


def test_empty() -> None:
    check(lambda n, t: (n.sort(t), n.argsort(t), n.sort(t, 0), n.sort(t, None)), EMPTY)
    check(lambda n, t: (n.median(t), n.nanmedian(t, 1)), EMPTY)
    check(lambda n, t: (n.cumprod(t), n.nansum(t, 1), n.nanprod(t), n.nanmean(t, 1)), EMPTY)


def test_descending() -> None:
    for x in (TIES, random(4, 5, dtype="int64")):
        graph = ga.trace(lambda t: (gnp.sort(t, descending=True), gnp.argsort(t, axis=0, descending=True)), x)
        order = np.lexsort((np.arange(len(x))[:, None] + np.zeros(x.shape), -x), axis=0)
        assert_same(graph(x), (-np.sort(-x), order))


def test_top_k() -> None:
    x = np.array([1.0, 3.0, 2.0, 3.0, 0.0])
    graph = ga.trace(lambda t: (gnp.top_k(t, 3), gnp.top_k(t, 2, mode="smallest"), gnp.top_k(t, 0)), x)
    empty = (np.zeros(0), np.zeros(0, np.int64))
    assert_same(
        graph(x), ((np.array([3.0, 3.0, 2.0]), np.array([1, 3, 2])), (np.array([0.0, 1.0]), np.array([4, 0])), empty)
    )
    rows = random(3, 5)
    values, positions = ga.trace(lambda t: gnp.top_k(t, 2, axis=0), rows)(rows)
    assert_same(values, -np.sort(-rows, 0)[:2])
    assert_same(np.take_along_axis(rows, positions, 0), values)


@pytest.mark.parametrize("kth", [0, 2, -1, [1, 3]])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_partition(kth: Any, axis: int | None) -> None:
    x = random(5, 5)
    x[2, 1:4] = 1.0
    values, positions = ga.trace(lambda t: (np.partition(t, kth, axis), t.argpartition(kth, axis)), x)(x)
    rows = x.ravel() if axis is None else x
    k = 0 if axis is None else axis
    assert_same(np.sort(values, k), np.sort(rows, k))
    assert_same(np.take(values, kth, k), np.take(np.sort(rows, k), kth, k))
    assert_same(np.take_along_axis(rows, positions, k), values)
    for place in np.ravel(kth) % rows.shape[k]:
        pivot = np.take(values, [place], k)
        assert (np.take(values, range(place), k) <= pivot).all()
        assert (np.take(values, range(place, rows.shape[k]), k) >= pivot).all()


def test_lexsort() -> None:
    a, b = random(6, dtype="int64"), random(6, dtype="bool")
    check(lambda n, s, t: (n.lexsort((s, t)), n.lexsort((t, s)), n.lexsort((s,))), a, b)
    check(lambda n, s, t: n.lexsort((s, t), axis=0), random(4, 3, dtype="uint8"), TIES[:, :3].repeat(2, 0)[:4])


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str) -> None:
    for a in (np.array([0.0, 1.0, 1.0, 2.0]), np.array([]), np.array([1.0, np.inf, np.nan])):
        v = np.array([[-1.0, 0.0, 1.0], [1.5, 2.0, np.nan]])
        check(lambda n, s, t: (n.searchsorted(s, t, side=side), n.searchsorted(s, 1.0, side=side)), a, v)
    check(lambda n, s: n.searchsorted(s, [0, 2, 3], side, sorter=[2, 0, 1]), np.array([1, 3, 0]))
    check(lambda n, t: n.searchsorted(np.array([0, 2]), t, side), np.array([1.5, 2.0], np.float32))


@pytest.mark.parametrize("right", [False, True])
def test_digitize(right: bool) -> None:
    x = np.array([[0.2, 6.4, 3.0], [1.0, 10.0, -2.0]])
    for bins in (
        np.array([0.0, 1.0, 2.5, 4.0, 10.0]),
        np.array([10.0, 4.0, 3.0, 3.0, 1.0]),
        np.array([1.0]),
        np.ones(3),
    ):
        check(lambda n, t, b: (n.digitize(t, b, right=right), n.digitize(t, b[:1], right)), x, bins)


def test_put_along_axis() -> None:
    for axis in (0, 1, -1, None):
        x = random(3, 4)
        index = np.argmax(x, axis, keepdims=True) if axis is not None else np.array([5, 0])
        values = np.asarray(99.0) if axis is None else np.full(index.shape, 7.5)
        graph = ga.trace(lambda t, v, i=index, k=axis: gnp.put_along_axis(t, i, v, k), x, values)
        expected = x.copy()
        np.put_along_axis(expected, index, values, axis)
        assert_same(graph(x, values), expected)


# Order statistics


METHODS = [
    "linear",
    "lower",
    "higher",
    "midpoint",
    "nearest",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
    "interpolated_inverted_cdf",
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
]


@pytest.mark.parametrize("method", METHODS)
def test_quantile_methods(method: str) -> None:
    q = np.array([[0.0, 0.1, 0.25], [0.5, 0.99, 1.0]])
    for n in (1, 2, 5, 8):
        x = random(n, 3, seed=n)
        check(lambda ns, t: (ns.quantile(t, q, axis=0, method=method), ns.quantile(t, 0.3, method=method)), x)
        check(lambda ns, t: ns.percentile(t, 100 * q, axis=0, method=method, keepdims=True), x)
        x[0, 1] = np.nan
        check(lambda ns, t: ns.quantile(t, q, axis=0, method=method), x)
        check(lambda ns, t: ns.nanquantile(t, q, axis=0, method=method), x)


@pytest.mark.parametrize("name", ["median", "nanmedian"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (0, 2), ()])
@pytest.mark.parametrize("keepdims", [False, True])
def test_median(name: str, axis: Any, keepdims: bool) -> None:
    x = random(3, 4, 5)
    x[0, 1, 2] = np.nan
    x[2, :, 0] = np.nan
    if axis == () and name == "nanmedian":
        return  # NumPy's nanmedian takes no empty tuple
    check(lambda n, t: getattr(n, name)(t, axis=axis, keepdims=keepdims), x)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8", "bool"])
def test_quantile_dtypes(dtype: str) -> None:
    x = random(4, 5, dtype=dtype)
    check(lambda n, t: (n.median(t), n.median(t, 0), n.nanmedian(t, 1)), x)
    if dtype != "bool":
        q, tolerance = np.array([0.3, 0.5]), 1e-6 if dtype == "float32" else 1e-12
        check(lambda n, t: (n.quantile(t, 0.3), n.quantile(t, q, 0), n.percentile(t, 30, 1)), x, tolerance=tolerance)


def test_quantile_of_infinities_and_ties() -> None:
    for x in (np.array([1.0, np.inf, np.inf]), np.array([-np.inf, 0.0, 1.0]), np.ones(4), np.array([np.inf] * 4)):
        check(lambda n, t: n.median(t), x)
        # NumPy makes inf - inf of infinite neighbours here; the elements themselves are meant.
        assert_same(ga.trace(lambda t: np.quantile(t, [0.0, 0.5, 1.0]), x)(x), np.sort(x)[[0, len(x) // 2, -1]])
    x = np.ones(4)
    assert np.isfinite(ga.grad(lambda t: np.median(t))(x)).all()


def test_traced_q() -> None:
    x, q = random(7, 3), np.array([0.1, 0.62])
    check(lambda n, t, s: (n.quantile(t, s, axis=0), n.percentile(t, s * 100), n.nanquantile(t, s, axis=0)), x, q)
    ga.check_grads(lambda t, s: np.quantile(t, s, axis=0), (x, q), order=1)
    with pytest.raises(ga.GraphadError, match="between 0 and 1"):
        ga.trace(lambda t: np.quantile(t, 1.5), x)


# Missing values


@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd"])
@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_without_nan(name: str, axis: Any, keepdims: bool) -> None:
    for x in (HOLES, HOLES.astype("float32"), random(3, 4), random(3, 4, dtype="int64"), np.full((2, 2), np.inf)):
        check(lambda n, t: getattr(n, name)(t, axis=axis, keepdims=keepdims), x)


def test_reductions_without_nan_and_other_arguments() -> None:
    mask = random(4, 5, dtype="bool")
    check(lambda n, t: (n.nansum(t, where=mask), n.nanmean(t, 0, where=mask), n.nanmax(t, 1, initial=0.5)), HOLES)
    check(lambda n, t: (n.nanvar(t, 1, ddof=1), n.nanstd(t, ddof=2), n.nanvar(t, 0, where=mask)), HOLES)
    check(lambda n, t: (n.nansum(t, dtype="float32"), n.nancumsum(t), n.nancumprod(t, 1)), HOLES)
    check(lambda n, t: (n.nanargmax(t, 1), n.nanargmin(t, 0), n.nanargmax(t, keepdims=True)), HOLES[[0, 2, 3]])


# Running products and extremes


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_cumprod(axis: int | None) -> None:
    for x in (random(3, 4), random(3, 4, dtype="int8"), random(2, 3, dtype="bool"), random(1, 1, dtype="float32")):
        check(lambda n, t: n.cumprod(t, axis=axis), x)
    x = random(3, 4)
    assert_same(ga.trace(lambda t: t.cumprod(axis, dtype="float32"), x)(x), x.cumprod(axis, dtype="float32"))


def test_cumulative() -> None:
    check(lambda n, t: (n.cumulative_sum(t, axis=1), n.cumulative_prod(t, axis=0, include_initial=True)), random(3, 4))
    check(lambda n, t: (n.cumulative_sum(t, include_initial=True), n.cumulative_prod(t)), random(4, dtype="int32"))
    check(lambda n, t: (np.maximum.accumulate(t), np.minimum.accumulate(t, 1), np.multiply.accumulate(t, 1)), TIES)


# Counting


def test_bincount() -> None:
    x, w = np.array([0, 3, 1, 3, 3]), random(5)
    check(lambda n, t: n.bincount(t, minlength=6), x)
    check(lambda n, t: n.bincount(x, t, 4), w)
    check(lambda n, t: n.bincount(t, minlength=3), np.array([], np.int64))
    assert_same(ga.trace(lambda t: gnp.bincount(t, length=4), x)(x), np.array([1, 1, 0, 3]))
    ga.check_grads(lambda t: np.bincount(x, t * t, 4), (w,))
    for wrong in (np.array([0, 4]), np.array([0, -1])):
        with pytest.raises((ga.GraphadError, IndexError)):
            ga.trace(lambda t: np.bincount(t, minlength=4), wrong)(wrong)
    with pytest.raises(ga.GraphadError, match="minlength=n"):
        ga.trace(lambda t: np.bincount(t), x)


@pytest.mark.parametrize("density", [False, True])
def test_histogram(density: bool) -> None:
    x = np.array([0.0, 0.1, 0.5, 1.0, 1.0, 2.0, -3.0, 0.1])
    check(lambda n, t: n.histogram(t, 4, (0.0, 2.0), density=density), x)
    check(lambda n, t: n.histogram(t, 5, density=density), x)
    check(lambda n, t: n.histogram(t, np.array([-1.0, 0.1, 0.5, 3.0]), density=density), x)
    check(lambda n, t, w: n.histogram(t, 4, (0.0, 2.0), weights=w, density=density), x, random(8, low=0.1))
    check(lambda n, t: (n.histogram(t, 3, density=density), n.histogram_bin_edges(t)), np.ones(3))
    ga.check_grads(lambda w: np.histogram(x, 4, (0.0, 2.0), weights=w, density=True)[0], (random(8, low=0.1),))


UNIQUE = [
    np.array([3, 1, 3, 2, 1]),
    np.array([[2.5, 1.0], [2.5, 0.0]]),
    np.array([np.nan, 1.0, np.nan]),
    np.array([True, True]),
    np.ones((2, 3)),
]


@pytest.mark.parametrize("x", UNIQUE, ids=repr)
def test_unique(x: np.ndarray) -> None:
    arguments = {"return_index": True, "return_inverse": True, "return_counts": True}
    expected = np.unique(x, **arguments)
    n = len(expected[0])
    assert_same(ga.trace(lambda t: gnp.unique(t, size=n, **arguments), x)(x), expected)
    more = ga.trace(lambda t: gnp.unique(t, size=n + 2, **arguments, fill_value=1), x)(x)
    assert_same(more[0], np.concatenate([expected[0], np.ones(2, x.dtype)]))
    assert_same(more[2:], (expected[2], np.concatenate([expected[3], [0, 0]])))
    assert_same(ga.trace(lambda t: gnp.unique(t, size=1), x)(x), expected[0][:1])
    every = np.unique_all(x)
    found = ga.trace(lambda t: gnp.unique_all(t, size=len(every.values)), x)(x)
    assert_same(tuple(found), tuple(every))


def test_counting_what_is_known_needs_no_size() -> None:
    x = np.array([3.0, np.nan, 1.0, 3.0, np.nan])
    for name in ("unique", "unique_values", "unique_all", "unique_counts", "unique_inverse"):
        found, expected = getattr(gnp, name)(ga.tensor(x)), getattr(np, name)(x)
        assert_same(*([np.asarray(part) for part in (t if isinstance(t, tuple) else (t,))] for t in (found, expected)))
    counts = np.array([2, 0, 2, 5])
    assert_same(np.asarray(gnp.bincount(ga.tensor(counts))), np.bincount(counts))


def test_unique_needs_a_size() -> None:
    for function in (np.unique, np.unique_values, np.unique_all, np.unique_counts, np.unique_inverse):
        with pytest.raises(ga.GraphadError, match="size=n"):
            ga.trace(lambda t, function=function: function(t), np.ones(3))


# Symbolic sizes


SYMBOLIC: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: np.sort(x, 0),
    "median": lambda x: np.median(x, 0),
    "quantile": lambda x: np.quantile(x, [0.2, 0.9], 0, method="hazen"),
    "nanquantile": lambda x: np.nanquantile(x, 0.3),
    "cumprod": lambda x: np.cumprod(x, 0),
    "nanmean": lambda x: np.nanmean(x, 0),
    "digitize": lambda x: np.digitize(x, np.array([0.0, 1.0])),
    "top_k": lambda x: gnp.top_k(x, 3, axis=0),
    "gradient": lambda x: np.gradient(x, axis=0),
    "convolve": lambda x: np.convolve(x[:, 0], np.array([1.0, 2.0]), "same"),
    "cov": lambda x: np.cov(x, rowvar=False),
    "interp": lambda x: np.interp(x[:, 0], np.array([0.0, 1.0]), np.array([2.0, 3.0])),
}


@pytest.mark.parametrize("name", sorted(SYMBOLIC))
def test_symbolic_sizes(name: str) -> None:
    graph = ga.trace(SYMBOLIC[name], ga.spec((ga.dim("n"), 3), "float64"))
    for n in (4, 7):
        x = random(n, 3, seed=1)
        assert_same(graph(x), ga.trace(SYMBOLIC[name], x)(x))


# Derivatives


GRADIENTS: dict[str, Callable[[Any], Any]] = {
    "sort": lambda x: np.sort(x, 0) * np.sort(x**2, 1),
    "partition": lambda x: np.partition(x, 1, 0)[1] ** 2,
    "top_k": lambda x: gnp.top_k(x, 2)[0] ** 3,
    "median": lambda x: np.median(x, 1) * np.median(x),
    "quantile": lambda x: np.quantile(x, [0.2, 0.77], 0) ** 2,
    "nanmedian": lambda x: np.nanmedian(np.where(x > 1.5, np.nan, x)) ** 2,
    "nansum": lambda x: np.nansum(np.where(x > 1, np.nan, x) ** 2, 0),
    "nanvar": lambda x: np.nanvar(np.where(x > 1.9, np.nan, x), 0) * np.nanmean(x),
    "nanstd": lambda x: np.nanstd(np.where(x > 1.9, np.nan, x)),
    "nanmax": lambda x: np.nanmax(np.where(x > 1.5, np.nan, x), 0) ** 2,
    "cumprod": lambda x: np.cumprod(x, 1) ** 2,
    "cumulative_prod": lambda x: gnp.cumulative_prod(x[0], include_initial=True),
    "cummax": lambda x: np.maximum.accumulate(x, 1) ** 2,
    "unique": lambda x: gnp.unique(x, size=5) ** 2,
    "put_along_axis": lambda x: gnp.put_along_axis(x, np.array([[0], [2], [3]]), x[:, :1] ** 2, 1) ** 2,
    "histogram": lambda x: np.histogram(np.linspace(0, 1, 12), 3, weights=x.ravel() ** 2)[0],
}


@pytest.mark.parametrize("name", sorted(GRADIENTS))
def test_derivatives(name: str) -> None:
    ga.check_grads(GRADIENTS[name], (random(3, 4, low=0.3, high=2.0),))


def test_gradients_of_ties_follow_the_order_of_the_elements() -> None:
    x = np.array([1.0, 0.0, 1.0, 0.0])
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    assert_same(ga.grad(lambda t: (np.sort(t) * weights).sum())(x), np.array([3.0, 1.0, 4.0, 2.0]))
    assert_same(ga.grad(lambda t: np.maximum.accumulate(t).sum())(x), np.array([4.0, 0.0, 0.0, 0.0]))


def test_products_with_zeros_have_exact_derivatives() -> None:
    for x in (np.array([2.0, 0.0, 3.0]), np.array([0.0, 2.0, 0.0]), np.zeros(3)):
        ga.check_grads(lambda t: np.cumprod(t), (x,), order=3, atol=1e-4)
