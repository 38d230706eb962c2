"""Factorizations of matrices as NumPy gives them: cholesky, qr, svd, eigh, and the values alone.

Every function takes stacks of matrices; integers are computed in float64.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import at_least
from graphad.numpy.arguments import averaging_dtype, refuse, untraceable
from graphad.ops import eigen, factorization, spectral
from graphad.ops.matrices import adjoint, from_lower
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


class QRResult(NamedTuple):
    """Orthonormal columns and an upper triangle."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """Left singular vectors (columns), singular values, right singular vectors (rows)."""

    U: Tensor
    S: Tensor
    Vh: Tensor


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors (columns)."""

    eigenvalues: Tensor
    eigenvectors: Tensor


def floating(a: Any) -> Tensor:
    """Return an array in the dtype that linear algebra computes in: float64 for integers and booleans."""
    x = as_tensor(a)
    return ops.cast(x, averaging_dtype(x.dtype))


def matrices(a: Any, function: str) -> Tensor:
    """Return a matrix or a stack of them in a floating-point dtype."""
    x = floating(a)
    if x.ndim < 2:
        refuse(f"np.linalg.{function} needs a matrix or a stack of them, got {x.type}")
    return x


def is_tall(x: Tensor) -> bool:
    """Tell whether matrices have at least as many rows as columns; what is not known is assumed (recorded)."""
    return at_least(x.shape[-2], x.shape[-1])


@implements(np.linalg.cholesky)
def cholesky(a: Any, /, *, upper: bool = False) -> Tensor:
    """y = the lower triangle with y y^T = a (y^T y = a for the upper one), a symmetric and positive definite.

    Only that triangle of a is read, so the gradient is zero in the other one. LinAlgError when run on a matrix that is
    not positive definite.
    """
    x = matrices(a, "cholesky")
    return adjoint(factorization.cholesky(adjoint(x))) if upper else factorization.cholesky(x)


@implements(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """q, r with q r = a: q has orthonormal columns, r is an upper triangle.

    `mode` "reduced" gives min(m, n) columns of q, "complete" all m, "r" only r. Differentiable where the leading
    columns are linearly independent; of the columns that "complete" adds, functions that do not depend on the choice of
    their basis are.
    """
    if mode == "raw":
        untraceable('np.linalg.qr with mode="raw" (LAPACK\'s reflectors) cannot be traced: use mode="reduced"')
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(f"Unrecognized mode '{mode}'")
    x = matrices(a, "qr")
    if is_tall(x):
        q, r = factorization.qr(x)
    else:
        # The reflectors come from the leading square; the other columns are only turned.
        q, r = factorization.qr(_columns(x, 0, x.shape[-2]))
        r = ops.concatenate([r, ops.matmul(adjoint(q), _columns(x, x.shape[-2], x.shape[-1]))], x.ndim - 1)
    if mode == "r":
        return r
    if mode == "complete" and is_tall(x):
        below = (*x.shape[:-2], x.shape[-2] - x.shape[-1], x.shape[-1])
        q = _completed(q)
        r = ops.concatenate([r, ops.zeros(below, x.dtype)], x.ndim - 2)
    return QRResult(q, r)


def _columns(x: Tensor, start: Any, stop: Any) -> Tensor:
    leading = [0] * (x.ndim - 1)
    return ops.slice_(x, [*leading, start], (*x.shape[:-1], stop))


def _completed(q: Tensor) -> Tensor:
    """Return orthonormal columns with those that complete them to a square."""
    return ops.concatenate([q, factorization.orthogonal_complement(q)], q.ndim - 1)


@implements(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """u, s, vh with ``(u * s) @ vh = a``: orthonormal columns and rows, s descending. Only s without `compute_uv`.

    `full_matrices` completes u or vh to a square (by a basis that need not be NumPy's). `hermitian` reads only the
    lower triangle. Repeated or zero singular values: see `graphad.ops.spectral`.
    """
    x = matrices(a, "svd")
    x = from_lower(x) if hermitian else x
    if not compute_uv:
        return svdvals(x)
    if is_tall(x):
        u, s, vh = spectral.svd(x)
        return SVDResult(_completed(u) if full_matrices else u, s, vh)
    u, s, vh = spectral.svd(x, wide=True)
    return SVDResult(u, s, adjoint(_completed(adjoint(vh))) if full_matrices else vh)


@implements(np.linalg.svdvals)
def svdvals(x: Any, /) -> Tensor:
    """s = singular values, descending."""
    a = matrices(x, "svdvals")
    return spectral.singular_values(a if is_tall(a) else adjoint(a))


@implements(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """w, v = eigenvalues, ascending, and eigenvectors (columns) of symmetric matrices.

    Only the triangle `UPLO` is read, so the gradient is zero in the other one. Repeated eigenvalues: see
    `graphad.ops.spectral`.
    """
    return EighResult(*spectral.eigh(matrices(a, "eigh"), _is_upper(UPLO)))


@implements(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Tensor:
    """w = eigenvalues, ascending, of symmetric matrices, of which only the triangle `UPLO` is read."""
    x = matrices(a, "eigvalsh")
    return spectral.eigvalsh(adjoint(x) if _is_upper(UPLO) else x)


class EigResult(NamedTuple):
    """Eigenvalues, and eigenvectors (columns); complex."""

    eigenvalues: Tensor
    eigenvectors: Tensor


@implements(np.linalg.eig)
def eig(a: Any) -> EigResult:
    """w, v = eigenvalues and eigenvectors (columns of length 1) of square matrices.

    Always complex, where NumPy gives real arrays if the values turn out to be real. Differentiable where the
    eigenvalues differ; of vectors, functions that do not depend on their phases are.
    """
    return EigResult(*eigen.eig(matrices(a, "eig")))


@implements(np.linalg.eigvals)
def eigvals(a: Any) -> Tensor:
    """w = eigenvalues of square matrices, always complex; differentiable where they differ."""
    return eigen.eigvals(matrices(a, "eigvals"))


def _is_upper(uplo: str) -> bool:
    if uplo.upper() not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return uplo.upper() == "U"
