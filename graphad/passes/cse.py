"""Common subexpressions: one node for each computation that the graph writes several times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphad.ir.emit import emission, handle
from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise, Op
from graphad.ops.shape import Reshape, reshape
from graphad.passes.driver import Journal, Results, columns_of_many, imitate, key_on, node_key, repeats, sweep


class CommonSubexpressions:
    """The pass `cse`.

    Two nodes are one when op, attributes, operands and `replica` agree, whatever their roles and scopes; operands of
    commutative ops count in any order; constants are equal by content (bits). Inputs never merge. The first stays.

    Where an elementwise op is applied to a tensor and to its reshape (``log(s)`` and ``log(s[:, None])``), the second
    becomes a reshape of the first.
    """

    name = "cse"
    text = "Merge nodes with equal op, attributes, operands and replica; elementwise ops also where shapes differ."

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Merge equal nodes."""
        columns = columns_of_many(graph)
        if columns is not None and not repeats(columns) and not columns.positions(_may_read_reshapes):
            return graph
        first: dict[Any, Node] = {}

        def visit(node: Node) -> Results | None:
            if type(node.op) is Input:
                return None
            known = first.setdefault(node_key(node), node)
            if known is node:
                below = before_reshape(node)
                if below is not None:
                    known = first.setdefault(key_on(node, below), node)
            if known is node:
                return None
            found = known.outputs
            if known.types != node.types:
                imitate(emission, node)
                found = (reshape(handle(found[0]), node.types[0].shape).value,)
            journal.note("merge", node, found[0])
            return found

        return sweep(graph, visit)


def _may_read_reshapes(cls: type[Op], operands: Sequence[type[Op]] | None) -> bool:
    """Tell whether `before_reshape` may return something for a node of these classes of op and operands."""
    return issubclass(cls, Elementwise) and (operands is None or Reshape in operands)


def before_reshape(node: Node) -> tuple[Value, ...] | None:
    """Return what the operands of an elementwise op are reshapes of, where all are, and these have one shape."""
    inputs = node.inputs
    if not inputs or type(inputs[0][0].op) is not Reshape or not isinstance(node.op, Elementwise):
        return None
    if any(type(value[0].op) is not Reshape for value in inputs):
        return None
    below = tuple([value[0].inputs[0] for value in inputs])
    return below if all(value.type.shape == below[0].type.shape for value in below) else None


cse = CommonSubexpressions()
