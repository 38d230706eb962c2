"""Reductions: ops that drop axes. Axes are non-negative and sorted; `keepdims` is a reshape of the result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.op import Linear
from graphad.ir.samples import real, sample
from graphad.ir.types import TensorType
from graphad.ops.shape import broadcast_to, reshape

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def reduced_type(x: TensorType, axes: tuple[int, ...]) -> TensorType:
    """Return the type of x without `axes`; fails unless they are sorted, distinct axes of x."""
    if any(not 0 <= axis < x.ndim for axis in axes) or list(axes) != sorted(set(axes)):
        fail(f"axes {axes} are not sorted, distinct axes of {x}")
    return x.with_shape([n for k, n in enumerate(x.shape) if k not in axes])


def kept_shape(shape: Sequence[Dim], axes: Sequence[int]) -> tuple[Dim, ...]:
    """Return `shape` with size 1 at `axes`: what keepdims gives."""
    return tuple(1 if k in axes else n for k, n in enumerate(shape))


@dataclass(frozen=True)
class Sum(Linear):
    """y = sum of x over `axes`, in x's dtype."""

    axes: tuple[int, ...]

    allocates = False
    samples = (sample(real(3, 4), axes=(0, 1)), sample(real(2, 3, 4), axes=(1,)), sample(real(3), axes=()))

    def infer(self, x: TensorType) -> TensorType:  # type: ignore[override]
        return reduced_type(x, self.axes)

    def evaluate(self, x: Array) -> Array:  # type: ignore[override]
        return np.asarray(np.sum(x, axis=self.axes, dtype=x.dtype))

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:  # type: ignore[override]
        np.sum(x, axis=self.axes, dtype=x.dtype, out=out[0])

    def transpose(self, g: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        return broadcast_to(reshape(g, kept_shape(x.shape, self.axes)), x.shape)

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:  # type: ignore[override]
        return reduce_sum(x, [axis + 1 for axis in self.axes])

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size


def reduce_sum(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the sum of x over `axes`; x itself for no axes."""
    axes = tuple(sorted(axes))
    return apply(Sum(axes), x) if axes else x
