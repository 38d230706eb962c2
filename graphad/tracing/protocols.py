"""NumPy's dispatch protocols: which graphad function each NumPy function means on a traced array.

`graphad.numpy` fills the table with `@implements(np.mean)`, module by module as they are needed; an elementwise op
declares its ufunc itself.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from graphad.ir.errors import TraceError
from graphad.ir.location import is_internal, user_location
from graphad.ir.types import as_dtype

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[Callable[..., Any], Callable[..., Any]] = {}
"""graphad's function for a NumPy function or ufunc."""

UFUNCS: dict[np.ufunc, Callable[..., Any]] = {}
"""What a ufunc means that is called with its operands alone, of those that have been called."""

METHODS: dict[tuple[np.ufunc | None, str], Callable[..., Any]] = {}
"""graphad's function for a ufunc's method ("reduce", "outer", ...); None stands for every ufunc."""


def implements(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Register the decorated function as the meaning of NumPy functions on traced arrays."""

    def register(implementation: F) -> F:
        for function in functions:
            FUNCTIONS[function] = implementation
        return implementation

    return register


def implements_newer(name: str) -> Callable[[F], F]:
    """Register the decorated function as the meaning of a NumPy function that the first NumPy 2 did not have."""
    function = getattr(np, name, None)
    return implements(*([] if function is None else [function]))


def implements_method(ufunc: np.ufunc | None, method: str) -> Callable[[F], F]:
    """Register the decorated function as a ufunc's method; for None, of all ufuncs (it gets the ufunc first)."""

    def register(implementation: F) -> F:
        METHODS[ufunc, method] = implementation
        return implementation

    return register


def call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call graphad's meaning of a NumPy function."""
    return call_function(function, arguments, keywords)


def call_function(function: Callable[..., Any], arguments: Any, keywords: Any) -> Any:
    """Answer `__array_function__`."""
    found = meaning(function)
    if found is None:
        if isinstance(function, np.ufunc):
            return call_ufunc(function, "__call__", arguments, keywords)
        found = meaning_loaded_late(function)
    if found is None:
        raise TraceError(_no_meaning(function), location=user_location())
    if keywords and "out" in keywords:
        if keywords["out"] is not None:
            raise TraceError(_no_out(f"np.{function.__name__}"), location=user_location())
        keywords = {name: value for name, value in keywords.items() if name != "out"}
    return found(*arguments, **keywords)


def meaning(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return graphad's function for a NumPy function or ufunc, None where there is none, or none by this name."""
    found = FUNCTIONS.get(function)
    if found is None:
        name = getattr(function, "__name__", "")
        importlib.import_module("graphad.numpy.homes").load_meaning(name)  # it registers itself
        found = FUNCTIONS.get(function)
    return found


def meaning_loaded_late(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return the meaning of a function whose namespace loads on first use, and remember it; None where it has none.

    Those are the functions of `np.linalg` and `np.fft`, and `np.i0` and SciPy's ufuncs: those are in `graphad.special`;
    and what bears another name than its meaning.
    """
    importlib.import_module("graphad.numpy.homes").load_all()
    module = getattr(function, "__module__", None)
    if module in ("numpy.linalg", "numpy.fft"):
        importlib.import_module(f"graphad.{module}")  # its meanings register themselves
    elif function is np.i0:
        importlib.import_module("graphad.special")  # its meaning registers itself
    elif is_of_scipy(function):
        meanings = importlib.import_module("graphad.special").UFUNCS
        found = meanings.get(function.__name__)
        if found is not None:
            FUNCTIONS[function] = found
    return FUNCTIONS.get(function)


def is_of_scipy(function: Callable[..., Any]) -> bool:
    """Tell whether a function is a ufunc of `scipy.special`, which whoever has the ufunc has imported."""
    name = getattr(function, "__name__", "")
    modules = (sys.modules.get("scipy.special"), sys.modules.get("scipy.special._ufuncs"))
    return isinstance(function, np.ufunc) and any(getattr(module, name, None) is function for module in modules)


def scipy_caller() -> str | None:
    """Return the SciPy function that user code called and that is running now; None where there is none."""
    frame = sys._getframe(1)
    found = None
    while True:
        module = frame.f_globals.get("__name__", "")
        if module.startswith("scipy."):
            found = (module, frame.f_code.co_name)
        elif not is_internal(frame.f_code.co_filename):
            break
        back = frame.f_back
        if back is None:
            break
        frame = back
    if found is None:
        return None
    module, name = found
    return f"{'.'.join(module.split('.')[:2])}.{name}"


def _no_meaning(function: Callable[..., Any]) -> str:
    if is_of_scipy(function):
        return (
            f"scipy.special.{function.__name__} cannot be traced: graphad has no such function yet. Compute it outside "
            "the traced function, or write it with functions that graphad has (dir(graphad.special) lists them)"
        )
    module = getattr(function, "__module__", "numpy")
    name = f"{module}.{getattr(function, '__name__', function)}".replace("numpy", "np", 1)
    return (
        f"{name} cannot be traced: graphad has no such function yet. Compute it outside the traced function, or write "
        "it with functions that graphad has (dir(graphad.numpy) lists them)"
    )


def _no_out(name: str) -> str:
    return (
        f"{name} was asked to write a traced array into an array (out=, or += on a NumPy array). "
        "Values of a graph do not change: use the result instead, a = a + b"
    )


_WITHOUT_EFFECT = ("casting", "order", "subok")


def call_ufunc(ufunc: np.ufunc, method: str, operands: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """Answer `__array_ufunc__`."""
    if method == "__call__" and not keywords:
        plain = UFUNCS.get(ufunc) or _plain_meaning(ufunc)
        if plain is not None:
            return plain(*operands)
    from graphad.tracing.coerce import elementwise, elementwise_into, op_of_ufunc

    name = f"{'scipy.special' if is_of_scipy(ufunc) else 'np'}.{ufunc.__name__}"
    if keywords.get("out") is not None:
        raise TraceError(_no_out(name), location=user_location())
    if method != "__call__":
        return _call_method(ufunc, method, operands, keywords)
    special = meaning(ufunc)
    op = op_of_ufunc(ufunc)
    if special is None and op is None:
        special = meaning_loaded_late(ufunc)
    if special is None and op is None:
        raise TraceError(_no_meaning(ufunc), location=user_location())
    if keywords:
        keywords = {k: v for k, v in keywords.items() if k not in _WITHOUT_EFFECT and v is not None}
        if keywords.get("where", True) is not True:
            raise TraceError(
                f"{name} with where= leaves elements undefined. Use np.where(mask, {name}(...), other)",
                location=user_location(),
            )
        keywords.pop("where", None)
    if special is not None:
        return special(*operands, **keywords)
    assert op is not None, "a ufunc without a special meaning has an op"
    if len(operands) != ufunc.nin:
        raise TraceError(f"{name} takes {ufunc.nin} operands, got {len(operands)}", location=user_location())
    if not keywords:
        return elementwise(op, *operands)
    dtype = keywords.pop("dtype", None)
    if keywords:
        raise TraceError(
            f"{name} of a traced array takes no {', '.join(keywords)}; cast its operands with astype instead",
            location=user_location(),
        )
    return elementwise_into(op, as_dtype(dtype), *operands)


def _plain_meaning(ufunc: np.ufunc) -> Callable[..., Any] | None:
    """Return what a ufunc means that is called with its operands alone, and remember it; None where it has none yet."""
    from graphad.tracing.coerce import elementwise, op_of_ufunc

    found = meaning(ufunc)
    if found is None:
        op = op_of_ufunc(ufunc)
        found = None if op is None else functools.partial(elementwise, op)
    if found is not None:
        UFUNCS[ufunc] = found
    return found


def _call_method(ufunc: np.ufunc, method: str, operands: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    importlib.import_module("graphad.numpy.homes").load_all()
    keywords = {k: v for k, v in keywords.items() if k != "out"}
    own = METHODS.get((ufunc, method))
    if own is not None:
        return own(*operands, **keywords)
    common = METHODS.get((None, method))
    if common is not None:
        return common(ufunc, *operands, **keywords)
    raise TraceError(
        f"np.{ufunc.__name__}.{method} cannot be traced: graphad has no such function yet. "
        "Write it with np.sum, np.prod, np.max, np.min, np.all, np.any or np.cumsum",
        location=user_location(),
    )
