"""Logarithms of what is made of exponentials, without computing the exponentials.

`log_of` takes them through sums, positive factors and data movement. `stabilize` is the only user.
"""

from __future__ import annotations

import numpy as np

import graphad.ops as ops
from graphad.ir.emit import apply, handle
from graphad.ir.leaf import Constant, SizeValue
from graphad.ir.node import Value
from graphad.ops.arithmetic import Div, Mul, Sub
from graphad.ops.cast import Cast
from graphad.ops.control import StopGradient
from graphad.ops.indexing import Gather
from graphad.ops.reduction import Max, Sum, kept_shape
from graphad.ops.selection import Where
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.ops.slicing import Slice
from graphad.ops.transcendental import Exp
from graphad.passes.patterns import uniform
from graphad.passes.rules import filled
from graphad.tracing.tensor import Tensor

DEPTH = 8
"""Sums, factors and movements that are looked through on the way to the exponential."""


def shifted(x: Value) -> bool:
    """Tell whether x is ``u - max(u)`` already, so that exp(x) cannot overflow."""
    if type(x.node.op) is not Sub:
        return False
    u, shift = x.node.inputs
    for _ in range(8):
        kind = type(shift.node.op)
        if kind is Max:
            source = shift.node.inputs[0]
            return source == u or (type(source.node.op) is StopGradient and source.node.inputs[0] == u)
        if kind in (BroadcastTo, Reshape, StopGradient):
            shift = shift.node.inputs[0]
        elif kind is Where:  # where(isfinite(max), max, 0)
            shift = shift.node.inputs[1]
        else:
            return False
    return False


def logsumexp(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return log(sum(exp(x), axes)), shifted by the maximum where that is finite."""
    largest = ops.reduce_max(x, axes)
    shift = ops.where(ops.isfinite(largest), largest, largest.zeros_like())
    return ops.log(ops.reduce_sum(ops.exp(x - spread(shift, x, axes)), axes)) + shift


def spread(y: Tensor, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return y, which lacks `axes` of x, broadcast to the shape of x."""
    return ops.broadcast_to(ops.reshape(y, kept_shape(x.shape, axes)), x.shape)


def log_of(value: Value, depth: int = DEPTH) -> Tensor | None:
    """Return log(value) where value is exp(z), a sum of such, a positive multiple of these, or elements of them.

    None for anything else, and where the user has shifted the exponents already.
    """
    node = value.node
    if depth == 0:
        return None
    if type(node.op) is Exp:
        return handle(node.inputs[0])
    if type(node.op) in (Gather, Slice, Reshape, Transpose, BroadcastTo):
        below = log_of(node.inputs[0], depth - 1)
        return None if below is None else apply(node.op, below, *[handle(v) for v in node.inputs[1:]])
    if type(node.op) is Sum:
        terms = node.inputs[0]
        x = exponent(terms)
        if x is None or shifted(x) or 0 in [terms.type.shape[k] for k in node.op.axes]:
            return None
        below = log_of(terms, depth - 1)
        return None if below is None else logsumexp(below, node.op.axes)
    parts = factor(value)
    if parts is None:
        return None
    rest, number = parts
    below = log_of(rest, depth - 1)
    if below is None:
        return None
    return below + log_of_number(number) if type(node.op) is Mul else below - log_of_number(number)


def factor(value: Value) -> tuple[Value, Value] | None:
    """Return (x, k) where value is k * x or x / k for positive numbers k; None for anything else."""
    if type(value.node.op) not in (Mul, Div):
        return None
    a, b = value.node.inputs
    if is_positive(b):
        return a, b
    return (b, a) if type(value.node.op) is Mul and is_positive(a) else None


def is_positive(value: Value) -> bool:
    """Tell whether a value is made of constants that are positive and finite, or is a symbolic size everywhere."""
    while type(value.node.op) in (BroadcastTo, Reshape, Transpose, Cast):
        value = value.node.inputs[0]
    op = value.node.op
    return type(op) is SizeValue or (type(op) is Constant and bool(((op.array > 0) & (op.array < np.inf)).all()))


def log_of_number(value: Value) -> Tensor:
    """Return log(value) for what `is_positive`, a constant where it is one number."""
    number = uniform(value)
    return ops.log(handle(value)) if number is None else filled(np.log(number), handle(value))


def exponent(value: Value) -> Value | None:
    """Return x where value is exp(x) or a positive multiple of it; None for anything else."""
    for _ in range(DEPTH):
        if type(value.node.op) is Exp:
            return value.node.inputs[0]
        parts = factor(value)
        if parts is None:
            return None
        value = parts[0]
    return None


def axes_of_sum(value: Value, x: Value) -> tuple[int, ...] | None:
    """Return the axes where value is sum(k * exp(x), axes) * j, for positive numbers j and k; None for anything else.

    Summed axes may be kept.
    """
    for _ in range(DEPTH):
        op = value.node.op
        if type(op) is Sum:
            inner = value.node.inputs[0]
            return op.axes if exponent(inner) == x and 0 not in [inner.type.shape[k] for k in op.axes] else None
        parts = factor(value)
        if parts is not None:
            value = parts[0]
        elif type(op) is Reshape:
            value = value.node.inputs[0]
        else:
            return None
    return None
