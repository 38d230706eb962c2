"""Functions applied to parts of arrays: piecewise, apply_along_axis, apply_over_axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.numpy.arguments import axis_of, refuse
from graphad.numpy.elementwise import where
from graphad.numpy.shaping import expand_dims, moveaxis
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_BOOL = np.dtype(np.bool_)


@implements(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kw: Any) -> Tensor:
    """y = the function of the last condition that holds, of the one function more where none does, else 0.

    Every function is applied to all of x (which elements a condition selects is not known while tracing): keep those
    finite, also where their condition does not hold, if you want derivatives.
    """
    t = as_tensor(x)
    conditions = _conditions(condlist, t)
    functions = list(funclist)
    if len(functions) not in (len(conditions), len(conditions) + 1):
        refuse(f"np.piecewise with {len(conditions)} conditions needs as many functions, or one more")
    default = functions.pop() if len(functions) > len(conditions) else 0
    y = _applied(default, t, args, kw)
    for condition, function in zip(conditions, functions, strict=True):
        y = where(condition, _applied(function, t, args, kw), y)
    return ops.cast(y, t.dtype)


def _conditions(condlist: Any, x: Tensor) -> list[Tensor]:
    """Return the conditions; one that is no list stands for itself, as in NumPy."""
    several = isinstance(condlist, (list, tuple)) and len(condlist) and np.ndim(condlist[0]) == x.ndim
    stacked = not isinstance(condlist, (list, tuple)) and np.ndim(condlist) == x.ndim + 1
    items = list(condlist) if several or stacked else [condlist]
    return [ops.cast(as_tensor(item), _BOOL) for item in items]


def _applied(function: Any, x: Tensor, args: tuple[Any, ...], kw: dict[str, Any]) -> Tensor:
    value = function(x, *args, **kw) if callable(function) else function
    return ops.broadcast_to(ops.cast(as_tensor(value), x.dtype), x.shape)


@implements(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Any], axis: Any, arr: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Apply a function of one-dimensional arrays to all rows along `axis`, batched as `graphad.vmap` does.

    Its result, of any shape, takes the place of the axis.
    """
    from graphad.autodiff.mapping import vmap

    x = as_tensor(arr)
    k = axis_of(axis, x.ndim)
    moved = moveaxis(x, k, -1)
    if x.ndim == 1:
        return as_tensor(func1d(x, *args, **kwargs))
    rest = moved.shape[:-1]
    count: Any = 1
    for size in rest:
        count = count * size
    rows = ops.reshape(moved, (count, moved.shape[-1]))
    y: Tensor = vmap(lambda row: as_tensor(func1d(row, *args, **kwargs)))(rows)
    inner = y.ndim - 1
    y = ops.reshape(y, (*rest, *y.shape[1:]))
    places = list(range(len(rest)))
    order = [*places[:k], *range(len(rest), len(rest) + inner), *places[k:]]
    return ops.transpose(y, order)


@implements(np.apply_over_axes)
def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Tensor:
    """Apply ``func(a, axis)`` over each axis in turn; an axis that it drops stays with size 1."""
    x = as_tensor(a)
    ndim = x.ndim
    for axis in axes if isinstance(axes, (tuple, list, np.ndarray)) else (axes,):
        k = axis_of(axis, ndim)
        y = as_tensor(func(x, k))
        x = y if y.ndim == ndim else expand_dims(y, k)
        if x.ndim != ndim:
            refuse("the function of np.apply_over_axes must keep the number of axes, or drop the one it is given")
    return x
