"""Short axes: which ops one loop along a long axis computes, with all their other axes unrolled.

Many problems are a small computation on vectors of two or three elements, done ten thousand times: batched by `vmap`,
or written with one long axis. Loops over the short axes fill no vector, and each slice, stack or pad of a tangent ends
a loop nest. Here such ops become `Unrolled` regions. What may enter: which nodes go together, and when that pays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from graphad.execute.native.addresses import SafeGather
from graphad.execute.native.kinds import CHEAP, fusible, native_dtype, own_weight
from graphad.execute.native.regions import NONE
from graphad.execute.native.regrouping import Regrouping
from graphad.execute.native.unrolled import REDUCTIONS, Unrolled, long_axis
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise
from graphad.ops.cast import Cast
from graphad.ops.control import StopGradient
from graphad.ops.creation import Iota
from graphad.ops.cumulative import Cumsum, ExclusiveProd
from graphad.ops.joining import Concatenate
from graphad.ops.product import Matmul
from graphad.ops.reduction import Reduction
from graphad.ops.shape import BroadcastTo, Flip, Reshape, Transpose
from graphad.ops.slicing import Pad, Slice, UpdateSlice

SHORTEST = 1024
"""Size from which an axis is long."""
WIDEST = 16
"""Size up to which an axis is short."""
MOST_COMPONENTS = 64
"""Components of one value."""
HEAVIEST = 4096
"""Instructions of one region, roughly: more are parted, so that compiling takes tenths of a second at most."""
FEWEST = 4
"""Nodes of a region: one or two are as good in a nest of their own."""
MOST_NODES = 20_000
"""Nodes of a graph that is looked at: larger ones are many small steps."""

VIEWS = (BroadcastTo, Reshape, Transpose, Flip, Slice, StopGradient)


def with_short_axes_unrolled(graph: Graph) -> Graph:
    """Return the static graph with `Unrolled` nodes for ops along a long axis whose other axes are short."""
    if len(graph.nodes) > MOST_NODES:
        return graph
    shapes = [node.types[0].shape for node in graph.nodes if node.types]
    lengths = Counter(int(n) for shape in shapes for n in shape if n >= SHORTEST)
    for length, nodes in lengths.most_common():
        if nodes >= FEWEST:
            graph = _Unrolling(graph, length).run()
    return graph


class _Standing(NamedTuple):
    """Where a node stands among those that may be unrolled.

    Attributes:
        level: how many regions, one after the other, lead to it at most.
        inside: it may be unrolled, or is a view of what may.
        base: the value that it is a view of; its own first, if it is none.
    """

    level: int
    inside: bool
    base: Node


@dataclass
class _Unrolling:
    """The working state for one graph and one long axis."""

    graph: Graph
    length: int
    standing: dict[Node, _Standing] = field(default_factory=dict)
    readers: dict[Node, list[Node]] = field(default_factory=dict)
    outputs: set[Node] = field(default_factory=set)

    def run(self) -> Graph:
        """Return the graph with the regions that pay."""
        self.outputs = {v[0] for v in self.graph.outputs}
        for node in self.graph.nodes:
            self.standing[node] = self.stand(node)
            for value in node.inputs:
                self.readers.setdefault(value[0], []).append(node)
        groups = [part for group in self.groups() if self.pays(group) for part in self.parts(group)]
        return _Regions(self).rebuilt(groups) if groups else self.graph

    # What may be unrolled.

    def stand(self, node: Node) -> _Standing:
        """Return where a node stands, from where its operands do."""
        below = [self.standing[v[0]] for v in node.inputs]
        if below and self.is_inner_view(node):
            return _Standing(below[0].level, below[0].inside, below[0].base)
        if not node.inputs or not self.computes(node):
            return _Standing(max([s.level for s in below], default=0), False, node)
        apart = isinstance(node.op, SafeGather)  # it reads its first operand in memory
        levels = [s.level + (not s.inside or (apart and not k)) for k, s in enumerate(below)]
        return _Standing(max(levels), True, node)

    def lies(self, value: Value) -> int:
        """Return the long axis of a value whose other axes are short; NONE for other values."""
        shape: tuple[int, ...] = value.type.shape  # type: ignore[assignment]  # static
        axis = long_axis(shape, self.length)
        others = [n for k, n in enumerate(shape) if k != axis]
        return NONE if max(others, default=0) > WIDEST or value.type.size > MOST_COMPONENTS * self.length else axis

    def is_inner_view(self, node: Node) -> bool:
        """Tell whether a node only moves elements along the short axes, or repeats them along the long one."""
        op = node.op
        axis = self.lies(Value(node, 0)) if isinstance(op, VIEWS) else NONE
        if axis == NONE or isinstance(op, BroadcastTo):
            return axis != NONE
        source = self.lies(node.inputs[0])
        if source == NONE or (isinstance(op, Flip) and axis in op.axes):
            return False
        if isinstance(op, Reshape):
            before, after = node.inputs[0].type.shape[:source], node.types[0].shape[:axis]
            return _product(before) == _product(after)
        return source == axis or isinstance(op, Transpose)

    def computes(self, node: Node) -> bool:
        """Tell whether components of a node can be computed from components of its operands."""
        op = node.op
        axis = self.lies(Value(node, 0)) if len(node.types) == 1 else NONE
        if axis == NONE:
            return False
        if isinstance(op, (Elementwise, Cast)):
            return fusible(node)
        if isinstance(op, (Concatenate, Pad, UpdateSlice)):
            return all(self.lies(v) == axis for v in node.inputs) and native_dtype(node.types[0].dtype)
        if isinstance(op, REDUCTIONS):
            source = self.lies(node.inputs[0])
            same = node.types[0].dtype == node.inputs[0].type.dtype and node.types[0].dtype.kind != "b"
            return same and source != NONE and source not in op.axes and fusible(node)
        if isinstance(op, SafeGather):
            return fusible(node) and all(self.lies(v) == axis for v in node.inputs[1:])
        if isinstance(op, (Cumsum, ExclusiveProd)):
            return op.axis != axis and _numbers(node)
        if isinstance(op, Matmul):
            return self.multiplies(node, axis) and _numbers(node)
        return False

    def multiplies(self, node: Node, axis: int) -> bool:
        """Tell whether a product is one of small matrices for each position along the axis, or of a row each."""
        a, b = node.inputs
        inside = node.types[0].ndim - 2
        matrices = axis < inside and self.lies(a) == self.lies(b) == axis
        rows = axis == inside == 0 and self.lies(a) == axis and self.length not in b.type.shape
        return (matrices or rows) and self.cost(node) <= 2 * MOST_COMPONENTS

    def cost(self, node: Node) -> int:
        """Return roughly how many instructions a vector along the long axis costs."""
        components = int(node.types[0].size) // self.length
        if isinstance(node.op, Matmul):
            return 2 * components * int(node.inputs[0].type.shape[-1])
        if isinstance(node.op, Reduction):
            return int(node.inputs[0].type.size) // self.length
        return own_weight(node) * components

    # Groups.

    def groups(self) -> list[list[Node]]:
        """Return the nodes that may be unrolled, those together that read one another at one level."""
        parent: dict[Node, Node] = {}

        def root(node: Node) -> Node:
            while parent[node] is not node:
                parent[node] = parent[parent[node]]
                node = parent[node]
            return node

        for node, own in self.standing.items():
            if not own.inside or own.base is not node:
                continue
            parent[node] = node
            for k, value in enumerate(node.inputs):
                other = self.standing[value[0]]
                apart = isinstance(node.op, SafeGather) and not k
                if other.inside and other.level == own.level and not apart:
                    parent[root(other.base)] = root(node)
        found: dict[Node, list[Node]] = {}
        for node in parent:
            found.setdefault(root(node), []).append(node)
        return [self.without_ends(group) for group in found.values()]

    def without_ends(self, group: list[Node]) -> list[Node]:
        """Leave out cheap functions of one value that only sums along the long axis read: those compute them too."""
        kept = set(group)
        for node in reversed(group):
            makers = {self.standing[v[0]].base for v in node.inputs} & kept
            cheap = isinstance(node.op, Elementwise) and own_weight(node) <= CHEAP and len(makers) == 1
            users = list(self.users(node)) if cheap and node not in self.outputs else []
            if users and not any(u in kept or not isinstance(u.op, Reduction) for u in users):
                kept.remove(node)
        return [node for node in group if node in kept]

    def users(self, node: Node) -> Iterator[Node]:
        """Yield who reads a node, by way of inner views too; a view that is a result of the graph is a reader."""
        stack = list(self.readers.get(node, ()))
        while stack:
            user = stack.pop()
            if self.standing[user].base is user or user in self.outputs:
                yield user
            else:
                stack += self.readers.get(user, ())

    def pays(self, group: list[Node]) -> bool:
        """Tell whether a group has short axes of different lengths: else one loop over all axes is as good."""
        if len(group) < FEWEST:
            return False
        return any(
            value.type.size != node.types[0].size or self.is_moved(value)
            for node in group
            for value in node.inputs[isinstance(node.op, SafeGather) :]
        )

    def is_moved(self, value: Value) -> bool:
        """Tell whether a value is read by way of a view that changes which components it has."""
        node = value[0]
        while self.standing[node].base is not node:
            below = node.inputs[0]
            if self.lies(below) != NONE and not isinstance(node.op, (Reshape, StopGradient)):
                return True
            node = below[0]
        return False

    def parts(self, group: list[Node]) -> list[list[Node]]:
        """Part a group whose code would be too long; nodes come in the order of the graph."""
        found: list[list[Node]] = [[]]
        heavy = 0
        for node in group:
            cost = self.cost(node)
            if found[-1] and heavy + cost > HEAVIEST:
                found.append([])
                heavy = 0
            found[-1].append(node)
            heavy += cost
        return found


class _Regions(Regrouping):
    """Makes the graph of regions: those of a level come before what else is at it."""

    def __init__(self, found: _Unrolling) -> None:
        super().__init__(found.graph)
        self.found = found

    def rebuilt(self, groups: list[list[Node]]) -> Graph:
        """Return the graph with each group as one node."""
        order = {node: k for k, node in enumerate(self.graph.nodes)}
        home = {node: group for group in groups for node in group}
        level = {node: standing.level for node, standing in self.found.standing.items()}
        units = [(level[group[0]], 0, order[group[0]], group) for group in groups]
        units += [(level[node], 1, order[node], [node]) for node in self.graph.nodes if node not in home]
        for _, alone, _, nodes in sorted(units, key=lambda unit: unit[:3]):
            if alone:
                self.copy(nodes[0])
            else:
                self.emit_region(nodes)
        return self.result()

    def emit_region(self, group: list[Node]) -> None:
        """Make the region of a group."""
        found, members = self.found, set(group)
        body = _Body(found, {}, {})
        for node in group:
            body.add(node)
        results = [n for n in group if n in found.outputs or any(u not in members for u in found.users(n))]
        inputs = tuple(body.inputs)
        made = tuple([body.made[Value(n, 0)] for n in results])
        leaves = tuple(body.inputs.values())
        labels = tuple([f"x{k}" for k in range(len(leaves))])
        names = ("out",) if len(made) == 1 else tuple([f"out{k}" for k in range(len(made))])
        graph = Graph("region", leaves, made, labels, names, *flat_containers(len(leaves), len(made)))
        op = Unrolled(graph, (found.length,), (), ())
        last = group[-1]
        given = tuple([self.final[v] for v in inputs])
        node = Node(op, given, graph.output_types, last.location, last.scope, last.role, last.replica)
        self.replace(group, [Value(member, 0) for member in results], node)


@dataclass
class _Body:
    """A body being made.

    Attributes:
        inputs: the value inside for each that is read from outside.
        made: the value inside for each member and view.
    """

    unrolling: _Unrolling
    inputs: dict[Value, Value]
    made: dict[Value, Value]

    def add(self, node: Node) -> None:
        """Put a member in, behind the views that lead to it."""
        given = []
        for k, value in enumerate(node.inputs):
            apart = isinstance(node.op, SafeGather) and not k
            given.append(self.outside(value) if apart else self.found(value))
        self.enter(node, tuple(given))

    def found(self, value: Value) -> Value:
        """Return a value as the body has it: a member's, an operand, or a view of one, or a number."""
        waiting = []
        while value not in self.made and value not in self.inputs:
            node = value[0]
            if self.unrolling.standing[node].base is node:
                break
            waiting.append(node)
            value = node.inputs[0]
        inside = self.made.get(value)
        if inside is None:
            node = value[0]
            inside = self.enter(node, ()) if self.is_own(node) else self.outside(value)
        for node in reversed(waiting):
            inside = self.enter(node, (inside,))
        return inside

    def is_own(self, node: Node) -> bool:
        """Tell whether a body computes a value itself: positions, and a few numbers."""
        type_ = node.types[0]
        few = type_.size <= MOST_COMPONENTS and self.unrolling.length not in type_.shape
        return isinstance(node.op, Iota) or (isinstance(node.op, Constant) and few)

    def outside(self, value: Value) -> Value:
        """Return the operand that a value from outside is."""
        made = self.inputs.get(value)
        if made is None:
            like = value[0]
            leaf = Input(f"x{len(self.inputs)}", value.type)
            made = Value(Node(leaf, (), (value.type,), like.location, like.scope, like.role, 0), 0)
            self.inputs[value] = made
        return made

    def enter(self, node: Node, inputs: tuple[Value, ...]) -> Value:
        copy = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica)
        made = self.made[Value(node, 0)] = Value(copy, 0)
        return made


def _numbers(node: Node) -> bool:
    dtype = node.types[0].dtype
    return native_dtype(dtype) and dtype.kind != "b"


def _product(sizes: tuple[object, ...]) -> int:
    total = 1
    for n in sizes:
        total *= int(n)  # type: ignore[call-overload]  # static
    return total
