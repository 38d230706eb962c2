"""Functional writes: ``x.at[index].set(v)`` is what x would be after ``x[index] = v``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.frozen import frozen
from graphad.ir.types import is_inexact
from graphad.numpy.arguments import inverse, refuse
from graphad.numpy.indexing import Place, locate, read, view
from graphad.numpy.shaping import flipped
from graphad.tracing.coerce import as_tensor, constant
from graphad.tracing.tensor import Tensor


@frozen
class At:
    """What ``x.at`` is: index it with whatever x can be indexed with."""

    tensor: Tensor

    def __getitem__(self, index: Any) -> Elements:
        return Elements(self.tensor, locate(self.tensor, index))


@frozen
class Elements:
    """The elements of a tensor at an index; each method gives a new tensor with them changed.

    Values broadcast to the shape of ``x[index]`` and take the dtype of x (a float is refused for an integer x). Where
    an index array names an element twice, `add` and `subtract` take all its values into account; of the others the
    last one stays, as after ``x[index] *= v``.
    """

    tensor: Tensor
    place: Place

    def get(self) -> Tensor:
        """Return x[index]."""
        return read(self.tensor, self.place)

    def set(self, value: Any) -> Tensor:
        """Return x with the elements replaced by `value`."""
        return _written(self.tensor, self.place, self._values(value), ops.scatter_set, lambda old, new: new)

    def add(self, value: Any) -> Tensor:
        """Return x with `value` added to the elements."""
        return _written(self.tensor, self.place, self._values(value), ops.scatter_add, ops.add)

    def subtract(self, value: Any) -> Tensor:
        """Return x with `value` subtracted from the elements."""
        return self.add(-self._values(value))

    def multiply(self, value: Any) -> Tensor:
        """Return x with the elements multiplied by `value`."""
        return self.set(ops.mul(self.get(), self._values(value)))

    def divide(self, value: Any) -> Tensor:
        """Return x with the elements divided by `value`; x must be floating-point."""
        if not is_inexact(self.tensor.dtype):
            refuse(f"x.at[index].divide needs a floating-point x, not {self.tensor.type}; use astype first")
        return self.set(ops.div(self.get(), self._values(value)))

    def min(self, value: Any) -> Tensor:
        """Return x with the elements replaced by `value` where that is smaller."""
        return self.set(ops.minimum(self.get(), self._values(value)))

    def max(self, value: Any) -> Tensor:
        """Return x with the elements replaced by `value` where that is larger."""
        return self.set(ops.maximum(self.get(), self._values(value)))

    def _values(self, value: Any) -> Tensor:
        """Return `value` in x's dtype, broadcast to the shape of the elements."""
        dtype = self.tensor.dtype
        if isinstance(value, (bool, int, float)):
            if not np.can_cast(np.min_scalar_type(type(value)()), dtype, "same_kind"):
                refuse(f"cannot write the {type(value).__name__} {value} into {self.tensor.type}; use astype first")
            tensor = constant(value, dtype)
        else:
            tensor = as_tensor(value)
            if not np.can_cast(tensor.dtype, dtype, "same_kind"):
                refuse(f"cannot write {tensor.type} into {self.tensor.type}; use astype first")
        shape = self.place.result_shape
        while tensor.ndim > len(shape) and tensor.shape[0] == 1:  # NumPy drops leading axes of size 1 here
            tensor = ops.reshape(tensor, tensor.shape[1:])
        return ops.broadcast_to(ops.cast(tensor, dtype), shape)


def _written(
    x: Tensor,
    place: Place,
    values: Tensor,
    scatter: Callable[[Tensor, tuple[Tensor, ...], Tensor], Tensor],
    combine: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Return x with `values` at `place`: by `scatter` at index tensors, else combined with the old elements."""
    if place.indices:
        updates = ops.transpose(values, inverse(place.placement))
        target = ops.transpose(view(x, place), place.front)
        part = ops.transpose(scatter(target, place.indices, updates), inverse(place.front))
    else:
        part = combine(view(x, place), values)
    spans = place.spans
    part = ops.reshape(part, tuple(span.size for span in spans))
    part = flipped(part, tuple(k for k, span in enumerate(spans) if span.reversed))
    if all(s.start == 0 and s.stop == n and s.step == 1 for s, n in zip(spans, x.shape, strict=True)):
        return part
    return ops.update_slice(x, part, [s.start for s in spans], [s.stop for s in spans], [s.step for s in spans])
