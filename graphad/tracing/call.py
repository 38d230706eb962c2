"""Calling a graph: what the arguments are (arrays or tensors), whether they fit, and what sizes they give.

Arguments are nested as they were traced; keywords name an argument. Parameters with initial values may be left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphad.ir.containers import Branch, Container, Leaf, explain_difference, flatten, paths, unflatten
from graphad.ir.dims import solve, substitute
from graphad.ir.errors import ContainerError, ExecutionError, GraphadError, SymbolicSizeError
from graphad.ir.graph import Graph
from graphad.ir.location import user_location
from graphad.ir.types import DTYPE_NAMES, TensorType, kind_of
from graphad.tracing.coerce import as_tensor
from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


def call_graph(graph: Graph, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Evaluate the graph on arrays, or emit its nodes where an argument is a tensor; the result is nested as traced.

    Raises:
        ExecutionError: an argument is missing, unknown, or has another shape or dtype than the graph takes.
        ContainerError: an argument is nested in another way.
        SymbolicSizeError: the sizes contradict each other or an assumption made while tracing.
    """
    from graphad.ir.walk import evaluate, inline  # what is compiled takes another way

    leaves = flatten_arguments(graph, arguments, keywords)
    if any(isinstance(leaf, Tensor) for leaf in leaves):
        return unflatten(graph.output_container, inline(graph, _tensors(graph, leaves)))
    arrays = [
        convert_leaf(type_, leaf, label)
        for type_, leaf, label in zip(graph.input_types, leaves, graph.input_names, strict=True)
    ]
    binding = size_binding(graph, arrays)
    bound = graph.bind(**binding) if binding else graph
    return unflatten(graph.output_container, evaluate(bound, arrays))


def _tensors(graph: Graph, leaves: Sequence[Any]) -> list[Tensor]:
    """Return the leaves as tensors of exactly the types that the graph takes."""
    tensors = []
    for type_, leaf, label in zip(graph.input_types, leaves, graph.input_names, strict=True):
        tensor = leaf if isinstance(leaf, Tensor) else as_tensor(convert_leaf(type_, leaf, label))
        if tensor.type != type_:
            raise ExecutionError(
                f"argument {label!r} is {tensor.type}, but graph {graph.name!r} takes {type_}",
                location=user_location(),
            )
        tensors.append(tensor)
    return tensors


# Which leaf is which input


