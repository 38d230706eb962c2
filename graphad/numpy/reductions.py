"""Reductions: NumPy functions that drop axes by adding, multiplying, comparing or counting, and running sums.

Averages stand in `statistics.py`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, at_least
from graphad.numpy.arguments import axes_of, axis_of, dtype_of, no_out, refuse, summing_dtype
from graphad.tracing.coerce import as_tensor, common_shape, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_NONE: Any = np._NoValue  # what NumPy passes for "not given"


def kept(y: Tensor, shape: Sequence[Dim], axes: Sequence[int], keepdims: Any) -> Tensor:
    """Return a reduction's result with size 1 at the reduced axes, if asked for."""
    if keepdims is _NONE or not keepdims:
        return y
    return ops.reshape(y, tuple(1 if k in axes else n for k, n in enumerate(shape)))


def masked(x: Tensor, where: Any, neutral: Any) -> Tensor:
    """Return x with `neutral` where the mask `where` is False, broadcast with the mask."""
    if where is _NONE or where is True:
        return x
    mask = ops.cast(as_tensor(where), np.dtype(np.bool_))
    shape = common_shape([x.shape, mask.shape])
    value, fill = promoted(x, neutral)
    return ops.where(ops.broadcast_to(mask, shape), ops.broadcast_to(value, shape), ops.broadcast_to(fill, shape))


def _folded(
    x: Tensor,
    axis: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
    neutral: Any,
    reduce: Callable[[Tensor, Sequence[int]], Tensor],
    combine: np.ufunc,
) -> Tensor:
    """Reduce x by `reduce` over the axes; `initial` joins the result by `combine`."""
    x = masked(x, where, neutral)
    axes = axes_of(axis, x.ndim)
    y = kept(reduce(x, axes), x.shape, axes, keepdims)
    if initial is _NONE or initial is None:
        return y
    return ops.cast(combine(y, initial), y.dtype)


@implements(np.sum)
def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = sum of a over `axis` (None: all axes); integers and booleans add up in 64 bits."""
    no_out(out, "sum")
    x = as_tensor(a)
    x = ops.cast(x, dtype_of(dtype, summing_dtype(x.dtype)))
    return _folded(x, axis, keepdims, initial, where, 0, ops.reduce_sum, np.add)


@implements(np.prod)
def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = product of a over `axis` (None: all axes); integers and booleans multiply up in 64 bits."""
    no_out(out, "prod")
    x = as_tensor(a)
    x = ops.cast(x, dtype_of(dtype, summing_dtype(x.dtype)))
    return _folded(x, axis, keepdims, initial, where, 1, ops.reduce_prod, np.multiply)


@implements(np.max, np.amax)
def max(
    a: Any,
    axis: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = largest element of a over `axis` (None: all axes). With `where` or an empty axis, give `initial`."""
    no_out(out, "max")
    return _extreme(as_tensor(a), axis, keepdims, initial, where, "max", ops.reduce_max, np.maximum)


@implements(np.min, np.amin)
def min(
    a: Any,
    axis: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = smallest element of a over `axis` (None: all axes). With `where` or an empty axis, give `initial`."""
    no_out(out, "min")
    return _extreme(as_tensor(a), axis, keepdims, initial, where, "min", ops.reduce_min, np.minimum)


amax, amin = max, min


def _extreme(
    x: Tensor,
    axis: Any,
    keepdims: Any,
    initial: Any,
    where: Any,
    name: str,
    reduce: Callable[[Tensor, Sequence[int]], Tensor],
    combine: np.ufunc,
) -> Tensor:
    axes = axes_of(axis, x.ndim)
    given = initial is not _NONE and initial is not None
    if not given:
        if where is not _NONE and where is not True:
            refuse(f"np.{name} with where= needs initial=: what an axis without True elements gives")
        if not builtins.all(at_least(x.shape[k], 1) for k in axes):
            refuse(f"np.{name} of {x.type} over an empty axis has no value; give initial=")
        return _folded(x, axis, keepdims, _NONE, _NONE, None, reduce, combine)
    if builtins.any(x.shape[k] == 0 for k in axes):
        shape = tuple(n for k, n in enumerate(x.shape) if k not in axes)
        return kept(ops.broadcast_to(promoted(x, initial)[1].astype(x.dtype), shape), x.shape, axes, keepdims)
    return _folded(x, axis, keepdims, initial, where, initial, reduce, combine)


@implements(np.any)
def any(a: Any, axis: Any = None, out: None = None, keepdims: Any = _NONE, *, where: Any = _NONE) -> Tensor:
    """y = whether some element of a over `axis` is true (not 0)."""
    no_out(out, "any")
    x = ops.cast(as_tensor(a), np.dtype(np.bool_))
    return _folded(x, axis, keepdims, _NONE, where, False, ops.reduce_any, np.logical_or)


@implements(np.all)
def all(a: Any, axis: Any = None, out: None = None, keepdims: Any = _NONE, *, where: Any = _NONE) -> Tensor:
    """y = whether every element of a over `axis` is true (not 0)."""
    no_out(out, "all")
    x = ops.cast(as_tensor(a), np.dtype(np.bool_))
    return _folded(x, axis, keepdims, _NONE, where, True, ops.reduce_all, np.logical_and)


@implements(np.argmax)
def argmax(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = _NONE) -> Tensor:
    """y = index of the first largest element along `axis` (None: of the flattened array), int64."""
    no_out(out, "argmax")
    return _arg(as_tensor(a), axis, keepdims, ops.argmax)


@implements(np.argmin)
def argmin(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = _NONE) -> Tensor:
    """y = index of the first smallest element along `axis` (None: of the flattened array), int64."""
    no_out(out, "argmin")
    return _arg(as_tensor(a), axis, keepdims, ops.argmin)


def _arg(x: Tensor, axis: Any, keepdims: Any, find: Callable[[Tensor, int], Tensor]) -> Tensor:
    if axis is None:
        return kept(find(ops.reshape(x, (x.size,)), 0), x.shape, range(x.ndim), keepdims)
    k = axis_of(axis, x.ndim)
    return kept(find(x, k), x.shape, (k,), keepdims)


@implements(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
    """y[k] = a[0] + ... + a[k] along `axis` (None: of the flattened array)."""
    no_out(out, "cumsum")
    x = as_tensor(a)
    x = ops.cast(x, dtype_of(dtype, summing_dtype(x.dtype)))
    if axis is None:
        return ops.cumsum(ops.reshape(x, (x.size,)), 0)
    return ops.cumsum(x, axis_of(axis, x.ndim))


@implements(np.count_nonzero)
def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """y = number of elements over `axis` that are not 0, int64."""
    return sum(ops.cast(as_tensor(a), np.dtype(np.bool_)), axis, keepdims=keepdims)


@implements(np.ptp)
def ptp(a: Any, axis: Any = None, out: None = None, keepdims: Any = _NONE) -> Tensor:
    """y = max(a) - min(a) over `axis`."""
    no_out(out, "ptp")
    return max(a, axis, keepdims=keepdims) - min(a, axis, keepdims=keepdims)
