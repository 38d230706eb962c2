"""Positions of the largest and the smallest element along an axis: the first of equal ones, the first NaN where one is.

Where lines lie beside each other, lanes are lines. Where the elements of a line are neighbours, lanes go along it: each
keeps the best of its own elements, and the group of vectors where it was; the lanes meet at the end, and the element is
looked for in that group. Which way it is makes no difference to the result.

What may enter: searches along lines that end in a position.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from graphad.execute.native.code import Code, Module
from graphad.execute.native.elementwise import KINDS
from graphad.execute.native.kernel import Kernel, begin_kernel
from graphad.execute.native.lanes import Lanes, bits_of, load, store
from graphad.execute.native.lines import BLOCK_BYTES, TOGETHER, Bundle, Bundles, Line, Lines, Split, lines_of, split
from graphad.execute.native.lowering import Lowered, lowers_step, moving_nanoseconds
from graphad.execute.native.target import host
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.reduction import ArgMax, ArgMin, ExtremePosition

Array = np.ndarray[Any, Any]

STEP_NS: Final = 1.0
"""Nanoseconds of a step: of an element, or a vector of lines."""
VECTORS: Final = 8
"""Vectors of neighbouring elements that are one group."""


class Found(NamedTuple):
    """The best elements so far, and where they are."""

    value: Lanes
    position: Lanes


@lowers_step(ArgMax, ArgMin)
def _position(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op, (x,) = node.op, operands
    assert isinstance(op, ExtremePosition)
    kind = DTYPE_NAMES[x.dtype]
    if kind not in KINDS or x.size == 0 or x.shape[op.axis] >= 1 << 31:
        return None
    lines = lines_of([x, np.expand_dims(results[0], op.axis)], op.axis)
    along = _along(lines, kind)
    parts = split(lines, _compared(kind), 1 if along.group else TOGETHER)
    name = f"{op.name}_{kind}_{'_'.join(map(str, lines.shape))}_{parts.name}_{along.lanes}_{along.group}"
    if not module.has(name):
        _Search(begin_kernel(module, name), isinstance(op, ArgMax), kind, lines, along).write(parts)
    scratch = 2 * BLOCK_BYTES if parts.steps else 0
    work = x.size / (2 * along.lanes if along.group else parts.lanes) * STEP_NS
    kernel = Kernel(name, lines.sizes, parts.extent, parts.multiple, scratch)
    return Lowered((kernel,), max(moving_nanoseconds(x.nbytes), work))


def _compared(kind: str) -> str:
    """Return the kind that elements are compared as: short integers have no room for a position beside them."""
    return kind if bits_of(kind) >= 32 else "i32"


class _Along(NamedTuple):
    """How lanes go along a line: how many, and the vectors of a group; 0 where they do not."""

    lanes: int
    group: int


def _along(lines: Lines, kind: str) -> _Along:
    lanes = host().vector_bytes * 8 // bits_of(_compared(kind))
    if lines.beside > 1 or lines.steps[0] != 1 or lines.length < lanes:
        return _Along(1, 0)
    return _Along(lanes, min(VECTORS, 1 << ((lines.length // lanes).bit_length() - 1)))


class _Search:
    """The writing of the kernel of a search."""

    def __init__(self, code: Code, largest: bool, kind: str, lines: Lines, along: _Along) -> None:
        self.code, self.largest, self.kind, self.along = code, largest, kind, along
        self.wide = _compared(kind)
        self.counted = f"i{bits_of(self.wide)}"
        self.bundles = Bundles(code, lines, [f"i{max(bits_of(kind), 8)}", "i64"])

    def write(self, parts: Split) -> None:
        """Write the loops over lines."""
        if parts.steps:
            self._write_steps(parts)
        else:
            self.bundles.write(parts, self._write_along if self.along.group else self._write_bundle)

    # Lines beside each other, or far apart: element by element.

    def _write_bundle(self, bundle: Bundle) -> None:
        """Write the search along a few lines, or a vector of them."""
        kept = [_Kept(self, line.lanes) for line in bundle]
        for line, best in zip(bundle, kept, strict=True):
            best.set(self._first(line))
        with self.code.loop("1", self.bundles.length) as k:
            for line, best in zip(bundle, kept, strict=True):
                found, x = best.get(), self._look(line, k, line.lanes)
                best.set(_chosen(self._beats(x, found.value), Found(x, self._count(k)), found))
        for line, best in zip(bundle, kept, strict=True):
            store(best.get().position.convert("i64"), line.first[1])

    def _write_steps(self, parts: Split) -> None:
        """Write the search of all lines of a block together: the best elements lie in scratch, positions in the result.

        An element seldom beats all before it, so that mostly nothing is stored.
        """
        code = self.code

        def place(line: Line) -> str:
            return code.value(f"getelementptr {self.counted}, ptr %scratch, i64 {line.place}")

        def begin(line: Line) -> None:
            found = self._first(line)
            store(found.value, place(line))
            store(found.position.convert("i64"), line.first[1])

        def step(line: Line, k: str) -> None:
            best = load(code, self.wide, place(line), line.lanes)
            x = self._look(line, k, line.lanes)
            takes = self._beats(x, best)
            with code.when(takes.any().text):
                store(takes.select(x, best), place(line))
                old = load(code, "i64", line.first[1], line.lanes)
                store(takes.select(Lanes(code, "i64", 1, k), old), line.first[1])

        self.bundles.write_steps(parts, begin, step)

    # Lanes along a line.

    def _write_along(self, bundle: Bundle) -> None:
        """Write the search along one line, a group of vectors at a time."""
        (line,) = bundle
        code, lanes = self.code, self.along.lanes
        code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
        best = _Kept(self, lanes)
        best.set(self._group(line, "0"))
        width = lanes * self.along.group
        last = code.value(f"sub i64 {self.bundles.length}, {width}")
        with code.loop(str(width), self.bundles.length, width) as k:
            # The last group ends with the line, and sees some elements again.
            at = code.call("i64", "llvm.smin.i64", [("i64", k), ("i64", last)])
            found, group = best.get(), self._group(line, at)
            best.set(_chosen(self._beats(group.value, found.value), group, found))
        self._write_found(line, self._met(best.get()))

    def _group(self, line: Line, k: str) -> Found:
        """Return the best elements of the group that begins at element k, NaN where there is one."""
        lanes = self.along.lanes
        seen = [self._vector(line, k, v * lanes) for v in range(self.along.group)]
        best = tree(seen, self._better)
        if best.kind[0] == "f":
            nan = tree([a.with_(f"fcmp uno {a.type} {a.text}, {b.text}", "bool") for a, b in pairs(seen)], operator.or_)
            best = nan.select(math.nan, best)
        return Found(best, self._count(k).spread(lanes))

    def _vector(self, line: Line, k: str, offset: int = 0) -> Lanes:
        """Return the neighbouring elements from k + offset on."""
        code, element = self.code, self.bundles.elements[0]
        begin = code.value(f"getelementptr {element}, ptr {line.first[0]}, i64 {k}")
        place = code.value(f"getelementptr {element}, ptr {begin}, i64 {offset}")
        return load(code, self.kind, place, self.along.lanes).convert(self.wide)

    def _better(self, a: Lanes, b: Lanes) -> Lanes:
        return (a > b if self.largest else a < b).select(a, b)

    def _met(self, found: Found) -> Found:
        """Return the best of all lanes, of equal ones that of the first group: halves against halves."""
        while found.value.count > 1:
            (a, b), (i, j) = found.value.halves(), found.position.halves()
            same = _alike(a, b)
            found = _chosen(self._beats(b, a) | (same & (j < i)), Found(b, j), Found(a, i))
        return found

    def _write_found(self, line: Line, best: Found) -> None:
        """Write the search for the first element that is the best, from the beginning of its group on.

        The group begins a whole number of vectors before its end, and the element is in it.
        """
        code, lanes = self.code, self.along.lanes
        begin = best.position.convert("i64").text
        before = code.block
        look, on, found = (code.new_label(stem) for stem in ("look", "on", "found"))
        code.jump(look)
        code.place(look)
        at, following = code.fresh("at"), code.fresh("next")
        code.line(f"{at} = phi i64 [ {begin}, %{before} ], [ {following}, %{on} ]")
        same = _alike(self._vector(line, at), best.value.spread(lanes))
        code.branch(same.any().text, found, on)
        code.place(on)
        code.line(f"{following} = add i64 {at}, {lanes}")
        code.jump(look)
        code.place(found)
        name = f"llvm.cttz.i{lanes}"
        code.module.declare(name, f"i{lanes}", [f"i{lanes}", "i1"])
        mask = code.value(f"bitcast {same.type} {same.text} to i{lanes}")
        first = code.call(f"i{lanes}", name, [(f"i{lanes}", mask), ("i1", "true")])
        wide = code.value(f"zext i{lanes} {first} to i64") if lanes < 64 else first
        store(Lanes(code, "i64", 1, code.value(f"add i64 {at}, {wide}")), line.first[1])

    # What all share.

    def _look(self, line: Line, k: str, lanes: int) -> Lanes:
        return load(self.code, self.kind, self.bundles.element(line, 0, k), lanes).convert(self.wide)

    def _first(self, line: Line) -> Found:
        x = load(self.code, self.kind, line.first[0], line.lanes).convert(self.wide)
        return Found(x, x.constant(0, self.counted))

    def _count(self, k: str) -> Lanes:
        return Lanes(self.code, "i64", 1, k).convert(self.counted)

    def _beats(self, x: Lanes, best: Lanes) -> Lanes:
        """Return where x, which comes later, takes the place of the best so far."""
        better = x > best if self.largest else x < best
        if x.kind[0] == "f":
            better = better | (x.is_nan() & best.equals(best))
        return better


def _alike(a: Lanes, b: Lanes) -> Lanes:
    """Return where two elements are equal, or both NaN."""
    same = a.equals(b)
    return same if a.kind[0] != "f" else same | (a.is_nan() & b.is_nan())


def _chosen(takes: Lanes, new: Found, old: Found) -> Found:
    return Found(takes.select(new.value, old.value), takes.select(new.position, old.position))


def tree(values: list[Lanes], join: Callable[[Lanes, Lanes], Lanes]) -> Lanes:
    """Return all values joined, neighbours first."""
    while len(values) > 1:
        rest = values[len(values) & ~1 :]
        values = [join(a, b) for a, b in zip(values[::2], values[1::2], strict=False)] + rest
    return values[0]


def pairs(values: Sequence[Lanes]) -> list[tuple[Lanes, Lanes]]:
    """Return values two by two; a single one with itself."""
    return list(zip(values[::2], values[1::2] or values, strict=True))


class _Kept:
    """What a loop has found so far."""

    def __init__(self, search: _Search, lanes: int) -> None:
        self.search, self.lanes = search, lanes
        size = lanes * bits_of(search.wide) // 8
        self.value, self.position = (search.code.slot("i8", size) for _ in range(2))

    def set(self, found: Found) -> None:
        store(found.value, self.value)
        store(found.position, self.position)

    def get(self) -> Found:
        code, search = self.search.code, self.search
        value = load(code, search.wide, self.value, self.lanes)
        return Found(value, load(code, search.counted, self.position, self.lanes))
