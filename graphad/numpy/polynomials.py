"""Polynomials by their coefficients, the highest power first: polyval, polyder, polyint, sums, products, vander.

Coefficients may be traced, so leading zeros stay where NumPy drops them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, static
from graphad.ir.types import as_dtype
from graphad.numpy.arguments import refuse, size_of, untraceable
from graphad.numpy.joining import concatenate
from graphad.numpy.shaping import between, ravel
from graphad.numpy.signals import convolve
from graphad.tracing.coerce import as_tensor, constant, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


@implements(np.polyval)
def polyval(p: Any, x: Any) -> Tensor:
    """y = p[0] x^(n-1) + ... + p[n-1], by Horner's rule."""
    coefficients, at = as_tensor(p), as_tensor(x)
    y = at.zeros_like()
    for k in range(static(coefficients.shape[0])):
        y = y * at + coefficients[k]
    return y


def _coefficients(p: Any) -> Tensor:
    return ravel(as_tensor(p))


@implements(np.polyder)
def polyder(p: Any, m: int = 1) -> Tensor:
    """Return the coefficients of the m-th derivative."""
    y = _coefficients(p)
    if m < 0:
        refuse("the order of a derivative must not be negative")
    for _ in range(m):
        n = static(y.shape[0])
        y = between(y, 0, 0, max(n - 1, 0)) * np.arange(n - 1, 0, -1)
    return y


@implements(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Tensor:
    """Return the coefficients of the m-th integral, with the constants k (0 if not given) of each integration."""
    y = _coefficients(p)
    if m < 0:
        refuse("the order of an integral must not be negative")
    constants = ops.zeros((m,), np.dtype(np.float64)) if k is None else _coefficients(k)
    if constants.shape == (1,) and m > 1:
        constants = ops.broadcast_to(constants, (m,))
    if static(constants.shape[0]) < m:
        refuse(f"np.polyint needs {m} constants, got {constants.type}")
    for order in range(m):
        n = static(y.shape[0])
        y = concatenate([y / np.arange(n, 0, -1), between(constants, 0, order, order + 1)])
    return y


def _aligned(a1: Any, a2: Any) -> tuple[Tensor, Tensor]:
    """Return two polynomials with equally many coefficients."""
    x, y = (_coefficients(t) for t in promoted(a1, a2))
    n = max(static(x.shape[0]), static(y.shape[0]))
    first, second = (ops.pad(t, (n - static(t.shape[0]),), (0,)) for t in (x, y))
    return first, second


@implements(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Tensor:
    """Return the coefficients of the sum."""
    x, y = _aligned(a1, a2)
    return x + y


@implements(np.polysub)
def polysub(a1: Any, a2: Any) -> Tensor:
    """Return the coefficients of the difference."""
    x, y = _aligned(a1, a2)
    return x - y


@implements(np.polymul)
def polymul(a1: Any, a2: Any) -> Tensor:
    """Return the coefficients of the product."""
    first, second = (ops.zeros((1,), c.dtype) if c.shape[0] == 0 else c for c in map(_coefficients, (a1, a2)))
    return convolve(first, second)


@implements(np.vander)
def vander(x: Any, N: Dim | None = None, increasing: bool = False) -> Tensor:
    """y[i, j] = x[i] ** (N - 1 - j), or ** j if `increasing`; N is the size of x if not given."""
    t = as_tensor(x)
    if t.ndim != 1:
        refuse(f"np.vander needs one axis, not {t.type}")
    n = static(t.shape[0] if N is None else size_of(N))
    t = ops.cast(t, as_dtype(np.promote_types(t.dtype, np.int64)))
    column = ops.reshape(t, (t.shape[0], 1))
    first = ops.ones((t.shape[0], min(n, 1)), t.dtype)
    rest = ops.broadcast_to(column, (t.shape[0], max(n - 1, 0)))
    powers = ops.cumprod(concatenate([first, rest], 1), 1)
    return powers if increasing else ops.flip(powers, (1,))


@implements(np.polyfit)
def polyfit(x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Tensor:
    """Return the coefficients of the polynomial of degree `deg` that fits y at x best, by (weighted) least squares."""
    from graphad.numpy.systems import lstsq

    if full or cov:
        untraceable("np.polyfit gives coefficients alone: use np.linalg.lstsq on np.vander(x, deg + 1) for the rest")
    at, values = promoted(as_tensor(x), as_tensor(y), np.float64(0))[:2]
    if at.ndim != 1 or values.ndim not in (1, 2) or deg < 0:
        refuse(f"np.polyfit takes x of one axis, y of one or two and a degree >= 0, got {at.type}, {values.type}")
    powers = vander(at, deg + 1)
    if w is not None:
        weights = as_tensor(w)
        powers = powers * weights[:, None]
        values = values * (weights if values.ndim == 1 else weights[:, None])
    # Columns of one length: the powers of x differ by orders of magnitude.
    scale = ops.sqrt(ops.reduce_sum(powers * powers, (0,)))
    cutoff = static(at.shape[0]) * np.finfo(np.float64).eps if rcond is None else rcond
    found = lstsq(powers / scale, values, cutoff)[0]
    fitted: Tensor = found / (scale if values.ndim == 1 else scale[:, None])
    return fitted


@implements(np.poly)
def poly(seq_of_zeros: Any) -> Tensor:
    """Return the coefficients of the polynomial with these roots, or of the characteristic polynomial of a matrix.

    Of no roots that is the number 1, as in NumPy.
    """
    zeros = as_tensor(seq_of_zeros)
    if zeros.ndim == 2:
        from graphad.numpy.decompositions import eigvals

        zeros = eigvals(zeros)
    if zeros.ndim != 1:
        refuse(f"np.poly takes roots of one axis or a square matrix, got {zeros.type}")
    zeros = promoted(zeros, 1.0)[0]
    count = static(zeros.shape[0])
    if count == 0:
        return ops.ones((), zeros.dtype)
    found = ops.ones((1,), zeros.dtype)
    for k in range(count):
        found = ops.pad(found, (0,), (1,), (0,)) - ops.pad(found * zeros[k], (1,), (0,), (0,))
    return found


@implements(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Tensor, Tensor]:
    """Return (q, r) with u = v * q + r, by long division; r has one coefficient less than v, NumPy's may have fewer."""
    dividend, divisor, _ = promoted(_coefficients(u), _coefficients(v), 1.0)
    m, n = static(dividend.shape[0]), static(divisor.shape[0])
    if m < n:
        return ops.zeros((1,), dividend.dtype), dividend
    rest, quotient = dividend, []
    for _ in range(m - n + 1):
        factor = rest[0] / divisor[0]
        quotient.append(ops.reshape(factor, (1,)))
        rest = concatenate([rest[1:n] - factor * divisor[1:], rest[n:]])
    return concatenate(quotient), rest if n > 1 else ops.zeros((1,), dividend.dtype)


@implements(np.roots)
def roots(p: Any) -> Tensor:
    """Return the roots, the eigenvalues of the companion matrix, as complex numbers; p[0] must not be 0."""
    from graphad.numpy.decompositions import eigvals

    coefficients = promoted(_coefficients(p), 1.0)[0]
    n = static(coefficients.shape[0]) - 1
    if n < 1:
        return ops.zeros((0,), coefficients.dtype)
    top = ops.reshape(-coefficients[1:] / coefficients[0], (1, n))
    below = ops.cast(constant(np.eye(n - 1, n)), coefficients.dtype)
    return eigvals(concatenate([top, below]))
