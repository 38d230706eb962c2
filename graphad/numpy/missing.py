"""Reductions that leave nan out: what nan stands for is a missing element, and no gradient flows to it."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.types import is_inexact
from graphad.numpy.arguments import averaging_dtype, axes_of, dtype_of, no_out
from graphad.numpy.elementwise import where as choose
from graphad.numpy.reductions import _NONE, argmax, argmin, max, min, prod, sum
from graphad.numpy.statistics import std, var
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_BOOL = np.dtype(np.bool_)


def without_nan(a: Any, value: Any) -> Tensor:
    """Return a with `value` in place of nan."""
    x = as_tensor(a)
    return x if not is_inexact(x.dtype) else ops.where(ops.isnan(x), ops.full(x.shape, value, x.dtype), x)


def _present(x: Tensor, where: Any) -> Any:
    """Return where x is not nan and `where` holds, as the `where` of a reduction."""
    if not is_inexact(x.dtype):
        return where
    there = ops.logical_not(ops.isnan(x))
    if where is _NONE or where is True:
        return there
    return np.logical_and(there, ops.cast(as_tensor(where), _BOOL))


@implements(np.nansum)
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = sum of the elements over `axis` that are not nan; 0 where all are."""
    no_out(out, "nansum")
    return sum(without_nan(a, 0), axis, dtype, None, keepdims, initial, where)


@implements(np.nanprod)
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = product of the elements over `axis` that are not nan; 1 where all are."""
    no_out(out, "nanprod")
    return prod(without_nan(a, 1), axis, dtype, None, keepdims, initial, where)


@implements(np.nanmax)
def nanmax(
    a: Any,
    axis: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = largest element over `axis` that is not nan; nan where all are."""
    no_out(out, "nanmax")
    x = as_tensor(a)
    y = max(without_nan(x, -np.inf), axis, None, keepdims, initial, where)
    return _nan_where_all_are(y, x, axis, keepdims, initial)


@implements(np.nanmin)
def nanmin(
    a: Any,
    axis: Any = None,
    out: None = None,
    keepdims: Any = _NONE,
    initial: Any = _NONE,
    where: Any = _NONE,
) -> Tensor:
    """y = smallest element over `axis` that is not nan; nan where all are."""
    no_out(out, "nanmin")
    x = as_tensor(a)
    y = min(without_nan(x, np.inf), axis, None, keepdims, initial, where)
    return _nan_where_all_are(y, x, axis, keepdims, initial)


def _nan_where_all_are(y: Tensor, x: Tensor, axis: Any, keepdims: Any, initial: Any) -> Tensor:
    if not is_inexact(x.dtype) or (initial is not _NONE and initial is not None):
        return y
    from graphad.numpy.reductions import all

    return ops.cast(choose(all(ops.isnan(x), axis, keepdims=keepdims), np.nan, y), y.dtype)


@implements(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = _NONE, *, where: Any = _NONE
) -> Tensor:
    """y = mean of the elements over `axis` that are not nan; nan where all are."""
    no_out(out, "nanmean")
    x = as_tensor(a)
    present = _present(x, where)
    dtype = dtype_of(dtype, averaging_dtype(x.dtype))
    total = sum(without_nan(x, 0), axis, dtype, None, keepdims, _NONE, where)
    if present is _NONE or present is True:
        present = ops.full(x.shape, True, _BOOL)
    count = sum(ops.broadcast_to(as_tensor(present), x.shape), axes_of(axis, x.ndim), keepdims=keepdims)
    return total / ops.cast(count, total.dtype)


@implements(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = _NONE,
    *,
    where: Any = _NONE,
    mean: Any = _NONE,
    correction: Any = _NONE,
) -> Tensor:
    """y = variance of the elements over `axis` that are not nan; nan where no more than `ddof` are."""
    no_out(out, "nanvar")
    x = as_tensor(a)
    y = var(
        without_nan(x, 0), axis, dtype, None, ddof, keepdims, where=_present(x, where), mean=mean, correction=correction
    )
    return _nan_where_too_few(y, x, axis, ddof if correction is _NONE else correction, keepdims, where)


@implements(np.nanstd)
def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: None = None,
    ddof: Any = 0,
    keepdims: Any = _NONE,
    *,
    where: Any = _NONE,
    mean: Any = _NONE,
    correction: Any = _NONE,
) -> Tensor:
    """y = standard deviation of the elements over `axis` that are not nan; nan where no more than `ddof` are."""
    no_out(out, "nanstd")
    x = as_tensor(a)
    y = std(
        without_nan(x, 0), axis, dtype, None, ddof, keepdims, where=_present(x, where), mean=mean, correction=correction
    )
    return _nan_where_too_few(y, x, axis, ddof if correction is _NONE else correction, keepdims, where)


def _nan_where_too_few(y: Tensor, x: Tensor, axis: Any, ddof: Any, keepdims: Any, where: Any) -> Tensor:
    present = _present(x, where)
    if present is _NONE or present is True:
        return y
    count = sum(ops.broadcast_to(as_tensor(present), x.shape), axes_of(axis, x.ndim), keepdims=keepdims)
    return ops.cast(choose(count <= ddof, np.nan, y), y.dtype)


@implements(np.nanargmax)
def nanargmax(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = _NONE) -> Tensor:
    """y = index of the first largest element along `axis` that is not nan; 0 where all are (NumPy raises an error)."""
    no_out(out, "nanargmax")
    return argmax(without_nan(a, -np.inf), axis, keepdims=keepdims)


@implements(np.nanargmin)
def nanargmin(a: Any, axis: Any = None, out: None = None, *, keepdims: Any = _NONE) -> Tensor:
    """y = index of the first smallest element along `axis` that is not nan; 0 where all are (NumPy raises an error)."""
    no_out(out, "nanargmin")
    return argmin(without_nan(a, np.inf), axis, keepdims=keepdims)
