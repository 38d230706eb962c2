"""Averages and spreads: mean, var, std, average; and the stable log-sum-exp family.

Gradients are right at the edges too: `std` of equal elements and `logsumexp` of -inf have gradient 0, not nan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, product
from graphad.numpy.arguments import averaging_dtype, axes_of, axis_of, dtype_of, no_out, refuse
from graphad.numpy.reductions import _NONE, masked, max, sum
from graphad.tracing.coerce import as_tensor, broadcast_all, constant
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


def _count(x: Tensor, axes: Sequence[int], where: Any, keepdims: Any) -> Any:
    """Return the number of elements that each result averages: a size, or a tensor where there is a mask."""
    if where is _NONE or where is True:
        return product(x.shape[k] for k in axes)
    mask = ops.cast(as_tensor(where), np.dtype(np.bool_))
    return ops.cast(sum(ops.broadcast_to(mask, x.shape), tuple(axes), keepdims=keepdims), x.dtype)


def _divided(total: Tensor, count: Any) -> Tensor:
    """total / count in the total's dtype."""
    divisor = count if isinstance(count, Tensor) else constant(count, total.dtype)
    return total / divisor


@implements(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = _NONE, *, where: Any = _NONE
) -> Tensor:
    """y = sum(a) / count over `axis` (None: all axes); float64 for integers and booleans."""
    no_out(out, "mean")
    x = as_tensor(a)
    wanted = dtype_of(dtype, averaging_dtype(x.dtype))
    # NumPy adds up half precision in float32.
    x = ops.cast(x, np.dtype(np.float32) if dtype is None and wanted == np.float16 else wanted)
    x = masked(x, where, 0)
    axes = axes_of(axis, x.ndim)
    return ops.cast(_divided(sum(x, axes, keepdims=keepdims), _count(x, axes, where, keepdims)), wanted)


@implements(np.var)
def var(
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
    """y = sum(|a - mean(a)|^2) / (count - ddof) over `axis`, real; `mean` may be given (with kept axes)."""
    no_out(out, "var")
    if correction is not _NONE:
        if ddof != 0:
            refuse("give ddof or correction, not both")
        ddof = correction
    x = as_tensor(a)
    x = ops.cast(x, dtype_of(dtype, averaging_dtype(x.dtype)))
    axes = axes_of(axis, x.ndim)
    centre = _mean(x, axes, keepdims=True, where=where) if mean is _NONE else as_tensor(mean)
    deviation = masked(x - centre, where, 0)
    square = ops.real_part(deviation * ops.conj(deviation))
    count = _count(square, axes, where, keepdims)
    if isinstance(ddof, float) or isinstance(count, Tensor):
        count = (count if isinstance(count, Tensor) else constant(count, square.dtype)) - ddof
    else:
        count = count - ddof
    # NumPy gives nan or inf, not a sign change, where ddof exceeds the count.
    if isinstance(count, int) and count < 0:
        count = 0
    return _divided(sum(square, axes, keepdims=keepdims), count)


_mean = mean


@implements(np.std)
def std(
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
    """y = sqrt(var(a)) over `axis`; its gradient is 0 where all elements are equal."""
    no_out(out, "std")
    variance = var(a, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    # The derivative of sqrt at 0 is infinite while that of the variance is 0: choose before the root, not after.
    zero = variance == 0
    one = ops.broadcast_to(constant(1, variance.dtype), variance.shape)
    root = ops.sqrt(ops.where(zero, one, variance))
    return ops.where(zero, variance.zeros_like(), root)


@implements(np.average)
def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = _NONE) -> Any:
    """y = sum(a * weights) / sum(weights) over `axis`; with `returned`, also the sum of the weights."""
    x = as_tensor(a)
    axes = axes_of(axis, x.ndim)
    if weights is None:
        result = mean(x, axes, keepdims=keepdims)
        total = constant(_count(x, axes, _NONE, False), result.dtype)
    else:
        w = as_tensor(weights)
        if w.shape != x.shape:
            if axis is None:
                refuse("axis must be given where the shapes of a and weights differ")
            given = axis if isinstance(axis, (tuple, list)) else (axis,)
            order = [axis_of(k, x.ndim) for k in given]
            if w.shape != tuple(x.shape[k] for k in order):
                refuse(f"weights of {w.type} fit neither {x.type} nor its axis {axis}")
            w = ops.transpose(w, sorted(range(len(order)), key=order.__getitem__))
            w = ops.reshape(w, tuple(n if k in order else 1 for k, n in enumerate(x.shape)))
        dtype = averaging_dtype(np.result_type(x.dtype, w.dtype))
        x, w = ops.cast(x, dtype), ops.cast(w, dtype)
        w = ops.broadcast_to(w, x.shape)
        total = sum(w, axes, keepdims=keepdims)
        result = sum(x * w, axes, keepdims=keepdims) / total
    return (result, ops.broadcast_to(total, result.shape)) if returned else result


# Log-sum-exp


def _shift(x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return max(x) over the axes, kept, as a constant for derivatives; 0 where it is not finite."""
    top = ops.stop_gradient(max(x, tuple(axes), keepdims=True))
    finite = ops.isfinite(top)
    return ops.where(finite, top, top.zeros_like())


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False) -> Tensor:
    """y = log(sum(b * exp(a))) over `axis`, without overflow (weights b default to 1).

    -inf where all elements are -inf (with gradient 0 there). Shifted by the maximum, as in SciPy.
    """
    x = as_tensor(a)
    x = ops.cast(x, averaging_dtype(x.dtype))
    if b is not None:
        x, w = broadcast_all([x, as_tensor(b)])
    axes = axes_of(axis, x.ndim)
    shift = _shift(x, axes)
    terms = ops.exp(x - shift)
    total = sum(terms if b is None else terms * w, axes, keepdims=True)
    empty = total == 0
    one = ops.broadcast_to(constant(1, total.dtype), total.shape)
    logarithm = ops.log(ops.where(empty, one, total)) + shift
    lowest = ops.broadcast_to(constant(-np.inf, total.dtype), total.shape)
    y = ops.where(empty, lowest, logarithm)
    return y if keepdims else ops.reshape(y, _without(y.shape, axes))


def _without(shape: Sequence[Dim], axes: Sequence[int]) -> tuple[Dim, ...]:
    return tuple(n for k, n in enumerate(shape) if k not in axes)


def softmax(x: Any, axis: Any = -1) -> Tensor:
    """y = exp(x) / sum(exp(x)) over `axis`, without overflow."""
    t = as_tensor(x)
    t = ops.cast(t, averaging_dtype(t.dtype))
    axes = axes_of(axis, t.ndim)
    terms = ops.exp(t - _shift(t, axes))
    return terms / sum(terms, axes, keepdims=True)


def log_softmax(x: Any, axis: Any = -1) -> Tensor:
    """y = x - logsumexp(x) over `axis`, without overflow."""
    t = as_tensor(x)
    t = ops.cast(t, averaging_dtype(t.dtype))
    axes = axes_of(axis, t.ndim)
    shifted = t - _shift(t, axes)
    return shifted - ops.log(sum(ops.exp(shifted), axes, keepdims=True))
