"""Bodies: from groups of nodes to the graph in which each group is one `Region` node.

The result is an ordinary graph, which the planner schedules and places like any other. Groups that agree in everything,
down to the user's lines, share one region: an unrolled loop has the same few over and over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from graphad.execute.native.fusion import Group, Grouping
from graphad.execute.native.kinds import loose, operand_anchor, result_anchor, through_view
from graphad.execute.native.likeness import Likeness
from graphad.execute.native.regions import NONE, Anchor, Region, kind_of
from graphad.execute.native.regrouping import Regrouping
from graphad.ir.collector import collector_paused
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value, new_value
from graphad.ir.op import Op
from graphad.ir.types import TensorType
from graphad.ops.shape import BroadcastTo, Reshape
from graphad.passes.driver import op_key


@collector_paused()
def fuse_regions(graph: Graph) -> Graph:
    """Return the static graph with a `Region` node for every group of ops that one loop nest computes."""
    grouping = Grouping(graph)
    groups = grouping.run()
    return _Regions(graph, grouping, groups).run() if groups else graph


class _Known(NamedTuple):
    """What groups that are alike share.

    Attributes:
        region: their node's op.
        types: of its results.
        operands: which of what they read from outside the region takes, in order.
    """

    region: Region
    types: tuple[TensorType, ...]
    operands: tuple[int, ...]


class _Regions(Regrouping):
    """Emits the fused graph: each group where its last operand is there and its first reader needs it."""

    def __init__(self, graph: Graph, grouping: Grouping, groups: Sequence[Group]) -> None:
        super().__init__(graph)
        self.grouping = grouping
        self.likeness = Likeness(grouping, groups, needed_outside(grouping))
        self.place = {group: k for k, group in enumerate(groups)}
        self.known: dict[Any, Region] = {}
        self.alike: dict[Any, _Known] = {}

    def group(self, node: Node) -> Group | None:
        """Return the group of a node."""
        return self.grouping.group_of[self.grouping.facts.numbers[node]]

    def waiting(self, node: Node) -> list[Node]:
        """Return what is still to be made of what a node reads, or of what members of its group read directly."""
        group = self.group(node)
        if group is None:
            return super().waiting(node)
        nodes, made, k = self.grouping.nodes, self.made, self.place[group]
        if self.likeness.key(k) is not None and made.issuperset([nodes[at] for at, _ in self.likeness.outside[k]]):
            return []
        found: dict[Node, None] = {}
        members, inputs = group.members, self.grouping.inputs
        for at, anchor in members.items():
            node = nodes[at]
            for k, source in enumerate(inputs[at]):
                if source in members or nodes[source] in made:
                    continue
                if k in loose(node) or not is_inner(self.grouping, group, source, operand_anchor(node, k, anchor)):
                    found[nodes[source]] = None
        return list(found)

    def emit(self, node: Node) -> None:
        """Copy a node, or emit the region of its group."""
        group = self.group(node)
        if group is None:
            self.copy(node)
            return
        k, likeness, nodes = self.place[group], self.likeness, self.grouping.nodes
        members, outputs = likeness.members[k], likeness.outputs[k]
        key = likeness.key(k)
        known = None if key is None else self.alike.get(key)
        if known is None:
            region, reads = self.described(group, members, outputs)
            types = region.body.output_types
            if key is not None:
                place = {read: n for n, read in enumerate(likeness.outside[k])}
                self.alike[key] = _Known(region, types, tuple([place[read] for read in reads]))
        else:
            region, types = known.region, known.types
            outside = likeness.outside[k]
            reads = [outside[n] for n in known.operands]
        inputs = tuple([self.final[new_value(Value, (nodes[at], index))] for at, index in reads])
        last = nodes[members[-1]]
        made = Node(region, inputs, types, last.location, last.scope, last.role, last.replica)
        self.replace([nodes[at] for at in members], [new_value(Value, (nodes[at], 0)) for at in outputs], made)

    def described(
        self, group: Group, members: Sequence[int], outputs: Sequence[int]
    ) -> tuple[Region, list[tuple[int, int]]]:
        """Describe a group; returns its region, an equal one if there is one, and what that takes from outside."""
        description = described(self.grouping, group, members, outputs)
        key = description.key()
        region = self.known.get(key)
        if region is None:
            region = self.known[key] = description.region()
        numbers = self.grouping.facts.numbers
        return region, [(numbers[node], index) for (node, index), _ in description.operands]


def needed_outside(grouping: Grouping) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell which nodes are members of groups whose values are needed outside, or as they are and not read in place.

    Members read each other in place by way of views too, where these only move axes.
    """
    facts = grouping.facts
    columns, nodes = facts.columns, facts.nodes
    home = grouping.homes()
    origins = np.array(facts.origins, np.int64)
    plain = np.array(facts.plain, bool)
    readers, makers = np.repeat(np.arange(len(nodes)), np.diff(columns.first)), columns.reads
    sources = origins[makers]
    found = np.zeros(len(nodes), bool)
    results = origins[list(facts.outputs)]
    found[results[results != NONE]] = True
    # A view is looked through by its readers.
    asked = (origins[readers] == readers) & (sources != NONE)
    within = asked & (home[readers] == home[sources]) & (home[readers] != NONE)
    found[sources[asked & ~within]] = True
    found &= home != NONE
    for edge in np.flatnonzero(within & ~(plain[readers] & (makers == sources))).tolist():
        at, maker, origin = int(readers[edge]), int(makers[edge]), int(sources[edge])
        node, k, group = nodes[at], edge - int(columns.first[at]), grouping.group_of[at]
        assert group is not None
        request = None
        if k not in loose(node):
            request = grouping.request(maker, operand_anchor(node, k, group.members[at]))
        if request is None or request[0] != origin:
            found[origin] = True
    return found


