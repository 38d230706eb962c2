"""Questions about dtypes that NumPy answers for arrays, answered for tensors without their elements."""

from __future__ import annotations

from typing import Any

import numpy as np

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
