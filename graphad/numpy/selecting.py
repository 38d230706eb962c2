"""Selecting by arrays of positions or conditions: take, take_along_axis, choose, select, compress, extract."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, is_one
from graphad.numpy.arguments import axis_of, known, no_out, refuse
from graphad.numpy.elementwise import clip, where
from graphad.numpy.indexing import getitem
from graphad.numpy.joining import stack
from graphad.numpy.shaping import broadcast_arrays, ravel
from graphad.tracing.coerce import as_tensor, common_shape
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)


@implements(np.take)
def take(a: Any, indices: Any, axis: Any = None, out: None = None, mode: str = "raise") -> Tensor:
    """y = a[..., indices, ...] along `axis` (None: of the flattened array).

    `mode` says what positions outside mean: "raise" an error, "wrap" round the end, "clip" to the ends.
    """
    no_out(out, "take")
    x = ravel(a) if axis is None else as_tensor(a)
    k = 0 if axis is None else axis_of(axis, x.ndim)
    if mode not in ("raise", "wrap", "clip"):
        refuse(f"mode must be 'raise', 'wrap' or 'clip', not {mode!r}")
    n = x.shape[k]
    if mode == "wrap":
        indices = as_tensor(indices) % n
    elif mode == "clip":
        indices = clip(as_tensor(indices), 0, n - 1)
    return getitem(x, (*(slice(None),) * k, indices))


@implements(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Tensor:
    """y[i, k, j] = arr[i, indices[i, k, j], j] for k along `axis` (None: in the flattened array)."""
    x = ravel(arr) if axis is None else as_tensor(arr)
    k = 0 if axis is None else axis_of(axis, x.ndim)
    index = as_tensor(indices)
    if index.ndim != x.ndim:
        refuse(f"np.take_along_axis needs as many axes in the indices ({index.type}) as in the array ({x.type})")
    if index.dtype.kind not in "iu":
        refuse(f"indices must be integers, not {index.type}")
    # Along the other axes the two broadcast; along this one the indices say what is taken.
    sizes = (*x.shape[:k], index.shape[k], *x.shape[k + 1 :])
    shape = common_shape([sizes, index.shape])
    addresses = [ops.broadcast_to(index, shape) if d == k else _along(d, x.shape[d], shape) for d in range(x.ndim)]
    return ops.gather(x, addresses)


def _along(axis: int, n: Dim, shape: tuple[Dim, ...]) -> Tensor:
    """Return the position along `axis` everywhere in `shape`; 0 where the addressed axis has size 1."""
    return ops.zeros(shape, _INDEX) if is_one(n) else ops.iota(shape, axis, _INDEX)


@implements(np.choose)
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Tensor:
    """y[i] = choices[a[i]][i], all broadcast to one shape."""
    no_out(out, "choose")
    options = [as_tensor(c) for c in choices]
    index, *options = broadcast_arrays(a, *options)
    if mode == "wrap":
        index = index % len(options)
    elif mode == "clip":
        index = clip(index, 0, len(options) - 1)
    chosen = take_along_axis(stack(options, 0), ops.reshape(index, (1, *index.shape)), 0)
    return ops.reshape(chosen, chosen.shape[1:])


@implements(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    """y = the choice of the first condition that holds, `default` where none does."""
    if len(condlist) != len(choicelist) or not len(condlist):
        refuse(f"np.select needs as many choices as conditions, got {len(choicelist)} and {len(condlist)}")
    y = default
    for condition, choice in zip(reversed(list(condlist)), reversed(list(choicelist)), strict=True):
        y = where(condition, choice, y)
    return as_tensor(y)


@implements(np.compress)
def compress(condition: Any, a: Any, axis: Any = None, out: None = None) -> Tensor:
    """y = the elements of a along `axis` where `condition`, which is known while tracing, holds."""
    no_out(out, "compress")
    return take(a, known(condition, "the condition of np.compress").nonzero()[0], axis)


@implements(np.extract)
def extract(condition: Any, arr: Any) -> Tensor:
    """y = the elements of arr where `condition`, which is known while tracing, holds."""
    return take(arr, known(condition, "the condition of np.extract").ravel().nonzero()[0])
