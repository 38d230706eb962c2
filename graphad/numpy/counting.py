"""Counting equal elements: unique, bincount, histogram, with result sizes that are known while tracing."""

from __future__ import annotations

import builtins
from typing import Any, NamedTuple, NoReturn

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim
from graphad.ir.types import is_float, is_inexact
from graphad.numpy.arguments import elements, is_number, known, refuse, size_of, untraceable
from graphad.numpy.creation import linspace
from graphad.numpy.elementwise import where
from graphad.numpy.joining import concatenate
from graphad.numpy.reductions import max, min, sum
from graphad.numpy.shaping import ravel
from graphad.tracing.coerce import as_tensor, constant, promoted
from graphad.tracing.protocols import implements, implements_newer
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)


@implements(np.bincount)
def bincount(x: Any, /, weights: Any = None, minlength: Any = 0, *, length: Any = None) -> Tensor:
    """y[k] = how often k occurs in x, or the sum of its `weights` (float64), for k < `length`.

    The length is given as `length`, or as `minlength` for NumPy's name, unless x is known. What a traced x holds
    beyond it, or below 0, is an IndexError when the graph runs.
    """
    index = as_tensor(x)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        refuse(f"np.bincount needs one axis of integers, not {index.type}")
    n = size_of(minlength if length is None else length)
    found = elements(index) if length is None else None
    if found is not None:
        n = builtins.max(n, int(found.max(initial=-1)) + 1)
    elif length is None and n == 0:
        untraceable(
            "np.bincount gives as many counts as the largest element says, which is not known while tracing. "
            "Give their number: np.bincount(x, minlength=n) with n larger than any element"
        )
    position = ops.cast(index, _INDEX)
    # A position below 0 must not count from the end.
    position = where(position < 0, constant(n, _INDEX), position)
    if weights is None:
        return ops.scatter_add(ops.zeros((n,), _INDEX), [position], ops.ones(position.shape, _INDEX))
    mass = ops.cast(as_tensor(weights), np.dtype(np.float64))
    if mass.shape != index.shape:
        refuse(f"np.bincount: weights {mass.type} and x {index.type} must have one shape")
    return ops.scatter_add(ops.zeros((n,), mass.dtype), [position], mass)


