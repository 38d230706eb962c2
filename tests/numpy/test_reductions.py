"""Reductions and averages against NumPy: axes, dtypes, keepdims, where, initial, edges."""

from __future__ import annotations

import numpy as np
import pytest
from comparing import assert_same, check, random
from scipy import special

import graphad as ga
import graphad.numpy as gnp

AXES = [None, 0, -1, 1, (0, 2), (2, 0, 1), ()]
DTYPES = ["float64", "float32", "int64", "int32", "int8", "uint8", "bool"]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "amax", "amin", "mean", "var", "std", "any", "all"])
def test_axes(name: str, axis: object, keepdims: bool) -> None:
    check(lambda n, x: getattr(n, name)(x, axis=axis, keepdims=keepdims), random(2, 3, 4))


@pytest.mark.parametrize("axis", [None, 0, (0, 2)])
def test_ptp(axis: object) -> None:
    check(lambda n, x: (n.ptp(x, axis=axis), n.ptp(x, axis, keepdims=True)), random(2, 3, 4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "name", ["sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "cumsum", "count_nonzero"]
)
def test_dtypes(name: str, dtype: str) -> None:
    check(lambda n, x: getattr(n, name)(x), random(3, 4, dtype=dtype))
    check(lambda n, x: getattr(n, name)(x, axis=1), random(3, 4, dtype=dtype))


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_arg(name: str, axis: object, keepdims: bool) -> None:
    for dtype in ("float64", "int64", "bool"):
        check(lambda n, x: getattr(n, name)(x, axis=axis, keepdims=keepdims), random(3, 4, dtype=dtype))
    x = random(3, 4)
    x[1, 2] = np.nan
    check(lambda n, x: getattr(n, name)(x, axis=axis), x)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_cumsum(axis: object) -> None:
    check(lambda n, x: n.cumsum(x, axis=axis), random(3, 4))
    check(lambda n, x: n.cumsum(x, axis, dtype="float32"), random(3, 4, dtype="int64"))


def test_dtype_argument() -> None:
    x = random(3, 4, dtype="float32")
    for name in ("sum", "prod", "mean", "var", "std"):
        check(lambda n, x, name=name: getattr(n, name)(x, dtype="float64"), x)
        check(lambda n, x, name=name: getattr(n, name)(x, 0, dtype=np.float64), x)
    check(lambda n, x: n.sum(x, dtype=np.int32), random(4, dtype="int8"))


def test_where_and_initial() -> None:
    x, mask = random(3, 4), random(3, 4, seed=1) > 0
    check(lambda n, x: n.sum(x, axis=0, where=mask, initial=2.0), x)
    check(lambda n, x: n.prod(x, axis=1, where=mask, initial=0.5, keepdims=True), x)
    check(lambda n, x: n.max(x, axis=0, where=mask, initial=-9.0), x)
    check(lambda n, x: n.min(x, where=mask, initial=9.0), x)
    check(lambda n, x: n.max(x, initial=1.5), x)
    check(lambda n, x: n.mean(x, axis=0, where=mask), x)
    check(lambda n, x: n.var(x, axis=1, where=mask, ddof=1), x)
    check(lambda n, x: n.std(x, where=mask), x)
    check(lambda n, x: n.any(x > 0, axis=0, where=mask), x)
    check(lambda n, x: n.all(x > 0, axis=0, where=mask), x)
    check(lambda n, x, m: n.sum(x, where=m), x, mask)
    check(lambda n, x: n.sum(x, axis=1, where=mask[:, :1]), x)


def test_empty() -> None:
    empty = np.ones((0, 3))
    check(lambda n, x: (n.sum(x, axis=0), n.prod(x), n.any(x), n.all(x, axis=0)), empty)
    check(lambda n, x: (n.max(x, axis=0, initial=2.0), n.min(x, initial=-1.0), n.max(x, axis=1)), empty)
    check(lambda n, x: n.mean(x, axis=0), empty)


def test_correction() -> None:
    x = random(3, 4)
    check(lambda n, x: (n.var(x, ddof=1), n.std(x, 0, ddof=2), n.var(x, 1, correction=1)), x)
    check(lambda n, x: (n.std(x, ddof=0.5), n.var(x, 0, ddof=3), n.var(x, 0, ddof=7)), x)
    check(lambda n, x: n.var(x, axis=0, mean=np.mean(x, axis=0, keepdims=True)), x)


def test_average() -> None:
    x, w = random(3, 4), random(3, 4, seed=3, low=0.1)
    check(lambda n, x: n.average(x), x)
    check(lambda n, x: n.average(x, axis=0, keepdims=True), x)
    check(lambda n, x, w: n.average(x, weights=w), x, w)
    check(lambda n, x, w: n.average(x, axis=1, weights=w, returned=True), x, w)
    check(lambda n, x, w: n.average(x, axis=1, weights=w), x, w[0])
    check(lambda n, x, w: n.average(x, axis=(1, 0), weights=w), x, w.T.copy())
    check(lambda n, x: n.average(x, axis=1, returned=True), x)
    check(lambda n, x: n.average(x, axis=0, weights=[1, 2, 3]), random(3, 4, dtype="int64"))


def test_methods() -> None:
    x = random(3, 4)
    for name in ("sum", "prod", "max", "min", "mean", "var", "std", "any", "all", "argmax", "argmin", "cumsum"):
        check(lambda n, x, name=name: getattr(x, name)(), x)
        check(lambda n, x, name=name: getattr(x, name)(1), x)
    check(lambda n, x: x.sum(axis=0, keepdims=True) + x.mean(keepdims=True), x)


def test_ufunc_methods() -> None:
    x = random(3, 4)
    for ufunc in (np.add, np.multiply, np.maximum, np.minimum):

        def both(t, ufunc=ufunc):  # type: ignore[no-untyped-def]
            return ufunc.reduce(t), ufunc.reduce(t, axis=(0, 1), keepdims=True)

        assert_same(ga.trace(both, x)(x), both(x))
    mask = x > 0
    graph = ga.trace(lambda t: (np.logical_and.reduce(t, axis=1), np.logical_or.reduce(t)), mask)
    assert_same(graph(mask), (np.logical_and.reduce(mask, axis=1), np.logical_or.reduce(mask)))
    graph = ga.trace(lambda t: (np.add.accumulate(t), np.add.accumulate(t, axis=1)), x)
    assert_same(graph(x), (np.add.accumulate(x), np.add.accumulate(x, axis=1)))
    graph = ga.trace(lambda t: (np.multiply.outer(t, t), np.subtract.outer(t[0], t)), x)
    assert_same(graph(x), (np.multiply.outer(x, x), np.subtract.outer(x[0], x)))


def reference_logsumexp(x: np.ndarray, axis: object, keepdims: bool = False) -> np.ndarray:
    return special.logsumexp(x, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp(axis: object, keepdims: bool) -> None:
    for x in (random(3, 4), 1000 * random(3, 4), np.full((3, 4), -np.inf), np.array([[0.0, np.inf], [1.0, -np.inf]])):
        graph = ga.trace(lambda t: gnp.logsumexp(t, axis=axis, keepdims=keepdims), x)
        assert_same(graph(x), np.asarray(reference_logsumexp(x, axis, keepdims)))


def test_logsumexp_weights() -> None:
    x, b = random(3, 4), random(3, 4, low=0.5, seed=2)
    assert_same(ga.trace(lambda t, w: gnp.logsumexp(t, 1, b=w), x, b)(x, b), special.logsumexp(x, 1, b=b))


@pytest.mark.parametrize("axis", [-1, 0, (0, 1)])
def test_softmax(axis: object) -> None:
    for x in (random(3, 4), 1000 * random(3, 4)):
        assert_same(ga.trace(lambda t: gnp.softmax(t, axis), x)(x), special.softmax(x, axis))
        assert_same(ga.trace(lambda t: gnp.log_softmax(t, axis), x)(x), special.log_softmax(x, axis))


def test_gradients_at_edges() -> None:
    equal = np.full(3, 2.0)
    np.testing.assert_array_equal(ga.grad(lambda x: np.std(x))(equal), np.zeros(3))
    lowest = np.full(3, -np.inf)
    np.testing.assert_array_equal(ga.grad(lambda x: gnp.logsumexp(x))(lowest), np.zeros(3))
    x = np.array([1000.0, 0.0, -np.inf])
    np.testing.assert_allclose(ga.grad(lambda x: gnp.logsumexp(x))(x), [1.0, 0.0, 0.0])
    np.testing.assert_allclose(ga.grad(lambda x: gnp.log_softmax(x)[0])(np.zeros(2)), [0.5, -0.5])


def test_symbolic() -> None:
    n = ga.dim("n")
    x = random(5, 3)
    functions = [
        lambda t: np.mean(t),
        lambda t: np.mean(t, axis=0),
        lambda t: np.var(t, axis=0, ddof=1),
        lambda t: np.std(t),
        lambda t: np.sum(t, axis=0, keepdims=True),
        lambda t: np.max(t, axis=0),
        lambda t: np.argmax(t, axis=0),
        lambda t: np.cumsum(t),
        lambda t: np.average(t, axis=0),
    ]
    for function in functions:
        assert_same(ga.trace(function, ga.spec((n, 3)))(x), function(x))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: np.sum(x, axis=2), "axis 2 is outside"),
        (lambda x: np.sum(x, axis=(0, -2)), "twice"),
        (lambda x: np.max(x, where=x > 0), "needs initial="),
        (lambda x: np.max(x[:0]), "empty axis"),
        (lambda x: np.var(x, ddof=1, correction=1), "not both"),
        (lambda x: np.sum(x, dtype=np.longdouble), "is not supported"),
        (lambda x: np.average(x, weights=[1.0, 2.0]), "axis must be given"),
        (lambda x: np.divide.accumulate(x), "np.divide.accumulate cannot be traced"),
        (lambda x: np.add.at(x, 0, 1), "x.at"),
        (lambda x: np.add.reduceat(x, [0, 1]), "cannot be traced"),
    ],
)
def test_errors(function: object, text: str) -> None:
    with pytest.raises(ga.GraphadError) as caught:
        ga.trace(function, np.ones((3, 4)))
    assert text in str(caught.value)
    assert "test_reductions.py" in str(caught.value)
