"""Tensor types: an element type and a shape whose sizes may be symbolic."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphad.ir.dims import Dim, is_static, product
from graphad.ir.errors import MissingExtraError
from graphad.ir.frozen import frozen

DType = np.dtype[Any]

DTYPE_NAMES: dict[DType, str] = {
    np.dtype(np.bool_): "bool",
    **{np.dtype(f"int{n}"): f"i{n}" for n in (8, 16, 32, 64)},
    **{np.dtype(f"uint{n}"): f"u{n}" for n in (8, 16, 32, 64)},
    **{np.dtype(f"float{n}"): f"f{n}" for n in (16, 32, 64)},
    **{np.dtype(f"complex{n}"): f"c{n}" for n in (64, 128)},
}
"""The printed name of each dtype; bfloat16 joins when it is first asked for."""
BFLOAT16 = "bf16"
NAMES: tuple[str, ...] = (*DTYPE_NAMES.values(), BFLOAT16)
"""The printed names of all dtypes."""
BLOCK_BYTES = 1 << 18
"""Bytes of one block of one array: a handful of them fit a second-level cache."""
_BY_NAME: dict[str, DType] = {name: dtype for dtype, name in DTYPE_NAMES.items()}


def dtype_named(name: str) -> DType:
    """Return the dtype that prints as `name` ("f32", "c64", "bf16"); KeyError for any other name.

    Raises MissingExtraError for "bf16" without the package ml_dtypes.
    """
    return _bfloat16() if name == BFLOAT16 else _BY_NAME[name]


def _bfloat16() -> DType:
    """Return ml_dtypes' bfloat16, which NumPy knows once that package is imported."""
    known = _BY_NAME.get(BFLOAT16)
    if known is None:
        try:
            import ml_dtypes
        except ImportError:
            raise MissingExtraError('bfloat16 needs the package ml_dtypes: pip install "graphad[half]"') from None
        known = _BY_NAME[BFLOAT16] = np.dtype(ml_dtypes.bfloat16)
        DTYPE_NAMES[known] = BFLOAT16
    return known


@functools.cache
def as_dtype(dtype: Any) -> DType:
    """Return the supported, native-endian dtype that `dtype` names ("float32", np.int64, "f32", float, "bf16", ...).

    Raises TypeError for a dtype that graphad does not carry, MissingExtraError for bfloat16 without ml_dtypes.
    """
    if isinstance(dtype, str) and (dtype in NAMES or dtype == "bfloat16"):
        return dtype_named(BFLOAT16 if dtype == "bfloat16" else dtype)
    found: DType = np.dtype(dtype).newbyteorder("=")
    if found.name == "bfloat16":
        return _bfloat16()
    if found not in DTYPE_NAMES:
        raise TypeError(f"dtype {np.dtype(dtype)} is not supported; use one of {', '.join(NAMES)}")
    return found


def kind_of(dtype: DType) -> str:
    """Return NumPy's kind of a dtype: one of "biufc"; "f" for bfloat16 too, which NumPy counts as void."""
    kind = dtype.kind
    return "f" if kind == "V" and dtype.name == "bfloat16" else kind


def is_float(dtype: DType) -> bool:
    """Tell whether values of `dtype` are real floating-point numbers."""
    return kind_of(dtype) == "f"


def is_complex(dtype: DType) -> bool:
    """Tell whether values of `dtype` are complex numbers."""
    return dtype.kind == "c"


def is_inexact(dtype: DType) -> bool:
    """Tell whether gradients flow through values of `dtype`: floating-point numbers, real or complex."""
    return kind_of(dtype) in "fc"


def real_dtype(dtype: DType) -> DType:
    """Return the dtype of the real part of values of `dtype`: float32 of complex64; real dtypes are their own."""
    return np.dtype(f"float{4 * dtype.itemsize}") if dtype.kind == "c" else dtype


def complex_dtype(dtype: DType) -> DType:
    """Return the complex dtype whose real part holds values of a floating-point `dtype`: complex64 of float32.

    There is none for half precision but complex64; integers are taken as float64.
    """
    if dtype.kind == "c":
        return dtype
    return np.dtype(np.complex64 if is_float(dtype) and dtype.itemsize <= 4 else np.complex128)


def finfo(dtype: DType) -> Any:
    """Return the limits of a floating-point dtype, as `numpy.finfo` gives them; of bfloat16 too."""
    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return np.finfo(dtype)


@frozen(slots=True)
class TensorType:
    """The type of a value: `dtype` and `shape`; prints as ``f64[8,5]``, ``f32[batch,4]``, ``i64[]``."""

    dtype: DType
    shape: tuple[Dim, ...]

    # Written out: tracing compares types at every node.

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TensorType):
            return NotImplemented
        return self.dtype == other.dtype and self.shape == other.shape

    def __hash__(self) -> int:
        return hash((self.dtype, self.shape))

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
