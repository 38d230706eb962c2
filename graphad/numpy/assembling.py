"""Arrays put together from parts or parts of themselves: block, insert, delete, resize.

Where the parts go must be known while tracing: it decides the shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import product, static
from graphad.numpy.arguments import axis_of, known, refuse, shape_of
from graphad.numpy.joining import concatenate
from graphad.numpy.selecting import take
from graphad.numpy.shaping import moveaxis, ravel
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


def _with_axes(x: Tensor, ndim: int) -> Tensor:
    """Return x with at least `ndim` axes, new ones in front."""
    return ops.reshape(x, (*(1,) * (ndim - x.ndim), *x.shape))


@implements(np.block)
def block(arrays: Any) -> Tensor:
    """Join nested lists of blocks: the innermost along the last axis, the outermost along the first of as many axes."""
    ndim = max(_depth(arrays), _most_axes(arrays))

    def joined(part: Any, depth: int) -> Tensor:
        if not isinstance(part, list):
            return _with_axes(as_tensor(part), ndim)
        return concatenate([joined(item, depth - 1) for item in part], -depth)

    return joined(arrays, _depth(arrays))


def _depth(arrays: Any) -> int:
    if not isinstance(arrays, list):
        return 0
    depths = {_depth(item) for item in arrays}
    if len(depths) != 1:
        refuse("np.block takes lists nested equally deep, none of them empty")
    return 1 + depths.pop()


def _most_axes(arrays: Any) -> int:
    return max(map(_most_axes, arrays)) if isinstance(arrays, list) else as_tensor(arrays).ndim


def _flat_or_along(arr: Any, axis: Any) -> tuple[Tensor, int]:
    if axis is None:
        return ravel(arr), 0
    x = as_tensor(arr)
    return x, axis_of(axis, x.ndim)


@implements(np.delete)
def delete(arr: Any, obj: Any, axis: Any = None) -> Tensor:
    """Return arr without the elements at `obj` (a position, a slice, positions or a mask) along `axis` (None: flat)."""
    x, k = _flat_or_along(arr, axis)
    where = obj if isinstance(obj, slice) else known(obj, "what np.delete takes out")
    if isinstance(where, np.ndarray) and where.size == 0:
        where = where.astype(np.int64)
    return take(x, np.delete(np.arange(static(x.shape[k])), where), k)


@implements(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: Any = None) -> Tensor:
    """Return arr with `values` in front of the positions `obj` along `axis` (None: of the flattened array)."""
    x, k = _flat_or_along(arr, axis)
    n = static(x.shape[k])
    where = np.arange(n)[obj] if isinstance(obj, slice) else known(obj, "where np.insert puts values")
    if where.dtype.kind == "b":
        where = np.flatnonzero(where)
    new = _with_axes(ops.cast(as_tensor(values), x.dtype), x.ndim)
    if where.ndim == 0:
        new = moveaxis(new, 0, k)
    count = static(new.shape[k]) if where.size == 1 else where.size
    new = ops.broadcast_to(new, (*x.shape[:k], count, *x.shape[k + 1 :]))
    position = where.reshape(-1)[0] if where.size == 1 else where
    return take(concatenate([x, new], k), np.insert(np.arange(n), position, np.arange(n, n + count)), k)


@implements(np.resize)
def resize(a: Any, new_shape: Any) -> Tensor:
    """Return the elements of a, repeated in their order as often as it takes, in another shape."""
    x, shape = ravel(a), shape_of(new_shape)
    n, count = static(x.shape[0]), static(product(shape))
    if n == 0:
        return ops.zeros(shape, x.dtype)
    return ops.reshape(take(x, np.arange(count) % n), shape)
