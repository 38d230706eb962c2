"""Epilogues: what elementwise ops make of a convolution's or a product's results, as one op with it.

``relu(conv(x, w) + bias)`` is one step that stores each result once, finished. What may enter: the op, and the rewrite
that finds where it saves memory traffic. Which products take an epilogue, and how costly it may be, stands in `TAKES`,
where the rooms that write their kernels enter themselves.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphad.execute.native.kinds import fusible, is_view, own_weight, readers_and_views
from graphad.execute.native.regrouping import Regrouping
from graphad.ir.body import BodyOp, part_of
from graphad.ir.collector import collector_paused
from graphad.ir.dims import Dim
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise, Op
from graphad.ops.cast import Cast
from graphad.ops.control import StopGradient
from graphad.ops.convolution import Conv
from graphad.ops.shape import BroadcastTo

Array = np.ndarray[Any, Any]

MOST_MEMBERS = 24
"""Ops of one epilogue: their values share the registers with the sums of a tile."""
MOST_LOOKED_AT = 64
"""Nodes behind a product that are looked at; what lies further is taken to be stored anyway."""

TAKES: dict[type[Op], Callable[[Node], int]] = {}
"""By class of products: how many instructions an element (`own_weight`) the epilogue of a node may cost; 0 for none."""


@dataclass(frozen=True)
class Finished(BodyOp, abstract=True):
    """body(*operands): a product, and what elementwise ops make of it.

    Attributes:
        body: its inputs are the operands of the product, in order, then those of the epilogue, which all have the shape
            of the product's result (seen through broadcasts, where they are smaller). Its first node that is no input
            is the product; the others are elementwise ops and casts of that shape, and numbers, repeated. Its outputs
            are the product's result or members of the epilogue.
    """

    body: Graph

    name = "finished"

    @property
    def product(self) -> Node:
        """Return the node of the product."""
        return self.body.nodes[len(self.body.inputs)]

    @property
    def members(self) -> tuple[Node, ...]:
        """Return the epilogue: elementwise ops, and numbers with their broadcasts, each after what it reads."""
        return self.body.nodes[len(self.body.inputs) + 1 :]

    @property
    def operands(self) -> tuple[Value, ...]:
        """Return the inputs of the body that only the epilogue reads."""
        return self.body.inputs[len(self.product.inputs) :]

    def part(self, results: tuple[int, ...], given: tuple[int, ...] = ()) -> tuple[Op, tuple[int, ...]] | None:
        """The product and what these results need of the epilogue; None where its sums might be added up otherwise.

        A matrix product of many terms adds them up in a result of the kind of its sums where there is one, so there
        must still be one. How a convolution is computed may depend on how all that it reads lies in memory.
        """
        body, positions = part_of(self.body, results)
        if self.product not in body.nodes:
            return None
        kind = self.product.types[0].dtype
        if isinstance(self.product.op, Conv):
            same = len(positions) == len(self.body.inputs)
        else:
            same = any(t.dtype == kind for t in body.output_types) == any(
                t.dtype == kind for t in self.body.output_types
            )
        return (Finished(body), positions) if same else None


@collector_paused()
def with_epilogues(graph: Graph, updated: Collection[int] = ()) -> Graph:
    """Return the static graph with products and the elementwise ops behind them as `Finished` nodes, where that saves
    memory traffic.

    What makes one of the outputs `updated`, which are the next values of state, stays as it is: it can write them where
    the old ones lie, and a step with an epilogue cannot.
    """
    if graph.op_classes.isdisjoint(TAKES):
        return graph
    products = [node for node in graph.nodes if type(node.op) in TAKES]
    search = _Search(graph, {_origin(graph.outputs[k][0]) for k in updated})
    found = [made for node in products if (made := search.epilogue(node)) is not None]
    kept = _without_circles(graph, found)
    return _Finishing(graph, kept).run() if kept else graph


@dataclass(eq=False, slots=True)
class _Epilogue:
    """A product with the members of its epilogue, in order, and those of its values that others need."""

    product: Node
    members: list[Node]
    results: list[Value]

    def sources(self) -> list[Value]:
        """Return the values that it reads: the product's operands, then each other one once; numbers left out."""
        inside = {self.product, *self.members}
        rest = {v: None for node in self.members for v in node.inputs if v[0] not in inside and number_of(v) is None}
        return [*self.product.inputs, *rest]


# Finding them.

MEMBER, NEAR, FAR = range(3)
"""What lies behind a product: may be a member; is computed by loops that could take the members in; needs more."""


