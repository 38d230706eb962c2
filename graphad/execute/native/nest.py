"""Loop nests: a region and the strides of its operands, brought into one canonical form that code is generated from.

Which axes are loops, in which order, which of them become one loop, which one runs in vector lanes, and in how many
passes a row is gone over. Equal nests (same instructions, same strides; sizes do not count) are equal code.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from graphad.execute.native.addresses import SafeGather
from graphad.execute.native.elementwise import weight
from graphad.execute.native.lanes import bits_of
from graphad.execute.native.regions import NONE, Anchor, Region
from graphad.execute.native.target import host
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.cast import Cast
from graphad.ops.creation import Iota
from graphad.ops.reduction import Reduction
from graphad.ops.slicing import Pad

CHUNK = 2048
"""Elements along the vector axis that a unit of a nest without reductions covers at most."""
WIDEST_BLOCK = 256
"""Columns that one unit sums side by side."""
PARTIAL = 1 << 14
"""Elements of one partial result where everything is reduced: fixed, so that results do not depend on the threads."""
CACHED = 10
"""Instructions an element from which a value that two passes need is kept in scratch instead of computed twice."""
CACHE_BYTES = 1 << 17
"""Bytes of scratch a thread for such values."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where a value lies in memory: buffer `index` of the kernel, and the stride in elements along each frame axis."""

    index: int
    kind: str
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Indexed:
    """A read at positions that are computed: `steps` are the strides of the axes that the operands address."""

    access: Access
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Where along a frame axis a padded operand is: at ``low + k * (gap + 1)`` for k in [0, size)."""

    axis: int
    low: int
    size: int
    gap: int
    stride: int


@dataclass(frozen=True, slots=True)
class Padded:
    """A read inside windows, zero outside; `access` has no stride along the axes of the windows."""

    access: Access
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One value of the nest.

    Attributes:
        what: a load (`Access`, `Indexed`, `Padded`), an `Op`, a Python number (constant), or a `Late` constant.
        operands: positions of earlier instructions.
        kind: of the result.
        along: the frame axes that the value lies along.
        stage: the pass in which it can first be computed.
    """

    what: Any
    operands: tuple[int, ...]
    kind: str
    along: frozenset[int]
    stage: int
    weight: int


@dataclass(frozen=True, slots=True)
class Late:
    """A constant that the kernel is given at run time: its place among them."""

    index: int


