"""Rules about shapes: reshapes, transposes, broadcasts, slices, concatenations that do nothing or undo each other.

They belong to the pass `algebra`. Sizes are compared as expressions, so no rule assumes anything of a symbolic size.
"""

from __future__ import annotations

from typing import Any

import graphad.ops as ops
from graphad.ir.dims import Dim, Size
from graphad.ir.emit import apply, handle
from graphad.ir.types import is_complex, is_float
from graphad.ops.joining import Concatenate
from graphad.ops.reduction import Reduction, Sum
from graphad.ops.shape import BroadcastTo, Flip, Reshape, Transpose
from graphad.ops.slicing import Pad, Slice
from graphad.passes.patterns import pattern, uniform, variables
from graphad.passes.rules import rule, rules_in
from graphad.tracing.coerce import constant
from graphad.tracing.tensor import Tensor

x, y, shape, axes, axis, inner, starts, stops, steps = variables("x y shape axes axis inner starts stops steps")

Shape = tuple[Dim, ...]


@rule(pattern(Reshape, x), complex_too=True)
def reshape_same(x: Tensor, root: Tensor) -> Tensor | None:
    """reshape(x, shape of x) -> x."""
    return x if x.shape == root.shape else None


@rule(pattern(Reshape, pattern(Reshape, x)), complex_too=True)
def reshape_reshape(x: Tensor, root: Tensor) -> Tensor:
    """reshape(reshape(x, s), t) -> reshape(x, t)."""
    return ops.reshape(x, root.shape)


@rule(pattern(Transpose, x, permutation=axes), complex_too=True)
def transpose_same(x: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """transpose(x, identity) -> x."""
    return x if axes == tuple(range(len(axes))) else None


@rule(pattern(Transpose, pattern(Transpose, x, permutation=inner), permutation=axes), complex_too=True)
def transpose_transpose(x: Tensor, inner: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """transpose(transpose(x, p), q) -> transpose(x, p[q])."""
    return ops.transpose(x, [inner[k] for k in axes])


@rule(pattern(Transpose, x, permutation=axes), complex_too=True)
def transpose_of_ones(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """transpose(x) -> reshape(x) where only axes of size 1 change their order."""
    long = [k for k in axes if x.shape[k] != 1]
    moved = axes != tuple(range(len(axes)))
    return ops.reshape(x, root.shape) if moved and long == sorted(long) else None


@rule(pattern(BroadcastTo, x), complex_too=True)
def broadcast_same(x: Tensor, root: Tensor) -> Tensor | None:
    """broadcast(x, shape of x) -> x."""
    return x if x.shape == root.shape else None


@rule(pattern(BroadcastTo, pattern(BroadcastTo, x)), complex_too=True)
def broadcast_broadcast(x: Tensor, root: Tensor) -> Tensor:
    """broadcast(broadcast(x, s), t) -> broadcast(x, t)."""
    return ops.broadcast_to(x, root.shape)


@rule(pattern(BroadcastTo, pattern(Reshape, x)), complex_too=True)
def broadcast_of_leading_ones(x: Tensor, root: Tensor) -> Tensor | None:
    """broadcast(reshape(x, (1, ..., 1, *shape of x)), t) -> broadcast(x, t)."""
    middle = root.value.node.inputs[0].type.shape
    extra = len(middle) - x.ndim
    if extra > 0 and middle[extra:] == x.shape and all(n == 1 for n in middle[:extra]):
        return ops.broadcast_to(x, root.shape)
    return None


@rule(pattern(Reshape, pattern(BroadcastTo, x)), complex_too=True)
def reshape_of_broadcast(x: Tensor, root: Tensor) -> Tensor | None:
    """reshape(broadcast(x, s), t) -> broadcast(x, t) for x of one element, or where t only drops axes before x's."""
    if all(n == 1 for n in x.shape):
        return ops.broadcast_to(ops.reshape(x, ()), root.shape)
    middle = root.value.node.inputs[0].type.shape
    extra = len(middle) - len(root.shape)
    if extra > 0 and middle[extra:] == root.shape and all(n == 1 for n in middle[:extra]) and x.ndim <= root.ndim:
        return ops.broadcast_to(x, root.shape)
    return None


@rule(pattern(Transpose, pattern(BroadcastTo, x), permutation=axes), complex_too=True)
def transpose_of_broadcast(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """transpose(broadcast(x)) -> broadcast(transpose(x)), or broadcast(x) where x has one element."""
    if all(n == 1 for n in x.shape):
        return ops.broadcast_to(ops.reshape(x, ()), root.shape)
    if x.ndim != len(axes):
        return None
    return ops.broadcast_to(ops.transpose(x, axes), root.shape)


@rule(pattern(Slice, pattern(BroadcastTo, x)), complex_too=True)
def slice_of_broadcast(x: Tensor, root: Tensor) -> Tensor | None:
    """slice(broadcast(x)) -> broadcast(x) for x of one element."""
    return ops.broadcast_to(ops.reshape(x, ()), root.shape) if all(n == 1 for n in x.shape) else None


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


@rule(pattern(Reduction, x, axes=axes), complex_too=True)
def reduction_of_ones(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """max(x, axes) -> reshape(x) where those axes have size 1; also min, prod, integer sum, any and all of booleans."""
    if any(x.shape[k] != 1 for k in axes) or x.dtype != root.dtype:
        return None
    if (type(root.value.node.op) is Sum and is_float(x.dtype)) or is_complex(x.dtype):
        # NumPy's sum starts at 0.0, and 0.0 + -0.0 is 0.0 (`contract` does not mind); its complex product at 1 + 0j.
        return None
    return ops.reshape(x, root.shape)


# Slices, joins, borders


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


def before_broadcast(root: Tensor, operands: tuple[Tensor, ...]) -> Tensor | None:
    """Return an elementwise op applied before the broadcast that all its operands share; None where they share none."""
    small: Shape | None = None
    for operand in operands:
        value = operand.value
        if type(value.node.op) is BroadcastTo:
            source = value.node.inputs[0].type.shape
            if source == () and len(operands) > 1 and uniform(value) is not None:
                continue
            if small is not None and small != source:
                return None
            small = source
        elif uniform(value) is None:
            return None
    if small is None:
        if any(n != 1 for n in root.shape) and root.shape:
            small = ()
        else:
            return None
    if small == root.shape:
        return None
    narrow = []
    for operand in operands:
        value = operand.value
        if type(value.node.op) is BroadcastTo and value.node.inputs[0].type.shape == small:
            narrow.append(handle(value.node.inputs[0]))
            continue
        narrow.append(ops.broadcast_to(constant(uniform(value), operand.dtype), small))
    return ops.broadcast_to(apply(root.value.node.op, *narrow), root.shape)


RULES = rules_in(globals())
