"""Narrowing: of what is read in part only, compute that part only.

    gather(a @ b + c, i) -> gather(a, i) @ b + c

A gather or slice moves up through the ops it reads from, as long as nothing else reads their results, and stops where
all of an operand is needed; a sum moves up through a pad. The positions are checked as before: a gather never
disappears unless its positions are known to be good.

Rules about gathers, slices and sums of a part may enter here. They run in `contract`, for a product or a sum of fewer
rows may round its last digits otherwise; all others here keep every bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, Size
from graphad.ir.dims import product as size_product
from graphad.ir.emit import apply, emission, handle
from graphad.ir.frozen import frozen
from graphad.ir.leaf import Constant
from graphad.ir.node import Value
from graphad.ir.op import Elementwise
from graphad.ops.cast import Cast
from graphad.ops.creation import POSITION, Iota, iota
from graphad.ops.indexing import Gather
from graphad.ops.product import Matmul
from graphad.ops.reduction import Reduction, Sum
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.ops.slicing import Pad, Slice
from graphad.passes import slices
from graphad.passes.costs import cheaper
from graphad.passes.driver import imitate
from graphad.passes.patterns import pattern, uniform, variables
from graphad.passes.rules import rule, rules_in
from graphad.tracing.coerce import constant
from graphad.tracing.tensor import Tensor

VIEWS = (Transpose, Reshape)
DEPTH = 8
"""Views that are looked through on the way to a computation."""

Uses: TypeAlias = Callable[[Tensor], int]


@frozen
class Range:
    """start:stop:step of an axis."""

    start: Dim
    stop: Dim
    step: int


@frozen
class Positions:
    """Elements of an axis, at a vector of positions."""

    index: Tensor

    def surely_inside(self, size: Dim) -> bool:
        """Tell whether no position is outside an axis of `size` elements, whatever the inputs."""
        return surely_inside(self.index.value, size)


Part: TypeAlias = "tuple[Range | Positions | None, ...]"
"""What is read of each axis; None: all of it. At most one axis has `Positions`, and then no other has a `Range`."""


def part_read(value: Value) -> Part | None:
    """Return what a Slice or Gather reads of its operand; None where a gather does not pick along one axis."""
    op: Any = value.node.op
    x, *indices = value.node.inputs
    if type(op) is Slice:
        ranges = zip(op.starts, op.stops, op.steps, x.type.shape, strict=True)
        return tuple(None if (a, b, step) == (0, n, 1) else Range(a, b, step) for a, b, step, n in ranges)
    if axes_read(value) is None:
        return None
    index = repeated(indices[-1])
    return (
        None
        if index is None
        else (*(None,) * (len(indices) - 1), Positions(index), *(None,) * (x.type.ndim - len(indices)))
    )


def axes_read(value: Value) -> tuple[int, ...] | None:
    """Return the axes of its operand along which a Slice or Gather does not read all in order, the shape of the result
    being as long; None where a gather mixes axes or changes their number.
    """
    op: Any = value.node.op
    x, *indices = value.node.inputs
    if type(op) is Slice:
        ranges = zip(op.starts, op.stops, op.steps, x.type.shape, strict=True)
        return tuple(k for k, (a, b, step, n) in enumerate(ranges) if (a, b, step) != (0, n, 1))
    shape = indices[0].type.shape
    if len(shape) != len(indices):
        return None
    if any(shape[k] != x.type.shape[k] or not counts(v, k) for k, v in enumerate(indices[:-1])):
        return None
    return (len(indices) - 1,)


def counts(value: Value, axis: int) -> bool:
    """Tell whether each element of `value` is its position along `axis`: how a batch of gathers tells its samples."""
    while type(value.node.op) is BroadcastTo:
        below = value.node.inputs[0]
        axis -= value.type.ndim - below.type.ndim
        if axis < 0 or below.type.shape[axis] != value.type.shape[axis + value.type.ndim - below.type.ndim]:
            return False
        value = below
    op = value.node.op
    return type(op) is Iota and op.axis == axis


def repeated(value: Value) -> Tensor | None:
    """Return the vector that `value` repeats along all axes but the last; None where it is no such thing."""
    if value.type.ndim == 1:
        return handle(value)
    if type(value.node.op) is not BroadcastTo:
        return None
    below = value.node.inputs[0]
    shape = below.type.shape
    if shape == () or shape[-1] != value.type.shape[-1] or any(n != 1 for n in shape[:-1]):
        return None
    return ops.reshape(handle(below), shape[-1:])


def surely_inside(index: Value, size: Dim) -> bool:
    """Tell whether positions are constants, or a count, inside an axis of `size` elements."""
    while type(index.node.op) in (BroadcastTo, *VIEWS):
        index = index.node.inputs[0]
    op = index.node.op
    if type(op) is Iota:
        length = op.shape[op.axis]
        return length == size or not (isinstance(length, Size) or isinstance(size, Size) or length > size)
    if type(op) is not Constant or isinstance(size, Size):
        return False
    return op.array.size == 0 or bool(-size <= int(op.array.min()) and int(op.array.max()) < size)


def read(x: Tensor, part: Part) -> Tensor:
    """Return that part of x: x itself where it is all, a constant where x and the positions are."""
    axes = [k for k, selection in enumerate(part) if selection is not None]
    if not axes:
        return x
    known = _constant_part(x.value, part)
    if known is not None:
        return known
    first = part[axes[0]]
    if isinstance(first, Positions):
        return _picked(x, axes[0], first.index)
    ranges = [s if isinstance(s, Range) else Range(0, n, 1) for s, n in zip(part, x.shape, strict=True)]
    return ops.slice_(x, [r.start for r in ranges], [r.stop for r in ranges], [r.step for r in ranges])


def _picked(x: Tensor, axis: int, index: Tensor) -> Tensor:
    shape = (*x.shape[:axis], *index.shape)
    return ops.gather(x, [*(iota(shape, k, POSITION) for k in range(axis)), ops.broadcast_to(index, shape)])


def _constant_part(value: Value, part: Part) -> Tensor | None:
    op = value.node.op
    if type(op) is not Constant:
        return None
    selected: list[Any] = []
    for selection, size in zip(part, op.array.shape, strict=True):
        if selection is None:
            selected.append(slice(None))
        elif isinstance(selection, Positions):
            index = selection.index.value.node.op
            if type(index) is not Constant or not selection.surely_inside(size):
                return None
            selected.append(index.array)
        elif isinstance(selection.start, Size) or isinstance(selection.stop, Size):
            return None
        else:
            selected.append(slice(selection.start, selection.stop, selection.step))
    return apply(Constant(np.ascontiguousarray(op.array[tuple(selected)])))


def source_of(root: Tensor) -> Value:
    """Return what a gather or slice reads from."""
    return root.value.node.inputs[0]


def applied(source: Value, operands: Sequence[Tensor]) -> Tensor:
    """Apply the op of `source` to narrowed operands, at the user's line of `source`."""
    imitate(emission, source.node)
    return apply(source.node.op, *operands)


