"""NumPy's conversions (`np.asarray`, `np.array`, ...) on traced arrays.

NumPy dispatches these by no protocol: whatever `__array__` gives, they return an array of numbers. So while a user's
function is traced, the names in the `numpy` module stand for functions that ask NumPy first and, where a traced array
refuses, return it as it is (stacked, where it is in a list). Calls without traced arrays stay NumPy's, in any thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from graphad.ir.errors import TraceError
from graphad.tracing.coerce import as_tensor
from graphad.tracing.protocols import scipy_caller
from graphad.tracing.tensor import Tensor

NAMES = ("array", "asarray", "asanyarray", "ascontiguousarray")

_lock = threading.Lock()
_open = 0


@contextmanager
def converting() -> Iterator[None]:
    """Let NumPy's conversions take traced arrays inside."""
    global _open
    with _lock:
        if not _open:
            for name, function in _REPLACEMENTS.items():
                setattr(np, name, function)
        _open += 1
    try:
        yield
    finally:
        with _lock:
            _open -= 1
            if not _open:
                for name, function in _ORIGINALS.items():
                    setattr(np, name, function)


def _taking_tensors(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def conversion(*arguments: Any, **keywords: Any) -> Any:
        try:
            return original(*arguments, **keywords)
        except TraceError:
            if not (arguments and _holds_tensor(arguments[0])) or scipy_caller() is not None:
                raise  # what SciPy makes arrays of goes on to compiled code
        return _converted(*arguments, **keywords)

    return conversion


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, Tensor) or (isinstance(value, (list, tuple)) and any(map(_holds_tensor, value)))


def _converted(value: Any, dtype: Any = None, *, ndmin: int = 0, **_: Any) -> Tensor:
    """Return tensors as one tensor; `copy`, `order`, `subok` and `like` mean nothing in a graph."""
    tensor = as_tensor(value)
    if dtype is not None:
        tensor = tensor.astype(dtype)
    return tensor.reshape((*(1,) * (ndmin - tensor.ndim), *tensor.shape)) if tensor.ndim < ndmin else tensor


_ORIGINALS: dict[str, Callable[..., Any]] = {name: getattr(np, name) for name in NAMES}
_REPLACEMENTS = {name: _taking_tensors(function) for name, function in _ORIGINALS.items()}
