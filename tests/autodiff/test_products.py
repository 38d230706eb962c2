"""vjp, jvp, linearize and hvp."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import ContainerError, DerivativeError
from graphad.ir.op import General
from graphad.ir.parser import parse

RNG = np.random.default_rng(3)
A = RNG.standard_normal((2, 3))
X = RNG.standard_normal(3)
Y = RNG.standard_normal(2)


def f(x):
    return np.sin(A @ x)


J = np.cos(A @ X)[:, None] * A


def test_vjp_is_the_transposed_jacobian_times_a_cotangent():
    value, pull = ga.vjp(f, X)
    np.testing.assert_allclose(value, f(X))
    for w in (Y, 2 * Y):
        (got,) = pull(w)
        np.testing.assert_allclose(got, w @ J)


def test_jvp_is_the_jacobian_times_a_tangent():
    value, tangent = ga.jvp(f, (X,), (2 * X,))
    np.testing.assert_allclose(value, f(X))
    np.testing.assert_allclose(tangent, J @ (2 * X))


def test_linearize_gives_the_jvp_at_a_point():
    value, push = ga.linearize(f, X)
    np.testing.assert_allclose(value, f(X))
    for v in (X, np.ones(3)):
        np.testing.assert_allclose(push(v), J @ v)


class _Counted(General):
    """y = 2 x, counting how often it is evaluated."""

    name = "counted_for_test"
    count = 0

    def infer(self, x):
        return x

    def evaluate(self, x):
        type(self).count += 1
        return 2 * x

    def vjp(self, cotangents, operands, results):
        return (2 * cotangents[0],)


def counted(x):
    from graphad.ir.emit import apply

    return apply(_Counted(), x)


@pytest.mark.parametrize("transform", [ga.vjp, ga.linearize])
def test_forward_values_are_computed_once(transform):
    _Counted.count = 0
    _, linear = transform(lambda x: np.sin(counted(x)) * np.cos(counted(x)), X)
    once = _Counted.count
    assert once == 2
    for _ in range(3):
        linear(np.ones(3))
    # The op's own derivative may be evaluated; its value is not computed again.
    assert _Counted.count - once in (0, 3 * 2 * (transform is ga.linearize))


def test_containers():
    def g(p, n):
        return {"a": p["x"] * n, "b": (np.sum(p["x"]), n)}

    value, pull = ga.vjp(g, {"x": X}, 3)
    assert set(value) == {"a", "b"} and int(value["b"][1]) == 3
    cotangent, none = pull({"a": X, "b": (2.0, None)})
    np.testing.assert_allclose(cotangent["x"], 3 * X + 2)
    assert none is None
    value, tangent = ga.jvp(g, ({"x": X}, 3), ({"x": X}, None))
    np.testing.assert_allclose(tangent["a"], 3 * X)
    np.testing.assert_allclose(tangent["b"][0], X.sum())
    assert tangent["b"][1] is None


def test_none_is_a_zero_cotangent_or_tangent():
    _, pull = ga.vjp(lambda x: (x * x, np.sum(x)), X)
    np.testing.assert_allclose(pull((None, 3.0))[0], 3 * np.ones(3))
    _, tangent = ga.jvp(lambda x, y: x * y, (X, X), (None, np.ones(3)))
    np.testing.assert_allclose(tangent, X)
    _, tangent = ga.jvp(lambda x, y: x * y, (X, X), (None, None))
    np.testing.assert_allclose(tangent, np.zeros(3))
    _, push = ga.linearize(lambda x, y: x * y, X, X)
    np.testing.assert_allclose(push(None, np.ones(3)), X)


def test_has_aux():
    value, pull, aux = ga.vjp(lambda x: (x * x, {"sum": np.sum(x)}), X, has_aux=True)
    np.testing.assert_allclose(value, X * X)
    assert float(aux["sum"]) == X.sum()
    np.testing.assert_allclose(pull(np.ones(3))[0], 2 * X)


def test_hvp():
    h = np.diag([1.0, 2.0, 3.0])
    (product,) = ga.hvp(lambda x: x @ h @ x / 2 + np.sum(np.sin(x)), (X,), (np.ones(3),))
    np.testing.assert_allclose(product, h @ np.ones(3) - np.sin(X))
    px, py = ga.hvp(lambda x, y: np.sum(x * y), (X, X), (np.ones(3), None))
    np.testing.assert_allclose(px, np.zeros(3))
    np.testing.assert_allclose(py, np.ones(3))
    with pytest.raises(DerivativeError, match=r"hvp.*f64\[3\]"):
        ga.hvp(lambda x: x, (X,), (X,))


def test_inside_a_trace_the_pullback_emits_nodes():
    def g(x):
        _, pull = ga.vjp(np.sin, x)
        return pull(x)[0] + pull(np.ones(3))[0]

    graph = ga.trace(g, X)
    np.testing.assert_allclose(graph(X), np.cos(X) * (X + 1))
    np.testing.assert_allclose(ga.grad(lambda x: np.sum(g(x)))(X), np.cos(X) - np.sin(X) * (X + 1))
    assert sum(n.op.name == "cos" for n in graph.nodes) <= 2


def test_a_pullback_of_arrays_takes_tensors():
    _, pull = ga.vjp(lambda x: x**3, X)
    np.testing.assert_allclose(ga.grad(lambda w: np.sum(pull(w * w)[0]))(X), 2 * X * 3 * X**2)


def test_derivatives_of_derivatives_in_every_order_of_modes():
    def g(x):
        return np.sum(np.exp(np.sin(x)))

    expected = (np.cos(X) ** 2 - np.sin(X)) * np.exp(np.sin(X))
    ones = np.ones(3)
    reverse_reverse = ga.grad(lambda x: np.sum(ga.grad(g)(x)))(X)
    forward_reverse = ga.jvp(ga.grad(g), (X,), (ones,))[1]
    reverse_forward = ga.grad(lambda x: ga.jvp(g, (x,), (ones,))[1])(X)

    def elementwise(x):
        return np.exp(np.sin(x))

    forward_forward = ga.jvp(lambda x: ga.jvp(elementwise, (x,), (ones,))[1], (X,), (ones,))[1]
    for got in (reverse_reverse, forward_reverse, reverse_forward, forward_forward):
        np.testing.assert_allclose(got, expected, rtol=1e-13)


def test_graphs_take_one_more_argument():
    graph = ga.trace(lambda p, n: {"y": np.sin(p["x"]) * n, "n": n}, {"x": X}, 3)
    pulled = ga.vjp(graph)
    assert pulled.input_names == ("p.x", "n", "cotangent.y")
    value, (cotangent, none) = pulled({"x": X}, 3, {"y": X, "n": None})
    np.testing.assert_allclose(value["y"], 3 * np.sin(X))
    np.testing.assert_allclose(cotangent["x"], 3 * np.cos(X) * X)
    assert none is None
    pushed = ga.jvp(graph)
    assert pushed.input_names == ("p.x", "n", "tangent.p.x")
    value, tangent = pushed({"x": X}, 3, ({"x": X}, None))
    np.testing.assert_allclose(tangent["y"], 3 * np.cos(X) * X)
    scalar = ga.trace(lambda x: np.sum(x**3), X)
    product = ga.hvp(scalar)
    np.testing.assert_allclose(product(X, (X,))[0], 6 * X * X)
    for made in (pulled, pushed, product):
        assert parse(str(made)) == made


def test_what_does_not_fit():
    _, pull = ga.vjp(lambda x: {"a": x}, X)
    with pytest.raises(DerivativeError, match=r"expected f64\[3\], got f64\[2\]"):
        pull({"a": Y})
    with pytest.raises(ContainerError, match="cotangent"):
        pull({"b": X})
    with pytest.raises(ContainerError, match="expected a tuple of 1"):
        ga.jvp(np.sin, (X,), (X, X))
    with pytest.raises(DerivativeError, match="str"):
        ga.jvp(np.sin, (X,), ("x",))


class _NoRules(General):
    """y = x without any derivative."""

    name = "no_rules_for_test"

    def infer(self, x):
        return x

    def evaluate(self, x):
        return x + 0


def test_an_op_without_rules_names_itself_and_the_users_line():
    from graphad.ir.emit import apply

    def g(x):
        return np.sum(apply(_NoRules(), x))  # here it is

    with pytest.raises(DerivativeError, match=r"no_rules_for_test\(f64\[3\]\)(.|\n)*here it is"):
        ga.grad(g)(X)
    with pytest.raises(DerivativeError, match=r"no_rules_for_test\(f64\[3\]\)(.|\n)*here it is"):
        ga.jvp(g, (X,), (X,))
    # Where nothing depends on the argument, the rule is not needed.
    np.testing.assert_array_equal(ga.grad(lambda x: np.sum(x) + g(ga.stop_gradient(x)))(X), np.ones(3))


def test_jvp_of_an_op_with_a_vjp_alone_is_its_transpose():
    _, tangent = ga.jvp(counted, (X,), (np.ones(3),))
    np.testing.assert_array_equal(tangent, 2 * np.ones(3))
    _, tangent = ga.jvp(lambda x: np.exp(counted(x)), (X,), (np.ones(3),))
    np.testing.assert_allclose(tangent, 2 * np.exp(2 * X))


def test_stop_gradient():
    g = ga.grad(lambda x: np.sum(ga.stop_gradient(x) * x))(X)
    np.testing.assert_array_equal(g, X)
    p = ga.stop_gradient({"a": X, "b": [X]})
    assert p["a"] is X


def test_linearize_splits_a_graph():
    graph = ga.trace(lambda p: np.exp(np.sin(p["x"])) * p["n"], {"x": X, "n": 2})
    first, linear = ga.linearize(graph)
    assert linear.input_names[-1] == "tangent.p.x" and linear.output_names == ("tangent",)
    value, kept = first({"x": X, "n": 2})
    np.testing.assert_allclose(value, 2 * np.exp(np.sin(X)))
    for v in (X, np.ones(3)):
        np.testing.assert_allclose(linear(kept, ({"x": v, "n": None},)), value * np.cos(X) * v)
    # What does not depend on the direction is in the first graph.
    assert {n.op.name for n in linear.nodes} <= {"input", "constant", "broadcast_to", "mul", "cast"}
    assert parse(str(linear)) == linear and parse(str(first)) == first


@pytest.mark.parametrize(
    "call",
    [
        lambda x: ga.jvp(np.sin, x, x),
        lambda x: ga.jvp(np.sin, (x,), x),
        lambda x: ga.hvp(lambda a: np.sum(a**3), x, x),
        lambda x: ga.hvp(np.sin, 1.0, 1.0),
        lambda x: ga.check_grads(np.sin, x),
    ],
)
def test_arguments_outside_a_tuple_are_refused(call) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DerivativeError, match=r"write \(x,\)(.|\n)*test_products.py"):
        call(np.ones(3))
