"""Searching for elements: where arrays are not 0, and which elements occur in others.

How many elements are not 0 decides a shape, so that such a function answers only for elements that are known: of
arrays, and of tensors that depend on no input of a graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.numpy.arguments import elements, refuse, untraceable
from graphad.numpy.shaping import ravel
from graphad.tracing.coerce import as_tensor, constant, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


def _places(a: Any, name: str) -> tuple[np.ndarray[Any, Any], ...]:
    found = elements(a)
    if found is None:
        untraceable(
            f"np.{name} cannot be traced: the shape of its result depends on the elements, which are not known while "
            "tracing. Use the three-argument np.where, or a mask as a factor"
        )
    if name == "nonzero" and found.ndim == 0:
        refuse("np.nonzero needs an array with axes; use x != 0 for a scalar")
    return tuple(np.nonzero(np.atleast_1d(found)))


@implements(np.nonzero)
def nonzero(a: Any) -> tuple[Tensor, ...]:
    """Return the positions of the elements of a that are not 0, an array an axis; a must be known."""
    return tuple(map(constant, _places(a, "nonzero")))


@implements(np.flatnonzero)
def flatnonzero(a: Any) -> Tensor:
    """Return the positions in the flattened a of the elements that are not 0; a must be known."""
    return constant(_places(ravel(a), "flatnonzero")[0])


@implements(np.argwhere)
def argwhere(a: Any) -> Tensor:
    """Return the positions of the elements of a that are not 0, one a row; a must be known."""
    x = as_tensor(a)
    return constant(np.stack(_places(x, "argwhere"), 1)[:, : x.ndim])


@implements(np.isin)
def isin(
    element: Any,
    test_elements: Any,
    assume_unique: bool = False,
    invert: bool = False,
    *,
    kind: str | None = None,
) -> Tensor:
    """y = whether each element occurs in `test_elements` (or, with `invert`, does not); nan never does."""
    x, others = promoted(as_tensor(element), as_tensor(test_elements))
    if others.size == 0:
        return ops.full(x.shape, invert, np.dtype(np.bool_))
    rising = ops.sort(ravel(others), 0)
    flat = ravel(x)
    place = ops.searchsorted(rising, flat)
    last = ops.full(flat.shape, rising.shape[0] - 1, place.dtype)
    found = ops.gather(rising, [ops.minimum(place, last)])
    same = ops.not_equal(found, flat) if invert else ops.equal(found, flat)
    return ops.reshape(same, x.shape)
