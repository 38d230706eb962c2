"""Seed functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import product
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


@implements(np.transpose)
def transpose(a: Any, axes: Any = None) -> Tensor:
    """Permute axes."""
    x = as_tensor(a)
    return ops.transpose(x, tuple(range(x.ndim))[::-1] if axes is None else axes)


@implements(np.reshape)
def reshape(a: Any, shape: Any, order: str = "C") -> Tensor:
    """Give a another shape."""
    x = as_tensor(a)
    sizes = list(shape) if isinstance(shape, (tuple, list)) else [shape]
    if -1 in sizes:
        known = product([n for n in sizes if n != -1])
        sizes[sizes.index(-1)] = x.size // known
    return ops.reshape(x, tuple(sizes))


@implements(np.matmul)
def matmul(a: Any, b: Any) -> Tensor:
    """Matrix product."""
    x, y = as_tensor(a), as_tensor(b)
    return ops.matmul(x, y)


@implements(np.sum)
def sum(a: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Sum over axes."""
    x = as_tensor(a)
    axes = tuple(range(x.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    axes = tuple(sorted(k % x.ndim for k in axes))
    y = ops.reduce_sum(x, axes)
    return ops.reshape(y, tuple(1 if k in axes else n for k, n in enumerate(x.shape))) if keepdims else y


@implements(np.mean)
def mean(a: Any, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Mean over axes."""
    x = as_tensor(a)
    y = sum(x, axis, keepdims)
    return y / (x.size // y.size)



