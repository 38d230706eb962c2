"""Covariance and correlation of variables observed together."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Size
from graphad.ir.types import is_complex
from graphad.numpy.arguments import averaging_dtype, dtype_of, refuse
from graphad.numpy.diagonals import diagonal
from graphad.numpy.elementwise import clip
from graphad.numpy.joining import concatenate
from graphad.numpy.reductions import sum
from graphad.numpy.shaping import atleast_2d, squeeze
from graphad.tracing.coerce import as_tensor, constant
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


@implements(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Tensor:
    """c[i, j] = sum over k of w[k] (x[i, k] - mean_i) conj(x[j, k] - mean_j) / norm, for variables in rows.

    Args:
        m, y: variables (one axis: one variable; y adds more); in columns unless `rowvar`.
        bias, ddof: norm is N - ddof, with ddof 0 if `bias`, else 1, unless given.
        fweights, aweights: how often, and how reliably, each observation was made.
    """
    x = _variables(m, rowvar)
    if y is not None:
        x = concatenate([x, _variables(y, rowvar)], 0)
    x = ops.cast(x, dtype_of(dtype, np.promote_types(averaging_dtype(x.dtype), np.float64)))
    n = x.shape[1]
    ddof = (0 if bias else 1) if ddof is None else ddof
    w = None
    for weights in (fweights, aweights):
        if weights is not None:
            part = ops.cast(as_tensor(weights), x.dtype)
            if part.shape != (n,):
                refuse(f"np.cov needs a weight for each of {n} observations, got {part.type}")
            w = part if w is None else w * part
    if w is None:
        total: Any = constant(n, x.dtype) if isinstance(n, Size) else float(n)
        mean = sum(x, 1, keepdims=True) / total
        norm = total - ddof
    else:
        total = sum(w)
        mean = sum(x * w, 1, keepdims=True) / total
        norm = total - (ddof if aweights is None or ddof == 0 else ddof * sum(w * as_tensor(aweights)) / total)
    if isinstance(norm, float):
        norm = max(norm, 0.0)
    deviation = x - mean
    weighted = deviation if w is None else deviation * w
    return squeeze(ops.matmul(weighted, ops.conj(ops.matrix_transpose(deviation))) / constant_like(norm, x))


def constant_like(value: Any, x: Tensor) -> Tensor:
    """Return a number or scalar as a tensor of x's dtype."""
    return ops.cast(value, x.dtype) if isinstance(value, Tensor) else constant(value, x.dtype)


def _variables(m: Any, rowvar: bool) -> Tensor:
    t = as_tensor(m)
    if t.ndim > 2:
        refuse(f"np.cov needs at most two axes, not {t.type}")
    x: Tensor = atleast_2d(t)
    return ops.matrix_transpose(x) if not rowvar and t.ndim == 2 else x


@implements(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    """r[i, j] = c[i, j] / sqrt(c[i, i] c[j, j]) for the covariance c; its parts within -1 ... 1."""
    c = cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    spread = ops.sqrt(ops.real_part(diagonal(c)))
    r: Tensor = c / spread[:, None] / spread[None, :]
    if is_complex(r.dtype):
        return ops.complex_of(clip(ops.real_part(r), -1, 1), clip(ops.imag_part(r), -1, 1))
    return clip(r, -1, 1)
