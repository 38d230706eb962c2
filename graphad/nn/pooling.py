"""Pooling: sums, means and extremes of windows that slide over an array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim
from graphad.nn.arguments import Pads, each_axis, pads_of
from graphad.numpy import pad
from graphad.numpy.arguments import averaging_dtype, refuse
from graphad.ops.windows import window_max, window_min, window_sum
from graphad.tracing.coerce import as_tensor
from graphad.tracing.tensor import Tensor


def reduce_window(
    x: Any, reduction: str, window: Any, strides: Any = 1, padding: Any = "valid", dilation: Any = 1
) -> Tensor:
    """Reduce each window of x, which slides over all its axes (`jax.lax.reduce_window`).

    Args:
        x: any array of numbers.
        reduction: "sum", "mean", "max" or "min". Padding counts as 0 for sums, not at all for the others. Where
            elements of a window are equally large, the first in row-major order gets the gradient (as in torch and
            JAX); nan is larger and smaller than all.
        window, strides, dilation: sizes, steps, and distances of a window's elements: a number, or one for each axis.
        padding: as for `conv`.
    """
    t = as_tensor(x)
    return _reduced(t, reduction, window, strides, padding, dilation, 0)


def max_pool(x: Any, window: Any, strides: Any = None, padding: Any = "valid", dilation: Any = 1) -> Tensor:
    """y[n,c,t] = largest element of the window at t*stride, for x [batch, channels, *space].

    Padding never wins. Strides are the window's size if not given. Of equally large elements the first in row-major
    order gets the gradient, as in torch and JAX.
    """
    return _pooled(x, "max", window, strides, padding, dilation)


def min_pool(x: Any, window: Any, strides: Any = None, padding: Any = "valid", dilation: Any = 1) -> Tensor:
    """y[n,c,t] = smallest element of the window at t*stride (see `max_pool`)."""
    return _pooled(x, "min", window, strides, padding, dilation)


def avg_pool(
    x: Any,
    window: Any,
    strides: Any = None,
    padding: Any = "valid",
    dilation: Any = 1,
    count_include_pad: bool = False,
) -> Tensor:
    """y[n,c,t] = mean of the window at t*stride, for x [batch, channels, *space].

    Padding counts as elements that are 0 if `count_include_pad`, else not at all.
    """
    if not count_include_pad:
        return _pooled(x, "mean", window, strides, padding, dilation)
    total = _pooled(as_tensor(x).astype(averaging_dtype(as_tensor(x).dtype)), "sum", window, strides, padding, dilation)
    places = 1
    for n in each_axis(window, as_tensor(x).ndim - 2, "window"):
        places *= n
    return total / places


def _pooled(x: Any, reduction: str, window: Any, strides: Any, padding: Any, dilation: Any) -> Tensor:
    t = as_tensor(x)
    if t.ndim < 2:
        refuse(f"pooling needs [batch, channels, *space], not {t.type}")
    return _reduced(t, reduction, window, window if strides is None else strides, padding, dilation, 2)


def _reduced(x: Tensor, reduction: str, window: Any, strides: Any, padding: Any, dilation: Any, fixed: int) -> Tensor:
    """Reduce windows that slide over all axes but the first `fixed`."""
    count = x.ndim - fixed
    window, strides = each_axis(window, count, "window"), each_axis(strides, count, "strides")
    dilation = each_axis(dilation, count, "dilation")
    pads = pads_of(padding, x.shape[fixed:], window, strides, dilation)
    if any(isinstance(n, int) and n < 0 for pair in pads for n in pair):
        refuse(f"the padding of a window must not be negative, got {padding!r}")
    ones = (1,) * fixed
    shape = ((*ones, *window), (*ones, *strides), (*ones, *dilation))
    around: Pads = (((0, 0),) * fixed) + pads
    if reduction == "sum":
        return window_sum(_surrounded(x, around), *shape)
    if reduction == "mean":
        x = x.astype(averaging_dtype(x.dtype))
        total = window_sum(_surrounded(x, around), *shape)
        mean: Tensor = total / _counts(x, around, shape, total)
        return mean
    if reduction in ("max", "min"):
        limit = _limit(x, reduction)
        padded = pad(x, around, constant_values=limit) if _grows(around) else x
        return (window_max if reduction == "max" else window_min)(padded, *shape)
    return refuse(f"reduction must be 'sum', 'mean', 'max' or 'min', not {reduction!r}")


def _grows(pads: Pads) -> bool:
    return any(n != 0 for pair in pads for n in pair)


def _surrounded(x: Tensor, pads: Pads) -> Tensor:
    return ops.pad(x, [low for low, _ in pads], [high for _, high in pads])


def _counts(x: Tensor, pads: Pads, shape: tuple[Sequence[int], ...], total: Tensor) -> Any:
    """Return how many elements of x, rather than of the padding, each window holds."""
    if not _grows(pads):
        places = 1
        for n in shape[0]:
            places *= n
        return places
    sizes: list[Dim] = [n if pair != (0, 0) else 1 for n, pair in zip(x.shape, pads, strict=True)]
    unpadded = [pair == (0, 0) for pair in pads]
    places = 1
    for n, whole in zip(shape[0], unpadded, strict=True):
        places *= n if whole else 1
    window, strides, dilation = (
        [1 if whole else n for n, whole in zip(numbers, unpadded, strict=True)] for numbers in shape
    )
    counted = window_sum(_surrounded(ops.ones(sizes, x.dtype), pads), window, strides, dilation)
    return ops.broadcast_to(counted * places, total.shape)


def _limit(x: Tensor, reduction: str) -> Any:
    """Return what no element exceeds, and so never wins."""
    if x.dtype.kind == "f":
        return -np.inf if reduction == "max" else np.inf
    if x.dtype.kind not in "iu":
        return refuse(f"windows of {x.type} have no largest element; cast first")
    limits = np.iinfo(x.dtype)
    return int(limits.min if reduction == "max" else limits.max)
