"""Differences of neighbours along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.numpy.arguments import axis_of, refuse
from graphad.numpy.joining import concatenate
from graphad.numpy.shaping import between, broadcast_to
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_NONE: Any = np._NoValue  # what NumPy passes for "not given"


@implements(np.diff)
def diff(a: Any, n: int = 1, axis: Any = -1, prepend: Any = _NONE, append: Any = _NONE) -> Tensor:
    """y[k] = a[k + 1] - a[k] along `axis`, n times."""
    x = as_tensor(a)
    if n < 0:
        refuse(f"np.diff: n must not be negative, got {n}")
    k = axis_of(axis, x.ndim)
    if n == 0:
        return x
    ends = [prepend, x, append]
    parts = [_end(end, x, k) for end in ends if end is not _NONE and end is not None]
    x = concatenate(parts, k)
    for _ in range(n):
        size = x.shape[k]
        if size == 0:
            break
        later, earlier = between(x, k, 1, size), between(x, k, 0, size - 1)
        x = later != earlier if x.dtype.kind == "b" else later - earlier
    return x


def _end(end: Any, x: Tensor, axis: int) -> Tensor:
    tensor = as_tensor(end)
    return tensor if tensor.ndim else broadcast_to(tensor, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
