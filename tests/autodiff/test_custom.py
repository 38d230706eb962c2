"""custom_vjp and custom_jvp: the rules are used, in every nesting, and nothing of the calculus around them breaks."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import ContainerError, DerivativeError
from graphad.ir.parser import parse

X = np.array([0.3, -1.2, 2.0])


@ga.custom_vjp
def tenfold(x, y):
    """sin(x) y, with ten times the derivative by x and none by y."""
    return np.sin(x) * y


tenfold.defvjp(lambda x, y: (tenfold(x, y), (x, y)), lambda kept, g: (10 * g * np.cos(kept[0]) * kept[1], None))


@ga.custom_jvp
def double_exp(x):
    """e^x with twice the derivative."""
    return np.exp(x)


@double_exp.defjvp
def _(primals, tangents):
    y = double_exp(*primals)
    return y, 2 * y * tangents[0]


def test_values_are_the_functions():
    np.testing.assert_array_equal(tenfold(X, 2.0), np.sin(X) * 2)
    np.testing.assert_array_equal(double_exp(X), np.exp(X))
    assert tenfold.__doc__.startswith("sin(x) y")
    graph = ga.trace(lambda x: tenfold(x, 2.0) + double_exp(x), X)
    np.testing.assert_allclose(graph(X), np.sin(X) * 2 + np.exp(X))


def test_the_rule_is_used():
    np.testing.assert_allclose(ga.grad(lambda x: np.sum(tenfold(x, x)))(X), 10 * np.cos(X) * X)
    np.testing.assert_allclose(ga.grad(lambda x: np.sum(double_exp(x)))(X), 2 * np.exp(X))
    np.testing.assert_allclose(ga.jvp(double_exp, (X,), (X,))[1], 2 * np.exp(X) * X)
    np.testing.assert_allclose(ga.jvp(lambda x: tenfold(x, 2.0), (X,), (X,))[1], 20 * np.cos(X) * X)


def test_second_derivatives_go_through_the_rules():
    np.testing.assert_allclose(ga.grad(ga.grad(double_exp))(1.0), 4 * np.e)
    np.testing.assert_allclose(ga.grad(ga.grad(ga.grad(double_exp)))(1.0), 8 * np.e)
    np.testing.assert_allclose(ga.grad(ga.grad(lambda x: tenfold(x, 1.0)))(0.5), -10 * np.sin(0.5))


def test_a_residual_that_is_the_result_has_the_rule_again():
    @ga.custom_vjp
    def f(x):
        return np.exp(x)

    def forward(x):
        y = f(x)
        return y, y

    f.defvjp(forward, lambda y, g: (3 * g * y,))
    np.testing.assert_allclose(ga.grad(ga.grad(f))(1.0), 9 * np.e)


def test_a_gradient_that_would_be_nan():
    @ga.custom_vjp
    def safe_norm(x):
        return np.sqrt(np.sum(x * x))

    safe_norm.defvjp(
        lambda x: (safe_norm(x), (x, safe_norm(x))),
        lambda kept, g: (g * np.where(kept[1] > 0, kept[0] / np.where(kept[1] > 0, kept[1], 1.0), 0.0),),
    )
    np.testing.assert_array_equal(ga.grad(safe_norm)(np.zeros(2)), np.zeros(2))
    np.testing.assert_allclose(ga.grad(safe_norm)(np.array([3.0, 4.0])), [0.6, 0.8])


def test_under_vmap():
    xs = np.stack([X, 2 * X])
    got = ga.vmap(ga.grad(lambda x: np.sum(tenfold(x, x))))(xs)
    np.testing.assert_allclose(got, 10 * np.cos(xs) * xs)
    got = ga.grad(lambda xs: np.sum(ga.vmap(lambda x: tenfold(x, x))(xs)))(xs)
    np.testing.assert_allclose(got, 10 * np.cos(xs) * xs)
    # A shared operand: its cotangents are summed over the batch.
    got = ga.grad(lambda x: np.sum(ga.vmap(tenfold, in_axes=(None, 0))(x, xs)))(X)
    np.testing.assert_allclose(got, 10 * np.cos(X) * xs.sum(0))
    np.testing.assert_allclose(ga.hessian(lambda x: np.sum(double_exp(x)))(X), np.diag(4 * np.exp(X)))


def test_containers_and_arguments_that_are_not_arrays():
    @ga.custom_vjp
    def f(p, how, n):
        return {"y": p["a"] * p["b"] ** n if how == "power" else p["a"]}

    def forward(p, how, n):
        return f(p, how, n), (p, how, {"static": "kept"})

    def backward(kept, g):
        assert kept[1] == "power" and kept[2] == {"static": "kept"}
        return {"a": g["y"] * 100, "b": None}, None, None

    f.defvjp(forward, backward)
    g = ga.grad(lambda p: np.sum(f(p, "power", 2)["y"]))({"a": X, "b": 3.0})
    np.testing.assert_array_equal(g["a"], 100 * np.ones(3))
    assert float(g["b"]) == 0


def test_closures_over_tensors_become_operands():
    def outer(a):
        @ga.custom_vjp
        def f(x):
            return x * a

        f.defvjp(lambda x: (f(x), None), lambda _, g: (g * a * 5,))
        return f(a * 2)

    np.testing.assert_allclose(ga.grad(outer)(3.0), 3.0 * 5 * 2)
    graph = ga.trace(outer, ga.spec((ga.dim("n"),)))
    np.testing.assert_allclose(graph(X), 2 * X * X)
    np.testing.assert_allclose(ga.vmap(ga.grad(outer))(X), 10 * X)

    def outer_jvp(a):
        @ga.custom_jvp
        def f(x):
            return x * a

        f.defjvp(lambda p, t: (f(*p), t[0] * a * 5))
        return f(a * 2)

    np.testing.assert_allclose(ga.grad(outer_jvp)(3.0), 30.0)


def test_the_node_prints_and_parses_and_binds():
    graph = ga.trace(lambda x: tenfold(x, x) + double_exp(x), ga.spec((ga.dim("n"),)))
    for made in (graph, ga.vjp(graph), ga.vmap(graph), graph.bind(n=3)):
        assert parse(str(made)) == made
    np.testing.assert_allclose(
        ga.vjp(parse(str(graph)).bind(n=3))(X, np.ones(3))[1][0],
        10 * np.cos(X) * X + 2 * np.exp(X),
    )


def test_integer_arguments_and_results():
    @ga.custom_jvp
    def f(x, n):
        return x * n, n + 1

    @f.defjvp
    def _(primals, tangents):
        assert tangents[1] is None
        return f(*primals), (7 * tangents[0], None)

    value, tangent = ga.jvp(f, (X, 3), (X, None))
    np.testing.assert_allclose(tangent[0], 7 * X)
    assert tangent[1] is None and int(value[1]) == 4
    np.testing.assert_allclose(ga.vjp(f, X, 3)[1]((X, None))[0], 7 * X)


def test_the_backward_rule_makes_backward_nodes():
    made = ga.grad(ga.trace(lambda x: np.sum(tenfold(x, x)), X))
    assert next(n for n in made.nodes if n.op.name == "cos").role == "backward"


def test_rules_that_do_not_fit():
    @ga.custom_vjp
    def f(x):
        return x * 2

    with pytest.raises(DerivativeError, match="defvjp"):
        ga.grad(lambda x: np.sum(f(x)))(X)
    f.defvjp(lambda x: f(x), lambda kept, g: (g,))
    with pytest.raises(DerivativeError, match="pair"):
        ga.grad(lambda x: np.sum(f(x)))(X)
    f.defvjp(lambda x: (f(x), x), lambda kept, g: g)
    with pytest.raises(DerivativeError, match="tuple of 1"):
        ga.grad(lambda x: np.sum(f(x)))(X)
    f.defvjp(lambda x: (f(x), x), lambda kept, g: (np.sum(g),))
    with pytest.raises(DerivativeError, match=r"cotangent of x.*f64\[\], not f64\[3\]"):
        ga.grad(lambda x: np.sum(f(x)))(X)
    f.defvjp(lambda x: ((f(x), x), x), lambda kept, g: (g,))
    with pytest.raises((ContainerError, DerivativeError), match="forward rule's result"):
        ga.grad(lambda x: np.sum(f(x)))(X)
    # After a failure the function still has its rules.
    f.defvjp(lambda x: (f(x), x), lambda kept, g: (g * 4,))
    np.testing.assert_allclose(ga.grad(lambda x: np.sum(f(x)))(X), 4 * np.ones(3))
