"""Graphs of many small ops: what is made for them once, and what is not made at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.execute import planning
from graphad.execute.native import bodies, fusion
from graphad.execute.native.preparing import prepared
from graphad.execute.native.regions import Region
from graphad.ir.graph import Graph
from graphad.ops.fused import BLOCK_BYTES, Fused
from graphad.passes import PIPELINE, UNGROUPED, optimize

VECTORS = [np.linspace(-1, 1, 8), np.linspace(0.5, 1, 8), np.linspace(-0.3, 0.2, 8)]


def chain(vectors: Any, ops: int) -> Any:
    x, previous, v = vectors
    for _ in range(ops // 3):
        a = np.sin(x)
        x = a * previous + v
        previous = a
    return np.sum(x)


def gradient(ops: int) -> Graph:
    return ga.value_and_grad(ga.trace(lambda vectors: chain(vectors, ops), VECTORS))


def test_equal_groups_share_one_region_and_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    region = bodies.Description.region
    monkeypatch.setattr(bodies.Description, "region", lambda self: made.append(self) or region(self))
    graph = prepared(optimize(gradient(6_000), UNGROUPED))
    regions = [node.op for node in graph.nodes if isinstance(node.op, Region)]
    assert len(regions) > 300
    assert len(made) == len({id(each) for each in regions}) <= 12
    exe = ga.compile(graph_of(6_000), executor="native", wait=True)
    assert len({step.kernel.name for step in exe._program.program.order}) <= 12


def graph_of(ops: int) -> Graph:
    return optimize(gradient(ops), UNGROUPED)


def test_groups_that_nothing_else_reads_are_joined_without_a_search(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of(6_000)
    found = fusion.Grouping(graph).run()
    monkeypatch.setattr(fusion, "SEARCH_LIMIT", 20)
    limited = fusion.Grouping(graph).run()
    assert [set(group.members) for group in limited] == [set(group.members) for group in found]
    assert sum(len(group.members) == 1 for group in found) <= 2


@pytest.mark.parametrize("ops", [30, 3_000])
def test_values_and_gradients_of_a_long_chain_are_those_of_numpy(ops: int) -> None:
    graph = gradient(ops)
    value, gradients = ga.compile(graph_of(ops), executor="native", wait=True)(VECTORS)
    wanted, derivatives = ga.compile(graph, executor="reference")(VECTORS)
    np.testing.assert_allclose(value, wanted, rtol=1e-12)
    for a, b in zip(gradients, derivatives, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10)


LARGE = np.linspace(0, 1, BLOCK_BYTES // 8 + 1)


def test_native_code_is_compiled_without_groups_of_the_reference_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any) -> Any:
        raise AssertionError("nothing runs on the reference executor")

    monkeypatch.setattr(planning.Plans, "reference", refuse)
    monkeypatch.setattr(planning, "with_groups", refuse)
    exe = ga.compile(lambda x: np.exp(x) * 2 + x, LARGE, executor="native", wait=True)
    assert [each.name for each in exe.graph.report.passes] == [each.name for each in UNGROUPED]
    np.testing.assert_allclose(exe(LARGE), np.exp(LARGE) * 2 + LARGE, rtol=1e-15)
    jitted = ga.jit(lambda x: np.exp(x) * 2 + x, executor="native")
    assert not any(type(node.op) is Fused for node in jitted.graph(LARGE).nodes)


def test_first_calls_run_large_arrays_in_groups() -> None:
    exe = ga.compile(lambda x: np.exp(x) * 2 + x, LARGE, executor="native")
    assert any(type(node.op) is Fused for node in exe.plans.reference(()).graph.nodes)
    small = ga.compile(lambda x: np.exp(x) * 2 + x, LARGE[:10], executor="native")
    assert small.plans.reference(()).graph is small.graph
    np.testing.assert_array_equal(
        exe(LARGE), ga.compile(lambda x: np.exp(x) * 2 + x, LARGE, executor="reference")(LARGE)
    )


def test_the_reference_executor_gets_its_groups_from_the_pipeline() -> None:
    exe = ga.compile(lambda x: np.exp(x) * 2 + x, LARGE, executor="reference")
    assert [each.name for each in exe.graph.report.passes] == [each.name for each in PIPELINE]
    assert any(type(node.op) is Fused for node in exe.plan.graph.nodes)
