"""Columns: the nodes of a graph as arrays of numbers, so that a pass asks about all of them at once.

Most passes change little of a big graph, and what tells so (the classes of ops and operands, equal computations) is
found by NumPy in a tenth of the time that going from node to node takes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.op import Op

Numbers = np.ndarray[Any, np.dtype[np.int64]]

ARITY = 3
"""Operands of which there are columns; of nodes with more, only the class is known."""
NONE = -1
"""In place of an operand that a node does not have."""

DENSE = 8
"""Codes for each node up to which a table of all of them is faster than sorting those there are."""
MOST_CODES = 1 << 40
"""Codes from which they are numbered anew before more is put into them."""

Pair: TypeAlias = tuple[Sequence[int], Sequence[int]]


class Combination(NamedTuple):
    """The classes of a node's op, of its operands, and of theirs.

    Attributes:
        root: of the op.
        operands: of the operands; None of a node with more than there are columns of.
        below: for each operand the classes of its own operands, None where these are too many.
    """

    root: type[Op]
    operands: tuple[type[Op], ...] | None
    below: tuple[tuple[type[Op], ...] | None, ...]


class Columns:
    """A graph as arrays with one entry a node.

    Attributes:
        nodes: of the graph, in order.
        classes: of the ops.
        kinds: position of each node's op class in `classes`.
        operands: for each of the first operands, the node that makes it, or NONE.
        results: for each of the first operands, which result of that node it is.
        reads: what makes each operand of each node, those of a node side by side.
        first: where in `reads` the operands of each node begin, and where the last ones end.
        wide: the nodes with more operands.
        repeated: what `repeats` told; None before it is asked.
    """

    def __init__(self, graph: Graph) -> None:
        nodes = self.nodes = graph.nodes
        ops = [type(node.op) for node in nodes]
        self.classes: list[type[Op]] = list(dict.fromkeys(ops))
        numbers = {cls: k for k, cls in enumerate(self.classes)}
        self.kinds: Numbers = np.array(list(map(numbers.__getitem__, ops)), np.int64)
        inputs = [node.inputs for node in nodes]
        arity = np.array(list(map(len, inputs)), np.int64)
        self.first: Numbers = np.concatenate([[0], np.cumsum(arity)])
        read = [value for each in inputs for value in each]
        results = np.array([*[value[1] for value in read], 0], np.int64)
        serials = np.array([node.serial for node in nodes], np.int64)
        self.reads: Numbers = _places(serials, np.array([value[0].serial for value in read], np.int64))
        makers = np.append(self.reads, NONE)
        self.operands: list[Numbers] = []
        self.results: list[Numbers] = []
        for k in range(ARITY):
            at = np.where(arity > k, self.first[:-1] + k, len(read))
            self.operands.append(makers[at])
            self.results.append(results[at])
        self.wide: Numbers = np.flatnonzero(arity > ARITY)
        self.repeated: bool | None = None

    def of_classes(self, chosen: Callable[[type[Op]], bool]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Tell of each node whether a question about the class of its op chooses it."""
        return np.array([chosen(cls) for cls in self.classes], bool)[self.kinds]

    def positions(self, chosen: Callable[[type[Op], Sequence[type[Op]] | None], bool]) -> list[int]:
        """Return the positions of the nodes that a question about the classes of op and operands chooses, in order.

        It is asked once for each combination of classes; None stands for the operands of nodes with many.
        """
        shapes, which = self._shapes
        answers = np.array([chosen(*shape) for shape in shapes], bool)
        found: list[int] = np.flatnonzero(answers[which]).tolist()
        return found

    @cached_property
    def _shapes(self) -> tuple[list[tuple[type[Op], tuple[type[Op], ...] | None]], Numbers]:
        """The classes of op and operands that there are, and which of them each node has."""
        count = len(self.classes) + 1
        bound = count ** (ARITY + 1)
        code = self.kinds.copy()
        for makers in self.operands:
            code *= count
            code += np.where(makers == NONE, 0, self.kinds[makers] + 1)
        code[self.wide] = bound + self.kinds[self.wide]
        distinct, which = numbered(code, bound + count)
        return [self._shape(each, count, bound) for each in distinct.tolist()], which

    def _shape(self, code: int, count: int, bound: int) -> tuple[type[Op], tuple[type[Op], ...] | None]:
        if code >= bound:
            return self.classes[code - bound], None
        operands = []
        for _ in range(ARITY):
            code, kind = divmod(code, count)
            if kind:
                operands.append(self.classes[kind - 1])
        return self.classes[code], tuple(operands[::-1])

    @cached_property
    def combinations(self) -> tuple[list[Combination], Numbers]:
        """The classes of ops, operands and their operands that there are, and which of them each node has."""
        shapes, which = self._shapes
        below = [np.where(makers == NONE, 0, which[makers] + 1) for makers in self.operands]
        first, code = combined(which, *below)
        found = []
        for at in first.tolist():
            root, operands = shapes[which[at]]
            makers = [int(each[at]) for each in self.operands[: len(operands or ())]]
            found.append(Combination(root, operands, tuple([shapes[which[maker]][1] for maker in makers])))
        return found, code

    def matching(self, alternatives: Callable[[Combination], Sequence[Sequence[Pair]]]) -> list[int]:
        """Return the positions of the nodes, in order, of which one of the `alternatives` for their classes holds.

        One holds where the two values of each of its pairs are the same, named by their paths from the node: positions
        of operands, one after the other.
        """
        combinations, which = self.combinations
        found = np.zeros(len(self.nodes), bool)
        for k, each in enumerate(combinations):
            wanted = [[(a, b) for a, b in pairs if max(*a, *b) < ARITY] for pairs in alternatives(each)]
            if wanted:
                nodes = np.flatnonzero(which == k)
                found[nodes] = not all(wanted) or np.logical_or.reduce([self._same(nodes, pairs) for pairs in wanted])
        chosen: list[int] = np.flatnonzero(found).tolist()
        return chosen

    def _same(self, nodes: Numbers, pairs: Sequence[Pair]) -> Any:
        fits: Any = True
        for one, other in pairs:
            (a, i), (b, j) = self._value(nodes, one), self._value(nodes, other)
            fits = fits & (a == b) & (i == j)
        return fits

    def _value(self, nodes: Numbers, path: Sequence[int]) -> tuple[Numbers, Numbers]:
        """Return what makes the values at the end of a path from each of `nodes`, and which of its results they are."""
        results = np.zeros_like(nodes)
        for k in path:
            nodes, results = self.operands[k][nodes], self.results[k][nodes]
        return nodes, results

    @cached_property
    def ops(self) -> Numbers:
        """A number for each node: equal where the ops are."""
        found = self.kinds.copy()
        attributes = self.of_classes(lambda cls: cls.__hash__ is not Op.__hash__)
        numbers: dict[Op, int] = {}
        for at in np.flatnonzero(attributes).tolist():
            found[at] = len(self.classes) + numbers.setdefault(self.nodes[at].op, len(numbers))
        return found

    @cached_property
    def types(self) -> Numbers:
        """A number for each node: that of the types of its results; equal types may have several."""
        own = [id(node.types) for node in self.nodes]
        numbers = {each: k for k, each in enumerate(dict.fromkeys(own))}
        return np.array([numbers[each] for each in own], np.int64)

    @cached_property
    def replicas(self) -> Numbers:
        """The replica of each node."""
        return np.array(list(map(attrgetter("replica"), self.nodes)), np.int64)

    def repeats(self, commutative: Callable[[type[Op]], bool]) -> bool:
        """Tell whether two nodes may compute the same: equal ops on the same operands, inputs of the graph aside.

        Operands of two-operand ops that are `commutative` count in any order. False is certain; True is nearly so.
        """
        leaves = self.of_classes(lambda cls: cls is Input)
        own = np.where(leaves, -1 - np.arange(len(self.nodes)), self.ops)
        if self.replicas.any():
            own = _mixed(own, self.replicas)
        a, b, *more = [_mixed(m, r) for m, r in zip(self.operands, self.results, strict=True)]
        swaps = self.of_classes(commutative)
        swaps &= (self.operands[1] != NONE) & (self.operands[2] == NONE)
        low, high = np.where(swaps, np.minimum(a, b), a), np.where(swaps, np.maximum(a, b), b)
        mixed = own
        for part in (low, high, *more):
            mixed = _mixed(mixed, part)
        mixed = np.sort(np.delete(mixed, self.wide))  # several times as fast as the hash table of `np.unique`
        if (mixed[1:] == mixed[:-1]).any():
            return True
        wide = {(int(own[k]), self.nodes[k].inputs) for k in self.wide.tolist()}
        return len(wide) < len(self.wide)