class _Search:
    """The working state of the search over one graph."""

    def __init__(self, graph: Graph, updating: set[Node]) -> None:
        self.updating = updating
        self.position = {node: k for k, node in enumerate(graph.nodes)}
        self.readers: dict[Node, list[Node]] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.readers.setdefault(value[0], []).append(node)
        self.outputs = {value[0] for value in graph.outputs}
        self.taken: set[Node] = set()

    def epilogue(self, product: Node) -> _Epilogue | None:
        """Return the epilogue of a product that saves the most bytes; None where none saves any."""
        limit = TAKES[type(product.op)](product)
        if not limit or product in self.updating:
            return None
        behind = self.behind(product)
        members: list[Node] = []
        best: tuple[int, list[Node]] | None = None
        for node in [node for node, state in behind.items() if state == MEMBER][:MOST_MEMBERS]:
            members.append(node)
            whole = self.with_sources(product, members)
            if len(whole) > MOST_MEMBERS or sum(map(own_weight, whole)) > limit:
                break
            saved = self.saved(product, whole, behind)
            if saved > 0 and (best is None or saved > best[0]):
                best = saved, whole
        if best is None:
            return None
        chosen = sorted(best[1], key=self.position.__getitem__)
        self.taken.update(chosen)
        inside = {product, *chosen}
        results = [Value(node, 0) for node in (product, *chosen) if self.needed(node, inside)]
        return _Epilogue(product, chosen, results)

    def behind(self, product: Node) -> dict[Node, int]:
        """Return what lies behind a product, in order, as far as it is looked at."""
        position, shape = self.position, product.types[0].shape
        found: dict[Node, int] = {}
        waiting: list[tuple[int, Node]] = []
        seen = {product}
        node = product
        while True:
            for reader in self.readers.get(node, ()):
                if reader not in seen:
                    seen.add(reader)
                    heapq.heappush(waiting, (position[reader], reader))
            if not waiting or len(found) >= MOST_LOOKED_AT:
                return found
            _, node = heapq.heappop(waiting)
            # All that lies behind the product and before this node is known; other operands do not depend on it.
            states = [MEMBER if v[0] is product else found[v[0]] for v in node.inputs if v[0] in seen]
            found[node] = self.state(node, states, shape)

    def state(self, node: Node, states: Sequence[int], shape: tuple[Dim, ...]) -> int:
        """Return the state of a node, given those of its operands that lie behind the product."""
        if FAR in states:
            return FAR
        if is_view(node) or isinstance(node.op, StopGradient):
            return NEAR
        if not fusible(node):
            return FAR
        joins = all(state == MEMBER for state in states) and elementwise(node, shape) and node not in self.taken
        joins = joins and node not in self.updating
        return MEMBER if joins else NEAR

    def with_sources(self, product: Node, members: Sequence[Node]) -> list[Node]:
        """Return members of an epilogue, and elementwise ops that only they need."""
        shape = product.types[0].shape
        whole = dict.fromkeys(members)
        stack = [v[0] for node in members for v in node.inputs]
        while stack:
            node = stack.pop()
            if node in whole or node is product or node in self.taken or node in self.outputs:
                continue
            if not elementwise(node, shape) or not fusible(node) or not whole.keys() >= set(self.readers[node]):
                continue
            whole[node] = None
            stack += [v[0] for v in node.inputs]
        return list(whole)

    def saved(self, product: Node, members: Sequence[Node], behind: dict[Node, int]) -> int:
        """Return how many bytes fewer are read and written; loops beside the product would do the same as others do."""
        inside = {product, *members}
        size = _bytes(product)
        total = 2 * size
        for node in inside:
            near, far = self.read_by(node, inside, behind)
            written = size if node is product else 0 if far else _bytes(node)
            total -= (written if near or far else 0) + (_bytes(node) if near else 0)
        for node in {v[0] for member in members for v in member.inputs} - inside:
            node = _origin(node)
            readers = self.all_readers(node)
            if node not in self.outputs and fusible(node) and inside.issuperset(readers):
                total -= 2 * _bytes(node)  # the loops of the members would have computed it, and not stored it
        return total

    def read_by(self, node: Node, inside: set[Node], behind: dict[Node, int]) -> tuple[bool, bool]:
        """Tell whether loops that could take the members in read a value, and whether others need it."""
        near, far = False, node in self.outputs
        for reader in self.all_readers(node):
            if reader not in inside:
                state = FAR if is_view(reader) else behind.get(reader, FAR)
                near, far = near or state != FAR, far or state == FAR
        return near, far

    def all_readers(self, node: Node) -> list[Node]:
        """Return the nodes that read a node, behind views too, and the views that are results of the graph."""
        readers = readers_and_views(node, self.readers)
        return [user for user in readers if user in self.outputs or not is_view(user)]

    def needed(self, node: Node, inside: set[Node]) -> bool:
        """Tell whether others than the members need a value."""
        return node in self.outputs or not inside.issuperset(self.readers.get(node, ()))


def _origin(node: Node) -> Node:
    """Return what makes the memory that a node's result is seen in."""
    while is_view(node):
        node = node.inputs[0][0]
    return node


def elementwise(node: Node, shape: tuple[Dim, ...]) -> bool:
    """Tell whether a node is an elementwise op or a cast of values of a shape."""
    return isinstance(node.op, (Elementwise, Cast)) and node.types[0].shape == shape


