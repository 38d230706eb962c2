"""The printed form: exactly what stands in it."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from graphad.ir.attributes import MAX_NESTING
from graphad.ir.dims import Assumption, dim
from graphad.ir.errors import GraphadError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.location import Location
from graphad.ir.node import Node, Value
from graphad.ir.op import OPS
from graphad.ir.parser import parse
from graphad.ir.printer import location_text, print_graph, print_node
from graphad.ir.types import TensorType
from tests.ir.sample_graphs import F64, chain, constant, graph_holding_ops, graph_of, mlp, put

T = TensorType(F64, (2, 3))


def test_design_example() -> None:
    text = textwrap.dedent("""\
        graph loss(%x: f64[8,5], %w: f64[5,4]) -> (f64[]) {
          %0: f64[8,4] = matmul %x, %w              # model.py:12
          %1: f64[8,4] = tanh %0                    # model.py:12
          %2: f64[] = sum[axes=(0, 1)] %1           # model.py:13
          return %2
        }
        """)
    assert print_graph(parse(text)) == text


def test_comments_stand_in_one_column_and_name_this_file() -> None:
    text = str(mlp())
    columns = {line.index("  # ") for line in text.splitlines() if "  # " in line}
    assert len(columns) == 1
    assert "# sample_graphs.py:" in text


def test_origin_stands_in_braces() -> None:
    x = Value(Node(Input("x", T), (), (T,)), 0)
    where = Location("/home/user/model.py", 7)
    node = Node(OPS["tanh"](), (x,), (T,), where, "enc/attn", "backward", 1)
    graph = Graph("g", (x,), (Value(node, 0),), ("x",), ("out",), *flat_containers(1, 1))
    line = str(graph).splitlines()[1]
    assert line == '  %0: f64[2,3] = tanh %x {role=backward, scope="enc/attn", replica=1}  # model.py:7'


def test_names_that_are_not_identifiers_are_quoted() -> None:
    types = dict.fromkeys(("x", "params.w1", "a b", "0", 'say "hi"', "inf", "naïve", "line\nbreak"), T)
    graph = graph_of(types, lambda *values: values, name="two words")
    first = str(graph).splitlines()[0]
    assert first.startswith('graph "two words"(%x: f64[2,3], %params.w1: f64[2,3], %"a b": f64[2,3], %"0": ')
    assert '%"say \\"hi\\""' in first and '%"inf"' in first and "%naïve:" in first and '%"line\\nbreak"' in first
    assert parse(str(graph)) == graph


def test_parameters_initial_values_and_output_names() -> None:
    values = [Value(Node(Input(n, T, k), (), (T,)), 0) for n, k in (("x", "input"), ("w", "parameter"))]
    arguments, result = flat_containers(2, 2)
    initial = {"w": np.arange(6.0).reshape(2, 3)}
    graph = Graph("g", tuple(values), tuple(values), ("x", "w"), ("loss", "grads.w"), arguments, result, initial)
    first = str(graph).splitlines()[0]
    assert first == (
        "graph g(%x: f64[2,3], %w: f64[2,3] parameter = [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])"
        " -> (loss: f64[2,3], grads.w: f64[2,3]) {"
    )


def test_assumptions_are_lines() -> None:
    n = dim("batch")
    assumptions = (Assumption(">=", n, 10, Location("model.py", 3)), Assumption("divides", 2, n))
    graph = graph_of({"x": TensorType(F64, (n,))}, lambda x: x, assumptions=assumptions)
    lines = str(graph).splitlines()
    assert lines[1] == "  assume batch >= 10                        # model.py:3"
    assert lines[2] == "  assume 2 divides batch"


def test_constants_are_exact() -> None:
    odd = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
    graph = graph_of(
        {}, lambda: (constant([0.1, -0.0, np.nan, odd, -np.inf]), constant(np.float32(0.1)), constant([[True]]))
    )
    text = str(graph)
    assert "constant [0.1, -0.0, nan, nan(0x7ff8000000000001), -inf]" in text
    assert "f32[] = constant 0.1 " in text
    assert "constant [[True]]" in text


def test_large_constants_are_resources_shared_by_content() -> None:
    big = np.arange(1000.0)
    graph = graph_of({}, lambda: (constant(big), constant(big.copy()), constant(big + 1)))
    text = str(graph)
    assert text.count("@c0") == 3 and text.count("@c1") == 2 and "@c2" not in text
    assert text.rstrip().endswith("}") and "\nresources {\n  @c0: f64[1000] = " in text


def test_constant_limit_leaves_large_arrays_out() -> None:
    graph = graph_of({}, lambda: (constant(np.zeros(200_000)), constant(2.0)))
    text = print_graph(graph, constant_limit=100)
    assert "constant <1.6 MB elided>" in text and "constant 2.0" in text and "resources" not in text
    assert "elided" not in print_graph(graph)


def test_graphs_among_attributes_are_nested() -> None:
    body = graph_of({"a": T}, lambda a: put(OPS["tanh"](), a), name="body")
    with graph_holding_ops() as (held, choice, _, _):
        graph = graph_of({"x": T}, lambda x: put(choice((body, body), 1), put(held(body, "why"), x)))
        text = "\n".join(line.split("#")[0].rstrip() for line in str(graph).splitlines())
        assert text == textwrap.dedent("""\
            graph g(%x: f64[2,3]) -> (f64[2,3]) {
              %0: f64[2,3] = held[body=graph body(%a: f64[2,3]) -> (f64[2,3]) {
                %0: f64[2,3] = tanh %a
                return %0
              }, note="why"] %x
              %1: f64[2,3] = choice[branches=(graph body(%a: f64[2,3]) -> (f64[2,3]) {
                %0: f64[2,3] = tanh %a
                return %0
              }, graph body(%a: f64[2,3]) -> (f64[2,3]) {
                %0: f64[2,3] = tanh %a
                return %0
              }), default=1] %0
              return %1
            }""")


def test_too_deep_nesting_is_an_error() -> None:
    with graph_holding_ops() as (held, _, _, _):
        graph = graph_of({"x": T}, lambda x: x)
        for depth in range(MAX_NESTING):
            inner = graph
            graph = graph_of({"x": T}, lambda x, inner=inner: put(held(inner), x))
            if depth < MAX_NESTING - 1:
                assert str(graph)
        with pytest.raises(GraphadError, match="nested more than 64 deep"):
            str(graph)


def test_python_objects_are_marked() -> None:
    with graph_holding_ops() as (_, _, everything, _):
        op = everything(True, 1, 1.5, "", None, 2, F64, T, (), (True, 1.0, ""), function=len)
        graph = graph_of({}, lambda: put(op))
        assert "function=<opaque builtin_function_or_method len>" in str(graph)


def test_locations_that_could_not_be_read_back_are_quoted() -> None:
    assert location_text(Location("/tmp/a b.py", 3)) == "a b.py:3"
    assert location_text(Location("two\nlines.py", 3)) == '"two\\nlines.py":3'


def test_one_node() -> None:
    graph = chain(3)
    assert print_node(graph, graph.nodes[2]) == "%1: f64[8,5] = add %0, %x"
    assert print_node(graph, graph.nodes[0]) == "%x: f64[8,5]"
    big = graph_of({}, lambda: constant(np.zeros(1000)))
    assert print_node(big, big.nodes[0]) == "%0: f64[1000] = constant <8 kB elided>"


def test_printing_is_deterministic() -> None:
    assert str(mlp()) == str(mlp())


def test_empty_constant_has_brackets() -> None:
    graph = graph_of({}, lambda: put(Constant(np.zeros((0, 4)))))
    assert "f64[0,4] = constant []" in str(graph)