@dataclass(frozen=True, slots=True)
class Nest:
    """A loop nest.

    Attributes:
        instructions: values in order.
        stores: the instruction and the place of each result.
        outer: the axes that units run over, outermost first; the vector axis is the last of them if it is here.
        inner: the reduced axes, outermost first; the vector axis is the last of them if it is here.
        vector: the axis that runs in lanes; None where there is no axis.
        sizes: size of each axis, by axis (merged axes have the size of the whole).
        lanes: elements computed at once.
        late: bit patterns of the constants given at run time.
        passes: passes over a row.
    """

    instructions: tuple[Instruction, ...]
    stores: tuple[tuple[int, Access], ...]
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    vector: int | None
    sizes: dict[int, int]
    lanes: int
    late: tuple[int, ...]
    passes: int

    @property
    def vector_inside(self) -> bool:
        """Tell whether the lanes run along a reduced axis."""
        return self.vector is not None and self.vector in self.inner

    @property
    def rows(self) -> tuple[int, ...]:
        """Return the outer axes without the vector axis."""
        return tuple([a for a in self.outer if a != self.vector])

    @property
    def inner_size(self) -> int:
        """Return the number of elements of a row."""
        total = 1
        for axis in self.inner:
            total *= self.sizes[axis]
        return total

    @property
    def tail(self) -> bool:
        """Tell whether the vector axis leaves elements that fill no vector."""
        return self.vector is not None and self.sizes[self.vector] % self.lanes != 0

    @property
    def buffers(self) -> int:
        """Return how many buffers the nest reads and writes."""
        loads = [access.index for i in self.instructions if (access := access_of(i.what)) is not None]
        return 1 + max([*loads, *(access.index for _, access in self.stores)], default=-1)

    def work(self) -> int:
        """Return a rough number of scalar instructions of the whole nest."""
        elements = self.inner_size
        for axis in self.outer:
            elements *= self.sizes[axis]
        each = sum(i.weight for i in self.instructions if len(i.along) == len(self.outer) + len(self.inner))
        return elements * (each + len(self.stores) + 1)

    def key(self) -> str:
        """Return what the code depends on, as text."""
        described = []
        for i in self.instructions:
            what = i.what
            if isinstance(what, Op):
                what = (type(what).__name__, [getattr(what, f) for f in _code_fields(what)])
            described.append((what, i.operands, i.kind, sorted(i.along), i.stage))
        # The number of elements of a row decides whether values of a row are kept in scratch.
        return repr(
            (
                described,
                self.stores,
                self.outer,
                self.inner,
                self.vector,
                self.lanes,
                self.tail,
                self.passes,
                self.block,
                cached(self),
                self.partial,
            )
        )

    @property
    def block(self) -> int:
        """Return the elements along the vector axis of one unit, where lanes do not run along a reduced axis.

        Where one pass goes down columns, a block is wide, so that memory is read in long pieces: its running results
        lie in memory that stays in the first-level cache. A block does not depend on the number of threads.
        """
        if not self.inner or self.vector is None:
            return CHUNK
        if self.passes > 1:
            return self.lanes
        quarter = self.sizes[self.vector] // 4
        return max(self.lanes, min(WIDEST_BLOCK, 1 << max(quarter.bit_length() - 1, 0)))

    @property
    def partial(self) -> bool:
        """Tell whether everything is reduced in parts, whose results a second kernel joins."""
        return bool(not self.outer and self.inner and self.passes == 1 and self.inner_size > 2 * PARTIAL)


def access_of(what: Any) -> Access | None:
    """Return the access of a load of any kind; None for what is not a load."""
    if isinstance(what, (Indexed, Padded)):
        return what.access
    return what if isinstance(what, Access) else None


def _code_fields(op: Op) -> list[str]:
    """Return the attributes of an op that its code depends on: not those that only say shapes and axes."""
    if isinstance(op, (Reduction, Iota)):
        return []
    return list(op.__dataclass_fields__)


def element_level(nest: Nest, instruction: Instruction) -> bool:
    """Tell whether a value is computed inside the innermost loops rather than once a unit."""
    if nest.inner:
        return bool(instruction.along & set(nest.inner))
    return nest.vector is not None and nest.vector in instruction.along


