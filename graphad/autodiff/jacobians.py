"""Whole Jacobians and Hessians: one JVP or VJP, batched over a basis that is built in the graph.

Shapes are ``out.shape + in.shape``; containers are nested as in JAX: that of the result outside, that of the argument
inside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

import graphad.ops as ops
from graphad.autodiff.batching import batch_values, with_batch_axis
from graphad.autodiff.forward import pushforward
from graphad.autodiff.gradients import check_kinds
from graphad.autodiff.nesting import nested, with_holes
from graphad.autodiff.opening import (
    Opened,
    Positions,
    Results,
    as_graph,
    give,
    open_function,
    open_graph,
)
from graphad.autodiff.reverse import pullback
from graphad.ir.dims import Dim, Size, names, recording, static, substitute
from graphad.ir.errors import DerivativeError, SymbolicSizeError
from graphad.ir.graph import Graph
from graphad.ir.types import TensorType, is_complex, is_inexact
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import make_input

Function = Callable[..., Any]
Blocks = Callable[[Opened], list[list[Tensor]]]

# What a named size counts for where the cheaper mode is chosen; divisible by much, so that quotients come out exact.
TYPICAL_SIZE = 5040


@overload
def jacfwd(function: Graph, argnums: Positions = 0, holomorphic: bool = False) -> Graph: ...
@overload
def jacfwd(function: Function, argnums: Positions = 0, holomorphic: bool = False) -> Function: ...
def jacfwd(function: Graph | Function, argnums: Positions = 0, holomorphic: bool = False) -> Graph | Function:
    """d f / d argument by forward mode: one JVP, batched over the elements of the argument.

    Args:
        function: a function of arrays, or a Graph.
        argnums: position of the argument, or a tuple of positions (then each block is a tuple).
        holomorphic: the function is complex-differentiable, from complex arguments to complex values.

    Without `holomorphic` a complex argument is refused: one number cannot be the derivative by its two parts.

    Raises:
        DerivativeError: a result or an argument is an integer, or an op on the way has no derivative.
    """
    return _transformed(function, argnums, holomorphic, _forward_blocks, "jacfwd")


@overload
def jacrev(function: Graph, argnums: Positions = 0, holomorphic: bool = False) -> Graph: ...
@overload
def jacrev(function: Function, argnums: Positions = 0, holomorphic: bool = False) -> Function: ...
def jacrev(function: Graph | Function, argnums: Positions = 0, holomorphic: bool = False) -> Graph | Function:
    """d f / d argument by reverse mode: one VJP, batched over the elements of the result; else like `jacfwd`.

    Without `holomorphic` it is complex values that are refused. By a complex argument the entries are
    ``df/dx - i df/dy``.
    """
    return _transformed(function, argnums, holomorphic, _reverse_blocks, "jacrev")


@overload
def jacobian(function: Graph, argnums: Positions = 0, holomorphic: bool = False) -> Graph: ...
@overload
def jacobian(function: Function, argnums: Positions = 0, holomorphic: bool = False) -> Function: ...
def jacobian(function: Graph | Function, argnums: Positions = 0, holomorphic: bool = False) -> Graph | Function:
    """d f / d argument by the cheaper mode: forward where the argument is no larger than the result.

    Without `holomorphic`, reverse mode serves complex arguments, and forward mode complex values.
    """
    return _transformed(function, argnums, holomorphic, _cheaper_blocks, "jacobian")


@overload
def hessian(function: Graph, argnums: Positions = 0, holomorphic: bool = False) -> Graph: ...
@overload
def hessian(function: Function, argnums: Positions = 0, holomorphic: bool = False) -> Function: ...
def hessian(function: Graph | Function, argnums: Positions = 0, holomorphic: bool = False) -> Graph | Function:
    """d² f / d argument²: ``jacfwd(jacrev(f))``; nested as the argument inside the argument."""
    if isinstance(function, Graph):
        second = jacfwd(jacrev(function, argnums, holomorphic), argnums, holomorphic)
        labels = open_graph(function, argnums).primals.open_labels
        outputs = [n if len(function.output_names) > 1 else "" for n in function.output_names]
        return second.with_outputs(
            second.outputs,
            [".".join(filter(None, ("hessian", o, a, b))) for o in outputs for a in labels for b in labels],
            name=f"hessian_{function.name}",
        )
    return jacfwd(jacrev(function, argnums, holomorphic), argnums, holomorphic)


def _transformed(
    function: Graph | Function, argnums: Positions, holomorphic: bool, blocks: Blocks, prefix: str
) -> Graph | Function:
    if isinstance(function, Graph):
        with recording() as found:
            opened = open_graph(function, argnums)
            return as_graph(function, _results(opened, blocks, holomorphic), found, prefix)

    @functools.wraps(function)
    def jacobian_of(*arguments: Any, **keywords: Any) -> Any:
        opened = open_function(function, arguments, keywords, argnums)
        return give(_results(opened, blocks, holomorphic), opened.primals.open_inputs, opened.primals.open_given)

    return jacobian_of


def _results(opened: Opened, blocks: Blocks, holomorphic: bool) -> Results:
    for t in opened.outputs:
        if not is_inexact(t.dtype):
            raise DerivativeError(
                f"{opened.name} gives {t.type}, which has no derivative; return only floating-point values",
                location=t.value.node.location,
            )
    check_kinds(opened, opened.outputs, holomorphic)
    if not holomorphic:
        blocks = _blocks_of_complex(opened, blocks)
    inner = with_holes(opened.primals.container, opened.primals.varies)
    outer = [n if len(opened.outputs) > 1 else "" for n in opened.output_names]
    labels = [".".join(filter(None, ("jacobian", o, i))) for o in outer for i in opened.primals.open_labels]
    rows = blocks(opened)
    return Results([block for row in rows for block in row], nested(opened.container, inner), labels)


def _blocks_of_complex(opened: Opened, blocks: Blocks) -> Blocks:
    """Return the mode that gives the derivatives of a function that is not holomorphic: reverse by complex arguments,
    forward for complex values; DerivativeError where it is neither.
    """
    arguments = next((t for t in opened.primals.open_inputs if is_complex(t.dtype)), None)
    values = next((t for t in opened.outputs if is_complex(t.dtype)), None)
    possible = [mode for mode, wrong in ((_forward_blocks, arguments), (_reverse_blocks, values)) if wrong is None]
    if blocks in possible or (blocks is _cheaper_blocks and len(possible) == 2):
        return blocks
    if blocks is _cheaper_blocks and possible:
        return possible[0]
    wrong = arguments if blocks is _forward_blocks else values
    assert wrong is not None, "the mode is refused for a complex tensor"
    raise DerivativeError(
        f"the Jacobian of {opened.name} would hold derivatives of or by {wrong.type} that are no single complex "
        "numbers: say holomorphic=True where the function is complex-differentiable; else use jacrev for real values, "
        "jacfwd for real arguments, or differentiate real and imaginary part",
        location=wrong.value.node.location,
    )


def _forward_blocks(opened: Opened) -> list[list[Tensor]]:
    columns = [_columns(opened.outputs, x) for x in opened.primals.open_inputs]
    return [[column[i] for column in columns] for i in range(len(opened.outputs))]


def _columns(outputs: Sequence[Tensor], x: Tensor) -> list[Tensor]:
    """Return d output / d x for each output: the batch axis of the tangents becomes the axes of x."""
    tangent = make_input("tangent", x.type)
    pushed = pushforward(outputs, [tangent], [x])
    blocks = _over_basis(pushed, tangent)
    return [
        _zeros(out, x)
        if block is None
        else ops.reshape(ops.transpose(block, (*range(1, block.ndim), 0)), (*out.shape, *x.shape))
        for out, block in zip(outputs, blocks, strict=True)
    ]


def _reverse_blocks(opened: Opened) -> list[list[Tensor]]:
    return [_row(out, opened.primals.open_inputs) for out in opened.outputs]


def _row(out: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return d out / d input for each input: the batch axis of the cotangents becomes the axes of `out`."""
    cotangent = make_input("cotangent", out.type)
    blocks = _over_basis(pullback([out], [cotangent], inputs), cotangent)
    return [
        _zeros(out, x) if block is None else ops.reshape(block, (*out.shape, *x.shape))
        for x, block in zip(inputs, blocks, strict=True)
    ]


