"""Checkpointed functions: gradients keep every bit, what is inside is computed again, memory falls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphad as ga
from graphad.autodiff.checkpointing import regions_of
from graphad.plan.plan import plan
from tests.random_graphs import Example, random_graphs

RNG = np.random.default_rng(0)
X, W = RNG.standard_normal((30, 8)), RNG.standard_normal((8, 8)) / 3


def segment(x: Any, w: Any) -> Any:
    for _ in range(5):
        x = np.tanh(x @ w)
    return x


def chain_of(part: Callable[..., Any], times: int = 5) -> Callable[..., Any]:
    def loss(x: Any, w: Any) -> Any:
        for _ in range(times):
            x = part(x, w)
        return np.sum(x * x)

    return loss


def same_gradients(plain: Callable[..., Any], other: Callable[..., Any], *arguments: Any) -> ga.Graph:
    """Check that values and gradients of two functions are equal to the bit, and return the optimised second graph.

    Optimised, they may round differently: some passes reorder sums, and see other graphs.
    """
    positions = tuple(range(len(arguments)))
    graphs = [ga.value_and_grad(ga.trace(f, *arguments), argnums=positions) for f in (plain, other)]
    for one, two in zip(graphs, map(ga.optimize, graphs), strict=True):
        one.verify()
        two.verify()
    (a, slopes), (b, others) = [ga.compile(graph, executor="reference")(*arguments) for graph in graphs]
    for p, q in zip((a, *slopes), (b, *others), strict=True):
        np.testing.assert_array_equal(p, q)
    value, changed = ga.compile(ga.optimize(graphs[1]), executor="reference")(*arguments)
    for p, q in zip((a, *slopes), (value, *changed), strict=True):
        np.testing.assert_allclose(q, p, rtol=1e-10, atol=1e-12)
    return ga.optimize(graphs[1])


def recomputed(graph: ga.Graph) -> list[ga.Node]:
    return [node for node in graph.nodes if node.role == "recompute"]


def test_what_is_inside_is_computed_again_and_memory_falls() -> None:
    graph = same_gradients(chain_of(segment), chain_of(ga.checkpoint(segment)), X, W)
    products = [node for node in recomputed(graph) if node.op.name == "matmul"]
    assert len(products) == 5 * 5 and all(node.replica == 1 for node in products)
    types = ga.spec((3000, 8)), ga.spec((8, 8))
    kept, free = (
        plan(ga.optimize(ga.value_and_grad(ga.trace(chain_of(part), *types), argnums=(0, 1)))).peak_bytes
        for part in (ga.checkpoint(segment), segment)
    )
    assert kept < 0.5 * free


def test_functions_in_a_row_are_apart_and_nested_ones_go_deeper() -> None:
    inner = ga.checkpoint(segment)
    outer = ga.checkpoint(lambda x, w: inner(inner(x, w), w))
    graph = same_gradients(chain_of(segment, 4), chain_of(outer, 2), X, W)
    assert {node.replica for node in recomputed(graph)} == {1, 2}
    scopes = {node.scope for node in recomputed(graph)}
    assert scopes == {f"checkpoint{a}/checkpoint{b}" for a in ("", "2") for b in ("", "2")}


def test_scopes_are_read() -> None:
    assert regions_of("enc/checkpoint/attn/checkpoint2") == ("enc/checkpoint", "enc/checkpoint/attn/checkpoint2")
    assert regions_of("checkpointed/x") == regions_of("") == ()


def test_values_from_outside_containers_and_plain_arguments() -> None:
    def block(p: Any, x: Any, power: int) -> Any:
        return {"y": np.sin(x @ p["w"]) ** power, "z": [x + p["b"]]}

    def through(f: Callable[..., Any]) -> Callable[..., Any]:
        def loss(w: Any, b: Any, x: Any) -> Any:
            outside = np.exp(x)
            found = f({"w": w, "b": b}, outside, 3)
            return np.sum(found["y"] * found["z"][0]) + np.sum(f({"w": w, "b": b}, x * 2, 2)["y"])

        return loss

    graph = same_gradients(through(block), through(ga.checkpoint(block)), W, W[0], X / 3)
    assert not any(node.op.name == "exp" for node in recomputed(graph))


def test_closures_and_arrays() -> None:
    def closing(mark: Callable[..., Any]) -> Callable[..., Any]:
        def loss(x: Any, w: Any) -> Any:
            other = np.cos(w)
            return np.sum(mark(lambda h: np.tanh(h @ other) ** 2)(np.sin(x)))

        return loss

    same_gradients(closing(lambda f: f), closing(ga.checkpoint), X, W)
    np.testing.assert_array_equal(ga.checkpoint(segment)(X, W), segment(X, W))
    assert ga.checkpoint(segment).__name__ == "segment"


@pytest.mark.parametrize("transform", ["hvp", "jvp", "jacrev", "jacfwd", "vmap"])
def test_other_transformations_go_through(transform: str) -> None:
    found = []
    for part in (segment, ga.checkpoint(segment)):
        loss = chain_of(part, 2)
        if transform == "hvp":
            found.append(ga.jit(lambda x, v, loss=loss: ga.hvp(lambda x: loss(x, W), (x,), (v,)))(X, X))
        elif transform == "jvp":
            found.append(ga.jvp(lambda x, loss=loss: loss(x, W), (X,), (X,)))
        elif transform == "vmap":
            found.append(ga.vmap(ga.grad(loss), in_axes=(0, None))(X[:, None, :], W))
        else:
            jacobian = ga.jacrev if transform == "jacrev" else ga.jacfwd
            found.append(jacobian(lambda x, part=part: part(x, W))(X[:3]))
    leaves = [[np.asarray(x) for x in (item if isinstance(item, (tuple, list)) else (item,))] for item in found]
    for p, q in zip(*leaves, strict=True):
        np.testing.assert_allclose(p, q, rtol=1e-12, atol=1e-12)


def test_gradients_of_gradients() -> None:
    def squared_slope(loss: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, w: np.sum(ga.grad(loss)(x, w) ** 2)

    second = [ga.jit(ga.grad(squared_slope(chain_of(part, 2))))(X, W) for part in (segment, ga.checkpoint(segment))]
    np.testing.assert_allclose(*second, rtol=1e-12, atol=1e-14)


def test_derivatives_by_a_value_inside_stop_there() -> None:
    def inside(x: Any, w: Any) -> Any:
        h = np.tanh(x @ w)
        return ga.grad(lambda h: np.sum(np.exp(h) * h))(h)

    np.testing.assert_array_equal(ga.jit(ga.checkpoint(inside))(X, W), ga.jit(inside)(X, W))


@given(example=random_graphs(), split=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_random_functions(example: Example, split: int) -> None:
    def total(f: Callable[..., Any]) -> Callable[..., Any]:
        def loss(*arrays: Any) -> Any:
            found = f(*[np.sin(x) for x in arrays])
            for _ in range(split):
                found = found if isinstance(found, tuple) else (found,)
            return sum(np.sum(x * x) for x in found)

        return loss

    same_gradients(total(example.function), total(ga.checkpoint(example.function)), *example.arrays)
