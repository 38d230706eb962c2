"""Bodies: from groups of nodes to the graph in which each group is one `Region` node.

The result is an ordinary graph, which the planner schedules and places like any other. Groups that agree in everything,
down to the user's lines, share one region: an unrolled loop has the same few over and over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphad.execute.native.fusion import (
    Group,
    Grouping,
    loose,
    operand_anchor,
    result_anchor,
    through_view,
    used_outside,
)
from graphad.execute.native.regions import NONE, Anchor, OverwritingRegion, Region
from graphad.ir.collector import collector_paused
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ops.shape import BroadcastTo, Reshape
from graphad.passes.driver import op_key


@collector_paused()
def fuse_regions(graph: Graph) -> Graph:
    """Return the static graph with a `Region` node for every group of ops that one loop nest computes."""
    grouping = Grouping(graph)
    return _Rebuilder(graph, grouping).run() if grouping.run() else graph


class _Rebuilder:
    """Emits the fused graph: each group where its last operand is there and its first reader needs it."""

    def __init__(self, graph: Graph, grouping: Grouping) -> None:
        self.graph = graph
        self.grouping = grouping
        self.final: dict[Value, Value] = {}
        self.made: set[Node] = set()
        self.known: dict[Any, Region] = {}

    def run(self) -> Graph:
        for value in self.graph.inputs:
            self.final[value] = value
            self.made.add(value[0])
        for node in self.graph.nodes:
            if node not in self.made:
                self.make(node)
        return self.graph.with_outputs([self.final[v] for v in self.graph.outputs])

    def make(self, wanted: Node) -> None:
        """Make a node, and what it needs that comes later in the graph (iteratively)."""
        stack = [wanted]
        while stack:
            node = stack[-1]
            if node in self.made:
                stack.pop()
                continue
            group = self.grouping.group_of.get(node)
            waiting = [v[0] for v in node.inputs if v[0] not in self.made] if group is None else self.waiting(group)
            if waiting:
                stack += waiting
                continue
            stack.pop()
            if group is None:
                self.copy(node)
            else:
                self.emit(group)

    def waiting(self, group: Group) -> list[Node]:
        """Return the nodes outside a group that its members read directly and that are still to be made."""
        found: dict[Node, None] = {}
        members, made = group.members, self.made
        for node, anchor in members.items():
            for k, value in enumerate(node.inputs):
                if value[0] in made:
                    continue
                if k in loose(node):
                    found[value[0]] = None
                elif value[0] not in members:
                    at = operand_anchor(node, k, anchor)
                    if not is_inner(self.grouping, group, value, at):
                        found[value[0]] = None
        return list(found)

    def copy(self, node: Node) -> None:
        self.made.add(node)
        if any(v not in self.final for v in node.inputs):
            return  # a view that only members of one group read: their region has it
        inputs = tuple([self.final[v] for v in node.inputs])
        copy = node
        if inputs != node.inputs:
            copy = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica)
        for k in range(len(node.types)):
            self.final[Value(node, k)] = Value(copy, k)

    def emit(self, group: Group) -> None:
        """Emit the region of a group."""
        position = self.grouping.position
        members = sorted(group.members, key=position.__getitem__)
        outputs = used_outside(self.graph, self.grouping, group)
        found = described(self.grouping, group, members, outputs)
        key = found.key()
        region = self.known.get(key)
        if region is None:
            region = self.known[key] = found.region()
        last = members[-1]
        inputs = tuple([self.final[v] for v, _ in found.operands])
        node = Node(region, inputs, region.body.output_types, last.location, last.scope, last.role, last.replica)
        for k, member in enumerate(outputs):
            self.final[Value(member, 0)] = Value(node, k)
        self.made.update(members)


def is_inner(grouping: Grouping, group: Group, value: Value, anchor: Anchor) -> bool:
    """Tell whether a value at `anchor` is a view of a member that only moves axes, or one number repeated."""
    source = value[0]
    while isinstance(source.op, (BroadcastTo, Reshape)):
        source = source.inputs[0][0]
    if type(source.op) is Constant and source.op.array.ndim == 0:
        return True
    found = grouping.request(value, anchor)
    return found is not None and found[0] in group.members


class Entry(NamedTuple):
    """A node of a body: the node it is like, its operands (entries; inputs as ``-1 - position``), where it lies."""

    node: Node
    operands: tuple[int, ...]
    anchor: Anchor


@dataclass(slots=True)
class Description:
    """A body before it is made.

    Attributes:
        group: whose.
        operands: what it reads from outside, and where that lies.
        entries: its nodes, in order.
        results: the entries whose values are needed outside.
    """

    group: Group
    operands: dict[tuple[Value, Anchor], int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    results: list[int] = field(default_factory=list)

    def key(self) -> Any:
        """Return what equal bodies share."""
        return (
            tuple(self.group.frame),
            self.group.reduced,
            tuple([(value.type, anchor) for value, anchor in self.operands]),
            tuple([(op_key(e.node.op), e.operands, e.anchor, *_record(e.node)) for e in self.entries]),
            tuple(self.results),
        )

    def region(self) -> Region:
        """Make the body and its region."""
        anchors: dict[Node, Anchor] = {}
        inputs: list[Value] = []
        for k, (value, anchor) in enumerate(self.operands):
            like = value[0]
            leaf = Node(Input(f"x{k}", value.type), (), (value.type,), like.location, like.scope, like.role, 0)
            anchors[leaf] = anchor
            inputs.append(Value(leaf, 0))
        made: list[Value] = []
        for entry in self.entries:
            node = entry.node
            given = tuple([made[k] if k >= 0 else inputs[-1 - k] for k in entry.operands])
            copy = Node(node.op, given, node.types, node.location, node.scope, node.role, node.replica)
            anchors[copy] = entry.anchor
            made.append(Value(copy, 0))
        results = tuple([made[k] for k in self.results])
        nesting = flat_containers(len(inputs), len(results))
        labels = tuple([f"x{k}" for k in range(len(inputs))])
        names = ("out",) if len(results) == 1 else tuple([f"out{k}" for k in range(len(results))])
        body = Graph("region", tuple(inputs), results, labels, names, *nesting)
        kind = OverwritingRegion if self.overwrites(anchors, inputs, results[0]) else Region
        reduced = tuple(sorted(self.group.reduced or ()))
        return kind(body, tuple(self.group.frame), reduced, tuple([anchors[node] for node in body.nodes]))

    def overwrites(self, anchors: dict[Node, Anchor], inputs: Sequence[Value], first: Value) -> bool:
        """Tell whether each operand of the first result's type is read only where that is written."""
        if self.group.reduced or any(loose(e.node) for e in self.entries):
            return False
        return all(anchors[v.node] == anchors[first.node] for v in inputs if v.type == first.type)


