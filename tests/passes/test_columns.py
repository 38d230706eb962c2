"""Columns: what NumPy tells of all nodes at once is what going from node to node tells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import graphad as ga
from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.op import Op
from graphad.passes import PIPELINE, RULES, columns, driver, optimize
from graphad.passes.columns import Columns, columns_of
from graphad.passes.contract import contract
from graphad.passes.driver import _Index, node_key, repeats
from graphad.passes.pipeline import algebra, stabilize
from tests.random_graphs import Example, random_graphs

WITHOUT_GROUPS = PIPELINE[:-1]


def traced(example: Example) -> Graph:
    scalar = ga.trace(lambda *xs: sum(np.sum(y) for y in flat(example.function(*xs))), *example.arrays)
    return ga.value_and_grad(scalar, argnums=tuple(range(len(example.arrays))))


def flat(result: Any) -> Sequence[Any]:
    return result if isinstance(result, (tuple, list)) else (result,)


@settings(max_examples=40, deadline=None)
@given(example=random_graphs())
def test_positions_are_those_of_the_classes(example: Example) -> None:
    graph = traced(example)
    seen: list[tuple[type[Op], tuple[type[Op], ...]]] = []

    def chosen(cls: type[Op], operands: Sequence[type[Op]] | None) -> bool:
        assert operands is not None
        seen.append((cls, tuple(operands)))
        return cls.name in ("mul", "tanh", "sum") and any(op.name in ("add", "input", "tanh") for op in operands)

    found = Columns(graph).positions(chosen)
    assert len(seen) == len(set(seen))
    classes = [(type(node.op), tuple(type(v.node.op) for v in node.inputs)) for node in graph.nodes]
    assert found == [k for k, each in enumerate(classes) if chosen(*each)]


def test_positions_of_nodes_with_many_operands_are_asked_for_by_the_class_alone() -> None:
    graph = ga.trace(lambda x: np.concatenate([x, x + 1, x + 2, x + 3, x + 4]), ga.spec((2,)))
    asked = {}

    def chosen(cls: type[Op], operands: Sequence[type[Op]] | None) -> bool:
        asked[cls.name] = operands
        return operands is None

    assert [graph.nodes[k].op.name for k in Columns(graph).positions(chosen)] == ["concatenate"]
    assert asked["concatenate"] is None and asked["add"] is not None


@settings(max_examples=60, deadline=None)
@given(example=random_graphs())
def test_a_graph_repeats_itself_where_two_nodes_have_one_key(example: Example) -> None:
    graph = traced(example)
    for each in (graph, optimize(graph, passes=("cse",))):
        keys = [node_key(node) for node in each.nodes if type(node.op) is not Input]
        assert repeats(Columns(each)) == (len(set(keys)) < len(keys))


def test_operands_that_change_places_repeat_only_where_the_op_does_not_care() -> None:
    def graph(function: Any) -> Graph:
        return ga.trace(lambda x, y: (function(x, y), function(y, x)), ga.spec((3,)), ga.spec((3,)))

    assert repeats(Columns(graph(lambda x, y: x + y)))
    assert not repeats(Columns(graph(lambda x, y: x - y)))


def test_nodes_with_many_operands_repeat_where_all_agree() -> None:
    def graph(function: Any) -> Graph:
        return ga.trace(function, ga.spec((3,)), ga.spec((3,)))

    assert repeats(Columns(graph(lambda x, y: (np.concatenate([x] * 4), np.concatenate([x] * 4)))))
    assert not repeats(Columns(graph(lambda x, y: (np.concatenate([x] * 4), np.concatenate([x, x, x, y])))))


@settings(max_examples=60, deadline=None)
@given(example=random_graphs())
def test_a_node_that_a_pattern_matches_is_among_those_it_may_match(example: Example) -> None:
    graph = traced(example)
    index = _Index((*stabilize.rules, *algebra.rules, *contract.rules))
    positions = set(index.positions(Columns(graph)))
    for at, node in enumerate(graph.nodes):
        matched = any(matcher(node) is not None for _, matcher in index.candidates(node))
        assert at in positions or not matched


def test_nodes_whose_operands_differ_are_not_tried_where_a_pattern_wants_the_same_twice() -> None:
    index = _Index((RULES["equal_terms"],))

    def tried(function: Any) -> list[str]:
        graph = ga.trace(function, *[ga.spec((3,))] * 3)
        return [graph.nodes[at].op.name for at in index.positions(Columns(graph))]

    assert tried(lambda x, y, z: (y + x) + x) == ["add"]
    assert tried(lambda x, y, z: x + (x + y)) == ["add"]
    assert not tried(lambda x, y, z: (y + x) + z)


@settings(max_examples=40, deadline=None)
@given(example=random_graphs())
def test_a_pass_does_the_same_to_a_graph_whatever_its_size(example: Example) -> None:
    graph = traced(example)
    small = optimize(graph, WITHOUT_GROUPS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "MANY", 0)
        big = optimize(graph, WITHOUT_GROUPS)
    assert str(big) == str(small)
    assert [each.rules for each in big.report.passes] == [each.rules for each in small.report.passes]


def test_columns_are_made_once_for_passes_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    class Counted(Columns):
        def __init__(self, graph: Graph) -> None:
            made.append(graph)
            super().__init__(graph)

    monkeypatch.setattr(columns, "Columns", Counted)
    monkeypatch.setattr(driver, "MANY", 0)

    def chain(x: Any) -> Any:
        for _ in range(20):
            x = np.tanh(np.sin(x) + x)
        return x

    optimize(ga.trace(chain, ga.spec((4,))), WITHOUT_GROUPS)
    assert len(made) == 1
    columns_of(made[0])
    assert len(made) == 1
    assert all(a is not b for a, b in pairwise(made))
