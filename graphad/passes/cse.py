"""Common subexpressions: one node for each computation that the graph writes several times."""

from __future__ import annotations

from typing import Any

from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.passes.driver import Journal, Results, node_key, sweep


class CommonSubexpressions:
    """The pass `cse`.

    Two nodes are one when op, attributes, operands and `replica` agree, whatever their roles and scopes; operands of
    commutative ops count in any order; constants are equal by content (bits). Inputs never merge. The first stays.
    """

    name = "cse"
    text = "Merge nodes with equal op, attributes, operands and replica."

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Merge equal nodes."""
        first: dict[Any, Node] = {}

        def visit(node: Node) -> Results | None:
            if type(node.op) is Input:
                return None
            known = first.setdefault(node_key(node), node)
            if known is node:
                return None
            journal.note("merge", node, Value(known, 0))
            return known.outputs

        return sweep(graph, visit)


cse = CommonSubexpressions()
