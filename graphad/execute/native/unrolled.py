"""Unrolled regions: loop nests along one long axis, with the short other axes of every value written out.

A value of shape (n, 2, 3) is six components, each a vector along n. What only moves elements along the short axes
(slices, pads, stacks, transposes, broadcasts, reshapes) then costs nothing, what is zero is known to be, and lanes are
always full. What may enter: the region, and how its body becomes the instructions of a nest. `short_axes` chooses it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from graphad.execute.native.addresses import SafeGather
from graphad.execute.native.code import Module
from graphad.execute.native.elementwise import weight
from graphad.execute.native.lowering import Lowered, element_strides, lowers_step, moving_nanoseconds, nest_nanoseconds
from graphad.execute.native.nest import Access, Indexed, Instruction, Late, Nest
from graphad.execute.native.nest_building import lane_count, number_of
from graphad.execute.native.nest_code import nest_kernels
from graphad.execute.native.regions import NONE, Region
from graphad.ir.body import part_of
from graphad.ir.frozen import frozen
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.arithmetic import Add, Mul
from graphad.ops.control import StopGradient
from graphad.ops.creation import Iota
from graphad.ops.cumulative import Cumsum, ExclusiveProd
from graphad.ops.joining import Concatenate
from graphad.ops.product import Matmul
from graphad.ops.reduction import Max, Min, Prod, Reduction, Sum
from graphad.ops.selection import Maximum, Minimum, Where
from graphad.ops.shape import BroadcastTo, Flip, Reshape, Transpose
from graphad.ops.slicing import Pad, Slice, UpdateSlice
from graphad.passes.driver import op_key

Array = np.ndarray[Any, Any]
Components: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
"""Of a value: the number of the term of each component; the long axis, if the value has it, has size 1."""

READ = 3
"""Instructions that reading one element a lane costs."""


@frozen
class Unrolled(Region, abstract=True):
    """A region whose frame is one long axis: the axis of that size of each value, if it has one.

    Operands that are only read at positions may have any shape. Anchors are not used.
    """

    @property
    def length(self) -> int:
        """Return the size of the long axis."""
        return self.frame[0]

    def part(self, results: tuple[int, ...], given: tuple[int, ...] = ()) -> tuple[Op, tuple[int, ...]] | None:
        """The region of what these results need: a component has the same bits whatever is computed beside it."""
        body, positions = part_of(self.body, results)
        return (Unrolled(body, self.frame, (), ()), positions) if positions else None


def long_axis(shape: Sequence[Any], length: int) -> int:
    """Return which axis of a value has the length; NONE where none has."""
    return shape.index(length) if length in shape else NONE


@frozen(slots=True)
class _Term:
    """A component: a load, an `Op`, a Python number or a `Late` one, and the terms it is computed from."""

    what: Any
    operands: tuple[int, ...]
    kind: str
    weight: int
    long: bool
    """Whether it lies along the long axis."""


@dataclass
class _Terms:
    """The terms of a body, equal ones once."""

    made: list[_Term] = field(default_factory=list)
    known: dict[Any, int] = field(default_factory=dict)
    late: list[int] = field(default_factory=list)
    positive: set[int] = field(default_factory=set)
    """Terms that are never -0."""

    def term(self, key: Any, what: Any, operands: tuple[int, ...], kind: str, weight: int, long: bool) -> int:
        """Return the number of a term; `key` says what equal ones share."""
        found = self.known.get((key, operands, kind))
        if found is None:
            found = self.known[key, operands, kind] = len(self.made)
            self.made.append(_Term(what, operands, kind, weight, long))
        return found

    def load(self, what: Access | Indexed, operands: tuple[int, ...], kind: str, long: bool) -> int:
        """Return an element of an operand."""
        return self.term(what, what, operands, kind, READ, long)

    def number(self, number: Any, kind: str) -> int:
        """Return a NumPy number as a term."""
        key = ("number", np.asarray(number).tobytes())
        known = self.known.get((key, (), kind))
        if known is not None:
            return known
        made = self.term(key, number_of(number, kind, self.late), (), kind, 0, False)
        if kind[0] == "f" and not np.signbit(number):
            self.positive.add(made)
        return made

    def zero(self, kind: str) -> int:
        """Return +0 (or false)."""
        return self.number(np.zeros((), _DTYPES[kind])[()], kind)

    def op(self, op: Op, operands: tuple[int, ...], kind: str, weight: int) -> int:
        """Return an elementwise op of terms: what is one of them for every value of the others, is that one."""
        if isinstance(op, Add):
            same = self._sum_with_zero(operands, kind)
            if same is not None:
                return same
        if isinstance(op, Mul):
            for a, b in (operands, operands[::-1]):
                if self._is(a, 1):
                    return b
        if isinstance(op, Where) and type(self.made[operands[0]].what) is bool:
            return operands[1] if self.made[operands[0]].what else operands[2]
        made = self.term(op_key(op), op, operands, kind, weight, any(self.made[k].long for k in operands))
        if isinstance(op, Add) and not self.positive.isdisjoint(operands):
            self.positive.add(made)  # a sum is -0 only where both terms are
        return made

    def _sum_with_zero(self, operands: tuple[int, ...], kind: str) -> int | None:
        for a, b in (operands, operands[::-1]):
            # -0 + 0 is 0, so only what is known not to be -0 stays as it is.
            if self._is(a, 0) and ((a in self.positive and b in self.positive) or kind[0] in "iu"):
                return b
        return None

    def _is(self, k: int, number: int) -> bool:
        what = self.made[k].what
        return type(what) in (int, float) and what == number


_DTYPES = {name: dtype for dtype, name in DTYPE_NAMES.items()}


def unrolled_nest(
    region: Unrolled, strides: Sequence[tuple[int, ...]], result_strides: Sequence[tuple[int, ...]]
) -> Nest:
    """Return the loop nest of a region whose operands and results have these strides, in elements."""
    body, length = region.body, region.length
    terms = _Terms()
    found: dict[Value, Components] = {}
    beside = {v for node in body.nodes for v in node.inputs[isinstance(node.op, SafeGather) :]} | set(body.outputs)
    positions = {value: k for k, value in enumerate(body.inputs)}
    for value, position in positions.items():
        if value in beside:
            kind, shape = DTYPE_NAMES[value.type.dtype], _static(value)
            accesses = _accesses(position, kind, shape, strides[position], length)
            found[value] = _each(lambda a, k=kind: terms.load(a, (), k, a.strides[0] != 0), accesses)
    for node in body.nodes[len(body.inputs) :]:
        if isinstance(node.op, SafeGather):
            position = positions[node.inputs[0]]
            made = _gathered(terms, node, position, strides[position], [found[v] for v in node.inputs[1:]])
        else:
            made = _components(terms, node, [found[v] for v in node.inputs], length)
        found[Value(node, 0)] = made
    stores: list[tuple[int, Access]] = []
    for k, value in enumerate(body.outputs):
        kind, shape = DTYPE_NAMES[value.type.dtype], _static(value)
        accesses = _accesses(len(body.inputs) + k, kind, shape, result_strides[k], length)
        stores += zip(found[value].ravel().tolist(), accesses.ravel().tolist(), strict=True)
    return _nest(terms, stores, length)


def _static(value: Value) -> tuple[int, ...]:
    return value.type.shape  # type: ignore[return-value]  # native graphs are static


def _short(shape: Sequence[int], length: int) -> tuple[int, ...]:
    """Return a shape with 1 in place of the long axis."""
    axis = long_axis(shape, length)
    return tuple([1 if k == axis else n for k, n in enumerate(shape)])


def _accesses(index: int, kind: str, shape: Sequence[int], strides: Sequence[int], length: int) -> Array:
    """Return where each component of a value lies."""
    axis = long_axis(shape, length)
    along = 0 if axis == NONE else strides[axis]
    short = _short(shape, length)
    found = np.empty(short, object)
    for at in np.ndindex(*short):
        found[at] = Access(index, kind, (along,), sum(k * s for k, s in zip(at, strides, strict=True)))
    return found


def _each(function: Callable[..., int], *arrays: Array) -> Components:
    """Apply a function to the components of arrays of one shape."""
    made = [function(*items) for items in zip(*[a.ravel().tolist() for a in arrays], strict=True)]
    return np.array(made, np.intp).reshape(arrays[0].shape)


def _gathered(
    terms: _Terms, node: Node, position: int, strides: Sequence[int], indices: Sequence[Components]
) -> Components:
    """Return the components of a read at positions: those of the positions, by those of what is read there."""
    source = node.inputs[0]
    kind = DTYPE_NAMES[source.type.dtype]
    addressed = len(indices)
    inside = _accesses(position, kind, _static(source)[addressed:], strides[addressed:], -1)
    inside = np.broadcast_to(inside, (*indices[0].shape, *inside.shape))
    spread = [np.broadcast_to(x.reshape(*x.shape, *(1,) * (inside.ndim - x.ndim)), inside.shape) for x in indices]

    def read(access: Access, *at: int) -> int:
        there = Indexed(replace(access, strides=(0,)), tuple(strides[:addressed]))
        return terms.load(there, at, kind, any(terms.made[k].long for k in at))

    return _each(read, inside, *spread)


def _components(terms: _Terms, node: Node, operands: Sequence[Components], length: int) -> Components:
    """Return the components of the result of a node."""
    op, kind = node.op, DTYPE_NAMES[node.types[0].dtype]
    moved = _MOVES.get(type(op))
    if moved is not None:
        return moved(terms, op, operands, _short(_static(Value(node, 0)), length), kind)
    if isinstance(op, Constant):
        return _each(lambda number: terms.number(op.array.dtype.type(number), kind), np.asarray(op.array))
    if isinstance(op, Iota):
        return _positions(terms, op, kind, length)
    if isinstance(op, Reduction):
        return _reduced(terms, op, operands[0], kind)
    if isinstance(op, Cumsum):
        return _summed_up(terms, op, operands[0], kind)
    if isinstance(op, ExclusiveProd):
        return _product_of_others(terms, op, operands[0], kind)
    if isinstance(op, Matmul):
        return _multiplied(terms, operands[0], operands[1], kind)
    cost = weight(op, node.inputs[0].type.dtype)
    return _each(lambda *at: terms.op(op, at, kind, cost), *operands)


def _positions(terms: _Terms, op: Iota, kind: str, length: int) -> Components:
    short = _short(op.shape, length)  # type: ignore[arg-type]  # static
    if op.axis == long_axis(op.shape, length):
        return np.full(short, terms.term("iota", op, (), kind, 1, True))
    counted = np.indices(short)[op.axis].astype(op.dtype)
    return _each(lambda number: terms.number(op.dtype.type(number), kind), counted)


_JOINED: dict[type[Reduction], Op] = {Sum: Add(), Prod: Mul(), Max: Maximum(), Min: Minimum()}
"""What joins two elements of a reduction."""
REDUCTIONS = tuple(_JOINED)


def _joined(terms: _Terms, join: Op, a: Components, b: Components, kind: str) -> Components:
    """Return an op of the components of two arrays of one shape."""
    cost = weight(join, _DTYPES[kind])
    return _each(lambda x, y: terms.op(join, (x, y), kind, cost), a, b)


def _reduced(terms: _Terms, op: Reduction, x: Components, kind: str) -> Components:
    """Reduce from the first element to the last; sums begin with +0, as those of other nests."""
    kept = [k for k in range(x.ndim) if k not in op.axes]
    rows = x.transpose(*kept, *op.axes).reshape(*[x.shape[k] for k in kept], -1)
    made = np.full(rows.shape[:-1], terms.zero(kind)) if isinstance(op, Sum) else np.asarray(rows[..., 0])
    for k in range(not isinstance(op, Sum), rows.shape[-1]):
        made = _joined(terms, _JOINED[type(op)], made, rows[..., k], kind)
    return made


def _running(terms: _Terms, join: Op, x: Components, kind: str) -> Components:
    """Join along the last axis, and keep what there is after each element."""
    made = np.array(x)
    for k in range(1, x.shape[-1]):
        made[..., k] = _joined(terms, join, made[..., k - 1], x[..., k], kind)
    return made


def _summed_up(terms: _Terms, op: Cumsum, x: Components, kind: str) -> Components:
    step = -1 if op.backwards else 1
    along = np.moveaxis(x, op.axis, -1)[..., ::step]
    return np.moveaxis(_running(terms, Add(), along, kind)[..., ::step], -1, op.axis)


def _product_of_others(terms: _Terms, op: ExclusiveProd, x: Components, kind: str) -> Components:
    along = np.moveaxis(x, op.axis, -1)
    ones = np.full((*along.shape[:-1], 1), terms.number(_DTYPES[kind].type(1), kind))
    before = np.concatenate([ones, _running(terms, Mul(), along[..., :-1], kind)], -1)
    after = np.concatenate([ones, _running(terms, Mul(), along[..., :0:-1], kind)], -1)[..., ::-1]
    return np.moveaxis(_joined(terms, Mul(), before, after, kind), -1, op.axis)


def _multiplied(terms: _Terms, a: Components, b: Components, kind: str) -> Components:
    """Return a matrix product, each element summed from the first term to the last."""
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*stack, a.shape[-2], b.shape[-1])
    made: Components | None = None
    for k in range(a.shape[-1]):
        column, row = np.broadcast_to(a[..., :, k, None], shape), np.broadcast_to(b[..., None, k, :], shape)
        term = _joined(terms, Mul(), column, row, kind)
        made = term if made is None else _joined(terms, Add(), made, term, kind)
    assert made is not None
    return made


# What moves components and computes nothing.

_Move: TypeAlias = Callable[[_Terms, Any, Sequence[Components], tuple[int, ...], str], Components]


def _slices(op: Slice | UpdateSlice, x: Components) -> tuple[slice, ...]:
    """Return the index of a slice of components: the long axis has one, and stays whole."""
    return tuple([slice(a, b, s) for a, b, s in zip(op.starts, op.stops, op.steps, strict=True)])


def _padded(terms: _Terms, op: Pad, given: Sequence[Components], shape: tuple[int, ...], kind: str) -> Components:
    (x,) = given
    made = np.full(shape, terms.zero(kind))
    steps = [gap + 1 for gap in op.interior]
    made[tuple([slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(op.low, x.shape, steps, strict=True)])] = x
    return made


def _updated(
    terms: _Terms, op: UpdateSlice, given: Sequence[Components], shape: tuple[int, ...], kind: str
) -> Components:
    x, v = given
    made = np.array(x)
    made[_slices(op, x)] = v
    return made


_MOVES: dict[type[Op], _Move] = {
    BroadcastTo: lambda terms, op, given, shape, kind: np.broadcast_to(given[0], shape),
    Reshape: lambda terms, op, given, shape, kind: given[0].reshape(shape),
    Transpose: lambda terms, op, given, shape, kind: given[0].transpose(op.permutation),
    Flip: lambda terms, op, given, shape, kind: np.flip(given[0], op.axes),
    StopGradient: lambda terms, op, given, shape, kind: given[0],
    Slice: lambda terms, op, given, shape, kind: given[0][_slices(op, given[0])],
    Concatenate: lambda terms, op, given, shape, kind: np.concatenate(given, op.axis),
    Pad: _padded,
    UpdateSlice: _updated,
}


# From terms to the nest.


def _nest(terms: _Terms, stores: Sequence[tuple[int, Access]], length: int) -> Nest:
    """Return the nest of the terms that the stores need, each before the first that needs it."""
    place: dict[int, int] = {}
    made: list[Instruction] = []
    late: list[int] = []
    for wanted, _ in stores:
        stack = [wanted]
        while stack:
            k = stack[-1]
            term = terms.made[k]
            waiting = [o for o in term.operands if o not in place]
            if k in place or not waiting:
                stack.pop()
                if k not in place:
                    place[k] = len(made)
                    made.append(_instruction(term, place, terms.late, late))
                continue
            stack += reversed(waiting)
    placed = tuple([(place[k], access) for k, access in stores])
    nest = Nest(tuple(made), placed, (0,), (), 0, {0: length}, 1, tuple(late), 1, unrolled=True)
    return replace(nest, lanes=lane_count(nest, nest.sizes, 0, reduces=False))


def _instruction(term: _Term, place: dict[int, int], given: Sequence[int], late: list[int]) -> Instruction:
    what = term.what
    if isinstance(what, Late):
        late.append(given[what.index])
        what = Late(len(late) - 1)
    operands = tuple([place[o] for o in term.operands])
    return Instruction(what, operands, term.kind, frozenset({0} if term.long else ()), 0, term.weight)


@lowers_step(Unrolled)
def _unrolled(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered:
    """Enter the loop nest of an unrolled region."""
    assert isinstance(node.op, Unrolled)
    nest = unrolled_nest(node.op, [element_strides(x) for x in operands], [element_strides(x) for x in results])
    moved = sum(x.nbytes for x in (*operands, *results))
    return Lowered(tuple(nest_kernels(module, nest)), max(nest_nanoseconds(nest), moving_nanoseconds(moved)))
