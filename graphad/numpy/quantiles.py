"""Order statistics: median, quantile and percentile, and the same of what is not nan.

Sorted once along the reduced axes; gradients flow to the elements between which a quantile lies, and to q.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size, product
from graphad.ir.types import is_float, real_dtype
from graphad.numpy.arguments import averaging_dtype, axes_of, is_number, no_out, refuse
from graphad.numpy.elementwise import where
from graphad.numpy.reductions import _NONE
from graphad.tracing.coerce import as_tensor, constant
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_INDEX = np.dtype(np.int64)


def _continuous(alpha: float, beta: float) -> Callable[[Any, Any], Any]:
    """Return the place in n sorted elements of the q-quantile, linear between plotting positions (Hyndman, Fan 1996).

    Element k stands at (k - alpha) / (n + 1 - alpha - beta), counted from 1.
    """
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


def _averaged(place: Any) -> Any:
    """Return the share of the upper neighbour where ties at whole places average: 1/2 there, else 1."""
    whole = np.floor(place) == place
    return where(whole, 0.5, 1.0) if isinstance(place, Tensor) else np.where(whole, 0.5, 1.0)


def _nearest_even(place: Any) -> Any:
    """Return the share of the upper neighbour in the nearest element, of even position (from 1) where halves tie."""
    low = np.floor(place)
    tie = (place - low == 0) & (low % 2 == 1)
    return where(tie, 0.0, 1.0) if isinstance(place, Tensor) else np.where(tie, 0.0, 1.0)


PLACES: dict[str, Callable[[Any, Any], Any]] = {
    "linear": lambda n, q: (n - 1) * q,
    "lower": lambda n, q: np.floor((n - 1) * q),
    "higher": lambda n, q: np.ceil((n - 1) * q),
    "midpoint": lambda n, q: 0.5 * (np.floor((n - 1) * q) + np.ceil((n - 1) * q)),
    "nearest": lambda n, q: np.rint((n - 1) * q),
    "hazen": _continuous(0.5, 0.5),
    "weibull": _continuous(0.0, 0.0),
    "median_unbiased": _continuous(1 / 3, 1 / 3),
    "normal_unbiased": _continuous(3 / 8, 3 / 8),
    "interpolated_inverted_cdf": _continuous(0.0, 1.0),
    "inverted_cdf": lambda n, q: np.ceil(n * q) - 1,
    "averaged_inverted_cdf": lambda n, q: n * q - 1,
    "closest_observation": lambda n, q: n * q - 1 - 0.5,
}
"""For each of NumPy's methods, where among n sorted elements, counted from 0, the q-quantile lies."""

_SHARES: dict[str, Callable[[Any], Any]] = {
    "averaged_inverted_cdf": _averaged,
    "closest_observation": _nearest_even,
}
"""How much the upper neighbour counts, where it is not the distance from the lower one."""


@implements(np.median)
def median(a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False) -> Tensor:
    """y = the middle element over `axis` (None: all axes), the mean of two for an even number; nan spreads."""
    no_out(out, "median")
    return _reduced(a, 0.5, axis, "midpoint", keepdims, _NONE, skip_nan=False)


@implements(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: Any = False,
    *,
    weights: Any = None,
    interpolation: Any = None,
) -> Tensor:
    """y = what a share q (0 ... 1) of the elements over `axis` does not exceed; the axes of q come first.

    Args:
        a: real numbers; integers are averaged as float64.
        q: a number, an array, or a traced array (then out-of-range q counts as the nearer end).
        axis: one axis, several, or None for all.
        method: any of NumPy's thirteen (https://numpy.org/doc/stable/reference/generated/numpy.quantile.html).
    """
    no_out(out, "quantile")
    return _reduced(a, q, axis, interpolation or method, keepdims, weights, skip_nan=False)


@implements(np.percentile)
def percentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: Any = False,
    *,
    weights: Any = None,
    interpolation: Any = None,
) -> Tensor:
    """y = the quantile of q / 100 (see `quantile`)."""
    no_out(out, "percentile")
    return _reduced(a, _share(a, q), axis, interpolation or method, keepdims, weights, skip_nan=False)


@implements(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: None = None, overwrite_input: bool = False, keepdims: Any = False
) -> Tensor:
    """y = the median of the elements that are not nan; nan where all are."""
    no_out(out, "nanmedian")
    return _reduced(a, 0.5, axis, "midpoint", keepdims, _NONE, skip_nan=True)


@implements(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: Any = False,
    *,
    weights: Any = None,
    interpolation: Any = None,
) -> Tensor:
    """y = the quantile (see `quantile`) of the elements that are not nan; nan where all are."""
    no_out(out, "nanquantile")
    return _reduced(a, q, axis, interpolation or method, keepdims, weights, skip_nan=True)


@implements(np.nanpercentile)
def nanpercentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: None = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: Any = False,
    *,
    weights: Any = None,
    interpolation: Any = None,
) -> Tensor:
    """y = the percentile of the elements that are not nan; nan where all are."""
    no_out(out, "nanpercentile")
    return _reduced(a, _share(a, q), axis, interpolation or method, keepdims, weights, skip_nan=True)


def _share(a: Any, q: Any) -> Any:
    """q / 100, in the dtype in which NumPy divides."""
    if isinstance(q, (int, float)):
        return q / 100
    return q / 100 if isinstance(q, Tensor) else np.true_divide(q, 100)


