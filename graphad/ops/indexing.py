"""Indexing by tensors of positions over the leading axes: read (Gather), add to (ScatterAdd), replace (ScatterSet).

k index tensors of one shape address the k leading axes, element by element, as ``x[i, j]`` does in NumPy; a part is
what lies behind one address, of shape ``x.shape[k:]``. Negative positions count from the end; one outside the axis is
an IndexError. Other forms of indexing are written with these by the array namespace.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Linear, Op
from graphad.ir.samples import booleans, integers, real, sample
from graphad.ir.types import TensorType
from graphad.ops.creation import POSITION, iota, zeros
from graphad.ops.shape import batch_size, broadcast_to, reshape, same_shape, spread

if TYPE_CHECKING:
    from graphad.ir.node import Value
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def addressed_shape(x: TensorType, indices: Sequence[TensorType]) -> tuple[Dim, ...]:
    """Return the shape of the parts of x at `indices`; fails unless these are integers of one shape, one an axis."""
    if not 1 <= len(indices) <= x.ndim:
        fail(f"needs 1 to {x.ndim} index tensors for {x}, got {len(indices)}")
    for index in indices:
        if index.dtype.kind not in "iu":
            fail(f"indices must be integers, not {index.dtype}")
        if not same_shape(index.shape, indices[0].shape):
            fail("index tensors must have one shape")
    return (*indices[0].shape, *x.shape[len(indices) :])


def address_risk(x: Value, indices: Sequence[Value]) -> Hashable:
    """Return what decides whether positions are outside their axes: the positions, and the sizes of the axes."""
    return "address", x.type.shape[: len(indices)], tuple(indices)


def refuse_outside(x: Array, indices: Sequence[Array]) -> None:
    """Raise IndexError where a position is outside its axis of x."""
    for axis, index in enumerate(indices):
        n = x.shape[axis]
        if index.size and not (-n <= int(index.min()) and int(index.max()) < n):
            worst = int(index.min()) if int(index.min()) < -n else int(index.max())
            raise IndexError(f"index {worst} is out of bounds for axis {axis} with size {n}")


def _batched_indices(size: Dim, batched: Sequence[bool], indices: Sequence[Tensor]) -> list[Tensor]:
    """Return the indices of a batch of operands: each sample's own, behind its place in the batch."""
    common = spread(size, batched, indices)
    return [iota(common[0].shape, 0, POSITION), *common]


@frozen
class Gather(Linear):
    """y = x[i, j, ...]: the parts of x at the index tensors; operands are x and the indices."""

    linear = (0,)
    samples = (
        sample(real(3, 4), integers(5, low=-3, high=3)),
        sample(real(3, 4), integers(2, 3, low=0, high=3), integers(2, 3, low=-4, high=4)),
        sample(real(4), integers(low=0, high=4)),
        sample(real(1, 2), integers(3, low=-1, high=1)),
        sample(real(3, 0), integers(2, low=0, high=3)),
        sample(real(3), integers(0, low=0, high=1)),
        sample(real(3), integers(4, low=-3, high=3, dtype="int32")),
        sample(integers(3), integers(4, low=0, high=3, dtype="uint8")),
        sample(booleans(2, 3), integers(4, low=0, high=2)),
    )

    def risk(self, operands: tuple[Value, ...]) -> Hashable:
        x, *indices = operands
        return address_risk(x, indices)

    def infer(self, x: TensorType, *indices: TensorType) -> TensorType:
        return x.with_shape(addressed_shape(x, indices))

    def evaluate(self, x: Array, *indices: Array) -> Array:
        return np.asarray(x[indices])

    def evaluate_into(self, out: tuple[Array, ...], x: Array, *indices: Array) -> None:
        if len(indices) > 1 or not x.flags.c_contiguous:
            np.copyto(out[0], x[indices])
            return
        # `take` needs a buffer to raise errors half-way, and none if the positions are known to be good.
        (index,) = indices
        refuse_outside(x, indices)
        if out[0].size:
            np.take(x, index, axis=0, out=out[0], mode="wrap")

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """The result: several indices, and rows that do not lie densely, are read into a new array."""
        return sum([int(t.nbytes) for t in results])

    def transpose(self, g: Tensor, x: Tensor, *indices: Tensor) -> tuple[Tensor | None, ...]:
        return scatter_add(x.zeros_like(), indices, g), *(None,) * len(indices)

    def batch(self, batched: tuple[bool, ...], x: Tensor, *indices: Tensor) -> Tensor:
        size = batch_size(batched, (x, *indices))
        if batched[0]:
            return gather(x, _batched_indices(size, batched[1:], indices))
        return gather(x, spread(size, batched[1:], indices))


