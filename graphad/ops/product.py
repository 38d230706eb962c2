"""Matrix products. Everything with a contraction (dot, tensordot, einsum) is written with `Matmul`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, equal
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import Bilinear
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import TensorType, kind_of
from graphad.ops.shape import batch_size, reshape, same_shape, spread, transpose

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Matmul(Bilinear):
    """y[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; leading axes are equal (`Tensor` broadcasts them)."""

    allocates = False
    samples = (
        sample(real(3, 4), real(4, 5)),
        sample(real(2, 3, 4), real(2, 4, 5)),
        sample(real(1, 3), real(3, 1)),
        sample(real(2, 0), real(0, 3)),
        sample(real(0, 2, 3), real(0, 3, 1)),
        sample(real(3, 2, dtype="float32"), real(2, 3, dtype="float32")),
        sample(complex_(2, 3), complex_(3, 2)),
        sample(integers(2, 3), integers(3, 2)),
        sample(booleans(2, 3), booleans(3, 2)),
    )

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        if a.ndim < 2 or a.ndim != b.ndim or a.dtype != b.dtype or kind_of(a.dtype) not in "biufc":
            fail("operands must be matrices, or equally long stacks of them, of one dtype")
        if not same_shape(a.shape[:-2], b.shape[:-2]):
            fail("the leading axes differ")
        if not equal(a.shape[-1], b.shape[-2]):
            fail(f"the contracted sizes {a.shape[-1]} and {b.shape[-2]} differ")
        return a.with_shape((*a.shape[:-1], b.shape[-1]))

    def evaluate(self, a: Array, b: Array) -> Array:
        # ml_dtypes has no product of bfloat16 matrices: NumPy makes one in float32.
        return np.asarray(np.matmul(a, b)).astype(a.dtype, copy=False)

    def evaluate_into(self, out: tuple[Array, ...], a: Array, b: Array) -> None:
        np.matmul(a, b, out=out[0], casting="unsafe")

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,) = cotangents
        if g is None:
            return None, None
        a, b = operands
        return matmul(g, matrix_transpose(b)), matmul(matrix_transpose(a), g)

    def batch(self, batched: tuple[bool, ...], a: Tensor, b: Tensor) -> Tensor:
        if batched == (True, False) and b.ndim == 2:
            # One product with a tall matrix, which BLAS does faster than many with short ones.
            size, m, k = a.shape
            return reshape(matmul(reshape(a, (size * m, k)), b), (size, m, b.shape[1]))
        a, b = spread(batch_size(batched, (a, b)), batched, (a, b))
        return matmul(a, b)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 2 * results[0].size * operands[0].shape[-1]


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product of two equally long stacks of matrices."""
    return apply(Matmul(), a, b)


def matrix_transpose(x: Tensor) -> Tensor:
    """Return x with its last two axes swapped."""
    axes = list(range(x.ndim))
    axes[-2:] = [axes[-1], axes[-2]]
    return transpose(x, axes)
