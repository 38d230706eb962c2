"""Derivatives of the structural ops where they are easy to get wrong: zeros, ties, repeated addresses, gaps."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import graphad.ops as ops
from graphad.autodiff.reverse import pullback
from graphad.ir.emit import apply
from graphad.ir.op import OPS
from graphad.ir.walk import evaluate
from graphad.tracing.trace import trace


def gradient(function, *arrays, of=0):
    """Return the gradient of ``sum(g * function(*arrays))`` by argument `of`; the last array is g."""

    def pulled(*tensors):
        *inputs, g = tensors
        (result,) = pullback([function(*inputs)], [g], [inputs[of]])
        return inputs[of].zeros_like() if result is None else result

    (result,) = evaluate(trace(pulled, *arrays), arrays)
    return result


def product(x):
    return ops.reduce_prod(x, (0,))


def derivative_of_product(x, taken):
    """Return the derivative of prod(x) by the elements at `taken`: the product of the others; 0 for a repeat."""
    if len(set(taken)) < len(taken):
        return 0.0
    return float(np.prod(np.delete(x, list(taken))))


WITH_ZEROS = [[2.0, 3.0, -1.5], [2.0, 0.0, -1.5], [0.0, 0.0, 4.0], [0.0, 0.0, 0.0], [5.0], [0.0]]


@pytest.mark.parametrize("values", WITH_ZEROS)
def test_all_derivatives_of_a_product_are_exact_at_zeros(values):
    x, n = np.array(values), len(values)

    def along(function, k):
        def partial(t):
            (g,) = pullback([function(t)], [ops.ones((), t.dtype)], [t])
            return ops.reshape(ops.slice_(g, (k,), (k + 1,)), ())

        return partial

    for order in (1, 2, 3):
        for taken in itertools.product(range(n), repeat=order):
            function = product
            for k in taken[:-1]:
                function = along(function, k)
            got = gradient(function, x, np.array(1.0))[taken[-1]]
            np.testing.assert_allclose(got, derivative_of_product(x, taken), atol=1e-15)


def test_the_gradient_of_a_product_over_several_axes():
    x = np.array([[[1.0, 2.0], [0.0, 3.0]], [[4.0, -1.0], [0.5, 0.0]]])
    g = np.array([2.0, 3.0])
    expected = np.zeros_like(x)
    for i, j, k in itertools.product(range(2), repeat=3):
        others = np.delete(x[:, j, :].ravel(), 2 * i + k)
        expected[i, j, k] = g[j] * np.prod(others)
    np.testing.assert_allclose(gradient(lambda t: ops.reduce_prod(t, (0, 2)), x, g), expected)


def test_the_gradient_of_an_empty_product_is_empty():
    x = np.zeros((2, 0))
    assert gradient(lambda t: ops.reduce_prod(t, (1,)), x, np.ones(2)).shape == (2, 0)


@pytest.mark.parametrize(("reduce", "sign"), [(ops.reduce_max, 1), (ops.reduce_min, -1)])
def test_ties_share_the_gradient_evenly(reduce, sign):
    x = sign * np.array([[3.0, 3.0, 1.0], [2.0, 5.0, 4.0], [7.0, 7.0, 7.0]])
    g = np.array([1.0, 2.0, 3.0])
    expected = [[0.5, 0.5, 0], [0, 2, 0], [1, 1, 1]]
    np.testing.assert_array_equal(gradient(lambda t: reduce(t, (1,)), x, g), expected)
    both = gradient(lambda t: reduce(t, (0, 1)), x, np.array(6.0))
    best = x == (x.max() if sign == 1 else x.min())
    np.testing.assert_array_equal(both, 6 * best / best.sum())


def test_an_infinite_maximum_leaves_the_others_without_gradient():
    x = np.array([np.inf, 1.0, -np.inf])
    np.testing.assert_array_equal(gradient(lambda t: ops.reduce_max(t, (0,)), x, np.array(np.inf)), [np.inf, 0, 0])


def test_the_second_derivative_of_a_maximum_is_that_of_its_element():
    x = np.array([1.0, 3.0, 2.0])

    def slope(t):
        y = ops.reduce_max(t, (0,))
        (g,) = pullback([y * y * y], [ops.ones((), t.dtype)], [t])
        return g

    np.testing.assert_allclose(gradient(slope, x, np.array([1.0, 1.0, 1.0])), [0, 18, 0])


def test_parts_read_twice_receive_both_cotangents():
    x, i, g = np.arange(3.0), np.array([0, 2, 0, -1]), np.array([1.0, 10.0, 100.0, 1000.0])
    np.testing.assert_array_equal(gradient(lambda t, i: ops.gather(t, [i]), x, i, g), [101, 0, 1010])


def test_every_update_added_at_one_address_receives_its_cotangent():
    x, v, i = np.zeros(3), np.ones(4), np.array([0, 2, 0, -1])
    g = np.array([1.0, 10.0, 100.0])

    def add(t, v, i):
        return ops.scatter_add(t, [i], v)

    np.testing.assert_array_equal(gradient(add, x, v, i, g), g)
    np.testing.assert_array_equal(gradient(add, x, v, i, g, of=1), [1, 100, 1, 100])


def test_only_the_update_that_stays_receives_a_cotangent():
    x, v, i = np.zeros((3, 2)), np.ones((4, 2)), np.array([0, 2, 0, -1])
    g = np.array([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]])

    def replace(t, v, i):
        return ops.scatter_set(t, [i], v)

    np.testing.assert_array_equal(gradient(replace, x, v, i, g), [[0, 0], [10, 20], [0, 0]])
    np.testing.assert_array_equal(gradient(replace, x, v, i, g, of=1), [[0, 0], [0, 0], [1, 2], [100, 200]])


def test_cotangents_of_a_strided_slice_lie_among_zeros():
    g = np.array([1.0, 2.0])
    np.testing.assert_array_equal(
        gradient(lambda t: ops.slice_(t, (1,), (6,), (3,)), np.zeros(7), g), [0, 1, 0, 0, 2, 0, 0]
    )
    np.testing.assert_array_equal(gradient(lambda t: ops.slice_(t, (2,), (2,), (3,)), np.zeros(3), g[:0]), np.zeros(3))


def test_a_replaced_part_has_no_gradient():
    x, v, g = np.zeros(4), np.zeros(2), np.arange(1.0, 5.0)

    def update(t, v):
        return ops.update_slice(t, v, (0,), (4,), (2,))

    np.testing.assert_array_equal(gradient(update, x, v, g), [0, 2, 0, 4])
    np.testing.assert_array_equal(gradient(update, x, v, g, of=1), [1, 3])


def test_no_gradient_where_it_is_stopped_or_whole_numbers_come_between():
    x, g = np.arange(3.0), np.ones(3)
    np.testing.assert_array_equal(gradient(lambda t: t * ops.stop_gradient(t), x, g), x)
    whole = np.dtype(np.int64)
    np.testing.assert_array_equal(gradient(lambda t: t * ops.cast(ops.cast(t, whole), t.dtype), x, g), x)
    np.testing.assert_array_equal(
        gradient(lambda t: t * ops.cast(ops.reshape(ops.argmax(t, 0), (1,)), t.dtype).broadcast_to((3,)), x, g),
        [2, 2, 2],
    )


@pytest.mark.parametrize("name", ["max", "min", "prod"])
def test_tangents_agree_with_cotangents(name):
    rng = np.random.default_rng(3)
    # In the groups x[:, j, :]: ties of the largest and of the smallest, no zero, one, and two.
    x = np.array([[[2.0, -1.0], [3.0, 0.0], [0.0, 1.0]], [[2.0, -1.0], [1.0, 3.0], [0.0, 1.0]]])
    t, g = rng.standard_normal(x.shape), rng.standard_normal(3)
    op = OPS[name](axes=(0, 2))

    def pushed(x, t):
        y = apply(op, x)
        (tangent,) = op.jvp((t,), (x,), (y,))
        return tangent

    (tangent,) = evaluate(trace(pushed, x, t), (x, t))
    cotangent = gradient(lambda x: apply(op, x), x, g)
    np.testing.assert_allclose(np.sum(g * tangent), np.sum(cotangent * t))
