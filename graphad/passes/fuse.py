"""Fusion: groups of elementwise ops become one `Fused` node, so that their intermediates never reach memory.

A group grows from its last node towards its operands: an elementwise node joins the group of its readers when they are
all in one group and have its shape. So a group has one result, and no path leaves it and comes back. Broadcasts that
only a group reads join it; numbers are copied into the body. Arithmetic on single numbers stays as it is: there is no
memory traffic to save, and the graph reads better.
"""

from __future__ import annotations

from graphad.ir.emit import emission, emit
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise
from graphad.ops.cast import Cast
from graphad.ops.fused import Fused
from graphad.ops.shape import BroadcastTo
from graphad.passes.driver import Journal, Results, imitate, sweep

LARGEST_GROUP = 64
"""Elementwise nodes in one group: beyond this, compiling a body costs more than it saves."""


class Fusion:
    """The pass `fuse`."""

    name = "fuse"
    text = "Group elementwise ops, with the broadcasts of their operands, into Fused nodes."

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Fuse groups of two or more elementwise ops."""
        groups = find_groups(graph)
        roots = {root for root, members in groups.items() if len(members) > 1 and root.types[0].size != 1}
        if not roots:
            return graph
        originals = iter(graph.nodes[len(graph.inputs) :])
        current: dict[Node, Node] = {}

        def visit(node: Node) -> Results | None:
            original = next(originals)
            current[original] = node
            if original not in roots:
                return None
            fused = fuse_group([current[member] for member in reversed(groups[original])])
            journal.note("group", node, fused)
            return (fused,)

        return sweep(graph, visit)


def fusible(node: Node) -> bool:
    """Tell whether a node computes each element of its result from those of its operands, whatever their values."""
    return isinstance(node.op, (Elementwise, Cast)) and node.op.risk(node.inputs) is None


def find_groups(graph: Graph) -> dict[Node, list[Node]]:
    """Return the groups: members by last node, the last node first, every node before its operands."""
    readers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for value in node.inputs:
            readers.setdefault(value[0], []).append(node)
    outputs = {value.node for value in graph.outputs}
    root_of: dict[Node, Node] = {}
    groups: dict[Node, list[Node]] = {}
    for node in reversed(graph.nodes):
        if not fusible(node):
            continue
        home = node
        if node not in outputs:
            found = {root_of.get(reader) for reader in readers.get(node, ())}
            if len(found) == 1:
                (root,) = found
                if root is not None and joins(node, root) and len(groups[root]) < LARGEST_GROUP:
                    home = root
        root_of[node] = home
        groups.setdefault(home, []).append(node)
    return groups


def joins(node: Node, root: Node) -> bool:
    """Tell whether a node may be computed together with the group of `root`."""
    return node.types[0].shape == root.types[0].shape and node.replica == root.replica


def fuse_group(members: list[Node]) -> Value:
    """Emit the Fused node of a group in topological order; its inputs are what the members read from outside."""
    inside = set(members)
    operands: dict[Value, Value] = {}
    copies: dict[Value, Value] = {}
    labels: list[str] = []

    def parameter(value: Value) -> Value:
        if value not in operands:
            labels.append(f"x{len(labels)}")
            imitate(emission, members[-1])
            operands[value] = Value(emit(Input(labels[-1], value.type), ()), 0)
        return operands[value]

    def operand(value: Value) -> Value:
        """Return what stands for `value` in the body."""
        if value in copies:
            return copies[value]
        node = value.node
        if node in inside:
            raise AssertionError("members come after their operands")
        if type(node.op) is BroadcastTo:
            source = node.inputs[0]
            imitate(emission, node)
            below = number(source) or parameter(source)
            copies[value] = Value(emit(node.op, (below,)), 0)
            return copies[value]
        found = number(value) or parameter(value)
        copies[value] = found
        return found

    def number(value: Value) -> Value | None:
        op = value.node.op
        if type(op) is Constant and op.array.ndim == 0:
            imitate(emission, value.node)
            return Value(emit(op, ()), 0)
        return None

    for node in members:
        inputs = tuple([operand(v) for v in node.inputs])
        imitate(emission, node)
        copies[Value(node, 0)] = Value(emit(node.op, inputs), 0)
    last = members[-1]
    argument_container, result_container = flat_containers(len(operands), 1)
    body = Graph(
        "fused",
        tuple(operands.values()),
        (copies[Value(last, 0)],),
        tuple(labels),
        ("out",),
        argument_container,
        result_container,
    )
    imitate(emission, last)
    return Value(emit(Fused(body), tuple(operands)), 0)


fuse = Fusion()
