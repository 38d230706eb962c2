"""Structural identity of graphs: same ops, wiring and attributes, whatever the order the nodes were made in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.leaf import Input
from graphad.ir.node import Node

if TYPE_CHECKING:
    from graphad.ir.graph import Graph


def canonical_order(graph: Graph) -> list[Node]:
    """Return the nodes in an order that depends on the structure alone: inputs, then depth first from the outputs."""
    order = [value.node for value in graph.inputs]
    done = set(order)
    for output in graph.outputs:
        stack: list[tuple[Node, int]] = [(output.node, 0)] if output.node not in done else []
        while stack:
            node, position = stack.pop()
            if node in done:
                continue
            inputs = node.inputs
            while position < len(inputs) and inputs[position].node in done:
                position += 1
            if position < len(inputs):
                stack += [(node, position), (inputs[position].node, 0)]
            else:
                done.add(node)
                order.append(node)
    return order


def structural_key(graph: Graph, *, with_constants: bool = True) -> tuple[Any, ...]:
    """Return a hashable description that two graphs share exactly when they are structurally equal.

    Inputs are described by type and kind, not by label; `with_constants=False` describes constants by type alone.
    """
    order = canonical_order(graph)
    number = {node: k for k, node in enumerate(order)}
    described: list[Any] = []
    for node in order:
        op = node.op
        if type(op) is Input:
            described.append((op.type, op.kind))
            continue
        key: Any = op if with_constants or op.name != "constant" else op.name
        described.append(
            (type(op), key, tuple([(number[v[0]], v[1]) for v in node.inputs]), node.types, node.role)
            + (node.scope, node.replica)
        )
    outputs = tuple((number[v.node], v.index) for v in graph.outputs)
    return (tuple(described), outputs, graph.input_container, graph.output_container)


def same_structure(a: Graph, b: Graph) -> bool:
    """Tell whether two graphs are equal in everything but locations."""
    if (a.name, a.input_names, a.output_names) != (b.name, b.input_names, b.output_names):
        return False
    if set(a.assumptions) != set(b.assumptions) or a.initial.keys() != b.initial.keys():
        return False
    if any(not _same_array(a.initial[key], b.initial[key]) for key in a.initial):
        return False
    return structural_key(a) == structural_key(b)


def _same_array(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
