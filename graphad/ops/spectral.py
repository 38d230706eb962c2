"""Eigenvalues of symmetric (Hermitian) matrices and singular values, all of them real.

Sources of the derivatives: Giles 2008, 3.1 and 3.2; J. Townsend, "Differentiating the singular value decomposition",
2016. (Those of general matrices stand in `eigen.py`.)

Where eigenvalues (or singular values) agree, their vectors are any basis of the space they share, and no derivative of
the vectors exists. The rules leave out how such vectors turn into each other (`reciprocal_gaps` is 0 there), as of a
basis that turns no further than it must. So first derivatives are right for functions of the values alone that are
symmetric in equal ones, for projections on the spaces, and for the polar factor u vh. They are not for a function of
the matrix put together from both, as ``v f(w) v^H`` (write it with products, or `Expm`), nor, of what is right, are
second derivatives.

The vectors of complex matrices are also free to turn by a phase each, of which LAPACK takes some. The rules leave the
phases as they are: derivatives are right for what does not depend on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, at_least
from graphad.ir.emit import apply_all
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import add_all, function_of
from graphad.ir.samples import positive_definite, real, sample, well_conditioned
from graphad.ir.types import TensorType, real_dtype
from graphad.ops.cast import cast
from graphad.ops.complex_parts import AdjointPaired, real_part
from graphad.ops.creation import ones
from graphad.ops.factorization import check_tall
from graphad.ops.matrices import (
    adjoint,
    check_matrix,
    check_square,
    column,
    diagonal,
    diagonal_matrix,
    from_lower,
    reciprocal_gaps,
    row,
    to_lower,
)
from graphad.ops.product import matmul, matrix_transpose
from graphad.ops.reduction import reduce_sum
from graphad.ops.selection import where
from graphad.ops.shape import broadcast_to

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def _values(a: TensorType, shape: tuple[Dim, ...]) -> TensorType:
    """Return the type of real numbers in the precision of `a`."""
    return TensorType(real_dtype(a.dtype), shape)


@frozen
class Eigh(AdjointPaired):
    """w, v = eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices.

    They are read from their lower triangle, or from the `upper` one, so the gradient is such a triangle too. Repeated
    eigenvalues: see the head of this file.
    """

    upper: bool = False

    samples = (
        sample(positive_definite(3, 3)),
        sample(positive_definite(2, 2, 2)),
        sample(positive_definite(3, 3), upper=True),
        sample(positive_definite(1, 1)),
        sample(real(0, 0)),
        sample(positive_definite(3, 3, dtype="float32")),
        sample(positive_definite(3, 3, dtype="complex128"), smooth=False),
    )

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        check_square(a)
        return _values(a, a.shape[:-1]), a

    def evaluate(self, a: Array) -> tuple[Array, Array]:
        w, v = np.linalg.eigh(a, "U" if self.upper else "L")
        return w, v

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """v (diag(gw) + f o (v^H gv)) v^H with f[i, j] = 1 / (w[j] - w[i]), to the triangle that was read."""
        (gw, gv), (w, v) = cotangents, results
        inner = add_all(
            [
                None if gw is None else diagonal_matrix(gw),
                None if gv is None else reciprocal_gaps(w) * matmul(adjoint(v), gv),
            ]
        )
        if inner is None:
            return (None,)
        pulled = to_lower(matmul(matmul(v, cast(inner, v.dtype)), adjoint(v)))
        return (adjoint(pulled) if self.upper else pulled,)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """dw = diag(b) and dv = v (f o b), with b = v^H da v (Giles 2008, 3.1)."""
        (da,), (w, v) = tangents, results
        if da is None:
            return None, None
        inner = matmul(matmul(adjoint(v), from_lower(adjoint(da) if self.upper else da)), v)
        return real_part(diagonal(inner)), matmul(v, reciprocal_gaps(w) * inner)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> tuple[Tensor, ...]:
        return eigh(a, self.upper)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 9 * operands[0].size * operands[0].shape[-1]


class Eigvalsh(AdjointPaired):
    """w = eigenvalues, ascending, of symmetric matrices, read from their lower triangle.

    Where eigenvalues agree, the gradient is that of functions symmetric in them.
    """

    samples = (
        sample(positive_definite(3, 3)),
        sample(positive_definite(2, 2, 2)),
        sample(positive_definite(1, 1)),
        sample(real(0, 0)),
        sample(positive_definite(3, 3, dtype="float32")),
        sample(positive_definite(3, 3, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return _values(a, a.shape[:-1])

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.eigvalsh(a))

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """v diag(gw) v^H, to the triangle that was read."""
        (g,) = cotangents
        if g is None:
            return (None,)
        _, v = eigh(operands[0])
        return (to_lower(matmul(row(g) * v, adjoint(v))),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The diagonal of v^H da v."""
        (da,) = tangents
        if da is None:
            return (None,)
        _, v = eigh(operands[0])
        return (real_part(_diagonal_of_product(adjoint(v), matmul(from_lower(da), v))),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return eigvalsh(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 2 * operands[0].size * operands[0].shape[-1]


@frozen
class Svd(AdjointPaired):
    """u, s, vh = reduced singular value decomposition of matrices, s descending: ``(u * s) @ vh = a``.

    u [..., m, k] has orthonormal columns and vh [..., k, n] orthonormal rows. k is n, with at least as many rows as
    columns, and m for `wide` matrices, with at least as many columns as rows. Repeated singular values: see the head
    of this file. Where one is 0, the vectors' part outside of a's columns (rows) does not turn either.
    """

    wide: bool = False

    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(4, 2)),
        sample(well_conditioned(2, 4), wide=True),
        sample(well_conditioned(2, 3, 2)),
        sample(real(3, 1)),
        sample(real(3, 0)),
        sample(real(0, 2), wide=True),
        sample(well_conditioned(3, 2, dtype="float32")),
        sample(well_conditioned(3, 2, dtype="complex128"), smooth=False),
        sample(well_conditioned(2, 3, dtype="complex128"), wide=True, smooth=False),
    )

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        rows, columns = check_matrix(a)
        if self.wide:
            if not at_least(columns, rows):
                fail(f"wide matrices have at least as many columns as rows, not {columns} and {rows}")
            return a.with_shape((*a.shape[:-1], rows)), _values(a, a.shape[:-1]), a
        check_tall(a)
        return a, _values(a, (*a.shape[:-2], columns)), a.with_shape((*a.shape[:-2], columns, columns))

    def evaluate(self, a: Array) -> tuple[Array, Array, Array]:
        u, s, vh = np.linalg.svd(a, full_matrices=False)
        return u, s, vh

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The transpose of the JVP; of the adjoint, where a is wide."""
        (gu, gs, gvh), (u, s, vh) = cotangents, results
        if not self.wide:
            return (_pulled(gu, gs, gvh, u, s, vh),)
        turned = [None if g is None else adjoint(g) for g in (gvh, gu)]
        pulled = _pulled(turned[0], gs, turned[1], adjoint(vh), s, adjoint(u))
        return (None if pulled is None else adjoint(pulled),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """ds = diag(p), du = u (f + g) + (1 - u u^H) da v / s, dv = v (f - g), with p = u^H da v.

        ``f[i, j] = (p + p^H)[i, j] / 2 (s[j] - s[i])`` and ``g[i, j] = (p - p^H)[i, j] / 2 (s[j] + s[i])``: Townsend
        2016, (16) to (18), with his sums over ``s[j]^2 - s[i]^2`` split in two.
        """
        (da,), (u, s, vh) = tangents, results
        if da is None:
            return None, None, None
        if not self.wide:
            return _pushed(da, u, s, vh)
        dv, ds, duh = _pushed(adjoint(da), adjoint(vh), s, adjoint(u))
        return adjoint(duh), ds, adjoint(dv)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> tuple[Tensor, ...]:
        return svd(a, self.wide)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 8 * operands[0].size * results[1].shape[-1]


def _pulled(
    gu: Tensor | None, gs: Tensor | None, gvh: Tensor | None, u: Tensor, s: Tensor, vh: Tensor
) -> Tensor | None:
    """Return the cotangent of a tall matrix: the transpose of `_pushed`."""
    inner: list[Tensor | None] = [None if gs is None else diagonal_matrix(gs)]
    along_u = None if gu is None else matmul(adjoint(u), gu)
    along_v = None if gvh is None else matmul(vh, adjoint(gvh))
    together = add_all([along_u, along_v])
    apart = add_all([along_u, None if along_v is None else -along_v])
    if together is not None and apart is not None:
        inner.append(0.5 * reciprocal_gaps(s) * (together - adjoint(together)))
        inner.append(0.5 * _reciprocal_sums(s) * (apart - adjoint(apart)))
    middle = add_all(inner)
    pulled = None if middle is None else matmul(u, cast(middle, u.dtype))
    if gu is not None and along_u is not None:
        pulled = add_all([pulled, (gu - matmul(u, along_u)) * row(_safe_reciprocal(s))])
    return None if pulled is None else matmul(pulled, vh)


def _pushed(da: Tensor, u: Tensor, s: Tensor, vh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tangents of u, s and vh of a tall matrix.

    In the coordinates of the vectors, the symmetric part of da turns u and v together, by the gaps between singular
    values, and the other part turns them apart, by their sums: only the first has no limit at equal singular values.
    """
    moved = matmul(da, adjoint(vh))
    p = matmul(adjoint(u), moved)
    together = 0.5 * reciprocal_gaps(s) * (p + adjoint(p))
    apart = 0.5 * _reciprocal_sums(s) * (p - adjoint(p))
    du = matmul(u, together + apart) + (moved - matmul(u, p)) * row(_safe_reciprocal(s))
    return du, real_part(diagonal(p)), matmul(adjoint(together - apart), vh)


