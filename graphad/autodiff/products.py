"""Products with Jacobians: `vjp` (v^T J), `jvp` (J v), `linearize` (J at a point, for many v), `hvp` (H v).

For functions they take the primals at once, as in JAX. For a Graph without primals they give the Graph that takes one
more argument: the cotangents, tangents or vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

from graphad.autodiff.between import residuals, substitute_tensors
from graphad.autodiff.forward import pushforward
from graphad.autodiff.gradients import or_zeros, seed
from graphad.autodiff.nesting import flatten_as, leaf_count, tuple_of, with_holes
from graphad.autodiff.opening import (
    Opened,
    Primals,
    Results,
    as_graph,
    as_graph_with,
    give,
    label_of,
    named,
    one_an_argument,
    open_function,
    open_graph,
    present,
    settle,
)
from graphad.autodiff.reverse import pullback
from graphad.ir.containers import Container, Leaf, unflatten
from graphad.ir.dims import recording
from graphad.ir.errors import DerivativeError
from graphad.ir.graph import Graph
from graphad.ir.location import user_location
from graphad.ir.types import TensorType, is_float, is_inexact
from graphad.tracing.coerce import as_tensor
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import is_leaf, leaf_type, make_input

Function = Callable[..., Any]


@overload
def vjp(function: Graph) -> Graph: ...
@overload
def vjp(function: Graph | Function, *primals: Any, has_aux: bool = False) -> Any: ...
def vjp(function: Graph | Function, *primals: Any, has_aux: bool = False) -> Any:
    """(f(primals), pullback) with ``pullback(cotangent) = cotangent^T J``.

    Args:
        function: a function of arrays.
        *primals: its arguments; the pullback gives a tuple with one cotangent an argument (None for integer leaves).
        has_aux: the function gives ``(value, aux)``; the result is then ``(value, pullback, aux)``.

    The forward values that the pullback needs are computed once, here. ``vjp(graph)`` is the Graph that takes one more
    argument, the cotangent, nested like the result (None for integer outputs), and gives ``(value, cotangents)``.
    """
    if isinstance(function, Graph) and not primals:
        return _vjp_graph(function)
    opened = open_function(function, primals, {}, None)
    aux: Sequence[Tensor] = ()
    aux_container: Container = Leaf()
    if has_aux:
        opened, aux, aux_container = _without_aux(opened)
    stand_ins = _cotangent_inputs(opened)
    pulled = _pulled(opened, stand_ins)
    value, pending, also = _settle_first(opened, pulled.tensors, present(stand_ins), aux)
    places, name = opened.container, f"the cotangent of {opened.name}"

    def pull(cotangent: Any) -> Any:
        given = _match(places, cotangent, stand_ins, name)
        return give(Results(pending, pulled.container, pulled.names), present(stand_ins), given)

    return (value, pull, unflatten(aux_container, also)) if has_aux else (value, pull)


def _vjp_graph(graph: Graph) -> Graph:
    with recording() as found:
        opened = open_graph(graph, None)
        stand_ins = _cotangent_inputs(opened)
        pulled = _pulled(opened, stand_ins)
        results = Results(
            [*opened.outputs, *pulled.tensors],
            tuple_of([opened.container, pulled.container]),
            [*named("value", opened.output_names), *pulled.names],
        )
        extra = with_holes(opened.container, [t is not None for t in stand_ins])
        return as_graph_with(graph, results, present(stand_ins), extra, found, "vjp")


def _pulled(opened: Opened, stand_ins: Sequence[Tensor | None]) -> Results:
    """Return the cotangents of the primals for stand-ins of the outputs' cotangents."""
    inputs = opened.primals.open_inputs
    tensors = or_zeros(pullback(opened.outputs, stand_ins, inputs), inputs)
    container = with_holes(opened.primals.container, opened.primals.varies)
    return Results(tensors, container, named("cotangent", opened.primals.open_labels))


def _cotangent_inputs(opened: Opened) -> list[Tensor | None]:
    names = named("cotangent", [f"of_{n}" if n == "out" else n for n in opened.output_names])
    return [
        make_input(name, t.type) if is_inexact(t.dtype) else None for name, t in zip(names, opened.outputs, strict=True)
    ]


def _without_aux(opened: Opened) -> tuple[Opened, Sequence[Tensor], Container]:
    """Return the opened function without its second result, and that."""
    children = () if isinstance(opened.container, Leaf) else opened.container.children
    if len(children) != 2:
        raise DerivativeError(f"{opened.name} with has_aux=True must give a pair (value, aux)")
    count = leaf_count(children[0])
    value = Opened(opened.name, opened.primals, opened.outputs[:count], children[0], opened.output_names[:count])
    return value, opened.outputs[count:], children[1]


