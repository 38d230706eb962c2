"""Code for loop nests: one kernel a nest, or two where everything is reduced in parts.

A kernel goes over *units*, the iterations of the parallel axis: rows where lanes run along the reduced axes, blocks of
columns where lanes run beside them, chunks of the vector axis where nothing is reduced. Values that do not change
inside a unit's loops are computed before them. Within a unit the code goes over the inner axes once a pass.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from graphad.execute.native import elementwise
from graphad.execute.native.code import Code, Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, bits_of, constant, element_type, load, store
from graphad.execute.native.nest import (
    PARTIAL,
    Access,
    Indexed,
    Late,
    Nest,
    Padded,
    Window,
    access_of,
    cached,
    element_level,
    in_scratch,
    needed,
    roots,
    stored_inside,
)
from graphad.ops.arithmetic import Add, Mul
from graphad.ops.creation import Iota
from graphad.ops.reduction import All, Any_, Max, Min, Prod, Reduction, Sum
from graphad.ops.selection import Maximum, Minimum


def nest_kernels(module: Module, nest: Nest) -> list[Kernel]:
    """Emit the kernels of a nest, unless the module has them, and return how this nest uses them, in order.

    Where there are two, they share one more buffer, of `partial_bytes`, which comes last among the pointers.
    """
    digest = hashlib.sha256(nest.key().encode()).hexdigest()[:20]
    if nest.partial:
        return _partial_kernels(module, nest, f"partial_{digest}", f"join_{digest}")
    name = f"nest_{digest}"
    if not module.has(name):
        _Units(begin_kernel(module, name), nest).write()
    return [Kernel(name, _sizes(nest), units(nest), scratch=scratch_bytes(nest))]


def units(nest: Nest) -> int:
    """Return the number of units of a nest."""
    total = 1
    for axis in nest.rows:
        total *= nest.sizes[axis]
    if nest.vector is None or nest.vector_inside:
        return total
    return total * -(-nest.sizes[nest.vector] // nest.block)


def _sizes(nest: Nest) -> tuple[int, ...]:
    return (*[nest.sizes[a] for a in (*nest.outer, *nest.inner)], *nest.late)


def scratch_bytes(nest: Nest) -> int:
    """Return the bytes a thread needs for values kept from one pass to the next."""
    return sum(_cache_sizes(nest))


def _cache_sizes(nest: Nest) -> list[int]:
    lanes = 1 if nest.vector_inside else nest.lanes
    found = []
    for k in cached(nest):
        nbytes = nest.inner_size * lanes * max(bits_of(nest.instructions[k].kind) // 8, 1)
        found.append(-(-nbytes // 64) * 64)
    return found


def chunks(nest: Nest) -> int:
    """Return the number of partial results of a nest that reduces everything."""
    return -(-nest.sizes[nest.inner[0]] // _chunk_length(nest))


def _chunk_length(nest: Nest) -> int:
    """Return the iterations of the outermost axis that one partial result covers."""
    inside = nest.inner_size // nest.sizes[nest.inner[0]]
    wanted = max(PARTIAL // inside, 1)
    return -(-wanted // nest.lanes) * nest.lanes if len(nest.inner) == 1 else wanted


def reductions(nest: Nest) -> list[int]:
    """Return the reductions of a nest, in order."""
    return [k for k, i in enumerate(nest.instructions) if isinstance(i.what, Reduction)]


def partial_bytes(nest: Nest) -> int:
    """Return the bytes of the buffer of partial results."""
    return chunks(nest) * len(reductions(nest)) * 8


def _partial_kernels(module: Module, nest: Nest, first: str, second: str) -> list[Kernel]:
    if not module.has(first):
        _Units(begin_kernel(module, first), nest).write_partial()
        _Units(begin_kernel(module, second), nest).write_join()
    sizes = (*_sizes(nest), chunks(nest), _chunk_length(nest))
    return [Kernel(first, sizes, chunks(nest)), Kernel(second, sizes)]


# Reductions, as values: where to start, and how two results join.


def identity(op: Reduction, like: Lanes) -> Lanes:
    """Return what a reduction starts from, as NumPy's: a sum from +0, so that no sum is -0."""
    kind = like.kind
    if kind == "bool":
        return like.constant(isinstance(op, (All, Min, Prod)))
    if isinstance(op, Sum):
        return like.constant(0)
    if isinstance(op, Prod):
        return like.constant(1)
    low = isinstance(op, Max)
    if kind[0] == "f":
        return like.constant(-math.inf if low else math.inf)
    bits = bits_of(kind)
    if kind[0] == "u":
        return like.constant(0 if low else (1 << bits) - 1)
    return like.constant(-(1 << (bits - 1)) if low else (1 << (bits - 1)) - 1)


