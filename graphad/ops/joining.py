"""Joining: tensors laid side by side along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Linear
from graphad.ir.samples import booleans, integers, real, sample
from graphad.ir.types import TensorType
from graphad.ops.shape import batch_size, check_axes, reshape, same_shape, spread
from graphad.ops.slicing import slice_

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Concatenate(Linear):
    """The operands one after another along `axis`; all other sizes and the dtypes agree."""

    axis: int

    allocates = False
    samples = (
        sample(real(2, 3), real(4, 3), axis=0),
        sample(real(2, 3), real(2, 1), real(2, 0), axis=1),
        sample(real(3), axis=0),
        sample(integers(2), integers(3), axis=0),
        sample(booleans(1, 2), booleans(1, 2), axis=0),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        if not operands:
            fail("needs at least one operand")
        first = operands[0]
        check_axes(first, (self.axis,))
        joined: Dim = 0
        for x in operands:
            if x.dtype != first.dtype:
                fail("operands must have one dtype")
            if x.ndim != first.ndim or not same_shape(self._others(x), self._others(first)):
                fail(f"operands must agree on every axis but {self.axis}")
            joined = joined + x.shape[self.axis]
        return first.with_shape((*first.shape[: self.axis], joined, *first.shape[self.axis + 1 :]))

    def _others(self, x: TensorType) -> tuple[Dim, ...]:
        return x.shape[: self.axis] + x.shape[self.axis + 1 :]

    def evaluate(self, *operands: Array) -> Array:
        return np.concatenate(operands, axis=self.axis)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        np.concatenate(operands, axis=self.axis, out=out[0])

    def transpose(self, g: Tensor, *operands: Tensor) -> tuple[Tensor | None, ...]:
        pieces: list[Tensor | None] = []
        start: Dim = 0
        for x in operands:
            stop = start + x.shape[self.axis]
            starts: list[Dim] = [0] * g.ndim
            stops = list(g.shape)
            starts[self.axis], stops[self.axis] = start, stop
            pieces.append(slice_(g, starts, stops))
            start = stop
        return tuple(pieces)

    def batch(self, batched: tuple[bool, ...], *operands: Tensor) -> Tensor:
        return concatenate(spread(batch_size(batched, operands), batched, operands), self.axis + 1)


def concatenate(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """Return the tensors one after another along `axis`; a single one as it is."""
    return tensors[0] if len(tensors) == 1 else apply(Concatenate(axis), *tensors)


def stack(tensors: Sequence[Tensor], axis: int = 0) -> Tensor:
    """Return tensors of one type side by side along a new axis, which is `axis` of the result."""
    return concatenate([reshape(x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in tensors], axis)
