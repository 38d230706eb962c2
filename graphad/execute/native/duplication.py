"""Duplication: values computed again where they are needed, instead of stored by one loop nest and read by another.

A loop nest that reads large values which others made reads the cheapest set of values they can be computed from
instead, where the instructions cost less than the memory: of what is neither stored nor kept for others, the writing,
the reading and the holding count. The copies go into the nest that needs them, and never join the one that makes what
they read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from graphad.execute.native.cheapest_cut import cheapest_cut
from graphad.execute.native.fusion import Group, Grouping
from graphad.execute.native.kinds import LARGEST_LONG_GROUP, fusible, loose, own_weight
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ops.reduction import Reduction
from graphad.ops.shape import BroadcastTo, Reshape, Transpose

LARGE = 1 << 18
"""Bytes from which a value does not stay in a core's cache between two nests."""
WORTH = 5.0
"""Instructions a vector of elements that may be spent for each byte an element less to move or hold, in float32."""
MOST_NODES = 20_000
"""Nodes of a graph that is looked at: larger ones are many small steps, whose values stay in cache."""
MOST_LOOKED_AT = 96
"""Values behind one nest that are looked at; what lies further can only be read."""


def with_duplicates(graph: Graph) -> Graph:
    """Return the graph with copies of cheap nodes for the readers that are better off computing them."""
    if len(graph.nodes) > MOST_NODES:
        return graph
    if not any(_bytes(Value(node, 0)) >= LARGE for node in graph.nodes if fusible(node)):
        return graph
    grouping = Grouping(graph)
    groups = grouping.run()
    held: dict[Node, int] = {}
    cones: dict[Node, _Cone] = {}
    """What each member of a group computes again."""
    for group in reversed(groups):
        found = _Cone(grouping, group, held)
        if found.grow():
            cones.update(dict.fromkeys([grouping.nodes[at] for at in group.members], found))
    return _copied(graph, cones) if cones else graph


def _bytes(value: Value) -> int:
    type_ = value.type
    return int(type_.nbytes)


