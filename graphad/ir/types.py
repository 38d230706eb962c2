"""Tensor types: an element type and a shape whose sizes may be symbolic."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphad.ir.dims import Dim, is_static, product

DType = np.dtype[Any]

DTYPE_NAMES: dict[DType, str] = {
    np.dtype(np.bool_): "bool",
    **{np.dtype(f"int{n}"): f"i{n}" for n in (8, 16, 32, 64)},
    **{np.dtype(f"uint{n}"): f"u{n}" for n in (8, 16, 32, 64)},
    np.dtype(np.float32): "f32",
    np.dtype(np.float64): "f64",
}
DTYPES_BY_NAME: dict[str, DType] = {name: dtype for dtype, name in DTYPE_NAMES.items()}


@functools.cache
def as_dtype(dtype: Any) -> DType:
    """Return the supported, native-endian dtype that `dtype` names ("float32", np.int64, "f32", float, ...).

    Raises TypeError for a dtype that graphad does not carry.
    """
    named = DTYPES_BY_NAME.get(dtype) if isinstance(dtype, str) else None
    found = named if named is not None else np.dtype(dtype).newbyteorder("=")
    if found not in DTYPE_NAMES:
        raise TypeError(f"dtype {np.dtype(dtype)} is not supported; use one of {', '.join(DTYPES_BY_NAME)}")
    return found


def is_float(dtype: DType) -> bool:
    """Tell whether gradients flow through values of `dtype`."""
    return dtype.kind == "f"


@dataclass(frozen=True, slots=True)
class TensorType:
    """The type of a value: `dtype` and `shape`; prints as ``f64[8,5]``, ``f32[batch,4]``, ``i64[]``."""

    dtype: DType
    shape: tuple[Dim, ...]

    @property
    def ndim(self) -> int:
        """Return the number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """Return the number of elements (symbolic where a size is)."""
        return product(self.shape)

    @property
    def nbytes(self) -> Dim:
        """Return the number of bytes of a dense array of this type."""
        return product(self.shape) * self.dtype.itemsize

    @property
    def static(self) -> bool:
        """Tell whether every size is a number."""
        return is_static(self.shape)

    def with_shape(self, shape: Sequence[Dim]) -> TensorType:
        """Return the type of the same dtype with another shape."""
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        """Return the type of the same shape with another dtype."""
        return TensorType(dtype, self.shape)

    def __str__(self) -> str:
        return f"{DTYPE_NAMES.get(self.dtype, str(self.dtype))}[{','.join(map(str, self.shape))}]"


def type_of(array: np.ndarray[Any, Any]) -> TensorType:
    """Return the type of a NumPy array."""
    return TensorType(as_dtype(array.dtype), array.shape)
