"""Shaping: the same elements under other axes. Reshape, permute, expand, squeeze, broadcast, flip, roll, repeat."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size, at_least, divides, is_one, product
from graphad.numpy.arguments import axes_of, axis_of, known, refuse, shape_of, untraceable
from graphad.tracing.coerce import as_tensor, common_shape
from graphad.tracing.protocols import implements, implements_newer
from graphad.tracing.tensor import Tensor


@implements(np.shape)
def shape(a: Any) -> tuple[Dim, ...]:
    """Return the sizes of the axes."""
    return as_tensor(a).shape


@implements(np.ndim)
def ndim(a: Any) -> int:
    """Return the number of axes."""
    return as_tensor(a).ndim


@implements(np.size)
def size(a: Any, axis: Any = None) -> Dim:
    """Return the number of elements, or the size of some axes."""
    x = as_tensor(a)
    return product(x.shape[k] for k in axes_of(axis, x.ndim))


@implements(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Tensor:
    """Return a: values of a graph do not change, so that none needs a copy."""
    return as_tensor(a)


@implements_newer("astype")
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: None = None) -> Tensor:
    """Return x in another dtype."""
    return as_tensor(x).astype(dtype)


# Shapes and axes


@implements(np.reshape)
def reshape(a: Any, /, shape: Any, order: str = "C", *, copy: bool | None = None) -> Tensor:
    """Return the same elements, read in `order` ("C" row-major, "F" column-major), under another shape.

    One size may be -1, and follows from the others (exactly, where sizes are symbolic).
    """
    x = as_tensor(a)
    sizes = resolved(x, shape_of(shape))
    if order == "F":
        return _reversed(ops.reshape(_reversed(x), sizes[::-1]))
    if order not in ("C", "A"):
        refuse(f"order must be 'C' or 'F', not {order!r}")
    return ops.reshape(x, sizes)


def _reversed(x: Tensor) -> Tensor:
    return ops.transpose(x, range(x.ndim)[::-1])


def resolved(x: Tensor, sizes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    """Return the shape with -1 replaced by the size that it stands for."""
    free = [k for k, n in enumerate(sizes) if isinstance(n, int) and n < 0]
    if not free:
        return sizes
    if len(free) > 1 or sizes[free[0]] != -1:
        refuse(f"cannot reshape {x.type} to {sizes}: only one size can be -1, and none else negative")
    others = product(n for n in sizes if n != -1)
    if not isinstance(others, Size) and (others == 0 or not divides(others, x.size)):
        refuse(f"cannot reshape {x.type} to {sizes}: {x.size} elements are no multiple of {others}")
    return tuple(x.size // others if n == -1 else n for n in sizes)


@implements(np.ravel)
def ravel(a: Any, order: str = "C") -> Tensor:
    """Return the elements in one axis."""
    return reshape(a, (-1,) if as_tensor(a).shape else (1,), "C" if order == "K" else order)


@implements(np.transpose, np.permute_dims)
def transpose(a: Any, axes: Any = None) -> Tensor:
    """Permute the axes: axis k of the result is axis axes[k] of a; reverse them for None."""
    x = as_tensor(a)
    if axes is None:
        return _reversed(x)
    order = [axis_of(k, x.ndim) for k in axes]
    if sorted(order) != list(range(x.ndim)):
        refuse(f"{tuple(axes)} is not a permutation of the axes of {x.type}")
    return ops.transpose(x, order)


permute_dims = transpose


@implements(np.matrix_transpose)
def matrix_transpose(x: Any, /) -> Tensor:
    """Swap the last two axes."""
    return swapaxes(x, -1, -2)


@implements(np.swapaxes)
def swapaxes(a: Any, axis1: Any, axis2: Any) -> Tensor:
    """Swap two axes."""
    x = as_tensor(a)
    order = list(range(x.ndim))
    i, j = axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)
    order[i], order[j] = j, i
    return ops.transpose(x, order)


@implements(np.moveaxis)
def moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    """Move axes to new places; the others keep their order."""
    x = as_tensor(a)
    froms = [axis_of(k, x.ndim) for k in (source if isinstance(source, (tuple, list)) else (source,))]
    tos = [axis_of(k, x.ndim) for k in (destination if isinstance(destination, (tuple, list)) else (destination,))]
    if len(froms) != len(tos) or len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        refuse("source and destination of np.moveaxis must be equally many, different axes")
    order = [k for k in range(x.ndim) if k not in froms]
    for to, axis in sorted(zip(tos, froms, strict=True)):
        order.insert(to, axis)
    return ops.transpose(x, order)


@implements(np.rollaxis)
def rollaxis(a: Any, axis: Any, start: Any = 0) -> Tensor:
    """Move `axis` in front of axis `start`."""
    x = as_tensor(a)
    k = axis_of(axis, x.ndim)
    to = axis_of(start, x.ndim + 1)
    return moveaxis(x, k, to - 1 if k < to else to)


@implements(np.expand_dims)
def expand_dims(a: Any, axis: Any) -> Tensor:
    """Insert axes of size 1 at these places of the result."""
    x = as_tensor(a)
    count = x.ndim + (len(axis) if isinstance(axis, (tuple, list)) else 1)
    places = axes_of(axis, count)
    sizes = iter(x.shape)
    return ops.reshape(x, tuple(1 if k in places else next(sizes) for k in range(count)))


@implements(np.squeeze)
def squeeze(a: Any, axis: Any = None) -> Tensor:
    """Drop axes of size 1: those given, or all."""
    x = as_tensor(a)
    if axis is None:
        dropped = tuple(k for k, n in enumerate(x.shape) if is_one(n))
    else:
        dropped = axes_of(axis, x.ndim)
        wrong = [k for k in dropped if not is_one(x.shape[k])]
        if wrong:
            refuse(f"cannot squeeze axis {wrong[0]} of {x.type}: its size is not 1")
    return ops.reshape(x, tuple(n for k, n in enumerate(x.shape) if k not in dropped))


@implements(np.broadcast_to)
def broadcast_to(array: Any, shape: Any, subok: bool = False) -> Tensor:
    """Return the array repeated to `shape` by NumPy's rule."""
    return ops.broadcast_to(as_tensor(array), shape_of(shape))


