"""Functions of square matrices as a whole: determinants and the exponential."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim
from graphad.ir.emit import apply_all
from graphad.ir.op import General, add_all, function_of
from graphad.ir.samples import complex_, real, sample, well_conditioned
from graphad.ir.types import TensorType, is_complex, real_dtype
from graphad.ops.complex_parts import AdjointPaired, complex_of, imag_part, real_part
from graphad.ops.control import stop_gradient
from graphad.ops.creation import ones
from graphad.ops.cumulative import exclusive_prod
from graphad.ops.joining import concatenate
from graphad.ops.matrices import (
    adjoint,
    check_square,
    column,
    diagonal,
    diagonal_matrix,
    off_diagonal,
    on_diagonal,
    row,
)
from graphad.ops.product import matmul, matrix_transpose
from graphad.ops.reduction import reduce_sum
from graphad.ops.selection import where
from graphad.ops.shape import broadcast_to
from graphad.ops.slicing import slice_
from graphad.ops.solving import inv
from graphad.ops.spectral import svd

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def inner_product(a: Tensor, b: Tensor) -> Tensor:
    """Return the sum over both axes of the products of (stacks of) matrices."""
    return reduce_sum(a * b, (a.ndim - 2, a.ndim - 1))


class Det(General):
    """y = determinant of square matrices; 1 for no rows.

    The gradient is the matrix of cofactors, which is exact for singular matrices too, as are higher derivatives; it
    costs a singular value decomposition. (`Slogdet` costs an inverse.)
    """

    may_raise = False
    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(2, 4, 4)),
        sample(real(1, 1)),
        sample(real(0, 0)),
        sample(real(3, 3, low=1.0, high=1.0)),
        sample(well_conditioned(3, 3, dtype="float32")),
        sample(well_conditioned(3, 3, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return a.with_shape(a.shape[:-2])

    def evaluate(self, a: Array) -> Array:
        return np.asarray(np.linalg.det(a))

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """g times the cofactors (Jacobi)."""
        (g,) = cotangents
        return (None if g is None else column(column(g)) * cofactor(operands[0]),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """Inner product of da with the cofactors."""
        (da,) = tangents
        return (None if da is None else inner_product(cofactor(operands[0]), da),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return det(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size * operands[0].shape[-1]


class Cofactor(General):
    """y[i, j] = derivative of det(a) by a[i, j]: ``det(a) a^-T`` where a is regular, and its limit elsewhere.

    With a = u diag(s) vh it is ``det(u) det(vh) conj(u diag(c) vh)``, c[i] the product of all s but s[i]; nan where a
    is not finite.
    """

    copies = 4.0
    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(2, 2, 2)),
        sample(real(1, 1)),
        sample(real(0, 0)),
        sample(well_conditioned(3, 3, dtype="float32")),
        sample(well_conditioned(3, 3, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return a

    def evaluate(self, a: Array) -> Array:
        finite = np.isfinite(a).all((-2, -1), keepdims=True)
        u, s, vh = np.linalg.svd(np.where(finite, a, np.zeros((), a.dtype)), full_matrices=False)
        others = np.where(np.eye(a.shape[-1], dtype=bool), np.ones((), s.dtype), s[..., None, :]).prod(-1)
        phase = np.linalg.det(u) * np.linalg.det(vh)
        sign = (phase if np.iscomplexobj(a) else np.rint(phase)).astype(a.dtype)
        found = np.matmul(u.conj() * (sign[..., None] * others)[..., None, :], vh.conj())
        return np.where(finite, found, np.full((), np.nan, a.dtype))

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The second derivative of the determinant, which is symmetric."""
        (g,) = cotangents
        return (None if g is None else _along(operands[0], g),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The second derivative of the determinant, along da."""
        (da,) = tangents
        return (None if da is None else _along(operands[0], da),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return cofactor(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 8 * operands[0].size * operands[0].shape[-1]


def _along(a: Tensor, direction: Tensor) -> Tensor:
    """Return the derivative of the cofactors of `a` along a direction, exact at every rank for real matrices.

    In the coordinates of the singular vectors a is diagonal, and the determinant of diag(s) + t b has the second
    derivatives ``b[i,i] b[j,j] - b[i,j] b[j,i]``, each times the product of all s but s[i] and s[j].

    Complex singular vectors turn with a (by a phase), so there the rule is that of regular matrices, y = det(a) a^-T.
    """
    if is_complex(a.dtype):
        y, inverse = cofactor(a), inv(a)
        trace = inner_product(matrix_transpose(inverse), direction)
        return column(column(trace)) * y - matmul(matrix_transpose(matmul(direction, inverse)), y)
    u, s, vh = svd(a)
    pairs = (*s.shape, s.shape[-1])
    without_one = where(on_diagonal_of(pairs, s), ones(pairs, s.dtype), broadcast_to(row(s), pairs))
    others = off_diagonal(exclusive_prod(without_one, s.ndim))
    sign = stop_gradient(det(u) * det(vh))
    inner = matmul(matmul(adjoint(u), direction), adjoint(vh))
    straight = reduce_sum(others * row(diagonal(inner)), (s.ndim,))
    turned = diagonal_matrix(straight) - others * adjoint(inner)
    return column(column(sign)) * matmul(matmul(u, turned), vh)


def on_diagonal_of(shape: tuple[Dim, ...], like: Tensor) -> Tensor:
    """Return the mask of the diagonal of matrices of this shape."""
    return on_diagonal(ones(shape, like.dtype))


class Slogdet(General):
    """sign, logarithm of the magnitude of the determinant of square matrices; 0 and -inf for singular ones.

    The sign of a complex determinant is its phase, a number of magnitude 1. No gradient flows through that of a real
    one. The gradient of the logarithm is infinite at
    singular matrices (LinAlgError).
    """

    may_raise = False
    samples = (
        sample(well_conditioned(3, 3)),
        sample(well_conditioned(2, 2, 2)),
        sample(well_conditioned(1, 1)),
        sample(real(0, 0)),
        sample(well_conditioned(3, 3, dtype="float32")),
        sample(well_conditioned(3, 3, dtype="complex128")),
    )

    def infer(self, a: TensorType) -> tuple[TensorType, TensorType]:
        check_square(a)
        number = a.with_shape(a.shape[:-2])
        return number, number.with_dtype(real_dtype(a.dtype))

    def evaluate(self, a: Array) -> tuple[Array, Array]:
        sign, logarithm = np.linalg.slogdet(a)
        return np.asarray(sign), np.asarray(logarithm)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """(g + i Im(gs sign)) a^-T (Giles 2008, 2.2.4), gs being the cotangent of a complex sign."""
        gs, g = cotangents
        (a,) = operands
        phase = None
        if gs is not None and is_complex(a.dtype):
            turned = imag_part(gs * results[0])
            phase = complex_of(turned.zeros_like(), turned)
        total = add_all([g, phase])
        return (None if total is None else column(column(total)) * matrix_transpose(inv(a)),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The real part of t, and i sign times its imaginary part, with t the trace of a^-1 da."""
        (da,), (a,) = tangents, operands
        if da is None:
            return None, None
        trace = inner_product(matrix_transpose(inv(a)), da)
        if not is_complex(a.dtype):
            return None, trace
        turned = imag_part(trace)
        return results[0] * complex_of(turned.zeros_like(), turned), real_part(trace)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> tuple[Tensor, ...]:
        return slogdet(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return operands[0].size * operands[0].shape[-1]


PADE_13 = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
"""Coefficients of the diagonal Pade approximant of degree 13 of exp (Higham 2005, (2.3))."""
PADE_13_RADIUS = 5.371920351148152
"""The largest 1-norm at which the approximant is exact to float64's rounding (Higham 2005, table 2.3)."""


class Expm(AdjointPaired):
    """y = 1 + a + a^2 / 2 + a^3 / 6 + ...: the exponential of square matrices.

    By scaling and squaring (N. J. Higham, "The scaling and squaring method for the matrix exponential revisited",
    2005). The derivative along e is the upper right block of the exponential of [[a, e], [0, a]] (R. Mathias, "A chain
    rule for matrix functions and applications", 1996), exact to every order, at eight times the cost.
    """

    copies = 11.0
    samples = (
        sample(real(3, 3)),
        sample(real(2, 2, 2, low=-9.0, high=9.0)),
        sample(real(1, 1)),
        sample(real(0, 0)),
        sample(real(2, 2, low=0.0, high=0.0)),
        sample(real(3, 3, dtype="float32")),
        sample(complex_(3, 3)),
    )

    def infer(self, a: TensorType) -> TensorType:
        check_square(a)
        return a

    def evaluate(self, a: Array) -> Array:
        if not a.size:
            return a.copy()
        norm = np.abs(a).sum(-2).max(-1)
        # An infinite or nan norm asks for no halving; the result is nan anyway.
        ratio = np.where(np.isfinite(norm), norm, 0) / PADE_13_RADIUS
        halvings = np.ceil(np.log2(np.maximum(ratio, 1))).astype(np.int64)
        scaled = a * np.exp2(-halvings.astype(real_dtype(a.dtype)))[..., None, None]
        y = np.array(_pade_13(scaled))
        for k in range(int(halvings.max())):
            y = np.where((halvings > k)[..., None, None], np.matmul(y, y), y)
        return y

    def pullback(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The derivative at a^H along g."""
        (g,) = cotangents
        return (None if g is None else _exponential_along(adjoint(operands[0]), g),)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The derivative at a along da."""
        (da,) = tangents
        return (None if da is None else _exponential_along(operands[0], da),)

    def batch(self, batched: tuple[bool, ...], a: Tensor) -> Tensor:
        return expm(a)

    def flops(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> Dim:
        return 16 * operands[0].size * operands[0].shape[-1]


def _pade_13(a: Array) -> Array:
    """Return the Pade approximant of the exponential, with six products and a solve (Higham 2005, (2.5))."""
    c = PADE_13
    one = np.eye(a.shape[-1], dtype=a.dtype)
    a2 = np.matmul(a, a)
    a4 = np.matmul(a2, a2)
    a6 = np.matmul(a4, a2)
    odd = np.matmul(a6, c[13] * a6 + c[11] * a4 + c[9] * a2) + c[7] * a6 + c[5] * a4 + c[3] * a2 + c[1] * one
    even = np.matmul(a6, c[12] * a6 + c[10] * a4 + c[8] * a2) + c[6] * a6 + c[4] * a4 + c[2] * a2 + c[0] * one
    odd = np.matmul(a, odd)
    return np.asarray(np.linalg.solve(even - odd, even + odd))


def _exponential_along(a: Tensor, direction: Tensor) -> Tensor:
    """Return the derivative of the exponential at `a` along a direction."""
    # Linear in the direction, which is scaled so that it does not govern the number of squarings.
    size = stop_gradient(reduce_sum(abs(direction), (a.ndim - 2, a.ndim - 1)))
    size = broadcast_to(column(column(where(size > 0, size, ones(size.shape, size.dtype)))), a.shape)
    n = a.shape[-1]
    above = concatenate([a, direction / size], a.ndim - 1)
    below = concatenate([a.zeros_like(), a], a.ndim - 1)
    whole = expm(concatenate([above, below], a.ndim - 2))
    leading = a.shape[:-2]
    return size * slice_(whole, [*[0] * len(leading), 0, n], (*leading, n, 2 * n))


det = function_of(Det)
cofactor = function_of(Cofactor)
expm = function_of(Expm)


def slogdet(a: Tensor) -> tuple[Tensor, ...]:
    """Return the sign and the logarithm of the magnitude of the determinant."""
    return apply_all(Slogdet(), a)
