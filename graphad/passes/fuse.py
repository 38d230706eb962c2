"""Fusion: groups of elementwise ops become one `Fused` node, so that their intermediates never reach memory.

A group grows from its last node towards its operands: an elementwise node joins the group of its readers when they are
all in one group and have its shape. So a group has one result, and no path leaves it and comes back. Broadcasts that
only a group reads join it; numbers are copied into the body. Arithmetic on single numbers stays as it is: there is no
memory traffic to save, and the graph reads better.
"""

from __future__ import annotations

from typing import Any

from graphad.ir.emit import emission, emit
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise
from graphad.ops.cast import Cast
from graphad.ops.fused import Fused
from graphad.ops.shape import BroadcastTo
from graphad.passes.driver import Journal, Results, imitate, op_key, sweep

LARGEST_GROUP = 64
"""Elementwise nodes in one group: beyond this, compiling a body costs more than it saves."""


def run(graph: Graph, journal: Journal) -> Graph:
    """Fuse groups of two or more elementwise ops."""
    groups = find_groups(graph)
    roots = {root for root, members in groups.items() if len(members) > 1 and root.types[0].size != 1}
    if not roots:
        return graph
    originals = iter(graph.nodes[len(graph.inputs) :])
    current: dict[Node, Node] = {}
    known: dict[Any, Fused] = {}

    def visit(node: Node) -> Results | None:
        original = next(originals)
        current[original] = node
        if original not in roots:
            return None
        fused = fuse_group([current[member] for member in reversed(groups[original])], known)
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


@frozen(slots=True)
class Member:
    """A node of a body: the node it is like, and its operands: positions of earlier members, or of parameters as
    ``-1 - position``.
    """

    node: Node
    operands: tuple[int, ...]


def fuse_group(members: list[Node], known: dict[Any, Fused]) -> Value:
    """Emit the Fused node of a group in topological order; its inputs are what the members read from outside.

    Groups that agree in everything, down to the user's lines, share the op found in `known` by that description: an
    unrolled loop has the same few groups over and over.
    """
    operands, body = describe(members)
    key = (
        tuple([value.type for value in operands]),
        tuple([(op_key(m.node.op), m.operands, *_record(m.node)) for m in body]),
    )
    fused = known.get(key)
    if fused is None:
        fused = known[key] = Fused(body_graph(operands, body))
    imitate(emission, members[-1])
    return Value(emit(fused, tuple(operands)), 0)


def _record(node: Node) -> tuple[Any, ...]:
    return id(node.location), node.scope, node.role, node.replica


def describe(members: list[Node]) -> tuple[list[Value], list[Member]]:
    """Return what a group reads from outside, and the nodes of its body: the members, broadcasts and numbers."""
    inside = set(members)
    body: list[Member] = []
    parameters: dict[Value, int] = {}
    position: dict[Value, int] = {}
    """Of the values that members read: where each stands."""

    def parameter(value: Value) -> int:
        return -1 - parameters.setdefault(value, len(parameters))

    def number(value: Value) -> int | None:
        op = value[0].op
        return append(value[0], ()) if type(op) is Constant and op.array.ndim == 0 else None

    def append(node: Node, operands: tuple[int, ...]) -> int:
        body.append(Member(node, operands))
        return len(body) - 1

    def operand(value: Value) -> int:
        node = value[0]
        if node in inside:
            raise AssertionError("members come after their operands")
        if type(node.op) is BroadcastTo:
            source = node.inputs[0]
            below = number(source)
            return append(node, (parameter(source) if below is None else below,))
        found = number(value)
        return parameter(value) if found is None else found

    for node in members:
        operands = []
        for value in node.inputs:
            at = position.get(value)
            if at is None:
                at = position[value] = operand(value)
            operands.append(at)
        position[Value(node, 0)] = append(node, tuple(operands))
    return list(parameters), body


def body_graph(operands: list[Value], body: list[Member]) -> Graph:
    """Return the graph of a body; its nodes keep the lines, scopes and roles of those they are like."""
    imitate(emission, body[-1].node)
    labels = tuple([f"x{k}" for k in range(len(operands))])
    inputs = [Value(emit(Input(label, value.type), ()), 0) for label, value in zip(labels, operands, strict=True)]
    made: list[Value] = []
    for member in body:
        imitate(emission, member.node)
        given = tuple([made[k] if k >= 0 else inputs[-1 - k] for k in member.operands])
        made.append(Value(emit(member.node.op, given), 0))
    argument_container, result_container = flat_containers(len(operands), 1)
    return Graph("fused", tuple(inputs), (made[-1],), labels, ("out",), argument_container, result_container)
