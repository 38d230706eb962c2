"""NumPy's dispatch protocols: which graphad function each NumPy function means on a traced array.

`graphad.numpy` fills the table with `@implements(np.mean)`; an elementwise op declares its ufunc itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from graphad.ir.errors import TraceError
from graphad.ir.location import user_location

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""graphad's function for a NumPy function or ufunc."""


def implements(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Register the decorated function as the meaning of NumPy functions on traced arrays."""

    def register(implementation: F) -> F:
        for function in functions:
            FUNCTIONS[function] = implementation
        return implementation

    return register


def call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call graphad's meaning of a NumPy function."""
    return call_function(function, arguments, keywords)


def call_function(function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    """Answer `__array_function__`."""
    found = FUNCTIONS.get(function)
    if found is None:
        if isinstance(function, np.ufunc):
            return call_ufunc(function, "__call__", arguments, keywords)
        name = f"{getattr(function, '__module__', 'numpy')}.{getattr(function, '__name__', function)}"
        raise TraceError(
            f"{name} cannot be traced. Compute it outside the traced function, or write it with functions "
            "that graphad has (see graphad.numpy)",
            location=user_location(),
        )
    return found(*arguments, **keywords)


def call_ufunc(ufunc: np.ufunc, method: str, operands: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Answer `__array_ufunc__`."""
    from graphad.tracing.coerce import elementwise, op_of_ufunc

    name = f"np.{ufunc.__name__}"
    if keywords.get("out") is not None:
        raise TraceError(
            f"{name} was asked to write a traced array into an array (out=, or += on a NumPy array). "
            "Values of a graph do not change: use the result instead, a = a + b",
            location=user_location(),
        )
    if method != "__call__":
        raise TraceError(f"{name}.{method} cannot be traced", location=user_location())
    special = FUNCTIONS.get(ufunc)
    if special is not None:
        return special(*operands, **keywords)
    op = op_of_ufunc(ufunc)
    if op is None:
        raise TraceError(f"{name} cannot be traced", location=user_location())
    if keywords:
        raise TraceError(
            f"{name} of a traced array takes no {', '.join(keywords)}; use np.where or astype on its result",
            location=user_location(),
        )
    return elementwise(op, *operands)