def _record(node: Node) -> tuple[Any, ...]:
    return id(node.location), node.scope, node.role, node.replica


def described(grouping: Grouping, group: Group, members: Sequence[Node], outputs: Sequence[Node]) -> Description:
    """Describe the body of a group: its members, and the views and numbers between them."""
    found = Description(group)
    at: dict[Value, int] = {}
    """Of the members: where each stands."""
    between: dict[tuple[Value, Anchor], int] = {}
    """Of the views and numbers between them, by where they lie."""

    def append(node: Node, operands: tuple[int, ...], anchor: Anchor) -> int:
        found.entries.append(Entry(node, operands, anchor))
        return len(found.entries) - 1

    def outside(value: Value, anchor: Anchor) -> int:
        return -1 - found.operands.setdefault((value, anchor), len(found.operands))

    def inside(value: Value, anchor: Anchor) -> int:
        known = at.get(value)
        if known is None:
            known = between.get((value, anchor))
        if known is not None:
            return known
        if not is_inner(grouping, group, value, anchor):
            return outside(value, anchor)
        node = value[0]
        operands: tuple[int, ...] = ()
        if node.inputs:
            below = through_view(node, anchor)
            if below is None:  # one number, reshaped or repeated
                below = (NONE,) * node.inputs[0].type.ndim
            operands = (inside(node.inputs[0], below),)
        made = between[value, anchor] = append(node, operands, anchor)
        return made

    for node in members:
        anchor = group.members[node]
        if grouping.kind[node].plain:
            at[Value(node, 0)] = append(node, tuple([inside(v, anchor) for v in node.inputs]), anchor)
            continue
        apart = loose(node)
        given = tuple(
            [(outside if k in apart else inside)(v, operand_anchor(node, k, anchor)) for k, v in enumerate(node.inputs)]
        )
        at[Value(node, 0)] = append(node, given, result_anchor(node, anchor))
    found.results = [at[Value(node, 0)] for node in outputs]
    return found
