"""Regrouping: a graph made anew, in which groups of its nodes have become one node each.

What may enter: the order in which things are made, and what stands for what. Which nodes belong together, and what a
group becomes, is for those who derive from `Regrouping`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value, new_value


class Regrouping:
    """Makes each node where all that it, or its group, reads is there."""

    def __init__(self, graph: Graph) -> None:
        """Begin with the inputs of the graph."""
        self.graph = graph
        self.final: dict[Value, Value] = {value: value for value in graph.inputs}
        """What stands for each value that is made."""
        self.made: set[Node] = {value[0] for value in graph.inputs}

    def run(self) -> Graph:
        """Return the graph made anew."""
        for node in self.graph.nodes:
            if node not in self.made:
                self.make(node)
        return self.result()

    def result(self) -> Graph:
        """Return what is made as a graph."""
        return self.graph.with_outputs([self.final[v] for v in self.graph.outputs])

    def make(self, wanted: Node) -> None:
        """Make a node, and what it needs that comes later in the graph (iteratively)."""
        stack = [wanted]
        while stack:
            node = stack[-1]
            if node in self.made:
                stack.pop()
                continue
            waiting = self.waiting(node)
            if waiting:
                stack += waiting
                continue
            stack.pop()
            self.emit(node)

    def waiting(self, node: Node) -> list[Node]:
        """Return what a node, or its group, reads and what is still to be made."""
        return [value[0] for value in node.inputs if value[0] not in self.made]

    def emit(self, node: Node) -> None:
        """Make a node, or its group, now that all it reads is there."""
        self.copy(node)

    def copy(self, node: Node) -> None:
        """Make a node that stays as it is."""
        self.made.add(node)
        if any(v not in self.final for v in node.inputs):
            return  # a view that only members of one group read: the group has it
        inputs = tuple([self.final[v] for v in node.inputs])
        copy = node
        if inputs != node.inputs:
            copy = Node(node.op, inputs, node.types, node.location, node.scope, node.role, node.replica)
        for k in range(len(node.types)):
            self.final[Value(node, k)] = Value(copy, k)

    def replace(self, members: Iterable[Node], results: Sequence[Value], node: Node) -> None:
        """Let the results of a node stand for these values of members of a group."""
        for k, value in enumerate(results):
            self.final[value] = new_value(Value, (node, k))
        self.made.update(members)
