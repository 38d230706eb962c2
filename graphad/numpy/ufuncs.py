"""NumPy's ufuncs on tensors, one function an elementwise op, and their methods (reduce, accumulate, outer).

The functions are made from the table of ops: an op that names its ufunc is a function here at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.op import Elementwise
from graphad.numpy.arguments import untraceable
from graphad.numpy.reductions import all, any, cumsum, max, min, prod, sum
from graphad.tracing.coerce import as_tensor, op_of_ufunc, ops_of_ufuncs
from graphad.tracing.protocols import call_ufunc, implements_method
from graphad.tracing.tensor import Tensor

Function = Callable[..., Tensor]

ALIASES = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift",
    "divide": "true_divide",
    "mod": "remainder",
    "pow": "power",
}
"""NumPy's second names of ufuncs."""


def function_of(ufunc: np.ufunc, op: Elementwise) -> Function:
    """Return the function that applies `ufunc` to tensors, arrays and numbers by NumPy's rules."""

    def function(*operands: Any, **keywords: Any) -> Tensor:
        result: Tensor = call_ufunc(ufunc, "__call__", operands, keywords)
        return result

    name = ufunc.__name__
    function.__name__ = function.__qualname__ = name
    function.__module__ = "graphad.numpy"
    function.__doc__ = f"{type(op).__doc__}\n\nThe meaning of `numpy.{name}` on traced arrays."
    return function


_made: dict[np.ufunc, Function] = {}


def ufunc_function(name: str) -> Function | None:
    """Return the function of the ufunc that NumPy has under a name; None where no elementwise op means it."""
    ufunc = getattr(np, name)
    op = op_of_ufunc(ufunc)
    return None if op is None else _made.setdefault(ufunc, function_of(ufunc, op))


def ufunc_functions() -> dict[str, Function]:
    """Return the function of every ufunc that an elementwise op means, under all of NumPy's names for it."""
    names = [ufunc.__name__ for ufunc in ops_of_ufuncs() if hasattr(np, ufunc.__name__)]
    names += [name for name in (*ALIASES, *ALIASES.values()) if isinstance(getattr(np, name, None), np.ufunc)]
    return {name: found for name in names if (found := ufunc_function(name)) is not None}


# Ufunc methods: the reduction of the same meaning.

implements_method(np.add, "reduce")(lambda array, axis=0, **keywords: sum(array, axis, **keywords))
implements_method(np.multiply, "reduce")(lambda array, axis=0, **keywords: prod(array, axis, **keywords))
implements_method(np.maximum, "reduce")(lambda array, axis=0, **keywords: max(array, axis, **keywords))
implements_method(np.minimum, "reduce")(lambda array, axis=0, **keywords: min(array, axis, **keywords))
implements_method(np.logical_and, "reduce")(lambda array, axis=0, **keywords: all(array, axis, **keywords))
implements_method(np.logical_or, "reduce")(lambda array, axis=0, **keywords: any(array, axis, **keywords))
implements_method(np.add, "accumulate")(lambda array, axis=0, **keywords: cumsum(array, axis, **keywords))


@implements_method(None, "outer")
def outer_of(ufunc: np.ufunc, a: Any, b: Any, **keywords: Any) -> Tensor:
    """Return ufunc(a[i..., None...], b[j...]): all pairs."""
    x, y = as_tensor(a), as_tensor(b)
    columns = ops.reshape(x, (*x.shape, *(1,) * y.ndim))
    result: Tensor = call_ufunc(ufunc, "__call__", (columns, y), keywords)
    return result


@implements_method(None, "at")
def at_of(ufunc: np.ufunc, *arguments: Any) -> Tensor:
    """Refuse: it writes in place."""
    untraceable(
        f"np.{ufunc.__name__}.at writes into a traced array in place; values of a graph do not change. "
        "Use y = x.at[index].add(values) (or .subtract, .multiply, .divide, .min, .max)"
    )
