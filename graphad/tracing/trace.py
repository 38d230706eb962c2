"""Tracing: run a function once on tensors and keep the graph it makes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphad.ir.containers import Container, flatten, paths, unflatten
from graphad.ir.dims import Assumption, Dim, recording
from graphad.ir.emit import apply, emitting
from graphad.ir.errors import TraceError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.location import user_location
from graphad.ir.types import TensorType, as_dtype
from graphad.tracing.coerce import as_tensor
from graphad.tracing.tensor import Tensor


def spec(shape: int | Dim | Sequence[Dim], dtype: Any = "float64") -> TensorType:
    """Describe an argument by shape and dtype, where there is no example array at hand."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    return TensorType(as_dtype(dtype), sizes)


def is_leaf(value: Any) -> bool:
    """Tell whether a value in a container is an array-like leaf."""
    return isinstance(value, (np.ndarray, np.generic, bool, int, float, TensorType, Tensor))


def leaf_type(value: Any, path: str) -> TensorType:
    """Return the type of an example: an array, a number, a spec, a tensor."""
    if isinstance(value, TensorType):
        return value
    if isinstance(value, Tensor):
        return value.type
    try:
        if isinstance(value, (np.ndarray, np.generic, bool, int, float)):
            array = np.asarray(value)
            return TensorType(as_dtype(array.dtype), array.shape)
    except TypeError as error:
        raise TraceError(f"argument {path!r}: {error}", location=user_location()) from None
    raise TraceError(
        f"argument {path!r} is a {type(value).__name__}, not an array, a number or a container of them. "
        "Give what is not an array to the function beforehand (functools.partial or a closure)",
        location=user_location(),
    )


def bind_arguments(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return the arguments in positional order (defaults left out), and a name for each."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        if keywords:
            raise TraceError("keyword arguments need a function with a signature", location=user_location()) from None
        return tuple(arguments), tuple(f"x{i}" for i in range(len(arguments)))
    bound = signature.bind(*arguments, **keywords)
    if bound.kwargs:
        names = ", ".join(bound.kwargs)
        raise TraceError(
            f"keyword-only arguments ({names}) cannot be traced; fix them with functools.partial or make them positional",
            location=user_location(),
        )
    names_: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names_ += [f"{parameter.name}{i}" for i in range(len(bound.args) - len(names_))]
        elif parameter.name in bound.arguments and len(names_) < len(bound.args):
            names_.append(parameter.name)
    return bound.args, tuple(names_)


def input_labels(arguments: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Return a unique label for each leaf of the arguments: "x", "params.w1"."""
    labels: list[str] = []
    for argument, name in zip(arguments, names, strict=True):
        _, container = flatten(argument, is_leaf)
        labels += [f"{name}.{path}" if path else name for path in paths(container)]
    return labels


def trace(function: Callable[..., Any], *examples: Any, name: str | None = None, **keyword_examples: Any) -> Graph:
    """Run `function` once on tensors in place of `examples` and return the graph it makes.

    Args:
        function: a pure function of arrays (nested in tuples, lists, dicts, namedtuples, dataclasses), written with
            `numpy` or `graphad.numpy`. A Graph is returned as it is.
        *examples: for each argument an array, a number, or a `spec(shape, dtype)`; nested as the function takes them.
        name: the graph's name; the function's name if not given.

    Raises:
        TraceError: the function asked for the value of a traced array, wrote into one, or called what cannot be traced.
        LeakError: the result depends on a tensor of another trace.
    """
    if isinstance(function, Graph):
        return function
    with recording() as assumptions:
        arguments, names = bind_arguments(function, examples, keyword_examples)
        leaves, container = flatten(arguments, is_leaf)
        labels = input_labels(arguments, names)
        inputs = [make_input(label, leaf_type(leaf, label)) for label, leaf in zip(labels, leaves, strict=True)]
        result = function(*unflatten(container, inputs))
        return close(
            name or getattr(function, "__name__", "graph").replace("<lambda>", "function"),
            inputs,
            container,
            result,
            assumptions,
        )


def make_input(label: str, type_: TensorType, kind: str = "input") -> Tensor:
    """Return a new graph argument."""
    with emitting("forward"):
        return apply(Input(label, type_, kind))


def close(
    name: str, inputs: Sequence[Tensor], container: Container, result: Any, assumptions: Sequence[Assumption]
) -> Graph:
    """Return the graph from `inputs` to `result`, a container of tensors, arrays and numbers."""
    outputs, output_container = flatten(result, is_leaf)
    for output in outputs:
        if not is_leaf(output) or isinstance(output, TensorType):
            raise TraceError(
                f"the traced function {name!r} returned a {type(output).__name__}; "
                "return arrays, or tuples, lists, dicts, dataclasses of arrays",
                location=user_location(),
            )
    return Graph(
        name,
        tuple(t.value for t in inputs),
        tuple(as_tensor(output).value for output in outputs),
        tuple(t.value.node.op.label for t in inputs),  # type: ignore[attr-defined]  # inputs are Input nodes
        output_labels(output_container),
        container,
        output_container,
        assumptions=tuple(assumptions),
    )


def output_labels(container: Container) -> tuple[str, ...]:
    """Return a unique name for each output: its path in the result, or "out"."""
    found = paths(container)
    return tuple("out" if not path else f"out{path}" if path.isdigit() else path for path in found)
