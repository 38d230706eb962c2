"""Duplication: values computed again where they are needed, instead of stored by one loop nest and read by another.

A loop nest that reads several large values which another made from fewer ones reads those fewer ones instead, where
the instructions cost less than the memory traffic. The copies go into the nest that needs them; the order of every
sum stays, so results keep their bits.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from graphad.execute.native.fusion import Group, Grouping
from graphad.execute.native.kinds import LARGEST_LONG_GROUP, fusible, loose, own_weight
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ops.reduction import Reduction
from graphad.ops.shape import BroadcastTo, Reshape, Transpose

LARGE = 1 << 18
"""Bytes from which a value does not stay in a core's cache between two nests."""
WORTH = 5.0
"""Instructions a vector of elements that may be spent for each byte an element less to move, in float32."""
MOST_NODES = 20_000
"""Nodes of a graph that is looked at: larger ones are many small steps, whose values stay in cache."""


def with_duplicates(graph: Graph) -> Graph:
    """Return the graph with copies of cheap nodes for the readers that are better off computing them."""
    if len(graph.nodes) > MOST_NODES:
        return graph
    if not any(_bytes(Value(node, 0)) >= LARGE for node in graph.nodes if fusible(node)):
        return graph
    grouping = Grouping(graph)
    groups = grouping.run()
    cones: dict[Node, _Cone] = {}
    """What each member of a group computes again."""
    for group in groups:
        found = _Cone(grouping, group)
        found.grow()
        if found.pays():
            cones.update(dict.fromkeys(group.members, found))
    return _copied(graph, cones) if cones else graph


def _bytes(value: Value) -> int:
    type_ = value.type
    return int(type_.nbytes)


@dataclass
class _Cone:
    """What a group would compute again: nodes, and the values it would read instead of what it reads now."""

    grouping: Grouping
    group: Group
    nodes: dict[Node, None] = field(default_factory=dict)
    before: set[Value] = field(default_factory=set)
    roots: set[Value] = field(default_factory=set)
    after: set[Value] = field(default_factory=set)

    def grow(self) -> None:
        """Find the values that can be computed again, and what that would read."""
        for member in self.group.members:
            for k, value in enumerate(member.inputs):
                if k in loose(member) or value[0] in self.group.members:
                    continue
                base = self._behind_views(value)
                if base[0] in self.group.members:
                    continue
                if _bytes(base) >= LARGE and self._copyable(base[0]):
                    self.roots.add(value)
                    self.before.add(base)
                    self._take(value)
                elif _bytes(base) >= LARGE:
                    self.after.add(base)

    def _behind_views(self, value: Value) -> Value:
        while isinstance(value[0].op, (BroadcastTo, Transpose, Reshape)):
            value = value[0].inputs[0]
        return value

    def _copyable(self, node: Node) -> bool:
        """Tell whether a node is an elementwise member of another group."""
        other = self.grouping.group_of.get(node)
        return other is not None and other is not self.group and not isinstance(node.op, Reduction) and not loose(node)

    def _take(self, value: Value) -> None:
        stack = [value]
        while stack:
            node = stack.pop()[0]
            if node in self.nodes:
                continue
            view = isinstance(node.op, (BroadcastTo, Transpose, Reshape))
            if view or self._copyable(node):
                self.nodes[node] = None
                for operand in node.inputs:
                    below = self._behind_views(operand)[0]
                    if self._copyable(below) and _bytes(Value(below, 0)) >= LARGE:
                        stack.append(operand)
                    elif _bytes(self._behind_views(operand)) >= LARGE:
                        self.after.add(self._behind_views(operand))

    def pays(self) -> bool:
        """Tell whether the traffic that goes is worth the instructions that come."""
        if not self.before or len(self.nodes) + len(self.group.members) > LARGEST_LONG_GROUP:
            return False
        elements = max(int(v.type.size) for v in self.before)
        more = sum(_bytes(v) for v in self.after - self._read_now())
        saved = sum(_bytes(v) for v in self.before) + sum(_bytes(v) for v in self.before if self._only_here(v)) - more
        weight = sum(own_weight(node) for node in self.nodes if fusible(node))
        itemsize = min(v.type.dtype.itemsize for v in self.before)
        return saved > 0 and weight * itemsize / 4 <= WORTH * saved / elements

    def _read_now(self) -> set[Value]:
        return {self._behind_views(v) for m in self.group.members for k, v in enumerate(m.inputs) if k not in loose(m)}

    def _only_here(self, value: Value) -> bool:
        """Tell whether only this group and the one that makes the value read it."""
        if value[0] in self.grouping.outputs:
            return False
        homes = [self.grouping.group_of.get(r) for r in self.grouping.all_readers(value[0])]
        return all(h is self.group or (h is not None and h is self.grouping.group_of.get(value[0])) for h in homes)

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
        for node in sorted(needed, key=self.grouping.position.__getitem__):
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
