"""Nodes, values and graphs: immutability, order, structure, binding, leaks."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest

import graphad as ga
from graphad.autodiff.between import substitute
from graphad.ir.errors import LeakError, OpTypeError, SymbolicSizeError
from graphad.ir.graph import reachable
from graphad.ir.node import Value
from graphad.ir.structure import canonical_order
from graphad.ir.walk import evaluate, inline, rebuild


def mlp(params, x):
    return np.tanh(x @ params["w"] + params["b"])


@pytest.fixture
def graph():
    return ga.trace(mlp, {"w": np.ones((5, 4)), "b": np.ones(4)}, np.ones((8, 5)))


def test_names_come_from_the_arguments(graph):
    assert graph.input_names == ("params.w", "params.b", "x")
    assert graph.name == "mlp"


def test_nodes_are_immutable(graph):
    node = graph.nodes[-1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        node.role = "backward"
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.name = "other"


def test_nodes_stand_in_topological_order_inputs_first(graph):
    position = {node: k for k, node in enumerate(graph.nodes)}
    assert [v.node for v in graph.inputs] == list(graph.nodes[:3])
    for node in graph.nodes:
        assert all(position[v.node] < position[node] for v in node.inputs)


def test_every_node_names_the_users_line(graph):
    line = mlp.__code__.co_firstlineno + 1
    for node in graph.nodes[3:]:
        assert node.location.file == __file__
        assert node.location.line == line
        assert node.location.source == 'return np.tanh(x @ params["w"] + params["b"])'


def test_values_are_equal_by_node_and_index(graph):
    node = graph.nodes[-1]
    assert Value(node, 0) == graph.outputs[0]
    assert len({Value(node, 0), graph.outputs[0]}) == 1


def test_equality_is_structural_and_does_not_see_locations_or_order():
    def one(x, y):
        return np.sin(x) * np.cos(y)

    def other(x, y):
        b = np.cos(y)
        a = np.sin(x)
        return a * b

    x = np.ones(3)
    a, b = ga.trace(one, x, x, name="f"), ga.trace(other, x, x, name="f")
    assert a == b
    assert hash(a) == hash(b)
    assert [n.op.name for n in canonical_order(a)] == [n.op.name for n in canonical_order(b)]
    assert a != ga.trace(lambda x, y: np.sin(y) * np.cos(x), x, x, name="f")
    assert a != ga.trace(one, x, x, name="g")
    assert a != ga.trace(one, np.ones(4), np.ones(4), name="f")


def test_constants_are_equal_by_bits():
    def graph(value):
        return ga.trace(lambda x: x + np.array([value]), np.ones(1), name="f")

    assert graph(0.0) == graph(0.0)
    assert graph(0.0) != graph(-0.0)
    assert graph(np.nan) == graph(np.nan)


def test_a_constant_does_not_change_with_the_users_array():
    array = np.ones(3)
    graph = ga.trace(lambda x: x * array, np.ones(3))
    array[:] = 7
    np.testing.assert_array_equal(evaluate(graph, [np.ones(3)])[0], np.ones(3))


def test_a_leaked_tensor_is_an_error_that_names_its_line():
    kept = []

    def leaks(x):
        kept.append(np.sin(x))
        return x

    ga.trace(leaks, np.ones(3))
    with pytest.raises(LeakError, match="another trace") as caught:
        ga.trace(lambda y: y + kept[0], np.ones(3))
    assert caught.value.location is not None


def test_a_type_error_names_op_types_and_line():
    with pytest.raises(OpTypeError, match=r"matmul of f64\[4,5\] and f64\[3,2\]") as caught:
        ga.trace(lambda x: x @ np.ones((3, 2)), np.ones((4, 5)))
    assert "np.ones((3, 2))" in str(caught.value)


def test_inline_and_rebuild_keep_values(graph):
    arrays = [np.full((5, 4), 0.1), np.arange(4.0), np.ones((8, 5))]
    expected = evaluate(graph, arrays)[0]
    nested = ga.trace(lambda w, b, x: inline(graph, [w, b, x])[0], *arrays)
    np.testing.assert_array_equal(evaluate(nested, arrays)[0], expected)
    assert rebuild(graph, lambda node: node.op).outputs == graph.outputs


def test_substitution_shares_what_does_not_change():
    graph = ga.trace(lambda x, y: np.sin(x) + np.cos(y), np.ones(3), np.ones(3))
    x, y = graph.inputs
    (new,) = substitute(graph.outputs, {y: x})
    assert new.node.inputs[0] == graph.outputs[0].node.inputs[0]
    assert new.node.inputs[1].node.inputs == (x,)


def test_binding_gives_a_static_graph_and_checks_assumptions():
    batch = ga.dim("batch")
    graph = ga.trace(lambda x: np.tanh(x)[:10], ga.spec((batch, 3)))
    assert not graph.static
    assert graph.size_names == {"batch"}
    bound = graph.bind(batch=32)
    assert bound.static
    assert bound.output_types[0].shape == (10, 3)
    with pytest.raises(SymbolicSizeError, match="batch=4 breaks the assumption `batch >= 10`") as caught:
        graph.bind(batch=4)
    assert "np.tanh(x)[:10]" in str(caught.value)
    with pytest.raises(SymbolicSizeError, match="no size named 'width'"):
        graph.bind(width=4)
    with pytest.raises(SymbolicSizeError, match="non-negative"):
        graph.bind(batch=-1)


def test_partial_binding_keeps_the_other_sizes():
    graph = ga.trace(lambda x: x * 2, ga.spec((ga.dim("n"), ga.dim("m"))))
    assert str(graph.bind(n=3).output_types[0]) == "f64[3,m]"


def test_a_graph_is_freed_without_the_collector():
    graph = ga.trace(lambda x: np.sin(x) + np.ones(1000), np.ones(1000))
    alive = weakref.ref(graph.nodes[-1])
    gc.disable()
    try:
        del graph
        assert alive() is None
    finally:
        gc.enable()


def test_a_long_chain_needs_no_recursion():
    def chain(x):
        for _ in range(50_000):
            x = -x
        return x

    graph = ga.trace(chain, np.ones(2))
    assert len(reachable(graph.outputs)) == 50_001
    assert rebuild(graph, lambda node: node.op) == graph
    np.testing.assert_array_equal(evaluate(graph, [np.ones(2)])[0], np.ones(2))


def test_scopes_and_roles_nest():
    def f(x):
        with ga.scope("a"):
            x = np.sin(x)
            with ga.scope("b"), ga.role("update"):
                x = np.cos(x)
        return -x

    nodes = ga.trace(f, np.ones(2)).nodes
    assert [(n.scope, n.role) for n in nodes[1:]] == [("a", "forward"), ("a/b", "update"), ("", "forward")]
    with pytest.raises(ValueError, match="scope name"):
        ga.scope("a/b").__enter__()
    with pytest.raises(ValueError, match="a role is one of"):
        ga.role("sideways").__enter__()
