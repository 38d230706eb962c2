"""Factorizations by elimination and reflection: Cholesky, LU, QR.

Sources of the derivatives: I. Murray, "Differentiation of the Cholesky decomposition", 2016; S. F. Walter and
L. Lehmann, "Algorithmic differentiation of linear algebra functions with application in optimum experimental design",
2010 (QR); F. de Hoog, R. S. Anderssen and M. A. Lukas, "Differentiation of matrix functionals using triangular
factorization", 2011 (LU).

LU and QR take matrices with at least as many rows as columns: the columns beyond the rows of a wide matrix follow from
its square part by a product or a solve, which is written with ops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, at_least
from graphad.ir.emit import apply_all
from graphad.ir.errors import MissingExtraError, fail
from graphad.ir.op import add_all, function_of
from graphad.ir.samples import positive_definite, real, sample, well_conditioned
from graphad.ir.types import TensorType, is_complex
from graphad.ops.cast import cast
from graphad.ops.comparison import equal
from graphad.ops.complex_parts import AdjointPaired
from graphad.ops.creation import POSITION, iota
from graphad.ops.joining import concatenate
from graphad.ops.matrices import (
    adjoint,
    check_matrix,
    check_square,
    column,
    from_lower,
    lower,
    lower_half,
    on_diagonal,
    real_diagonal,
    to_lower,
    upper,
)
from graphad.ops.product import matmul
from graphad.ops.selection import where
from graphad.ops.shape import broadcast_to
from graphad.ops.slicing import slice_
from graphad.ops.solving import triangular_solve

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def check_tall(a: TensorType) -> tuple[Dim, Dim]:
    """Return rows and columns; fails unless there are at least as many rows as columns."""
    rows, columns = check_matrix(a)
    if not at_least(rows, columns):
        fail(f"needs at least as many rows as columns, not {rows} and {columns}")
    return rows, columns


class Cholesky(AdjointPaired):
    """y = the lower triangle with positive diagonal and y y^H = a, of which only the lower triangle is read.

    So the gradient is a lower triangle too: it is that of the function NumPy computes. LinAlgError where a is not
    positive definite.
    """

    samples = (
        sample(positive_definite(3, 3)),
        sample(positive_definite(2, 4, 4)),
        sample(positive_definite(1, 1)),
        sample(real(0, 0)),
        sample(positive_definite(3, 3, dtype="float32")),
        sample(positive_definite(3, 3, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return a

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.cholesky(a))

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """y^-H P y^-1, where P is the lower half of y^H g (Murray 2016, (10)), to the triangle that was read."""
        (g,), (y,) = cotangents, results
        if g is None:
            return (None,)
        half = lower_half(matmul(adjoint(y), g))
        turned = adjoint(y)
        pulled = triangular_solve(turned, half, lower=False)
        pulled = adjoint(triangular_solve(turned, adjoint(pulled), lower=False))
        return (to_lower(pulled),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """y times the lower half of y^-1 da y^-H (Murray 2016, (8))."""
        (da,), (y,) = tangents, results
        if da is None:
            return (None,)
        inner = triangular_solve(y, from_lower(da), lower=True)
        inner = adjoint(triangular_solve(y, adjoint(inner), lower=True))
        return (matmul(y, lower_half(inner)),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return cholesky(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size * operands[0].shape[-1]


class Qr(AdjointPaired):
    """q, r = orthonormal columns and an upper triangle with q r = a, for matrices of at least as many rows as columns.

    The derivative needs columns that are linearly independent; elsewhere q is not continuous (LinAlgError).
    """

    may_raise = False
    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(4, 2)),
        sample(well_conditioned(2, 3, 2)),
        sample(real(3, 1)),
        sample(real(3, 0)),
        sample(real(0, 0)),
        sample(well_conditioned(3, 2, dtype="float32")),
        sample(well_conditioned(3, 3, dtype="complex128")),
        sample(well_conditioned(4, 2, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        _, columns = check_tall(a)
        return a, a.with_shape((*a.shape[:-2], columns, columns))

    def evaluate(self, a: Array) -> tuple[Array, Array]:
        q, r = np.linalg.qr(a)
        return q, r

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """(gq + q from_lower(gap)) r^-H, with gap = r gr^H - gq^H q (Walter and Lehmann 2010, theorem 2.5)."""
        (gq, gr), (q, r) = cotangents, results
        gap = add_all(
            [
                None if gr is None else matmul(r, adjoint(gr)),
                None if gq is None else -matmul(adjoint(gq), q),
            ]
        )
        if gap is None:
            return (None,)
        pulled = matmul(q, from_lower(gap))
        if gq is not None:
            pulled = gq + pulled
        return (adjoint(triangular_solve(r, adjoint(pulled), lower=False)),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """dq = q w + (1 - q q^H) da r^-1 and dr = (q^H da r^-1 - w) r, w skew (Walter and Lehmann 2010, (25)).

        The diagonal of r stays real.
        """
        (da,), (q, r) = tangents, results
        if da is None:
            return None, None
        ratio = adjoint(triangular_solve(adjoint(r), adjoint(da), lower=True))
        inner = matmul(adjoint(q), ratio)
        below = lower(inner, -1)
        skew = below - adjoint(below)
        if is_complex(inner.dtype):
            skew = skew + where(on_diagonal(inner), inner, inner.zeros_like()) - real_diagonal(inner)
        return ratio - matmul(q, inner - skew), matmul(inner - skew, r)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> tuple[Tensor, ...]:
        return qr(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 4 * operands[0].size * operands[0].shape[-1]


class OrthogonalComplement(AdjointPaired):
    """y = orthonormal columns that complete those of q to a basis: [..., m, m - n] for q of [..., m, n].

    The basis is one of many (Householder's, as in NumPy's complete QR). The derivative is that of a basis which turns
    no further than q makes it: right for all functions that do not depend on which basis it is.
    """

    may_raise = False
    samples = (
        sample(well_conditioned(4, 2), smooth=False),
        sample(well_conditioned(2, 3, 1), smooth=False),
        sample(well_conditioned(3, 3), smooth=False),
        sample(real(3, 0), smooth=False),
        sample(well_conditioned(4, 2, dtype="complex128"), smooth=False),
    )

    def infer(self, q: TensorType) -> TensorType:
        rows, columns = check_tall(q)
        return q.with_shape((*q.shape[:-1], rows - columns))

    def evaluate(self, q: Array) -> Array:
        return np.ascontiguousarray(np.linalg.qr(q, mode="complete")[0][..., q.shape[-1] :])

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """-y g^H q."""
        (g,), (q,), (y,) = cotangents, operands, results
        return (None if g is None else -matmul(y, matmul(adjoint(g), q)),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """-q dq^H y, from q^H y = 0."""
        (dq,), (q,), (y,) = tangents, operands, results
        return (None if dq is None else -matmul(q, matmul(adjoint(dq), y)),)

    def batch(self, batched: tuple[bool, ...], q: Tensor) -> Tensor:
        return orthogonal_complement(q)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 4 * operands[0].size * operands[0].shape[-2]


class Lu(AdjointPaired):
    """p, l, u with ``a[i] = (l u)[p[i]]``: a permutation, a lower triangle with unit diagonal, and an upper triangle.

    By partial pivoting, of matrices with at least as many rows as columns. NumPy has no LU: SciPy evaluates it. The
    derivative needs linearly independent columns (LinAlgError elsewhere).
    """

    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(4, 2)),
        sample(well_conditioned(2, 3, 3)),
        sample(real(2, 1)),
        sample(real(0, 0)),
        sample(real(3, 0)),
        sample(well_conditioned(3, 3, dtype="float32")),
        sample(well_conditioned(4, 2, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType, TensorType]:
        _, columns = check_tall(a)
        return TensorType(POSITION, a.shape[:-1]), a, a.with_shape((*a.shape[:-2], columns, columns))

    def evaluate(self, a: Array) -> tuple[Array, Array, Array]:
        try:
            from scipy.linalg import lu as factorize
        except ImportError as error:
            raise MissingExtraError(
                'LU factorization is evaluated by SciPy, which is not installed: pip install "graphad[scipy]"'
            ) from error
        if not a.size:
            square = (*a.shape[:-2], a.shape[-1], a.shape[-1])
            rows = np.arange(a.shape[-2], dtype=POSITION)
            return np.broadcast_to(rows, a.shape[:-1]).copy(), a.copy(), np.zeros(square, a.dtype)
        p, l, u = factorize(a, p_indices=True, check_finite=False)  # noqa: E741  # the factor's name
        return p.astype(POSITION), l, u

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The transpose of the JVP: p (gl + [l1^-H upper(gu u^H - l^H gl); 0]) u^-H."""
        _, gl, gu = cotangents
        p, l, u = results  # noqa: E741  # the factor's name
        gap = add_all([None if gu is None else matmul(gu, adjoint(u)), None if gl is None else -matmul(adjoint(l), gl)])
        if gap is None:
            return (None,)
        top, rest = square_part(l)
        inner = triangular_solve(adjoint(top), upper(gap), lower=False, unit=True)
        pulled = concatenate([inner, rest.zeros_like()], l.ndim - 2)
        if gl is not None:
            pulled = gl + pulled
        pulled = adjoint(triangular_solve(u, adjoint(pulled), lower=False))
        return (matmul(permutation_matrix(p, pulled), pulled),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """du = upper(f) u and dl = p^T da u^-1 - l upper(f), with f = l1^-1 (p^T da u^-1)1; 1: the square part."""
        (da,) = tangents
        p, l, u = results  # noqa: E741  # the factor's name
        if da is None:
            return None, None, None
        moved = matmul(adjoint(permutation_matrix(p, da)), da)
        ratio = adjoint(triangular_solve(adjoint(u), adjoint(moved), lower=True))
        inner = upper(triangular_solve(square_part(l)[0], square_part(ratio)[0], lower=True, unit=True))
        return None, lower(ratio - matmul(l, inner), -1), matmul(inner, u)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> tuple[Tensor, ...]:
        return lu(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size * operands[0].shape[-1]


def square_part(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first rows of a tall matrix, as many as it has columns, and the others."""
    rows, columns = x.shape[-2:]
    leading = [0] * (x.ndim - 2)
    steps = [1] * x.ndim
    top = slice_(x, [*leading, 0, 0], (*x.shape[:-2], columns, columns), steps)
    return top, slice_(x, [*leading, columns, 0], (*x.shape[:-2], rows, columns), steps)


def permutation_matrix(p: Tensor, like: Tensor) -> Tensor:
    """Return the matrix in the dtype of `like` whose product with x has the rows ``x[p[i]]``."""
    shape = (*p.shape, p.shape[-1])
    columns = iota(shape, p.ndim, POSITION)
    return cast(equal(broadcast_to(column(p), shape), columns), like.dtype)


cholesky = function_of(Cholesky)
orthogonal_complement = function_of(OrthogonalComplement)


def qr(a: Tensor) -> tuple[Tensor, ...]:
    """Return orthonormal columns q and an upper triangle r with q r = a, a with at least as many rows as columns."""
    return apply_all(Qr(), a)


def lu(a: Tensor) -> tuple[Tensor, ...]:
    """Return p, l, u with ``a[i] = (l u)[p[i]]``, a with at least as many rows as columns."""
    return apply_all(Lu(), a)