def joined(op: Reduction, a: Lanes, b: Lanes) -> Lanes:
    """Return what a reduction makes of two values."""
    if a.kind == "bool":
        return a & b if isinstance(op, (All, Min, Prod)) else a | b
    if isinstance(op, Sum):
        return elementwise.emit(Add(), a, b)
    if isinstance(op, Prod):
        return elementwise.emit(Mul(), a, b)
    return elementwise.emit(Maximum() if isinstance(op, Max) else Minimum(), a, b)


def folded(op: Reduction, value: Lanes) -> Lanes:
    """Return what a reduction makes of the lanes: halves joined, again and again."""
    while value.count > 1:
        low, high = value.halves()
        value = joined(op, low, high)
    return value


def as_operand(op: Reduction, value: Lanes) -> Lanes:
    """Return an element as the reduction takes it: all and any take truth values."""
    return value.convert("bool") if isinstance(op, (All, Any_)) else value


@dataclass
class _Frame:
    """What is known while the body of a unit is written: positions along the axes, and values already computed."""

    lanes: int
    index: dict[int, str] = field(default_factory=dict)
    """Text of the position along each axis (of the first lane, along the vector axis)."""
    base: dict[int, str] = field(default_factory=dict)
    """By access (its `id`): the address at the unit's beginning."""
    unit: dict[int, Lanes] = field(default_factory=dict)
    """Values that do not change inside the unit's loops, by instruction."""
    inner: dict[int, Lanes] = field(default_factory=dict)


