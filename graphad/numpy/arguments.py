"""Arguments as NumPy users write them, turned into what ops take: axes, shapes, dtypes.

What reads arguments for several functions may enter here; what makes nodes may not.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from graphad.ir.dims import Dim, Size
from graphad.ir.emit import emission
from graphad.ir.errors import OpTypeError, TraceError
from graphad.ir.location import Location, user_location
from graphad.ir.types import DType, as_dtype, is_inexact
from graphad.tracing.tensor import Tensor


def here() -> Location | None:
    """Return the user's line that errors name."""
    return emission.location or user_location()


def refuse(message: str) -> NoReturn:
    """Reject shapes or dtypes at the user's line."""
    raise OpTypeError(message, location=here())


def untraceable(message: str) -> NoReturn:
    """Reject what a graph cannot express at the user's line."""
    raise TraceError(message, location=here())


def no_out(out: Any, function: str) -> None:
    """Reject an `out` array: values of a graph do not change."""
    if out is not None:
        untraceable(
            f"np.{function} was asked to write a traced array into out=. "
            f"Values of a graph do not change: use the result instead, y = np.{function}(...)"
        )


def axis_of(axis: Any, ndim: int) -> int:
    """Return an axis counted from the front."""
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        refuse(f"axis {number} is outside an array of {ndim} axes")
    return number % ndim


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes counted from the front, sorted; all of them for None."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (axis_of(axis, ndim),)
    axes = sorted(axis_of(item, ndim) for item in axis)
    if len(set(axes)) != len(axes):
        refuse(f"axis {tuple(axis)} names an axis twice")
    return tuple(axes)


def check_device(device: Any) -> None:
    """Reject what is not the CPU."""
    if device not in (None, "cpu"):
        refuse(f"graphad computes on the CPU: there is no device {device!r}")


def shape_of(shape: Any) -> tuple[Dim, ...]:
    """Return a shape from one size or a sequence of sizes."""
    if isinstance(shape, (tuple, list, np.ndarray)):
        return tuple(size_of(size) for size in shape)
    return (size_of(shape),)


def size_of(size: Any) -> Dim:
    """Return a size: an int or a symbolic size."""
    return size if isinstance(size, Size) else operator.index(size)


def dtype_of(dtype: Any, default: DType) -> DType:
    """Return the dtype asked for, or the default for None."""
    if dtype is None:
        return default
    try:
        return as_dtype(dtype)
    except TypeError as error:
        refuse(str(error))


def summing_dtype(dtype: DType) -> DType:
    """Return the dtype in which NumPy adds or multiplies up elements of `dtype`: small integers become 64 bits."""
    if dtype.kind == "u":
        return np.dtype(np.uint64)
    return np.dtype(np.int64) if dtype.kind in "bi" else dtype


def averaging_dtype(dtype: DType) -> DType:
    """Return the dtype in which NumPy averages elements of `dtype`: float64 for what is not floating-point."""
    return dtype if is_inexact(dtype) else np.dtype(np.float64)


def is_number(value: Any) -> bool:
    """Tell whether a value is known while tracing: a number or array rather than a tensor."""
    return not isinstance(value, (Tensor, Size)) and not (
        isinstance(value, (list, tuple)) and any(not is_number(item) for item in value)
    )


def elements(value: Any) -> np.ndarray[Any, Any] | None:
    """Return the elements of a number, array, or tensor that depends on no input; None if they are not known."""
    if isinstance(value, Tensor):
        from graphad.tracing.known import is_known

        return np.asarray(value) if is_known(value.value) else None
    return np.asarray(value) if is_number(value) else None


def known(value: Any, what: str) -> np.ndarray[Any, Any]:
    """Return an argument that must not be traced as an array."""
    found = elements(value)
    if found is None:
        untraceable(f"{what} must be known while tracing, not a traced array: the shape of the result depends on it")
    return found


def inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    """Return the permutation that undoes `permutation`."""
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))
