"""Kernels for windows that slide over an array: sums, extremes, their positions, and the gradient of extremes.

Neighbouring results of the last axis are the lanes of a vector. Where windows are two to four elements apart, vectors
of the array are loaded whole and shuffled apart; other distances are gathered. What is folded in which order is that of
`graphad.ops.windows`: the last axis first.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from graphad.execute.native.code import Code, Module
from graphad.execute.native.convolution_loops import at, counted, plus, split, times
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lanes import Lanes, bits_of, constant, element_type, load, store
from graphad.ops.windows import Window, WindowMax, WindowMin, WindowSum

Sizes = tuple[int, ...]
KINDS = ("f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64")
UNROLLED = 64
"""Windows of more elements along the last axis are folded by a loop; the positions in them are left to the host."""
LOOPED = 8
"""Longer axes than this are folded by a loop, if they are not the last."""
SHARES = 64
"""How many shares an extent should have, at least."""


@dataclass(frozen=True, slots=True)
class Windows:
    """What decides the code: sizes and, in elements, strides and offsets.

    Attributes:
        kind: "f32", "f64", or an integer "i8" ... "u64".
        shape: of x. size, steps, dilation: of the windows, one for each axis, as `graphad.ops.windows.Window` has them.
        x_strides, y_strides: of x, and of the array with one element for each window.
        x_offset, y_offset: where their elements of index 0 lie in their buffers.
    """

    kind: str
    shape: Sizes
    size: Sizes
    steps: Sizes
    dilation: Sizes
    x_strides: Sizes
    y_strides: Sizes
    x_offset: int = 0
    y_offset: int = 0

    @property
    def results(self) -> Sizes:
        """Return how many windows there are along each axis."""
        axes = zip(self.shape, self.size, self.steps, self.dilation, strict=True)
        return tuple((n - (k - 1) * d - 1) // s + 1 if n > (k - 1) * d else 0 for n, k, s, d in axes)

    @property
    def apart(self) -> bool:
        """Tell whether no element is in two windows."""
        return all((k - 1) * d < s for k, s, d in zip(self.size, self.steps, self.dilation, strict=True))

    @property
    def plain(self) -> int:
        """Return how many leading axes the windows do not slide over."""
        slides = [not k == s == 1 for k, s in zip(self.size, self.steps, strict=True)]
        return slides.index(True) if True in slides else max(0, len(slides) - 1)


def windows_of(
    op: Window,
    kind: str,
    shape: Sequence[int],
    x_strides: Sequence[int],
    y_strides: Sequence[int],
    offsets: tuple[int, int] = (0, 0),
) -> Windows:
    """Return what an op on windows asks for; strides and offsets in elements."""
    made = Windows(kind, tuple(shape), op.size, op.strides, op.dilation, tuple(x_strides), tuple(y_strides), *offsets)
    return _merged(made)


def _merged(w: Windows) -> Windows:
    """Return the same windows with neighbouring leading axes made one where strides allow it."""
    results = w.results
    for axis in range(w.plain - 1):
        x_next, y_next = w.x_strides[axis + 1], w.y_strides[axis + 1]
        if w.x_strides[axis] == x_next * w.shape[axis + 1] and w.y_strides[axis] == y_next * results[axis + 1]:

            def without(values: Sizes, axis: int = axis) -> Sizes:
                return (*values[:axis], *values[axis + 1 :])

            shape = (*w.shape[:axis], w.shape[axis] * w.shape[axis + 1], *w.shape[axis + 2 :])
            windows = [without(v) for v in (w.size, w.steps, w.dilation)]
            strides = [without(v) for v in (w.x_strides, w.y_strides)]
            return _merged(Windows(w.kind, shape, *windows, *strides, w.x_offset, w.y_offset))
    return w


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
    rows = _Rows(w, w.results)
    if not module.has(name):
        code = begin_kernel(module, name)
        x = at(code, w.kind, pointer(code, 0), w.x_offset)
        y = at(code, w.kind, pointer(code, 1), w.y_offset)
        reader = _Reader(code, w, vector_bytes // (bits_of(w.kind) // 8))

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
    rows = _Rows(w, w.results)
    if not module.has(name):
        code = begin_kernel(module, name)
        x = at(code, w.kind, pointer(code, 0), w.x_offset)
        y = at(code, "i64", pointer(code, 1), w.y_offset)
        reader = _Reader(code, w, vector_bytes // (bits_of(w.kind) // 8))

        def row(index: list[str]) -> None:
            source, target = rows.start(code, x, w.kind, index), rows.result(code, y, "i64", index)
            first = rows.position(code, index)

            def results(j: str, lanes: int) -> None:
                place = _chosen(reader, largest, source, j, lanes).convert("i64")
                start = Lanes(code, "i64", 1, plus(code, first, times(code, j, w.steps[-1])))
                reader.write(place + _ramp(start.spread(lanes), w.steps[-1]), target, j, w.y_strides[-1])

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
    rows = _Rows(w, w.results, w.plain)
    if not module.has(name):
        code = begin_kernel(module, name)
        x = at(code, w.kind, pointer(code, 0), w.x_offset)
        g = at(code, w.kind, pointer(code, 1), w.y_offset)
        dx = pointer(code, 2)
        reader = _Reader(code, w, vector_bytes // (bits_of(w.kind) // 8))
        spread = w.apart and w.y_strides[-1] == 1

        def row(index: list[str]) -> None:
            source, given = rows.start(code, x, w.kind, index), rows.result(code, g, w.kind, index)
            target = at(code, w.kind, dx, rows.position(code, index))

            def results(j: str, lanes: int) -> None:
                cotangent = load(code, w.kind, at(code, w.kind, given, j), lanes)
                _share(reader, _chosen(reader, largest, source, j, lanes), cotangent, target, j)

            def single(j: str, lanes: int) -> None:
                cotangent = load(code, w.kind, at(code, w.kind, given, times(code, j, w.y_strides[-1])))
                chosen = _chosen(reader, largest, source, j, 1).convert("i64")
                place = at(code, w.kind, target, times(code, j, w.steps[-1]), chosen.text)
                store(load(code, w.kind, place) + cotangent, place)

            if spread:
                reader.along(results)
            else:
                reader.one_by_one(single)

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


def _clear(reader: _Reader, rows: _Rows, dx: str, start: list[str]) -> None:
    """Write zeros to the plane of dx that begins at `start`."""
    code, w = reader.code, reader.w
    target = at(code, w.kind, dx, rows.position(code, start))
    count = math.prod(w.shape[len(start) :])
    lanes = reader.lanes
    with code.loop("0", str(count - count % lanes), lanes) as i:
        store(constant(code, w.kind, 0, lanes), at(code, w.kind, target, i))
    for k in range(count - count % lanes, count):
        store(constant(code, w.kind, 0), at(code, w.kind, target, k))


class _Rows:
    """The loops over rows of results: some leading axes are shared between threads, the others looped over."""

    def __init__(self, w: Windows, results: Sizes, shared: int | None = None) -> None:
        self.w = w
        self.results = results
        outer = results[:-1]
        if shared is None:
            shared = next((k for k in range(len(outer)) if math.prod(outer[:k]) >= SHARES), len(outer))
        self.shared = shared
        self.extent = math.prod(outer[:shared])
        self.pitches = [math.prod(w.shape[axis + 1 :]) for axis in range(len(w.shape))]

    def write(
        self, code: Code, row: Callable[[list[str]], None], plane: Callable[[list[str]], None] | None = None
    ) -> None:
        """Write the loops; `plane` is told the shared indices, `row` all of them."""
        with code.loop("%begin", "%end") as unit:
            index: list[str] = []
            rest = unit
            for n in reversed(self.results[: self.shared]):
                rest, k = split(code, rest, n) if n else (rest, "0")
                index.insert(0, k)
            if plane is not None:
                plane(index)
            self._inner(code, row, index)
        code.line("ret void")

    def _inner(self, code: Code, row: Callable[[list[str]], None], index: list[str]) -> None:
        if len(index) == len(self.results) - 1:
            row(index)
            return
        with counted(code, self.results[len(index)]) as k:
            self._inner(code, row, [*index, k])

    def start(self, code: Code, x: str, kind: str, index: list[str]) -> str:
        """Return the address of the first element of the first window of a row."""
        w = self.w
        return at(code, kind, x, *(times(code, k, s * p) for k, s, p in zip(index, w.steps, w.x_strides, strict=False)))

    def result(self, code: Code, y: str, kind: str, index: list[str]) -> str:
        """Return the address of the first result of a row."""
        return at(code, kind, y, *(times(code, k, p) for k, p in zip(index, self.w.y_strides, strict=False)))

    def position(self, code: Code, index: list[str]) -> str:
        """Return the row-major position in x of the first element of the first window of a row."""
        terms = zip(index, self.w.steps, self.pitches, strict=False)
        return plus(code, *(times(code, k, s * p) for k, s, p in terms))


class _Reader:
    """Reads and writes the elements of neighbouring windows of a row."""

    def __init__(self, code: Code, w: Windows, lanes: int) -> None:
        self.code, self.w, self.lanes = code, w, lanes
        self.step = w.steps[-1]
        self.reach = (w.size[-1] - 1) * w.dilation[-1]
        self.shuffled = 1 < self.step <= 4 and w.x_strides[-1] == 1 and w.size[-1] <= UNROLLED
        self.count = w.results[-1]

    def along(self, body: Callable[[str, int], None]) -> None:
        """Write what computes `lanes` results from result j on, along a row: wide vectors first, then narrower ones."""
        done, lanes = 0, self.lanes
        # Shuffled vectors are loaded whole and must end inside the row.
        inside = self.w.shape[-1] // self.step - self.reach // self.step if self.shuffled else self.count
        while lanes >= 1:
            limit = min(self.count, inside) if lanes > 1 else self.count
            whole = max(0, limit - done) // lanes
            if whole > 2:
                with self.code.loop(str(done), str(done + whole * lanes), lanes) as j:
                    body(j, lanes)
            else:
                for k in range(whole):
                    body(str(done + k * lanes), lanes)
            done += whole * lanes
            lanes //= 2

    def one_by_one(self, body: Callable[[str, int], None]) -> None:
        """Write what computes each result of a row in turn."""
        with counted(self.code, self.count) as j:
            body(j, 1)

    def read(self, base: str, j: str, k: str | int, lanes: int) -> Lanes:
        """Return element k, along the last axis, of the windows j, j + 1, ... whose row begins at base."""
        code, w = self.code, self.w
        stride = w.x_strides[-1]
        if self.shuffled and lanes > 1:
            assert isinstance(k, int)
            blocks, phase = divmod(k * w.dilation[-1], self.step)
            start = at(code, w.kind, base, times(code, j, self.step), blocks * self.step)
            wide = load(code, w.kind, start, lanes * self.step)
            return wide.shuffle(range(phase, lanes * self.step, self.step))
        start = at(code, w.kind, base, times(code, j, self.step * stride), times(code, k, w.dilation[-1] * stride))
        if self.step * stride == 1:
            return load(code, w.kind, start, lanes)
        singles = [load(code, w.kind, at(code, w.kind, start, i * self.step * stride)) for i in range(lanes)]
        return _gathered(singles)

    def write(self, value: Lanes, base: str, j: str, stride: int) -> None:
        """Store results j, j + 1, ... of a row."""
        if stride == 1:
            store(value, at(self.code, value.kind, base, j))
            return
        for i in range(value.count):
            store(value.lane(i), at(self.code, value.kind, base, times(self.code, j, stride), i * stride))


def _gathered(singles: Sequence[Lanes]) -> Lanes:
    first, count = singles[0], len(singles)
    if count == 1:
        return first
    wide = f"<{count} x {element_type(first.kind)}>"
    text = "poison"
    for i, single in enumerate(singles):
        text = first.code.value(f"insertelement {wide} {text}, {single.type} {single.text}, i64 {i}")
    return Lanes(first.code, first.kind, count, text)


def _ramp(start: Lanes, step: int) -> Lanes:
    """Return start + step * lane."""
    if start.count == 1:
        return start
    items = ", ".join(f"i64 {k * step}" for k in range(start.count))
    return start + Lanes(start.code, "i64", start.count, f"<{items}>")


def _folded(reader: _Reader, combine: Combine, base: str, j: str, lanes: int, axis: int = 0) -> Lanes:
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
    with code.loop("1", str(count)) as k:
        held = Lanes(code, first.kind, lanes, code.value(f"load {first.type}, ptr {slot}"))
        code.line(f"store {first.type} {combine(held, part(k)).text}, ptr {slot}")
    return Lanes(code, first.kind, lanes, code.value(f"load {first.type}, ptr {slot}"))


def _elements(w: Windows) -> Iterator[tuple[int, int, int]]:
    """Give for each element of a window: offset of its row in x, index along the last axis, row-major position."""
    pitches = [math.prod(w.shape[axis + 1 :]) for axis in range(len(w.shape))]
    for place in itertools.product(*map(range, w.size)):
        moved = [k * d for k, d in zip(place, w.dilation, strict=True)]
        row = sum(m * s for m, s in zip(moved[:-1], w.x_strides, strict=False))
        yield row, place[-1], sum(m * p for m, p in zip(moved, pitches, strict=True))


def _chosen(reader: _Reader, largest: bool, base: str, j: str, lanes: int) -> Lanes:
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


def _share(reader: _Reader, chosen: Lanes, cotangent: Lanes, target: str, j: str) -> None:
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
            store(_interleaved(row), place)
            continue
        for k, part in enumerate(row):
            for i in range(lanes):
                store(part.lane(i), at(code, w.kind, place, k * w.dilation[-1] + i * reader.step))


def _interleaved(parts: Sequence[Lanes]) -> Lanes:
    """Return lane 0 of every part, then lane 1 of every part, ..."""
    joined, count = parts[0], parts[0].count
    for part in parts[1:]:
        joined = _joined(joined, part)
    return joined.shuffle([k * count + i for i in range(count) for k in range(len(parts))])


def _joined(a: Lanes, b: Lanes) -> Lanes:
    """Return the lanes of a, then those of b."""
    if b.count < a.count:
        mask = ", ".join(f"i32 {i}" if i < b.count else "i32 poison" for i in range(a.count))
        text = a.code.value(f"shufflevector {b.type} {b.text}, {b.type} poison, <{a.count} x i32> <{mask}>")
        wide = Lanes(a.code, a.kind, a.count, text)
    else:
        wide = b
    mask = ", ".join(f"i32 {i}" for i in range(a.count + b.count))
    text = a.code.value(f"shufflevector {a.type} {a.text}, {a.type} {wide.text}, <{a.count + b.count} x i32> <{mask}>")
    return Lanes(a.code, a.kind, a.count + b.count, text)