def flatten_arguments(graph: Graph, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
    """Return the leaves of the arguments in the order of the graph's inputs; initial values where they are left out.

    Raises:
        ExecutionError: an argument is missing, unknown or given twice.
        ContainerError: an argument is nested in another way than it was traced; says which and where.
    """
    containers = argument_containers(graph)
    names = argument_names(graph)
    given = _by_position(graph, arguments, keywords, names)
    leaves: list[Any] = []
    for argument, name, container in zip(given, names, containers, strict=True):
        start = len(leaves)
        count = _leaf_count(container)
        labels = graph.input_names[start : start + count]
        if argument is _MISSING:
            leaves += _initial(graph, name, labels)
        elif isinstance(container, Leaf):
            if _is_container(argument):
                raise ContainerError(
                    f"argument {name!r} of graph {graph.name!r}: expected a leaf, got a {type(argument).__name__}",
                    location=user_location(),
                )
            leaves.append(argument)
        else:
            leaves += _leaves(graph, name, argument, container)
    return leaves


class _Missing:
    """The place of an argument that was left out."""


_MISSING = _Missing()


def argument_containers(graph: Graph) -> tuple[Container, ...]:
    """Return the nesting of each argument."""
    container = graph.input_container
    return container.children if isinstance(container, Branch) else (container,)


def argument_names(graph: Graph) -> tuple[str, ...]:
    """Return a name for each argument: what the names of its inputs have in common ("params" of "params.w1")."""
    names = []
    start = 0
    for position, container in enumerate(argument_containers(graph)):
        labels = paths(container)
        if labels:
            first, path = graph.input_names[start], labels[0]
            fits = path and first.endswith(f".{path}")
            names.append(first[: -len(path) - 1] if fits else first)
        else:  # an argument without leaves (None, an empty tuple) has no input to name it
            names.append(f"#{position}")
        start += len(labels)
    return tuple(names)


def _by_position(
    graph: Graph, arguments: Sequence[Any], keywords: Mapping[str, Any], names: Sequence[str]
) -> list[Any]:
    if len(arguments) > len(names):
        raise ExecutionError(
            f"graph {graph.name!r} takes {len(names)} arguments ({', '.join(names)}), got {len(arguments)}",
            location=user_location(),
        )
    given = [*arguments, *[_MISSING] * (len(names) - len(arguments))]
    for name, value in keywords.items():
        if name not in names:
            raise ExecutionError(
                f"graph {graph.name!r} has no argument {name!r} (it has: {', '.join(names) or 'none'})",
                location=user_location(),
            )
        position = names.index(name)
        if given[position] is not _MISSING:
            raise ExecutionError(f"argument {name!r} of graph {graph.name!r} is given twice", location=user_location())
        given[position] = value
    return given


def _initial(graph: Graph, name: str, labels: Sequence[str]) -> list[Any]:
    missing = [label for label in labels if label not in graph.initial]
    if missing:
        raise ExecutionError(
            f"graph {graph.name!r} needs the argument {name!r} ({_type_of_input(graph, missing[0])})",
            location=user_location(),
        )
    return [graph.initial[label] for label in labels]


def _type_of_input(graph: Graph, label: str) -> str:
    return f"{label}: {graph.input_types[graph.input_names.index(label)]}"


def _leaf_count(container: Container) -> int:
    return len(paths(container))


def _is_container(value: Any) -> bool:
    """Tell whether a value cannot be a leaf; a list or tuple may be an array written out."""
    return value is None or isinstance(value, dict)


def _is_call_leaf(value: Any) -> bool:
    return isinstance(value, (np.ndarray, np.generic, bool, int, float, complex, Tensor)) or hasattr(value, "__array__")


def _leaves(graph: Graph, name: str, argument: Any, container: Container) -> list[Any]:
    try:
        leaves, actual = flatten(argument, _is_call_leaf)
    except ContainerError as error:
        raise _container_error(graph, name, error) from None
    if actual == container:
        return leaves
    # A dict is what its keys are, in whatever order they were written.
    ordered = _in_order(argument, container)
    if ordered is not argument:
        leaves, actual = flatten(ordered, _is_call_leaf)
        if actual == container:
            return leaves
    raise ContainerError(
        f"argument {name!r} of graph {graph.name!r} is nested in another way than it was traced: "
        f"{explain_difference(container, actual)}",
        location=user_location(),
    )


def _container_error(graph: Graph, name: str, error: GraphadError) -> ContainerError:
    return ContainerError(f"argument {name!r} of graph {graph.name!r}: {error.message}", location=user_location())


def _in_order(value: Any, container: Container) -> Any:
    """Return the dicts in a value with their keys in the order of `container`; the value itself where that is no help.

    Recursion is bounded: `flatten` has already refused what is nested too deep.
    """
    if isinstance(container, Leaf):
        return value
    if isinstance(value, dict):
        if container.kind != "dict" or set(value) != set(container.keys):
            return value
        return {
            key: _in_order(value[key], child) for key, child in zip(container.keys, container.children, strict=True)
        }
    if type(value) in (tuple, list) and len(value) == len(container.children):
        return type(value)(_in_order(item, child) for item, child in zip(value, container.children, strict=True))
    return value


# Whether a leaf fits


def convert_leaf(type_: TensorType, value: Any, label: str) -> Array:
    """Return a value as an array of exactly the dtype of `type_`, by safe casts only; Python numbers are weak.

    Symbolic sizes of `type_` take any size (`size_binding` compares them). Raises ExecutionError with the argument's
    label, and the expected and the given type.
    """
    if isinstance(value, np.ndarray) and value.dtype == type_.dtype:
        array = value
    elif isinstance(value, (bool, int, float, complex)) and not isinstance(value, np.generic):
        array = _weak_array(type_, value, label)
    else:
        try:
            array = np.asarray(value)
        except (TypeError, ValueError) as error:
            raise _misfit(type_, type(value).__name__, label, str(error)) from None
        if array.dtype != type_.dtype:
            if kind_of(array.dtype) not in "biufc" or not np.can_cast(array.dtype, type_.dtype, "safe"):
                name = type_.dtype.name
                raise _misfit(type_, _text(array), label, f"cast it first: {label}.astype({name!r})")
            array = array.astype(type_.dtype)
    if array.ndim != type_.ndim or any(
        isinstance(n, int) and n != m for n, m in zip(type_.shape, array.shape, strict=True)
    ):
        raise _misfit(type_, _text(array), label, "")
    return array


def _weak_array(type_: TensorType, value: bool | int | float | complex, label: str) -> Array:
    """Return a Python number in the dtype that the graph takes, where that is of its kind or a wider one."""
    rank = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}
    kind = "i" if isinstance(value, int) and abs(value) >= 2**63 else np.asarray(value).dtype.kind
    if rank[kind] > rank[kind_of(type_.dtype)]:
        raise _misfit(type_, f"the {type(value).__name__} {value}", label, "")
    try:
        return np.asarray(value, type_.dtype)
    except OverflowError as error:
        raise _misfit(type_, f"the int {value}", label, str(error)) from None


