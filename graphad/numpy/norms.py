"""Norms of vectors and matrices, and condition numbers.

At an all-zero vector or matrix, where norms have a kink, the gradient is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import product
from graphad.ir.types import is_complex
from graphad.numpy.arguments import axes_of, axis_of, refuse
from graphad.numpy.decompositions import floating, matrices, svdvals
from graphad.numpy.elementwise import where
from graphad.numpy.reductions import kept
from graphad.numpy.systems import inv
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


@implements(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """y = norm of vectors (one axis) or matrices (two axes); of all elements together where neither is given.

    `ord` for vectors is a number p, for ``sum(|x|^p)^(1/p)``, inf, -inf, or 0 (the count of what is not 0); for
    matrices "fro", "nuc", 2, -2 (of singular values), 1, -1, inf, -inf (of column and row sums).
    """
    a = floating(x)
    if axis is None and (ord is None or (_is(ord, "fro", "f") and a.ndim == 2) or (_is(ord, 2) and a.ndim == 1)):
        return kept(_euclidean(a, tuple(range(a.ndim))), a.shape, range(a.ndim), keepdims)
    if axis is None:
        axis = tuple(range(a.ndim))
    axes = [axis_of(k, a.ndim) for k in (axis if isinstance(axis, (tuple, list)) else (axis,))]
    if len(axes) == 1:
        return kept(_of_vectors(a, axes, ord), a.shape, axes, keepdims)
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    if axes[0] == axes[1]:
        raise ValueError("Duplicate axes given.")
    return kept(_of_matrices(a, axes[0], axes[1], ord), a.shape, axes, keepdims)


@implements(np.linalg.vector_norm)
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """y = norm of the vectors that the elements along `axis` (any number of axes; None: all) are."""
    a = floating(x)
    if is_complex(a.dtype):
        a = a.__abs__()
    axes = axes_of(axis, a.ndim)
    return kept(_of_vectors(a, axes, ord), a.shape, axes, keepdims)


@implements(np.linalg.matrix_norm)
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """y = norm of the matrices in the last two axes."""
    a = matrices(x, "matrix_norm")
    axes = (a.ndim - 2, a.ndim - 1)
    return kept(_of_matrices(a, *axes, ord), a.shape, axes, keepdims)


@implements(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Tensor:
    """y = norm of x times the norm of its inverse; for None and 2, the largest by the smallest singular value.

    Of a singular matrix that is inf for None and 2, and of zeros for -2; the other norms raise LinAlgError, where
    NumPy gives inf.
    """
    a = matrices(x, "cond")
    if p is None or _is(p, 2, -2):
        s = svdvals(a)
        largest, smallest = s[..., 0], s[..., -1]
        ratio: Tensor = smallest / largest if _is(p, -2) else largest / smallest
        return where(largest == 0, np.inf, ratio)
    both: Tensor = norm(a, p, (-2, -1)) * norm(inv(a), p, (-2, -1))
    return both


def _is(order: Any, *known: Any) -> bool:
    """Tell whether `order` is one of these; never true of an array or a tensor, for which == means another thing."""
    return isinstance(order, (str, int, float, np.integer, np.floating)) and order in known


def _magnitude_squared(x: Tensor) -> Tensor:
    return ops.real_part(ops.mul(x, ops.conj(x)))


def _euclidean(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the root of the sum of squares, with gradient 0 at 0."""
    return _root(ops.reduce_sum(_magnitude_squared(x), axes), 0.5)


def _root(total: Tensor, exponent: float) -> Tensor:
    """Return total ** exponent; where total is 0, without a gradient, which would be infinite."""
    nothing = total == 0
    safe = ops.where(nothing, ops.ones(total.shape, total.dtype), total)
    return ops.where(nothing, total.zeros_like(), safe**exponent)


def _of_vectors(x: Tensor, axes: Sequence[int], order: Any) -> Tensor:
    axes = sorted(axes)
    if order is None or _is(order, 2):
        return _euclidean(x, axes)
    if isinstance(order, str):
        raise ValueError(f"Invalid norm order '{order}' for vectors")
    if not isinstance(order, (int, float, np.integer, np.floating)):
        refuse(f"the order of a norm must be a number known while tracing, got {type(order).__name__}")
    magnitude = ops.absolute(x)
    if order == np.inf:
        return _largest(magnitude, axes)
    if order == -np.inf:
        return ops.reduce_min(magnitude, axes)
    if order == 0:
        return ops.reduce_sum(ops.cast(x != 0, magnitude.dtype), axes)
    if order == 1:
        return ops.reduce_sum(magnitude, axes)
    total = ops.reduce_sum(magnitude ** float(order), axes)
    return _root(total, 1 / float(order)) if order > 0 else total ** (1 / float(order))


def _largest(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return the largest of elements that are not negative; 0 of none."""
    empty = product(x.shape[k] for k in axes)
    return ops.reduce_sum(x, axes) if isinstance(empty, int) and empty == 0 else ops.reduce_max(x, axes)


def _of_matrices(x: Tensor, rows: int, columns: int, order: Any) -> Tensor:
    if order is None or _is(order, "fro", "f"):
        return _euclidean(x, sorted((rows, columns)))
    if _is(order, 2, -2, "nuc"):
        rest = [k for k in range(x.ndim) if k not in (rows, columns)]
        s = svdvals(ops.transpose(x, (*rest, rows, columns)))
        last = (s.ndim - 1,)
        if order == "nuc":
            return ops.reduce_sum(s, last)
        return _largest(s, last) if order == 2 else ops.reduce_min(s, last)
    if not _is(order, 1, -1, np.inf, -np.inf):
        raise ValueError("Invalid norm order for matrices.")
    added, compared = (rows, columns) if abs(order) == 1 else (columns, rows)
    sums = ops.reduce_sum(ops.absolute(x), (added,))
    over = (compared - (added < compared),)
    return _largest(sums, over) if order > 0 else ops.reduce_min(sums, over)