def broadcast_shapes(*args: Any) -> tuple[Dim, ...]:
    """Return the shape that arrays of these shapes broadcast to; sizes may be symbolic."""
    return common_shape([shape_of(arg) for arg in args]) if args else ()


@implements(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Tensor, ...]:
    """Return the arrays repeated to their common shape."""
    tensors = [as_tensor(arg) for arg in args]
    common = common_shape([t.shape for t in tensors]) if tensors else ()
    return tuple(ops.broadcast_to(t, common) for t in tensors)


def _at_least(arrays: tuple[Any, ...], minimum: int) -> Any:
    """Give every array at least `minimum` axes, new ones as NumPy places them."""
    found = []
    for array in arrays:
        x = as_tensor(array)
        while x.ndim < minimum:
            x = expand_dims(x, x.ndim if x.ndim == 2 else 0)
        found.append(x)
    return found[0] if len(found) == 1 else tuple(found)


@implements(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """Give every array at least 1 axis."""
    return _at_least(arys, 1)


@implements(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """Give every array at least 2 axes: (n,) becomes (1, n)."""
    return _at_least(arys, 2)


@implements(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """Give every array at least 3 axes: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    return _at_least(arys, 3)


# Order of the elements


@implements(np.flip)
def flip(m: Any, axis: Any = None) -> Tensor:
    """Reverse the order along axes (None: all)."""
    x = as_tensor(m)
    return flipped(x, axes_of(axis, x.ndim))


def flipped(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Reverse the order along `axes`; x itself for none."""
    return ops.flip(x, axes) if axes else x


@implements(np.fliplr)
def fliplr(m: Any) -> Tensor:
    """Reverse the order along axis 1."""
    return flip(m, 1)


@implements(np.flipud)
def flipud(m: Any) -> Tensor:
    """Reverse the order along axis 0."""
    return flip(m, 0)


@implements(np.rot90)
def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Tensor:
    """Turn the plane of two axes k times by 90 degrees, from the first towards the second."""
    x = as_tensor(m)
    first, second = (axis_of(axis, x.ndim) for axis in axes)
    if first == second:
        refuse("the axes of np.rot90 must differ")
    turns = operator.index(k) % 4
    if turns == 0:
        return x
    if turns == 2:
        return flip(x, (first, second))
    if turns == 1:
        return swapaxes(flip(x, second), first, second)
    return flip(swapaxes(x, first, second), second)


@implements(np.roll)
def roll(a: Any, shift: Any, axis: Any = None) -> Tensor:
    """Move elements by `shift` places along axes, round the end (None: in the flattened array)."""
    x = as_tensor(a)
    if axis is None:
        return ops.reshape(roll(ops.reshape(x, (x.size,)), shift, 0), x.shape)
    axes = axis if isinstance(axis, (tuple, list)) else (axis,)
    shifts = known(shift, "the shift of np.roll").ravel().tolist()
    count = max(len(axes), len(shifts))
    if len(axes) not in (1, count) or len(shifts) not in (1, count):
        refuse("shift and axis of np.roll do not broadcast")
    for k, places in zip(_cycle(axes, count), _cycle(shifts, count), strict=True):
        x = _rolled(x, axis_of(k, x.ndim), places)
    return x


def _cycle(items: Any, count: int) -> list[Any]:
    return list(items) * count if len(items) == 1 else list(items)


def _rolled(x: Tensor, axis: int, places: int) -> Tensor:
    n = x.shape[axis]
    if isinstance(n, Size):
        if not at_least(n, abs(places)):
            untraceable(f"np.roll by {places} along a symbolic axis of size {n}: the shift may not exceed the size")
    elif n:
        places %= n
    else:
        return x
    if places == 0:
        return x
    cut = n - places if places > 0 else -places
    return ops.concatenate([between(x, axis, cut, n), between(x, axis, 0, cut)], axis)


def between(x: Tensor, axis: int, start: Dim, stop: Dim) -> Tensor:
    """Return the elements from `start` up to `stop` along one axis."""
    starts = tuple(start if k == axis else 0 for k in range(x.ndim))
    stops = tuple(stop if k == axis else n for k, n in enumerate(x.shape))
    return ops.slice_(x, starts, stops, (1,) * x.ndim)


# Copies of elements


@implements(np.repeat)
def repeat(a: Any, repeats: Any, axis: Any = None) -> Tensor:
    """Repeat every element along an axis (None: of the flattened array); `repeats` is known while tracing."""
    x = as_tensor(a)
    if axis is None:
        x, axis = ops.reshape(x, (x.size,)), 0
    k = axis_of(axis, x.ndim)
    if isinstance(repeats, Size) or known(repeats, "the repeats of np.repeat").size == 1:
        count = repeats if isinstance(repeats, Size) else int(np.asarray(repeats).reshape(()))
        stretched = ops.broadcast_to(expand_dims(x, k + 1), (*x.shape[: k + 1], count, *x.shape[k + 1 :]))
        return ops.reshape(stretched, (*x.shape[:k], x.shape[k] * count, *x.shape[k + 1 :]))
    n = x.shape[k]
    if isinstance(n, Size):
        untraceable(f"np.repeat with a count for each element needs a fixed size, not {n}")
    counts = np.asarray(repeats)
    if counts.shape != (n,):
        refuse(f"np.repeat got {counts.shape} counts for an axis of size {n}")
    from graphad.numpy.selecting import take

    return take(x, np.repeat(np.arange(n), counts), k)


@implements(np.tile)
def tile(A: Any, reps: Any) -> Tensor:
    """Lay copies of A side by side: reps[k] of them along axis k."""
    x = as_tensor(A)
    counts = shape_of(reps)
    counts = (1,) * (x.ndim - len(counts)) + counts
    old = (1,) * (len(counts) - x.ndim) + x.shape
    paired = [size for n in old for size in (1, n)]
    repeated = [size for n, r in zip(old, counts, strict=True) for size in (r, n)]
    y = ops.broadcast_to(ops.reshape(x, tuple(paired)), tuple(repeated))
    return ops.reshape(y, tuple(n * r for n, r in zip(old, counts, strict=True)))