def _settle_first(
    opened: Opened, later: Sequence[Tensor], later_inputs: Sequence[Tensor], aux: Sequence[Tensor] = ()
) -> tuple[Any, list[Tensor], list[Any]]:
    """Compute the value and all that `later` needs of the primals.

    Returns the value, `later` as tensors that depend on `later_inputs` alone, and the auxiliary results.
    """
    kept = residuals(later, later_inputs)
    settled = settle([*opened.outputs, *aux, *kept], opened.primals.open_inputs, opened.primals.open_given)
    count = len(opened.outputs)
    value = unflatten(opened.container, settled[:count])
    constants = [as_tensor(item) for item in settled[count + len(aux) :]]
    return value, substitute_tensors(later, kept, constants), settled[count : count + len(aux)]


@overload
def jvp(function: Graph) -> Graph: ...
@overload
def jvp(function: Graph | Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any: ...
def jvp(function: Graph | Function, primals: Sequence[Any] | None = None, tangents: Sequence[Any] | None = None) -> Any:
    """(f(primals), J tangents): the value and its derivative in the direction `tangents`.

    Args:
        function: a function of arrays.
        primals: tuple of its arguments.
        tangents: tuple nested like `primals`; None for a leaf is a zero tangent, and stands for integer leaves.

    The result is ``(value, tangent)``, nested alike (None for integer values). ``jvp(graph)`` is the Graph that takes
    one more argument, the tuple of tangents.
    """
    if isinstance(function, Graph) and primals is None:
        with recording() as found:
            opened = open_graph(function, None)
            stand_ins = _tangent_inputs(opened.primals)
            pushed = _pushed(opened, stand_ins)
            results = _pair(opened, pushed)
            extra = with_holes(opened.primals.container, opened.primals.varies)
            return as_graph_with(function, results, present(stand_ins), extra, found, "jvp")
    primals, tangents = one_an_argument(primals, "primals", "jvp"), one_an_argument(tangents, "tangents", "jvp")
    opened = open_function(function, primals, {}, None)
    directions = flatten_as(opened.primals.container, tangents, f"the tangents of {opened.name}")
    stand_ins = [
        t if direction is not None else None
        for t, direction in zip(_tangent_inputs(opened.primals), directions, strict=True)
    ]
    given = _match(opened.primals.container, tangents, stand_ins, f"the tangents of {opened.name}")
    return give(
        _pair(opened, _pushed(opened, stand_ins)),
        [*opened.primals.open_inputs, *present(stand_ins)],
        [*opened.primals.open_given, *given],
    )


def _tangent_inputs(primals: Primals) -> list[Tensor | None]:
    return [
        None if t is None else make_input(f"tangent.{label}", t.type)
        for label, t in zip(primals.labels, primals.inputs, strict=True)
    ]


def _pushed(opened: Opened, stand_ins: Sequence[Tensor | None]) -> Results:
    """Return the tangents of the outputs for stand-ins of the primals' tangents."""
    pairs = [(x, t) for x, t in zip(opened.primals.inputs, stand_ins, strict=True) if x is not None]
    pushed = pushforward(opened.outputs, [t for _, t in pairs], [x for x, _ in pairs])
    varies = [is_inexact(t.dtype) for t in opened.outputs]
    tensors = or_zeros(
        [p for p, has in zip(pushed, varies, strict=True) if has],
        [t for t, has in zip(opened.outputs, varies, strict=True) if has],
        "tangent",
    )
    names = [n for n, has in zip(opened.output_names, varies, strict=True) if has]
    return Results(tensors, with_holes(opened.container, varies), named("tangent", names))


def _pair(opened: Opened, pushed: Results) -> Results:
    return Results(
        [*opened.outputs, *pushed.tensors],
        tuple_of([opened.container, pushed.container]),
        [*named("value", opened.output_names), *pushed.names],
    )


@overload
def linearize(function: Graph) -> tuple[Graph, Graph]: ...
@overload
def linearize(function: Graph | Function, *primals: Any) -> tuple[Any, Function]: ...
def linearize(function: Graph | Function, *primals: Any) -> tuple[Any, Any]:
    """(f(primals), v -> J v): the value, and the derivative at this point as a linear function of tangents.

    The forward values that the linear function needs are computed once, here. It takes one tangent an argument.
    ``linearize(graph)`` splits the JVP into two graphs: ``arguments -> (value, residuals)``, to be run once, and
    ``(residuals, tangents) -> tangent``, to be run for each direction.
    """
    if isinstance(function, Graph) and not primals:
        return _linearize_graph(function)
    opened = open_function(function, primals, {}, None)
    stand_ins = _tangent_inputs(opened.primals)
    pushed = _pushed(opened, stand_ins)
    value, pending, _ = _settle_first(opened, pushed.tensors, present(stand_ins))
    places, name = opened.primals.container, f"the tangents of {opened.name}"

    def push(*tangents: Any) -> Any:
        given = _match(places, tangents, stand_ins, name)
        return give(Results(pending, pushed.container, pushed.names), present(stand_ins), given)

    return value, push


def _linearize_graph(graph: Graph) -> tuple[Graph, Graph]:
    with recording() as found:
        opened = open_graph(graph, None)
        stand_ins = _tangent_inputs(opened.primals)
        pushed = _pushed(opened, stand_ins)
        kept = residuals(pushed.tensors, present(stand_ins))
        labels = [f"residual.{k}" for k in range(len(kept))]
        places = tuple_of([Leaf()] * len(kept))
        first = Results(
            [*opened.outputs, *kept],
            tuple_of([opened.container, places]),
            [*named("value", opened.output_names), *labels],
        )
        inputs = [make_input(label, t.type) for label, t in zip(labels, kept, strict=True)]
        outputs = substitute_tensors(pushed.tensors, kept, inputs)
        both = [*inputs, *present(stand_ins)]
        tangents = with_holes(opened.primals.container, opened.primals.varies)
        linear = Graph(
            f"linear_{graph.name}",
            tuple(t.value for t in both),
            tuple(t.value for t in outputs),
            tuple(label_of(t) for t in both),
            tuple(pushed.names),
            tuple_of([places, tangents]),
            pushed.container,
            assumptions=tuple(dict.fromkeys((*graph.assumptions, *found))),
        )
        return as_graph(graph, first, found, "residuals"), linear


@overload
def hvp(function: Graph) -> Graph: ...
@overload
def hvp(function: Graph | Function, primals: Sequence[Any], vectors: Sequence[Any]) -> Any: ...
def hvp(function: Graph | Function, primals: Sequence[Any] | None = None, vectors: Sequence[Any] | None = None) -> Any:
    """H v: the Hessian of a scalar function times `vectors`, forward over reverse, without forming H.

    `primals` and `vectors` are tuples nested alike; so is the result. ``hvp(graph)`` is the Graph that takes one more
    argument, the tuple of vectors.
    """
    if isinstance(function, Graph) and primals is None:
        with recording() as found:
            opened = open_graph(function, None)
            stand_ins = _tangent_inputs(opened.primals)
            results = _hessian_product(opened, stand_ins)
            extra = with_holes(opened.primals.container, opened.primals.varies)
            return as_graph_with(function, results, present(stand_ins), extra, found, "hvp")
    primals, vectors = one_an_argument(primals, "primals", "hvp"), one_an_argument(vectors, "vectors", "hvp")
    opened = open_function(function, primals, {}, None)
    stand_ins = _tangent_inputs(opened.primals)
    given = _match(opened.primals.container, vectors, stand_ins, f"the vectors of {opened.name}")
    return give(
        _hessian_product(opened, stand_ins),
        [*opened.primals.open_inputs, *present(stand_ins)],
        [*opened.primals.open_given, *given],
    )


def _hessian_product(opened: Opened, stand_ins: Sequence[Tensor | None]) -> Results:
    inputs = opened.primals.open_inputs
    value = opened.outputs[0] if len(opened.outputs) == 1 else None
    if value is None or value.shape or not is_float(value.dtype):
        types = ", ".join(str(t.type) for t in opened.outputs)
        raise DerivativeError(
            f"hvp needs a function of one real floating-point scalar, but {opened.name} gives {types}",
            location=user_location(),
        )
    gradients = or_zeros(pullback([value], [seed(value)], inputs), inputs)
    pushed = pushforward(gradients, present(stand_ins), inputs)
    container = with_holes(opened.primals.container, opened.primals.varies)
    return Results(or_zeros(pushed, inputs, "tangent"), container, named("product", opened.primals.open_labels))


def _match(places: Container, given: Any, stand_ins: Sequence[Tensor | None], what: str) -> list[Any]:
    """Return what is given for the stand-ins, in order: of their shape and dtype; None means zeros.

    Raises ContainerError or DerivativeError where nesting, shape or dtype do not fit.
    """
    found = []
    for item, t in zip(flatten_as(places, given, what), stand_ins, strict=True):
        if t is None:
            continue
        found.append(np.zeros(t.shape) if item is None and t.type.static else _fit(item, t, what))
    return found


def _fit(item: Any, stand_in: Tensor, what: str) -> Any:
    if item is None:
        return stand_in.zeros_like()
    if not is_leaf(item) or isinstance(item, TensorType):
        raise DerivativeError(f"{what}: expected an array, got {type(item).__name__}", location=user_location())
    type_ = leaf_type(item, what)
    if type_.shape != stand_in.shape or (isinstance(item, Tensor) and type_.dtype != stand_in.dtype):
        raise DerivativeError(f"{what}: expected {stand_in.type}, got {type_}", location=user_location())
    return item if isinstance(item, Tensor) else np.asarray(item, stand_in.dtype)
