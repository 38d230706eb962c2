"""Resizing images: other spatial sizes by the nearest element or by linear interpolation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import static
from graphad.nn.arguments import each_axis
from graphad.numpy.arguments import averaging_dtype, refuse
from graphad.numpy.selecting import take
from graphad.tracing.coerce import as_tensor, constant
from graphad.tracing.tensor import Tensor

METHODS = ("nearest", "linear", "bilinear", "trilinear")


def resize(x: Any, size: Any, method: str = "bilinear", antialias: bool = False) -> Tensor:
    """Resize the spatial axes of x [batch, channels, *space] to `size`.

    Element k of n stands at (k + 1/2) / n of the way (half-pixel centres), as in `jax.image.resize` and in
    `torch.nn.functional.interpolate` with align_corners=False ("nearest" is torch's "nearest-exact").

    Args:
        x: [batch, channels, *space]; integers become float64 unless `method` is "nearest".
        size: one number for all spatial axes, or one for each.
        method: "nearest", or "linear" (also called "bilinear" and "trilinear"): interpolate along one axis after
            the other. Outside the outer centres the image is constant.
        antialias: when shrinking, average over as many elements as one of the result covers (a triangle as wide), as
            `jax.image.resize` does by default; otherwise only the two neighbours count, as torch does by default.
    """
    t = as_tensor(x)
    if t.ndim < 3:
        refuse(f"resize needs [batch, channels, *space], not {t.type}")
    if method not in METHODS:
        refuse(f"method must be one of {', '.join(METHODS)}, not {method!r}")
    sizes = each_axis(size, t.ndim - 2, "size")
    if method == "nearest":
        return _nearest(t, sizes)
    t = t.astype(averaging_dtype(t.dtype))
    for axis, m in enumerate(sizes, 2):
        n = _checked(t, axis)
        if m == n:
            continue
        t = _averaged(t, axis, m, n) if antialias and m < n else _between(t, axis, m, n)
    return t


def _checked(x: Tensor, axis: int) -> int:
    n = static(x.shape[axis])
    if n == 0:
        refuse(f"cannot resize the empty axis {axis} of {x.type}")
    return n


def _nearest(x: Tensor, sizes: Sequence[int]) -> Tensor:
    for axis, m in enumerate(sizes, 2):
        n = _checked(x, axis)
        if m != n:
            x = take(x, np.floor((np.arange(m) + 0.5) * (n / m)).astype(np.int64).clip(0, n - 1), axis)
    return x


def _between(x: Tensor, axis: int, m: int, n: int) -> Tensor:
    """Interpolate between the two nearest elements."""
    place = ((np.arange(m) + 0.5) * (n / m) - 0.5).clip(0, n - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, n - 1)
    share = constant((place - low).astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis)))
    first = take(x, low, axis)
    return first + (take(x, high, axis) - first) * share


def _averaged(x: Tensor, axis: int, m: int, n: int) -> Tensor:
    """Weight elements by a triangle as wide as two elements of the result."""
    ratio = n / m
    centre = (np.arange(m) + 0.5) * ratio - 0.5
    weights = np.maximum(0.0, 1 - np.abs(np.arange(n) - centre[:, None]) / ratio)
    matrix = constant((weights / weights.sum(1, keepdims=True)).astype(x.dtype).T)
    order = [k for k in range(x.ndim) if k != axis]
    moved = ops.transpose(x, (*order, axis))
    rows = ops.reshape(moved, (x.size // n, n))
    y = ops.reshape(ops.matmul(rows, matrix), (*moved.shape[:-1], m))
    return ops.transpose(y, sorted(range(x.ndim), key=(*order, axis).__getitem__))
