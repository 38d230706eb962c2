"""Creation: tensors made from sizes and numbers. Sizes may be symbolic where NumPy's own functions need numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size
from graphad.ir.types import DType, is_float, is_inexact, real_dtype
from graphad.numpy.arguments import axis_of, check_device, dtype_of, is_number, refuse, shape_of, size_of
from graphad.numpy.elementwise import where
from graphad.numpy.shaping import expand_dims, moveaxis
from graphad.ops.slicing import strided_size
from graphad.tracing.coerce import as_tensor, broadcast_all, constant, promoted
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_FLOAT = np.dtype(np.float64)
_INDEX = np.dtype(np.int64)


def asarray(a: Any, dtype: Any = None, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Return `a` (an array, a number, nested lists, also of tensors) as a tensor.

    Elements of tensors do not change, so that `copy` makes no difference to a tensor; an array cannot be shared, and
    is an OpTypeError (a ValueError) for ``copy=False``.
    """
    check_device(device)
    if copy is False and not isinstance(a, Tensor):
        refuse("asarray with copy=False: a tensor holds elements of its own; only a tensor is taken without a copy")
    if dtype is not None and is_number(a) and not isinstance(a, np.ndarray):
        # Numbers go to the dtype at once: 2 ** 53 + 1 beside a float is no float64.
        return constant(a, dtype_of(dtype, _FLOAT))
    x = as_tensor(a)
    return ops.cast(x, dtype_of(dtype, x.dtype))


asanyarray = ascontiguousarray = asfortranarray = asarray


def array(object: Any, dtype: Any = None, *, copy: bool | None = True, ndmin: int = 0) -> Tensor:
    """Return `object` as a tensor with at least `ndmin` axes."""
    x = asarray(object, dtype)
    return ops.reshape(x, (*(1,) * (ndmin - x.ndim), *x.shape))


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """Return the elements of an array of any library that speaks DLPack as a tensor, by a copy."""
    check_device(device)
    if isinstance(x, Tensor):
        return x
    if copy is False:
        refuse("from_dlpack with copy=False: a tensor holds elements of its own")
    return constant(np.from_dlpack(x))


def zeros(shape: Any, dtype: Any = float, *, device: Any = None) -> Tensor:
    """Return zeros."""
    check_device(device)
    return ops.zeros(shape_of(shape), dtype_of(dtype, _FLOAT))


def ones(shape: Any, dtype: Any = float, *, device: Any = None) -> Tensor:
    """Return ones."""
    check_device(device)
    return ops.ones(shape_of(shape), dtype_of(dtype, _FLOAT))


def empty(shape: Any, dtype: Any = float, *, device: Any = None) -> Tensor:
    """Return zeros: a graph has no memory that is not written."""
    return zeros(shape, dtype, device=device)


def full(shape: Any, fill_value: Any, dtype: Any = None, *, device: Any = None) -> Tensor:
    """Return `fill_value` (a number, or what broadcasts to `shape`) everywhere."""
    check_device(device)
    return ops.broadcast_to(asarray(fill_value, dtype), shape_of(shape))


def _like(a: Any, dtype: Any, shape: Any) -> tuple[tuple[Dim, ...], DType]:
    x = as_tensor(a)
    return x.shape if shape is None else shape_of(shape), dtype_of(dtype, x.dtype)


@implements(np.zeros_like, np.empty_like)
def zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Tensor:
    """Return zeros of the shape and dtype of a."""
    check_device(device)
    return ops.zeros(*_like(a, dtype, shape))


empty_like = zeros_like


@implements(np.ones_like)
def ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None, *, device: Any = None
) -> Tensor:
    """Return ones of the shape and dtype of a."""
    check_device(device)
    return ops.ones(*_like(a, dtype, shape))


@implements(np.full_like)
def full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
    *,
    device: Any = None,
) -> Tensor:
    """Return `fill_value` everywhere, in the shape and dtype of a."""
    check_device(device)
    sizes, wanted = _like(a, dtype, shape)
    return ops.broadcast_to(ops.cast(as_tensor(fill_value), wanted), sizes)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None) -> Tensor:
    """Return start, start + step, ... below stop; with one argument, 0 ... stop - 1. Integer bounds may be symbolic."""
    check_device(device)
    if stop is None:
        start, stop = 0, start
    if not any(isinstance(bound, Size) for bound in (start, stop, step)):
        if not all(is_number(bound) for bound in (start, stop, step)):
            size_of(next(bound for bound in (start, stop, step) if not is_number(bound)))
        return constant(np.arange(start, stop, step, dtype=dtype))
    first, last, stride = size_of(start), size_of(stop), size_of(step)
    if isinstance(stride, Size) or stride == 0:
        refuse(f"the step of arange must be a number and not 0, got {stride}")
    span = last - first if stride > 0 else first - last
    positions = ops.iota((strided_size(span, abs(stride)),), 0, dtype_of(dtype, _INDEX))
    scaled = positions if stride == 1 else positions * stride
    return scaled if isinstance(first, int) and first == 0 else scaled + first


@implements(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: Any = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: Any = 0,
    *,
    device: Any = None,
) -> Any:
    """Return `num` evenly spaced values from start to stop (included if `endpoint`), along a new axis."""
    check_device(device)
    count = size_of(num)
    intervals = count - 1 if endpoint else count
    first, last, _ = promoted(start, stop, 0.0)
    first, last = broadcast_all([first, last])
    places = ops.cast(ops.iota((count,), 0, real_dtype(first.dtype)), first.dtype)
    places = expand_dims(places, tuple(range(1, first.ndim + 1))) if first.ndim else places
    single = intervals == 0
    step = last - first if single else (last - first) / constant(intervals, first.dtype)
    y = first + places * step
    if endpoint and not single:
        y = where(places == constant(count - 1, first.dtype), last, y)
    wanted = dtype_of(dtype, y.dtype)
    y = ops.cast(y if is_inexact(wanted) else ops.floor(y), wanted)
    y = moveaxis(y, 0, axis_of(axis, y.ndim))
    return (y, step) if retstep else y


@implements(np.logspace)
def logspace(
    start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None, axis: Any = 0
) -> Tensor:
    """y = base ** linspace(start, stop, num)."""
    y: Tensor = as_tensor(base) ** linspace(start, stop, num, endpoint, axis=axis)
    return ops.cast(y, dtype_of(dtype, y.dtype))


@implements(np.geomspace)
def geomspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, dtype: Any = None, axis: Any = 0) -> Tensor:
    """Return `num` values whose neighbours have one ratio, from start to stop, both above 0 or both below.

    nan where the signs differ, and where one of them is 0 (NumPy raises ValueError then).
    """
    first, last, _ = promoted(start, stop, _FLOAT.type(0))
    if not is_float(first.dtype):
        refuse(f"np.geomspace is defined for real numbers, got {first.type}")
    first, last = broadcast_all([first, last])
    sign = where((first == 0) | (last == 0), np.nan, ops.sign(first))
    first, last = first * sign, last * sign
    y = ops.exp(linspace(ops.log(first), ops.log(last), num, endpoint))
    places = ops.iota((size_of(num),), 0, _INDEX)
    places = expand_dims(places, tuple(range(1, y.ndim))) if y.ndim > 1 else places
    y = where(places == 0, first, y)
    if endpoint and size_of(num) != 1:
        y = where(places == size_of(num) - 1, last, y)
    return moveaxis(ops.cast(y * sign, dtype_of(dtype, y.dtype)), 0, axis_of(axis, y.ndim))
