"""Kernels for windows that slide over an array: sums, extremes, their positions, and the gradient of extremes.

What is folded in which order is that of `graphad.ops.windows`: the last axis first. Rows of results, and the vectors
in them, are in `pooling_rows`.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from graphad.execute.native.code import Module
from graphad.execute.native.convolution_loops import at, plus, times
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lane_orders import interleaved, ramp
from graphad.execute.native.lanes import Lanes, bits_of, constant, load, store
from graphad.execute.native.pooling_rows import UNROLLED, Reader, Rows, Windows, windows_of
from graphad.ops.windows import Window, WindowMax, WindowMin, WindowSum

__all__ = ["Windows", "extreme_gradient_kernel", "position_kernel", "window_kernel", "windows_of"]

KINDS = ("f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
LOOPED = 8
"""Longer axes than this are folded by a loop, if they are not the last."""


Combine = Callable[[Lanes, Lanes], Lanes]


def larger(a: Lanes, b: Lanes) -> Lanes:
    """max(a, b); nan if one is nan."""
    return _extreme(a, b, a > b)


def smaller(a: Lanes, b: Lanes) -> Lanes:
    """min(a, b); nan if one is nan."""
    return _extreme(a, b, a < b)


def _extreme(a: Lanes, b: Lanes, first: Lanes) -> Lanes:
    chosen = first.select(a, b)
    return a.is_nan().select(a, chosen) if a.kind[0] == "f" else chosen


FOLDS: dict[type[Window], Combine] = {WindowSum: lambda a, b: a + b, WindowMax: larger, WindowMin: smaller}


def window_kernel(module: Module, op: type[Window], w: Windows, vector_bytes: int) -> Kernel | None:
    """Write the kernel of WindowSum, WindowMax or WindowMin, called with the addresses of x and y.

    Returns:
        The kernel; None where the host must do it (booleans, complex numbers, float16).
    """
    if w.kind not in KINDS or op not in FOLDS or not w.shape:
        return None
    name = _name(op.__name__, w, vector_bytes)
    rows = Rows(w, w.results)
    if not module.has(name):
        code = begin_kernel(module, name)
        x = at(code, w.kind, pointer(code, 0), w.x_offset)
        y = at(code, w.kind, pointer(code, 1), w.y_offset)
        reader = Reader(code, w, vector_bytes // (bits_of(w.kind) // 8))

        def row(index: list[str]) -> None:
            source, target = rows.start(code, x, w.kind, index), rows.result(code, y, w.kind, index)

            def results(j: str, lanes: int) -> None:
                value = _folded(reader, FOLDS[op], source, j, lanes)
                reader.write(value, target, j, w.y_strides[-1])

            reader.along(results)

        rows.write(code, row)
    return Kernel(name, (), rows.extent)


def position_kernel(
    module: Module, w: Windows, largest: bool, shape: Sequence[int], vector_bytes: int
) -> Kernel | None:
    """Write the kernel of WindowPosition, called with the addresses of x and of the i64 positions.

    Args:
        module: where the code goes.
        w: the windows; y_strides are those of the positions.
        largest: whether the largest element is looked for, or the smallest.
        shape: of x; positions count its elements in row-major order, wherever they lie.
        vector_bytes: width of the vectors.

    Returns:
        The kernel; None where the host must do it: other kinds, or windows of more than 64 elements.
    """
    if w.kind not in KINDS or not w.shape or math.prod(w.size) > UNROLLED:
        return None
    assert math.prod(shape) == math.prod(w.shape)
    name = _name(f"position{largest:d}", w, vector_bytes)
    rows = Rows(w, w.results)
    if not module.has(name):
        code = begin_kernel(module, name)
        x = at(code, w.kind, pointer(code, 0), w.x_offset)
        y = at(code, "i64", pointer(code, 1), w.y_offset)
        reader = Reader(code, w, vector_bytes // (bits_of(w.kind) // 8))

        def row(index: list[str]) -> None:
            source, target = rows.start(code, x, w.kind, index), rows.result(code, y, "i64", index)
            first = rows.position(code, index)

            def results(j: str, lanes: int) -> None:
                place = _chosen(reader, largest, source, j, lanes).convert("i64")
                start = Lanes(code, "i64", 1, plus(code, first, times(code, j, w.steps[-1])))
                reader.write(place + ramp(start.spread(lanes), w.steps[-1]), target, j, w.y_strides[-1])

            reader.along(results)

        rows.write(code, row)
    return Kernel(name, (), rows.extent)


def extreme_gradient_kernel(module: Module, w: Windows, largest: bool, vector_bytes: int) -> Kernel | None:
    """Write dx[p] = sum of g over the windows whose chosen element is x[p]; called with addresses of x, g and dx.

    It is ``scatter_add(zeros, g, WindowPosition(x))``, without the positions in memory. g has the strides and the
    offset of y in w, dx lies in row-major order from the start of its buffer on.

    Returns:
        The kernel; None where the host must do it: integers, or windows of more than 64 elements.
    """
    if w.kind not in ("f32", "f64") or not w.shape or math.prod(w.size) > UNROLLED:
        return None
    name = _name(f"gradient{largest:d}", w, vector_bytes)
    # One plane of dx belongs to one thread.
    rows = Rows(w, w.results, w.plain)
    if not module.has(name):
        code = begin_kernel(module, name)
        x = at(code, w.kind, pointer(code, 0), w.x_offset)
        g = at(code, w.kind, pointer(code, 1), w.y_offset)
        dx = pointer(code, 2)
        reader = Reader(code, w, vector_bytes // (bits_of(w.kind) // 8))
        spread = w.apart and w.y_strides[-1] == 1

        def row(index: list[str]) -> None:
            source, given = rows.start(code, x, w.kind, index), rows.result(code, g, w.kind, index)
            target = at(code, w.kind, dx, rows.position(code, index))

            def results(j: str, lanes: int) -> None:
                cotangent = load(code, w.kind, at(code, w.kind, given, j), lanes)
                _share(reader, _chosen(reader, largest, source, j, lanes), cotangent, target, j)

            def in_turn(j: str, lanes: int) -> None:
                chosen = _chosen(reader, largest, source, j, lanes).convert("i64")
                start = at(code, w.kind, target, times(code, j, w.steps[-1]))
                for i in range(lanes):
                    place = at(code, w.kind, given, times(code, j, w.y_strides[-1]), i * w.y_strides[-1])
                    cotangent = load(code, w.kind, place)
                    place = at(code, w.kind, start, chosen.lane(i).text, i * w.steps[-1])
                    store(load(code, w.kind, place) + cotangent, place)

            if spread:
                reader.along(results)
            else:
                reader.once(in_turn)

        def plane(start: list[str]) -> None:
            if not (spread and _covered(w)):
                _clear(reader, rows, dx, start)

        rows.write(code, row, plane)
    return Kernel(name, (), rows.extent)


def _name(what: str, w: Windows, vector_bytes: int) -> str:
    return f"window_{what}_{hashlib.sha256(f'{w} {vector_bytes}'.encode()).hexdigest()[:16]}"


def _covered(w: Windows) -> bool:
    """Tell whether every element is in a window."""
    axes = zip(w.shape, w.size, w.steps, w.dilation, w.results, strict=True)
    return all(s == k and d == 1 and m * s == n for n, k, s, d, m in axes)


def _clear(reader: Reader, rows: Rows, dx: str, start: list[str]) -> None:
    """Write zeros to the plane of dx that begins at `start`."""
    code, w = reader.code, reader.w
    target = at(code, w.kind, dx, rows.position(code, start))
    count = math.prod(w.shape[len(start) :])
    lanes = reader.lanes
    with code.loop("0", str(count - count % lanes), lanes) as i:
        store(constant(code, w.kind, 0, lanes), at(code, w.kind, target, i))
    for k in range(count - count % lanes, count):
        store(constant(code, w.kind, 0), at(code, w.kind, target, k))


def _folded(reader: Reader, combine: Combine, base: str, j: str, lanes: int, axis: int = 0) -> Lanes:
    """Fold the windows j, j + 1, ...: along this axis what is folded along the axes behind it."""
    code, w = reader.code, reader.w

    def part(k: str | int) -> Lanes:
        if axis == len(w.size) - 1:
            return reader.read(base, j, k, lanes)
        inner = at(code, w.kind, base, times(code, k, w.dilation[axis] * w.x_strides[axis]))
        return _folded(reader, combine, inner, j, lanes, axis + 1)

    count = w.size[axis]
    if count <= (UNROLLED if axis == len(w.size) - 1 else LOOPED):
        value = part(0)
        for k in range(1, count):
            value = combine(value, part(k))
        return value
    first = part(0)
    slot = code.slot(first.type)
    code.line(f"store {first.type} {first.text}, ptr {slot}")
    with code.loop("1", str(count)) as i:
        held = Lanes(code, first.kind, lanes, code.value(f"load {first.type}, ptr {slot}"))
        code.line(f"store {first.type} {combine(held, part(i)).text}, ptr {slot}")
    return Lanes(code, first.kind, lanes, code.value(f"load {first.type}, ptr {slot}"))


def _elements(w: Windows) -> Iterator[tuple[int, int, int]]:
    """Give for each element of a window: offset of its row in x, index along the last axis, row-major position."""
    pitches = [math.prod(w.shape[axis + 1 :]) for axis in range(len(w.shape))]
    for place in itertools.product(*map(range, w.size)):
        moved = [k * d for k, d in zip(place, w.dilation, strict=True)]
        row = sum(m * s for m, s in zip(moved[:-1], w.x_strides, strict=False))
        yield row, place[-1], sum(m * p for m, p in zip(moved, pitches, strict=True))


def _chosen(reader: Reader, largest: bool, base: str, j: str, lanes: int) -> Lanes:
    """Return how far behind its first element the chosen one of each window is, in row-major positions of x."""
    code, w = reader.code, reader.w
    furthest = max(position for _, _, position in _elements(w))
    kind = "i64" if furthest >= 1 << 31 or bits_of(w.kind) == 64 else "i32"
    best: Lanes | None = None
    where = constant(code, kind, 0, lanes)
    for row, k, position in _elements(w):
        value = reader.read(at(code, w.kind, base, row), j, k, lanes)
        if best is None:
            best = value
            continue
        wins = value > best if largest else value < best
        if w.kind[0] == "f":
            wins = wins | (value.is_nan() & ~best.is_nan())
        best = wins.select(value, best)
        where = wins.select(constant(code, kind, position, lanes), where)
    return where


def _share(reader: Reader, chosen: Lanes, cotangent: Lanes, target: str, j: str) -> None:
    """Store the cotangents of windows that do not overlap at their chosen elements, and 0 at the others."""
    code, w, lanes = reader.code, reader.w, chosen.count
    # scatter_add adds to 0: a cotangent of -0 becomes 0.
    added = cotangent + 0.0
    zero = constant(code, w.kind, 0, lanes)
    parts = [chosen.equals(position).select(added, zero) for _, _, position in _elements(w)]
    positions = [position for _, _, position in _elements(w)]
    start = at(code, w.kind, target, times(code, j, reader.step))
    size = w.size[-1]
    for begin in range(0, len(parts), size):
        row = parts[begin : begin + size]
        place = at(code, w.kind, start, positions[begin])
        if size == reader.step and w.dilation[-1] == 1 and lanes > 1:
            store(interleaved(row), place)
            continue
        for k, part in enumerate(row):
            for i in range(lanes):
                store(part.lane(i), at(code, w.kind, place, k * w.dilation[-1] + i * reader.step))
