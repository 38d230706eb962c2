"""Casts: the same elements in another dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.frozen import frozen
from graphad.ir.op import Linear
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import DType, TensorType, is_inexact

if TYPE_CHECKING:
    from graphad.ir.op import Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Cast(Linear):
    """x in another dtype, as `astype` converts it; of a complex number, a real dtype keeps the real part.

    A gradient flows between floating-point dtypes only, real or complex.
    """

    dtype: DType

    allocates = False
    samples = (
        sample(real(3, 4), dtype=np.dtype(np.float32)),
        sample(real(3, dtype="float32"), dtype=np.dtype(np.float64)),
        sample(integers(3), dtype=np.dtype(np.float64)),
        sample(real(3), dtype=np.dtype(np.int32)),
        sample(real(2, 0), dtype=np.dtype(np.float32)),
        sample(real(1, 2), dtype=np.dtype(np.bool_)),
        sample(booleans(3), dtype=np.dtype(np.uint8)),
        sample(integers(3), dtype=np.dtype(np.int8)),
        sample(real(3), dtype=np.dtype(np.complex128)),
        sample(complex_(3), dtype=np.dtype(np.float64)),
        sample(complex_(3), dtype=np.dtype(np.bool_)),
        sample(real(3), dtype=np.dtype(np.float16), smooth=False),
        sample(real(3, dtype="float16"), dtype=np.dtype(np.float64)),
    )

    def infer(self, x: TensorType) -> TensorType:
        return x.with_dtype(self.dtype)

    def evaluate(self, x: Array) -> Array:
        return kept_part(x, self.dtype).astype(self.dtype)

    def evaluate_into(self, out: tuple[Array, ...], x: Array) -> None:
        np.copyto(out[0], kept_part(x, self.dtype), casting="unsafe")

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        if not is_inexact(self.dtype):
            return (None,)
        return super().jvp(tangents, operands, results)

    def transpose(self, g: Tensor, x: Tensor) -> Tensor | None:
        return cast(g, x.dtype) if is_inexact(x.dtype) and is_inexact(self.dtype) else None

    def batch(self, batched: tuple[bool, ...], x: Tensor) -> Tensor:
        return apply(self, x)


def kept_part(x: Array, dtype: DType) -> Array:
    """Return what a cast to `dtype` converts: the real part of a complex array where `dtype` is a real one.

    NumPy warns of the loss; `Tensor.astype` does so where the user wrote it.
    """
    return x.real if x.dtype.kind == "c" and dtype.kind not in "cb" else x


def cast(x: Tensor, dtype: DType) -> Tensor:
    """Return x in another dtype; x itself where it has it."""
    return x if x.dtype == dtype else apply(Cast(dtype), x)
