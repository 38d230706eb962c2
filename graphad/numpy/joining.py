"""Joining and splitting along axes: concatenate, stack and the like, split and the like, append, pad, meshgrid."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size, divides
from graphad.ir.types import as_dtype
from graphad.numpy.arguments import axis_of, dtype_of, known, no_out, refuse, untraceable
from graphad.numpy.shaping import atleast_1d, atleast_2d, atleast_3d, between, expand_dims, moveaxis, ravel, transpose
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements, implements_newer
from graphad.tracing.tensor import Tensor


def _tensors(arrays: Any, name: str, dtype: Any = None) -> list[Tensor]:
    """Return the arrays as tensors of their common dtype (or of `dtype`)."""
    tensors = [as_tensor(item) for item in arrays]
    if not tensors:
        refuse(f"np.{name} needs at least one array")
    common = dtype_of(dtype, as_dtype(np.result_type(*(t.dtype for t in tensors))))
    return [ops.cast(t, common) for t in tensors]


# Joining


@implements(np.concatenate)
def concatenate(
    arrays: Any, /, axis: Any = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Tensor:
    """Join arrays along an existing axis (None: all flattened)."""
    no_out(out, "concatenate")
    tensors = _tensors(arrays, "concatenate", dtype)
    if axis is None:
        tensors, axis = [ravel(t) for t in tensors], 0
    if any(t.ndim != tensors[0].ndim for t in tensors):
        refuse(f"np.concatenate needs arrays of one number of axes, got {', '.join(str(t.type) for t in tensors)}")
    k = axis_of(axis, tensors[0].ndim)
    return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors, k)


concat = concatenate
implements_newer("concat")(concatenate)


@implements(np.stack)
def stack(arrays: Any, axis: Any = 0, out: None = None, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    """Join arrays of one shape along a new axis."""
    no_out(out, "stack")
    tensors = _tensors(arrays, "stack", dtype)
    if any(t.shape != tensors[0].shape for t in tensors):
        refuse(f"np.stack needs arrays of one shape, got {', '.join(str(t.type) for t in tensors)}")
    return ops.stack(tensors, axis_of(axis, tensors[0].ndim + 1))


def _each(arrays: Any, prepare: Any) -> list[Tensor]:
    return [prepare(item) for item in arrays]


@implements(np.vstack)
def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    """Join arrays row by row."""
    return concatenate(_each(tup, atleast_2d), 0, dtype=dtype)


row_stack = vstack


@implements(np.hstack)
def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    """Join arrays column by column (along axis 0 where they have one axis)."""
    tensors = _each(tup, atleast_1d)
    return concatenate(tensors, 0 if tensors and tensors[0].ndim == 1 else 1, dtype=dtype)


@implements(np.dstack)
def dstack(tup: Any) -> Tensor:
    """Join arrays along axis 2."""
    return concatenate(_each(tup, atleast_3d), 2)


@implements(np.column_stack)
def column_stack(tup: Any) -> Tensor:
    """Join arrays of one axis as columns, matrices as they are."""
    return concatenate([t if t.ndim > 1 else transpose(atleast_2d(t)) for t in map(as_tensor, tup)], 1)


@implements(np.append)
def append(arr: Any, values: Any, axis: Any = None) -> Tensor:
    """Join `values` behind `arr` (both flattened for axis None)."""
    return concatenate([arr, values], axis)


@implements(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[Tensor, ...]:
    """Return the coordinates of the points of a grid, one array an axis."""
    if indexing not in ("xy", "ij"):
        refuse(f"indexing must be 'xy' or 'ij', not {indexing!r}")
    tensors = [ravel(x) for x in xi]
    count = len(tensors)
    order = list(range(count))
    if indexing == "xy" and count > 1:
        order[:2] = [1, 0]
    aligned = [
        expand_dims(t, tuple(k for k in range(count) if k != order[i])) if count > 1 else t
        for i, t in enumerate(tensors)
    ]
    if sparse:
        return tuple(aligned)
    full: list[Dim] = [1] * count
    for i, t in enumerate(tensors):
        full[order[i]] = t.shape[0]
    return tuple(ops.broadcast_to(t, full) for t in aligned)


# Splitting


@implements(np.array_split)
def array_split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Tensor]:
    """Cut an array along an axis: at given indices, or into so many parts of nearly equal size."""
    x = as_tensor(ary)
    k = axis_of(axis, x.ndim)
    n = x.shape[k]
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        return [between(x, k, *_clipped(a, b, n)) for a, b in _spans(indices_or_sections, n)]
    parts = int(indices_or_sections)
    if parts <= 0:
        refuse(f"cannot split into {parts} parts")
    if isinstance(n, Size):
        untraceable(f"np.array_split of a symbolic axis of size {n} into parts of unequal size; use np.split")
    small, larger = divmod(n, parts)
    ends = np.cumsum([0] + [small + 1] * larger + [small] * (parts - larger)).tolist()
    return [between(x, k, a, b) for a, b in itertools.pairwise(ends)]


def _spans(indices: Any, n: Dim) -> list[tuple[Any, Any]]:
    cuts = [i if isinstance(i, Size) else int(i) for i in indices]
    return list(zip([0, *cuts], [*cuts, n], strict=True))


def _clipped(start: Dim, stop: Dim, n: Dim) -> tuple[Dim, Dim]:
    """Return a span as a slice of an axis of size n takes it."""
    from graphad.numpy.indexing import span

    found = span(slice(start, stop), n)
    return found.start, found.stop


@implements(np.split)
def split(ary: Any, indices_or_sections: Any, axis: Any = 0) -> list[Tensor]:
    """Cut an array along an axis: at given indices, or into so many parts of equal size."""
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        return array_split(ary, indices_or_sections, axis)
    x = as_tensor(ary)
    k = axis_of(axis, x.ndim)
    n = x.shape[k]
    parts = int(indices_or_sections)
    if parts <= 0 or not divides(parts, n):
        refuse(f"cannot split an axis of size {n} into {parts} equal parts")
    width = n // parts
    return [between(x, k, width * i, width * (i + 1)) for i in range(parts)]


@implements(np.hsplit)
def hsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Cut an array column by column (along axis 0 where it has one axis)."""
    x = as_tensor(ary)
    return split(x, indices_or_sections, 1 if x.ndim > 1 else 0)


