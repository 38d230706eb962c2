"""Jacobians and Hessians: shapes, containers, modes, symbolic sizes, and that they are batched."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import DerivativeError

RNG = np.random.default_rng(4)
A = RNG.standard_normal((2, 3))
X = RNG.standard_normal(3)
M = RNG.standard_normal((2, 2))
ALL = [ga.jacobian, ga.jacfwd, ga.jacrev]


@pytest.mark.parametrize("jacobian", ALL)
def test_the_shape_is_that_of_the_result_then_that_of_the_argument(jacobian):
    np.testing.assert_allclose(jacobian(lambda x: np.sin(A @ x))(X), np.cos(A @ X)[:, None] * A)
    got = jacobian(lambda m: m @ m)(M)
    eye = np.eye(2)
    expected = np.einsum("ik,lj->ijkl", eye, M) + np.einsum("ik,jl->ijkl", M, eye)
    assert got.shape == (2, 2, 2, 2)
    np.testing.assert_allclose(got, expected)
    assert jacobian(lambda x: np.sum(x))(M).shape == (2, 2)
    assert jacobian(lambda x: x * np.ones((4, 1)))(2.0).shape == (4, 1)
    assert jacobian(lambda x: x**2)(2.0).shape == ()


@pytest.mark.parametrize("jacobian", ALL)
def test_containers_nest_the_argument_inside_the_result(jacobian):
    def f(p):
        return {"u": p["a"] * p["b"], "v": [np.sum(p["a"])]}

    j = jacobian(f)({"a": X, "b": 2.0, "n": 3})
    np.testing.assert_allclose(j["u"]["a"], 2 * np.eye(3))
    np.testing.assert_allclose(j["u"]["b"], X)
    np.testing.assert_allclose(j["v"][0]["a"], np.ones(3))
    np.testing.assert_allclose(j["v"][0]["b"], 0.0)
    assert j["u"]["n"] is None
    by_first, by_second = jacobian(lambda x, y: x * y, argnums=(0, 1))(X, 2 * X)
    np.testing.assert_allclose(by_first, np.diag(2 * X))
    np.testing.assert_allclose(by_second, np.diag(X))


@pytest.mark.parametrize("jacobian", ALL)
def test_no_dependence_gives_zeros(jacobian):
    np.testing.assert_array_equal(jacobian(lambda x: np.ones(2))(X), np.zeros((2, 3)))
    np.testing.assert_array_equal(jacobian(lambda x: np.floor(x))(X), np.zeros((3, 3)))


@pytest.mark.parametrize("jacobian", ALL)
def test_empty_arrays(jacobian):
    assert jacobian(lambda x: x * 2.0)(np.zeros(0)).shape == (0, 0)
    assert jacobian(lambda x: np.sum(x))(np.zeros((2, 0))).shape == (2, 0)


def test_a_jacobian_is_one_batched_product():
    def count(n):
        return len(ga.jacobian(ga.trace(lambda x: np.sin(np.tanh(x) * 2), np.ones(n))).nodes)

    assert count(3) == count(300)


def test_the_cheaper_mode_is_chosen():
    wide = ga.jacobian(ga.trace(lambda x: np.sum(np.sin(x)), np.ones(50)))
    assert {n.role for n in wide.nodes} >= {"backward"} and "tangent" not in {n.role for n in wide.nodes}
    tall = ga.jacobian(ga.trace(lambda x: np.sin(x) * np.ones(50), 1.0))
    assert {n.role for n in tall.nodes} >= {"tangent"} and "backward" not in {n.role for n in tall.nodes}


@pytest.mark.parametrize("jacobian", [*ALL, ga.hessian])
def test_named_sizes(jacobian):
    n = ga.dim("n")

    def f(x):
        return np.sum(np.tanh(x) ** 3) if jacobian is ga.hessian else np.sin(x) * np.sum(x)

    made = jacobian(ga.trace(f, ga.spec((n, 2))))
    x = RNG.standard_normal((3, 2))
    np.testing.assert_allclose(made(x), jacobian(f)(x), rtol=1e-13)
    assert made.bind(n=1)(x[:1]).shape == made.bind(n=1).output_types[0].shape


def test_hessian():
    h = RNG.standard_normal((3, 3))
    np.testing.assert_allclose(ga.hessian(lambda x: x @ h @ x)(X), h + h.T, atol=1e-14)
    got = ga.hessian(lambda p: p["a"] ** 2 * p["b"] ** 3)({"a": 2.0, "b": 3.0})
    assert [float(got[i][j]) for i in "ab" for j in "ab"] == [54.0, 108.0, 108.0, 72.0]
    (aa, ab), (ba, bb) = ga.hessian(lambda a, b: a**2 * b**3, argnums=(0, 1))(2.0, 3.0)
    assert [float(v) for v in (aa, ab, ba, bb)] == [54.0, 108.0, 108.0, 72.0]
    assert ga.hessian(lambda x: np.sin(x))(X).shape == (3, 3, 3)


def test_hessian_of_a_function_that_calls_grad_inside():
    def f(x):
        return np.sum(ga.grad(lambda y: np.sum(y**3 * x))(x) ** 2)

    # f = sum (3 x³)²; f'' = 270 x⁴
    np.testing.assert_allclose(ga.hessian(f)(X), np.diag(270 * X**4), rtol=1e-12, atol=1e-12)


def test_names_of_the_outputs_of_graphs():
    graph = ga.trace(lambda p: p["a"] * p["b"], {"a": X, "b": 2.0})
    assert ga.jacobian(graph).output_names == ("jacobian.p.a", "jacobian.p.b")
    several = ga.trace(lambda x: {"u": x, "v": 2 * x}, X)
    assert ga.jacrev(several).output_names == ("jacobian.u.x", "jacobian.v.x")
    scalar = ga.trace(lambda x, y: np.sum(x * y), X, X)
    assert ga.hessian(scalar, argnums=(0, 1)).output_names == (
        "hessian.x.x",
        "hessian.x.y",
        "hessian.y.x",
        "hessian.y.y",
    )


def test_an_integer_result_is_an_error():
    for jacobian in ALL:
        with pytest.raises(DerivativeError, match="i64"):
            jacobian(lambda x: np.argmax(x))(X)
