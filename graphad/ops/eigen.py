"""Eigenvalues and eigenvectors of general matrices, which are complex.

Source of the derivatives: C. B. Boeddeker, P. Hanebrink, L. Drude, J. Heymann and R. Haeb-Umbach, "On the computation
of complex-valued gradients with application to statistically optimum beamforming", 2017, section 4.8, with vectors of
length 1 as LAPACK gives them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply_all
from graphad.ir.op import add_all, function_of
from graphad.ir.samples import complex_, real, sample
from graphad.ir.types import TensorType, complex_dtype
from graphad.ops.cast import cast
from graphad.ops.complex_parts import AdjointPaired, conj, real_part
from graphad.ops.creation import ones
from graphad.ops.matrices import (
    adjoint,
    check_square,
    column,
    diagonal,
    diagonal_matrix,
    row,
)
from graphad.ops.product import matmul
from graphad.ops.reduction import reduce_sum
from graphad.ops.selection import where
from graphad.ops.shape import broadcast_to
from graphad.ops.solving import inv, solve

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


class Eig(AdjointPaired):
    """w, v = eigenvalues, in LAPACK's order, and eigenvectors (columns, of length 1) of square matrices; complex.

    The derivatives need eigenvalues that all differ. That of a vector leaves its phase alone, which LAPACK turns so
    that its largest element is real: it is right for what does not depend on phases (and where v is real).
    """

    samples = (
        sample(real(3, 3), smooth=False),
        sample(real(2, 2, 2), smooth=False),
        sample(real(1, 1), smooth=False),
        sample(real(0, 0)),
        sample(complex_(3, 3), smooth=False),
        sample(real(3, 3, dtype="float32"), smooth=False),
    )

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        check_square(a)
        vectors = a.with_dtype(complex_dtype(a.dtype))
        return vectors.with_shape(a.shape[:-1]), vectors

    def evaluate(self, a: Array) -> tuple[Array, Array]:
        w, v = np.linalg.eig(a)
        dtype = complex_dtype(a.dtype)
        return w.astype(dtype, copy=False), v.astype(dtype, copy=False)

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """v^-H (diag(gw) + conj(f) o (h - v^H v Re(diag(h)))) v^H with h = v^H gv and f[i, j] = 1 / (w[j] - w[i])."""
        (gw, gv), (w, v) = cotangents, results
        inner = [None if gw is None else diagonal_matrix(gw)]
        if gv is not None:
            h = matmul(adjoint(v), gv)
            along = matmul(adjoint(v), v) * row(real_part(diagonal(h)))
            inner.append(conj(_reciprocal_gaps(w)) * (h - along))
        middle = add_all(inner)
        return (None if middle is None else _pulled(middle, v, operands[0]),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """dw = diag(p) and dv = v (q - Re(diag(v^H v q))), with p = v^-1 da v and q = f o p."""
        (da,), (w, v) = tangents, results
        if da is None:
            return None, None
        p = solve(v, matmul(cast(da, v.dtype), v))
        turned = matmul(v, _reciprocal_gaps(w) * p)
        growth = real_part(reduce_sum(conj(v) * turned, (v.ndim - 2,)))
        return diagonal(p), turned - v * row(growth)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> tuple[Tensor, ...]:
        return eig(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 25 * operands[0].size * operands[0].shape[-1]


class Eigvals(AdjointPaired):
    """w = eigenvalues of square matrices, complex, in LAPACK's order; the derivatives need them all to differ."""

    samples = (
        sample(real(3, 3)),
        sample(real(2, 2, 2)),
        sample(real(1, 1)),
        sample(real(0, 0)),
        sample(complex_(3, 3)),
        sample(real(3, 3, dtype="float32")),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return a.with_shape(a.shape[:-1]).with_dtype(complex_dtype(a.dtype))

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.eigvals(a)).astype(complex_dtype(a.dtype), copy=False)

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """v^-H diag(g) v^H."""
        (g,) = cotangents
        if g is None:
            return (None,)
        _, v = eig(operands[0])
        return (_pulled(diagonal_matrix(g), v, operands[0]),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The diagonal of v^-1 da v."""
        (da,) = tangents
        if da is None:
            return (None,)
        _, v = eig(operands[0])
        return (diagonal(solve(v, matmul(cast(da, v.dtype), v))),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return eigvals(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 10 * operands[0].size * operands[0].shape[-1]


def _pulled(middle: Tensor, v: Tensor, a: Tensor) -> Tensor:
    """Return v^-H middle v^H in the dtype of `a`: of a real matrix the cotangent is real."""
    return cast(matmul(adjoint(inv(v)), matmul(middle, adjoint(v))), a.dtype)


def _reciprocal_gaps(w: Tensor) -> Tensor:
    """Return ``f[i, j] = 1 / (w[j] - w[i])``, 0 where both are equal, as on the diagonal."""
    pairs = (*w.shape, w.shape[-1])
    gap = broadcast_to(row(w), pairs) - broadcast_to(column(w), pairs)
    equal = gap == 0
    return where(equal, gap.zeros_like(), 1 / where(equal, ones(pairs, w.dtype), gap))


eigvals = function_of(Eigvals)


def eig(a: Tensor) -> tuple[Tensor, ...]:
    """Return the complex eigenvalues and eigenvectors of square matrices."""
    return apply_all(Eig(), a)