@implements(np.vsplit)
def vsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Cut an array row by row."""
    return split(ary, indices_or_sections, 0)


@implements(np.dsplit)
def dsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Cut an array along axis 2."""
    return split(ary, indices_or_sections, 2)


@implements_newer("unstack")
def unstack(x: Any, /, *, axis: Any = 0) -> tuple[Tensor, ...]:
    """Cut an array into the tensors along an axis, which goes."""
    return tuple(moveaxis(x, axis, 0))


# Padding


@implements(np.pad)
def pad(array: Any, pad_width: Any, mode: str = "constant", **keywords: Any) -> Tensor:
    """Put elements round an array.

    Args:
        array: any tensor.
        pad_width: one number, (before, after), a pair an axis, or a dict from axis to either.
        mode: "constant" (with `constant_values`, like `pad_width`), "edge", "reflect", "symmetric" or "wrap".
    """
    x = as_tensor(array)
    widths = _widths(pad_width, x.ndim, "pad_width")
    if mode == "constant":
        return _padded_by_constants(x, widths, _pairs(keywords.get("constant_values", 0), x.ndim))
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        untraceable(f"np.pad with mode={mode!r} cannot be traced; use constant, edge, reflect, symmetric or wrap")
    if keywords.get("reflect_type", "even") != "even":
        untraceable("np.pad with reflect_type='odd' cannot be traced; write it as 2 * edge - np.pad(...)")
    for k, (low, high) in enumerate(widths):
        if low or high:
            x = _padded_by_copies(x, k, low, high, mode)
    return x