def combined(*parts: Numbers) -> tuple[Numbers, Numbers]:
    """Return the first of the rows of each kind, and the kind of each row: its numbers, which are not negative."""
    code, bound = parts[0], int(parts[0].max(initial=0)) + 1
    for part in parts[1:]:
        size = int(part.max(initial=0)) + 1
        if bound * size > MOST_CODES:
            distinct, code = numbered(code, bound)
            bound = len(distinct)
        code, bound = code * size + part, bound * size
    distinct, code = numbered(code, bound)
    first = np.empty(len(distinct), np.int64)
    first[code[::-1]] = np.arange(len(code))[::-1]
    return first, code


def numbered(codes: Numbers, bound: int) -> tuple[Numbers, Numbers]:
    """Return the distinct codes in [0, bound), in order, and the position among them of each."""
    if bound > DENSE * len(codes):
        return np.unique(codes, return_inverse=True)
    there = np.zeros(bound, bool)
    there[codes] = True
    return np.flatnonzero(there), (np.cumsum(there) - 1)[codes]


def _places(serials: Numbers, wanted: Numbers) -> Numbers:
    """Return the position of each of `wanted` among `serials`; a dictionary of nodes would cost ten times as much."""
    lowest = int(serials.min(initial=0))
    span = int(serials.max(initial=0)) - lowest + 1
    if span > DENSE * len(serials):
        order = np.argsort(serials, kind="stable")
        return order[np.searchsorted(serials[order], wanted)]
    table = np.zeros(span, np.int64)
    table[serials - lowest] = np.arange(len(serials))
    return table[wanted - lowest]


def _mixed(a: Numbers, b: Numbers) -> Numbers:
    """Return one number for each pair, equal for equal pairs, and nearly always different for different ones."""
    x = a.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + b.astype(np.uint64)
    x ^= x >> np.uint64(29)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(32)
    return x.view(np.int64)


class _Latest(threading.local):
    """The graph that this thread looked at last, and its columns: passes mostly hand on the graph they were given."""

    graph: Callable[[], Graph | None] = staticmethod(lambda: None)
    columns: Columns | None = None


_latest = _Latest()


def columns_of(graph: Graph) -> Columns:
    """Return the columns of a graph; of the one asked about last, those made then."""
    if _latest.columns is None or _latest.graph() is not graph:
        if _latest.columns is None or _latest.columns.nodes is not graph.nodes:
            _latest.columns = Columns(graph)
        _latest.graph = weakref.ref(graph, _forget)
    return _latest.columns


def _forget(reference: object) -> None:
    if _latest.graph is reference:
        _latest.columns = None
