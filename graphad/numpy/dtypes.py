"""Questions about dtypes that NumPy answers for arrays, answered for tensors without their elements."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from graphad.ir.types import as_dtype, kind_of
from graphad.ir.types import finfo as limits
from graphad.numpy.arguments import refuse
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor


def _known(value: Any) -> Any:
    return value.dtype if isinstance(value, Tensor) else value


@implements(np.result_type)
def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    """Return the dtype that the arguments promote to."""
    found: np.dtype[Any] = np.result_type(*map(_known, arrays_and_dtypes))
    return found


@implements(np.can_cast)
def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    """Return whether a dtype converts to another by a casting rule."""
    return bool(np.can_cast(_known(from_), _known(to), casting))


@implements(np.common_type)
def common_type(*arrays: Any) -> Any:
    """Return the floating-point scalar type common to the arrays."""
    return np.common_type(*(np.empty(0, _known(a)) if isinstance(a, Tensor) else a for a in arrays))


@implements(np.min_scalar_type)
def min_scalar_type(a: Any, /) -> np.dtype[Any]:
    """Return the dtype of a traced array, whose elements are not known."""
    found: np.dtype[Any] = np.min_scalar_type(_known(a)) if not isinstance(a, Tensor) else a.dtype
    return found


# What the array API standard adds


class FloatLimits(NamedTuple):
    """The limits of a floating-point dtype (of the parts of a complex one), as Python numbers."""

    dtype: np.dtype[Any]
    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    tiny: float
    resolution: float


def finfo(type: Any, /) -> FloatLimits:
    """Return the limits of a floating-point dtype, or of the dtype of a tensor."""
    found = limits(as_dtype(_known(type)))
    return FloatLimits(
        np.dtype(found.dtype),
        int(found.bits),
        float(found.eps),
        float(found.max),
        float(found.min),
        float(found.smallest_normal),
        float(found.smallest_subnormal),
        float(found.tiny),
        float(found.resolution),
    )


def iinfo(type: Any, /) -> np.iinfo[Any]:
    """Return the limits of an integer dtype, or of the dtype of a tensor."""
    return np.iinfo(_known(type))


_KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


def isdtype(dtype: Any, kind: Any) -> bool:
    """Tell whether a dtype is of a kind: the name of one ("real floating"), a dtype, or one of a tuple of these."""
    if isinstance(kind, tuple):
        return any(isdtype(dtype, one) for one in kind)
    if isinstance(kind, str):
        if kind not in _KINDS:
            refuse(f"a kind of dtypes is one of {', '.join(_KINDS)}, not {kind!r}")
        return kind_of(np.dtype(dtype)) in _KINDS[kind]
    return bool(np.dtype(dtype) == np.dtype(kind))