class _Units:
    """Writes one kernel."""

    def __init__(self, code: Code, nest: Nest) -> None:
        self.code = code
        self.nest = nest
        self.axes = (*nest.outer, *nest.inner)
        self.extent = {a: size(code, k) for k, a in enumerate(self.axes)}
        self.late = [self._late(k) for k in range(len(nest.late))]
        self.pointers = [pointer(code, k) for k in range(nest.buffers)]
        self.moving = self._moving_axes()
        self.kept = cached(nest)
        self.ready = [in_scratch(nest, p) for p in range(nest.passes)]
        self.kept_at = self._scratch_places()
        self.whole: dict[int, Lanes] = {}
        """Values that do not change at all, by instruction."""
        for k, i in enumerate(nest.instructions):
            if isinstance(i.what, Access) and not i.along:
                self.whole[k] = load(code, i.what.kind, self.pointers[i.what.index])

    def _moving_axes(self) -> tuple[int, ...]:
        """Return the axes whose positions are not in the addresses that a unit begins with."""
        nest = self.nest
        if nest.vector is None or nest.vector_inside or (nest.inner and nest.block == nest.lanes):
            return nest.inner
        return (*nest.inner, nest.vector)

    def _late(self, k: int) -> str:
        return size(self.code, len(self.axes) + k)

    def _scratch_places(self) -> dict[int, str]:
        found = {}
        offset = 0
        for k, nbytes in zip(self.kept, _cache_sizes(self.nest), strict=True):
            found[k] = self.code.value(f"getelementptr i8, ptr %scratch, i64 {offset}")
            offset += nbytes
        return found

    # Units.

    def write(self) -> None:
        """Write the loop over this thread's units."""
        code, nest = self.code, self.nest
        blocked = nest.vector is not None and not nest.vector_inside
        counted = [*nest.rows, *([nest.vector] if blocked and nest.vector is not None else [])]
        counters, limits = self._counters(counted, blocked)
        with code.loop("%begin", "%end"):
            frame = _Frame(nest.lanes)
            at = [code.value(f"load i64, ptr {c}, align 8") for c in counters]
            for axis, text in zip(counted, at, strict=True):
                frame.index[axis] = text
            if blocked:
                self._block(frame, counted[-1])
            else:
                self._bases(frame)
                self._row(frame)
            self._advance(counters, at, limits)
        code.line("ret void")

    def _counters(self, counted: Sequence[int], blocked: bool) -> tuple[list[str], list[str]]:
        """Make a counter an axis, set to the first unit; the last axis counts fastest."""
        code, nest = self.code, self.nest
        limits = [self.extent[a] for a in counted]
        if blocked:
            block = nest.block
            up = code.value(f"add i64 {limits[-1]}, {block - 1}")
            limits[-1] = code.value(f"udiv i64 {up}, {block}")
        counters = [code.slot("i64", align=8) for _ in counted]
        rest = "%begin"
        for k in range(len(counted) - 1, -1, -1):
            if k:
                part = code.value(f"urem i64 {rest}, {limits[k]}")
                rest = code.value(f"udiv i64 {rest}, {limits[k]}")
            else:
                part = rest
            code.line(f"store i64 {part}, ptr {counters[k]}, align 8")
        return counters, limits

    def _advance(self, counters: Sequence[str], at: Sequence[str], limits: Sequence[str]) -> None:
        """Step to the next unit: add one to the last counter, and carry."""
        code = self.code
        carry = "1"
        for k in range(len(counters) - 1, -1, -1):
            up = code.value(f"add i64 {at[k]}, {carry}")
            if k:
                full = code.value(f"icmp eq i64 {up}, {limits[k]}")
                carry = code.value(f"zext i1 {full} to i64")
                up = code.value(f"select i1 {full}, i64 0, i64 {up}")
            code.line(f"store i64 {up}, ptr {counters[k]}, align 8")

    def _block(self, frame: _Frame, axis: int) -> None:
        """Write a unit that covers a piece of the vector axis."""
        code, nest = self.code, self.nest
        block = nest.block
        start = code.value(f"mul i64 {frame.index[axis]}, {block}")
        if nest.inner and block > nest.lanes:
            self._wide_block(frame, axis, start)
            return
        if nest.inner:
            self._column_block(frame, axis, start)
            return
        self._bases(frame, without=axis)
        frame_values = self._unit_values(frame, 0)
        stop = self._at_most(code.value(f"add i64 {start}, {block}"), self.extent[axis])
        span = code.value(f"sub i64 {stop}, {start}")
        full = code.value(f"and i64 {span}, {-nest.lanes}")
        middle = code.value(f"add i64 {start}, {full}")
        with code.loop(start, middle, nest.lanes) as j:
            self._elements(frame, axis, j, nest.lanes, frame_values)
        if nest.tail:
            with code.loop(middle, stop) as j:
                self._elements(frame, axis, j, 1, frame_values)

    def _elements(self, frame: _Frame, axis: int, j: str, lanes: int, unit: dict[int, Lanes]) -> None:
        inside = _Frame(lanes, {**frame.index, axis: j}, frame.base, unit)
        self._compute(inside, 0)

    def _column_block(self, frame: _Frame, axis: int, start: str) -> None:
        """Write a unit whose lanes lie beside each other while the loops run over the reduced axes."""
        code, nest = self.code, self.nest
        if not nest.tail:
            frame.index[axis] = start
            self._bases(frame)
            self._row(frame)
            return
        stop = code.value(f"add i64 {start}, {nest.lanes}")
        fits = code.value(f"icmp sle i64 {stop}, {self.extent[axis]}")
        whole, rest, after = code.new_label("whole"), code.new_label("rest"), code.new_label("after")
        code.branch(fits, whole, rest)
        code.place(whole)
        full = _Frame(nest.lanes, {**frame.index, axis: start})
        self._bases(full)
        self._row(full)
        code.jump(after)
        code.place(rest)
        with code.loop(start, self.extent[axis]) as j:
            one = _Frame(1, {**frame.index, axis: j})
            self._bases(one)
            self._row(one)
        code.jump(after)
        code.place(after)

    def _wide_block(self, frame: _Frame, axis: int, start: str) -> None:
        """Write a unit that goes down many columns at once, row by row; running results lie in memory."""
        code, nest = self.code, self.nest
        stop = self._at_most(code.value(f"add i64 {start}, {nest.block}"), self.extent[axis])
        span = code.value(f"sub i64 {stop}, {start}")
        middle = code.value(f"add i64 {start}, {code.value(f'and i64 {span}, {-nest.lanes}')}")
        pieces = [(start, middle, nest.lanes)] + ([(middle, stop, 1)] if nest.tail else [])
        self._bases(frame, without=axis)
        sums = {k: code.slot(f"i{max(bits_of(self._running_kind(k)), 8)}", nest.block) for k in reductions(nest)}
        with code.loop("0", str(nest.block), nest.lanes) as j:
            for k, place in sums.items():
                like = constant(code, self._running_kind(k), 0, nest.lanes)
                store(identity(nest.instructions[k].what, like), self._sum_at(k, place, j))
        with self._loops(frame, nest.inner) as row:
            for first, last, lanes in pieces:
                with code.loop(first, last, lanes) as j:
                    inside = _Frame(lanes, {**row.index, axis: j}, frame.base, dict(frame.unit))
                    self._unit_values(inside, 0)
                    self._compute(inside, 0)
                    column = code.value(f"sub i64 {j}, {start}")
                    for k, place in sums.items():
                        i = nest.instructions[k]
                        at = self._sum_at(k, place, column)
                        value = as_operand(i.what, self._value(inside, i.operands[0])).spread(lanes)
                        store(joined(i.what, load(code, self._running_kind(k), at, lanes), value), at)
        for first, last, lanes in pieces:
            with code.loop(first, last, lanes) as j:
                column = code.value(f"sub i64 {j}, {start}")
                found = {
                    k: load(code, self._running_kind(k), self._sum_at(k, place, column), lanes)
                    for k, place in sums.items()
                }
                self._store_rows(_Frame(lanes, {**frame.index, axis: j}, frame.base, found))

    def _sum_at(self, k: int, place: str, column: str) -> str:
        return self.code.value(f"getelementptr i{max(bits_of(self._running_kind(k)), 8)}, ptr {place}, i64 {column}")

    def _at_most(self, a: str, b: str) -> str:
        less = self.code.value(f"icmp slt i64 {a}, {b}")
        return self.code.value(f"select i1 {less}, i64 {a}, i64 {b}")

    # Addresses.

    def _bases(self, frame: _Frame, without: int | None = None) -> None:
        """Compute the address of each access where the unit begins, from the positions that are known."""
        for access in self._accesses():
            where = [(access.strides[a], text) for a, text in frame.index.items() if a != without]
            frame.base[id(access)] = self._address(access, self.pointers[access.index], where)

    def _accesses(self) -> list[Access]:
        found = [access for i in self.nest.instructions if (access := access_of(i.what)) is not None]
        return found + [access for _, access in self.nest.stores]

    def _address(self, access: Access, base: str, where: Sequence[tuple[int, str]]) -> str:
        code = self.code
        element = f"i{max(bits_of(access.kind), 8)}"
        for stride, text in where:
            if stride:
                offset = text if stride == 1 else code.value(f"mul i64 {text}, {stride}")
                base = code.value(f"getelementptr {element}, ptr {base}, i64 {offset}")
        return base

    def _inner_address(self, frame: _Frame, access: Access) -> str:
        """Return the address of an access at the current positions of the inner loops."""
        axes = self.moving
        where = [(access.strides[a], frame.index[a]) for a in axes if a in frame.index]
        return self._address(access, frame.base[id(access)], where)

    def _read(self, frame: _Frame, access: Access, address: str) -> Lanes:
        stride = access.strides[self.nest.vector] if self.nest.vector is not None else 0
        if frame.lanes == 1 or stride == 0:
            return load(self.code, access.kind, address)
        if stride == 1:
            return load(self.code, access.kind, address, frame.lanes)
        return self._gathered(access, address, stride, frame.lanes)

    def _gathered(self, access: Access, address: str, stride: int, lanes: int) -> Lanes:
        code = self.code
        kind = "u8" if access.kind == "bool" else access.kind
        vector = f"<{lanes} x {element_type(kind)}>"
        text = "poison"
        for lane in range(lanes):
            at = code.value(f"getelementptr i{bits_of(kind)}, ptr {address}, i64 {lane * stride}")
            one = load(code, kind, at)
            text = code.value(f"insertelement {vector} {text}, {one.type} {one.text}, i64 {lane}")
        found = Lanes(code, kind, lanes, text)
        return found.differs(0) if access.kind == "bool" else found

    def _write(self, frame: _Frame, access: Access, value: Lanes, address: str) -> None:
        stride = access.strides[self.nest.vector] if self.nest.vector is not None else 0
        if frame.lanes == 1 or stride == 0:
            store(value.lane(0), address)
        elif stride == 1:
            store(value.spread(frame.lanes), address)
        else:
            value = value.spread(frame.lanes)
            for lane in range(frame.lanes):
                at = self.code.value(
                    f"getelementptr i{max(bits_of(access.kind), 8)}, ptr {address}, i64 {lane * stride}"
                )
                store(value.lane(lane), at)

    # Values.

    def _value(self, frame: _Frame, k: int) -> Lanes:
        """Return the value of an instruction: known, or computed here from its operands."""
        found = self.whole.get(k) or frame.unit.get(k) or frame.inner.get(k)
        if found is not None:
            return found
        i = self.nest.instructions[k]
        what = i.what
        if isinstance(what, Late):
            return self._late_constant(what, i.kind)
        if isinstance(what, (bool, int, float)):
            return constant(self.code, i.kind, what)
        if isinstance(what, Access):
            return self._read(frame, what, self._inner_address(frame, what))
        if isinstance(what, Indexed):
            return self._indexed(frame, what, [self._value(frame, o) for o in i.operands])
        if isinstance(what, Padded):
            return self._padded(frame, what)
        if isinstance(what, Iota):
            return self._position(frame, i.along, i.kind)
        return elementwise.emit(what, *[self._value(frame, o) for o in i.operands])

    def _indexed(self, frame: _Frame, what: Indexed, positions: Sequence[Lanes]) -> Lanes:
        """Read at computed positions: as a plain read where all lanes share them, lane by lane elsewhere."""
        offset: Lanes | None = None
        for position, step in zip(positions, what.steps, strict=True):
            part = position * step
            offset = part if offset is None else offset + part
        assert offset is not None
        address = self._inner_address(frame, what.access)
        if offset.count == 1:
            return self._read(frame, what.access, self._moved(what.access, address, offset.text))
        return self._lane_by_lane(frame, what.access, address, offset)

    def _moved(self, access: Access, address: str, offset: str) -> str:
        element = f"i{max(bits_of(access.kind), 8)}"
        return self.code.value(f"getelementptr {element}, ptr {address}, i64 {offset}")

    def _lane_by_lane(self, frame: _Frame, access: Access, address: str, offset: Lanes) -> Lanes:
        """Read one element a lane, at the address moved by the lane's offset."""
        code = self.code
        along = access.strides[self.nest.vector] if self.nest.vector is not None else 0
        kind = "u8" if access.kind == "bool" else access.kind
        vector = f"<{frame.lanes} x {element_type(kind)}>"
        text = "poison"
        for lane in range(frame.lanes):
            at = offset.lane(lane) + lane * along
            one = load(code, kind, self._moved(access, address, at.text))
            text = code.value(f"insertelement {vector} {text}, {one.type} {one.text}, i64 {lane}")
        found = Lanes(code, kind, frame.lanes, text)
        return found.differs(0) if access.kind == "bool" else found

    def _padded(self, frame: _Frame, what: Padded) -> Lanes:
        """Read inside the windows, zero outside; positions outside are moved inside before they are read."""
        nest, access = self.nest, what.access
        within: Lanes | None = None
        offset = constant(self.code, "i64", 0)
        for window in what.windows:
            holds, at = self._in_window(frame, window)
            within = holds if within is None else within & holds
            offset = offset + at * window.stride
        address = self._inner_address(frame, access)
        if within is None:
            return self._read(frame, access, address)
        whole = [w for w in what.windows if w.axis == nest.vector and w.gap == 0 and w.stride == 1]
        if whole and frame.lanes > 1 and access.kind[0] == "f":
            return self._masked(frame, access, address, whole[0], what.windows, within)
        if offset.count == 1:
            value = self._read(frame, access, self._moved(access, address, offset.text))
        else:
            value = self._lane_by_lane(frame, access, address, offset)
        return within.select(value, value.constant(0))

    def _in_window(self, frame: _Frame, window: Window) -> tuple[Lanes, Lanes]:
        """Return where the current positions are in the window, and the nearest positions of its operand."""
        at = self._position(frame, frozenset({window.axis}), "i64") - window.low
        step = window.gap + 1
        holds = (at >= 0) & (at <= (window.size - 1) * step)
        inside = (at < 0).select(at.constant(0), at)
        inside = (inside > (window.size - 1) * step).select(at.constant((window.size - 1) * step), inside)
        if step > 1:
            holds = holds & self._remainder(inside, step).equals(0)
            inside = inside.with_(f"sdiv {inside.type} {inside.text}, {inside.constant(step).text}")
        return holds, inside

    def _remainder(self, x: Lanes, step: int) -> Lanes:
        return x.with_(f"srem {x.type} {x.text}, {x.constant(step).text}")

    def _masked(
        self, frame: _Frame, access: Access, address: str, along: Window, windows: Sequence[Window], within: Lanes
    ) -> Lanes:
        """Read neighbouring elements of which some may not exist."""
        first = Lanes(self.code, "i64", 1, frame.index[along.axis]) - along.low
        for window in windows:
            if window is not along:
                first = first + self._in_window(frame, window)[1] * window.stride
        kept = within.spread(frame.lanes)
        like = Lanes(self.code, access.kind, frame.lanes, "")
        name = f"llvm.masked.load.v{frame.lanes}{access.kind}.p0"
        self.code.module.declare(name, like.type, ["ptr", kept.type, like.type])
        at = self._moved(access, address, first.text)
        arguments = [(f"ptr align {bits_of(access.kind) // 8}", at), (kept.type, kept.text)]
        return Lanes(
            self.code,
            access.kind,
            frame.lanes,
            self.code.call(like.type, name, [*arguments, (like.type, "zeroinitializer")]),
        )

    def _late_constant(self, what: Late, kind: str) -> Lanes:
        bits = Lanes(self.code, "i64", 1, self.late[what.index])
        width = bits_of(kind)
        return (bits if width == 64 else bits.convert(f"i{width}")).bitcast(kind)

    def _position(self, frame: _Frame, along: frozenset[int], kind: str) -> Lanes:
        if not along:
            return constant(self.code, kind, 0)
        (axis,) = along
        at = Lanes(self.code, "i64", 1, frame.index[axis])
        if axis == self.nest.vector and frame.lanes > 1:
            steps = ", ".join(f"i64 {k}" for k in range(frame.lanes))
            at = at + Lanes(self.code, "i64", frame.lanes, f"<{steps}>")
        return at.convert(kind)

    def _unit_values(self, frame: _Frame, p: int) -> dict[int, Lanes]:
        """Compute what pass `p` needs and does not change inside its loops; returns all such values so far."""
        nest = self.nest
        for k in roots(nest, p):
            self._settle(frame, k)
        for k in needed(nest, p, self.ready[p]):
            if k in self.ready[p]:
                continue
            for o in nest.instructions[k].operands:
                self._settle(frame, o)
        return frame.unit

    def _settle(self, frame: _Frame, wanted: int) -> None:
        """Compute a value outside the inner loops, with what it depends on."""
        stack = [wanted]
        while stack:
            k = stack[-1]
            i = self.nest.instructions[k]
            if k in frame.unit or k in self.whole or element_level(self.nest, i):
                stack.pop()
                continue
            waiting = [
                o
                for o in i.operands
                if o not in frame.unit and o not in self.whole and not isinstance(i.what, Reduction)
            ]
            if waiting:
                stack += waiting
                continue
            stack.pop()
            frame.unit[k] = self._value(frame, k)

    # Passes.

    def _row(self, frame: _Frame) -> None:
        """Write the passes over one row (or block of columns), and what is stored once a row."""
        for p in range(self.nest.passes):
            self._pass(frame, p)
        self._store_rows(frame)

    def _store_rows(self, frame: _Frame) -> None:
        """Write the results of which a row has one element."""
        for k, access in self.nest.stores:
            if not stored_inside(self.nest, access):
                self._settle(frame, k)
                self._write(frame, access, self._value(frame, k), self._inner_address(frame, access))

    def _pass(self, frame: _Frame, p: int) -> None:
        nest = self.nest
        found = [k for k in reductions(nest) if nest.instructions[k].stage == p + 1]
        if not nest.inner:
            return  # one number
        self._unit_values(frame, p)
        if nest.vector_inside:
            self._lanes_inside(frame, p, found)
            return
        slots = {k: self._accumulator(k, frame.lanes) for k in found}
        with self._loops(frame, nest.inner) as inside:
            self._compute(inside, p)
            self._accumulate(inside, slots)
        for k in found:
            frame.unit[k] = self._accumulated(slots[k], k, frame.lanes)

    @contextmanager
    def _loops(self, frame: _Frame, axes: Sequence[int]) -> Iterator[_Frame]:
        """Write nested loops over axes, outermost first."""
        inside = _Frame(frame.lanes, dict(frame.index), frame.base, frame.unit)
        if not axes:
            yield inside
            return
        with self.code.loop("0", self.extent[axes[0]]) as i:
            inside.index[axes[0]] = i
            with self._loops(inside, axes[1:]) as innermost:
                yield innermost

    def _lanes_inside(self, frame: _Frame, p: int, found: Sequence[int]) -> None:
        """Write a pass whose lanes run along the last reduced axis: full vectors, then single elements."""
        nest = self.nest
        assert nest.vector is not None
        wide = {k: self._accumulator(k, nest.lanes) for k in found}
        single = {k: self._accumulator(k, 1) for k in found} if nest.tail else {}
        with self._loops(frame, nest.inner[:-1]) as around:
            self._run(around, p, "0", self.extent[nest.vector], wide, single)
        self._finish(frame, found, wide, single)

    def _run(self, around: _Frame, p: int, start: str, stop: str, wide: dict[int, str], single: dict[int, str]) -> None:
        """Write the loop along the vector axis from `start` to `stop`."""
        code, nest = self.code, self.nest
        assert nest.vector is not None
        span = stop if start == "0" else code.value(f"sub i64 {stop}, {start}")
        full = code.value(f"and i64 {span}, {-nest.lanes}")
        middle = full if start == "0" else code.value(f"add i64 {start}, {full}")
        pieces = [(nest.lanes, start, middle, wide)] + ([(1, middle, stop, single)] if nest.tail else [])
        for lanes, first, last, slots in pieces:
            with code.loop(first, last, lanes) as j:
                inside = _Frame(lanes, {**around.index, nest.vector: j}, around.base, around.unit)
                self._compute(inside, p)
                self._accumulate(inside, slots)

    def _finish(self, frame: _Frame, found: Sequence[int], wide: dict[int, str], single: dict[int, str]) -> None:
        for k in found:
            op = self.nest.instructions[k].what
            total = folded(op, self._accumulated(wide[k], k, self.nest.lanes))
            if k in single:
                total = joined(op, total, self._accumulated(single[k], k, 1))
            frame.unit[k] = total

    def _compute(self, frame: _Frame, p: int) -> None:
        """Write what pass `p` computes for the elements at the current positions, and store what is ready."""
        nest = self.nest
        for k in needed(nest, p, self.ready[p]):
            if k in self.ready[p]:
                frame.inner[k] = self._from_scratch(frame, k)
                continue
            frame.inner[k] = self._value(frame, k)
            if k in self.kept:
                self._into_scratch(frame, k, frame.inner[k])
        for k, access in nest.stores:
            i = nest.instructions[k]
            if i.stage == p and stored_inside(nest, access):
                self._write(frame, access, self._value(frame, k), self._inner_address(frame, access))

    # Accumulators.

    def _accumulator(self, k: int, lanes: int) -> str:
        """Return the place of a running result, set to where the reduction starts."""
        i = self.nest.instructions[k]
        kind = self._running_kind(k)
        first = identity(i.what, constant(self.code, kind, 0, lanes))
        stored = self.code.slot(first.type)
        self.code.line(f"store {first.type} {first.text}, ptr {stored}, align 64")
        return stored

    def _running_kind(self, k: int) -> str:
        i = self.nest.instructions[k]
        return "bool" if isinstance(i.what, (All, Any_)) else i.kind

    def _accumulated(self, slot: str, k: int, lanes: int) -> Lanes:
        made = Lanes(self.code, self._running_kind(k), lanes, "")
        return Lanes(self.code, made.kind, lanes, self.code.value(f"load {made.type}, ptr {slot}, align 64"))

    def _accumulate(self, frame: _Frame, slots: dict[int, str]) -> None:
        for k, slot in slots.items():
            i = self.nest.instructions[k]
            value = as_operand(i.what, self._value(frame, i.operands[0])).spread(frame.lanes)
            total = joined(i.what, self._accumulated(slot, k, frame.lanes), value)
            self.code.line(f"store {total.type} {total.text}, ptr {slot}, align 64")

    # Scratch.

    def _scratch_address(self, frame: _Frame, k: int) -> str:
        """Return where the value of an element is kept: by its position in the row."""
        code, nest = self.code, self.nest
        at = "0"
        for axis in nest.inner:
            if at != "0":
                at = code.value(f"mul i64 {at}, {self.extent[axis]}")
            at = frame.index[axis] if at == "0" else code.value(f"add i64 {at}, {frame.index[axis]}")
        if not nest.vector_inside and nest.lanes > 1:
            at = code.value(f"mul i64 {at}, {nest.lanes}")
        bits = max(bits_of(nest.instructions[k].kind), 8)
        return code.value(f"getelementptr i{bits}, ptr {self.kept_at[k]}, i64 {at}")

    def _from_scratch(self, frame: _Frame, k: int) -> Lanes:
        return load(
            self.code, self.nest.instructions[k].kind, self._scratch_address(frame, k), self._kept_lanes(frame, k)
        )

    def _into_scratch(self, frame: _Frame, k: int, value: Lanes) -> None:
        store(value.spread(self._kept_lanes(frame, k)), self._scratch_address(frame, k))

    def _kept_lanes(self, frame: _Frame, k: int) -> int:
        along = self.nest.vector in self.nest.instructions[k].along
        return frame.lanes if along else 1

    # Everything reduced, in parts.

    def write_partial(self) -> None:
        """Write the kernel that reduces chunks: unit c leaves its results at ``partial[c * count ...]``."""
        code, nest = self.code, self.nest
        found = reductions(nest)
        place = pointer(code, nest.buffers)
        length = size(code, len(self.axes) + len(nest.late) + 1)
        frame = _Frame(nest.lanes)
        self._bases(frame)
        self._unit_values(frame, 0)
        with code.loop("%begin", "%end") as c:
            start = code.value(f"mul i64 {c}, {length}")
            stop = self._at_most(code.value(f"add i64 {start}, {length}"), self.extent[nest.inner[0]])
            self._chunk(frame, start, stop, found)
            first = code.value(f"mul i64 {c}, {len(found)}")
            for n, k in enumerate(found):
                at = code.value(f"add i64 {first}, {n}")
                store(frame.unit.pop(k), code.value(f"getelementptr i64, ptr {place}, i64 {at}"))
        code.line("ret void")

    def _chunk(self, frame: _Frame, start: str, stop: str, found: Sequence[int]) -> None:
        nest = self.nest
        if nest.vector_inside:
            wide = {k: self._accumulator(k, nest.lanes) for k in found}
            single = {k: self._accumulator(k, 1) for k in found} if nest.tail else {}
            if len(nest.inner) == 1:
                self._run(frame, 0, start, stop, wide, single)
            else:
                with self.code.loop(start, stop) as i:
                    inside = _Frame(frame.lanes, {**frame.index, nest.inner[0]: i}, frame.base, frame.unit)
                    with self._loops(inside, nest.inner[1:-1]) as around:
                        assert nest.vector is not None
                        self._run(around, 0, "0", self.extent[nest.vector], wide, single)
            self._finish(frame, found, wide, single)

    def write_join(self) -> None:
        """Write the kernel that joins the results of the chunks, and computes what follows from them."""
        code, nest = self.code, self.nest
        found = reductions(nest)
        place = pointer(code, nest.buffers)
        count = size(code, len(self.axes) + len(nest.late))
        frame = _Frame(1)
        self._bases(frame)
        slots = {k: self._accumulator(k, 1) for k in found}
        with code.loop("0", count) as c:
            first = code.value(f"mul i64 {c}, {len(found)}")
            for n, k in enumerate(found):
                i = nest.instructions[k]
                at = code.value(f"add i64 {first}, {n}")
                part = load(code, self._running_kind(k), code.value(f"getelementptr i64, ptr {place}, i64 {at}"))
                total = joined(i.what, self._accumulated(slots[k], k, 1), part)
                code.line(f"store {total.type} {total.text}, ptr {slots[k]}, align 64")
        for k in found:
            frame.unit[k] = self._accumulated(slots[k], k, 1)
        self._store_rows(frame)
        code.line("ret void")
