"""Narrowing: gathers and slices move up to where they save work, keep values (and bits, but for sums), and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphad as ga
from graphad.ir.graph import Graph
from graphad.ir.verify import verify
from graphad.ir.walk import evaluate
from graphad.passes import PIPELINE, optimize

UNFUSED = tuple(each for each in PIPELINE if each.name != "fuse")
INDEX = np.array([5, -1, 0])
RNG = np.random.default_rng(3)


def best_of(function: Callable[..., Any], *arrays: Any) -> Graph:
    """Trace and optimise; check the values on the way, bit by bit where nothing is summed."""
    graph = ga.trace(function, *arrays)
    best = verify(optimize(graph, passes=UNFUSED, verify=True))
    inputs = [np.asarray(a) for a in arrays]
    summed = any(node.op.name in ("sum", "matmul") for node in graph.nodes)
    for old, new in zip(evaluate(graph, inputs), evaluate(best, inputs), strict=True):
        if summed:
            np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)
        else:
            np.testing.assert_array_equal(new, old)
    return best


def largest(graph: Graph, *names: str) -> int:
    """Return the size of the largest result of the ops of these names."""
    return max(int(node.types[0].size) for node in graph.nodes if node.op.name in names)


def normal(*shape: int) -> Any:
    return RNG.standard_normal(shape)


def test_a_gather_moves_through_all_that_it_can() -> None:
    def f(x: Any, w: Any, b: Any) -> Any:
        return np.tanh((np.exp(x) * 2) @ w + b)[INDEX]

    best = best_of(f, normal(50, 4), normal(4, 3), normal(3))
    assert largest(best, "exp", "mul") == 3 * 4
    assert largest(best, "matmul", "add", "tanh") == 3 * 3


def test_a_slice_moves_through_all_that_it_can() -> None:
    def f(x: Any, w: Any, b: Any) -> Any:
        return np.sum(np.tanh(np.exp(x) @ w + b), axis=2)[1:3, ::2]

    best = best_of(f, normal(5, 8, 4), normal(4, 3), normal(3))
    assert largest(best, "exp") == 2 * 4 * 4
    assert largest(best, "matmul", "add", "tanh") == 2 * 4 * 3


def test_columns_of_a_product() -> None:
    best = best_of(lambda x, w: (x @ w)[:, 2:4], normal(6, 5), normal(5, 9))
    assert largest(best, "matmul") == 12


@pytest.mark.parametrize("axes", [(0, 2, 1), (2, 0, 1), (1, 0, 2), (2, 1, 0)])
@pytest.mark.parametrize("index", [INDEX, slice(1, 4), np.array([[0, 1]]), 2])
def test_parts_of_transposes(axes: tuple[int, ...], index: Any) -> None:
    best_of(lambda x: np.exp(x).transpose(axes)[index], normal(7, 8, 9))


@pytest.mark.parametrize("shape", [(3, 2, 8, 2), (48, 2), (6, 1, 16), (6, 4, 4)])
@pytest.mark.parametrize("index", [np.array([1, 0]), slice(0, 1), (slice(None), slice(0, 1)), 0])
def test_parts_of_reshapes(shape: tuple[int, ...], index: Any) -> None:
    best_of(lambda x: np.exp(x).reshape(shape)[index], normal(6, 8, 2))


@pytest.mark.parametrize("columns", [1, 7])
def test_a_batch_of_gathers_is_narrowed_as_one_gather_is(columns: int) -> None:
    weights, index = normal(40, 5, 1), np.array([3, 3, 39, 0])

    def f(x: Any) -> Any:
        moved = np.exp(x.reshape(5, 4))[None] * weights
        return (np.sum(moved, axis=1) @ np.sin(x[:16].reshape(4, 4)) + x[:4])[index]

    best = best_of(ga.vmap(f), normal(columns, 20))
    assert largest(best, "exp", "mul", "sum", "matmul") == columns * 4 * 5 * 4


def test_forward_jacobians_are_narrowed() -> None:
    weights, index = normal(40, 5, 1), np.array([3, 3, 39, 0])

    def f(x: Any) -> Any:
        return np.sum(np.sin(x.reshape(1, 5, 4)) * weights, axis=1)[index]

    best = best_of(ga.jacfwd(f), normal(20))
    assert largest(best, "mul") <= 20 * 4 * 5 * 4


def test_positions_that_are_inputs() -> None:
    best = best_of(lambda x, y, i: np.exp(x * y)[i], normal(30, 2), normal(2), np.array([1, 29, -30]))
    assert largest(best, "exp") == 6


def test_a_position_outside_is_an_error_still() -> None:
    graph = ga.trace(lambda x, y, i: (x * y)[i], normal(30, 2), normal(1, 2), np.array([0, 1]))
    best = optimize(graph)
    assert largest(best, "mul") == 4
    with pytest.raises(IndexError):
        evaluate(best, [normal(30, 2), normal(1, 2), np.array([0, 30])])


def test_a_gather_of_a_broadcast_keeps_its_check() -> None:
    graph = ga.trace(lambda x, i: np.broadcast_to(np.exp(x), (30, 2))[i], normal(2), np.array([0, 1]))
    best = optimize(graph)
    with pytest.raises(IndexError):
        evaluate(best, [normal(2), np.array([0, 30])])


def test_a_gather_of_a_broadcast_at_good_positions_disappears() -> None:
    best = best_of(lambda x: np.broadcast_to(np.exp(x), (30, 2))[INDEX], normal(2))
    assert all(node.op.name != "gather" for node in best.nodes)


def test_what_others_read_is_computed_once() -> None:
    def f(x: Any) -> Any:
        y = np.exp(x)
        return y[INDEX], np.sum(y)

    best = best_of(f, normal(30))
    assert [node.op.name for node in best.nodes].count("exp") == 1


def test_a_gather_that_repeats_elements_stays() -> None:
    best = best_of(lambda x: np.exp(x)[np.zeros(9, np.int64)], normal(4))
    assert largest(best, "exp") == 4


def test_symbolic_sizes() -> None:
    graph = ga.trace(lambda x, w: (np.exp(x) @ w)[0], ga.spec((ga.dim("n"), 4)), ga.spec((4, 3)))
    best = verify(optimize(graph, passes=UNFUSED))
    x, w = normal(6, 4), normal(4, 3)
    np.testing.assert_allclose(evaluate(best, [x, w])[0], (np.exp(x) @ w)[0], rtol=1e-12)


def test_awkward_numbers_keep_their_bits() -> None:
    awkward = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, 1.7e308, -3.0] * 4)

    def f(x: Any, y: Any) -> Any:
        return np.where(x > y, x * y, np.maximum(x, -y) + y)[4:12]

    graph = ga.trace(f, awkward, awkward)
    best = optimize(graph)
    for shift in range(8):
        inputs = [awkward, np.roll(awkward, shift)]
        (old,), (new,) = evaluate(graph, inputs), evaluate(best, inputs)
        np.testing.assert_array_equal(new, old)
        numbers = ~np.isnan(old)
        np.testing.assert_array_equal(np.signbit(new[numbers]), np.signbit(old[numbers]))


def test_elementwise_ops_before_and_after_a_reshape_are_one() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.log(x)[:, None] + np.log(x[:, None]) * y, np.log(x.reshape(2, 2))

    best = best_of(f, np.abs(normal(4)), normal(4, 3))
    assert [node.op.name for node in best.nodes].count("log") == 1


def test_reshapes_of_other_shapes_do_not_merge() -> None:
    def f(x: Any, y: Any) -> Any:
        return x.reshape(12) * y.reshape(12), x.reshape(12) * y.T.reshape(12)

    best_of(f, normal(3, 4), normal(3, 4))


STEPS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda x, y: np.tanh(x),
    lambda x, y: -x,
    lambda x, y: x * y[: x.shape[-1]],
    lambda x, y: np.where(x > 0.1, x, 2.0),
    lambda x, y: x.astype("float32").astype("float64"),
    lambda x, y: np.moveaxis(x, 0, -1),
    lambda x, y: np.swapaxes(x, 0, 1),
    lambda x, y: x.reshape(x.shape[0], -1, 1),
    lambda x, y: x.reshape(1, *x.shape)[0] + x.shape[0],
    lambda x, y: np.broadcast_to(x[:1], x.shape),
    lambda x, y: np.broadcast_to(x[:, :1], x.shape),
    lambda x, y: x @ np.cos(x.swapaxes(1, 2)),
    lambda x, y: (x.reshape(-1, x.shape[2]) @ np.outer(y[: x.shape[2]], y)).reshape(*x.shape[:2], -1),
    lambda x, y: np.sum(x, axis=1, keepdims=True) * np.ones((1, 2, 1)),
    lambda x, y: np.max(x, axis=2, keepdims=True),
    lambda x, y: x[:, ::2],
    lambda x, y: x[np.arange(x.shape[0] - 1, -1, -1)],
)
PARTS: tuple[Callable[[Any], Any], ...] = (
    lambda x: x[0],
    lambda x: x[-1:],
    lambda x: x[:, 0],
    lambda x: x[..., ::2],
    lambda x: x[np.array([0])],
    lambda x: x[:, np.array([-1])],
    lambda x: x[..., np.array([0])],
    lambda x: x[np.array([0, -1]), np.array([0, 0])],
    lambda x: np.take(x, np.array([[0]]), axis=1),
)


@settings(max_examples=150, deadline=None)
@given(
    steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=6),
    part=st.sampled_from(PARTS),
    batched=st.booleans(),
    derived=st.booleans(),
)
def test_random_chains_keep_values(
    steps: list[Callable[[Any, Any], Any]], part: Callable[[Any], Any], batched: bool, derived: bool
) -> None:
    rng = np.random.default_rng(5)
    y = rng.uniform(-0.5, 0.5, 64)

    def f(x: Any) -> Any:
        for step in steps:
            x = step(x, y)
        return part(x)

    x = rng.uniform(-0.5, 0.5, (3, 2, 4))
    function = ga.jacfwd(f) if derived else f
    arrays = np.stack([x, 2 * x]) if batched else x
    graph = ga.trace(ga.vmap(function) if batched else function, arrays)
    best = verify(optimize(graph))
    (old,), (new,) = evaluate(graph, [arrays]), evaluate(best, [arrays])
    np.testing.assert_allclose(new, old, rtol=1e-6, atol=1e-9)
