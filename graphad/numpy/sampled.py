"""Functions given by samples: gradient, trapezoid, interp, unwrap, ediff1d."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import at_least
from graphad.ir.types import is_complex, real_dtype
from graphad.numpy.arguments import averaging_dtype, axes_of, axis_of, is_number, refuse
from graphad.numpy.differences import diff
from graphad.numpy.elementwise import as_float, where
from graphad.numpy.joining import concatenate
from graphad.numpy.reductions import cumsum, sum
from graphad.numpy.shaping import between, ravel
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements, implements_newer
from graphad.tracing.tensor import Tensor

_F64 = np.dtype(np.float64)


@implements(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Return df/dx by central differences inside and one-sided ones of `edge_order` at the ends, for each axis.

    `varargs`: the spacing, one for all axes or one for each; a number, or the coordinates along the axis.
    """
    x = as_float(f)
    axes = axes_of(axis, x.ndim) if axis is None or not isinstance(axis, tuple) else [axis_of(k, x.ndim) for k in axis]
    if len(varargs) not in (0, 1, len(axes)) or edge_order not in (1, 2):
        refuse("np.gradient takes one spacing, or one for each axis, and edge_order 1 or 2")
    spacings = list(varargs) * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    slopes = [_slope(x, k, spacing, edge_order) for k, spacing in zip(axes, spacings, strict=True)]
    return slopes[0] if len(slopes) == 1 else tuple(slopes)


def _slope(x: Tensor, k: int, spacing: Any, edge_order: int) -> Tensor:
    n = x.shape[k]
    if not at_least(n, edge_order + 1):
        refuse(f"np.gradient needs at least {edge_order + 1} elements along axis {k} of {x.type}")
    h = _spacing(spacing, x, k)

    def part(start: Any, stop: Any) -> Tensor:
        return between(x, k, start, stop)

    if np.ndim(h) == 0:
        inner = (part(2, n) - part(0, n - 2)) / (2 * h)
        if edge_order == 1:
            first, last = (part(1, 2) - part(0, 1)) / h, (part(n - 1, n) - part(n - 2, n - 1)) / h
        else:
            first = -1.5 / h * part(0, 1) + 2.0 / h * part(1, 2) - 0.5 / h * part(2, 3)
            last = 0.5 / h * part(n - 3, n - 2) - 2.0 / h * part(n - 2, n - 1) + 1.5 / h * part(n - 1, n)
        return concatenate([first, inner, last], k)
    left, right = between(h, k, 0, n - 2), between(h, k, 1, n - 1)
    inner = (
        -right / (left * (left + right)) * part(0, n - 2)
        + (right - left) / (left * right) * part(1, n - 1)
        + left / (right * (left + right)) * part(2, n)
    )
    d0, d1 = between(h, k, 0, 1), between(h, k, 1, 2) if edge_order == 2 else None
    e0, e1 = between(h, k, n - 2, n - 1), between(h, k, n - 3, n - 2) if edge_order == 2 else None
    if d1 is None or e1 is None:
        first, last = (part(1, 2) - part(0, 1)) / d0, (part(n - 1, n) - part(n - 2, n - 1)) / e0
    else:
        first = (
            -(2 * d0 + d1) / (d0 * (d0 + d1)) * part(0, 1)
            + (d0 + d1) / (d0 * d1) * part(1, 2)
            - d0 / (d1 * (d0 + d1)) * part(2, 3)
        )
        last = (
            e0 / (e1 * (e1 + e0)) * part(n - 3, n - 2)
            - (e0 + e1) / (e1 * e0) * part(n - 2, n - 1)
            + (2 * e0 + e1) / (e0 * (e1 + e0)) * part(n - 1, n)
        )
    return concatenate([first, inner, last], k)


def _spacing(spacing: Any, x: Tensor, k: int) -> Any:
    """Return the spacing as a number (or scalar tensor), or as the distances of neighbours, along axis k of x."""
    if is_number(spacing):
        known = np.asarray(spacing, real_dtype(x.dtype))
        if known.ndim == 0:
            return float(known)
        steps = np.diff(known)
        if known.shape == (x.shape[k],) and (steps == steps[0]).all():
            return float(steps[0])
    t = ops.cast(as_tensor(spacing), x.dtype)
    if t.ndim == 0:
        return t
    if t.shape != (x.shape[k],):
        refuse(f"np.gradient needs one coordinate for each of {x.shape[k]} elements, got {t.type}")
    distances = diff(t)
    return ops.reshape(distances, [distances.shape[0] if axis == k else 1 for axis in range(x.ndim)])


