"""Linear systems and what belongs to them: solve, inverses, determinants, least squares, powers, rank."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import at_least, is_static, product, static
from graphad.numpy.arguments import axis_of, refuse
from graphad.numpy.decompositions import floating, matrices, svdvals
from graphad.numpy.products import matmul
from graphad.numpy.reductions import sum
from graphad.numpy.shaping import moveaxis
from graphad.ops import matrix_functions, solving
from graphad.ops.matrices import from_lower, identity_like
from graphad.tracing.coerce import as_tensor, common_shape, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_NONE: Any = np._NoValue  # what NumPy passes for "not given"


class SlogdetResult(NamedTuple):
    """Sign of a determinant and logarithm of its magnitude."""

    sign: Tensor
    logabsdet: Tensor


def together(a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """Return two arrays in one floating-point dtype."""
    x, y = promoted(floating(a), floating(b))
    return x, y


@implements(np.linalg.solve)
def solve(a: Any, b: Any) -> Tensor:
    """x with a x = b; `b` of one axis is a vector, else a matrix or a stack of them. Leading axes broadcast.

    LinAlgError when run on a singular matrix.
    """
    x, y = together(matrices(a, "solve"), b)
    return apply_solver(solving.solve, x, y)


def apply_solver(solver: Any, a: Tensor, b: Tensor) -> Tensor:
    """Return ``solver(a, b)`` for a matrix or a vector b by NumPy 2's rule, leading axes broadcast."""
    if b.ndim == 0:
        refuse(f"a system of equations needs right-hand sides with an axis, got {b.type}")
    columns = ops.reshape(b, (*b.shape, 1)) if b.ndim == 1 else b
    stack = common_shape([a.shape[:-2], columns.shape[:-2]])
    x: Tensor = solver(
        ops.broadcast_to(a, (*stack, *a.shape[-2:])), ops.broadcast_to(columns, (*stack, *columns.shape[-2:]))
    )
    return ops.reshape(x, x.shape[:-1]) if b.ndim == 1 else x


@implements(np.linalg.inv)
def inv(a: Any) -> Tensor:
    """x = a^-1. LinAlgError when run on a singular matrix."""
    return solving.inv(matrices(a, "inv"))


@implements(np.linalg.det)
def det(a: Any) -> Tensor:
    """y = determinant; its derivatives exist at singular matrices too."""
    return matrix_functions.det(matrices(a, "det"))


@implements(np.linalg.slogdet)
def slogdet(a: Any) -> SlogdetResult:
    """Sign (without gradient) and logarithm of the magnitude of the determinant."""
    return SlogdetResult(*matrix_functions.slogdet(matrices(a, "slogdet")))


@implements(np.linalg.pinv)
def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = _NONE) -> Tensor:
    """x = Moore-Penrose inverse; singular values up to `rcond` (or `rtol`) times the largest count as 0.

    Differentiable where the rank does not change.
    """
    x = matrices(a, "pinv")
    if rcond is not None and rtol is not _NONE:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    cutoff = 1e-15 if rtol is _NONE else rtol
    cutoff = _rounding(x, "pinv") if cutoff is None else cutoff
    cutoff = cutoff if rcond is None else rcond
    if isinstance(cutoff, Tensor) or np.ndim(cutoff):
        refuse("np.linalg.pinv of a traced array takes one number as rcond or rtol, known while tracing")
    return solving.pinv(from_lower(x) if hermitian else x, float(cutoff))


def _rounding(x: Tensor, function: str) -> float:
    """Return the larger size of matrices times the dtype's epsilon."""
    if not is_static(x.shape[-2:]):
        refuse(f"np.linalg.{function} of {x.type} needs a tolerance (rtol=...): the default depends on named sizes")
    return max(static(n) for n in x.shape[-2:]) * float(np.finfo(x.dtype).eps)


@implements(np.linalg.matrix_rank)
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    """y = number of singular values above `tol` (default: `rtol` times the largest). Integers: no gradient flows."""
    if tol is not None and rtol is not None:
        raise ValueError("`tol` and `rtol` can't be both set.")
    x = floating(A)
    if x.ndim < 2:
        found: Tensor = ops.reduce_any(x != 0, tuple(range(x.ndim)))
        return ops.cast(found, np.dtype(np.int64))
    s = svdvals(from_lower(x) if hermitian else x)
    if tol is None:
        relative = _rounding(x, "matrix_rank") if rtol is None else as_tensor(rtol)[..., None]
        largest = s[..., :1]
        above = s > largest * relative
    else:
        above = s > as_tensor(tol)[..., None]
    return sum(above, -1)


@implements(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = None) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, residuals, rank, singular values: x minimises the 2-norm of b - a x, and its own where that leaves a choice.

    `a` is [m, n], `b` a vector or a matrix of m rows. Differentiable where the rank does not change. Residuals are
    the squared norms of the columns of b - a x; none where m <= n. (NumPy gives none where a's rank is below n, either,
    which is not known while tracing: they are given.)
    """
    x, y = together(a, b)
    if x.ndim != 2 or y.ndim not in (1, 2):
        refuse(f"np.linalg.lstsq takes a matrix and a vector or a matrix, got {x.type} and {y.type}")
    cutoff = _rounding(x, "lstsq") if rcond is None else rcond
    columns = ops.reshape(y, (*y.shape, 1)) if y.ndim == 1 else y
    best = matmul(pinv(x, cutoff), columns)
    s = svdvals(x)
    rank = sum(s > cutoff * s[:1])
    if at_least(x.shape[0], x.shape[1] + 1):
        off = columns - matmul(x, best)
        residuals = ops.reduce_sum(off * off, (0,))
    else:
        residuals = ops.zeros((0,), x.dtype)
    return ops.reshape(best, (x.shape[1],)) if y.ndim == 1 else best, residuals, rank, s


@implements(np.linalg.matrix_power)
def matrix_power(a: Any, n: Any) -> Tensor:
    """y = a a ... a, n times; of the inverse for negative n. By repeated squaring."""
    x = as_tensor(a)
    exponent = operator.index(n)
    if x.ndim < 2:
        refuse(f"np.linalg.matrix_power needs a matrix or a stack of them, got {x.type}")
    if exponent == 0:
        return identity_like(x)
    square = inv(x) if exponent < 0 else x
    result: Tensor | None = None
    remaining = abs(exponent)
    while remaining:
        remaining, odd = divmod(remaining, 2)
        if odd:
            result = square if result is None else matmul(result, square)
        if remaining:
            square = matmul(square, square)
    assert result is not None, "a positive number has a bit"
    return result


@implements(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Tensor:
    """x with ``tensordot(a, x, x.ndim) = b``; `axes` of a are moved to its end before."""
    x, y = together(a, b)
    if axes is not None:
        moved = [axis_of(k, x.ndim) for k in axes]
        x = moveaxis(x, moved, tuple(range(x.ndim - len(moved), x.ndim)))
    shape = x.shape[y.ndim :]
    n = product(shape)
    return ops.reshape(solve(ops.reshape(x, (y.size, n)), ops.reshape(y, (y.size,))), shape)


@implements(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Tensor:
    """x with ``tensordot(x, a, ind)`` the identity: the inverse of a as a map from its last axes to its first `ind`."""
    x = floating(a)
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    first, last = x.shape[:ind], x.shape[ind:]
    return ops.reshape(inv(ops.reshape(x, (product(first), product(last)))), (*last, *first))