def cached(nest: Nest) -> tuple[int, ...]:
    """Return the instructions whose values a row keeps in scratch from one pass to the next."""
    if nest.passes < 2:
        return ()
    lanes = 1 if nest.vector_inside else nest.lanes
    found: list[int] = []
    room = CACHE_BYTES
    for k, instruction in enumerate(nest.instructions):
        if instruction.weight < CACHED or not element_level(nest, instruction):
            continue
        size = nest.inner_size * lanes * max(bits_of(instruction.kind) // 8, 1)
        if size <= room and len(_passes_of(nest, k)) > 1:
            room -= size
            found.append(k)
    return tuple(found)


def _passes_of(nest: Nest, wanted: int) -> set[int]:
    """Return the passes in which the value of an instruction is needed."""
    found: set[int] = set()
    for p in range(nest.passes):
        if wanted in needed(nest, p, ()):
            found.add(p)
    return found


def roots(nest: Nest, p: int) -> list[int]:
    """Return the instructions whose values pass `p` is made for: operands of reductions, and elements to be stored."""
    found: list[int] = []
    for i in nest.instructions:
        if isinstance(i.what, Reduction) and i.stage == p + 1:
            found.append(i.operands[0])
    found += [k for k, access in nest.stores if stored_inside(nest, access) and nest.instructions[k].stage == p]
    return found


def stored_inside(nest: Nest, access: Access) -> bool:
    """Tell whether a result is written inside the innermost loops rather than once a unit."""
    if nest.inner:
        return any(access.strides[a] for a in nest.inner)
    return nest.vector is not None


def in_scratch(nest: Nest, p: int) -> frozenset[int]:
    """Return the instructions whose values lie in scratch when pass `p` begins: an earlier pass needed them."""
    return frozenset(k for k in cached(nest) if min(_passes_of(nest, k)) < p)


def needed(nest: Nest, p: int, kept: Collection[int]) -> list[int]:
    """Return the instructions inside the innermost loops of pass `p`, in order; `kept` are in scratch."""
    seen: set[int] = set()
    stack = roots(nest, p)
    while stack:
        k = stack.pop()
        i = nest.instructions[k]
        if k in seen or not element_level(nest, i):
            continue
        seen.add(k)
        if k not in kept:
            stack += i.operands
    return sorted(seen)


# Building.


def nest_of(region: Region, strides: Sequence[tuple[int, ...]], result_strides: Sequence[tuple[int, ...]]) -> Nest:
    """Return the loop nest of a region whose operands and results have these strides, in elements."""
    body = region.body
    anchor_of = dict(zip(body.nodes, region.anchors, strict=True))
    axes = len(region.frame)
    reduced = frozenset(region.reduced)
    place: dict[Value, int] = {}
    made: list[Instruction] = []
    late: list[int] = []

    def add(instruction: Instruction) -> int:
        made.append(instruction)
        return len(made) - 1

    here = {v for node in body.nodes for v in node.inputs[isinstance(node.op, (SafeGather, Pad)) :]}
    here.update(body.outputs)
    position_of = {value: k for k, value in enumerate(body.inputs)}
    for position, value in enumerate(body.inputs):
        if value not in here:
            continue  # only read at other positions
        along = _strides_along(anchor_of[value.node], strides[position], axes)
        kind = DTYPE_NAMES[value.type.dtype]
        lies = frozenset(a for a in range(axes) if along[a])
        place[value] = add(Instruction(Access(position, kind, along), (), kind, lies, 0, 1))
    for node in body.nodes[len(body.inputs) :]:
        value = Value(node, 0)
        kind = DTYPE_NAMES[node.types[0].dtype]
        op = node.op
        if op.view:
            place[value] = place[node.inputs[0]]
            continue
        if isinstance(op, Constant):
            place[value] = add(Instruction(_number(op, kind, late), (), kind, frozenset(), 0, 0))
            continue
        if isinstance(op, (SafeGather, Pad)):
            source = node.inputs[0]
            position = position_of[source]
            indices = tuple([place[v] for v in node.inputs[1:]])
            read = _elsewhere(op, source, position, strides[position], anchor_of, node, axes)
            place[value] = add(_loaded(read, indices, kind, made))
            continue
        operands = tuple([place[v] for v in node.inputs])
        if isinstance(op, Reduction) and not _drops(op, anchor_of[node.inputs[0].node]):
            same = made[operands[0]].kind == kind
            as_truth = Instruction(Cast(node.types[0].dtype), operands, kind, made[operands[0]].along, 0, 1)
            place[value] = operands[0] if same else add(replace(as_truth, stage=made[operands[0]].stage))
            continue
        place[value] = add(_computed(node, operands, kind, anchor_of[node], made, reduced))
    stores = tuple(
        (
            place[v],
            Access(
                len(body.inputs) + k,
                DTYPE_NAMES[v.type.dtype],
                _strides_along(anchor_of[v.node], result_strides[k], axes),
            ),
        )
        for k, v in enumerate(body.outputs)
    )
    sizes = dict(enumerate(region.frame))
    passes = max([i.stage for i in made], default=0)
    late_store = any(made[k].stage == passes and any(x.strides[a] for a in reduced) for k, x in stores)
    if late_store or not passes:
        passes += 1
    draft = Nest(tuple(made), stores, (), (), None, sizes, 1, tuple(late), passes)
    return _arranged(draft, [a for a in range(axes) if a not in reduced], sorted(reduced))


def _elsewhere(
    op: Op,
    source: Value,
    position: int,
    strides: Sequence[int],
    anchor_of: dict[Node, Anchor],
    node: Node,
    axes: int,
) -> Indexed | Padded:
    """Describe the read of a loose operand."""
    kind = DTYPE_NAMES[source.type.dtype]
    anchor = anchor_of[source.node]
    if isinstance(op, SafeGather):
        addressed = len(node.inputs) - 1
        access = Access(position, kind, _strides_along(anchor, strides, axes))
        return Indexed(access, tuple(strides[:addressed]))
    assert isinstance(op, Pad)
    windows = []
    plain = []
    for k, axis in enumerate(anchor):
        n, low, gap = int(source.type.shape[k]), int(op.low[k]), op.interior[k]
        if axis != NONE and (low or gap or op.high[k]):
            windows.append(Window(axis, low, n, gap, strides[k]))
            plain.append(0)
        else:
            plain.append(strides[k])
    return Padded(Access(position, kind, _strides_along(anchor, plain, axes)), tuple(windows))


def _loaded(read: Indexed | Padded, operands: tuple[int, ...], kind: str, made: list[Instruction]) -> Instruction:
    lies = frozenset(a for a, s in enumerate(read.access.strides) if s).union(*[made[k].along for k in operands])
    if isinstance(read, Padded):
        lies |= {window.axis for window in read.windows}
    stage = max([made[k].stage for k in operands], default=0)
    return Instruction(read, operands, kind, lies, stage, 6)


def _drops(op: Reduction, anchor: Anchor) -> bool:
    """Tell whether a reduction goes over more than one element."""
    return any(anchor[axis] != NONE for axis in op.axes)


def _computed(
    node: Node, operands: tuple[int, ...], kind: str, anchor: Anchor, made: list[Instruction], reduced: frozenset[int]
) -> Instruction:
    op = node.op
    if isinstance(op, Iota):
        lies = frozenset({anchor[op.axis]} - {NONE})
        return Instruction(op, (), kind, lies, 0, 1)
    lies = frozenset().union(*[made[k].along for k in operands])
    stage = max([made[k].stage for k in operands], default=0)
    if isinstance(op, Reduction):
        return Instruction(op, operands, kind, lies - reduced, stage + 1, 1)
    return Instruction(op, operands, kind, lies, stage, weight(op, node.inputs[0].type.dtype))


def _number(op: Constant, kind: str, late: list[int]) -> Any:
    """Return a constant as a Python number where it is a plain one; others are given at run time, to share code."""
    number = op.array[()]
    plain = number.item()
    if kind == "bool" or (isinstance(plain, (int, float)) and plain in _PLAIN and not _is_minus_zero(plain)):
        return plain
    bits = np.asarray(number).tobytes()
    late.append(struct.unpack("<q", bits.ljust(8, b"\0"))[0])
    return Late(len(late) - 1)


_PLAIN = frozenset({0, 1, -1, 2, -2, 0.5, -0.5})


def _is_minus_zero(number: float) -> bool:
    return number == 0 and str(number)[0] == "-"


def _strides_along(anchor: Anchor, strides: Sequence[int], axes: int) -> tuple[int, ...]:
    found = [0] * axes
    for axis, stride in zip(anchor, strides, strict=True):
        if axis != NONE:
            found[axis] += stride
    return tuple(found)


def _arranged(draft: Nest, outer: list[int], inner: list[int]) -> Nest:
    """Choose order, merged axes, the vector axis and the lanes."""
    accesses = [access for i in draft.instructions if (access := access_of(i.what)) is not None]
    accesses += [access for _, access in draft.stores]
    fixed = {a for i in draft.instructions if isinstance(i.what, Iota) for a in i.along}
    fixed |= {w.axis for i in draft.instructions if isinstance(i.what, Padded) for w in i.what.windows}
    sizes = dict(draft.sizes)
    vector = _vector_axis(draft, accesses, sizes, [*outer, *inner])
    outer = _ordered(outer, accesses, vector)
    inner = _ordered(inner, accesses, vector)
    outer = _merged(outer, accesses, sizes, fixed)
    inner = _merged(inner, accesses, sizes, fixed)
    lanes = _lane_count(draft, sizes, vector, bool(inner)) if vector is not None else 1
    kept = set(outer) | set(inner)
    instructions = tuple(_on_axes(i, kept) for i in draft.instructions)
    stores = tuple((k, _access_on(access, kept)) for k, access in draft.stores)
    found = {a: n for a, n in sizes.items() if a in kept}
    return replace(
        draft,
        instructions=instructions,
        stores=stores,
        outer=tuple(outer),
        inner=tuple(inner),
        vector=vector,
        sizes=found,
        lanes=lanes,
    )


def _on_axes(instruction: Instruction, kept: set[int]) -> Instruction:
    what = instruction.what
    if isinstance(what, Access):
        what = _access_on(what, kept)
    elif isinstance(what, (Indexed, Padded)):
        what = replace(what, access=_access_on(what.access, kept))
    return replace(instruction, what=what, along=instruction.along & kept)


def _access_on(access: Access, kept: set[int]) -> Access:
    return replace(access, strides=tuple([s if a in kept else 0 for a, s in enumerate(access.strides)]))


def _vector_axis(draft: Nest, accesses: Sequence[Access], sizes: dict[int, int], axes: Sequence[int]) -> int | None:
    """Choose the axis that costs the fewest instructions an element; of equals the last."""
    elements = max([len(i.along) for i in draft.instructions], default=0)
    work = sum(i.weight for i in draft.instructions if len(i.along) == elements)
    lanes = _register_lanes(draft)
    best: tuple[float, int] | None = None
    for axis in axes:
        n = sizes[axis]
        width = min(lanes, 1 << (n.bit_length() - 1))
        filled = n / (n // width + n % width)
        cost = work / filled
        for access in accesses:
            stride = access.strides[axis]
            # A stride costs an address, a load and an insertion for every lane.
            cost += 0.1 / filled if stride == 0 else 1.0 / filled if stride == 1 else 2.5
        if best is None or cost <= best[0]:
            best = (cost, axis)
    return None if best is None else best[1]


def _ordered(axes: list[int], accesses: Sequence[Access], vector: int | None) -> list[int]:
    """Order axes by falling stride, the vector axis last."""
    return sorted(axes, key=lambda a: (a == vector, -max([abs(x.strides[a]) for x in accesses], default=0), a))


def _merged(axes: list[int], accesses: Sequence[Access], sizes: dict[int, int], fixed: set[int]) -> list[int]:
    """Merge neighbouring axes that every access runs through as through one; the inner one stands for both."""
    result: list[int] = []
    for axis in reversed(axes):
        if result:
            inside = result[-1]
            n = sizes[inside]
            agree = all(x.strides[axis] == x.strides[inside] * n for x in accesses)
            if agree and axis not in fixed and inside not in fixed:
                sizes[inside] = n * sizes[axis]
                continue
        result.append(axis)
    return result[::-1]


def _register_lanes(draft: Nest) -> int:
    """Return how many elements of the nest's floats (or widest values) a vector register holds."""
    floats = [bits_of(i.kind) // 8 for i in draft.instructions if i.kind[0] == "f"]
    widths = [bits_of(i.kind) // 8 for i in draft.instructions if i.kind != "bool"]
    width = min(floats) if floats else max(widths, default=1)
    return host().vector_bytes // max(width, 1)


def _lane_count(draft: Nest, sizes: dict[int, int], vector: int, reduces: bool) -> int:
    lanes = _register_lanes(draft)
    heavy = sum(i.weight for i in draft.instructions)
    # Several vectors at once hide the latency of additions; code with long formulas has enough to do.
    lanes *= (4 if reduces else 2) if heavy <= 12 else (2 if reduces and heavy <= 60 else 1)
    while lanes > max(sizes[vector], 1):
        lanes //= 2
    return lanes
