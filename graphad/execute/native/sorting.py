"""Sorting along an axis: sorted elements, and the positions that sort, by merging.

A line goes to scratch as integers in the order of its elements, NaN last. Runs of a few are sorted by counting how many
of the run come before each; then runs are merged two by two, the first in front where two are equal: no step depends on
a guess about the elements, and positions come out as a stable sort has them.

What may enter: what orders lines. NumPy sorts long rows of elements faster, so those stay with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from graphad.execute.native.code import Code, Module
from graphad.execute.native.elementwise import KINDS
from graphad.execute.native.kernel import Kernel, begin_kernel
from graphad.execute.native.lanes import Lanes, bits_of, constant, load, store
from graphad.execute.native.lines import Bundle, Bundles, Lines, lines_of, split
from graphad.execute.native.lowering import Lowered, lowers_step
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.sorting import ArgSort, Sort

Array = np.ndarray[Any, Any]

RUN: Final = 8
"""Elements of a first run."""
LONGEST: Final = 1 << 16
"""Elements of a line that is sorted here: it is held in scratch twice."""
MOST: Final = 1 << 11
"""Elements of an array whose values, not positions, are sorted here: what a host step costs is worth no more."""
MERGE_NS: Final = 3.0
"""Nanoseconds an element and doubling."""


@lowers_step(Sort, ArgSort)
def _sort(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op, (x,), (y,) = node.op, operands, results
    assert isinstance(op, (Sort, ArgSort))
    positions = isinstance(op, ArgSort)
    kind, length = DTYPE_NAMES[x.dtype], x.shape[op.axis]
    if kind not in KINDS or x.size == 0 or length > LONGEST or not (positions or x.size <= MOST):
        return None
    lines = lines_of([x, y], op.axis).single()
    parts = split(lines, kind, 1)
    name = f"{op.name}_{kind}_{'_'.join(map(str, lines.shape))}"
    if not module.has(name):
        _Sorting(begin_kernel(module, name), kind, lines, positions).write()
    kernel = Kernel(name, lines.sizes, parts.extent, scratch=_room(length, kind, positions))
    return Lowered((kernel,), x.size * MERGE_NS * max(length - 1, 1).bit_length())


def _room(length: int, kind: str, positions: bool) -> int:
    """Return the bytes in which a line is held twice."""
    return 2 * (-(-length // RUN) * RUN) * (bits_of(_key(kind)) // 8 + 4 * positions)


def _key(kind: str) -> str:
    """Return the integers that elements of a kind are ordered as."""
    return {"bool": "u8", "f32": "i32", "f64": "i64"}.get(kind, kind)


class _Sorting:
    """The writing of a kernel that sorts lines one by one."""

    def __init__(self, code: Code, kind: str, lines: Lines, positions: bool) -> None:
        self.code, self.positions, self.lines = code, positions, lines
        self.kind = "u8" if kind == "bool" else kind
        self.key = _key(kind)
        self.bundles = Bundles(code, lines, [f"i{bits_of(self.key)}", "i64" if positions else f"i{bits_of(self.key)}"])
        bits = bits_of(self.key)
        self.last = (1 << (bits - 1)) - 1 if self.key[0] == "i" else (1 << bits) - 1
        """What no element is ordered behind."""
        self.padded = code.value(f"and i64 {code.value(f'add i64 {self.bundles.length}, {RUN - 1}')}, {-RUN}")
        size = code.value(f"mul i64 {self.padded}, {bits // 8}")
        self.keys = ["%scratch", self._after("%scratch", size)]
        numbers = self._after(self.keys[1], size)
        self.numbers = [numbers, self._after(numbers, code.value(f"mul i64 {self.padded}, 4"))]
        self.held = [code.slot("ptr", align=8) for _ in range(4)]
        """Keys and positions as they are, and where the next merge puts them."""

    def write(self) -> None:
        """Write the loop over lines."""
        self.bundles.write(split(self.lines, self.kind, 1), self._write_line)

    def _write_line(self, bundle: Bundle) -> None:
        (line,) = bundle
        code, bundles = self.code, self.bundles
        with code.loop("0", bundles.length) as k:
            store(self._ordered(load(code, self.kind, bundles.element(line, 0, k))), self._at(self.keys[0], k))
        with code.loop(bundles.length, self.padded) as k:
            store(constant(code, self.key, self.last), self._at(self.keys[0], k))
        with code.loop("0", self.padded, RUN) as first:
            self._write_run(first)
        for slot, place in zip(self.held, (self.keys[1], self.numbers[1], self.keys[0], self.numbers[0]), strict=True):
            code.line(f"store ptr {place}, ptr {slot}, align 8")
        self._write_merges()
        keys, numbers = (code.value(f"load ptr, ptr {slot}, align 8") for slot in self.held[:2])
        with code.loop("0", bundles.length) as k:
            if self.positions:
                found = load(code, "i32", self._number(numbers, k)).convert("i64")
            else:
                found = self._element(load(code, self.key, self._at(keys, k)))
            store(found, bundles.element(line, 1, k))

    def _write_run(self, first: str) -> None:
        """Write the sorting of a run: each element goes behind those before it in order."""
        code = self.code
        keys = load(code, self.key, self._at(self.keys[0], first), RUN)
        counted = f"i{bits_of(self.key)}"
        places = constant(code, counted, 0, RUN)
        for j in range(RUN):
            other = keys.lane(j).spread(RUN)
            behind = constant(code, "bool", False, RUN)
            if j < RUN - 1:
                flags = ", ".join(f"i1 {'true' if i > j else 'false'}" for i in range(RUN))
                behind = Lanes(code, "bool", RUN, f"<{flags}>")
            places = places + behind.select(~(keys < other), keys > other).select(
                constant(code, counted, 1, RUN), constant(code, counted, 0, RUN)
            )
        for i in range(RUN):
            place = code.value(f"add i64 {first}, {places.lane(i).convert('i64').text}")
            store(keys.lane(i), self._at(self.keys[1], place))
            if self.positions:
                number = Lanes(code, "i64", 1, code.value(f"add i64 {first}, {i}")).convert("i32")
                store(number, self._number(self.numbers[1], place))

    def _write_merges(self) -> None:
        """Write the merging of runs two by two, until one is left."""
        code = self.code
        code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
        head, body, after = (code.new_label(stem) for stem in ("widths", "merge", "merged"))
        kept = code.slot("i64", align=8)
        code.line(f"store i64 {RUN}, ptr {kept}, align 8")
        code.jump(head)
        code.place(head)
        width = code.value(f"load i64, ptr {kept}, align 8")
        code.branch(code.value(f"icmp slt i64 {width}, {self.padded}"), body, after)
        code.place(body)
        double = code.value(f"shl i64 {width}, 1")
        code.line(f"store i64 {double}, ptr {kept}, align 8")
        keys, numbers, to_keys, to_numbers = (code.value(f"load ptr, ptr {slot}, align 8") for slot in self.held)
        with code.loop("0", self.padded, double) as low:
            middle, high = (
                code.call("i64", "llvm.smin.i64", [("i64", code.value(f"add i64 {low}, {step}")), ("i64", self.padded)])
                for step in (width, double)
            )
            self._write_merge(low, middle, high, (keys, numbers), (to_keys, to_numbers))
        for slot, place in zip(self.held, (to_keys, to_numbers, keys, numbers), strict=True):
            code.line(f"store ptr {place}, ptr {slot}, align 8")
        code.jump(head)
        code.place(after)

    def _write_merge(self, low: str, middle: str, high: str, source: tuple[str, str], target: tuple[str, str]) -> None:
        """Write the merging of [low, middle) and [middle, high): of equal elements that of the first goes first."""
        code = self.code
        slots = [code.slot("i64", align=8) for _ in range(3)]
        for slot, at in zip(slots, (low, middle, low), strict=True):
            code.line(f"store i64 {at}, ptr {slot}, align 8")
        look, both, rest = (code.new_label(stem) for stem in ("look", "both", "rest"))
        code.jump(look)
        code.place(look)
        i, j, k = (code.value(f"load i64, ptr {slot}, align 8") for slot in slots)
        left = code.value(f"icmp slt i64 {i}, {middle}")
        code.branch(code.value(f"and i1 {left}, {code.value(f'icmp slt i64 {j}, {high}')}"), both, rest)
        code.place(both)
        a, b = (load(code, self.key, self._at(source[0], at)) for at in (i, j))
        second = b < a
        store(second.select(b, a), self._at(target[0], k))
        if self.positions:
            chosen = code.value(f"select i1 {second.text}, i64 {j}, i64 {i}")
            store(load(code, "i32", self._number(source[1], chosen)), self._number(target[1], k))
        taken = code.value(f"zext i1 {second.text} to i64")
        steps = (code.value(f"xor i64 {taken}, 1"), taken, "1")
        for slot, at, by in zip(slots, (i, j, k), steps, strict=True):
            code.line(f"store i64 {code.value(f'add i64 {at}, {by}')}, ptr {slot}, align 8")
        code.jump(look)
        code.place(rest)
        # One of them is at its end: what is left of the other lies as far from its place as k from i, or from j.
        for begin, end in ((i, middle), (j, high)):
            shift = code.value(f"sub i64 {k}, {begin}")
            with code.loop(begin, end) as at:
                to = code.value(f"add i64 {at}, {shift}")
                store(load(code, self.key, self._at(source[0], at)), self._at(target[0], to))
                if self.positions:
                    store(load(code, "i32", self._number(source[1], at)), self._number(target[1], to))

    # Elements and their keys.

    def _ordered(self, x: Lanes) -> Lanes:
        """Return the integer that stands for an element; zeros of either sign are equal to positions."""
        if x.kind[0] != "f":
            return x
        bits = (x + 0.0 if self.positions else x).bitcast(self.key)
        return x.is_nan().select(bits.constant(self.last), self._mirrored(bits))

    def _element(self, key: Lanes) -> Lanes:
        """Return the element that an integer stands for."""
        if self.kind[0] != "f":
            return key
        x = self._mirrored(key).bitcast(self.kind)
        return key.equals(self.last).select(x.constant(float("nan")), x)

    def _mirrored(self, bits: Lanes) -> Lanes:
        """Return the bits of a float as an integer in its order, or back: negative ones run the other way."""
        return bits ^ ((bits >> (bits_of(self.key) - 1)) & self.last)

    def _at(self, base: str, k: str) -> str:
        return self.code.value(f"getelementptr i{bits_of(self.key)}, ptr {base}, i64 {k}")

    def _number(self, base: str, k: str) -> str:
        return self.code.value(f"getelementptr i32, ptr {base}, i64 {k}")

    def _after(self, base: str, nbytes: str) -> str:
        return self.code.value(f"getelementptr i8, ptr {base}, i64 {nbytes}")
