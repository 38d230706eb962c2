"""Running products and extremes along an axis, and the array API's names for running sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.numpy.arguments import axis_of, dtype_of, no_out, refuse, summing_dtype
from graphad.numpy.joining import concatenate
from graphad.numpy.missing import without_nan
from graphad.numpy.reductions import cumsum
from graphad.numpy.shaping import ravel
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements, implements_method, implements_newer
from graphad.tracing.tensor import Tensor


@implements(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
    """y[k] = a[0] * ... * a[k] along `axis` (None: of the flattened array); derivatives are exact at zeros, too."""
    no_out(out, "cumprod")
    x = as_tensor(a)
    x = ops.cast(x, dtype_of(dtype, summing_dtype(x.dtype)))
    if axis is None:
        return ops.cumprod(ravel(x), 0)
    return ops.cumprod(x, axis_of(axis, x.ndim))


@implements_newer("cumulative_sum")
def cumulative_sum(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Tensor:
    """y[k] = x[0] + ... + x[k] along `axis` (needed unless x has one); with `include_initial`, 0 first."""
    no_out(out, "cumulative_sum")
    return _cumulative(x, axis, dtype, include_initial, cumsum, 0)


@implements_newer("cumulative_prod")
def cumulative_prod(
    x: Any, /, *, axis: Any = None, dtype: Any = None, out: None = None, include_initial: bool = False
) -> Tensor:
    """y[k] = x[0] * ... * x[k] along `axis` (needed unless x has one); with `include_initial`, 1 first."""
    no_out(out, "cumulative_prod")
    return _cumulative(x, axis, dtype, include_initial, cumprod, 1)


def _cumulative(
    x: Any, axis: Any, dtype: Any, include_initial: bool, running: Callable[..., Tensor], initial: int
) -> Tensor:
    t = as_tensor(x)
    if t.ndim == 0 or (axis is None and t.ndim > 1):
        refuse(f"an axis must be named for {t.type}: running sums and products need one axis")
    k = 0 if axis is None else axis_of(axis, t.ndim)
    y = running(t, k, dtype)
    if not include_initial:
        return y
    first = ops.full([1 if axis == k else n for axis, n in enumerate(y.shape)], initial, y.dtype)
    return concatenate([first, y], k)


@implements(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
    """y = cumsum of a with nan taken as 0."""
    no_out(out, "nancumsum")
    return cumsum(without_nan(a, 0), axis, dtype)


@implements(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: None = None) -> Tensor:
    """y = cumprod of a with nan taken as 1."""
    no_out(out, "nancumprod")
    return cumprod(without_nan(a, 1), axis, dtype)


@implements_method(np.maximum, "accumulate")
def cummax(a: Any, axis: Any = 0, dtype: Any = None) -> Tensor:
    """y[k] = max(a[0], ..., a[k]) along `axis`; of equal elements the first gets the gradient."""
    return _extreme(a, axis, dtype, ops.cummax)


@implements_method(np.minimum, "accumulate")
def cummin(a: Any, axis: Any = 0, dtype: Any = None) -> Tensor:
    """y[k] = min(a[0], ..., a[k]) along `axis`; of equal elements the first gets the gradient."""
    return _extreme(a, axis, dtype, ops.cummin)


def _extreme(a: Any, axis: Any, dtype: Any, running: Callable[[Tensor, int], Tensor]) -> Tensor:
    x = as_tensor(a)
    return running(ops.cast(x, dtype_of(dtype, x.dtype)), axis_of(axis, x.ndim))


implements_method(np.multiply, "accumulate")(lambda array, axis=0, dtype=None: cumprod(array, axis, dtype))
