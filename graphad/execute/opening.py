"""Groups of the reference executor: those on small arrays are opened, and the ops inside them run one by one.

A group on large arrays runs block by block, so that its intermediates stay in cache and take a few blocks. On arrays no
larger than a block there is nothing to gain: opened, the intermediates lie in the planned arena and the call costs
less. The values are the same bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ir.types import BLOCK_BYTES
from graphad.plan.buffers import byte_size

FUSED = "fused"
"""The name of the op `Fused`, whose module is loaded by what makes groups."""


def with_groups(graph: Graph) -> Graph:
    """Return the static graph with `Fused` nodes, where an array is larger than a block; else itself.

    For the first calls of a graph that the pipeline has left without groups because native code makes its own.
    """
    if all(byte_size(type_) <= BLOCK_BYTES for node in graph.nodes for type_ in node.types):
        return graph
    from graphad.passes import fuse
    from graphad.passes.driver import Journal

    return fuse.run(graph, Journal())


def open_groups(graph: Graph) -> Graph:
    """Return the static graph with every small `Fused` node replaced by the nodes of its body; itself without any."""
    return opened(graph, _is_small_group)


def opened(graph: Graph, which: Callable[[Node], bool]) -> Graph:
    """Return the graph with the `Fused` nodes that `which` holds for replaced by the nodes of their bodies."""
    if all(kind.name != FUSED for kind in graph.op_classes) or not any(map(which, graph.nodes)):
        return graph
    final: dict[Value, Value] = {}
    for node in graph.nodes:
        inputs = tuple([final.get(value, value) for value in node.inputs])
        if which(node):
            (body,) = node.op.graphs()
            inner = dict(zip(body.inputs, inputs, strict=True))
            for member in body.nodes[len(body.inputs) :]:
                _copy(member, tuple([inner[value] for value in member.inputs]), inner)
            for k, value in enumerate(body.outputs):
                final[Value(node, k)] = inner[value]
        elif node.inputs and final:
            # Once a group has been opened, all later nodes are copied, so that they stay later in program order.
            _copy(node, inputs, final)
    return graph.with_outputs([final.get(value, value) for value in graph.outputs])


def _is_small_group(node: Node) -> bool:
    return node.op.name == FUSED and byte_size(node.types[0]) <= BLOCK_BYTES


def _copy(node: Node, inputs: tuple[Value, ...], results: dict[Value, Value]) -> None:
    """Make a node like `node` on other inputs and enter its results."""
    copy = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica)
    for k in range(len(node.types)):
        results[Value(node, k)] = Value(copy, k)
