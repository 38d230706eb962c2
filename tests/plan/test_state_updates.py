"""Steps that update state run behind the last reader of the old value, where that costs no memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.plan import plan
from graphad.plan.buffers import Home, find_buffers
from graphad.plan.plan import Plan
from graphad.plan.schedule import program_order
from graphad.plan.state_updates import late_updates


def step(w1: Any, w2: Any, x: Any, y: Any) -> Any:
    def loss(w1: Any, w2: Any) -> Any:
        return np.mean((np.tanh(x @ w1) @ w2 - y) ** 2)

    value, (g1, g2) = ga.value_and_grad(loss, argnums=(0, 1))(w1, w2)
    return value, w1 - 0.1 * g1, w2 - 0.1 * g2


def arrays(rows: int = 64, inner: int = 128) -> list[Any]:
    rng = np.random.default_rng(0)
    shapes = (32, inner), (inner, inner), (rows, 32), (rows, inner)
    return [rng.standard_normal(shape) for shape in shapes]


def copied(planned: Plan) -> list[int]:
    return [copy.index for copy in planned.lifetimes.copies if copy.home == Home.STATE]


def early() -> Any:
    """Return a graph that reads the old state last behind the step that updates it."""

    def function(state: Any, x: Any) -> Any:
        new = state * 2.0
        return np.sum(np.exp(x) * np.sum(state)), new

    return ga.trace(function, np.ones((8, 8)), np.ones((100, 8)))


def test_an_update_waits_for_the_last_reader_of_the_old_value() -> None:
    graph = early()
    order = program_order(graph)
    late = late_updates(find_buffers(graph, order), {0: 1})
    assert late is not None
    makes = graph.outputs[1].node
    readers = [n for n in order if any(v.node is graph.inputs[0].node for v in n.inputs) and n is not makes]
    names = [order[k] for k in late]
    assert all(names.index(makes) > names.index(reader) for reader in readers)
    assert not copied(plan(graph, {0: 1}, 1))


def test_an_order_that_already_waits_is_kept() -> None:
    graph = ga.trace(lambda s, x: (np.sum(s * x), s + x), np.ones(8), np.ones(8))
    assert late_updates(find_buffers(graph, program_order(graph)), {0: 1}) is None
    assert late_updates(find_buffers(graph, program_order(graph)), {0: None}) is None


def test_a_result_that_is_needed_before_the_last_reader_is_not_moved() -> None:
    def function(state: Any) -> Any:
        new = state + 1.0
        return np.sum(np.exp(new) * state), new

    graph = ga.trace(function, np.ones((8, 8)))
    planned = plan(graph, {0: 1}, 1)
    assert copied(planned) == [0]


def test_what_would_raise_the_peak_is_not_moved() -> None:
    def function(state: Any, x: Any) -> Any:
        # Both operands die here, which are larger together than the state.
        new = np.exp(x) * np.sinh(x)
        a, b, c = np.sin(x), np.cos(x), np.tanh(x)
        return np.sum(a * b * c) + np.sum(b + c) + np.sum(a) + np.sum(state), new

    graph = ga.trace(function, np.ones((1000, 8)), np.ones((1000, 8)))
    order = program_order(graph)
    assert late_updates(find_buffers(graph, order), {0: 1}) is None


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_a_training_step_updates_its_matrices_in_place(executor: str) -> None:
    w1, w2, x, y = arrays()
    exe = ga.compile(step, w1, w2, x, y, updates={"w1": "1", "w2": "2"}, executor=executor)
    assert not copied(exe.plan)
    value = exe(x, y)
    expected = ga.jit(step, executor="reference")(w1, w2, x, y)
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    np.testing.assert_allclose(exe.state["w1"], expected[1], rtol=1e-10)
    np.testing.assert_allclose(exe.state["w2"], expected[2], rtol=1e-10)


def momentum(w: Any, m: Any, x: Any) -> Any:
    loss, g = ga.value_and_grad(lambda w: np.mean(np.tanh(x @ w) ** 2))(w)
    m = 0.9 * m + g
    return loss, w - 0.1 * m, m


def adam(w: Any, m: Any, v: Any, x: Any) -> Any:
    loss, g = ga.value_and_grad(lambda w: np.mean(np.tanh(x @ w) ** 2))(w)
    m = 0.9 * m + 0.1 * g
    v = 0.99 * v + 0.01 * g * g
    return loss, w - 0.1 * m / (np.sqrt(v) + 1e-8), m, v


@pytest.mark.parametrize("optimiser", [momentum, adam])
def test_all_states_of_an_optimiser_are_updated_in_place(optimiser: Any) -> None:
    rng = np.random.default_rng(0)
    states = {"momentum": ["w", "m"], "adam": ["w", "m", "v"]}[optimiser.__name__]
    old = [rng.uniform(0.5, 1.0, (64, 96)) for _ in states]
    updates = {name: str(k + 1) for k, name in enumerate(states)}
    for rows in (1, 32, 200):
        x = rng.standard_normal((rows, 64))
        exe = ga.compile(optimiser, *old, x, updates=updates, executor="native")
        assert not copied(exe.plan)
        step = ga.jit(optimiser, executor="reference")
        expected = step(*old, x)
        np.testing.assert_allclose(exe(x), expected[0], rtol=1e-12)
        expected = step(*expected[1:], x)
        np.testing.assert_allclose(exe(x), expected[0], rtol=1e-12)
        for name, wanted in zip(states, expected[1:], strict=True):
            np.testing.assert_allclose(exe.state[name], wanted, rtol=1e-10)


def test_a_result_that_is_read_elsewhere_too_is_not_updated_in_place() -> None:
    """The new value of `a` is made where `b` is still read in another order of axes."""

    def crossed(a: Any, b: Any, x: Any) -> Any:
        return np.sum(x), a * x + b.T, b * x + a.T

    a, b, x = np.random.default_rng(0).standard_normal((3, 40, 40))
    exe = ga.compile(crossed, a, b, x, updates={"a": "1", "b": "2"}, executor="native")
    exe(x)
    np.testing.assert_allclose(exe.state["a"], a * x + b.T)
    np.testing.assert_allclose(exe.state["b"], b * x + a.T)


@pytest.mark.parametrize("executor", ["reference", "native"])
def test_states_may_change_places(executor: str) -> None:
    def swapped(a: Any, b: Any, x: Any) -> Any:
        return np.sum(x), b + x, a * x

    a, b, x = np.random.default_rng(0).standard_normal((3, 40, 40))
    exe = ga.compile(swapped, a, b, x, updates={"a": "1", "b": "2"}, executor=executor)
    exe(x)
    np.testing.assert_allclose(exe.state["a"], b + x)
    np.testing.assert_allclose(exe.state["b"], a * x)