def _over_basis(values: Sequence[Tensor | None], direction: Tensor) -> list[Tensor | None]:
    """Return the values for every basis vector in place of `direction`, stacked in front."""
    size = direction.size
    vectors = basis(direction.type)
    found = [t for t in values if t is not None]
    batched = iter(batch_values(found, [direction], [vectors], size))

    def next_block() -> Tensor:
        t, has = next(batched)
        return t if has else with_batch_axis(t, size)

    return [None if t is None else next_block() for t in values]


def basis(type_: TensorType) -> Tensor:
    """Return the unit vectors of the space of `type_`, stacked in front: a reshaped identity matrix."""
    size: Dim = type_.size
    i64 = np.dtype(np.int64)
    rows, columns = ops.iota((size, size), 0, i64), ops.iota((size, size), 1, i64)
    return ops.reshape(ops.cast(ops.equal(rows, columns), type_.dtype), (size, *type_.shape))


def _zeros(out: Tensor, x: Tensor) -> Tensor:
    return ops.zeros((*out.shape, *x.shape), out.dtype)


def _cheaper_blocks(opened: Opened) -> list[list[Tensor]]:
    inputs = sum(_typical(x.size) for x in opened.primals.open_inputs)
    outputs = sum(_typical(t.size) for t in opened.outputs)
    return _forward_blocks(opened) if inputs <= outputs else _reverse_blocks(opened)


def _typical(size: Dim) -> int:
    """Return the size with a typical number for every name: a guess that decides about speed alone."""
    if not isinstance(size, Size):
        return size
    try:
        return static(substitute(size, dict.fromkeys(names((size,)), TYPICAL_SIZE)))
    except SymbolicSizeError:
        return TYPICAL_SIZE
