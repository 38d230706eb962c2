"""Comparing graphs node by node."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from graphad.ir.diff import diff
from graphad.ir.dims import Assumption, dim
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.ir.op import OPS
from graphad.ir.parser import parse
from graphad.ir.types import TensorType
from tests.ir.sample_graphs import (
    F64,
    all_dtypes,
    chain,
    changed,
    constant,
    graph_holding_ops,
    graph_of,
    mlp,
    put,
    symbolic,
)

T = TensorType(F64, (2, 3))
ADD, MUL, NEG, TANH, SUM = OPS["add"], OPS["mul"], OPS["neg"], OPS["tanh"], OPS["sum"]


@pytest.mark.parametrize("make", [mlp, symbolic, all_dtypes, lambda: chain(5)])
def test_equal_graphs_have_no_difference(make) -> None:
    graph = make()
    found = diff(graph, parse(str(graph)))
    assert found.equal and found.same == len(graph.nodes)
    assert str(found) == f"the graphs are equal ({len(graph.nodes)} nodes)"


def test_the_order_of_creation_does_not_count() -> None:
    def one(x: Value) -> Value:
        left = put(TANH(), x)
        return put(ADD(), left, put(NEG(), x))

    def other(x: Value) -> Value:
        right = put(NEG(), x)
        return put(ADD(), put(TANH(), x), right)

    assert diff(graph_of({"x": T}, one), graph_of({"x": T}, other)).equal


def test_nodes_only_in_one() -> None:
    a = graph_of({"x": T}, lambda x: put(ADD(), put(NEG(), put(TANH(), x)), x))
    b = graph_of({"x": T}, lambda x: put(ADD(), put(TANH(), x), x))
    found = diff(a, b)
    assert [node.op.name for node in found.only_a] == ["neg"]
    assert found.only_b == ()
    (change,) = found.changed
    assert change.differences == ("operand 0: %1 (neg) -> %0 (tanh)",)
    assert found.same == 2
    text = str(found).splitlines()
    assert text[0] == "- %1: f64[2,3] = neg %0"
    assert text[1] == "~ %1: f64[2,3] = add %0, %x"
    assert text[-1] == "1 only in a, 0 only in b, 1 changed, 2 the same"
    back = diff(b, a)
    assert [node.op.name for node in back.only_b] == ["neg"] and back.only_a == ()


def test_changed_attributes_and_types() -> None:
    cube = TensorType(F64, (2, 3, 4))
    a = graph_of({"x": cube}, lambda x: put(TANH(), put(SUM((0,)), x)))
    b = graph_of({"x": cube}, lambda x: put(TANH(), put(SUM((1,)), x)))
    found = diff(a, b)
    assert not found.only_a and not found.only_b
    assert [change.differences for change in found.changed] == [
        ("axes: (0,) -> (1,)", "types: f64[3,4] -> f64[2,4]"),
        ("types: f64[3,4] -> f64[2,4]",),
    ]


def test_a_change_does_not_take_the_partner_of_the_same() -> None:
    cube = TensorType(F64, (2, 2, 2))
    a = graph_of({"x": cube}, lambda x: (put(SUM((0,)), x), put(SUM((1,)), x)))
    b = graph_of({"x": cube}, lambda x: (put(SUM((2,)), x), put(SUM((0,)), x)))
    found = diff(a, b)
    assert [change.differences for change in found.changed] == [("axes: (1,) -> (2,)",)]
    assert any(text.startswith("output 0: ") for text in found.signature)


def test_changed_constants_and_origin() -> None:
    def make(number: float, role: str, big: float) -> Value:
        made = put(MUL(), constant(number), put(SUM((0,)), constant(np.full(1000, big))))
        return Value(changed(made.node, role=role), 0)

    a = graph_of({}, lambda: make(2.0, "forward", 1.0))
    b = graph_of({}, lambda: make(3.0, "backward", 2.0))
    found = diff(a, b)
    assert [change.differences for change in found.changed] == [
        ("array: f64[] 2.0 -> f64[] 3.0",),
        ("array: another f64[1000] <8 kB elided>",),
        ("role: 'forward' -> 'backward'",),
    ]


def test_signatures() -> None:
    a = graph_of({"x": T, "y": T}, lambda x, y: (x, y), name="a", initial={"x": np.zeros((2, 3))})
    n = dim("n")
    b = graph_of({"x": T, "z": T}, lambda x, z: (z, x), name="b", assumptions=(Assumption(">=", n, 3),))
    found = diff(a, b)
    assert found.signature == (
        "name: a -> b",
        "input names: x, y -> x, z",
        "output 0: %x -> %z",
        "output 1: %y -> %x",
        "initial value of x: only in a",
        "assumption only in b: n >= 3",
    )
    assert not found.only_a and not found.only_b


def test_inputs_of_another_type_or_kind() -> None:
    other = TensorType(F64, (4,))
    found = diff(graph_of({"x": T}, lambda x: x), graph_of({"x": other}, lambda x: x))
    assert [change.differences for change in found.changed] == [("types: f64[2,3] -> f64[4]",)]
    graph = graph_of({"x": T}, lambda x: x)
    parameter = Value(Node(Input("x", T, "parameter"), (), (T,)), 0)
    found = diff(graph, dataclasses.replace(graph, inputs=(parameter,), outputs=(parameter,)))
    assert [change.differences for change in found.changed] == [("kind: input -> parameter",)]


def test_alike_nodes_that_are_shared_differently() -> None:
    def shared(x: Value) -> tuple[Value, ...]:
        one, two = put(NEG(), x), put(NEG(), x)
        return put(ADD(), one, two), put(MUL(), one, one)

    def apart(x: Value) -> tuple[Value, ...]:
        one, two = put(NEG(), x), put(NEG(), x)
        return put(ADD(), one, one), put(MUL(), one, two)

    a, b = graph_of({"x": T}, shared), graph_of({"x": T}, apart)
    assert a != b
    assert diff(a, b).signature == ("nodes that are alike are shared differently",)


def test_held_graphs() -> None:
    with graph_holding_ops() as (held, _, _, _):
        bodies = [graph_of({"a": T}, lambda a, op=op: put(op(), a), name="body") for op in (TANH, NEG)]
        a, b = (graph_of({"x": T}, lambda x, body=body: put(held(body), x)) for body in bodies)
        assert [change.differences for change in diff(a, b).changed] == [("body: another <graph body>",)]


def test_long_chains() -> None:
    found = diff(chain(50_000), chain(50_001))
    assert len(found.only_b) == 1 and not found.only_a
