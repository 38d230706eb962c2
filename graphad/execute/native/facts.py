"""Facts: what fusion asks about the nodes of a graph, by their numbers, found for all nodes at once.

A node's number is its place in the graph. A graph of hundreds of thousands of nodes has few different ones, and lists
by number are read several times as fast as dictionaries by node. What may enter: what is true of a node whatever the
groups are.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np

from graphad.execute.native.kinds import FUSIBLE, Kind, fusible, is_view_class, kind_of
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node
from graphad.ir.op import Op
from graphad.ops.control import StopGradient
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.passes.columns import NONE, columns_of, combined

_LEAVES = (Input, Constant)
_MOVES = (Transpose, BroadcastTo, Reshape, StopGradient)


class Facts:
    """The nodes of a graph by number.

    Attributes:
        columns: the graph as arrays.
        nodes: the graph's, in order.
        inputs: what makes the operands of each node.
        views: whether a node's result is its operand's memory, seen another way.
        moves: whether it may be a view that only moves axes.
        origins: the node whose memory a node's result lies in, behind all views; NONE for arguments and constants.
        replicas: of the nodes.
        kinds: of the nodes that a loop nest can compute; None of others.
        plain: whether operands and result of a node all lie where the loops of a nest stand.
        outputs: the nodes that make the graph's results.
    """

    def __init__(self, graph: Graph) -> None:
        columns = self.columns = columns_of(graph)
        self.nodes = columns.nodes
        reads = columns.reads.tolist()
        inputs = self.inputs = [reads[i:j] for i, j in pairwise(columns.first.tolist())]
        views = columns.of_classes(is_view_class)
        self.views: list[bool] = views.tolist()
        self.moves: list[bool] = columns.of_classes(lambda cls: issubclass(cls, _MOVES)).tolist()
        leaves = columns.of_classes(lambda cls: cls in _LEAVES)
        origins = self.origins = np.where(leaves, NONE, np.arange(len(leaves))).tolist()
        for at in np.flatnonzero(views).tolist():
            origins[at] = origins[inputs[at][0]]
        self.replicas: list[int] = columns.replicas.tolist()
        self.kinds = self._kinds()
        self.plain = [kind is not None and kind.plain for kind in self.kinds]
        self.outputs = {self.numbers[value[0]] for value in graph.outputs}
        by_maker = np.argsort(columns.reads, kind="stable")
        self._readers: list[int] = np.repeat(np.arange(len(leaves)), np.diff(columns.first))[by_maker].tolist()
        counts = np.bincount(columns.reads, minlength=len(leaves))
        self._first_reader: list[int] = np.concatenate([[0], np.cumsum(counts)]).tolist()

    @cached_property
    def numbers(self) -> dict[Node, int]:
        """The number of each node."""
        return {node: k for k, node in enumerate(self.nodes)}

    def readers(self, at: int) -> list[int]:
        """Return the nodes that read a node, once for each operand."""
        first = self._first_reader
        return self._readers[first[at] : first[at + 1]]

    def count_readers(self, at: int) -> int:
        """Return how many operands are results of a node."""
        return self._first_reader[at + 1] - self._first_reader[at]

    def all_readers(self, at: int) -> list[int]:
        """Return the nodes that read a node's results, behind views too."""
        found: list[int] = []
        stack = self.readers(at)
        while stack:
            user = stack.pop()
            if self.views[user]:
                stack += self.readers(user)
            else:
                found.append(user)
        return found

    def _kinds(self) -> list[Kind | None]:
        columns = self.columns
        fit = columns.of_classes(lambda cls: issubclass(cls, FUSIBLE))
        alone = columns.of_classes(lambda cls: cls.risk is not Op.risk)  # it depends on the operands themselves
        alone[columns.wide] = True
        found: list[Kind | None] = [None] * len(self.nodes)
        for at in np.flatnonzero(fit & alone).tolist():
            found[at] = self._kind(at)
        equal = np.flatnonzero(fit & ~alone)
        parts = [columns.ops[equal], columns.types[equal]]
        for makers, results in zip(columns.operands, columns.results, strict=True):
            own = makers[equal]
            parts += [np.where(own == NONE, 0, columns.types[own] + 1), results[equal]]
        first, which = combined(*parts)
        kinds = [self._kind(at) for at in equal[first].tolist()]
        for at, kind in zip(equal.tolist(), map(kinds.__getitem__, which.tolist()), strict=True):
            found[at] = kind
        return found

    def _kind(self, at: int) -> Kind | None:
        node = self.nodes[at]
        return kind_of(node) if fusible(node) else None
