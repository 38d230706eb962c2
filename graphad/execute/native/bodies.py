"""Bodies: from groups of nodes to the graph in which each group is one `Region` node.

The result is an ordinary graph, which the planner schedules and places like any other. Groups that agree in everything,
down to the user's lines, share one region: an unrolled loop has the same few over and over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphad.execute.native.fusion import Group, Grouping
from graphad.execute.native.kinds import loose, operand_anchor, result_anchor, through_view
from graphad.execute.native.regions import NONE, Anchor, Region, kind_of
from graphad.execute.native.regrouping import Regrouping
from graphad.ir.collector import collector_paused
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.shape import BroadcastTo, Reshape
from graphad.passes.driver import op_key


@collector_paused()
def fuse_regions(graph: Graph) -> Graph:
    """Return the static graph with a `Region` node for every group of ops that one loop nest computes."""
    grouping = Grouping(graph)
    return _Regions(graph, grouping).run() if grouping.run() else graph


class _Regions(Regrouping):
    """Emits the fused graph: each group where its last operand is there and its first reader needs it."""

    def __init__(self, graph: Graph, grouping: Grouping) -> None:
        super().__init__(graph)
        self.grouping = grouping
        self.known: dict[Any, Region] = {}
        self.needed = needed_outside(graph, grouping)

    def waiting(self, node: Node) -> list[Node]:
        """Return what is still to be made of what a node reads, or of what members of its group read directly."""
        group = self.grouping.group_of.get(node)
        if group is None:
            return super().waiting(node)
        found: dict[Node, None] = {}
        members, made = group.members, self.made
        for node, anchor in members.items():
            for k, value in enumerate(node.inputs):
                source = value[0]
                if source in made or source in members:
                    continue
                if k in loose(node) or not is_inner(self.grouping, group, value, operand_anchor(node, k, anchor)):
                    found[source] = None
        return list(found)

    def emit(self, node: Node) -> None:
        """Copy a node, or emit the region of its group."""
        group = self.grouping.group_of.get(node)
        if group is None:
            self.copy(node)
            return
        position = self.grouping.position
        members = sorted(group.members, key=position.__getitem__)
        outputs = [node for node in members if node in self.needed]
        found = described(self.grouping, group, members, outputs)
        key = found.key()
        region = self.known.get(key)
        if region is None:
            region = self.known[key] = found.region()
        last = members[-1]
        inputs = tuple([self.final[v] for v, _ in found.operands])
        made = Node(region, inputs, region.body.output_types, last.location, last.scope, last.role, last.replica)
        self.replace(members, [Value(member, 0) for member in outputs], made)


def needed_outside(graph: Graph, grouping: Grouping) -> set[Node]:
    """Return the members of groups whose values are needed outside their group, or as they are and not read in place.

    Members read each other in place by way of views too, where these only move axes.
    """
    group_of, origins = grouping.group_of, grouping.origins
    found = {origin for value in graph.outputs if (origin := origins[value[0]]) in group_of and origin is not None}
    for node in graph.nodes:
        if origins[node] is not node:
            continue  # a view, which its readers look through, or a leaf
        group = group_of.get(node)
        plain = group is not None and grouping.kind[node].plain
        for k, value in enumerate(node.inputs):
            maker = value[0]
            home = group_of.get(maker)
            if home is not None and home is group and plain:
                continue  # what most operands are
            origin = origins[maker]
            if origin is None or origin not in group_of:
                continue
            if group is None or group_of[origin] is not group or k in loose(node):
                found.add(origin)
                continue
            request = grouping.request(value, operand_anchor(node, k, group.members[node]))
            if request is None or request[0] is not origin:
                found.add(origin)
    return found


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
    """A node of a body, but for its types, which follow: bodies with equal entries on equal operands are equal.

    Attributes:
        op: what `op_key` gives.
        operands: entries; inputs as ``-1 - position``.
        anchor: where it lies.
        line: the identity of the user's line.
        scope, role, replica: of the node it is like.
    """

    op: Op | type[Op]
    operands: tuple[int, ...]
    anchor: Anchor
    line: int
    scope: str
    role: str
    replica: int


@dataclass(slots=True)
class Description:
    """A body before it is made.

    Attributes:
        group: whose.
        operands: what it reads from outside, and where that lies.
        entries: its nodes, in order.
        nodes: those that they are like.
        results: the entries whose values are needed outside.
    """

    group: Group
    operands: dict[tuple[Value, Anchor], int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    results: list[int] = field(default_factory=list)

    def key(self) -> Any:
        """Return what equal bodies share."""
        return (
            tuple(self.group.frame),
            self.group.reduced,
            tuple([(value[0].types[value[1]], anchor) for value, anchor in self.operands]),
            tuple(self.entries),
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
        for entry, node in zip(self.entries, self.nodes, strict=True):
            given = tuple([made[k] if k >= 0 else inputs[-1 - k] for k in entry.operands])
            copy = Node(node.op, given, node.types, node.location, node.scope, node.role, node.replica)
            anchors[copy] = entry.anchor
            made.append(Value(copy, 0))
        results = tuple([made[k] for k in self.results])
        nesting = flat_containers(len(inputs), len(results))
        labels = tuple([f"x{k}" for k in range(len(inputs))])
        names = ("out",) if len(results) == 1 else tuple([f"out{k}" for k in range(len(results))])
        body = Graph("region", tuple(inputs), results, labels, names, *nesting)
        kind = kind_of(body, anchors)
        reduced = tuple(sorted(self.group.reduced or ()))
        return kind(body, tuple(self.group.frame), reduced, tuple([anchors[node] for node in body.nodes]))


def described(grouping: Grouping, group: Group, members: Sequence[Node], outputs: Sequence[Node]) -> Description:
    """Describe the body of a group: its members, and the views and numbers between them."""
    found = Description(group)
    at: dict[Value, int] = {}
    """Of the members: where each stands."""
    between: dict[tuple[Value, Anchor], int] = {}
    """Of the views and numbers between them, by where they lie."""
    nodes, entries, group_of = found.nodes, found.entries, grouping.group_of

    def append(node: Node, operands: tuple[int, ...], anchor: Anchor) -> int:
        line = id(node.location)
        entries.append(Entry(op_key(node.op), operands, anchor, line, node.scope, node.role, node.replica))
        nodes.append(node)
        return len(nodes) - 1

    def outside(value: Value, anchor: Anchor) -> int:
        return -1 - found.operands.setdefault((value, anchor), len(found.operands))

    def inside(value: Value, anchor: Anchor) -> int:
        known = at.get(value)
        if known is None:
            known = between.get((value, anchor))
        if known is not None:
            return known
        node = value[0]
        if node in group_of or not is_inner(grouping, group, value, anchor):
            return outside(value, anchor)  # members stand there already
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
            given = tuple([at[v] if v in at else inside(v, anchor) for v in node.inputs])
            at[Value(node, 0)] = append(node, given, anchor)
            continue
        apart = loose(node)
        given = tuple(
            [(outside if k in apart else inside)(v, operand_anchor(node, k, anchor)) for k, v in enumerate(node.inputs)]
        )
        at[Value(node, 0)] = append(node, given, result_anchor(node, anchor))
    found.results = [at[Value(node, 0)] for node in outputs]
    return found
