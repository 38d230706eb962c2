"""`vmap`: a function of one example becomes a function of a batch of examples."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

import graphad.ops as ops
from graphad.autodiff.batching import batch_values, with_batch_axis
from graphad.autodiff.nesting import spread
from graphad.autodiff.opening import NO_PRIMALS, Opened, Results, give, name_of, run
from graphad.ir.containers import flatten, unflatten
from graphad.ir.dims import Dim, dim, equal, recording
from graphad.ir.emit import handle
from graphad.ir.errors import ContainerError, OpTypeError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Input
from graphad.ir.location import user_location
from graphad.ir.types import TensorType
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import is_leaf, leaf_type, make_input

Function = Callable[..., Any]


@overload
def vmap(function: Graph, in_axes: Any = 0, out_axes: Any = 0, axis_size: Dim | None = None) -> Graph: ...
@overload
def vmap(function: Function, in_axes: Any = 0, out_axes: Any = 0, axis_size: Dim | None = None) -> Function: ...
def vmap(
    function: Graph | Function, in_axes: Any = 0, out_axes: Any = 0, axis_size: Dim | None = None
) -> Graph | Function:
    """Map over an axis of the arguments: ``vmap(f)(xs)[k] = f(xs[k])``, without a loop.

    Args:
        function: a function of arrays, or a Graph.
        in_axes: the axis to map over: one int for all arguments, or a tuple of an int, None (not mapped) or a container
            of these for each argument; one number may stand for a whole container. Negative axes count from the end.
        out_axes: where the mapped axis goes in the result, likewise; None for results that do not depend on mapped
            arguments.
        axis_size: size of the mapped axis; for a function it is found from the arguments; for a Graph it defaults to a
            new named size ("batch").

    Ops without a batching rule are unrolled. Raises ContainerError or OpTypeError where axes and arguments do not fit.
    """
    if isinstance(function, Graph):
        return _vmap_graph(function, in_axes, out_axes, axis_size)

    @functools.wraps(function)
    def mapped(*arguments: Any, **keywords: Any) -> Any:
        leaves, container = flatten(tuple(arguments), is_leaf)
        name = f"vmap of {name_of(function)}"
        axes = spread(container, in_axes, f"in_axes of {name}")
        types = [leaf_type(leaf, "of " + name) for leaf in leaves]
        places = [_place(axis, t, name) for axis, t in zip(axes, types, strict=True)]
        size = _common_size(places, types, axis_size, name)
        stand_ins = [
            None if place is None else make_input(f"x{i}", _without_axis(t, place))
            for i, (place, t) in enumerate(zip(places, types, strict=True))
        ]
        passed = [leaf if t is None else t for leaf, t in zip(leaves, stand_ins, strict=True)]
        opened = run(function, unflatten(container, passed), keywords)
        pairs = [
            (t, make_input(f"xs{i}", type_), place, leaf)
            for i, (t, type_, place, leaf) in enumerate(zip(stand_ins, types, places, leaves, strict=True))
            if t is not None and place is not None
        ]
        inputs, whole = [p[0] for p in pairs], [p[1] for p in pairs]
        fronts = [_move_axis(w, place, 0) for _, w, place, _ in pairs]
        results = _map(opened, inputs, fronts, size, out_axes, name)
        return give(results, whole, [p[3] for p in pairs])

    return mapped


def _vmap_graph(graph: Graph, in_axes: Any, out_axes: Any, axis_size: Dim | None) -> Graph:
    name = f"vmap of {graph.name}"
    with recording() as found:
        size = _new_size(graph) if axis_size is None else axis_size
        axes = spread(graph.input_container, in_axes, f"in_axes of {name}")
        inputs: list[Tensor] = []
        fronts: list[Tensor] = []
        values = []
        for value, axis, label in zip(graph.inputs, axes, graph.input_names, strict=True):
            if axis is None:
                values.append(value)
                continue
            place = _normal_axis(axis, value.type.ndim + 1, name)
            shape = list(value.type.shape)
            shape.insert(place, size)
            kind = value.node.op.kind if isinstance(value.node.op, Input) else "input"
            whole = make_input(label, value.type.with_shape(shape), kind)
            values.append(whole.value)
            inputs.append(handle(value))
            fronts.append(_move_axis(whole, place, 0))
        if not inputs:
            raise ContainerError(f"{name}: in_axes maps no argument")
        outputs = tuple(handle(value) for value in graph.outputs)
        opened = Opened(graph.name, NO_PRIMALS, outputs, graph.output_container, graph.output_names)
        results = _map(opened, inputs, fronts, size, out_axes, name)
        mapped = {label for label, axis in zip(graph.input_names, axes, strict=True) if axis is not None}
        return Graph(
            f"vmap_{graph.name}",
            tuple(values),
            tuple(t.value for t in results.tensors),
            graph.input_names,
            graph.output_names,
            graph.input_container,
            results.container,
            {label: array for label, array in graph.initial.items() if label not in mapped},
            tuple(dict.fromkeys((*graph.assumptions, *found))),
        )


def _new_size(graph: Graph) -> Dim:
    taken = graph.size_names
    candidates = ["batch", *(f"batch{k}" for k in range(2, len(taken) + 3))]
    return dim(next(name for name in candidates if name not in taken))


def _map(
    opened: Opened,
    inputs: Sequence[Tensor],
    batches: Sequence[Tensor],
    size: Dim,
    out_axes: Any,
    name: str,
) -> Results:
    """Return the outputs for the batches, their batch axes where `out_axes` wants them."""
    wanted = spread(opened.container, out_axes, f"out_axes of {name}")
    found: list[Tensor] = []
    for (t, has), axis in zip(batch_values(opened.outputs, inputs, batches, size), wanted, strict=True):
        if axis is None:
            if has:
                raise ContainerError(
                    f"{name}: out_axes is None for a result {t.type} that differs along the mapped axis"
                )
            found.append(t)
        else:
            front = t if has else with_batch_axis(t, size)
            found.append(_move_axis(front, 0, _normal_axis(axis, front.ndim, name)))
    return Results(found, opened.container, list(opened.output_names))


def _place(axis: int | None, type_: TensorType, name: str) -> int | None:
    return None if axis is None else _normal_axis(axis, type_.ndim, name)


def _normal_axis(axis: int, ndim: int, name: str) -> int:
    if not -ndim <= axis < ndim:
        raise OpTypeError(
            f"{name}: axis {axis} is outside an array of {ndim} axes; use None for what is not mapped",
            location=user_location(),
        )
    return axis % ndim


def _common_size(places: Sequence[int | None], types: Sequence[TensorType], axis_size: Dim | None, name: str) -> Dim:
    sizes = [t.shape[p] for p, t in zip(places, types, strict=True) if p is not None]
    if not sizes:
        raise ContainerError(f"{name}: in_axes maps no argument")
    size = sizes[0] if axis_size is None else axis_size
    for other in sizes:
        if not equal(size, other):
            raise OpTypeError(
                f"{name}: the mapped axes have different sizes, {', '.join(map(str, sizes))}"
                + ("" if axis_size is None else f" (axis_size={axis_size})"),
                location=user_location(),
            )
    return size


def _without_axis(type_: TensorType, axis: int) -> TensorType:
    return type_.with_shape([n for k, n in enumerate(type_.shape) if k != axis])


def _move_axis(x: Tensor, source: int, destination: int) -> Tensor:
    order = [k for k in range(x.ndim) if k != source]
    order.insert(destination, source)
    return ops.transpose(x, order)