@implements(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Tensor:
    """Return the edges of `bins` (a number) equal bins over `range` (all of a if not given), or the edges given."""
    if isinstance(bins, str):
        untraceable(f"np.histogram with bins={bins!r}: their number is not known while tracing; give a number or edges")
    if np.ndim(bins) == 1:
        return as_tensor(bins)
    x = as_tensor(a)
    count = int(known(bins, "the number of bins"))
    if count < 1:
        refuse("the number of bins must be positive")
    if range is not None:
        low, high = range
        if is_number(low) and is_number(high) and low == high:
            low, high = low - 0.5, high + 0.5
        return as_tensor(linspace(low, high, count + 1))
    if x.size == 0:
        return as_tensor(linspace(0.0, 1.0, count + 1))
    bottom, top = (ops.cast(e, np.dtype(np.float64)) if not is_float(e.dtype) else e for e in (min(x), max(x)))
    flat = bottom == top
    return as_tensor(linspace(where(flat, bottom - 0.5, bottom), where(flat, top + 0.5, top), count + 1))


@implements(np.histogram)
def histogram(
    a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> tuple[Tensor, Tensor]:
    """Return how many elements (or how much of their `weights`) lie between the edges, and the edges.

    The last bin holds its upper edge, too. Gradients flow to the weights and, through a density, to the edges.
    """
    edges = histogram_bin_edges(a, bins, range)
    x, borders = promoted(ravel(a), edges)
    n = borders.shape[0] - 1
    place = ops.searchsorted(borders, x, or_equal=True) - 1
    last = ops.broadcast_to(borders[-1], x.shape)
    place = ops.where(x == last, ops.full(x.shape, n - 1, _INDEX), place)
    inside = ops.logical_and(x <= last, x >= ops.broadcast_to(borders[0], x.shape))
    # What lies outside (or is nan) goes to one more bin, which is cut.
    place = ops.where(inside, place, ops.full(x.shape, n, _INDEX))
    mass = ops.ones(x.shape, _INDEX) if weights is None else ravel(weights)
    if mass.shape != x.shape:
        refuse("the weights of np.histogram must have the shape of a")
    counts = ops.scatter_add(ops.zeros((n + 1,), mass.dtype), [place], mass)[:-1]
    if density:
        counts = counts / (edges[1:] - edges[:-1]) / sum(counts)
    return counts, edges


class UniqueAll(NamedTuple):
    """What `unique_all` gives."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` gives."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` gives."""

    values: Tensor
    inverse_indices: Tensor


def _size_needed(name: str) -> NoReturn:
    untraceable(
        f"np.{name} gives as many elements as are different: the shape of its result depends on the elements, which "
        f"are not known while tracing. Use graphad.numpy.{name}(x, size=n), which gives n of them"
    )


def _unique(x: Any, size: Any, fill_value: Any, equal_nan: bool, name: str) -> UniqueAll:
    """Return the first `size` different elements in ascending order; `fill_value`, or the smallest, where fewer are."""
    t = as_tensor(x)
    if size is None:
        found = elements(t)
        if found is None:
            _size_needed(name)
        size = len(np.unique(found, equal_nan=equal_nan))
    flat = ravel(t)
    wanted, n = size_of(size), flat.shape[0]
    if n == 0:
        if wanted == 0:
            empty = ops.zeros((0,), _INDEX)
            return UniqueAll(flat, empty, ops.reshape(empty, t.shape), empty)
        if fill_value is None:
            refuse(f"{name} of no elements needs a fill_value to give {wanted}")
        nothing = ops.zeros((wanted,), _INDEX)
        filled = ops.full((wanted,), fill_value, flat.dtype)
        return UniqueAll(filled, nothing, ops.zeros(t.shape, _INDEX), nothing)
    order = ops.argsort(flat, 0)
    ordered = ops.gather(flat, [order])
    later, earlier = ordered[1:], ordered[:-1]
    new = later != earlier
    if equal_nan and is_inexact(flat.dtype):
        new = ops.logical_and(new, ops.logical_not(ops.logical_and(ops.isnan(later), ops.isnan(earlier))))
    rank = concatenate([ops.zeros((1,), _INDEX), ops.cumsum(ops.cast(new, _INDEX), 0)])
    # The ranks rise by one at each new element: rank r begins where it would be inserted.
    starts = ops.searchsorted(rank, ops.iota((wanted + 1,), 0, _INDEX))
    first = starts[:-1]
    there = first < n
    place = ops.minimum(first, ops.full(first.shape, n - 1, _INDEX))
    values = ops.gather(ordered, [place])
    filler = ordered[0] if fill_value is None else ops.cast(as_tensor(fill_value), flat.dtype)
    values = ops.where(there, values, ops.broadcast_to(filler, values.shape))
    indices = ops.where(there, ops.gather(order, [place]), ops.broadcast_to(order[0], first.shape))
    inverse = ops.scatter_set(ops.zeros((n,), _INDEX), [order], rank)
    return UniqueAll(values, indices, ops.reshape(inverse, t.shape), starts[1:] - first)


@implements(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
    size: Dim | None = None,
    fill_value: Any = None,
) -> Any:
    """Return the first `size` different elements in ascending order; all of them, where the elements are known.

    Where there are fewer, `fill_value` (the smallest element if not given) fills up, with count 0. With
    `return_index`, `return_inverse` or `return_counts`, also the positions where they first occur, for each element
    its position among them, and how often they occur. Gradients flow to the first of equal elements.
    """
    if axis is not None:
        untraceable("np.unique over an axis is not traced; use axis=None")
    found = _unique(ar, size, fill_value, equal_nan, "unique")
    asked = [found.indices] * return_index + [found.inverse_indices] * return_inverse + [found.counts] * return_counts
    return (found.values, *asked) if asked else found.values


@implements_newer("unique_values")
def unique_values(x: Any, /, *, size: Dim | None = None, fill_value: Any = None) -> Tensor:
    """Return the first `size` different elements, sorted; each nan counts as different (see `unique`)."""
    return _unique(x, size, fill_value, False, "unique_values").values


@implements_newer("unique_counts")
def unique_counts(x: Any, /, *, size: Dim | None = None, fill_value: Any = None) -> UniqueCounts:
    """Return the first `size` different elements, sorted, and how often they occur (see `unique`)."""
    found = _unique(x, size, fill_value, False, "unique_counts")
    return UniqueCounts(found.values, found.counts)


@implements_newer("unique_inverse")
def unique_inverse(x: Any, /, *, size: Dim | None = None, fill_value: Any = None) -> UniqueInverse:
    """Return the first `size` different elements, sorted, and each element's position among them (see `unique`)."""
    found = _unique(x, size, fill_value, False, "unique_inverse")
    return UniqueInverse(found.values, found.inverse_indices)


@implements_newer("unique_all")
def unique_all(x: Any, /, *, size: Dim | None = None, fill_value: Any = None) -> UniqueAll:
    """Return the first `size` different elements with first positions, inverse and counts (see `unique`)."""
    return _unique(x, size, fill_value, False, "unique_all")