def alone(value: Value, uses: Uses) -> bool:
    """Tell whether the gather or slice is all that reads `value`, and nothing is lost with the elements not read."""
    return uses(handle(value)) == 1 and value.node.op.risk(value.node.inputs) is None


def saves(root: Tensor, gathered: int = 2) -> bool:
    """Tell whether moving a slice up leaves less to compute, or a gather that turns into `gathered` others."""
    copies = 1 if type(root.value.node.op) is Slice else gathered
    return cheaper(copies * root.size, source_of(root).type.size)


def leads_to_work(value: Value, uses: Uses) -> bool:
    """Tell whether views that nothing else reads lie between here and something that can be narrowed."""
    for _ in range(DEPTH):
        kind = type(value.node.op)
        if kind in (BroadcastTo, Constant):
            return True
        if uses(handle(value)) != 1:
            return False
        if kind not in VIEWS:
            return issubclass(kind, (Elementwise, Cast, Reduction, Matmul))
        value = value.node.inputs[0]
    return False


def reads(made: Any) -> tuple[Any, ...]:
    """Return the patterns of a slice, and of a gather by some index tensors, of what `made` matches."""
    indices = variables("i j k l")
    return pattern(Slice, made), *(pattern(Gather, made, *indices[:n]) for n in range(1, len(indices) + 1))


