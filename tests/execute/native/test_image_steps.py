"""Convolutions and pools in whole native graphs: the gradient of extremes is one op, and NumPy's values come out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
import graphad.execute.native.image_lowering  # enters the lowering
import graphad.nn as nn
from graphad.execute import Executable
from graphad.execute.native.window_gradients import ExtremeGradient, with_window_gradients
from graphad.ir.graph import Graph
from graphad.ir.walk import evaluate
from graphad.ops.windows import WindowPosition

Array = np.ndarray[Any, Any]


def network(x: Any, w: Any, v: Any) -> Any:
    """Return the loss of two convolutions, one with strides, and both sorts of pools."""
    h = nn.max_pool(np.maximum(nn.conv(x, w, padding="same"), 0), 2)
    h = nn.min_pool(nn.conv(h, v, strides=2, padding=1), 3, 2)
    return np.sum(np.tanh(nn.avg_pool(h, (1, 2))))


def arguments() -> list[Array]:
    draw = np.random.default_rng(0)
    return [draw.standard_normal(shape) for shape in ((3, 2, 24, 40), (6, 2, 3, 3), (5, 6, 3, 3))]


def gradients() -> Graph:
    return ga.optimize(ga.value_and_grad(ga.trace(network, *arguments()), argnums=(0, 1, 2)))


def test_gradients_of_extremes_become_one_op() -> None:
    graph = gradients()
    assert any(isinstance(node.op, WindowPosition) for node in graph.nodes)
    made = with_window_gradients(graph)
    assert sum(isinstance(node.op, ExtremeGradient) for node in made.nodes) == 2
    assert not any(isinstance(node.op, WindowPosition) for node in made.nodes)
    for a, b in zip(evaluate(graph, arguments()), evaluate(made, arguments()), strict=True):
        np.testing.assert_array_equal(a, b)


def test_scatters_into_other_than_zeros_stay() -> None:
    def added(x: Any, base: Any) -> Any:
        return base + ga.grad(lambda x: np.sum(nn.max_pool(x, 2) ** 2))(x)

    x = np.random.default_rng(0).standard_normal((1, 1, 4, 4))
    graph = ga.trace(added, x, x)
    for a, b in zip(evaluate(graph, [x, x]), evaluate(with_window_gradients(graph), [x, x]), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2])
def test_native_code_has_the_values_of_numpy(threads: int) -> None:
    graph = with_window_gradients(gradients())
    wanted = evaluate(graph, arguments())
    value, parts = Executable(graph, executor="native", threads=threads).wait()(*arguments())
    for got, expected in zip([value, *parts], wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
