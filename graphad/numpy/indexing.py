"""Indexing: ``x[...]`` in all of NumPy's forms, taken apart once so that it can be read and written.

An index becomes a `Place`: a slice of every axis, new axes, and index tensors over some axes. `read` gathers from it;
`writing.py` scatters into it.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size, at_least, is_static, static
from graphad.ir.errors import OutOfBoundsError
from graphad.ir.frozen import frozen
from graphad.numpy.arguments import elements, here, refuse, untraceable
from graphad.numpy.shaping import flipped
from graphad.ops.slicing import strided_size
from graphad.tracing.coerce import as_tensor, common_shape, constant
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)
_FORMS = "integers, slices, None, ..., integer arrays and boolean masks"


@frozen
class Span:
    """A slice of one axis, bounds resolved: ``start:stop:step`` with a positive step, then reversed if asked."""

    start: Dim
    stop: Dim
    step: int = 1
    reversed: bool = False

    @property
    def size(self) -> Dim:
        """Return the number of elements."""
        return strided_size(self.stop - self.start, self.step)


@frozen
class Place:
    """Where an index points in a tensor.

    Attributes:
        spans: the slice of each axis of the tensor.
        shape: the shape after slicing, with single elements' axes dropped and new axes inserted.
        axes: axes of `shape` that `indices` address, one each.
        indices: integer tensors of one shape; none for basic indexing.
        position: which axis of the result the first axis of the indices becomes.
    """

    spans: tuple[Span, ...]
    shape: tuple[Dim, ...]
    axes: tuple[int, ...]
    indices: tuple[Tensor, ...]
    position: int

    @property
    def front(self) -> tuple[int, ...]:
        """Return the permutation of `shape` that puts the addressed axes in front, in the order of the indices."""
        return (*self.axes, *(k for k in range(len(self.shape)) if k not in self.axes))

    @property
    def placement(self) -> tuple[int, ...]:
        """Return the permutation that puts the axes of the indices, in front after a gather, where they belong."""
        count = self.indices[0].ndim
        rest = len(self.shape) - len(self.axes)
        places = list(range(count, count + rest))
        return (*places[: self.position], *range(count), *places[self.position :])

    @property
    def result_shape(self) -> tuple[Dim, ...]:
        """Return the shape of what `read` gives."""
        if not self.indices:
            return self.shape
        gathered = (*self.indices[0].shape, *(self.shape[k] for k in self.front[len(self.axes) :]))
        return tuple(gathered[k] for k in self.placement)


def read(x: Tensor, place: Place) -> Tensor:
    """Return the elements of x at `place`."""
    y = view(x, place)
    if not place.indices:
        return y
    return ops.transpose(ops.gather(ops.transpose(y, place.front), place.indices), place.placement)


def view(x: Tensor, place: Place) -> Tensor:
    """Return what the basic part of an index selects of x, before index tensors."""
    spans = place.spans
    y = ops.slice_(x, [s.start for s in spans], [s.stop for s in spans], [s.step for s in spans])
    y = flipped(y, tuple(k for k, s in enumerate(spans) if s.reversed))
    return ops.reshape(y, place.shape)


@implements(operator.getitem)
def getitem(x: Tensor, index: Any) -> Tensor:
    """Return x[index] (https://numpy.org/doc/stable/user/basics.indexing.html)."""
    return read(x, locate(x, index))


# From the written index to a place


def locate(x: Tensor, index: Any) -> Place:
    """Resolve an index of x.

    Raises:
        OutOfBoundsError: an integer known while tracing is outside its axis, or there are too many indices.
        OpTypeError: what is no index, or a mask of another shape than its axes.
        TraceError: a traced boolean mask, which would make a shape that depends on data.
    """
    key = _plain(x.shape, index)
    found = None if key is None else _PLACES.get(key)
    if found is None:
        found = _resolved(x, index)
        if key is not None:
            if len(_PLACES) >= _MOST_PLACES:
                _PLACES.clear()
            _PLACES[key] = found
    return found


_PLACES: dict[Any, Place] = {}
"""Places of plain indices: unrolled loops take the same slices over and over."""
_MOST_PLACES = 10_000


def _plain(shape: tuple[Dim, ...], index: Any) -> Any:
    """Return what indices share that mean the same place in arrays of a static shape; None for all but plain ones.

    Plain are ints, slices of ints, None and Ellipsis: they make no nodes and assume nothing.
    """
    parts: list[Any] = []
    for item in index if type(index) is tuple else (index,):
        kind = type(item)
        if kind is slice:
            part = item.start, item.stop, item.step
            if not _INT_OR_NONE.issuperset(map(type, part)):
                return None
            parts.append(part)
        elif kind is int or item is None or item is Ellipsis:
            parts.append(item)
        else:
            return None
    return (shape, tuple(parts)) if is_static(shape) else None


_INT_OR_NONE = frozenset({int, type(None)})


def _resolved(x: Tensor, index: Any) -> Place:
    items = _expanded(x, [_item(item) for item in (index if isinstance(index, tuple) else (index,))])
    advanced = [k for k, item in enumerate(items) if isinstance(item, (Tensor, np.ndarray))]
    if advanced:  # an integer beside index arrays is one of them
        advanced = [k for k, item in enumerate(items) if isinstance(item, (Tensor, np.ndarray, int, Size))]
    spans: list[Span] = []
    shape: list[Dim] = []
    axes: list[int] = []
    indices: list[Tensor] = []
    position = 0
    for k, item in enumerate(items):
        if item is Ellipsis:
            continue
        if item is None:
            shape.append(1)
            continue
        if k in advanced and not axes:
            position = len(shape)
        if isinstance(item, np.ndarray) and item.dtype.kind == "b" and item.ndim == 0:
            axes.append(len(shape))
            indices.append(constant(np.zeros(int(item), np.int64)))
            shape.append(1)
            continue
        if isinstance(item, np.ndarray) and item.dtype.kind == "b":
            _check_mask(item, x, len(spans))
            found = [constant(part.astype(np.int64)) for part in item.nonzero()]
        elif k in advanced:
            found = [_positions(item, x, len(spans))]
        else:
            found = []
        n = x.shape[len(spans)]
        if isinstance(item, slice):
            spans.append(span(item, n))
            shape.append(spans[-1].size)
        elif not found:
            at = _position(item, x, len(spans))
            spans.append(Span(at, at + 1))
        for tensor in found:
            axes.append(len(shape))
            indices.append(tensor)
            shape.append(x.shape[len(spans)])
            spans.append(Span(0, shape[-1]))
    if indices:
        common = common_shape([t.shape for t in indices])
        indices = [ops.broadcast_to(t, common) for t in indices]
    if advanced and advanced != list(range(advanced[0], advanced[-1] + 1)):
        position = 0  # NumPy's rule: index arrays apart from each other put their axes in front
    return Place(tuple(spans), tuple(shape), tuple(axes), tuple(indices), position)


def _item(item: Any) -> Any:
    """Return an item of an index as None, Ellipsis, a slice, an int or size, a tensor, or an array of ints or bools."""
    if item is None or item is Ellipsis or isinstance(item, (slice, Size)):
        return item
    if isinstance(item, Tensor) or (isinstance(item, (list, tuple)) and _holds_tensor(item)):
        tensor = as_tensor(item)
        if tensor.dtype.kind == "b":
            mask = elements(tensor)
            if mask is not None:
                return mask
            untraceable(
                f"the index is a traced boolean mask ({tensor.type}): how many elements it selects is not known while "
                "tracing. Use np.where(mask, x, other), or x * mask, and reduce over that"
            )
        if tensor.dtype.kind not in "iu":
            refuse(f"an index must be an integer, not {tensor.type}; use x.astype(int)")
        return tensor
    if isinstance(item, int) and not isinstance(item, bool):
        return item
    array = np.asarray(item)
    if array.size == 0 and not isinstance(item, np.ndarray):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        refuse(f"{item!r} is no index: use {_FORMS}")
    return array if array.ndim or array.dtype.kind == "b" else int(array)


def _holds_tensor(items: Any) -> bool:
    return any(
        isinstance(item, (Tensor, Size)) or (isinstance(item, (list, tuple)) and _holds_tensor(item)) for item in items
    )


def _consumed(item: Any) -> int:
    """Return how many axes of the tensor an item takes."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype.kind == "b" else 1


def _expanded(x: Tensor, items: list[Any]) -> list[Any]:
    """Replace the Ellipsis, or the missing end, by whole slices."""
    dots = [k for k, item in enumerate(items) if item is Ellipsis]
    if len(dots) > 1:
        refuse("an index can only have a single ellipsis ('...')")
    used = sum(map(_consumed, items))
    if used > x.ndim:
        raise OutOfBoundsError(f"too many indices ({used}) for {x.type}", location=here())
    at = dots[0] if dots else len(items)
    whole = [slice(None)] * (x.ndim - used)
    # An Ellipsis that stands for no axis stays: between index arrays it still sets them apart.
    return [*items[:at], *(whole or items[at : at + len(dots)]), *items[at + len(dots) :]]


def _check_mask(mask: np.ndarray[Any, Any], x: Tensor, axis: int) -> None:
    for k, (n, m) in enumerate(zip(x.shape[axis:], mask.shape, strict=False), axis):
        if n != m:
            raise OutOfBoundsError(
                f"a mask of shape {mask.shape} does not fit {x.type}: axis {k} has size {n}", location=here()
            )


def _position(item: int | Size, x: Tensor, axis: int) -> Dim:
    """Return one position counted from the front, checked."""
    n = x.shape[axis]
    if isinstance(item, Size):
        inside = at_least(item, 0) and at_least(n, item + 1)
        at: Dim = item
    else:
        inside = at_least(n, item + 1 if item >= 0 else -item)
        at = item if item >= 0 else n + item
    if not inside:
        raise OutOfBoundsError(f"index {item} is outside axis {axis} of {x.type}, of size {n}", location=here())
    return at


def _positions(item: Any, x: Tensor, axis: int) -> Tensor:
    """Return an index array as a tensor; positions known while tracing are checked and counted from the front."""
    if isinstance(item, Tensor):
        return item
    if isinstance(item, (int, Size)):
        return constant(_position(item, x, axis), _INDEX)
    n = x.shape[axis]
    low, high = (int(item.min()), int(item.max())) if item.size else (0, -1)
    for extreme in (low, high) if item.size else ():
        _position(extreme, x, axis)
    if low >= 0:
        return constant(item.astype(np.int64))
    if isinstance(n, Size):
        return ops.add(constant(item.astype(np.int64)), constant(np.where(item < 0, 1, 0)) * n)
    return constant(np.where(item < 0, item + static(n), item).astype(np.int64))


def span(item: slice, n: Dim) -> Span:
    """Resolve a slice of an axis of size n, clipped as in Python.

    Where n is symbolic, bounds count as inside (``x[:10]`` assumes n >= 10) and steps as dividing (``x[::2]``).
    """
    start, stop, step = (_bound(item.start), _bound(item.stop), _bound(item.step))
    step = 1 if step is None else step
    if isinstance(step, Size) or step == 0:
        refuse(f"slice step must be a number and not 0, got {step}")
    if not any(isinstance(size, Size) for size in (n, start, stop)):
        taken = range(*slice(start, stop, step).indices(static(n)))
        if not taken:
            low = min(taken.start, static(n)) if step > 0 else 0
            return Span(low, low, abs(step), step < 0)
        if step > 0:
            return Span(taken.start, taken.stop, step)
        return Span(taken[-1], taken[0] + 1, -step, True)
    if step > 0:
        low_, high_ = _inside(start, n, n, 0), _inside(stop, n, n, n)
        return Span(low_, high_ if at_least(high_, low_) else low_, step)
    first = _inside(start, n, n - 1, n - 1)
    before = _inside(stop, n, n - 1, -1)
    if not at_least(first, before):
        return Span(0, 0, -step, True)
    count = strided_size(first - before, -step)
    return Span(first - (count - 1) * -step, first + 1, -step, True)


def _bound(value: Any) -> Any:
    if isinstance(value, Tensor):
        untraceable(
            f"a slice bound is a traced array ({value.type}): the size of the result would depend on it. "
            "Slice with numbers, or index with an array of positions: x[start + np.arange(size)]"
        )
    return value if value is None or isinstance(value, Size) else operator.index(value)


def _inside(bound: Dim | None, n: Dim, highest: Dim, default: Dim) -> Dim:
    """Return a bound of a slice, counted from the front and clipped to 0 ... highest, assuming that it lies there."""
    if bound is None:
        return default
    if isinstance(bound, int) and bound < 0:
        return n + bound if at_least(n + bound, 0) else 0
    return bound if at_least(highest, bound) else highest
