"""Gradients of scalar functions: `grad` and `value_and_grad`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

from graphad.autodiff.nesting import leaf_count, tuple_of, with_holes
from graphad.autodiff.opening import (
    Opened,
    Positions,
    Results,
    as_graph,
    give_once,
    named,
    open_function,
    open_graph,
)
from graphad.autodiff.reverse import pullback
from graphad.ir.containers import Container, Leaf
from graphad.ir.dims import recording
from graphad.ir.emit import emitting, follow
from graphad.ir.errors import DerivativeError
from graphad.ir.graph import Graph
from graphad.ir.types import is_complex, is_inexact
from graphad.tracing.coerce import constant
from graphad.tracing.tensor import Tensor

Function = Callable[..., Any]


@overload
def grad(function: Graph, argnums: Positions = 0, has_aux: bool = False, holomorphic: bool = False) -> Graph: ...
@overload
def grad(function: Function, argnums: Positions = 0, has_aux: bool = False, holomorphic: bool = False) -> Function: ...
def grad(
    function: Graph | Function, argnums: Positions = 0, has_aux: bool = False, holomorphic: bool = False
) -> Graph | Function:
    """d f / d argument: the function (or graph) that gives the gradient of a scalar function.

    Args:
        function: a function of arrays, or a Graph.
        argnums: position of the argument to differentiate by, or a tuple of positions (then a tuple is given).
        has_aux: the function gives ``(value, aux)``; the result is then ``(gradient, aux)``.
        holomorphic: the function is complex-differentiable: complex arguments, a complex value, and f' is given.

    The gradient is nested like the argument and has its shapes and dtypes; integer leaves give None. By a complex
    z = x + iy the gradient of a real function is ``df/dx - i df/dy``, as in JAX and autograd: a step of descent goes
    along its conjugate.

    Raises:
        DerivativeError: the value is not a floating-point scalar, the argument is an integer, or an op on the way has
            no derivative.
    """
    if isinstance(function, Graph):
        with recording() as found:
            opened = open_graph(function, argnums)
            return as_graph(function, _gradient(opened, has_aux, holomorphic), found, "grad")

    @functools.wraps(function)
    def gradient(*arguments: Any, **keywords: Any) -> Any:
        opened = open_function(function, arguments, keywords, argnums)
        return give_once(_gradient(opened, has_aux, holomorphic), opened.primals)

    return gradient


@overload
def value_and_grad(
    function: Graph, argnums: Positions = 0, has_aux: bool = False, holomorphic: bool = False
) -> Graph: ...
@overload
def value_and_grad(
    function: Function, argnums: Positions = 0, has_aux: bool = False, holomorphic: bool = False
) -> Function: ...
def value_and_grad(
    function: Graph | Function, argnums: Positions = 0, has_aux: bool = False, holomorphic: bool = False
) -> Graph | Function:
    """(f, d f / d argument): like `grad`, but gives ``(value, gradient)`` or ``((value, aux), gradient)``."""
    if isinstance(function, Graph):
        with recording() as found:
            opened = open_graph(function, argnums)
            return as_graph(function, _value_and_gradient(opened, has_aux, holomorphic), found, "value_and_grad")

    @functools.wraps(function)
    def value_and_gradient(*arguments: Any, **keywords: Any) -> Any:
        opened = open_function(function, arguments, keywords, argnums)
        return give_once(_value_and_gradient(opened, has_aux, holomorphic), opened.primals)

    return value_and_gradient


def _value_and_gradient(opened: Opened, has_aux: bool, holomorphic: bool) -> Results:
    gradients, container, names = _gradients(opened, has_aux, holomorphic)
    return Results(
        [*opened.outputs, *gradients],
        tuple_of([opened.container, container]),
        [*named("value", opened.output_names), *names],
    )


def _gradient(opened: Opened, has_aux: bool, holomorphic: bool) -> Results:
    gradients, container, names = _gradients(opened, has_aux, holomorphic)
    if not has_aux:
        return Results(gradients, container, names)
    aux = opened.container.children[1]  # type: ignore[union-attr]  # `_gradients` saw a pair
    return Results(
        [*gradients, *opened.outputs[1:]],
        tuple_of([container, aux]),
        [*names, *named("aux", opened.output_names[1:])],
    )


def _gradients(opened: Opened, has_aux: bool, holomorphic: bool) -> tuple[list[Tensor], Container, list[str]]:
    """Return the gradients of the first output, their nesting and their names."""
    value_container = opened.container
    if has_aux:
        children = () if isinstance(value_container, Leaf) else value_container.children
        if len(children) != 2:
            raise DerivativeError(f"{opened.name} with has_aux=True must give a pair (value, aux)")
        value_container = children[0]
    if leaf_count(value_container) != 1 or not isinstance(value_container, Leaf):
        raise DerivativeError(
            f"the gradient needs a function of one scalar value, but {opened.name} gives the container "
            f"{value_container}. Return one scalar, or use has_aux=True for what else it gives, jacobian or vjp"
        )
    value = opened.outputs[0]
    if value.shape or not is_inexact(value.dtype):
        cure = (
            "use jacobian for all derivatives, vjp for the product with a cotangent, or return its sum"
            if is_inexact(value.dtype)
            else "return a floating-point value"
        )
        raise DerivativeError(
            f"the gradient needs a floating-point scalar, but {opened.name} gives {value.type}: {cure}",
            location=value.value.node.location,
        )
    check_kinds(opened, [value], holomorphic)
    if is_complex(value.dtype) and not holomorphic:
        raise DerivativeError(
            f"the gradient needs a real value, but {opened.name} gives {value.type}: return its real part or the "
            "square of its absolute value, or say holomorphic=True where it is complex-differentiable",
            location=value.value.node.location,
        )
    pulled = pullback([value], [seed(value)], opened.primals.open_inputs)
    container = with_holes(opened.primals.container, opened.primals.varies)
    names = named("grad", opened.primals.open_labels)
    return or_zeros(pulled, opened.primals.open_inputs), container, names


def check_kinds(opened: Opened, values: Sequence[Tensor], holomorphic: bool) -> None:
    """Raise DerivativeError where `holomorphic` is said of a function whose arguments or values are not complex."""
    if not holomorphic:
        return
    for t in (*opened.primals.open_inputs, *values):
        if not is_complex(t.dtype):
            raise DerivativeError(
                f"holomorphic=True needs complex arguments and values, but {opened.name} has {t.type}; cast it with "
                "astype(complex), or leave holomorphic out",
                location=t.value.node.location,
            )


def seed(value: Tensor) -> Tensor:
    """Return the cotangent 1 of a scalar."""
    with emitting("backward"):
        follow(value.value.node)
        return constant(1, value.dtype)


def or_zeros(tensors: Sequence[Tensor | None], like: Sequence[Tensor], role: str = "backward") -> list[Tensor]:
    """Return the tensors, with zeros like the others where there is none."""
    with emitting(role):
        return [_zeros_like(model) if t is None else t for t, model in zip(tensors, like, strict=True)]


def _zeros_like(model: Tensor) -> Tensor:
    follow(model.value.node)
    return model.zeros_like()