class SingularValues(AdjointPaired):
    """s = singular values, descending, of matrices of at least as many rows as columns.

    Where singular values agree, the gradient is that of functions symmetric in them. At a singular value of 0 (a kink,
    as of the absolute value) it is one of the subgradients.
    """

    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(4, 2)),
        sample(well_conditioned(2, 3, 2)),
        sample(real(3, 1)),
        sample(real(3, 0)),
        sample(real(0, 0)),
        sample(well_conditioned(3, 2, dtype="float32")),
        sample(well_conditioned(3, 2, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> TensorType:
        _, columns = check_tall(a)
        return _values(a, (*a.shape[:-2], columns))

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.svd(a, compute_uv=False))

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """u diag(g) vh."""
        (g,) = cotangents
        if g is None:
            return (None,)
        u, _, vh = svd(operands[0])
        return (matmul(row(g) * u, vh),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The diagonal of u^H da v."""
        (da,) = tangents
        if da is None:
            return (None,)
        u, _, vh = svd(operands[0])
        return (real_part(_diagonal_of_product(adjoint(u), matmul(da, adjoint(vh)))),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return singular_values(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 3 * operands[0].size * operands[0].shape[-1]


def _diagonal_of_product(a: Tensor, b: Tensor) -> Tensor:
    """Return the diagonal of a b without the rest of it."""
    return reduce_sum(a * matrix_transpose(b), (a.ndim - 1,))


def _reciprocal_sums(s: Tensor) -> Tensor:
    """Return ``f[i, j] = 1 / (s[i] + s[j])``, 0 where both are 0 to within rounding of the largest."""
    pairs = (*s.shape, s.shape[-1])
    sums = broadcast_to(row(s), pairs) + broadcast_to(column(s), pairs)
    nothing = broadcast_to(column(column(_noise(s))), pairs) >= sums
    return where(nothing, sums.zeros_like(), 1 / where(nothing, ones(pairs, s.dtype), sums))


def _safe_reciprocal(s: Tensor) -> Tensor:
    """Return 1 / s, and 0 where s is 0 to within rounding of the largest."""
    tiny = broadcast_to(column(_noise(s)), s.shape) >= s
    return where(tiny, s.zeros_like(), 1 / where(tiny, ones(s.shape, s.dtype), s))


def _noise(s: Tensor) -> Tensor:
    return float(np.finfo(s.dtype).eps) * reduce_sum(s, (s.ndim - 1,))


eigvalsh = function_of(Eigvalsh)
singular_values = function_of(SingularValues)


def eigh(a: Tensor, upper: bool = False) -> tuple[Tensor, ...]:
    """Return eigenvalues, ascending, and eigenvectors of the symmetric matrices whose lower (upper) triangle is a's."""
    return apply_all(Eigh(upper), a)


def svd(a: Tensor, wide: bool = False) -> tuple[Tensor, ...]:
    """Return u, s, vh with ``(u * s) @ vh = a``; `wide` where a has more columns than rows."""
    return apply_all(Svd(wide), a)
