"""Opening a function at its arguments, and settling what a transformation made of it.

A transformation needs to know how results depend on arguments. So the arguments are replaced by stand-ins, fresh
inputs, while the function runs; the transformation works on the nodes this made; and at the end the stand-ins are
replaced by the arguments. The stand-ins keep an argument apart from the same tensor reached through a closure: in
``grad(lambda y: x * y)(x)`` only y varies. There is no trace stack and no level to compare, so transformations nest in
any order.

A Graph is open already: its inputs are the stand-ins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphad.autodiff.between import redirect, substitute
from graphad.autodiff.nesting import leaf_count, tuple_of
from graphad.ir.containers import Container, Leaf, flatten, unflatten
from graphad.ir.dims import Assumption
from graphad.ir.emit import handle
from graphad.ir.errors import DerivativeError, GraphadError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph, flat_containers, reachable
from graphad.ir.leaf import Input
from graphad.ir.location import user_location
from graphad.ir.node import Value
from graphad.ir.types import TensorType, is_inexact
from graphad.tracing.coerce import as_tensor
from graphad.tracing.conversion import converting
from graphad.tracing.numpy_errors import explaining
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import (
    bind_arguments,
    input_labels,
    is_leaf,
    leaf_type,
    make_argument,
    output_labels,
)

Array = np.ndarray[Any, Any]
Positions = int | tuple[int, ...]
Replace = Callable[[Sequence[Value], Mapping[Value, Value]], list[Value]]


@frozen
class Primals:
    """The arguments that a derivative is taken by.

    Attributes:
        labels: one a leaf: "params.w1".
        container: nesting: of the one argument, or a tuple of arguments.
        given: the leaves as the caller gave them.
        inputs: for each leaf its stand-in, or None for integers and booleans, which do not vary.
    """

    labels: tuple[str, ...]
    container: Container
    given: tuple[Any, ...]
    inputs: tuple[Tensor | None, ...]

    @property
    def open_labels(self) -> list[str]:
        """Return the labels of the leaves that vary."""
        return [label for label, t in zip(self.labels, self.inputs, strict=True) if t is not None]

    @property
    def open_inputs(self) -> list[Tensor]:
        """Return the stand-ins of the leaves that vary."""
        return [t for t in self.inputs if t is not None]

    @property
    def open_given(self) -> list[Any]:
        """Return what the stand-ins stand for."""
        return [g for g, t in zip(self.given, self.inputs, strict=True) if t is not None]

    @property
    def varies(self) -> list[bool]:
        """Tell for each leaf whether it varies."""
        return [t is not None for t in self.inputs]


NO_PRIMALS = Primals((), Leaf(), (), ())


@frozen
class Opened:
    """What a function gives at stand-ins: `outputs`, nested as `container`, named by `output_names`."""

    name: str
    primals: Primals
    outputs: tuple[Tensor, ...]
    container: Container
    output_names: tuple[str, ...]


@frozen
class Results:
    """What a transformation made: tensors, how to nest them, and the name of each as an output of a graph."""

    tensors: list[Tensor]
    container: Container
    names: list[str]


def select(argnums: Positions, count: int, name: str) -> tuple[int, ...]:
    """Return the positions that `argnums` names among `count` arguments; DerivativeError where one is outside."""
    positions = tuple(argnums) if isinstance(argnums, (tuple, list)) else (argnums,)
    if not all(isinstance(position, (int, np.integer)) for position in positions):
        raise DerivativeError(
            f"argnums of {name} must be the position of an argument, or a tuple of positions, not {argnums!r}",
            location=user_location(),
        )
    if not positions:
        raise DerivativeError(f"argnums of {name} names no argument", location=user_location())
    for position in positions:
        if not -count <= position < count:
            raise DerivativeError(
                f"argnums names argument {position} of {name}, which was called with {count} argument(s)",
                location=user_location(),
            )
    found = tuple(position % count for position in positions)
    if len(set(found)) < len(found):
        raise DerivativeError(f"argnums of {name} names an argument twice: {argnums}", location=user_location())
    return found


def one_an_argument(given: Any, what: str, transform: str) -> tuple[Any, ...]:
    """Return `given`, with an entry for each argument, as a tuple; DerivativeError where it is no tuple or list."""
    if given is None:
        return ()
    if not isinstance(given, (tuple, list)):
        raise DerivativeError(
            f"{transform} takes the {what} as a tuple with one entry an argument, not as a "
            f"{type(given).__name__}: write (x,) for one argument",
            location=user_location(),
        )
    return tuple(given)


def name_of(function: Callable[..., Any]) -> str:
    """Return the name that messages and graphs use."""
    return getattr(function, "__name__", "function").replace("<lambda>", "function")


def run(function: Callable[..., Any], arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Opened:
    """Call the function and take its result apart."""
    name = name_of(function)
    with explaining(), converting():
        result = function(*arguments, **keywords)
    leaves, container = flatten(result, is_leaf)
    graph_like = [leaf for leaf in leaves if not isinstance(leaf, TensorType)]
    if len(graph_like) < len(leaves):
        raise DerivativeError(f"{name} returned a spec, not an array", location=user_location())
    outputs = tuple(as_tensor(leaf) for leaf in graph_like)
    return Opened(name, NO_PRIMALS, outputs, container, output_labels(container))


def open_function(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    argnums: Positions | None,
) -> Opened:
    """Run `function` with stand-ins for the floating-point leaves of the arguments that `argnums` names (None: all).

    Everything else is passed as it is. Raises DerivativeError for a named argument without floating-point leaves.
    """
    name = name_of(function)
    positions = tuple(range(len(arguments))) if argnums is None else select(argnums, len(arguments), name)
    names = _argument_names(function, arguments)
    passed = list(arguments)
    labels: list[str] = []
    given: list[Any] = []
    inputs: list[Tensor | None] = []
    containers: list[Container] = []
    for position in positions:
        leaves, container = flatten(arguments[position], is_leaf)
        own_labels = input_labels([arguments[position]], [names[position]])
        stand_ins = [_stand_in(leaf, label) for leaf, label in zip(leaves, own_labels, strict=True)]
        if argnums is not None:
            types = [str(leaf_type(leaf, "")) for leaf in leaves]
            _expect_variable(name, position, names[position], stand_ins, types)
        mixed = [leaf if t is None else t for leaf, t in zip(leaves, stand_ins, strict=True)]
        passed[position] = unflatten(container, mixed)
        labels += own_labels
        given += leaves
        inputs += stand_ins
        containers.append(container)
    result = run(function, passed, keywords)
    whole = containers[0] if isinstance(argnums, int) else tuple_of(containers)
    primals = Primals(tuple(labels), whole, tuple(given), tuple(inputs))
    return Opened(name, primals, result.outputs, result.container, result.output_names)


def _argument_names(function: Callable[..., Any], arguments: Sequence[Any]) -> list[str]:
    try:
        names = bind_arguments(function, arguments, {})[1]
    except (TypeError, GraphadError):
        names = ()
    return list(names) if len(names) == len(arguments) else [f"x{i}" for i in range(len(arguments))]


def _stand_in(leaf: Any, label: str) -> Tensor | None:
    if isinstance(leaf, TensorType):
        raise DerivativeError(
            f"argument {label!r} is a spec; a derivative needs an array here. Trace the function with the spec and "
            "differentiate the graph",
            location=user_location(),
        )
    return make_argument(label, leaf) if is_inexact(leaf_type(leaf, label).dtype) else None


def _expect_variable(
    name: str, position: int, label: str, inputs: Sequence[Tensor | None], types: Sequence[str]
) -> None:
    """Refuse an argument that has leaves but none that vary."""
    if inputs and all(t is None for t in inputs):
        raise DerivativeError(
            f"argument {position} ({label!r}) of {name} is {', '.join(types[:4])}: derivatives are by floating-point "
            "arguments. Pass floats (3.0, x.astype(float)), or name another argument with argnums",
            location=user_location(),
        )


def open_graph(graph: Graph, argnums: Positions | None) -> Opened:
    """Take the inputs of a graph as stand-ins for the arguments that `argnums` names (None: all that can vary)."""
    containers = argument_containers(graph)
    positions = tuple(range(len(containers))) if argnums is None else select(argnums, len(containers), graph.name)
    starts = np.cumsum([0, *(leaf_count(c) for c in containers)])
    labels: list[str] = []
    leaves: list[Tensor] = []
    inputs: list[Tensor | None] = []
    for position in positions:
        part = slice(int(starts[position]), int(starts[position + 1]))
        tensors = [handle(value) for value in graph.inputs[part]]
        stand_ins = [t if is_inexact(t.dtype) else None for t in tensors]
        if argnums is not None:
            label = graph.input_names[part.start] if len(tensors) == 1 else f"argument {position}"
            _expect_variable(graph.name, position, label, stand_ins, [str(t.type) for t in tensors])
        labels += graph.input_names[part]
        leaves += tensors
        inputs += stand_ins
    chosen = [containers[position] for position in positions]
    whole = chosen[0] if isinstance(argnums, int) else tuple_of(chosen)
    outputs = tuple(handle(value) for value in graph.outputs)
    primals = Primals(tuple(labels), whole, tuple(leaves), tuple(inputs))
    return Opened(graph.name, primals, outputs, graph.output_container, graph.output_names)


# Settling


def settle(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], given: Sequence[Any], replace: Replace = substitute
) -> list[Any]:
    """Return `outputs` with `given` in place of the stand-ins `inputs`; `replace` puts tensors there.

    Arrays, where all of `given` are arrays or numbers and the outputs depend on nothing else; else tensors (of the
    handle class of those given).
    """
    if not any(isinstance(item, Tensor) for item in given) and not _depends_on_others(outputs, inputs):
        from graphad.ir.walk import evaluate

        arrays = [np.asarray(item, t.dtype) for item, t in zip(given, inputs, strict=True)]
        graph = Graph(
            "call",
            tuple(t.value for t in inputs),
            tuple(t.value for t in outputs),
            tuple(f"x{i}" for i in range(len(inputs))),
            tuple(f"out{i}" for i in range(len(outputs))),
            *flat_containers(len(inputs), len(outputs)),
        )
        # Copies: a result must not be a window on an argument or on a constant of the graph.
        return [np.array(result) for result in evaluate(graph, arrays)]
    replacements = {t.value: as_tensor(item).value for t, item in zip(inputs, given, strict=True)}
    wrap = next((type(item) for item in given if isinstance(item, Tensor) and type(item) is not Tensor), Tensor)
    return [wrap(value) for value in replace([t.value for t in outputs], replacements)]


def _depends_on_others(outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    own = {t.value.node for t in inputs}
    return any(type(n.op) is Input and n not in own for n in reachable([t.value for t in outputs]))


def give(results: Results, inputs: Sequence[Tensor], given: Sequence[Any]) -> Any:
    """Return the results of a transformed function, nested, with `given` in place of `inputs`."""
    return unflatten(results.container, settle(results.tensors, inputs, given))


def give_once(results: Results, primals: Primals) -> Any:
    """Return the results of a transformed function, nested, at its arguments; its stand-ins serve no other call."""
    inputs, given = primals.open_inputs, primals.open_given
    replace = redirect if all(isinstance(item, Tensor) for item in given) else substitute
    return unflatten(results.container, settle(results.tensors, inputs, given, replace))


def as_graph(graph: Graph, results: Results, assumptions: Sequence[Assumption], prefix: str) -> Graph:
    """Return the graph of the same inputs that gives the results of a transformation."""
    return graph.with_outputs(
        [t.value for t in results.tensors],
        results.names,
        results.container,
        name=f"{prefix}_{graph.name}",
        assumptions=assumptions,
    )


def as_graph_with(
    graph: Graph,
    results: Results,
    extra: Sequence[Tensor],
    extra_container: Container,
    assumptions: Sequence[Assumption],
    prefix: str,
) -> Graph:
    """Return the graph of the same inputs and one more argument, made of the inputs `extra`."""
    inputs = (*graph.inputs, *(t.value for t in extra))
    return Graph(
        f"{prefix}_{graph.name}",
        inputs,
        tuple(t.value for t in results.tensors),
        (*graph.input_names, *(label_of(t) for t in extra)),
        tuple(results.names),
        tuple_of([*argument_containers(graph), extra_container]),
        results.container,
        graph.initial,
        tuple(dict.fromkeys((*graph.assumptions, *assumptions))),
    )


def argument_containers(graph: Graph) -> tuple[Container, ...]:
    """Return the nesting of each argument of a graph."""
    container = graph.input_container
    return () if isinstance(container, Leaf) else container.children


def label_of(stand_in: Tensor) -> str:
    """Return the label of an input."""
    op = stand_in.value.node.op
    if type(op) is not Input:
        raise TypeError(f"{op.name} is not an input")
    return op.label


def present(tensors: Sequence[Tensor | None]) -> list[Tensor]:
    """Return the tensors that are not None."""
    return [t for t in tensors if t is not None]


def named(prefix: str, labels: Sequence[str]) -> list[str]:
    """Return output names: "grad.params.w1"; the names of a single plain result ("out") stay short."""
    return [prefix if label in ("", "out") else f"{prefix}.{label}" for label in labels]
