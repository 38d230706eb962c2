"""Addresses in native graphs: positions checked once, then read and written without a second look.

What may enter: what turns ops that index by tensors, and may refuse their positions, into ops that cannot fail, and one
`Guard` a set of positions that stops the run where one is outside. A read or a sum of updates at one column a row
becomes a comparison with the column's number, which fuses with whatever surrounds it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply, emission
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import General, Op
from graphad.ir.types import TensorType
from graphad.ops import (
    broadcast_to,
    cast,
    equal,
    greater_equal,
    less,
    maximum,
    minimum,
    reduce_any,
    reduce_sum,
    reshape,
    where,
)
from graphad.ops.creation import POSITION, Iota, full, iota
from graphad.ops.indexing import Gather, ScatterAdd, ScatterSet
from graphad.passes.driver import Results, imitate, sweep
from graphad.tracing.tensor import Tensor

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

WIDEST_COLUMN = 4096
"""Longest row that is gone through for the sake of one of its columns."""


@dataclass(frozen=True)
class Guard(General, abstract=True):
    """y = positions, or IndexError if `outside` holds; operands are positions, outside, and the user's index.

    `reader` describes the op that asks, for the message.
    """

    size: int
    axis: int
    reader: str

    name = "guard"
    in_place, allocates = True, False

    def infer(self, positions: TensorType, outside: TensorType, index: TensorType) -> TensorType:
        """The type of the positions."""
        return positions

    def evaluate(self, positions: Array, outside: Array, index: Array) -> Array:
        """Return the positions; IndexError names the worst one."""
        if outside:
            worst = int(index.min()) if int(index.min()) < -self.size else int(index.max())
            raise IndexError(f"index {worst} is out of bounds for axis {self.axis} with size {self.size}")
        return positions

    def evaluate_into(self, out: tuple[Array, ...], positions: Array, outside: Array, index: Array) -> None:
        """Copy the positions."""
        np.copyto(out[0], self.evaluate(positions, outside, index))


class SafeGather(Gather, abstract=True):
    """A gather whose positions lie in [0, size)."""

    name = "gather"

    def risk(self, operands: tuple[Value, ...]) -> Hashable | None:
        """None: the positions have been checked."""
        return None


class SafeScatterAdd(ScatterAdd, abstract=True):
    """A sum of updates at positions that lie in [0, size)."""

    name = "scatter_add"
    overwrites = (0,)

    def risk(self, operands: tuple[Value, ...]) -> Hashable | None:
        """None: the positions have been checked."""
        return None


class SafeScatterSet(ScatterSet, abstract=True):
    """Updates put at positions that lie in [0, size)."""

    name = "scatter_set"
    overwrites = (0,)

    def risk(self, operands: tuple[Value, ...]) -> Hashable | None:
        """None: the positions have been checked."""
        return None


SAFE: dict[type[Op], type[Op]] = {Gather: SafeGather, ScatterAdd: SafeScatterAdd, ScatterSet: SafeScatterSet}


def with_checked_addresses(graph: Graph) -> Graph:
    """Return the static graph with its positions checked by guards, and one column a row read by comparison."""
    if not any(type(node.op) in SAFE for node in graph.nodes):
        return graph
    checked: dict[tuple[Value, int], Tensor] = {}

    def visit(node: Node) -> Results | None:
        if type(node.op) not in SAFE or not _worthwhile(node):
            return None
        imitate(emission, node)
        first = 1 if isinstance(node.op, Gather) else 2
        x = node.inputs[0].type
        indices = []
        for axis, value in enumerate(node.inputs[first:]):
            key = (value, int(x.shape[axis]))
            if key not in checked:
                reader = f"{node.op.name}({', '.join(str(t) for t in node.input_types)})"
                checked[key] = _checked(Tensor(value), int(x.shape[axis]), axis, reader)
            indices.append(checked[key])
        return (_rewritten(node, [Tensor(v) for v in node.inputs[:first]], indices).value,)

    return sweep(graph, visit)


def _worthwhile(node: Node) -> bool:
    types = [v.type for v in node.inputs] + list(node.types)
    return all(0 not in t.shape for t in types)


def _checked(index: Tensor, size: int, axis: int, reader: str) -> Tensor:
    """Return the positions that an index means, in [0, size), behind a guard unless they are known."""
    op = index.value.node.op
    if isinstance(op, Constant):
        if np.all((op.array >= -size) & (op.array < size)):
            known = np.where(op.array < 0, op.array.astype(np.int64) + size, op.array).astype(np.int64)
            return apply(Constant(known))
    elif isinstance(op, Iota) and int(index.shape[op.axis]) <= size:
        return cast(index, POSITION)
    wide = cast(index, POSITION)
    zero, count = full(wide.shape, 0, POSITION), full(wide.shape, size, POSITION)
    wrapped = where(less(wide, zero), wide + count, wide)
    last = full(wide.shape, size - 1, POSITION)
    inside = maximum(minimum(wrapped, last), zero)
    outside = reduce_any(less(wrapped, zero) | greater_equal(wrapped, count), tuple(range(wide.ndim)))
    return apply(Guard(size, axis, reader), inside, outside, index)


def _rewritten(node: Node, operands: list[Tensor], indices: list[Tensor]) -> Tensor:
    column = _one_column(operands[0], indices)
    if column is None or isinstance(node.op, ScatterSet):
        return apply(SAFE[type(node.op)](), *operands, *indices)
    x = operands[0]
    rows = x.shape[:-1]
    at = broadcast_to(reshape(column, (*rows, 1)), x.shape)
    here = equal(iota(x.shape, x.ndim - 1, POSITION), at)
    if isinstance(node.op, Gather):
        chosen = where(here, x, full(x.shape, 0, x.dtype))
        return reshape(reduce_sum(chosen, (x.ndim - 1,)), column.shape)
    updates = broadcast_to(reshape(operands[1], (*rows, 1)), x.shape)
    return where(here, x + updates, x)


def _one_column(x: Tensor, indices: list[Tensor]) -> Tensor | None:
    """Return the index of the last axis where all others are addressed in order, each row once; None elsewhere."""
    if len(indices) != x.ndim or x.ndim < 2 or not 1 < int(x.shape[-1]) <= WIDEST_COLUMN or x.dtype.kind not in "fiu":
        return None
    shape = indices[0].shape
    rows = x.shape[:-1]
    if tuple(n for n in shape if n != 1) != tuple(n for n in rows if n != 1):
        return None
    axes = [a for a, n in enumerate(shape) if n != 1]
    for position, n in enumerate(rows):
        if n == 1:
            if not _counts(indices[position], None):
                return None
            continue
        if not _counts(indices[position], axes.pop(0)):
            return None
    return indices[-1]


def _counts(index: Tensor, axis: int | None) -> bool:
    """Tell whether an index is known to count 0, 1, 2, ... along an axis of its own (to be 0 everywhere: None)."""
    node = index.value.node
    op = node.op
    if isinstance(op, Iota):
        return op.axis == axis
    if not isinstance(op, Constant):
        return False
    n = 1 if axis is None else op.array.shape[axis]
    steps = np.arange(n).reshape([-1 if a == axis else 1 for a in range(op.array.ndim)])
    return bool(np.array_equal(op.array, np.broadcast_to(steps, op.array.shape)))
