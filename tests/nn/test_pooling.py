"""Pooling and resizing against loops, with derivatives and ties."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad import nn

Array = np.ndarray[Any, Any]
FOLDS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min}


def distinct(*shape: int) -> Array:
    """Return elements no two of which are near each other."""
    return np.random.default_rng(sum(shape)).permutation(int(np.prod(shape))).reshape(shape) / np.prod(shape) - 0.4


def by_loops(x: Array, reduction: str, window: Any, strides: Any, pads: Any, dilation: Any) -> Array:
    """Reduce windows one after the other; padding is left out (nan)."""
    x = np.pad(x.astype(float), pads, constant_values=np.nan)
    extents = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    space = [(n - e) // s + 1 for n, e, s in zip(x.shape, extents, strides, strict=True)]
    y = np.zeros(space)
    for place in itertools.product(*map(range, space)):
        index = tuple(slice(t * s, t * s + e, d) for t, s, e, d in zip(place, strides, extents, dilation, strict=True))
        part = x[index]
        y[place] = FOLDS[reduction](part[~np.isnan(part)])
    return y


CASES = [
    ((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    ((3, 2), (1, 2), ((1, 1), (0, 1)), (1, 1)),
    ((2, 3), (2, 1), ((1, 0), (2, 2)), (2, 1)),
    ((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    ((1, 1), (2, 3), ((0, 0), (0, 0)), (1, 1)),
    ((6, 7), (1, 1), ((0, 0), (0, 0)), (1, 1)),
]


@pytest.mark.parametrize("reduction", sorted(FOLDS))
@pytest.mark.parametrize("case", CASES, ids=str)
def test_reduce_window(reduction: str, case: Any) -> None:
    window, strides, pads, dilation = case
    x = distinct(6, 7)

    def f(x: Any) -> Any:
        return nn.reduce_window(x, reduction, window, strides, pads, dilation)

    np.testing.assert_allclose(ga.trace(f, x)(x), by_loops(x, reduction, window, strides, pads, dilation), rtol=1e-12)
    ga.check_grads(lambda x: f(x) ** 2, (x,), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["max_pool", "min_pool", "avg_pool"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
def test_pools(name: str, dtype: str) -> None:
    x = (20 * distinct(2, 3, 6, 5)).astype(dtype)
    graph = ga.trace(lambda x: getattr(nn, name)(x, 3, 2, 1), x)
    reduction = {"max_pool": "max", "min_pool": "min", "avg_pool": "mean"}[name]
    pads = ((0, 0), (0, 0), (1, 1), (1, 1))
    expected = by_loops(x, reduction, (1, 1, 3, 3), (1, 1, 2, 2), pads, (1, 1, 1, 1))
    found = graph(x)
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert found.dtype == (np.float64 if dtype == "int32" and name == "avg_pool" else x.dtype)


def test_padding_that_counts() -> None:
    x = np.ones((1, 1, 3))
    assert ga.trace(lambda x: nn.avg_pool(x, 2, 1, 1, count_include_pad=True), x)(x).tolist() == [[[0.5, 1, 1, 0.5]]]
    assert ga.trace(lambda x: nn.avg_pool(x, 2, 1, 1), x)(x).tolist() == [[[1, 1, 1, 1]]]
    assert ga.trace(lambda x: nn.max_pool(x, 2, padding="same"), x)(x).shape == (1, 1, 2)


def test_of_equal_elements_the_first_gets_the_gradient() -> None:
    x = np.zeros((1, 1, 3, 4))
    expected = [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    for pool in (nn.max_pool, nn.min_pool):
        assert ga.grad(lambda x, pool=pool: pool(x, 2).sum())(x)[0, 0].tolist() == expected
    x[0, 0] = [[0, 1, 0, 0], [1, 1, 0, 2], [0, 0, 0, 2]]
    gradient = ga.grad(lambda x: nn.max_pool(x, (3, 2)).sum())(x)[0, 0]
    assert gradient.tolist() == [[0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_nan_wins() -> None:
    x = np.array([[[1.0, np.nan, 2.0, 3.0]]])
    np.testing.assert_array_equal(ga.trace(lambda x: nn.max_pool(x, 2), x)(x), [[[np.nan, 3.0]]])
    np.testing.assert_array_equal(ga.grad(lambda x: nn.max_pool(x, 2).sum())(x), [[[0, 1, 0, 1]]])


def test_pooling_batched_and_symbolic() -> None:
    x = distinct(3, 2, 1, 4, 4)
    single = ga.trace(lambda x: nn.max_pool(x, 2), x[0])
    np.testing.assert_array_equal(ga.vmap(lambda x: nn.max_pool(x, 2))(x), np.stack([single(part) for part in x]))
    gradient = ga.vmap(ga.grad(lambda x: (nn.max_pool(x, 2) ** 2).sum()))(x)
    one = ga.grad(lambda x: (nn.max_pool(x, 2) ** 2).sum())
    np.testing.assert_allclose(gradient, np.stack([one(part) for part in x]))
    graph = ga.trace(lambda x: nn.avg_pool(x, 2, 1), ga.spec((ga.dim("n"), 1, ga.dim("h"), 4), "float64"))
    np.testing.assert_allclose(graph(x[0]), ga.trace(lambda x: nn.avg_pool(x, 2, 1), x[0])(x[0]))


def by_centres(x: Array, m: int) -> Array:
    """Interpolate the last axis linearly between half-pixel centres."""
    n = x.shape[-1]
    return np.apply_along_axis(lambda row: np.interp((np.arange(m) + 0.5) * n / m - 0.5, np.arange(n), row), -1, x)


@pytest.mark.parametrize("size", [(5, 4), (10, 7), (3, 2), (1, 1), (7, 12)])
def test_resize(size: tuple[int, int]) -> None:
    x = distinct(2, 3, 5, 4)
    linear = ga.trace(lambda x: nn.resize(x, size), x)(x)
    expected = by_centres(by_centres(x, size[1]).swapaxes(-1, -2), size[0]).swapaxes(-1, -2)
    np.testing.assert_allclose(linear, expected, rtol=1e-12, atol=1e-12)
    nearest = ga.trace(lambda x: nn.resize(x, size, "nearest"), x)(x)
    rows, columns = ((2 * np.arange(m) + 1) * n // (2 * m) for m, n in zip(size, (5, 4), strict=True))
    np.testing.assert_array_equal(nearest, x[:, :, rows][:, :, :, columns])
    ga.check_grads(lambda x: nn.resize(x, size) ** 2, (x[:1, :1],), rtol=1e-4, atol=1e-4)


def test_resize_with_antialiasing_keeps_constants_and_averages() -> None:
    x = np.full((1, 1, 8), 3.0)
    np.testing.assert_allclose(ga.trace(lambda x: nn.resize(x, 3, antialias=True), x)(x), np.full((1, 1, 3), 3.0))
    x = distinct(1, 2, 8)
    centre = (np.arange(2) + 0.5) * 4 - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(8) - centre[:, None]) / 4)
    expected = x @ (weights / weights.sum(1, keepdims=True)).T
    np.testing.assert_allclose(ga.trace(lambda x: nn.resize(x, 2, antialias=True), x)(x), expected)
    ga.check_grads(lambda x: nn.resize(x, 2, antialias=True) ** 2, (x,), rtol=1e-4)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: nn.max_pool(x, (2, 2)), "one for each of 1 spatial axes"),
        (lambda x: nn.max_pool(x, 2, padding=-1), "must not be negative"),
        (lambda x: nn.max_pool(x, 9), "exceeds axis"),
        (lambda x: nn.reduce_window(x, "product", 2), "'sum', 'mean', 'max' or 'min'"),
        (lambda x: nn.resize(x, 3, "cubic"), "method must be one of"),
        (lambda x: nn.resize(x[0], 3), "batch, channels"),
    ],
)
def test_errors(function: Any, text: str) -> None:
    with pytest.raises(ga.GraphadError, match=text):
        ga.trace(function, np.ones((2, 3, 5)))