# Computations


@rule(*reads(pattern(Elementwise, ...)), *reads(pattern(Cast, ...)), complex_too=True)
def part_of_elementwise(root: Tensor, uses: Uses) -> Tensor | None:
    """f(x, y)[i] -> f(x[i], y[i]) for elementwise f that nothing else reads, casts too; [i] is a gather or slice."""
    source = source_of(root)
    operands = source.node.inputs
    axes = axes_read(root.value)
    numbers = [uniform(v) for v in operands]
    repeats = [
        number is None and axes is not None and _repeats(v, axes) for v, number in zip(operands, numbers, strict=True)
    ]
    read_in_part = sum(number is None and not same for number, same in zip(numbers, repeats, strict=True))
    # At least one operand is read at the positions, so that one outside raises its error.
    if read_in_part == 0 or not alone(source, uses) or not saves(root, read_in_part):
        return None
    narrow = []
    for value, number, same in zip(operands, numbers, repeats, strict=True):
        if number is not None:
            narrow.append(ops.broadcast_to(constant(number, value.type.dtype), root.shape))
        elif same:
            narrow.append(ops.broadcast_to(handle(value.node.inputs[0]), root.shape))
        else:
            narrow.append(apply(root.value.node.op, handle(value), *[handle(v) for v in root.value.node.inputs[1:]]))
    return applied(source, narrow)


def _repeats(value: Value, axes: Sequence[int]) -> bool:
    """Tell whether a value is a broadcast along all of `axes`."""
    if type(value.node.op) is not BroadcastTo:
        return False
    small = value.node.inputs[0].type.shape
    extra = value.type.ndim - len(small)
    return all(k < extra or small[k - extra] != value.type.shape[k] for k in axes)


@rule(*reads(pattern(Reduction, ...)), complex_too=True)
def part_of_reduction(root: Tensor, uses: Uses) -> Tensor | None:
    """sum(x, axes)[i] -> sum(x[i], axes) for any reduction that nothing else reads."""
    source = source_of(root)
    part = part_read(root.value)
    if part is None or not alone(source, uses) or not saves(root):
        return None
    (x,) = source.node.inputs
    axes = source.node.op.axes  # type: ignore[attr-defined]
    kept = iter(part)
    return applied(source, [read(handle(x), tuple(None if k in axes else next(kept) for k in range(x.type.ndim)))])


@rule(*reads(pattern(Matmul, ...)), complex_too=True)
def part_of_product(root: Tensor, uses: Uses) -> Tensor | None:
    """(a @ b)[i, j] -> a[i] @ b[:, j] where nothing else reads the product."""
    source = source_of(root)
    part = part_read(root.value)
    if part is None or not alone(source, uses) or not saves(root):
        return None
    a, b = source.node.inputs
    *stack, rows, columns = part
    return applied(source, [read(handle(a), (*stack, rows, None)), read(handle(b), (*stack, None, columns))])


flat_x, flat_y = variables("x y")
flat = pattern(Reshape, pattern(Matmul, pattern(Reshape, flat_x), flat_y))


