"""Ops whose meaning is a graph, their body: what calls, fused groups, loop nests and finished products have in common.

What may enter: what follows from the body alone. How a body may look, and what becomes of it, is said by each op.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from graphad.ir.counts import total
from graphad.ir.dims import Dim
from graphad.ir.errors import fail
from graphad.ir.graph import Graph, flat_containers, reachable
from graphad.ir.leaf import Input
from graphad.ir.node import Node, Value
from graphad.ir.op import General
from graphad.ir.types import TensorType
from graphad.ir.walk import evaluate

Array = np.ndarray[Any, Any]


class BodyOp(General, abstract=True):
    """body(*operands)."""

    body: Graph

    may_raise = False

    def infer(self, *operands: TensorType) -> tuple[TensorType, ...]:
        """The body's output types; operands must have the types of its inputs."""
        if operands != self.body.input_types:
            fail(f"the body takes ({', '.join(map(str, self.body.input_types))})")
        return self.body.output_types

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        """The body, op by op, with NumPy."""
        return evaluate(self.body, operands)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        """The sum over the body."""
        return total(Counter(node.op.flops(node.input_types, node.types) for node in self.body.nodes))

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """All values of the body, which are kept until it has run."""
        return sum([int(t.nbytes) for node in self.body.nodes for t in node.types])

    def graphs(self) -> tuple[Graph, ...]:
        """The body."""
        return (self.body,)


def part_of(body: Graph, results: tuple[int, ...]) -> tuple[Graph, tuple[int, ...]]:
    """Return a body that has only these results, and the positions of the inputs that it still reads."""
    wanted = tuple([body.outputs[k] for k in results])
    reached = set(reachable(wanted))
    positions = tuple([k for k, value in enumerate(body.inputs) if value.node in reached])
    inputs = tuple([body.inputs[k] for k in positions])
    labels = tuple([body.input_names[k] for k in positions])
    names = tuple([body.output_names[k] for k in results])
    return Graph(body.name, inputs, wanted, labels, names, *flat_containers(len(inputs), len(wanted))), positions


def part_after(
    body: Graph, results: tuple[int, ...], given: tuple[int, ...]
) -> tuple[Graph, tuple[int, ...], dict[Node, Node]]:
    """Return a body that has only these results and reads those `given` as inputs, the nearest of them.

    The positions are those of the inputs that it still reads, and behind all inputs the results that it reads; the last
    is which node of the old body each of the new one stands for.
    """
    stops = {body.outputs[k]: k for k in given if body.outputs[k].node.inputs}
    wanted = [body.outputs[k] for k in results]
    reached = {value.node for value in wanted}
    stack = list(reached)
    read: set[Value] = set()
    while stack:
        for value in stack.pop().inputs:
            if value in stops:
                read.add(value)
            elif value.node not in reached:
                reached.add(value.node)
                stack.append(value.node)
    kept = [k for k, value in enumerate(body.inputs) if value.node in reached]
    inputs = [body.inputs[k] for k in kept]
    labels = [body.input_names[k] for k in kept]
    origins = {value.node: value.node for value in inputs}
    now = {value: value for value in inputs}
    for value in sorted(read, key=stops.__getitem__):
        like = value.node
        label = f"given{stops[value]}"
        leaf = Node(Input(label, value.type), (), (value.type,), like.location, like.scope, like.role, 0)
        origins[leaf] = like
        now[value] = Value(leaf, 0)
        inputs.append(now[value])
        labels.append(label)
        kept.append(len(body.inputs) + stops[value])
    for node in body.nodes:
        if node in reached and node not in origins:
            operands = tuple([now[value] for value in node.inputs])
            copy = Node(node.op, operands, node.types, node.location, node.scope, node.role, node.replica)
            origins[copy] = node
            now.update([(Value(node, k), Value(copy, k)) for k in range(len(node.types))])
    names = tuple([body.output_names[k] for k in results])
    nesting = flat_containers(len(inputs), len(wanted))
    outputs = tuple([now[value] for value in wanted])
    return Graph(body.name, tuple(inputs), outputs, tuple(labels), names, *nesting), tuple(kept), origins
