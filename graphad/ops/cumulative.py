"""Cumulative ops: along one axis, each result element combines many operand elements; the shape stays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import General, Linear
from graphad.ir.samples import complex_, integers, real, sample
from graphad.ir.types import TensorType, kind_of
from graphad.ops.creation import POSITION, full, iota
from graphad.ops.shape import broadcast_to, check_axes, reshape

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Cumsum(Linear):
    """Running sum along one axis: ``y[k] = x[0] + ... + x[k]``; backwards: ``y[k] = x[k] + ... + x[-1]``."""

    axis: int
    backwards: bool = False

    in_place, allocates = True, False
    samples = (
        sample(real(3, 4), axis=1),
        sample(real(5), axis=0, backwards=True),
        sample(real(2, 1, 3), axis=1),
        sample(real(2, 0), axis=1, backwards=True),
        sample(real(3, 2, dtype="float32"), axis=0),
        sample(complex_(2, 3), axis=1),
        sample(integers(4), axis=0),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        return x

    def evaluate(self, x: Array) -> Array:
        y = np.empty(x.shape, x.dtype)
        self.evaluate_into((y,), x)
        return y

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        y = out[0]
        if self.backwards:
            x, y = np.flip(x, self.axis), np.flip(y, self.axis)
        np.cumsum(x, axis=self.axis, dtype=x.dtype, out=y)

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:
        return cumsum(g, self.axis, not self.backwards)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return cumsum(x, self.axis + 1, self.backwards)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size


@frozen
class ExclusiveProd(General):
    """Product of all other elements along one axis: ``y[k] = x[0] ... x[k-1] x[k+1] ... x[-1]``.

    The derivative of `Prod`, exact where elements are zero. Its own Jacobian ``dy[i]/dx[k]``, the product without both,
    is symmetric, so that JVP and VJP are one function, written with this op: all higher derivatives are exact too.
    """

    may_raise = False

    axis: int

    samples = (
        sample(real(3, 4), axis=1),
        sample(real(3, 2), axis=0),
        sample(real(2, 1), axis=1),
        sample(real(2, 0), axis=1),
        sample(real(3, low=0.0, high=0.0), axis=0),
        sample(complex_(3), axis=0),
        sample(integers(3), axis=0),
    )

    def infer(self, x: TensorType) -> TensorType:
        check_axes(x, (self.axis,))
        if kind_of(x.dtype) not in "iufc":
            fail(f"is not defined for {x.dtype}")
        return x

    def evaluate(self, x: Array) -> Array:
        along = np.moveaxis(x, self.axis, -1)
        before, after = np.ones(along.shape, x.dtype), np.ones(along.shape, x.dtype)
        np.cumprod(along[..., :-1], axis=-1, dtype=x.dtype, out=before[..., 1:])
        np.cumprod(along[..., :0:-1], axis=-1, dtype=x.dtype, out=after[..., -2::-1])
        return np.moveaxis(np.multiply(before, after, out=before), -1, self.axis)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        return (None if g is None else self._apply_jacobian(operands[0], g),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        (t,) = tangents
        return (None if t is None else self._apply_jacobian(operands[0], t),)

    def _apply_jacobian(self, x: Tensor, direction: Tensor) -> Tensor:
        """Sum over i != k of direction[i] times the product of all x but x[i] and x[k]: element k of the result."""
        from graphad.ops import reduce_sum, where

        k = self.axis
        head, n, tail = x.shape[:k], x.shape[k], x.shape[k + 1 :]
        pairs = (*head, n, n, *tail)
        same = iota(pairs, k, POSITION) == iota(pairs, k + 1, POSITION)
        without_i = where(same, full(pairs, 1, x.dtype), broadcast_to(reshape(x, (*head, 1, n, *tail)), pairs))
        terms = broadcast_to(reshape(direction, (*head, n, 1, *tail)), pairs) * exclusive_prod(without_i, k + 1)
        return reduce_sum(where(same, full(pairs, 0, x.dtype), terms), (k,))

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return exclusive_prod(x, self.axis + 1)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 3 * operands[0].size


def cumsum(x: Tensor, axis: int, backwards: bool = False) -> Tensor:
    """Return the running sum of x along `axis`, from the end if `backwards`; in x's dtype."""
    return apply(Cumsum(axis, backwards), x)


def exclusive_prod(x: Tensor, axis: int) -> Tensor:
    """Return for each element of x the product of all others along `axis`."""
    return apply(ExclusiveProd(axis), x)
