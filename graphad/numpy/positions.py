"""Positions in arrays: flat positions from positions an axis and back, open meshes, diagonals and triangles."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import product, static
from graphad.numpy.arguments import known, refuse, shape_of
from graphad.numpy.elementwise import clip
from graphad.tracing.coerce import as_tensor, constant
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)


def _strides(shape: tuple[Any, ...], order: str) -> list[Any]:
    """Return how many elements lie between neighbours along each axis."""
    if order not in ("C", "F"):
        refuse(f"order must be 'C' or 'F', not {order!r}")
    return [product(shape[k + 1 :] if order == "C" else shape[:k]) for k in range(len(shape))]


def _whole(index: Any) -> Tensor:
    found = as_tensor(index)
    if found.dtype.kind not in "iu":
        refuse(f"positions must be integers, not {found.type}")
    return ops.cast(found, _INDEX)


@implements(np.ravel_multi_index)
def ravel_multi_index(multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C") -> Tensor:
    """y = position in the flattened array of a shape `dims`; `mode`, for each axis, as in `take`.

    Positions outside with mode "raise" are not noticed: elements are not known while tracing.
    """
    shape = shape_of(dims)
    parts = [multi_index] if len(shape) == 1 and not isinstance(multi_index, (tuple, list)) else list(multi_index)
    modes = (mode,) * len(shape) if isinstance(mode, str) else tuple(mode)
    if not len(parts) == len(shape) == len(modes):
        refuse(f"np.ravel_multi_index needs positions along each of {len(shape)} axes, got {len(parts)}")
    total: Any = constant(0, _INDEX)
    for part, n, stride, how in zip(parts, shape, _strides(shape, order), modes, strict=True):
        index = _whole(part)
        if how == "wrap":
            index = index % n
        elif how == "clip":
            index = clip(index, 0, n - 1)
        total = total + index * stride
    return as_tensor(total)


@implements(np.unravel_index)
def unravel_index(indices: Any, shape: Any, order: str = "C") -> tuple[Tensor, ...]:
    """y[k] = position along axis k of a position in the flattened array."""
    sizes, flat = shape_of(shape), _whole(indices)
    return tuple(flat // stride % n for n, stride in zip(sizes, _strides(sizes, order), strict=True))


@implements(np.ix_)
def ix_(*args: Any) -> tuple[Tensor, ...]:
    """Return index arrays that select the grid of these positions (or known masks), one axis an argument."""
    found = []
    for k, arg in enumerate(args):
        x = as_tensor(arg)
        if x.ndim != 1:
            refuse(f"np.ix_ takes arrays of one axis, got {x.type}")
        if x.dtype.kind == "b":
            x = constant(np.flatnonzero(known(x, "a mask of np.ix_")))
        found.append(ops.reshape(x, tuple(x.shape[0] if i == k else 1 for i in range(len(args)))))
    return tuple(found)


@implements(np.diag_indices_from)
def diag_indices_from(arr: Any) -> tuple[Tensor, ...]:
    """Return the positions of the diagonal of an array with two or more axes of one size."""
    x = as_tensor(arr)
    if x.ndim < 2 or any(n != x.shape[0] for n in x.shape):
        refuse(f"np.diag_indices_from needs two or more axes of one size, got {x.type}")
    return (ops.iota((x.shape[0],), 0, _INDEX),) * x.ndim


def _matrix(arr: Any, name: str) -> tuple[int, int]:
    x = as_tensor(arr)
    if x.ndim != 2:
        refuse(f"np.{name} needs a matrix, got {x.type}")
    return static(x.shape[0]), static(x.shape[1])


@implements(np.tril_indices_from)
def tril_indices_from(arr: Any, k: int = 0) -> tuple[Tensor, ...]:
    """Return the positions of a matrix on and below its diagonal k."""
    rows, columns = _matrix(arr, "tril_indices_from")
    return tuple(map(constant, np.tril_indices(rows, k, columns)))


@implements(np.triu_indices_from)
def triu_indices_from(arr: Any, k: int = 0) -> tuple[Tensor, ...]:
    """Return the positions of a matrix on and above its diagonal k."""
    rows, columns = _matrix(arr, "triu_indices_from")
    return tuple(map(constant, np.triu_indices(rows, k, columns)))