@rule(*reads(flat), complex_too=True)
def part_of_flat_product(x: Tensor, y: Tensor, root: Tensor, uses: Uses) -> Tensor | None:
    """reshape(reshape(x) @ y)[i] -> reshape(reshape(x[i]) @ y): a stack of matrices in one product."""
    source = source_of(root)
    product = source.node.inputs[0]
    part = part_read(root.value)
    rows = source.type.shape[:-1]
    if part is None or product.type.ndim != 2 or rows != x.shape[:-1] or x.shape[-1:] != y.shape[:1]:
        return None
    if uses(handle(source)) != 1 or not alone(product, uses) or not saves(root):
        return None
    narrow = read(x, (*part[:-1], None))
    flat_rows = ops.reshape(narrow, (size_product(narrow.shape[:-1]), narrow.shape[-1]))
    return ops.reshape(applied(product, [flat_rows, read(y, (None, part[-1]))]), root.shape)


# Views


@rule(*reads(pattern(BroadcastTo, ...)), complex_too=True)
def part_of_broadcast(root: Tensor) -> Tensor | None:
    """broadcast(x)[i] -> broadcast(x[i]), or broadcast(x) where that repeats along i and no position is outside."""
    source = source_of(root)
    part = part_read(root.value)
    if part is None:
        return None
    x = handle(source.node.inputs[0])
    extra = source.type.ndim - x.ndim
    real = [k >= extra and x.shape[k - extra] == n for k, n in enumerate(source.type.shape)]
    for selection, size, is_real in zip(part, source.type.shape, real, strict=True):
        if isinstance(selection, Positions) and not is_real and not selection.surely_inside(size):
            return None
    narrow = tuple(s if is_real else None for s, is_real in zip(part, real, strict=True))[extra:]
    return ops.broadcast_to(read(x, narrow), root.shape)


@rule(*reads(pattern(Transpose, ...)), complex_too=True)
def part_of_transpose(root: Tensor, uses: Uses) -> Tensor | None:
    """transpose(x)[i] -> transpose(x[i]) where x is something that can be computed in part."""
    source = source_of(root)
    part = part_read(root.value)
    if part is None or not saves(root) or not leads_to_work(source, uses):
        return None
    permutation = source.node.op.permutation  # type: ignore[attr-defined]
    narrow = tuple(part[permutation.index(k)] for k in range(len(permutation)))
    return ops.transpose(read(handle(source.node.inputs[0]), narrow), permutation)


@rule(*reads(pattern(Reshape, ...)), complex_too=True)
def part_of_reshape(root: Tensor, uses: Uses) -> Tensor | None:
    """reshape(x)[i] -> reshape(x[i]) where i reads along an axis of x, and x can be computed in part."""
    source = source_of(root)
    part = part_read(root.value)
    if part is None or not saves(root) or not leads_to_work(source, uses):
        return None
    x = handle(source.node.inputs[0])
    narrow: list[Range | Positions | None] = [None] * x.ndim
    for axis, selection in enumerate(part):
        if selection is None:
            continue
        at = _same_axis(x.shape, source.type.shape, axis)
        if at is None:
            return None
        narrow[at] = selection
    return ops.reshape(read(x, tuple(narrow)), root.shape)


def _same_axis(old: Sequence[Dim], new: Sequence[Dim], axis: int) -> int | None:
    """Return the axis of the shape `old` that `axis` of its reshape to `new` is; None where it is none of them."""
    size, before = new[axis], size_product(new[:axis])
    if size == 1 or 0 in old:
        return None
    return next((k for k, n in enumerate(old) if n == size and size_product(old[:k]) == before), None)


padded, axes = variables("x axes")


@rule(pattern(Sum, pattern(Pad, padded), axes=axes), complex_too=True)
def sum_of_pad(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """sum(pad(x), axes) -> pad(sum(x, axes)): zeros along `axes` add nothing."""
    op: Any = root.value.node.inputs[0].node.op
    if not any(op.low[k] != 0 or op.high[k] != 0 or op.interior[k] != 0 for k in axes):
        return None
    low, high, interior = ([n for k, n in enumerate(each) if k not in axes] for each in (op.low, op.high, op.interior))
    return ops.pad(ops.reduce_sum(x, axes), low, high, interior)


RULES = (*rules_in(globals()), slices.slice_slice, slices.slice_of_concatenate)
