"""vmap: axes, containers, nesting with derivatives, odd batch sizes, the unrolled fallback, graphs."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.emit import apply
from graphad.ir.errors import ContainerError, OpTypeError, SymbolicSizeError
from graphad.ir.op import General
from graphad.ir.parser import parse

RNG = np.random.default_rng(5)
XS = RNG.standard_normal((4, 3))
W = RNG.standard_normal((3, 2))


def test_a_batch_is_a_loop():
    def f(x, w):
        return np.tanh(x @ w) + np.sum(x)

    expected = np.stack([f(x, W) for x in XS])
    np.testing.assert_allclose(ga.vmap(f, in_axes=(0, None))(XS, W), expected)
    np.testing.assert_allclose(ga.vmap(f, in_axes=(1, None))(XS.T, W), expected)
    np.testing.assert_allclose(ga.vmap(f, in_axes=(-1, None), out_axes=1)(XS.T, W), expected.T)
    np.testing.assert_allclose(ga.vmap(f, in_axes=(-1, None), out_axes=-1)(XS.T, W), expected.T)


def test_containers_of_axes():
    def f(p, y):
        return {"a": p["x"] * p["s"], "b": (y, p["x"])}

    p = {"x": XS, "s": 2.0}
    got = ga.vmap(f, in_axes=({"x": 0, "s": None}, None), out_axes={"a": 1, "b": (None, 0)})(p, 7.0)
    np.testing.assert_allclose(got["a"], 2 * XS.T)
    assert float(got["b"][0]) == 7.0
    np.testing.assert_allclose(got["b"][1], XS)
    got = ga.vmap(f, in_axes=(0, None))({"x": XS, "s": np.arange(4.0)}, 7.0)
    np.testing.assert_allclose(got["b"][0], np.full(4, 7.0))


def test_nested_vmap():
    dot = ga.vmap(ga.vmap(lambda a, b: np.sum(a * b), in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_allclose(dot(XS, W.T), XS @ W)


def test_per_example_gradients():
    def loss(w, x):
        return np.sum(np.tanh(x @ w) ** 2)

    got = ga.vmap(ga.grad(loss), in_axes=(None, 0))(W, XS)
    np.testing.assert_allclose(got, np.stack([ga.grad(loss)(W, x) for x in XS]))
    total = ga.grad(lambda w: np.sum(ga.vmap(loss, in_axes=(None, 0))(w, XS)))(W)
    np.testing.assert_allclose(total, got.sum(0))


def test_any_nesting_of_vmap_and_derivatives():
    def f(x):
        return np.sum(ga.vmap(lambda t: np.sin(t) * np.sum(x))(x))

    expected = np.cos(XS) * XS.sum(1, keepdims=True) + np.sin(XS).sum(1, keepdims=True)
    np.testing.assert_allclose(ga.vmap(ga.grad(f))(XS), expected)
    hessians = ga.vmap(ga.hessian(f))(XS)
    for x, h in zip(XS, hessians, strict=True):
        outer = np.cos(x)[:, None] + np.cos(x)[None, :]
        np.testing.assert_allclose(h, outer - np.diag(np.sin(x) * x.sum()), rtol=1e-12)


@pytest.mark.parametrize("size", [0, 1, 5])
def test_odd_batch_sizes(size):
    xs = RNG.standard_normal((size, 3))
    np.testing.assert_allclose(ga.vmap(lambda x: np.sum(np.sin(x)))(xs), np.sin(xs).sum(1))
    assert ga.vmap(ga.grad(lambda x: np.sum(x**2)))(xs).shape == (size, 3)


def test_a_result_that_does_not_depend_on_the_batch_is_repeated():
    np.testing.assert_array_equal(ga.vmap(lambda x: np.ones(2))(XS), np.ones((4, 2)))


class _Unruled(General):
    """(x + 1, sum of x): without a batching rule."""

    name = "unruled_for_test"

    def infer(self, x):
        return x, x.with_shape(())

    def evaluate(self, x):
        return x + 1, np.sum(x)


def unruled(x):
    from graphad.ir.emit import apply_all

    return apply_all(_Unruled(), x)


@pytest.mark.parametrize("size", [0, 1, 3])
def test_an_op_without_a_rule_is_unrolled(size):
    xs = RNG.standard_normal((size, 3))
    a, b = ga.vmap(unruled)(xs)
    np.testing.assert_allclose(a, xs + 1)
    np.testing.assert_allclose(b, xs.sum(1))
    with pytest.raises(SymbolicSizeError, match="unruled_for_test"):
        ga.vmap(ga.trace(unruled, np.ones(3)))


class _Ternary(General):
    """a + 2 b: without a batching rule, two operands."""

    name = "ternary_for_test"

    def infer(self, a, b):
        return a

    def evaluate(self, a, b):
        return a + 2 * b


def test_unrolling_leaves_unmapped_operands_alone():
    got = ga.vmap(lambda x: apply(_Ternary(), x, ga.trace(lambda: 0.0).outputs and x * 0 + 1))(XS)
    np.testing.assert_allclose(got, XS + 2)
    y = np.arange(3.0)
    graph = ga.trace(lambda xs, y: ga.vmap(lambda x: apply(_Ternary(), x, y))(xs), XS, y)
    np.testing.assert_allclose(graph(XS, y), XS + 2 * y)


def test_graphs():
    graph = ga.trace(lambda x, w: np.tanh(x @ w), XS[0], W)
    mapped = ga.vmap(graph, in_axes=(0, None), axis_size=4)
    assert mapped.input_names == ("x", "w") and mapped.static
    np.testing.assert_allclose(mapped(XS, W), np.tanh(XS @ W))
    named = ga.vmap(graph, in_axes=(0, None))
    assert str(named.output_types[0]) == "f64[batch,2]"
    np.testing.assert_allclose(named(XS, W), np.tanh(XS @ W))
    twice = ga.vmap(named, in_axes=(0, None))
    assert str(twice.output_types[0]) == "f64[batch2,batch,2]"
    assert parse(str(twice)) == twice


def test_a_symbolic_batch_of_a_function():
    batch = ga.dim("batch")
    graph = ga.trace(ga.vmap(ga.grad(lambda x: np.sum(np.sin(x)))), ga.spec((batch, 3)))
    np.testing.assert_allclose(graph(XS), np.cos(XS))


def test_what_does_not_fit():
    with pytest.raises(OpTypeError, match="different sizes, 4, 3"):
        ga.vmap(lambda x, y: x)(XS, W)
    with pytest.raises(OpTypeError, match="axis 2"):
        ga.vmap(lambda x: x, in_axes=2)(XS)
    with pytest.raises(OpTypeError, match="axis 0"):
        ga.vmap(lambda x: x)(1.0)
    with pytest.raises(ContainerError, match="maps no argument"):
        ga.vmap(lambda x: x, in_axes=None)(XS)
    with pytest.raises(ContainerError, match="out_axes is None"):
        ga.vmap(lambda x: x, out_axes=None)(XS)
    with pytest.raises(ContainerError, match="in_axes"):
        ga.vmap(lambda x: x, in_axes=(0, 0))(XS)
