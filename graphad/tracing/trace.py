"""Tracing: run a function once on tensors and keep the graph it makes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphad.ir.collector import collector_paused
from graphad.ir.containers import Container, flatten, paths, unflatten
from graphad.ir.dims import Assumption, Dim, Size, recording
from graphad.ir.emit import apply, emitting
from graphad.ir.errors import ContainerError, LeakError, TraceError
from graphad.ir.graph import Graph, reachable
from graphad.ir.leaf import Input
from graphad.ir.location import user_location
from graphad.ir.node import Node, Value
from graphad.ir.types import TensorType, as_dtype
from graphad.tracing.coerce import as_tensor
from graphad.tracing.conversion import converting
from graphad.tracing.numpy_errors import explaining
from graphad.tracing.tensor import Number, Tensor

Array = np.ndarray[Any, Any]


def spec(shape: int | Dim | Sequence[Dim], dtype: Any = "float64") -> TensorType:
    """Describe an argument by shape and dtype, where there is no example array at hand.

    Raises TraceError for a size that is no whole number from 0 on nor a `graphad.dim`, TypeError for a dtype that
    graphad does not carry.
    """
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    for size in sizes:
        if not isinstance(size, Size) and not (isinstance(size, (int, np.integer)) and size >= 0):
            raise TraceError(
                f"a size must be a whole number from 0 on, or ga.dim(name) where it is not known yet, not {size!r}",
                location=user_location(),
            )
    return TensorType(as_dtype(dtype), tuple(n if isinstance(n, Size) else int(n) for n in sizes))


def is_leaf(value: Any) -> bool:
    """Tell whether a value in a container is an array-like leaf."""
    return isinstance(value, (np.ndarray, np.generic, bool, int, float, complex, TensorType, Tensor))


def leaf_type(value: Any, path: str) -> TensorType:
    """Return the type of an example: an array, a number, a spec, a tensor."""
    if isinstance(value, TensorType):
        return value
    if isinstance(value, Tensor):
        return value.type
    try:
        if isinstance(value, (np.ndarray, np.generic, bool, int, float, complex)):
            array = np.asarray(value)
            return TensorType(as_dtype(array.dtype), array.shape)
    except TypeError as error:
        raise TraceError(f"argument {path!r}: {error}", location=user_location()) from None
    raise TraceError(
        f"argument {path!r} is a {type(value).__name__}, not an array, a number or a container of them. "
        "Give what is not an array to the function beforehand (functools.partial or a closure)",
        location=user_location(),
    )


def bind_call(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the arguments in order, a name for each, and which of the last ones must be passed by keyword.

    Arguments that were left out keep their defaults, except where a later one was given by name: there the default is
    an argument like any other.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return (*arguments, *keywords.values()), (*_numbered("x", arguments), *keywords), tuple(keywords)
    try:
        bound = signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise TraceError(f"{graph_name(function)}: {error}", location=user_location()) from None
    positional = [p for p in signature.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    last = max((k for k, p in enumerate(positional) if p.name in bound.arguments), default=-1)
    for parameter in positional[:last]:
        bound.arguments.setdefault(parameter.name, parameter.default)
    names: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += _numbered(parameter.name, bound.arguments.get(parameter.name, ()))
        elif parameter.name in bound.arguments and len(names) < len(bound.args):
            names.append(parameter.name)
    by_keyword = tuple(bound.kwargs)
    return (*bound.args, *bound.kwargs.values()), _distinct((*names, *by_keyword)), by_keyword


def _numbered(name: str, arguments: Sequence[Any]) -> list[str]:
    return [f"{name}{i}" for i in range(len(arguments))]


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names with underscores behind those that were there already (`x0` beside the first of `*x`)."""
    found: list[str] = []
    for name in names:
        while name in found:
            name += "_"
        found.append(name)
    return tuple(found)