def is_inner(grouping: Grouping, group: Group, maker: int, anchor: Anchor) -> bool:
    """Tell whether a node's result at `anchor` is a view of a member that only moves axes, or one number repeated."""
    source = grouping.nodes[maker]
    while isinstance(source.op, (BroadcastTo, Reshape)):
        source = source.inputs[0][0]
    if type(source.op) is Constant and source.op.array.ndim == 0:
        return True
    found = grouping.request(maker, anchor)
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


def described(grouping: Grouping, group: Group, members: Sequence[int], outputs: Sequence[int]) -> Description:
    """Describe the body of a group: its members, and the views and numbers between them."""
    found = Description(group)
    at: dict[int, int] = {}
    """Of the members: where each stands."""
    between: dict[tuple[Value, Anchor], int] = {}
    """Of the views and numbers between them, by where they lie."""
    nodes, entries, inputs = found.nodes, found.entries, grouping.inputs

    def append(node: Node, operands: tuple[int, ...], anchor: Anchor) -> int:
        line = id(node.location)
        entries.append(Entry(op_key(node.op), operands, anchor, line, node.scope, node.role, node.replica))
        nodes.append(node)
        return len(nodes) - 1

    def outside(value: Value, maker: int, anchor: Anchor) -> int:
        return -1 - found.operands.setdefault((value, anchor), len(found.operands))

    def inside(value: Value, maker: int, anchor: Anchor) -> int:
        known = at.get(maker)
        if known is None:
            known = between.get((value, anchor))
        if known is not None:
            return known
        node = value[0]
        if grouping.group_of[maker] is not None or not is_inner(grouping, group, maker, anchor):
            return outside(value, maker, anchor)  # members stand there already
        operands: tuple[int, ...] = ()
        if node.inputs:
            below = through_view(node, anchor)
            if below is None:  # one number, reshaped or repeated
                below = (NONE,) * node.inputs[0].type.ndim
            operands = (inside(node.inputs[0], inputs[maker][0], below),)
        made = between[value, anchor] = append(node, operands, anchor)
        return made

    for member in members:
        node, anchor = grouping.nodes[member], group.members[member]
        reads = zip(node.inputs, inputs[member], strict=True)
        if grouping.plain[member]:
            at[member] = append(node, tuple([inside(v, maker, anchor) for v, maker in reads]), anchor)
            continue
        apart = loose(node)
        given = [
            (outside if k in apart else inside)(v, maker, operand_anchor(node, k, anchor))
            for k, (v, maker) in enumerate(reads)
        ]
        at[member] = append(node, tuple(given), result_anchor(node, anchor))
    found.results = [at[member] for member in outputs]
    return found