def _text(array: Array) -> str:
    dtype = DTYPE_NAMES.get(array.dtype, str(array.dtype))
    return f"{dtype}[{','.join(map(str, array.shape))}]"


def _misfit(type_: TensorType, given: str, label: str, more: str) -> ExecutionError:
    return ExecutionError(
        f"argument {label!r} must be {type_}, got {given}" + (f"; {more}" if more else ""),
        location=user_location(),
    )


# Sizes


def size_binding(graph: Graph, arrays: Sequence[Array]) -> dict[str, int]:
    """Return the number of each symbolic size, from the shapes of the arguments.

    Raises SymbolicSizeError where they contradict each other, or leave a size open.
    """
    binding: dict[str, int] = {}
    symbolic = [
        (type_, array.shape, label)
        for type_, array, label in zip(graph.input_types, arrays, graph.input_names, strict=True)
        if not type_.static
    ]
    for type_, shape, label in symbolic:
        try:
            solve(type_.shape, shape, binding)
        except SymbolicSizeError as error:
            raise _conflict(type_, shape, label, error) from None
    for type_, shape, label in symbolic:  # sizes such as n*m, once n and m are known
        for size, actual in zip(type_.shape, shape, strict=True):
            try:
                found = substitute(size, dict(binding))
            except SymbolicSizeError as error:
                raise _conflict(type_, shape, label, error) from None
            if isinstance(found, int) and found != actual:
                problem = SymbolicSizeError(f"`{size}` is {found} by the other arguments, not {actual}")
                raise _conflict(type_, shape, label, problem)
    open_names = sorted(graph.size_names - binding.keys())
    if open_names:
        sizes = ", ".join(f"{name}=..." for name in open_names)
        raise SymbolicSizeError(
            f"the arguments of graph {graph.name!r} do not say what {', '.join(open_names)} is; "
            f"bind it first: graph.bind({sizes})",
            location=user_location(),
        )
    return binding


def _conflict(type_: TensorType, shape: tuple[int, ...], label: str, error: SymbolicSizeError) -> SymbolicSizeError:
    given = ",".join(map(str, shape))
    return SymbolicSizeError(
        f"argument {label!r} must be {type_}, got the shape [{given}]: {error.message}", location=user_location()
    )
