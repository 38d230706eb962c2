"""Convolution of sequences: np.convolve and np.correlate. In more axes and with strides: `graphad.nn.conv`."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import at_least
from graphad.numpy.arguments import refuse
from graphad.numpy.elementwise import conj
from graphad.tracing.coerce import promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_BOOL = np.dtype(np.bool_)


@implements(np.convolve)
def convolve(a: Any, v: Any, mode: str = "full") -> Tensor:
    """y[k] = sum over n of a[n] v[k - n].

    `mode`: "full" all k where the sum has terms, "same" as many as the longer operand, "valid" only full overlap.
    """
    x, w = _operands(a, v, "convolve")
    if not at_least(x.shape[0], w.shape[0]):
        x, w = w, x
    return _slid(x, ops.flip(w, (0,)), mode)


@implements(np.correlate)
def correlate(a: Any, v: Any, mode: str = "valid") -> Tensor:
    """y[k] = sum over n of a[n + k] conj(v[n]); `mode` as in `convolve`."""
    x, w = _operands(a, v, "correlate")
    if not at_least(x.shape[0], w.shape[0]):
        return ops.flip(_slid(conj(w), x, mode), (0,))
    return _slid(x, conj(w), mode)


def _operands(a: Any, v: Any, name: str) -> list[Tensor]:
    tensors = [ops.reshape(t, (1,)) if t.ndim == 0 and name == "convolve" else t for t in promoted(a, v)]
    for t in tensors:
        if t.ndim != 1 or t.shape[0] == 0:
            refuse(f"np.{name} needs operands of one axis that is not empty, not {t.type}")
    return tensors


def _slid(x: Tensor, w: Tensor, mode: str) -> Tensor:
    """Return the products of w with what lies under it as it slides along the longer x."""
    n = w.shape[0]
    if mode == "full":
        padding = (n - 1, n - 1)
    elif mode == "same":
        padding = (n // 2, n - n // 2 - 1)
    elif mode == "valid":
        padding = (0, 0)
    else:
        refuse(f"mode must be 'full', 'same' or 'valid', not {mode!r}")
    dtype = x.dtype
    if dtype == _BOOL:
        x, w = (ops.cast(t, np.dtype(np.int64)) for t in (x, w))
    x, w = (ops.reshape(t, (1, 1, t.shape[0])) for t in (x, w))
    y = ops.conv(x, w, (1,), (padding,), (1,), (1,))
    return ops.cast(ops.reshape(y, (y.shape[2],)), dtype)
