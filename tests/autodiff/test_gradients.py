"""grad and value_and_grad: closed forms, containers, roles, errors, nesting."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import DerivativeError

X = np.array([0.3, -1.2, 2.0])


class Pair(NamedTuple):
    left: object
    right: object


@dataclass
class Layer:
    w: object
    b: object


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (np.sin, np.cos),
        (np.exp, np.exp),
        (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
        (lambda x: x**3, lambda x: 3 * x**2),
        (lambda x: x * np.sin(x), lambda x: np.sin(x) + x * np.cos(x)),
        (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
        (lambda x: np.where(x > 0, x * x, -x), lambda x: np.where(x > 0, 2 * x, -1.0)),
        (np.abs, np.sign),
        (lambda x: np.maximum(x, 0.5), lambda x: (x > 0.5) * 1.0),
    ],
)
def test_closed_forms(function, derivative):
    np.testing.assert_allclose(ga.grad(lambda x: np.sum(function(x)))(X), derivative(X), rtol=1e-14)


def test_higher_orders_of_a_power():
    f, expected = (lambda x: x**5), [5 * 2.0**4, 20 * 2.0**3, 60 * 2.0**2, 120 * 2.0, 120.0, 0.0]
    for value in expected:
        f = ga.grad(f)
        assert float(f(2.0)) == value


def test_matrix_calculus():
    rng = np.random.default_rng(0)
    a, x = rng.standard_normal((3, 3)), rng.standard_normal(3)
    np.testing.assert_allclose(ga.grad(lambda x: x @ a @ x)(x), (a + a.T) @ x)
    np.testing.assert_allclose(ga.grad(lambda a: x @ a @ x)(a), np.outer(x, x))


def test_values_are_arrays_of_the_arguments_types():
    value, gradient = ga.value_and_grad(lambda x: np.sum(x * x))(X.astype(np.float32))
    assert isinstance(value, np.ndarray) and value.dtype == np.float32 and value.shape == ()
    assert gradient.dtype == np.float32
    np.testing.assert_array_equal(gradient, 2 * X.astype(np.float32))


def test_a_gradient_is_no_window_on_the_argument():
    x = X.copy()
    gradient = ga.grad(lambda x: np.sum(x * x) / 2)(x)
    (cotangent,) = ga.vjp(lambda x: x, x)[1](x)
    for found in (gradient, cotangent):
        found[:] = 7
    np.testing.assert_array_equal(x, X)


def test_argnums():
    def f(x, y, z):
        return x * y**2 + z

    assert float(ga.grad(f)(2.0, 3.0, 4.0)) == 9
    assert float(ga.grad(f, argnums=1)(2.0, 3.0, 4.0)) == 12
    assert [float(g) for g in ga.grad(f, argnums=(2, 0))(2.0, 3.0, 4.0)] == [1, 9]
    assert float(ga.grad(f, argnums=-2)(2.0, 3.0, 4.0)) == 12


def test_containers_keep_their_nesting():
    def f(p, scale):
        return scale * np.sum(p["layers"][0].w * p["pair"].left) + p["pair"].right + p["layers"][0].b

    p = {"layers": [Layer(X, 2.0)], "pair": Pair(2 * X, 5.0)}
    g = ga.grad(f)(p, 3.0)
    assert isinstance(g["layers"][0], Layer) and isinstance(g["pair"], Pair)
    np.testing.assert_array_equal(g["layers"][0].w, 6 * X)
    np.testing.assert_array_equal(g["pair"].left, 3 * X)
    assert float(g["pair"].right) == 1 and float(g["layers"][0].b) == 1


def test_integer_leaves_are_untouched_and_give_none():
    g = ga.grad(lambda p: np.sum(p["x"] * p["n"]))({"x": X, "n": np.array([1, 2, 3]), "flag": True})
    np.testing.assert_array_equal(g["x"], [1.0, 2.0, 3.0])
    assert g["n"] is None and g["flag"] is None


def test_an_unused_argument_has_a_zero_gradient():
    np.testing.assert_array_equal(ga.grad(lambda x, y: np.sum(x), argnums=1)(X, X), np.zeros(3))
    np.testing.assert_array_equal(ga.grad(lambda x: 1.0)(X), np.zeros(3))
    np.testing.assert_array_equal(ga.grad(lambda x: np.sum(np.floor(x)))(X), np.zeros(3))


def test_has_aux():
    (value, aux), gradient = ga.value_and_grad(lambda x: (np.sum(x), {"twice": 2 * x}), has_aux=True)(X)
    assert float(value) == X.sum()
    np.testing.assert_array_equal(aux["twice"], 2 * X)
    np.testing.assert_array_equal(gradient, np.ones(3))
    gradient, aux = ga.grad(lambda x: (np.sum(x), 3.0), has_aux=True)(X)
    assert float(aux) == 3.0
    with pytest.raises(DerivativeError, match="pair"):
        ga.grad(lambda x: np.sum(x), has_aux=True)(X)


def test_arguments_that_are_not_arrays_pass_as_they_are():
    assert float(ga.grad(lambda x, how, n: x**n if how == "power" else x)(3.0, "power", 2)) == 6
    assert float(ga.grad(lambda x, *, n: x**n)(3.0, n=2)) == 6


# Nesting: no perturbation confusion


def test_a_closure_over_the_tensor_one_differentiates_at():
    assert float(ga.grad(lambda x: x * ga.grad(lambda y: x * y)(x))(3.0)) == 6
    assert float(ga.grad(lambda x: ga.grad(lambda y: x * y * y)(x))(3.0)) == 4 * 3
    # Siskind and Pearlmutter's example: d/dx (x * d/dy (x + y)) = 1.
    assert float(ga.grad(lambda x: x * ga.grad(lambda y: x + y)(1.0))(1.0)) == 1
    assert float(ga.jvp(lambda x: x * ga.jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1]) == 1


def test_the_same_tensor_as_two_arguments():
    assert float(ga.grad(lambda x: ga.grad(lambda a, b: a * b * b)(x, x))(3.0)) == 6
    assert float(ga.grad(lambda x: ga.grad(lambda a, b: a * b * b, argnums=1)(x, x))(3.0)) == 12


def test_three_levels_with_closures_over_all_of_them():
    def f(x):
        def g(y):
            return ga.grad(lambda z: x * y**2 * z**3)(y) * x

        return ga.grad(g)(x)

    # g(y) = 3 x² y⁴; f(x) = 12 x⁵; f' = 60 x⁴
    assert float(f(2.0)) == 12 * 2.0**5
    assert float(ga.grad(f)(2.0)) == 60 * 2.0**4


def test_a_gradient_inside_a_trace_emits_nodes():
    graph = ga.trace(lambda x: ga.grad(lambda y: np.sum(np.sin(y) * x))(x), X)
    np.testing.assert_allclose(_run(graph, X), np.cos(X) * X)


def test_a_gradient_of_arrays_may_close_over_a_traced_tensor():
    graph = ga.trace(lambda a: ga.grad(lambda y: np.sum(y * y * a))(X), X)
    np.testing.assert_allclose(_run(graph, 2 * X), 4 * X * X)


def _run(graph, *arrays):
    from graphad.ir.walk import evaluate

    (result,) = evaluate(graph, [np.asarray(a) for a in arrays])
    return result


# Graphs


def test_a_graph_gives_a_graph():
    def loss(params, x):
        return np.sum(np.tanh(x @ params["w"]) + params["b"])

    params = {"w": np.ones((3, 2)), "b": np.zeros(2)}
    graph = ga.trace(loss, params, np.ones((4, 3)))
    both = ga.value_and_grad(graph)
    assert both.input_names == graph.input_names
    assert both.output_names == ("value", "grad.params.w", "grad.params.b")
    assert set(graph.nodes) <= set(both.nodes)
    value, gradient = ga.value_and_grad(loss)(params, np.ones((4, 3)))
    got = both(params, np.ones((4, 3)))
    np.testing.assert_array_equal(got[0], value)
    np.testing.assert_array_equal(got[1]["w"], gradient["w"])
    assert parse_back(both) == both


def parse_back(graph):
    from graphad.ir.parser import parse

    return parse(str(graph))


def test_the_new_nodes_are_backward_and_name_the_users_line():
    def f(x):
        y = np.sin(x)  # the line
        return np.sum(y)

    graph = ga.trace(f, X)
    with ga.scope("elsewhere"):
        made = ga.grad(graph)
    new = [n for n in made.nodes if n not in set(graph.nodes)]
    assert {n.role for n in new} == {"backward"}
    cosine = next(n for n in new if n.op.name == "cos")
    assert "the line" in cosine.location.source and cosine.scope == ""
    again = ga.grad(ga.trace(lambda x: np.sum(ga.grad(f)(x)), X))
    assert {n.role for n in again.nodes} == {"forward", "backward"}


def test_scopes_follow_the_forward_nodes():
    def f(x):
        with ga.scope("encoder"):
            return np.sum(np.sin(x))

    made = ga.grad(ga.trace(f, X))
    assert {n.scope for n in made.nodes if n.op.name in ("sin", "cos")} == {"encoder"}


def test_a_graph_with_named_sizes():
    n = ga.dim("n")
    graph = ga.trace(lambda x: np.sum(np.tanh(x) ** 2), ga.spec((n, 3)))
    made = ga.grad(graph)
    assert made.output_types == graph.input_types
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(_run(made.bind(n=2), x), ga.grad(lambda x: np.sum(np.tanh(x) ** 2))(x), rtol=1e-14)


# Errors


def test_a_value_that_is_no_scalar():
    with pytest.raises(DerivativeError, match=r"f64\[3\].*jacobian.*vjp.*sum"):
        ga.grad(lambda x: x * 2)(X)
    with pytest.raises(DerivativeError, match=r"i64\[\]"):
        ga.grad(lambda x: np.argmax(x))(X)
    with pytest.raises(DerivativeError, match="container"):
        ga.grad(lambda x: (np.sum(x), x))(X)
    with pytest.raises(DerivativeError, match=r"f64\[3\]"):
        ga.grad(ga.trace(lambda x: x * 2, X))


def test_an_integer_argument():
    with pytest.raises(DerivativeError, match=r"argument 1 \('n'\).*i64\[\]"):
        ga.grad(lambda x, n: x**n, argnums=1)(2.0, 3)
    with pytest.raises(DerivativeError, match=r"i64\[\]"):
        ga.grad(ga.trace(lambda n: n * 2.0, 3))


def test_an_argument_that_is_not_there():
    with pytest.raises(DerivativeError, match="argument 2"):
        ga.grad(lambda x: x, argnums=2)(1.0)
    with pytest.raises(DerivativeError, match="twice"):
        ga.grad(lambda x: x, argnums=(0, -1))(1.0)
    with pytest.raises(DerivativeError, match="no argument"):
        ga.grad(lambda x: x, argnums=())(1.0)


def test_a_spec_is_no_point():
    with pytest.raises(DerivativeError, match="spec"):
        ga.grad(lambda x: x)(ga.spec(()))


# Size and threads


def test_a_long_chain_differentiates_without_recursion():
    def f(x):
        for _ in range(100_000):
            x = np.sin(x)
        return x

    graph = ga.trace(f, ga.spec(()))
    made = ga.grad(graph)
    assert sum(n.op.name == "cos" for n in made.nodes) == 100_000
    x, expected = 0.5, 1.0
    for _ in range(100_000):
        expected *= np.cos(x)
        x = np.sin(x)
    np.testing.assert_allclose(_run(made, np.array(0.5)), expected, rtol=1e-9)


@pytest.mark.slow
def test_a_chain_of_a_million_nodes():
    def f(x):
        for _ in range(1_000_000):
            x = -x
        return x

    made = ga.grad(ga.trace(f, ga.spec(())))
    assert len(made.nodes) >= 1_000_000


def test_a_diamond_of_sums_is_linear_in_its_size():
    def f(x):
        for _ in range(200):
            x = x + x
        return x

    made = ga.grad(ga.trace(f, ga.spec(())))
    assert len(made.nodes) < 500
    assert float(_run(made, np.array(1.0))) == 2.0**200


def test_threads_do_not_disturb_each_other():
    failures = []

    def work(k):
        for _ in range(20):
            got = ga.grad(lambda x: ga.grad(lambda y: x * y ** (k + 2))(x))(2.0)
            if not np.isclose(got, (k + 2) ** 2 * 2.0 ** (k + 1)):
                failures.append((k, got))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_seed_example():
    def z(x1, x2):
        return x1**2 + x2**2 + x1 * x2

    value, (g1, g2) = ga.value_and_grad(z, argnums=(0, 1))(3.0, 5.0)
    assert (float(value), float(g1), float(g2)) == (49.0, 11.0, 13.0)


def test_argnums_may_be_a_list_and_must_be_positions() -> None:
    assert ga.grad(lambda a, b: a * b, argnums=[1, 0])(2.0, 3.0) == (2.0, 3.0)
    with pytest.raises(DerivativeError, match=r"not 'a'(.|\n)*test_gradients.py"):
        ga.grad(lambda a, b: a * b, argnums="a")(2.0, 3.0)  # type: ignore[call-overload]
