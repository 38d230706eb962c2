"""The verifier: every invariant, broken once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graphad.ir.containers import Leaf
from graphad.ir.errors import VerifyError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.location import Location
from graphad.ir.node import Node, Value
from graphad.ir.op import OPS
from graphad.ir.types import TensorType
from graphad.ir.verify import verify
from tests.ir.sample_graphs import F64, all_dtypes, chain, changed, graph_holding_ops, graph_of, mlp, put, symbolic

T = TensorType(F64, (2, 3))
HERE = Location("model.py", 3, "y = tanh(x)")


def values() -> tuple[Value, Value]:
    x = Value(Node(Input("x", T), (), (T,)), 0)
    return x, Value(Node(OPS["tanh"](), (x,), (T,), HERE), 0)


def graph(**changes: Any) -> Graph:
    """A good graph of one node, with fields changed."""
    x, y = values()
    if "node" in changes:
        y = Value(changed(y.node, inputs=(x,), **changes.pop("node")), 0)
    arguments, result = flat_containers(1, 1)
    fields: dict[str, Any] = {
        "name": "g",
        "inputs": (x,),
        "outputs": (y,),
        "input_names": ("x",),
        "output_names": ("out",),
        "input_container": arguments,
        "output_container": result,
    }
    return Graph(**{**fields, **changes})


@pytest.mark.parametrize("make", [mlp, symbolic, all_dtypes, graph, lambda: chain(2)])
def test_good_graphs_come_back(make) -> None:
    good = make()
    assert verify(good) is good


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"types": (T.with_shape((3, 2)),)}, r"`%0: f64\[3,2\] = tanh %x`: its type rule gives \(f64\[2,3\]\)"),
        ({"types": (T, T)}, r"its type rule gives \(f64\[2,3\]\)"),
        ({"types": ("f64[2,3]",)}, "not a tuple of tensor types"),
        ({"role": "sideways"}, "role 'sideways' is not one of forward"),
        ({"scope": None}, "its scope is a string"),
        ({"replica": -1}, "replica a non-negative integer"),
        ({"op": OPS["add"]()}, "its type rule refuses the operands: takes 2"),
        ({"op": OPS["sum"](axes=(5,))}, "its type rule refuses the operands: axes"),
        ({"op": OPS["sum"](axes=None)}, "its type rule fails: TypeError"),
        ({"serial": -1}, "operand 0 was made after it"),
    ],
)
def test_faulty_nodes_are_named_with_their_line(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(VerifyError, match=reason) as caught:
        verify(graph(node=changes))
    assert "graph 'g', node `" in str(caught.value)
    assert "model.py:3: y = tanh(x)" in str(caught.value)


def test_operands_are_results_of_their_node() -> None:
    x, _ = values()
    bad = Value(Node(OPS["tanh"](), (Value(x.node, 1),), (T,)), 0)
    with pytest.raises(VerifyError, match="operand 0 is result 1 of a node that has 1"):
        verify(graph(inputs=(x,), outputs=(bad,)))


def test_signature() -> None:
    x, y = values()
    two = (x, Value(Node(Input("z", T), (), (T,)), 0))
    flat = flat_containers(2, 1)[0]
    for changes, reason in (
        ({"inputs": (x, Value(y.node, 0)), "outputs": (y,)}, "is no `input`"),
        ({"inputs": two, "outputs": (y,), "input_names": ("x", "x"), "input_container": flat}, "not distinct: x"),
        ({"inputs": (x, x), "outputs": (y,), "input_names": ("x", "z"), "input_container": flat}, "has an input twice"),
        ({"input_names": ("x", "y")}, "names of the inputs are 2 for 1"),
        ({"output_names": ()}, "names of the outputs are 0 for 1"),
        ({"input_container": Leaf()}, "is a tuple"),
        ({"input_container": flat}, "nesting of the arguments has 2 leaves for 1"),
        ({"output_container": flat}, "nesting of the result has 2 leaves for 1"),
        ({"initial": {"w": np.zeros((2, 3))}}, "initial value for 'w', which is no input"),
        ({"initial": {"x": np.zeros((3, 2))}}, r"initial value of 'x' is f64\[3,2\], not f64\[2,3\]"),
        ({"initial": {"x": np.zeros((2, 3), np.float32)}}, r"is f32\[2,3\], not f64\[2,3\]"),
        ({"initial": {"x": 3.0}}, "is float, not"),
        ({"assumptions": ("n >= 2",)}, "are `Assumption`s"),
        ({"inputs": (x,), "outputs": (Value(y.node, 1),)}, "output 'out' is result 1 of it"),
    ):
        if "inputs" not in changes:
            changes = {"inputs": (x,), "outputs": (y,), **changes}
        with pytest.raises(VerifyError, match=reason):
            verify(graph(**changes))


def test_unknown_kinds_of_inputs() -> None:
    odd = Value(Node(Input("x", T, "secret"), (), (T,)), 0)
    with pytest.raises(VerifyError, match="'secret' is neither input nor parameter"):
        verify(graph(inputs=(odd,), outputs=(odd,)))


def test_constants_are_read_only() -> None:
    op = Constant(np.zeros(3))
    bad = graph_of({}, lambda: put(op))
    verify(bad)
    op.array.flags.writeable = True
    with pytest.raises(VerifyError, match="constants are read-only"):
        verify(bad)


def test_held_graphs_are_checked() -> None:
    with graph_holding_ops() as (held, choice, _, _):
        good = graph_of({"a": T}, lambda a: put(held(graph()), a))
        verify(good)
        bad = graph(node={"role": "sideways"})
        for op in (held(bad), choice((graph(), bad)), held(graph_of({"a": T}, lambda a: put(held(bad), a)))):
            with pytest.raises(VerifyError, match="role 'sideways'"):
                verify(graph_of({"x": T}, lambda x, op=op: put(op, x)))


def test_graphs_shared_many_times_are_checked_once() -> None:
    with graph_holding_ops() as (_, choice, _, _):
        shared = graph()
        for _ in range(50):  # 2^50 uses
            shared = graph_of({"a": T}, lambda a, inner=shared: put(choice((inner, inner)), a))
        verify(shared)


def test_ops_without_a_hash() -> None:
    with graph_holding_ops() as (_, _, _, table):
        table.__hash__ = None
        verify(graph_of({}, lambda: put(table(np.zeros(3)))))


def test_a_chain_of_a_million_builds_verifies_and_prints() -> None:
    graph = verify(chain(1_000_000))
    lines = str(graph).splitlines()
    assert len(lines) == 1_000_003
    assert lines[-3].startswith("  %999999: f64[8,5] = add %999998, %x ")
    assert lines[-2:] == ["  return %999999", "}"]