def bind_arguments(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """Return the arguments in positional order (trailing defaults left out), and a name for each."""
    bound, names, by_keyword = bind_call(function, arguments, keywords)
    if by_keyword:
        raise TraceError(
            f"keyword-only arguments ({', '.join(by_keyword)}) cannot be used here; "
            "fix them with functools.partial or make them positional",
            location=user_location(),
        )
    return bound, names


def input_labels(arguments: Sequence[Any], names: Sequence[str]) -> list[str]:
    """Return a unique label for each leaf of the arguments: "x", "params.w1"."""
    labels: list[str] = []
    for argument, name in zip(arguments, names, strict=True):
        try:
            _, container = flatten(argument, is_leaf)
        except ContainerError as error:
            raise TraceError(
                f"argument {name!r}: {error.message}. Give what is not an array to the function beforehand "
                "(functools.partial or a closure)",
                location=user_location(),
            ) from None
        labels += [f"{name}.{path}" if path else name for path in paths(container)]
    return labels


def graph_name(function: Callable[..., Any]) -> str:
    """Return a name for the graph of a function: its own, or that of the function inside a partial."""
    while isinstance(function, functools.partial):
        function = function.func
    name: str = getattr(function, "__name__", type(function).__name__)
    return name.replace("<lambda>", "function")


def trace(function: Callable[..., Any], *examples: Any, name: str | None = None, **keyword_examples: Any) -> Graph:
    """Run `function` once on tensors in place of `examples` and return the graph it makes.

    Args:
        function: a pure function of arrays (nested in tuples, lists, dicts, namedtuples, dataclasses), written with
            `numpy` or `graphad.numpy`. A Graph is returned as it is.
        *examples: for each argument an array, a number, or a `spec(shape, dtype)`; nested as the function takes them.
        name: the graph's name; the function's name if not given.
        **keyword_examples: arguments by name. What is left out keeps its default, as a constant.

    Raises:
        TraceError: the function asked for the value of a traced array, wrote into one, or called what cannot be traced.
        LeakError: the result depends on a tensor of another trace.
    """
    if isinstance(function, Graph):
        return function
    with recording() as assumptions, collector_paused():
        arguments, names, by_keyword = bind_call(function, examples, keyword_examples)
        labels = input_labels(arguments, names)
        leaves, container = flatten(arguments, is_leaf)
        inputs = [make_argument(label, leaf) for label, leaf in zip(labels, leaves, strict=True)]
        tensors = unflatten(container, inputs)
        positional = len(tensors) - len(by_keyword)
        with explaining(), converting():
            result = function(*tensors[:positional], **dict(zip(by_keyword, tensors[positional:], strict=True)))
        return close(name or graph_name(function), inputs, container, result, assumptions)


def make_argument(label: str, example: Any) -> Tensor:
    """Return a new graph argument of an example's type; a Python number stays weak in promotion."""
    tensor = make_input(label, leaf_type(example, label))
    return Number(tensor.value) if type(example) in (int, float, complex, Number) else tensor


def make_input(label: str, type_: TensorType, kind: str = "input") -> Tensor:
    """Return a new graph argument."""
    with emitting("forward"):
        return apply(Input(label, type_, kind))


def close(
    name: str,
    inputs: Sequence[Tensor],
    container: Container,
    result: Any,
    assumptions: Sequence[Assumption],
    initial: Mapping[str, Array] | None = None,
) -> Graph:
    """Return the graph from `inputs` to `result`, a container of tensors, arrays and numbers."""
    try:
        outputs, output_container = flatten(result, is_leaf)
    except ContainerError as error:
        raise TraceError(
            f"the result of {name!r}: {error.message}. Return arrays, or tuples, lists, dicts, dataclasses of arrays",
            location=user_location(),
        ) from None
    if not outputs:
        raise TraceError(f"{name!r} returned no array ({result!r}); is a `return` missing?", location=user_location())
    if any(isinstance(output, TensorType) for output in outputs):
        raise TraceError(f"{name!r} returned a spec, which is no value; return arrays", location=user_location())
    own = tuple(t.value for t in inputs)
    results = tuple(as_tensor(output).value for output in outputs)
    try:
        return Graph(
            name,
            own,
            results,
            tuple(t.value.node.op.label for t in inputs),  # type: ignore[attr-defined]  # inputs are Input nodes
            output_labels(output_container),
            container,
            output_container,
            dict(initial or {}),
            tuple(assumptions),
        )
    except LeakError:
        leaked = _leaked(own, results)
    raise LeakError(
        f"graph {name!r} uses a tensor of another trace, {leaked.type}, which was kept (in a global, a closure or "
        "an object) after its trace ended, or belongs to a trace around this one. It was made at the line below; "
        "return it as an output there, and pass it as an argument here",
        location=leaked.node.location,
    )


def _leaked(inputs: Sequence[Value], outputs: Sequence[Value]) -> Value:
    """Return the value through which outputs depend on an input of another graph.

    Of what the foreign input reaches, that is the last value made before this graph's own first input.
    """
    nodes = reachable(outputs)
    own = {value.node for value in inputs}
    start = min((node.serial for node in own), default=None)
    foreign: dict[Node, Value] = {}
    for node in nodes:
        if type(node.op) is Input:
            if node not in own:
                foreign[node] = Value(node, 0)
            continue
        for value in node.inputs:
            through = foreign.get(value.node)
            if through is not None:
                early = start is not None and node.serial < start
                foreign[node] = Value(node, 0) if early else value if through.node is value.node else through
                break
    return next(foreign[value.node] for value in outputs if value.node in foreign)


def output_labels(container: Container) -> tuple[str, ...]:
    """Return a unique name for each output: its path in the result, or "out"."""
    found = paths(container)
    return tuple("out" if not path else f"out{path}" if path[0].isdigit() else path for path in found)
