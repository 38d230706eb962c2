"""Building loop nests: from a region and the strides of its operands and results to the canonical form.

What may enter: how values of a body become instructions, and the choice of the order of axes, of those that merge, and
of the one that runs in lanes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from graphad.execute.native.addresses import SafeGather
from graphad.execute.native.elementwise import weight
from graphad.execute.native.lanes import bits_of
from graphad.execute.native.nest import Access, Indexed, Instruction, Late, Nest, Padded, Window, access_of
from graphad.execute.native.regions import NONE, Anchor, Region, drops
from graphad.execute.native.target import host
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.cast import Cast
from graphad.ops.creation import Iota
from graphad.ops.reduction import Reduction
from graphad.ops.slicing import Pad


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
            place[value] = add(Instruction(number_of(op.array[()], kind, late), (), kind, frozenset(), 0, 0))
            continue
        if isinstance(op, (SafeGather, Pad)):
            source = node.inputs[0]
            position = position_of[source]
            indices = tuple([place[v] for v in node.inputs[1:]])
            read = _elsewhere(op, source, position, strides[position], anchor_of, node, axes)
            place[value] = add(_loaded(read, indices, kind, made))
            continue
        operands = tuple([place[v] for v in node.inputs])
        if isinstance(op, Reduction) and not drops(op, anchor_of[node.inputs[0].node]):
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


def number_of(number: Any, kind: str, late: list[int]) -> Any:
    """Return a NumPy number as Python's where it is a plain one; others are given at run time, to share code."""
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
    lanes = lane_count(draft, sizes, vector, bool(inner)) if vector is not None else 1
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
    lanes = register_lanes(draft)
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


def register_lanes(draft: Nest) -> int:
    """Return how many elements of the nest's floats (or widest values) a vector register holds."""
    floats = [bits_of(i.kind) // 8 for i in draft.instructions if i.kind[0] == "f"]
    widths = [bits_of(i.kind) // 8 for i in draft.instructions if i.kind != "bool"]
    width = min(floats) if floats else max(widths, default=1)
    return host().vector_bytes // max(width, 1)


def lane_count(draft: Nest, sizes: dict[int, int], vector: int, reduces: bool) -> int:
    lanes = register_lanes(draft)
    heavy = sum(i.weight for i in draft.instructions)
    # Several vectors at once hide the latency of additions; code with long formulas has enough to do.
    lanes *= (4 if reduces else 2) if heavy <= 12 else (2 if reduces and heavy <= 60 else 1)
    while lanes > max(sizes[vector], 1):
        lanes //= 2
    return lanes
