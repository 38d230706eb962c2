"""Sorting and searching: sort, argsort, partition, lexsort, top_k, searchsorted, digitize.

Gradients flow through the elements to where they stood: of equal elements, in their order (sorting is stable). NaN
counts as larger than any number, as in NumPy.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size, at_least
from graphad.numpy.arguments import axis_of, refuse
from graphad.numpy.selecting import take, take_along_axis
from graphad.numpy.shaping import between, flip, ravel
from graphad.tracing.coerce import as_tensor, common_shape, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


def _along(a: Any, axis: Any) -> tuple[Tensor, int]:
    """Return the tensor and the axis to sort; the flattened tensor for None."""
    x = ravel(a) if axis is None else as_tensor(a)
    return x, 0 if axis is None else axis_of(axis, x.ndim)


def _check_order(order: Any, name: str) -> None:
    if order is not None:
        refuse(f"np.{name}: order= names fields of structured arrays, which a graph does not hold")


@implements(np.sort)
def sort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: bool = False
) -> Tensor:
    """Return the elements in ascending order along `axis` (None: of the flattened array); `kind` does not matter."""
    _check_order(order, "sort")
    x, k = _along(a, axis)
    y = ops.sort(x, k)
    return ops.flip(y, (k,)) if descending else y


@implements(np.sort_complex)
def sort_complex(a: Any) -> Tensor:
    """y = a in ascending order along the last axis, as complex numbers."""
    x = sort(a, -1)
    narrow = x.dtype.kind in "iu" and x.dtype.itemsize <= 2
    return ops.cast(x, x.dtype if x.dtype.kind == "c" else np.dtype(np.complex64 if narrow else np.complex128))


@implements(np.argsort)
def argsort(
    a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None, descending: bool = False
) -> Tensor:
    """Return the int64 positions that sort a along `axis` (None: flattened), equal elements in their order."""
    _check_order(order, "argsort")
    x, k = _along(a, axis)
    if not descending:
        return ops.argsort(x, k)
    # Reversed twice, equal elements keep their order.
    return x.shape[k] - 1 - ops.flip(ops.argsort(ops.flip(x, (k,)), k), (k,))


@implements(np.lexsort)
def lexsort(keys: Any, axis: Any = -1) -> Tensor:
    """Return the int64 positions that sort by the last key, equal ones by the key before it, and so on."""
    tensors = [as_tensor(key) for key in keys]
    if not tensors:
        refuse("np.lexsort needs at least one key")
    if tensors[0].ndim == 0:
        return ops.zeros((), np.dtype(np.int64))
    k = axis_of(axis, tensors[0].ndim)
    found = ops.argsort(tensors[0], k)
    for key in tensors[1:]:
        found = ops.take_along(found, ops.argsort(ops.take_along(key, found, k), k), k)
    return found


def _places(kth: Any, n: Dim, name: str) -> tuple[int, ...]:
    """Return the places to settle, counted from the front."""
    if isinstance(n, Size) and np.min(kth) < 0:
        refuse(f"np.{name}: places along an axis of symbolic size {n} must be counted from the front")
    places = [operator.index(k) for k in np.ravel(kth).tolist()]
    found = sorted({k if isinstance(n, Size) or k >= 0 else k + n for k in places})
    if not found or found[0] < 0 or not at_least(n, found[-1] + 1):
        refuse(f"np.{name}: places {places} are outside an axis of size {n}")
    return tuple(found)


@implements(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Tensor:
    """Return the elements so that those at `kth` are where sorting puts them, smaller before, larger behind."""
    _check_order(order, "partition")
    x, k = _along(a, axis)
    return ops.take_along(x, ops.argpartition(x, k, _places(kth, x.shape[k], "partition")), k)


@implements(np.argpartition)
def argpartition(a: Any, kth: Any, axis: Any = -1, kind: str = "introselect", order: Any = None) -> Tensor:
    """Return the int64 positions that partition a along `axis` (None: flattened); `kth` is known while tracing."""
    _check_order(order, "argpartition")
    x, k = _along(a, axis)
    return ops.argpartition(x, k, _places(kth, x.shape[k], "argpartition"))


def top_k(a: Any, k: Dim, /, *, axis: Any = -1, mode: str = "largest") -> tuple[Tensor, Tensor]:
    """Return the k largest (or "smallest") elements along `axis`, in that order, and their int64 positions.

    Of equal elements the earlier comes first, as in `jax.lax.top_k`.
    """
    x = as_tensor(a)
    at = axis_of(axis, x.ndim)
    if mode not in ("largest", "smallest"):
        refuse(f"mode must be 'largest' or 'smallest', not {mode!r}")
    if not (at_least(k, 0) and at_least(x.shape[at], k)):
        refuse(f"there are no {k} elements along axis {at} of {x.type}")
    positions = between(argsort(x, at, descending=mode == "largest"), at, 0, k)
    return ops.take_along(x, positions, at), positions


@implements(np.searchsorted)
def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Tensor:
    """Return how many elements of the sorted, one-dimensional a are smaller than each of v.

    With side="right", smaller or equal. `sorter` is what sorts a where it is not sorted.
    """
    x, values = promoted(a, v)
    if x.ndim != 1:
        refuse(f"np.searchsorted needs a one-dimensional a, not {x.type}")
    if side not in ("left", "right"):
        refuse(f"side must be 'left' or 'right', not {side!r}")
    if sorter is not None:
        x = take(x, sorter)
    return ops.searchsorted(x, values, side == "right")


@implements(np.digitize)
def digitize(x: Any, bins: Any, right: bool = False) -> Tensor:
    """Return i where ``bins[i-1] <= x < bins[i]``, or with `right` ``bins[i-1] < x <= bins[i]``; bins may fall."""
    values, edges = promoted(x, bins)
    if edges.ndim != 1:
        refuse(f"np.digitize needs one-dimensional bins, not {edges.type}")
    n = edges.shape[0]
    rising = ops.searchsorted(edges, values, not right)
    if n == 0:
        return rising
    falling = n - ops.searchsorted(flip(edges), values, not right)
    falls = ops.broadcast_to(edges[0] > edges[-1], rising.shape)
    return ops.where(falls, falling, rising)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> Tensor:
    """Return arr with ``arr[i, indices[i, k, j], j]`` replaced by ``values[i, k, j]``, for k along `axis`.

    A new array, unlike NumPy's function of the name, which writes in place. Of values for one element the last stays.
    """
    x, k = _along(arr, axis)
    index = as_tensor(indices)
    if index.ndim != x.ndim:
        refuse(f"put_along_axis needs as many axes in the indices ({index.type}) as in the array ({x.type})")
    shape = common_shape([(*x.shape[:k], index.shape[k], *x.shape[k + 1 :]), index.shape])
    positions = ops.reshape(ops.iota((x.size,), 0, np.dtype(np.int64)), x.shape)
    flat = take_along_axis(positions, ops.broadcast_to(index, shape), k)
    new = ops.broadcast_to(ops.cast(as_tensor(values), x.dtype), shape)
    written = ops.scatter_set(ops.reshape(x, (x.size,)), [flat], new)
    return ops.reshape(written, as_tensor(arr).shape)
