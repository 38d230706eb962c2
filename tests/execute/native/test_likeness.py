"""What fusion knows of nodes, and which groups it takes for alike: as going from node to node tells."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import graphad as ga
from graphad.execute.native import bodies, facts
from graphad.execute.native.addresses import with_checked_addresses
from graphad.execute.native.bodies import described, needed_outside
from graphad.execute.native.facts import Facts
from graphad.execute.native.fusion import Grouping
from graphad.execute.native.kinds import FUSIBLE, fusible, is_view, kind_of
from graphad.execute.native.likeness import Likeness
from graphad.execute.native.opening import open_all
from graphad.execute.native.preparing import prepared
from graphad.execute.native.regions import Region
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.passes import UNGROUPED, optimize
from tests.random_graphs import Example, random_graphs


def several(example: Example, times: int = 3) -> Graph:
    """Return the graph of a random function at several arguments, and the gradients, as fusion gets it."""

    def total(*arrays: Any) -> Any:
        found = example.function(*arrays)
        return sum(np.sum(y) for y in (found if isinstance(found, tuple) else (found,)))

    def each(*arrays: Any) -> Any:
        return [ga.value_and_grad(total, tuple(range(len(arrays))))(*[a[k] for a in arrays]) for k in range(times)]

    graph = ga.trace(each, *[np.stack([a] * times) for a in example.arrays])
    return with_checked_addresses(open_all(optimize(graph, UNGROUPED)))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(example=random_graphs())
def test_facts_are_those_of_each_node(example: Example) -> None:
    graph = several(example, 2)
    found = Facts(graph)
    number = {node: k for k, node in enumerate(graph.nodes)}
    for at, node in enumerate(graph.nodes):
        assert found.inputs[at] == [number[v.node] for v in node.inputs]
        assert found.readers(at) == [number[user] for user in graph.nodes for v in user.inputs if v.node is node]
        assert found.views[at] == is_view(node)
        expected = kind_of(node) if isinstance(node.op, FUSIBLE) and fusible(node) else None
        assert found.kinds[at] == expected
        behind = node
        while is_view(behind):
            behind = behind.inputs[0].node
        assert found.origins[at] == (-1 if isinstance(behind.op, (Input, Constant)) else number[behind])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(example=random_graphs())
def test_groups_with_one_key_have_one_description(example: Example) -> None:
    graph = several(example)
    grouping = Grouping(graph)
    groups = grouping.run()
    if not groups:
        return
    found = Likeness(grouping, groups, needed_outside(grouping))
    numbers = grouping.facts.numbers
    texts = []
    for k, group in enumerate(groups):
        assert found.members[k] == sorted(group.members)
        description = described(grouping, group, found.members[k], found.outputs[k])
        place = {read: n for n, read in enumerate(found.outside[k])}
        reads = [(numbers[node], index) for (node, index), _ in description.operands]
        texts.append((description.key(), None if found.key(k) is None else [place[read] for read in reads]))
    for j, k in combinations(range(len(groups)), 2):
        if found.key(j) is not None and found.key(j) == found.key(k):
            assert texts[j] == texts[k]


def unrolled(x: Any, scale: Any, steps: int) -> Any:
    for _ in range(steps):
        x = np.tanh(x * scale + 0.5) - x.mean()
    return x


def test_equal_groups_are_described_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(bodies, "described", lambda *given: asked.append(given) or described(*given))
    graph = optimize(ga.trace(lambda x, s: unrolled(x, s, 1000), np.ones((4, 5)), np.ones(5)), UNGROUPED)
    regions = [node.op for node in prepared(graph).nodes if isinstance(node.op, Region)]
    assert len(regions) > 300
    assert len(asked) <= 8


def test_the_kind_of_equal_nodes_is_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(facts, "kind_of", lambda node: asked.append(node) or kind_of(node))
    graph = optimize(ga.trace(lambda x, s: unrolled(x, s, 50), np.ones((4, 5)), np.ones(5)), UNGROUPED)
    Facts(graph)
    assert len(asked) <= 8


def test_a_read_at_several_positions_at_once_is_part_of_a_group() -> None:
    def f(x: Any, i: Any, j: Any, k: Any) -> Any:
        return np.sin(x[i, j, k] * 2.0) + x[i, j, k]

    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 4, 5))
    positions = [rng.integers(0, n, (7, 2)) for n in x.shape]
    exe = ga.compile(f, x, *positions, executor="native", wait=True)
    (region,) = [node for node in exe.plan.graph.nodes if isinstance(node.op, Region) and len(node.inputs) > 3]
    assert any(len(node.inputs) == 4 for node in region.op.body.nodes)
    np.testing.assert_allclose(exe(x, *positions), f(x, *positions), rtol=1e-12)