def _reduced(a: Any, q: Any, axis: Any, method: str, keepdims: Any, weights: Any, *, skip_nan: bool) -> Tensor:
    """Return the quantiles over the axes, nan by NumPy's rules."""
    if weights is not None and weights is not _NONE:
        refuse("quantiles with weights are not traced; write them with argsort, cumsum and searchsorted")
    if method not in PLACES:
        refuse(f"method must be one of {', '.join(PLACES)}, not {method!r}")
    x = as_tensor(a)
    x = ops.cast(x, averaging_dtype(x.dtype))
    share = _checked_share(q, x)
    axes = axes_of(axis, x.ndim)
    rest = tuple(k for k in range(x.ndim) if k not in axes)
    n = product(x.shape[k] for k in axes)
    rows = ops.reshape(ops.transpose(x, (*axes, *rest)), (n, *(x.shape[k] for k in rest)))
    kept = tuple(1 if k in axes else m for k, m in enumerate(x.shape)) if keepdims is not _NONE and keepdims else None
    if n == 0:
        shape = (*share.shape, *rows.shape[1:])
        y = ops.broadcast_to(constant(np.nan, x.dtype), shape)
    else:
        y = _quantiles(ops.sort(rows, 0), n, share, method, skip_nan)
    return y if kept is None else ops.reshape(y, (*share.shape, *kept))


def _checked_share(q: Any, x: Tensor) -> Any:
    """Return q as a tensor or an array; a Python number in x's dtype, as NumPy takes it."""
    if not is_number(q):
        share = as_tensor(q)
        return ops.cast(share, averaging_dtype(share.dtype))
    found = np.asarray(q, real_dtype(x.dtype) if isinstance(q, (int, float)) else None)
    found = found if is_float(found.dtype) else found.astype(np.float64)
    if not ((found >= 0) & (found <= 1)).all():
        refuse("quantiles must lie between 0 and 1 (percentiles between 0 and 100)")
    return found


def _quantiles(rows: Tensor, n: Dim, q: Any, method: str, skip_nan: bool) -> Tensor:
    """Return the quantiles q of sorted rows, whose axis 0 holds n elements; the axes of q come first."""
    rest = rows.shape[1:]
    broken = ops.isnan(rows)
    count: Any = n
    if skip_nan:
        count = ops.reduce_sum(ops.cast(ops.logical_not(broken), _INDEX), (0,))
        q = _aligned(q, len(rest))
    place = PLACES[method](ops.cast(count, q.dtype) if isinstance(count, Tensor) else _number(count, q.dtype), q)
    low = np.floor(place)
    upper = _SHARES[method](place) if method in _SHARES else place - low
    upper = upper.astype(q.dtype) if not isinstance(upper, float) else upper
    first, second = _picked(rows, low, count, skip_nan), _picked(rows, low + 1, count, skip_nan)
    if not skip_nan:
        upper = _aligned(upper, len(rest))
    # Where the share is 0 the upper neighbour, which may be infinite, has no say.
    between = first * 0.5 + second * 0.5 if method == "midpoint" else _between(first, second, upper)
    whole = np.asarray(upper) == 0 if is_number(upper) else upper == 0
    y = where(whole | (first == second), first, between) if not _all(whole) else first
    dead = ops.equal(count, count.zeros_like()) if skip_nan else ops.reduce_any(broken, (0,))
    return ops.cast(where(dead, np.nan, y), y.dtype)


def _between(first: Tensor, second: Tensor, upper: Any) -> Tensor:
    """Return first + (second - first) * upper, counted from the nearer end, whose infinity stays, as in NumPy."""
    gap = second - first
    from_first: Tensor = first + gap * upper
    from_second: Tensor = second - gap * (1 - upper)
    late = upper >= 0.5
    if is_number(late) and np.all(late) == np.any(late):
        return from_second if np.all(late) else from_first
    return where(late, from_second, from_first)


def _number(n: Dim, dtype: Any) -> Any:
    return constant(n, np.dtype(dtype)) if isinstance(n, Size) else float(n)


def _all(mask: Any) -> bool:
    return is_number(mask) and bool(np.all(mask))


def _aligned(q: Any, count: int) -> Any:
    """Return q with `count` axes of size 1 behind its own."""
    shape = (*q.shape, *(1,) * count)
    return ops.reshape(q, shape) if isinstance(q, Tensor) else q.reshape(shape)


def _picked(rows: Tensor, place: Any, count: Any, own_places: bool) -> Tensor:
    """Return the elements of sorted rows at whole places, clipped to 0 ... count - 1.

    `own_places`: each row has its own, along the last axes of `place`.
    """
    if not own_places and is_number(place) and not isinstance(count, Size):
        return ops.gather(rows, [constant(np.clip(place, 0, count - 1).astype(np.int64))])
    position: Tensor = ops.cast(as_tensor(place), _INDEX)
    last = count - 1 if isinstance(count, Tensor) else constant(count - 1, _INDEX)
    position = as_tensor(np.maximum(np.minimum(position, last), 0))
    if not own_places:
        return ops.gather(rows, [position])
    return ops.gather(rows, [position, *_row_addresses(position, rows.shape[1:])])


def _row_addresses(position: Tensor, rest: Sequence[Dim]) -> list[Tensor]:
    """Return the position along each of the last axes of `position`."""
    first = position.ndim - len(rest)
    return [ops.iota(position.shape, first + k, _INDEX) for k in range(len(rest))]
