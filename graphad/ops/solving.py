"""Linear systems: ops whose result solves equations with a given matrix.

Sources of the derivatives: M. B. Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation", 2008 (solve, inverse); G. H. Golub and V. Pereyra, "The differentiation of pseudo-inverses and
nonlinear least squares problems whose variables separate", 1973 (pseudo-inverse).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, equal
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import add_all, function_of
from graphad.ir.samples import complex_, real, sample, well_conditioned
from graphad.ir.types import TensorType
from graphad.ops.complex_parts import AdjointPaired
from graphad.ops.matrices import adjoint, check_matrix, check_square, lower, upper
from graphad.ops.product import matmul
from graphad.ops.shape import batch_size, reshape, same_shape, spread, transpose

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

BLOCK = 64
"""Rows of a triangular system that are solved at once; what is off the blocks of the diagonal is matrix products."""


def check_system(a: TensorType, b: TensorType) -> None:
    """Fail unless a x = b makes sense for square matrices `a` and matrices `b`, in equally long stacks."""
    n = check_square(a)
    if b.ndim != a.ndim or b.dtype != a.dtype:
        fail("both operands must be matrices, or equally long stacks of them, of one dtype")
    if not same_shape(a.shape[:-2], b.shape[:-2]):
        fail("the leading axes differ")
    if not equal(b.shape[-2], n):
        fail(f"a system of {n} equations has {b.shape[-2]} right-hand sides' rows")


class System(AdjointPaired, abstract=True):
    """x with a x = b, for stacks of square matrices a; `b` has one column a system."""

    def infer(self, a: TensorType, b: TensorType) -> TensorType:
        """b's type."""
        check_system(a, b)
        return b

    def solve(self, a: Tensor, b: Tensor) -> Tensor:
        """Apply this op."""
        return apply(self, a, b)

    def solve_adjoint(self, a: Tensor, b: Tensor) -> Tensor:
        """Return x with adjoint(a) x = b."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to solve the adjoint system")

    def read(self, a: Tensor) -> Tensor:
        """Return what is read of a matrix, zeros elsewhere; as it is its own transpose, cotangents pass it too."""
        return a

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """gb = a^-H g, ga = -gb x^H (Giles 2008, 2.3.1)."""
        (g,) = cotangents
        if g is None:
            return None, None
        gb = self.solve_adjoint(operands[0], g)
        return self.read(-matmul(gb, adjoint(results[0]))), gb

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """dx = a^-1 (db - da x)."""
        da, db = tangents
        change = add_all([db, None if da is None else -matmul(self.read(da), results[0])])
        return (None if change is None else self.solve(operands[0], change),)

    def batch(self, batched: tuple[bool, ...], a: Tensor, b: Tensor) -> Tensor:
        """One longer stack; for one matrix, one system with more right-hand sides."""
        if not batched[0] and a.ndim == 2:
            size, n, k = b.shape
            x = self.solve(a, reshape(transpose(b, (1, 0, 2)), (n, size * k)))
            return transpose(reshape(x, (n, size, k)), (1, 0, 2))
        a, b = spread(batch_size(batched, (a, b)), batched, (a, b))
        return self.solve(a, b)


class Solve(System):
    """x with a x = b, by LU with partial pivoting; LinAlgError where a is singular.

    a is [..., n, n] and b [..., n, k], with equal leading axes.
    """

    samples = (
        sample(well_conditioned(3, 3), real(3, 2)),
        sample(well_conditioned(2, 3, 3), real(2, 3, 1)),
        sample(well_conditioned(1, 1), real(1, 4)),
        sample(real(0, 0), real(0, 2)),
        sample(well_conditioned(2, 2), real(2, 0)),
        sample(well_conditioned(3, 3, dtype="float32"), real(3, 1, dtype="float32")),
        sample(well_conditioned(3, 3, dtype="complex128"), complex_(3, 2)),
    )

    def evaluate(self, a: Array, b: Array) -> Array:
        return np.asarray(np.linalg.solve(a, b))

    def solve_adjoint(self, a: Tensor, b: Tensor) -> Tensor:
        return self.solve(adjoint(a), b)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        a, b = operands
        return a.size * a.shape[-1] + 2 * b.size * a.shape[-1]


@frozen
class TriangularSolve(System):
    """x with t x = b, where only one triangle of a is read as t: the lower one if `lower`, its diagonal 1 if `unit`.

    a is [..., n, n] and b [..., n, k], with equal leading axes. LinAlgError where a diagonal element is 0.
    """

    lower: bool
    unit: bool = False

    samples = (
        sample(real(3, 3, low=1.0), real(3, 2), lower=True),
        sample(real(2, 3, 3, low=1.0), real(2, 3, 1), lower=False),
        sample(real(3, 3), real(3, 2), lower=True, unit=True),
        sample(real(1, 1, low=1.0), real(1, 2), lower=False),
        sample(real(0, 0), real(0, 2), lower=True),
        sample(real(2, 2, low=1.0, dtype="float32"), real(2, 1, dtype="float32"), lower=False, unit=True),
        sample(complex_(3, 3, low=1.0), complex_(3, 2), lower=True),
    )

    def evaluate(self, a: Array, b: Array) -> Array:
        x = np.empty_like(b, order="C")
        self.evaluate_into((x,), a, b)
        return x

    def evaluate_into(self, out: tuple[Array, ...], a: Array, b: Array) -> None:
        (x,) = out
        if not self.unit and (np.diagonal(a, axis1=-2, axis2=-1) == 0).any():
            raise np.linalg.LinAlgError("Singular matrix")  # before anything is written
        n = a.shape[-1]
        starts = range(0, n, BLOCK)
        for start in starts if self.lower else reversed(starts):
            stop = min(start + BLOCK, n)
            known = slice(0, start) if self.lower else slice(stop, n)
            rest = b[..., start:stop, :] - np.matmul(a[..., start:stop, known], x[..., known, :])
            x[..., start:stop, :] = self._solve_block(a[..., start:stop, start:stop], rest)

    def _solve_block(self, a: Array, b: Array) -> Array:
        # NumPy has no triangular solve, but a general one, which neither pivots nor changes an upper triangle. So a
        # lower triangle is turned round.
        if self.lower:
            a, b = a[..., ::-1, ::-1], b[..., ::-1, :]
        triangle = np.triu(a)
        if self.unit:
            triangle[..., range(a.shape[-1]), range(a.shape[-1])] = 1
        x = np.linalg.solve(triangle, b)
        return np.asarray(x[..., ::-1, :] if self.lower else x)

    def solve_adjoint(self, a: Tensor, b: Tensor) -> Tensor:
        return apply(TriangularSolve(not self.lower, self.unit), adjoint(a), b)

    def read(self, a: Tensor) -> Tensor:
        offset = 1 if self.unit else 0
        return lower(a, -offset) if self.lower else upper(a, offset)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return results[0].size * operands[0].shape[-1]


class Inv(AdjointPaired):
    """x = a^-1 for stacks of square matrices; LinAlgError where a is singular."""

    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(2, 2, 2)),
        sample(well_conditioned(1, 1)),
        sample(real(0, 0)),
        sample(well_conditioned(3, 3, dtype="float32")),
        sample(well_conditioned(3, 3, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return a

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.inv(a))

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """-x^H g x^H (Giles 2008, 2.2.3)."""
        (g,) = cotangents
        if g is None:
            return (None,)
        turned = adjoint(results[0])
        return (-matmul(matmul(turned, g), turned),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """-x da x."""
        (da,), (x,) = tangents, results
        return (None if da is None else -matmul(matmul(x, da), x),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return inv(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 2 * operands[0].size * operands[0].shape[-1]


@frozen
class Pinv(AdjointPaired):
    """x = the Moore-Penrose inverse of a; singular values up to `cutoff` times the largest count as 0.

    The derivative is that of matrices whose rank does not change, where the inverse is smooth.
    """

    cutoff: float

    samples = (
        sample(well_conditioned(4, 3), cutoff=1e-15),
        sample(well_conditioned(2, 3), cutoff=1e-15),
        sample(well_conditioned(2, 3, 3), cutoff=1e-15),
        sample(well_conditioned(1, 1), cutoff=1e-15),
        sample(real(0, 3), cutoff=1e-15),
        sample(real(2, 0), cutoff=1e-15),
        sample(well_conditioned(3, 2, dtype="float32"), cutoff=1e-6),
        sample(well_conditioned(3, 2, dtype="complex128"), cutoff=1e-15),
        sample(well_conditioned(2, 3, dtype="complex128"), cutoff=1e-15),
    )

    def infer(self, a: TensorType) -> TensorType:
        rows, columns = check_matrix(a)
        return a.with_shape((*a.shape[:-2], columns, rows))

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.pinv(a, rcond=self.cutoff), order="C")

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """-x^H g x^H + (1 - a x) g^H x x^H + x^H x g^H (1 - x a), the transpose of the JVP."""
        (g,), (a,), (x,) = cotangents, operands, results
        if g is None:
            return (None,)
        turned, back = adjoint(x), adjoint(g)
        left, right = matmul(back, matmul(x, turned)), matmul(matmul(turned, x), back)
        return (
            left - matmul(a, matmul(x, left)) + right - matmul(matmul(right, x), a) - matmul(turned, matmul(g, turned)),
        )

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """-x da x + x x^H da^H (1 - a x) + (1 - x a) da^H x^H x (Golub and Pereyra 1973, 4.12)."""
        (da,), (a,), (x,) = tangents, operands, results
        if da is None:
            return (None,)
        turned, back = adjoint(x), adjoint(da)
        left, right = matmul(matmul(x, turned), back), matmul(back, matmul(turned, x))
        return (left - matmul(matmul(left, a), x) + right - matmul(x, matmul(a, right)) - matmul(x, matmul(da, x)),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return pinv(a, self.cutoff)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        a = operands[0]
        return 8 * a.size * a.shape[-1]


solve = function_of(Solve)
inv = function_of(Inv)


def triangular_solve(a: Tensor, b: Tensor, lower: bool, unit: bool = False) -> Tensor:
    """Return x with t x = b, where t is one triangle of a."""
    return apply(TriangularSolve(lower, unit), a, b)


def pinv(a: Tensor, cutoff: float) -> Tensor:
    """Return the Moore-Penrose inverse; singular values up to `cutoff` times the largest count as 0."""
    return apply(Pinv(cutoff), a)
