"""Region: a graph of ops that one loop nest computes. `graphad.execute.native.fusion` makes them; NumPy reads the body.

A region runs over a *frame*: a list of axes with their sizes. Every value of its body lies along some of them; its
*anchor* says which (NONE for an axis of size 1). Reductions drop the `reduced` axes of the frame, so values are of two
levels: elements, which may lie along all axes, and rows, which do not lie along the reduced ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.errors import fail
from graphad.ir.graph import Graph
from graphad.ir.op import General
from graphad.ir.types import TensorType
from graphad.ir.walk import evaluate

Array = np.ndarray[Any, Any]
Anchor: TypeAlias = tuple[int, ...]
"""Frame axis of each axis of a value; NONE for an axis of size 1 that lies along none."""

NONE = -1


@dataclass(frozen=True)
class Region(General, abstract=True):
    """body(*operands): what one loop nest computes.

    Attributes:
        body: elementwise ops, casts, reductions, positions, reads at index tensors, and views that only move axes.
        frame: sizes of the axes that the loops run over.
        reduced: the axes of the frame that the reductions drop, ascending.
        anchors: of the first value of each node of `body`, in order.
    """

    body: Graph
    frame: tuple[int, ...]
    reduced: tuple[int, ...]
    anchors: tuple[Anchor, ...]

    name = "region"
    may_raise, allocates = False, False

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
        return sum((node.op.flops(node.input_types, node.types) for node in self.body.nodes), 0)

    def graphs(self) -> tuple[Graph, ...]:
        """The body."""
        return (self.body,)


@dataclass(frozen=True)
class OverwritingRegion(Region, abstract=True):
    """A region that reads each operand of the type of its first result only where it writes it, before it writes."""

    in_place = True
