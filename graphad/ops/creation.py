"""Creation: tensors made from attributes alone. What is one number everywhere is a constant, broadcast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, at_least, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.leaf import Constant
from graphad.ir.op import General
from graphad.ir.samples import sample
from graphad.ir.types import DType, TensorType, kind_of
from graphad.ops.shape import broadcast_to, check_axes

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

POSITION = np.dtype(np.int64)
"""The dtype of positions along an axis."""


@frozen
class Iota(General):
    """y = position along `axis`: ``y[..., k, ...] = k``."""

    may_raise = False

    shape: tuple[Dim, ...]
    axis: int
    dtype: DType

    no_gradient = "has no operands"
    samples = (
        sample(shape=(4,), axis=0, dtype=np.dtype(np.int64)),
        sample(shape=(2, 3), axis=1, dtype=np.dtype(np.float32)),
        sample(shape=(2, 3), axis=0, dtype=np.dtype(np.uint8)),
        sample(shape=(0, 1), axis=0, dtype=np.dtype(np.int32)),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        """The attributes' type; not bool, nor an integer type too small for the positions."""
        type_ = TensorType(self.dtype, self.shape)
        check_axes(type_, (self.axis,))
        if not all(at_least(n, 0) for n in self.shape):
            fail(f"the shape ({','.join(map(str, self.shape))}) has a negative size")
        if kind_of(self.dtype) not in "iuf":
            fail(f"is not defined for {self.dtype}")
        if self.dtype.kind in "iu" and self.dtype.itemsize < 8:
            largest = int(np.iinfo(self.dtype).max)
            if not at_least(largest + 1, self.shape[self.axis]):
                fail(f"the positions along axis {self.axis} do not fit into {self.dtype}")
        return type_

    def evaluate(self, *operands: Array) -> Array:
        """arange along the axis, repeated along the others."""
        y = np.empty(tuple(static(n) for n in self.shape), self.dtype)
        self.evaluate_into((y,))
        return y

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """arange along the axis, repeated along the others."""
        (y,) = out
        positions = np.arange(y.shape[self.axis], dtype=self.dtype)
        np.copyto(y, positions.reshape(-1, *(1,) * (y.ndim - 1 - self.axis)))


def iota(shape: Sequence[Dim], axis: int, dtype: DType) -> Tensor:
    """Return the positions 0, 1, 2, ... along `axis`, the same along all others."""
    return apply(Iota(tuple(shape), axis, dtype))


def full(shape: Sequence[Dim], value: Any, dtype: DType) -> Tensor:
    """Return a tensor that is the number `value` everywhere."""
    return broadcast_to(apply(Constant(np.asarray(value, dtype))), shape)


def zeros(shape: Sequence[Dim], dtype: DType) -> Tensor:
    """Return a tensor of zeros."""
    return full(shape, 0, dtype)


def ones(shape: Sequence[Dim], dtype: DType) -> Tensor:
    """Return a tensor of ones."""
    return full(shape, 1, dtype)