@frozen
class Scatter(Op, abstract=True):
    """The type rule and batching of the ops that write; operands are x, the updates v, and the indices."""

    in_place = True

    def risk(self, operands: tuple[Value, ...]) -> Hashable:
        """The same as of reading there."""
        x, _, *indices = operands
        return address_risk(x, indices)

    def infer(self, x: TensorType, v: TensorType, *indices: TensorType) -> TensorType:
        """x's type; v has the type of the parts."""
        if x.dtype != v.dtype:
            fail("x and the updates must have one dtype")
        parts = x.with_shape(addressed_shape(x, indices))
        if not same_shape(parts.shape, v.shape):
            fail(f"the updates must be {parts}")
        return x

    def write(self, y: Array, v: Array, indices: tuple[Array, ...]) -> None:
        """Write v into y."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it writes")

    def evaluate(self, x: Array, v: Array, *indices: Array) -> Array:
        """Write into a copy of x."""
        y = np.array(x)
        self.write(y, v, indices)
        return y

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """Copies of updates and indices, where the result is to lie there."""
        return sum([int(t.nbytes) for t in operands[1:]])

    def evaluate_into(self, out: tuple[Array, ...], x: Array, v: Array, *indices: Array) -> None:
        """Write into `out`, which may be any of the operands."""
        refuse_outside(x, indices)
        y = out[0]
        v, *indices_ = (a.copy() if np.may_share_memory(a, y) else a for a in (v, *indices))
        np.copyto(y, x)
        self.write(y, v, tuple(indices_))

    def batch(self, batched: tuple[bool, ...], x: Tensor, v: Tensor, *indices: Tensor) -> Tensor:
        """One scatter into all samples, addressed by their place in the batch."""
        size = batch_size(batched, (x, v, *indices))
        x, v = spread(size, batched[:2], (x, v))
        return apply(self, x, v, *_batched_indices(size, batched[2:], indices))


_SCATTER_SAMPLES = (
    sample(real(5), real(3), integers(3, low=-5, high=5)),
    sample(real(3, 2), real(6, 2), integers(6, low=0, high=2)),
    sample(real(3, 4, 2), real(2, 2, 2), integers(2, 2, low=-1, high=1), integers(2, 2, low=-4, high=4)),
    sample(real(4), real(), integers(low=0, high=4)),
    sample(real(1, 3), real(2, 3), integers(2, low=-1, high=1)),
    sample(real(3), real(0), integers(0, low=0, high=1)),
    sample(real(3, 0), real(2, 0), integers(2, low=0, high=3)),
    sample(real(3), real(4), integers(4, low=-3, high=3, dtype="int32")),
    sample(integers(3), integers(3), integers(3, low=-3, high=3)),
)


@frozen
class ScatterAdd(Scatter, Linear):
    """y = x, with each update added to the part at its address; updates at one address add up."""

    linear = (0, 1)
    samples = _SCATTER_SAMPLES

    def write(self, y: Array, v: Array, indices: tuple[Array, ...]) -> None:
        np.add.at(y, indices, v)

    def transpose(self, g: Tensor, x: Tensor, v: Tensor, *indices: Tensor) -> tuple[Tensor | None, ...]:
        return g, gather(g, indices), *(None,) * len(indices)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[1].size


@frozen
class ScatterSet(Scatter, Linear):
    """y = x, with each update in place of the part at its address; of updates at one address the last stays."""

    linear = (0, 1)
    samples = _SCATTER_SAMPLES

    def write(self, y: Array, v: Array, indices: tuple[Array, ...]) -> None:
        y[indices] = v

    def transpose(self, g: Tensor, x: Tensor, v: Tensor, *indices: Tensor) -> tuple[Tensor | None, ...]:
        from graphad.ops import where

        # Number the updates, write the numbers, and read them back: an update that reads its own number was kept.
        count = indices[0].size
        numbers = reshape(iota((count,), 0, POSITION), indices[0].shape)
        written = scatter_set(zeros(x.shape[: len(indices)], POSITION), indices, numbers)
        kept = gather(written, indices) == numbers
        aligned = reshape(kept, (*kept.shape, *(1,) * (v.ndim - kept.ndim)))
        cotangent = where(broadcast_to(aligned, v.shape), gather(g, indices), v.zeros_like())
        return scatter_set(g, indices, v.zeros_like()), cotangent, *(None,) * len(indices)


def gather(x: Tensor, indices: Sequence[Tensor]) -> Tensor:
    """Return the parts of x at k integer index tensors of one shape, over its k leading axes.

    The result has the shape ``indices[0].shape + x.shape[k:]``.
    """
    return apply(Gather(), x, *indices)


def scatter_add(x: Tensor, indices: Sequence[Tensor], updates: Tensor) -> Tensor:
    """Return x with `updates`, of the shape ``indices[0].shape + x.shape[k:]``, added to the parts at `indices`."""
    return apply(ScatterAdd(), x, updates, *indices)


def scatter_set(x: Tensor, indices: Sequence[Tensor], updates: Tensor) -> Tensor:
    """Return x with `updates`, of the shape ``indices[0].shape + x.shape[k:]``, in place of the parts at `indices`."""
    return apply(ScatterSet(), x, updates, *indices)