def number_of(value: Value) -> Constant | None:
    """Return the constant that a value repeats; None where it is not one number."""
    node = value[0]
    while isinstance(node.op, BroadcastTo):
        node = node.inputs[0][0]
    return node.op if isinstance(node.op, Constant) and node.op.array.ndim == 0 else None


def _bytes(node: Node) -> int:
    return int(node.types[0].nbytes)


def _without_circles(graph: Graph, found: Sequence[_Epilogue]) -> list[_Epilogue]:
    """Return the epilogues without those that would wait for each other.

    Each one alone waits for nothing behind it; two may, where each reads a member of the other.
    """
    left = list(found)
    while stuck := _stuck(graph, left):
        left = [epilogue for epilogue in left if epilogue not in stuck]
    return left


def _stuck(graph: Graph, found: Sequence[_Epilogue]) -> set[_Epilogue]:
    """Return the epilogues that are in a circle, or between or behind circles."""
    home = _homes(found)
    left: dict[_Epilogue | Node, int] = {}
    readers: dict[_Epilogue | Node, list[_Epilogue | Node]] = {}
    for node in graph.nodes:
        unit = home.get(node, node)
        sources = {home.get(v[0], v[0]) for v in node.inputs} - {unit}
        left[unit] = left.get(unit, 0) + len(sources)
        for source in sources:
            readers.setdefault(source, []).append(unit)
    ready = [unit for unit, count in left.items() if not count]
    while ready:
        for unit in readers.get(ready.pop(), ()):
            left[unit] -= 1
            if not left[unit]:
                ready.append(unit)
    return {unit for unit, count in left.items() if count and isinstance(unit, _Epilogue)}


def _homes(found: Iterable[_Epilogue]) -> dict[Node, _Epilogue]:
    return {node: epilogue for epilogue in found for node in (epilogue.product, *epilogue.members)}


# Making them.


class _Finishing(Regrouping):
    """Emits the graph with the epilogues."""

    def __init__(self, graph: Graph, epilogues: list[_Epilogue]) -> None:
        super().__init__(graph)
        self.home = _homes(epilogues)

    def waiting(self, node: Node) -> list[Node]:
        """Return what is still to be made of what a node reads, or of what its epilogue reads."""
        epilogue = self.home.get(node)
        sources = node.inputs if epilogue is None else epilogue.sources()
        return [value[0] for value in sources if value[0] not in self.made]

    def emit(self, node: Node) -> None:
        """Copy a node, or emit its epilogue."""
        epilogue = self.home.get(node)
        if epilogue is None:
            self.copy(node)
            return
        product, sources = epilogue.product, epilogue.sources()
        body = body_of(product, epilogue.members, sources, epilogue.results)
        inputs = tuple([self.final[v] for v in sources])
        op, types = Finished(body), body.output_types
        made = Node(op, inputs, types, product.location, product.scope, product.role, product.replica)
        self.replace([product, *epilogue.members], epilogue.results, made)


def body_of(product: Node, members: Sequence[Node], sources: Sequence[Value], results: Sequence[Value]) -> Graph:
    """Return the body of a `Finished`.

    Args:
        product, members: nodes, each after what it reads.
        sources: the product's operands, then what the members read besides; each becomes an input.
        results: values of the nodes.
    """
    leaves = []
    for k, value in enumerate(sources):
        like = value[0]
        leaf = Node(Input(f"x{k}", value.type), (), (value.type,), like.location, like.scope, like.role, 0)
        leaves.append(Value(leaf, 0))
    count = len(product.inputs)
    first = product.with_inputs(tuple(leaves[:count]))
    inner = {Value(product, 0): Value(first, 0), **dict(zip(sources[count:], leaves[count:], strict=True))}
    for node in members:
        for value in node.inputs:
            if value not in inner:
                inner[value] = _repeated(value)
        copy = node.with_inputs(tuple([inner[v] for v in node.inputs]))
        inner[Value(node, 0)] = Value(copy, 0)
    made = tuple([inner[v] for v in results])
    labels = tuple([f"x{k}" for k in range(len(leaves))])
    names = ("out",) if len(made) == 1 else tuple([f"out{k}" for k in range(len(made))])
    return Graph("finished", tuple(leaves), made, labels, names, *flat_containers(len(leaves), len(made)))


def _repeated(value: Value) -> Value:
    """Return a number of the value's shape, made of new nodes."""
    number = number_of(value)
    assert number is not None
    like = value[0]
    scalar = value.type.with_shape(())
    node = Node(number, (), (scalar,), like.location, like.scope, like.role, like.replica)
    if value.type.shape:
        op = BroadcastTo(value.type.shape)
        node = Node(op, (Value(node, 0),), (value.type,), like.location, like.scope, like.role, like.replica)
    return Value(node, 0)
