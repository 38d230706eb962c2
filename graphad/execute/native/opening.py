"""Opening fused groups: native code makes its own groups, of all ops and not of elementwise ones alone."""

from __future__ import annotations

from graphad.execute.opening import opened
from graphad.ir.graph import Graph
from graphad.ops.fused import Fused


def open_all(graph: Graph) -> Graph:
    """Return the static graph with every `Fused` node replaced by the nodes of its body."""
    return opened(graph, lambda node: type(node.op) is Fused)