def _widths(value: Any, ndim: int, what: str) -> list[tuple[int, int]]:
    if isinstance(value, dict):
        widths = [(0, 0)] * ndim
        for axis, width in value.items():
            widths[axis_of(axis, ndim)] = (width, width) if isinstance(width, int) else tuple(width)
        return widths
    pairs = np.broadcast_to(known(value, what), (ndim, 2)).astype(np.int64)
    if (pairs < 0).any():
        refuse(f"{what} must not be negative")
    return [(int(low), int(high)) for low, high in pairs.tolist()]


def _pairs(value: Any, ndim: int) -> list[tuple[Any, Any]]:
    """Return a pair of constants (numbers or tensors) for each axis."""
    if isinstance(value, (Tensor, int, float)):
        return [(value, value)] * ndim
    return [(low, high) for low, high in np.broadcast_to(np.asarray(value), (ndim, 2)).tolist()]


def _padded_by_constants(x: Tensor, widths: Sequence[tuple[int, int]], values: Sequence[tuple[Any, Any]]) -> Tensor:
    used = [v for pair, width in zip(values, widths, strict=True) for v, w in zip(pair, width, strict=True) if w]
    if not used:
        return x
    if all(not isinstance(v, Tensor) and v == 0 for v in used):
        return ops.pad(x, [low for low, _ in widths], [high for _, high in widths], (0,) * x.ndim)
    for k, ((low, high), (before, after)) in enumerate(zip(widths, values, strict=True)):
        parts = [
            ops.broadcast_to(as_tensor(before).astype(x.dtype), _with_size(x, k, low)),
            x,
            ops.broadcast_to(as_tensor(after).astype(x.dtype), _with_size(x, k, high)),
        ]
        kept = [part for part, size in zip(parts, (low, 1, high), strict=True) if size]
        x = ops.concatenate(kept, k) if len(kept) > 1 else x
    return x


def _with_size(x: Tensor, axis: int, size: int) -> tuple[Dim, ...]:
    return (*x.shape[:axis], size, *x.shape[axis + 1 :])


def _padded_by_copies(x: Tensor, axis: int, low: int, high: int, mode: str) -> Tensor:
    n = x.shape[axis]
    if isinstance(n, Size):
        return _padded_symbolic(x, axis, low, high, mode)
    if n == 0:
        refuse(f"cannot pad the empty axis {axis} of {x.type} with mode={mode!r}")
    from graphad.numpy.selecting import take

    places = np.pad(np.arange(n), (low, high), mode=mode)  # type: ignore[call-overload]
    return take(x, places, axis)


def _padded_symbolic(x: Tensor, axis: int, low: int, high: int, mode: str) -> Tensor:
    """Pad an axis whose size n is not known, but at least the width (recorded)."""
    from graphad.ir.dims import at_least

    n = x.shape[axis]
    inner = 1 if mode == "reflect" else 0
    needed = 1 if mode == "edge" else max(low, high) + inner
    if not at_least(n, needed):
        refuse(f"cannot pad the axis of size {n} with {max(low, high)} elements by mode={mode!r}")
    if mode == "edge":
        before = ops.broadcast_to(between(x, axis, 0, 1), _with_size(x, axis, low))
        after = ops.broadcast_to(between(x, axis, n - 1, n), _with_size(x, axis, high))
    elif mode == "wrap":
        before, after = between(x, axis, n - low, n), between(x, axis, 0, high)
    else:
        before = ops.flip(between(x, axis, inner, inner + low), (axis,))
        after = ops.flip(between(x, axis, n - inner - high, n - inner), (axis,))
    parts = [before] * (low > 0) + [x] + [after] * (high > 0)
    return ops.concatenate(parts, axis)
