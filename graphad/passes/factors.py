"""Factors: find ``1 / s`` inside a product of sums, broadcasts and reductions, and take it out.

Differentiating ``log(sum(exp(x)))`` or a softmax leaves ``(g / s + broadcast(sum(...))) * exp(x)`` with the division
somewhere inside: infinity times zero for large x. `times(tree, ...)` returns ``tree * s`` with the division gone, or
None where not every term has it. `stabilize` is the only user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import graphad.ops as ops
from graphad.ir.emit import handle
from graphad.ir.frozen import frozen
from graphad.ir.node import Value
from graphad.ops.arithmetic import Add, Div, Mul, Neg, Sub
from graphad.ops.reduction import Sum, kept_shape
from graphad.ops.shape import BroadcastTo, Reshape
from graphad.passes.patterns import is_number, uniform
from graphad.tracing.tensor import Tensor

DEPTH = 16
"""Levels of a product that are looked through: derivatives are shallow, and the search must stay cheap."""

Level: TypeAlias = str
"""Which shape a part of the tree has: "full" (that of x), "kept" (axes of size 1) or "reduced" (axes dropped)."""


@frozen
class Frame:
    """The shape of x and the axes that a reduction drops: how "full", "kept" and "reduced" parts line up."""

    shape: tuple[object, ...]
    axes: tuple[int, ...]

    def inner(self, value: Value, level: Level) -> tuple[Value, Level] | None:
        """Step below a broadcast or reshape that leads from a smaller level to `level`."""
        node = value.node
        kind = type(node.op)
        if kind not in (BroadcastTo, Reshape):
            return None
        below = node.inputs[0]
        reduced = tuple(n for k, n in enumerate(self.shape) if k not in self.axes)
        kept = kept_shape(self.shape, self.axes)  # type: ignore[arg-type]  # sizes
        if level == "full" and kind is BroadcastTo:
            if below.type.shape == kept:
                return below, "kept"
            if below.type.shape == reduced and self.axes == tuple(range(len(self.axes))):
                return below, "reduced"
        if level == "kept" and kind is Reshape and below.type.shape == reduced:
            return below, "reduced"
        if level == "reduced" and kind is Reshape and below.type.shape == kept:
            return below, "kept"
        return None

    def is_reduced(self, value: Value, target: Value, level: Level) -> bool:
        """Tell whether `value`, at `level`, is `target` seen through broadcasts and reshapes.

        The target has no `axes`, or has kept them.
        """
        for _ in range(4):
            if value == target and level != "full":
                return True
            step = self.inner(value, level)
            if step is None:
                return False
            value, level = step
        return False


Leaf: TypeAlias = Callable[[Value, Level], "Tensor | None"]
"""Return a part of the tree times s where that is simple (``a / s -> a``), else None."""
Direct: TypeAlias = Callable[[Tensor, Level], "Tensor | None"]
"""Return a part of the tree times s by multiplying it, or None where that is not allowed."""


def times(
    value: Value, level: Level, frame: Frame, leaf: Leaf, direct: Direct | None = None, depth: int = DEPTH
) -> Tensor | None:
    """Return ``value * s``, or None. Recursion is bounded by `DEPTH`."""
    if depth == 0:
        return None
    found = leaf(value, level)
    if found is not None:
        return found
    node = value.node
    kind = type(node.op)

    def inside(operand: Value, at: Level = level) -> Tensor | None:
        return times(operand, at, frame, leaf, direct, depth - 1)

    if kind is Mul:
        for first, second in (node.inputs, node.inputs[::-1]):
            part = inside(first)
            if part is not None:
                return part * handle(second)
        return None
    if kind is Div:
        part = inside(node.inputs[0])
        return None if part is None else part / handle(node.inputs[1])
    if kind is Neg:
        part = inside(node.inputs[0])
        return None if part is None else -part
    if kind is Add or kind is Sub:
        a = inside(node.inputs[0])
        if a is None and direct is None:
            return None  # every term must have it
        b = inside(node.inputs[1])
        if a is None and b is None:
            return None
        if direct is not None:
            a = direct(handle(node.inputs[0]), level) if a is None else a
            b = direct(handle(node.inputs[1]), level) if b is None else b
        if a is None or b is None:
            return None
        return a + b if kind is Add else a - b
    if kind is Sum and level == "reduced" and node.op.axes == frame.axes and node.inputs[0].type.shape == frame.shape:  # type: ignore[attr-defined]
        part = inside(node.inputs[0], "full")
        return None if part is None else ops.reduce_sum(part, frame.axes)
    step = frame.inner(value, level)
    if step is None:
        return None
    part = inside(*step)
    if part is None:
        return None
    return ops.broadcast_to(part, value.type.shape) if kind is BroadcastTo else ops.reshape(part, value.type.shape)


def divided_by(value: Value, is_divisor: Callable[[Value], bool]) -> Tensor | None:
    """Return a where `value` is ``a / s``; a number 1 stays 1."""
    node = value.node
    if type(node.op) is Div and is_divisor(node.inputs[1]):
        return handle(node.inputs[0])
    return None


def is_one(value: Value) -> bool:
    """Tell whether a value is the constant 1."""
    return is_number(uniform(value), 1)
