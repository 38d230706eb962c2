"""Diagonals and triangles of matrices: diag, diagonal, trace, tri, tril, triu, eye, identity."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, at_least
from graphad.numpy.arguments import axis_of, check_device, dtype_of, no_out, refuse, size_of
from graphad.numpy.elementwise import where
from graphad.numpy.reductions import sum
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)
_FLOAT = np.dtype(np.float64)


def _rows_and_columns(rows: Dim, columns: Dim) -> tuple[Tensor, Tensor]:
    return ops.iota((rows, columns), 0, _INDEX), ops.iota((rows, columns), 1, _INDEX)


def eye(N: Any, M: Any = None, k: int = 0, dtype: Any = float, order: str = "C", *, device: Any = None) -> Tensor:
    """y[i, j] = 1 where j = i + k, 0 elsewhere; N rows, M (or N) columns."""
    check_device(device)
    rows, columns = _rows_and_columns(size_of(N), size_of(N if M is None else M))
    return ops.cast(rows + k == columns, dtype_of(dtype, _FLOAT))


def identity(n: Any, dtype: Any = None) -> Tensor:
    """y = the identity matrix of n rows."""
    return eye(n, dtype=dtype)


def tri(N: Any, M: Any = None, k: int = 0, dtype: Any = float) -> Tensor:
    """y[i, j] = 1 where j <= i + k, 0 elsewhere; N rows, M (or N) columns."""
    return ops.cast(_lower(size_of(N), size_of(N if M is None else M), k), dtype_of(dtype, _FLOAT))


def _lower(rows: Dim, columns: Dim, k: int) -> Tensor:
    i, j = _rows_and_columns(rows, columns)
    found: Tensor = i + k >= j
    return found


@implements(np.tril)
def tril(m: Any, k: int = 0) -> Tensor:
    """y = m with 0 above diagonal k of its last two axes."""
    x = as_tensor(m)
    return where(_lower(*_matrix_shape(x), k), x, x.zeros_like())


@implements(np.triu)
def triu(m: Any, k: int = 0) -> Tensor:
    """y = m with 0 below diagonal k of its last two axes."""
    x = as_tensor(m)
    return where(_lower(*_matrix_shape(x), k - 1), x.zeros_like(), x)


def _matrix_shape(x: Tensor) -> tuple[Dim, Dim]:
    """Return rows and columns; one axis is repeated as the rows of a square matrix, as in NumPy."""
    if x.ndim == 0:
        refuse(f"needs at least one axis, got {x.type}")
    return (x.shape[-1], x.shape[-1]) if x.ndim == 1 else (x.shape[-2], x.shape[-1])


@implements(np.diagonal)
def diagonal(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1) -> Tensor:
    """y[..., i] = a[..., i, i + offset] over two axes (by their order), which become the last axis."""
    x = as_tensor(a)
    i, j = axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)
    if i == j:
        refuse("the two axes of a diagonal must differ")
    below, right = max(-offset, 0), max(offset, 0)
    rows, columns = x.shape[i] - below, x.shape[j] - right
    count = columns if at_least(rows, columns) else rows
    if not at_least(count, 0):
        count = 0
    rest = [k for k in range(x.ndim) if k not in (i, j)]
    along = ops.iota((count,), 0, _INDEX)
    y = ops.gather(ops.transpose(x, (i, j, *rest)), [along + below, along + right])
    return ops.transpose(y, (*range(1, y.ndim), 0))


@implements(np.diag)
def diag(v: Any, k: int = 0) -> Tensor:
    """Return the diagonal k of a matrix, or the matrix whose diagonal k is the vector v."""
    x = as_tensor(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        refuse(f"np.diag takes a vector or a matrix, got {x.type}")
    n = x.shape[0]
    rows, columns = _rows_and_columns(n, n)
    square = where(rows == columns, x, 0)
    above, left = max(-k, 0), max(k, 0)
    return ops.pad(square, (above, left), (left, above))


@implements(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Tensor:
    """Return the matrix whose diagonal k is the flattened v."""
    x = as_tensor(v)
    return diag(ops.reshape(x, (x.size,)), k)


@implements(np.trace)
def trace(a: Any, offset: int = 0, axis1: Any = 0, axis2: Any = 1, dtype: Any = None, out: None = None) -> Tensor:
    """y = sum of the diagonal over two axes."""
    no_out(out, "trace")
    return sum(diagonal(a, offset, axis1, axis2), -1, dtype)
