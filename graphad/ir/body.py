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
