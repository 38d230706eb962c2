"""Columns: the nodes of a graph as arrays of numbers, so that a pass asks about all of them at once.

Most passes change little of a big graph, and what tells so (the classes of ops and operands, equal computations) is
found by NumPy in a tenth of the time that going from node to node takes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from graphad.ir.graph import Graph
from graphad.ir.node import Node
from graphad.ir.op import Op

Numbers = np.ndarray[Any, np.dtype[np.int64]]

ARITY = 3
"""Operands of which there are columns; of nodes with more, only the class is known."""
NONE = -1
"""In place of an operand that a node does not have."""


class Columns:
    """A graph as arrays with one entry a node.

    Attributes:
        nodes: of the graph, in order.
        classes: of the ops.
        kinds: position of each node's op class in `classes`.
        operands: for each of the first operands, the node that makes it, or NONE.
        results: for each of the first operands, which result of that node it is.
        wide: the nodes with more operands.
        repeated: what `repeats` told; None before it is asked.
    """

    def __init__(self, graph: Graph) -> None:
        nodes = self.nodes = graph.nodes
        numbers: dict[type[Op], int] = {}
        kinds = [numbers.setdefault(type(node.op), len(numbers)) for node in nodes]
        self.classes: list[type[Op]] = list(numbers)
        self.kinds: Numbers = np.array(kinds, np.int64)
        inputs = [node.inputs for node in nodes]
        arity = np.array(list(map(len, inputs)), np.int64)
        first = np.cumsum(arity) - arity
        read = [value for each in inputs for value in each]
        # Serials lie in order in memory; looking nodes up in a dictionary costs five times as much.
        serials = np.array([node.serial for node in nodes], np.int64)
        order = np.argsort(serials, kind="stable")
        made_by = np.array([value[0].serial for value in read], np.int64)
        makers = np.append(order[np.searchsorted(serials[order], made_by)], NONE)
        results = np.array([value[1] for value in read] + [0], np.int64)
        self.operands: list[Numbers] = []
        self.results: list[Numbers] = []
        for k in range(ARITY):
            at = np.where(arity > k, first + k, len(read))
            self.operands.append(makers[at])
            self.results.append(results[at])
        self.wide: Numbers = np.flatnonzero(arity > ARITY)
        self.repeated: bool | None = None

    def positions(self, chosen: Callable[[type[Op], Sequence[type[Op]] | None], bool]) -> list[int]:
        """Return the positions of the nodes that a question about the classes of op and operands chooses, in order.

        It is asked once for each combination of classes; None stands for the operands of nodes with many.
        """
        count = len(self.classes) + 1
        code = self.kinds.copy()
        for makers in self.operands:
            code *= count
            code += np.where(makers == NONE, 0, self.kinds[makers] + 1)
        code[self.wide] = -1 - self.kinds[self.wide]
        distinct, which = np.unique(code, return_inverse=True)
        answers = np.array([chosen(*self._combination(int(each), count)) for each in distinct], bool)
        return np.flatnonzero(answers[which]).tolist()

    def _combination(self, code: int, count: int) -> tuple[type[Op], list[type[Op]] | None]:
        if code < 0:
            return self.classes[-1 - code], None
        operands = []
        for _ in range(ARITY):
            code, kind = divmod(code, count)
            if kind:
                operands.append(self.classes[kind - 1])
        return self.classes[code], operands[::-1]

    def repeats(self, key: Callable[[Node], Hashable], commutative: Callable[[type[Op]], bool]) -> bool:
        """Tell whether two nodes may compute the same: the same `key` on the same operands.

        Operands of two-operand ops that are `commutative` count in any order. False is certain; True is nearly so.
        """
        numbers: dict[Hashable, int] = {}
        own = np.array([numbers.setdefault(key(node), len(numbers)) for node in self.nodes], np.int64)
        a, b, *more = [_mixed(m, r) for m, r in zip(self.operands, self.results, strict=True)]
        swaps = np.array([commutative(cls) for cls in self.classes], bool)[self.kinds]
        swaps &= (self.operands[1] != NONE) & (self.operands[2] == NONE)
        low, high = np.where(swaps, np.minimum(a, b), a), np.where(swaps, np.maximum(a, b), b)
        mixed = own
        for part in (low, high, *more):
            mixed = _mixed(mixed, part)
        mixed = np.sort(np.delete(mixed, self.wide))  # several times as fast as the hash table of `np.unique`
        if (mixed[1:] == mixed[:-1]).any():
            return True
        wide = [self.nodes[k] for k in self.wide.tolist()]
        return len({(key(node), node.inputs) for node in wide}) < len(wide)


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
        _latest.columns = Columns(graph)
        _latest.graph = weakref.ref(graph, _forget)
    return _latest.columns


def _forget(reference: object) -> None:
    if _latest.graph is reference:
        _latest.columns = None
