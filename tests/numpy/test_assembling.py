"""block, insert, delete, resize, positions, matvec, logspace and geomspace, polyfit, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from comparing import check, random

import graphad as ga

gnp = ga.numpy
X, V = random(3, 4), random(4, seed=1)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
@pytest.mark.parametrize("obj", [1, -1, [0, 2], [2, 0, 0], slice(0, 2), [], np.array([True, False, True])])
def test_delete(obj: Any, axis: Any) -> None:
    if isinstance(obj, np.ndarray) and axis != 0:
        return
    check(lambda xp, x: xp.delete(x, obj, axis=axis), X)


@pytest.mark.parametrize(
    ("obj", "values", "axis"),
    [
        (1, 7.0, 0),
        (1, [1.0, 2.0, 3.0, 4.0], 0),
        (1, [1.0, 2.0, 3.0], 1),
        (-1, 7.0, None),
        ([1], [[1.0], [2.0], [3.0]], 1),
        ([0, 2], 5.0, 1),
        ([0, 2, 2], 5.0, None),
        ([3, 0], [[1.0, 2.0]], 1),
        (slice(0, 2), 9.0, 0),
        (np.array([True, False, True]), 4.0, 0),
        (3, np.ones((2, 4)), 0),
    ],
    ids=str,
)
def test_insert(obj: Any, values: Any, axis: Any) -> None:
    check(lambda xp, x: xp.insert(x, obj, values, axis=axis), X)


def test_insert_is_differentiable_by_both() -> None:
    ga.check_grads(lambda x, v: np.sin(np.insert(x, 1, v, axis=0)), (X, V))


def test_block() -> None:
    check(lambda xp, x, v: xp.block([[x, x], [v, v]]), X, V)
    check(lambda xp, x, v: xp.block([v, v, 1.0]), X, V)
    check(lambda xp, x: xp.block(x), X)
    check(lambda xp, x: xp.block([[[x]], [[x]]]), X)
    with pytest.raises(ga.GraphadError, match="equally deep"):
        ga.trace(lambda x: gnp.block([[x], x]), X)


@pytest.mark.parametrize("shape", [(2, 3), 5, (4, 7), (0,), ()])
def test_resize(shape: Any) -> None:
    check(lambda xp, x: xp.resize(x, shape), X)
    check(lambda xp, x: xp.resize(x, shape), np.zeros((0, 2)))


@pytest.mark.parametrize("order", ["C", "F"])
def test_positions(order: str) -> None:
    i, j = np.array([[0, 2], [1, 1]]), np.array([3, 0])
    check(lambda xp, i, j: xp.ravel_multi_index((i, j), (3, 4), order=order), i, j)
    check(lambda xp, i, j: xp.ravel_multi_index((i - 4, j + 9), (3, 4), mode=("wrap", "clip"), order=order), i, j)
    check(lambda xp, i: xp.unravel_index(i + 5, (3, 4), order=order), i)
    check(lambda xp, i: xp.unravel_index(i + 5, 30), i)


def test_meshes_and_triangles() -> None:
    check(lambda xp, x: x[xp.ix_([0, 2], [True, False, True, True])], X)
    check(lambda xp, x, i: x[xp.ix_(i, i + 1)], X, np.array([2, 0]))
    square = random(4, 4)
    check(lambda xp, x: x[xp.diag_indices_from(x)], square)
    check(lambda xp, x: x[xp.tril_indices_from(x, 1)], X)
    check(lambda xp, x: x[xp.triu_indices_from(x, -1)], X)


def test_products_of_stacks_with_vectors() -> None:  # NumPy has them since 2.2
    stack, v, w = random(2, 1, 3, 4), random(5, 4), random(5, 3)
    np.testing.assert_allclose(ga.trace(gnp.matvec, stack, v)(stack, v), (stack @ v[..., None])[..., 0])
    np.testing.assert_allclose(ga.trace(gnp.vecmat, w, stack)(w, stack), (w[..., None, :] @ stack)[..., 0, :])
    with pytest.raises(ga.GraphadError, match="matrices"):
        ga.trace(lambda v: gnp.matvec(v, v), V)


@pytest.mark.parametrize("endpoint", [True, False])
def test_spaces(endpoint: bool) -> None:
    a, b = np.array([0.5, -3.0]), np.array([8.0, -0.25])
    check(lambda xp, a, b: xp.geomspace(a, b, 5, endpoint=endpoint), a, b)
    check(lambda xp, a: xp.geomspace(a, 4.0, 3, endpoint=endpoint, axis=-1), abs(a))
    check(lambda xp, a, b: xp.logspace(a, b, 4, endpoint=endpoint, base=2.0), a, b)
    ga.check_grads(lambda a, b: np.geomspace(a, b, 5, endpoint=endpoint), (a, b))


def test_polyfit() -> None:
    x, y, w = np.linspace(-1, 2, 9), random(9, 2), random(9, low=0.5, high=2.0)
    check(lambda xp, x, y: xp.polyfit(x, y, 3), x, y, tolerance=1e-9)
    check(lambda xp, x, y: xp.polyfit(x, y[:, 0], 2, w=w), x, y, tolerance=1e-9)
    ga.check_grads(lambda y: np.polyfit(x, y, 2), (y,))


def test_masks_and_searches() -> None:
    check(
        lambda xp, x: (xp.array_equiv(x, x[:1]), xp.array_equiv(x, xp.broadcast_to(x[0], (2, 3, 4)))), np.ones((3, 4))
    )
    assert not ga.trace(lambda x: gnp.array_equiv(x, x[:2]), X)(X)
    check(lambda xp, x: xp.isin(x, [1, 3, 9], invert=True), np.arange(6).reshape(2, 3))
    known = ga.tensor([[0.0, 2.0], [3.0, 0.0]])
    np.testing.assert_array_equal(np.argwhere(known), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(np.flatnonzero(known), [1, 2])
    for found, wanted in zip(np.where(known > 0), np.where(known.numpy() > 0), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(ga.GraphadError, match="axes"):
        gnp.nonzero(ga.tensor(1.0))


def test_the_coverage_tool_can_say_no() -> None:
    import test_coverage

    calls, tool = test_coverage.sys.modules["calls"], test_coverage.table
    example = calls.Example(lambda f, x: f(x), (X,))
    assert tool.traces(example, np.sin, [np.sin(X)]) and not tool.traces(example, np.cos, [np.sin(X)])
    assert tool.differentiates(example, np.sin, "rev")
    assert not tool.differentiates(example, lambda x: ga.stop_gradient(x) * 2, "rev")
    assert not tool.traces(example, lambda x: np.asarray(float(x[0, 0])), [X[0, 0]])


def test_polynomials_and_their_roots() -> None:
    p, q = np.array([2.0, -1.0, 0.5, 3.0, -4.0]), np.array([1.5, 2.0, -1.0])
    for u, v in ((p, q), (q, p), (p, q[:1]), (p, p)):
        quotient, rest = ga.trace(np.polydiv, u, v)(u, v)
        np.testing.assert_allclose(np.polyadd(np.polymul(quotient, v), rest)[-len(u) :], u, atol=1e-12)
        np.testing.assert_allclose(quotient, np.polydiv(u, v)[0], atol=1e-12)
    check(lambda xp, r: xp.poly(r), V)
    found = ga.trace(np.roots, p)(p)
    np.testing.assert_allclose(np.sort_complex(found), np.sort_complex(np.roots(p)))
    check(lambda xp, r: xp.sort_complex(r), X[0])
    check(lambda xp, r: xp.sort_complex(r), np.array([3, 1, 2], np.int8))
    ga.check_grads(lambda c: np.abs(np.roots(c)), (p,), order=1)
    ga.check_grads(lambda c, d: np.polydiv(c, d), (p, q))
