"""Accumulation: a product that is added to something, with a factor, as one product.

``x -= lr * a.T @ b`` is one call that reads and writes x once; ``a @ w + bias`` begins its sums with the bias.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.ir.emit import emission, emit
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import General
from graphad.ir.types import TensorType
from graphad.ops.arithmetic import Add, Mul, Sub
from graphad.ops.product import Matmul
from graphad.ops.shape import BroadcastTo
from graphad.passes.driver import Results, imitate, sweep

Array = np.ndarray[Any, Any]


@frozen
class Accumulate(General, abstract=True):
    """y = c + factor * (a @ b) for matrices; operands are a, b, c."""

    factor: float

    name = "accumulate"
    may_raise = False
    in_place, overwrites = True, (2,)

    def infer(self, a: TensorType, b: TensorType, c: TensorType) -> TensorType:
        """c's type, which is that of the product."""
        return c if (a.shape[0], b.shape[1]) == c.shape else fail("c must be like the product")

    def evaluate(self, a: Array, b: Array, c: Array) -> Array:
        """c + factor * (a @ b)."""
        return np.asarray(c + c.dtype.type(self.factor) * np.matmul(a, b))

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Any:
        """Two an element for each term, and two for the sum."""
        return 2 * results[0].size * (operands[0].shape[1] + 1)


def with_accumulation(graph: Graph) -> Graph:
    """Return the graph with products that are only scaled and added to something as `Accumulate` nodes."""
    if Matmul not in graph.op_classes:
        return graph
    reads: dict[Node, int] = {}
    for node in graph.nodes:
        for value in node.inputs:
            reads[value[0]] = reads.get(value[0], 0) + 1
    for value in graph.outputs:
        reads[value[0]] = reads.get(value[0], 0) + 2
    current: dict[Node, Node] = {}
    """The node in the original graph of each node that stands in its place."""
    originals = iter(graph.nodes[len(graph.inputs) :])

    def once(value: Value) -> bool:
        return reads.get(current.get(value[0], value[0]), 0) == 1

    def visit(node: Node) -> Results | None:
        current[node] = next(originals)
        found = _accumulated(node, once)
        if found is None:
            return None
        product, factor, addend = found
        imitate(emission, node)
        return (Value(emit(Accumulate(factor), (*product.inputs, addend)), 0),)

    return sweep(graph, visit)


def _accumulated(node: Node, once: Any) -> tuple[Node, float, Value] | None:
    """Return the product, its factor and the addend, where a node adds a product to something."""
    if not isinstance(node.op, (Add, Sub)) or node.types[0].ndim != 2 or node.types[0].dtype.kind != "f":
        return None
    if node.types[0].dtype.itemsize < 4:
        return None
    sign = -1.0 if isinstance(node.op, Sub) else 1.0
    a, b = node.inputs
    found = _scaled_product(b, once)
    if found is not None:
        return found[0], sign * found[1], a
    if isinstance(node.op, Add):
        found = _scaled_product(a, once)
        if found is not None:
            return found[0], found[1], b
    return None


def _scaled_product(value: Value, once: Any) -> tuple[Node, float] | None:
    """Return a product and its factor, where only this reader needs the value."""
    node = value[0]
    if not once(value):
        return None
    if isinstance(node.op, Matmul):
        return node, 1.0
    if not isinstance(node.op, Mul):
        return None
    for number, product in (node.inputs, node.inputs[::-1]):
        factor = _number(number)
        if factor is not None and isinstance(product[0].op, Matmul) and once(product):
            return product[0], factor
    return None


def _number(value: Value) -> float | None:
    node = value[0]
    if isinstance(node.op, BroadcastTo):
        node = node.inputs[0][0]
    return float(node.op.array) if isinstance(node.op, Constant) and node.op.array.size == 1 else None
