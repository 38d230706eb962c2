"""The door to networkx."""

from __future__ import annotations

import sys

import networkx as nx
import pytest

from graphad.ir.emit import emit
from graphad.ir.errors import MissingExtraError
from graphad.ir.op import OPS
from graphad.ir.types import TensorType
from tests.ir.sample_graphs import F64, chain, graph_holding_ops, graph_of, mlp, put

T = TensorType(F64, (2, 3))


def test_nodes_and_edges_carry_the_ir() -> None:
    graph = mlp()
    found = graph.to_networkx()
    assert list(found) == list(graph.nodes)
    assert found.number_of_edges() == sum(len(node.inputs) for node in graph.nodes)
    matmul = next(node for node in graph.nodes if node.op.name == "matmul")
    attributes = found.nodes[matmul]
    assert attributes["op"] == "matmul" and attributes["types"] == ("f64[8,4]",) and attributes["name"] == "%0"
    assert attributes["scope"] == "layer" and attributes["role"] == "forward" and attributes["replica"] == 0
    assert attributes["location"].startswith("sample_graphs.py:")
    assert [found.nodes[n]["name"] for n in found.predecessors(matmul)] == ["%x", "%params.w1"]
    assert found.graph["outputs"] == [(v.node, v.index) for v in graph.outputs]
    assert found.graph["input_names"] == ("params.w1", "x")


def test_operands_read_twice_and_results_beyond_the_first() -> None:
    x2 = graph_of({"x": T}, lambda x: put(OPS["mul"](), x, x)).to_networkx()
    assert [(k, d["position"], d["type"]) for *_, k, d in x2.edges(keys=True, data=True)] == [
        (0, 0, "f64[2,3]"),
        (1, 1, "f64[2,3]"),
    ]
    body = graph_of({"a": T}, lambda a: (a, a))
    with graph_holding_ops() as (held, _, _, _):
        graph = graph_of({"x": T}, lambda x: put(OPS["neg"](), emit(held(body), (x,)).outputs[1]))
        found = graph.to_networkx()
    assert [d["index"] for *_, d in found.edges(data=True)] == [0, 1]
    assert found.nodes[graph.nodes[1]]["name"] == "%0, %1"


def test_algorithms_of_networkx_run() -> None:
    found = chain(1000).to_networkx()
    assert nx.is_directed_acyclic_graph(found)
    assert nx.dag_longest_path_length(nx.DiGraph(found), weight=None) == 1000


def test_without_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(MissingExtraError, match="pip install networkx"):
        chain(1).to_networkx()