@dataclass
class _Cone:
    """What a group computes again.

    Attributes:
        grouping, group: where it is, and for whom.
        held: up to which position nodes are held for cones found before.
        nodes: what is computed again, with the views between.
        roots: the operands of members that are computed again.
    """

    grouping: Grouping
    group: Group
    held: dict[Node, int]
    nodes: dict[Node, None] = field(default_factory=dict)
    roots: set[Value] = field(default_factory=set)

    def grow(self) -> bool:
        """Find what is better computed again than read; False for nothing."""
        read: set[Value] = set()
        wanted: dict[Value, list[Value]] = {}
        """Of the values that could be computed: the operands of members that are views of them."""
        for member in [self.grouping.nodes[at] for at in self.group.members]:
            for k, value in enumerate(member.inputs):
                base = self._behind_views(value)
                if self._group(base[0]) is self.group:
                    continue
                if k not in loose(member) and _bytes(base) >= LARGE and self._copyable(base[0]):
                    wanted.setdefault(base, []).append(value)
                else:
                    read.add(base)
        wanted = {base: values for base, values in wanted.items() if base not in read}
        if not wanted:
            return False
        operands = self._operands(list(wanted))
        reached = dict.fromkeys([*operands, *[v for values in operands.values() for v in values]])
        costs = {v: 0 if v in read else self._cost(v) for v in reached}
        cut, cost = cheapest_cut(operands, costs, list(wanted))
        saved = sum([costs[v] for v in wanted]) - cost
        again = [v for v in wanted if v not in cut]
        if not again or saved <= 0:
            return False
        self.roots = {value for base in again for value in wanted[base]}
        for value in self.roots:
            self._take(value, cut)
        if not self._pays(again, saved):
            return False
        for value in cut:
            self.held[value[0]] = max(self.held.get(value[0], 0), self.group.first)
        return True

    def _behind_views(self, value: Value) -> Value:
        while isinstance(value[0].op, (BroadcastTo, Transpose, Reshape)):
            value = value[0].inputs[0]
        return value

    def _group(self, node: Node) -> Group | None:
        return self.grouping.group_of[self.grouping.facts.numbers[node]]

    def _copyable(self, node: Node) -> bool:
        """Tell whether a node is an elementwise member of another group."""
        other = self._group(node)
        return other is not None and other is not self.group and not isinstance(node.op, Reduction) and not loose(node)

    def _operands(self, wanted: list[Value]) -> dict[Value, list[Value]]:
        """Return what the wanted values, and what lies behind them, are computed from; small values are only read."""
        found: dict[Value, list[Value]] = {}
        for value in wanted:
            found[value] = [self._behind_views(v) for v in value[0].inputs]
        queue = [v for operands in found.values() for v in operands]
        for value in queue:
            if value in found or len(found) >= MOST_LOOKED_AT:
                continue
            number = isinstance(value[0].op, Constant) and value.type.ndim == 0
            if number or (_bytes(value) >= LARGE and self._copyable(value[0])):
                found[value] = [self._behind_views(v) for v in value[0].inputs]
                queue += found[value]
        return found

    def _cost(self, value: Value) -> int:
        """Return the bytes that reading a value here costs: also written, if for this alone, and held until here."""
        node, size = value[0], _bytes(value)
        if isinstance(node.op, (Input, Constant)):
            return size
        facts, group_of = self.grouping.facts, self.grouping.group_of
        at = facts.numbers[node]
        if at in facts.outputs:
            return size
        own = group_of[at]
        others = [
            r
            for r in facts.all_readers(at)
            if group_of[r] is not self.group and (own is None or group_of[r] is not own)
        ]
        last = max(others, default=0)
        kept = 2 * max(last, self.held.get(node, 0)) >= at + self.group.first
        stored = own is None or bool(others) or node in self.held
        return size * (1 + (not stored) + (not kept))

    def _take(self, root: Value, cut: set[Value]) -> None:
        """Enter what computing a root takes, down to the cut."""
        stack = [root]
        while stack:
            value = stack.pop()
            node = value[0]
            if node in self.nodes or value in cut:
                continue
            view = isinstance(node.op, (BroadcastTo, Transpose, Reshape))
            if view or self._copyable(node):
                self.nodes[node] = None
                stack += [v for v in node.inputs if view or _bytes(self._behind_views(v)) >= LARGE]

    def _pays(self, again: Sequence[Value], saved: int) -> bool:
        """Tell whether the bytes that go are worth the instructions that come."""
        if len(self.nodes) + len(self.group.members) > LARGEST_LONG_GROUP:
            return False
        elements = max([int(v.type.size) for v in again])
        weight = sum([own_weight(node) for node in self.nodes if fusible(node)])
        itemsize = min([v.type.dtype.itemsize for v in again])
        return weight * itemsize / 4 <= WORTH * saved / elements

    def copy(self, wanted: Value, made: dict[Value, Value], final: dict[Value, Value]) -> Value:
        """Return the copy of a root, made with what it needs of the cone that is not in `made`.

        One root at a time: what others need may come later in the graph than the group's first member, and be read
        there before it stands in `final`.
        """
        needed: set[Node] = set()
        stack = [wanted[0]]
        while stack:
            node = stack.pop()
            if node not in needed and Value(node, 0) not in made:
                needed.add(node)
                stack += [v[0] for v in node.inputs if v[0] in self.nodes]
        for node in sorted(needed, key=self.grouping.facts.numbers.__getitem__):
            inputs = tuple([made.get(v) or final.get(v, v) for v in node.inputs])
            copy = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica + 1)
            made[Value(node, 0)] = Value(copy, 0)
        return made[wanted]


def _copied(graph: Graph, cones: dict[Node, _Cone]) -> Graph:
    """Return the graph with the copies of the cones; what nobody reads any more is gone."""
    final: dict[Value, Value] = {}
    copies: dict[int, dict[Value, Value]] = {}
    for node in graph.nodes:
        cone = cones.get(node)
        inputs = tuple([final.get(v, v) for v in node.inputs])
        if cone is not None:
            made = copies.setdefault(id(cone), {})
            given = zip(node.inputs, inputs, strict=True)
            inputs = tuple([cone.copy(v, made, final) if v in cone.roots else now for v, now in given])
        if inputs != node.inputs:
            copy = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica)
            for k in range(len(node.types)):
                final[Value(node, k)] = Value(copy, k)
    return graph.with_outputs([final.get(v, v) for v in graph.outputs])