@implements_newer("trapezoid")
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: Any = -1) -> Tensor:
    """Return the integral of y over x (or samples `dx` apart) along `axis` by the trapezoidal rule."""
    t = as_tensor(y)
    k = axis_of(axis, t.ndim)
    n = t.shape[k]
    if x is None:
        width: Any = dx
    else:
        at = as_tensor(x)
        if at.ndim == 1:
            width = diff(at)
            width = ops.reshape(width, [width.shape[0] if axis == k else 1 for axis in range(t.ndim)])
        else:
            width = diff(at, axis=axis)
    if n == 0:
        return sum(t * 0.0, k)
    return sum(width * (between(t, k, 1, n) + between(t, k, 0, n - 1)) / 2.0, k)


@implements(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Tensor:
    """Return the broken line through the points (xp, fp) at x, in float64; xp must rise.

    Outside, `left` and `right` (the values at the ends if not given); with `period`, everything is periodic and xp
    need not be sorted. Gradients flow to x, xp and fp; at a point, the slope to its right counts. Complex fp give a
    line in the plane.
    """
    given = (fp, left, right)
    if any(t is not None and is_complex(as_tensor(t).dtype) for t in given):
        a, b, c = (None if t is None else ops.real_part(as_tensor(t)) for t in given)
        real = interp(x, xp, a, b, c, period)
        a, b, c = (None if t is None else ops.imag_part(as_tensor(t)) for t in given)
        return ops.complex_of(real, interp(x, xp, a, b, c, period))
    at, nodes, heights = (ops.cast(as_tensor(t), _F64) for t in (x, xp, fp))
    if nodes.ndim != 1 or nodes.shape != heights.shape or nodes.shape[0] == 0:
        refuse(f"np.interp needs as many xp ({nodes.type}) as fp ({heights.type}), in one axis")
    if period is not None:
        size = np.abs(period) if isinstance(period, Tensor) else abs(float(period))
        at, nodes = at % size, nodes % size
        order = ops.argsort(nodes, 0)
        nodes, heights = ops.gather(nodes, [order]), ops.gather(heights, [order])
        nodes = concatenate([nodes[-1:] - size, nodes, nodes[:1] + size])
        heights = concatenate([heights[-1:], heights, heights[:1]])
        left = right = None
    n = nodes.shape[0]
    below = heights[0] if left is None else ops.cast(as_tensor(left), _F64)
    above = heights[-1] if right is None else ops.cast(as_tensor(right), _F64)
    place = ops.searchsorted(nodes, at, or_equal=True) - 1
    index = np.dtype(np.int64)
    low = ops.maximum(ops.minimum(place, ops.full(at.shape, n - 1, index)), ops.zeros(at.shape, index))
    high = ops.minimum(low + 1, ops.full(at.shape, n - 1, index))
    start, end = ops.gather(nodes, [low]), ops.gather(nodes, [high])
    first, second = ops.gather(heights, [low]), ops.gather(heights, [high])
    width = end - start
    flat = width == 0
    slope = ops.where(flat, width.zeros_like(), (second - first) / where(flat, 1.0, width))
    y = first + slope * (at - start)
    y = where(ops.isnan(at), at, y)
    y = where(at < nodes[0], below, y)
    return as_tensor(where(at > nodes[-1], above, y))


@implements(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: Any = -1, *, period: Any = 2 * np.pi) -> Tensor:
    """Return p with multiples of `period` added, so that no step along `axis` exceeds half of it (or `discont`)."""
    x = as_tensor(p)
    k = axis_of(axis, x.ndim)
    whole = x.dtype.kind in "iu" and isinstance(period, int)
    if not whole:
        x = ops.cast(x, averaging_dtype(x.dtype))
    n = x.shape[k]
    if not at_least(n, 1):
        return x
    discont = period / 2 if discont is None else discont
    low, tie = (-(period // 2), period % 2 == 0) if whole else (-period / 2, True)
    step = diff(x, axis=k)
    folded = (step - low) % period + low
    if tie:
        folded = where((folded == low) & (step > 0), -low, folded)
    jump = where(np.abs(step) < discont, 0, folded - step)
    shift = ops.cast(cumsum(jump, k), x.dtype)
    return concatenate([between(x, k, 0, 1), between(x, k, 1, n) + shift], k)


@implements(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """Return the differences of neighbours in the flattened array, `to_begin` before and `to_end` after them."""
    x = ravel(ary)
    steps = diff(x) if at_least(x.shape[0], 1) else x
    parts = [steps]
    if to_begin is not None:
        parts.insert(0, ops.cast(ravel(to_begin), x.dtype))
    if to_end is not None:
        parts.append(ops.cast(ravel(to_end), x.dtype))
    return concatenate(parts) if len(parts) > 1 else steps
