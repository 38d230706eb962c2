"""Gradients of the extremes of windows, without the positions in memory.

What may enter: ops that only native graphs have, for what a sliding window pulls back, and the pass that finds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.ir.emit import apply, emission
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import General
from graphad.ir.types import TensorType
from graphad.ops.indexing import ScatterAdd
from graphad.ops.shape import BroadcastTo
from graphad.ops.windows import WindowPosition
from graphad.passes.driver import Results, imitate, sweep
from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class ExtremeGradient(General, abstract=True):
    """y[p] = sum of g over the windows of x whose largest (or smallest) element stands at position p."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilation: tuple[int, ...]
    largest: bool

    name = "extreme_gradient"
    may_raise = False

    def infer(self, x: TensorType, g: TensorType) -> TensorType:
        """One element of g's dtype for each element of x, in one row."""
        return g.with_shape((x.size,))

    def evaluate(self, x: Array, g: Array) -> Array:
        """Add at the positions."""
        positions = WindowPosition(self.size, self.strides, self.dilation, self.largest).evaluate(x)
        y = np.zeros(x.size, g.dtype)
        np.add.at(y, positions.ravel(), g.ravel())
        return y


def with_window_gradients(graph: Graph) -> Graph:
    """Return the graph with sums at the positions of windows' extremes, into zeros, as one op each."""
    if WindowPosition not in graph.op_classes:
        return graph

    def visit(node: Node) -> Results | None:
        if not isinstance(node.op, ScatterAdd) or len(node.inputs) != 3:
            return None
        base, g, positions = node.inputs
        op = positions.node.op
        if not isinstance(op, WindowPosition) or not _zeros(base) or base.type.dtype != g.type.dtype:
            return None
        x = positions.node.inputs[0]
        if base.type.shape != (x.type.size,) or g.type.shape != positions.type.shape or x.type.dtype != g.type.dtype:
            return None
        imitate(emission, node)
        made = apply(ExtremeGradient(op.size, op.strides, op.dilation, op.largest), Tensor(x), Tensor(g))
        return (made.value,)

    return sweep(graph, visit)


def _zeros(value: Value) -> bool:
    """Tell whether a value is known to be +0 everywhere."""
    while isinstance(value.node.op, BroadcastTo):
        value = value.node.inputs[0]
    op = value.node.op
    return isinstance(op, Constant) and not op.array.any() and not np.signbit(op.array).any()
