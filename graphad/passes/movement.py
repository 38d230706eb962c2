"""Rules of `algebra` about reshapes, transposes and broadcasts that do nothing, undo each other or make work.

Sizes are compared as expressions, so no rule assumes anything of a symbolic size.
"""

from __future__ import annotations

import graphad.ops as ops
from graphad.ir.dims import Dim
from graphad.ir.emit import apply, handle
from graphad.ir.op import Elementwise
from graphad.ir.types import is_complex, is_float
from graphad.ops.cast import Cast
from graphad.ops.reduction import Reduction, Sum
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.passes.patterns import UNIFORM, pattern, uniform, variables
from graphad.passes.rules import rule, rules_in
from graphad.tracing.coerce import constant
from graphad.tracing.tensor import Tensor

x, axes, inner = variables("x axes inner")

Shape = tuple[Dim, ...]


# Work on the small side of a broadcast


wide_x, wide_y, wide_a = variables("x y a", among=UNIFORM)


@rule(pattern(Elementwise, wide_x), pattern(Cast, wide_x), complex_too=True)
def unary_of_broadcast(x: Tensor, root: Tensor) -> Tensor | None:
    """f(broadcast(x)) -> broadcast(f(x)) for elementwise f, casts too."""
    return before_broadcast(root, (x,))


@rule(pattern(Elementwise, wide_x, wide_y), complex_too=True)
def binary_of_broadcast(x: Tensor, y: Tensor, root: Tensor) -> Tensor | None:
    """f(broadcast(x), broadcast(y)) -> broadcast(f(x, y)); either may be one number everywhere."""
    return before_broadcast(root, (x, y))


@rule(pattern(Elementwise, wide_x, wide_y, wide_a), complex_too=True)
def ternary_of_broadcast(x: Tensor, y: Tensor, a: Tensor, root: Tensor) -> Tensor | None:
    """where(broadcast(c), broadcast(x), broadcast(y)) -> broadcast(where(c, x, y))."""
    return before_broadcast(root, (x, y, a))


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


# What does nothing, or undoes another


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


@rule(pattern(Reduction, x, axes=axes), complex_too=True)
def reduction_of_ones(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """max(x, axes) -> reshape(x) where those axes have size 1; also min, prod, integer sum, any and all of booleans."""
    if any(x.shape[k] != 1 for k in axes) or x.dtype != root.dtype:
        return None
    if (type(root.value.node.op) is Sum and is_float(x.dtype)) or is_complex(x.dtype):
        # NumPy's sum starts at 0.0, and 0.0 + -0.0 is 0.0 (`contract` does not mind); its complex product at 1 + 0j.
        return None
    return ops.reshape(x, root.shape)


RULES = rules_in(globals())
