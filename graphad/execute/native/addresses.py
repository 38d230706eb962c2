"""Addresses in native graphs: positions checked once, then read and written without a second look.

What may enter: what turns ops that index by tensors, and may refuse their positions, into ops that cannot fail, and one
`Guard` a set of positions that condemns the run where one is outside. What is read and written is kept inside all the
same, whatever a guard finds: a run that is condemned goes on, and is not believed. A read or a sum of updates at one
column a row becomes a comparison with the column's number, which fuses with whatever surrounds it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply, emission
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import General, Op
from graphad.ir.types import TensorType
from graphad.ops import (
    broadcast_to,
    cast,
    equal,
    less,
    maximum,
    minimum,
    reduce_max,
    reduce_min,
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


@frozen
class Guard(General, abstract=True):
    """size - 1, or IndexError where positions are outside an axis; operands are the lowest and the highest of them.

    What the positions are held down to is the guard's result, so that nothing is read or written before it has looked.

    Attributes:
        size, axis: the axis.
        reader: the op that asks first, for the message.
        number: of two guards that fail, the one with the lower number is heard.
    """

    size: int
    axis: int
    reader: str
    number: int

    name = "guard"

    def infer(self, low: TensorType, high: TensorType) -> TensorType:
        """One position."""
        return TensorType(POSITION, ())

    def evaluate(self, low: Array, high: Array) -> Array:
        """Return the last position of the axis; IndexError names the worst of the positions."""
        if int(low) < -self.size or int(high) >= self.size:
            raise self.error(int(low) if int(low) < -self.size else int(high))
        return np.asarray(self.size - 1, POSITION)

    def error(self, position: int) -> IndexError:
        """Return what is raised for a position, in the words of the reference executor."""
        return IndexError(f"index {position} is out of bounds for axis {self.axis} with size {self.size}")


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
    if graph.op_classes.isdisjoint(SAFE):
        return graph
    checked: dict[tuple[Value, int], Tensor] = {}

    def visit(node: Node) -> Results | None:
        if type(node.op) not in SAFE:
            return None
        first = 1 if isinstance(node.op, Gather) else 2
        operands, indices = [Tensor(v) for v in node.inputs[:first]], [Tensor(v) for v in node.inputs[first:]]
        imitate(emission, node)
        if indices[0].size == 0:
            return (_of_nothing(node, operands, indices).value,)
        if any(0 in v.type.shape for v in node.inputs):
            return None
        sizes = [int(n) for n in operands[0].shape]
        for axis, index in enumerate(indices):
            key = index.value, sizes[axis]
            if key not in checked:
                reader = f"{node.op.name}({', '.join(str(t) for t in node.input_types)})"
                checked[key] = _checked(index, sizes[axis], axis, reader, len(checked))
            indices[axis] = checked[key]
        return (_rewritten(node, operands, indices).value,)

    return sweep(graph, visit)


def _of_nothing(node: Node, operands: Sequence[Tensor], indices: Sequence[Tensor]) -> Tensor:
    """Return the result of an op without positions: nothing, or what would have been written into."""
    return apply(SafeGather(), *operands, *indices) if isinstance(node.op, Gather) else operands[0]


def _checked(index: Tensor, size: int, axis: int, reader: str, number: int) -> Tensor:
    """Return the positions that an index means, in [0, size), behind a guard unless they are known to be inside."""
    op = index.value.node.op
    if isinstance(op, Constant):
        if np.all((op.array >= -size) & (op.array < size)):
            known = np.where(op.array < 0, op.array.astype(np.int64) + size, op.array).astype(np.int64)
            return apply(Constant(known))
    elif isinstance(op, Iota) and int(index.shape[op.axis]) <= size:
        return cast(index, POSITION)
    range_ = np.iinfo(index.dtype)
    if -size <= range_.min and range_.max < size:
        return _counted_from_the_front(index, size)
    if index.dtype == np.uint64:
        low = high = _over_all(reduce_max, index)
        index = minimum(index, full(index.shape, min(size, range_.max), index.dtype))  # what is beyond stays beyond
    else:
        low, high = _over_all(reduce_min, index), _over_all(reduce_max, index)
    last = apply(Guard(size, axis, reader, number), low, high)
    wide = _counted_from_the_front(index, size)
    return maximum(minimum(wide, broadcast_to(last, wide.shape)), full(wide.shape, 0, POSITION))


def _over_all(reduce: Callable[[Tensor, Sequence[int]], Tensor], index: Tensor) -> Tensor:
    """Return the lowest or the highest of all positions."""
    return reshape(index, ()) if index.size == 1 else reduce(index, tuple(range(index.ndim)))


def _counted_from_the_front(index: Tensor, size: int) -> Tensor:
    """Return positions as i64, of which negative ones counted from the end."""
    wide = cast(index, POSITION)
    if index.dtype.kind == "u":
        return wide
    return where(less(wide, full(wide.shape, 0, POSITION)), wide + full(wide.shape, size, POSITION), wide)


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
