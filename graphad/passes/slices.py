"""Rules of `algebra` about slices, flips, concatenations and pads that do nothing or undo each other.

Sizes are compared as expressions, so no rule assumes anything of a symbolic size.
"""

from __future__ import annotations

from typing import Any

import graphad.ops as ops
from graphad.ir.dims import Dim, Size
from graphad.ir.emit import handle
from graphad.ops.joining import Concatenate
from graphad.ops.shape import BroadcastTo, Flip
from graphad.ops.slicing import Pad, Slice
from graphad.passes.patterns import pattern, variables
from graphad.passes.rules import rule, rules_in
from graphad.tracing.tensor import Tensor

x, axes, axis, starts, stops, steps = variables("x axes axis starts stops steps")

Shape = tuple[Dim, ...]


@rule(pattern(Slice, pattern(BroadcastTo, x)), complex_too=True)
def slice_of_broadcast(x: Tensor, root: Tensor) -> Tensor | None:
    """slice(broadcast(x)) -> broadcast(x) for x of one element."""
    return ops.broadcast_to(ops.reshape(x, ()), root.shape) if all(n == 1 for n in x.shape) else None


def covers(x: Tensor, starts: Shape, stops: Shape, steps: tuple[int, ...], axis: int) -> bool:
    """Tell whether a slice takes all of `axis`, in order."""
    return starts[axis] == 0 and stops[axis] == x.shape[axis] and steps[axis] == 1


@rule(pattern(Slice, x, starts=starts, stops=stops, steps=steps), complex_too=True)
def slice_all(x: Tensor, starts: Shape, stops: Shape, steps: tuple[int, ...]) -> Tensor | None:
    """x[0:n] -> x."""
    return x if all(covers(x, starts, stops, steps, k) for k in range(x.ndim)) else None


@rule(pattern(Slice, pattern(Slice, x)), complex_too=True)
def slice_slice(x: Tensor, root: Tensor) -> Tensor | None:
    """x[a:b:s][c:d:t] -> x[a + c s : ... : s t] for numbers and positive steps."""
    outer: Any = root.value.node.op
    first: Any = root.value.node.inputs[0].node.op
    if any(step <= 0 for step in (*outer.steps, *first.steps)):
        return None
    if any(isinstance(n, Size) for n in (*outer.starts, *first.starts, *root.shape)):
        return None
    starts = [s + c * t for s, t, c in zip(first.starts, first.steps, outer.starts, strict=True)]
    steps = [s * t for s, t in zip(first.steps, outer.steps, strict=True)]
    stops = [
        a + (n - 1) * t + 1 if isinstance(n, int) and n > 0 else a
        for a, t, n in zip(starts, steps, root.shape, strict=True)
    ]
    return ops.slice_(x, starts, stops, steps)


@rule(pattern(Slice, pattern(Concatenate, ..., axis=axis), starts=starts, stops=stops, steps=steps), complex_too=True)
def slice_of_concatenate(root: Tensor, axis: int, starts: Shape, stops: Shape, steps: tuple[int, ...]) -> Tensor | None:
    """concatenate(..., y, ...)[a:b] -> y[a':b'] where the slice lies in one part."""
    if steps[axis] <= 0:
        return None
    start, stop = starts[axis], stops[axis]
    offset: Dim = 0
    for value in root.value.node.inputs[0].node.inputs:
        end = offset + value.type.shape[axis]
        numbers = (start, stop, offset, end)
        inside = (
            offset <= start <= stop <= end
            if not any(isinstance(n, Size) for n in numbers)
            else start == offset and stop == end
        )
        if inside:
            low, high = list(starts), list(stops)
            low[axis], high[axis] = start - offset, stop - offset
            return ops.slice_(handle(value), low, high, steps)
        offset = end
    return None


@rule(pattern(Concatenate, x), complex_too=True)
def concatenate_one(x: Tensor) -> Tensor:
    """concatenate([x]) -> x."""
    return x


@rule(pattern(Concatenate, ..., axis=axis), complex_too=True)
def concatenate_slices(root: Tensor, axis: int) -> Tensor | None:
    """concatenate([x[a:b], x[b:c], ...]) -> x[a:c]."""
    parts = root.value.node.inputs
    if len(parts) < 2 or any(type(v.node.op) is not Slice for v in parts):
        return None
    source = parts[0].node.inputs[0]
    first: Any = parts[0].node.op
    stop = first.starts[axis]
    for value in parts:
        op: Any = value.node.op
        rest = [
            a == b
            for k in range(len(op.starts))
            if k != axis
            for a, b in zip((op.starts[k], op.stops[k]), (first.starts[k], first.stops[k]), strict=True)
        ]
        if value.node.inputs[0] != source or op.steps != first.steps or op.steps[axis] != 1:
            return None
        if not all(rest) or op.starts[axis] != stop:
            return None
        stop = op.stops[axis]
    stops = list(first.stops)
    stops[axis] = stop
    return ops.slice_(handle(source), first.starts, stops, first.steps)


@rule(pattern(Pad, x), complex_too=True)
def pad_nothing(x: Tensor, root: Tensor) -> Tensor | None:
    """pad(x, 0, 0) -> x."""
    op: Any = root.value.node.op
    nothing = all(n == 0 for n in (*op.low, *op.high))
    inside = all(n == 0 or x.shape[k] == 1 for k, n in enumerate(op.interior))
    return x if nothing and inside else None


@rule(pattern(Flip, pattern(Flip, x, axes=axes), axes=axes), complex_too=True)
def flip_flip(x: Tensor) -> Tensor:
    """flip(flip(x, axes), axes) -> x."""
    return x


@rule(pattern(Flip, x, axes=axes), complex_too=True)
def flip_of_ones(x: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """flip(x, axes) -> x where those axes have size 1."""
    return x if all(x.shape[k] == 1 for k in axes) else None


@rule(pattern(Flip, pattern(BroadcastTo, x)), complex_too=True)
def flip_of_broadcast(x: Tensor, root: Tensor) -> Tensor | None:
    """flip(broadcast(x)) -> broadcast(x) for x of one element."""
    return handle(root.value.node.inputs[0]) if all(n == 1 for n in x.shape) else None


RULES = rules_in(globals())
