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

from graphad.execute.native import elementwise
from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, bits_of, constant, load, store
from graphad.execute.native.nest import (
    PARTIAL,
    Access,
    Nest,
    cache_sizes,
    needed,
    stored_inside,
)
from graphad.execute.native.nest_values import Frame, Values
from graphad.execute.native.turning import Tile, store_tiles
from graphad.ops.arithmetic import Add, Mul
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
    return sum(cache_sizes(nest))


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


class _Units(Values):
    """Writes one kernel: its loops, what they store, and what they sum."""

    # Units.

    def write(self) -> None:
        """Write the loop over this thread's units."""
        code, nest = self.code, self.nest
        blocked = nest.vector is not None and not nest.vector_inside
        counted = [*nest.rows, *([nest.vector] if blocked and nest.vector is not None else [])]
        counters, limits = self._counters(counted, blocked)
        with code.loop("%begin", "%end"):
            frame = Frame(nest.lanes)
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

    def _block(self, frame: Frame, axis: int) -> None:
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
        if nest.unrolled:
            last = code.value(f"sub i64 {self.extent[axis]}, {nest.lanes}")
            with code.loop(start, stop, nest.lanes) as j:
                self._elements(frame, axis, self._at_most(j, last), nest.lanes, frame_values)
            return
        span = code.value(f"sub i64 {stop}, {start}")
        full = code.value(f"and i64 {span}, {-nest.lanes}")
        middle = code.value(f"add i64 {start}, {full}")
        with code.loop(start, middle, nest.lanes) as j:
            self._elements(frame, axis, j, nest.lanes, frame_values)
        if nest.tail:
            with code.loop(middle, stop) as j:
                self._elements(frame, axis, j, 1, frame_values)

    def _elements(self, frame: Frame, axis: int, j: str, lanes: int, unit: dict[int, Lanes]) -> None:
        inside = Frame(lanes, {**frame.index, axis: j}, frame.base, unit)
        if self.nest.unrolled:
            self._components(inside)
        else:
            self._compute(inside, 0)

    def _components(self, frame: Frame) -> None:
        """Write the values of an unrolled nest, and store each, or each tile, as soon as it is there."""
        nest = self.nest
        ready: dict[int, list[Tile | tuple[int, Access]]] = {}
        tiles, single = store_tiles(nest)
        inside = needed(nest, 0, ())
        known = set(inside)
        for tile in tiles:
            ready.setdefault(max([k for k in tile.members if k in known], default=-1), []).append(tile)
        for k, access in single:
            ready.setdefault(k if k in known else -1, []).append((k, access))
        for k in (-1, *inside):
            if k >= 0:
                frame.inner[k] = self._value(frame, k)
            for item in ready.get(k, ()):
                if isinstance(item, Tile):
                    self._write_tile(frame, item)
                else:
                    self._write(frame, item[1], self._value(frame, item[0]), self._inner_address(frame, item[1]))

    def _column_block(self, frame: Frame, axis: int, start: str) -> None:
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
        full = Frame(nest.lanes, {**frame.index, axis: start})
        self._bases(full)
        self._row(full)
        code.jump(after)
        code.place(rest)
        with code.loop(start, self.extent[axis]) as j:
            one = Frame(1, {**frame.index, axis: j})
            self._bases(one)
            self._row(one)
        code.jump(after)
        code.place(after)

    def _wide_block(self, frame: Frame, axis: int, start: str) -> None:
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
                    inside = Frame(lanes, {**row.index, axis: j}, frame.base, dict(frame.unit))
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
                self._store_rows(Frame(lanes, {**frame.index, axis: j}, frame.base, found))

    def _sum_at(self, k: int, place: str, column: str) -> str:
        return self.code.value(f"getelementptr i{max(bits_of(self._running_kind(k)), 8)}, ptr {place}, i64 {column}")

    def _at_most(self, a: str, b: str) -> str:
        less = self.code.value(f"icmp slt i64 {a}, {b}")
        return self.code.value(f"select i1 {less}, i64 {a}, i64 {b}")

    # Passes.

    def _row(self, frame: Frame) -> None:
        """Write the passes over one row (or block of columns), and what is stored once a row."""
        for p in range(self.nest.passes):
            self._pass(frame, p)
        self._store_rows(frame)

    def _store_rows(self, frame: Frame) -> None:
        """Write the results of which a row has one element."""
        for k, access in self.nest.stores:
            if not stored_inside(self.nest, access):
                self._settle(frame, k)
                self._write(frame, access, self._value(frame, k), self._inner_address(frame, access))

    def _pass(self, frame: Frame, p: int) -> None:
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
    def _loops(self, frame: Frame, axes: Sequence[int]) -> Iterator[Frame]:
        """Write nested loops over axes, outermost first."""
        inside = Frame(frame.lanes, dict(frame.index), frame.base, frame.unit)
        if not axes:
            yield inside
            return
        with self.code.loop("0", self.extent[axes[0]]) as i:
            inside.index[axes[0]] = i
            with self._loops(inside, axes[1:]) as innermost:
                yield innermost

    def _lanes_inside(self, frame: Frame, p: int, found: Sequence[int]) -> None:
        """Write a pass whose lanes run along the last reduced axis: full vectors, then single elements."""
        nest = self.nest
        assert nest.vector is not None
        wide = {k: self._accumulator(k, nest.lanes) for k in found}
        single = {k: self._accumulator(k, 1) for k in found} if nest.tail else {}
        with self._loops(frame, nest.inner[:-1]) as around:
            self._run(around, p, "0", self.extent[nest.vector], wide, single)
        self._finish(frame, found, wide, single)

    def _run(self, around: Frame, p: int, start: str, stop: str, wide: dict[int, str], single: dict[int, str]) -> None:
        """Write the loop along the vector axis from `start` to `stop`."""
        code, nest = self.code, self.nest
        assert nest.vector is not None
        span = stop if start == "0" else code.value(f"sub i64 {stop}, {start}")
        full = code.value(f"and i64 {span}, {-nest.lanes}")
        middle = full if start == "0" else code.value(f"add i64 {start}, {full}")
        pieces = [(nest.lanes, start, middle, wide)] + ([(1, middle, stop, single)] if nest.tail else [])
        for lanes, first, last, slots in pieces:
            with code.loop(first, last, lanes) as j:
                inside = Frame(lanes, {**around.index, nest.vector: j}, around.base, around.unit)
                self._compute(inside, p)
                self._accumulate(inside, slots)

    def _finish(self, frame: Frame, found: Sequence[int], wide: dict[int, str], single: dict[int, str]) -> None:
        for k in found:
            op = self.nest.instructions[k].what
            total = folded(op, self._accumulated(wide[k], k, self.nest.lanes))
            if k in single:
                total = joined(op, total, self._accumulated(single[k], k, 1))
            frame.unit[k] = total

    def _compute(self, frame: Frame, p: int) -> None:
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

    def _accumulate(self, frame: Frame, slots: dict[int, str]) -> None:
        for k, slot in slots.items():
            i = self.nest.instructions[k]
            value = as_operand(i.what, self._value(frame, i.operands[0])).spread(frame.lanes)
            total = joined(i.what, self._accumulated(slot, k, frame.lanes), value)
            self.code.line(f"store {total.type} {total.text}, ptr {slot}, align 64")

    # Everything reduced, in parts.

    def write_partial(self) -> None:
        """Write the kernel that reduces chunks: unit c leaves its results at ``partial[c * count ...]``."""
        code, nest = self.code, self.nest
        found = reductions(nest)
        place = pointer(code, nest.buffers)
        length = size(code, len(self.axes) + len(nest.late) + 1)
        frame = Frame(nest.lanes)
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

    def _chunk(self, frame: Frame, start: str, stop: str, found: Sequence[int]) -> None:
        nest = self.nest
        if nest.vector_inside:
            wide = {k: self._accumulator(k, nest.lanes) for k in found}
            single = {k: self._accumulator(k, 1) for k in found} if nest.tail else {}
            if len(nest.inner) == 1:
                self._run(frame, 0, start, stop, wide, single)
            else:
                with self.code.loop(start, stop) as i:
                    inside = Frame(frame.lanes, {**frame.index, nest.inner[0]: i}, frame.base, frame.unit)
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
        frame = Frame(1)
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
