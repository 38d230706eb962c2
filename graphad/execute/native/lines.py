"""Lines: arrays as bundles of lines along one axis, for kernels that go along it element by element.

Lines are independent of each other, and there are three ways to go along them. Single lines go a few side by side, so
that the processor works on one while it waits for another. Where the elements of neighbouring lines are neighbours in
memory, vectors of them go together; and where there are many, all of a block take each step before any takes the next,
because memory gives what lies together faster than what lies far apart. Sizes and strides are run-time integers: one
kernel serves all shapes of a kind.

What may enter: how lines lie in memory, and the loops over them. What is done along a line, its users say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from graphad.execute.native.code import Code
from graphad.execute.native.kernel import pointer, size
from graphad.execute.native.lanes import bits_of
from graphad.execute.native.target import host
from graphad.ir.frozen import frozen, replace

Array = np.ndarray[Any, Any]

TOGETHER: Final = 8
"""Single lines side by side."""
VECTORS: Final = 4
"""Vectors of lines side by side."""
BLOCK_BYTES: Final = 2048
"""Neighbouring elements that are one unit of the parallel axis."""
MANY_BYTES: Final = 512
"""Neighbouring elements from which all lines of a block take each step together."""


@frozen(slots=True)
class Lines:
    """Lines along one axis of several arrays, which agree in their shapes but for that axis.

    Attributes:
        length: elements of a line of the first array.
        beside: lines whose elements are neighbours in every array; 1 if there are none.
        outer: sizes of the other axes; their product with `beside` is the number of lines.
        starts: elements from the beginning of each array to the first element that is looked at of its first line.
        steps: elements from one element of a line to the next, in each array.
        strides: along `outer`, in each array.
    """

    length: int
    beside: int
    outer: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return what of it is in the code: the number of axes, of arrays, and 1 where lines lie beside each other."""
        return len(self.outer), len(self.steps), int(self.beside > 1)

    @property
    def apart(self) -> int:
        """Return the number of lines, or of rows of neighbouring ones."""
        return math.prod(self.outer)

    def single(self) -> Lines:
        """Return the same, for users that go along one line at a time."""
        if self.beside == 1:
            return self
        strides = tuple([(*strides, 1) for strides in self.strides])
        return replace(self, beside=1, outer=(*self.outer, self.beside), strides=strides)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the run-time integers, as `Bundles` reads them."""
        arrays = zip(self.starts, self.steps, self.strides, strict=True)
        rest = [n for start, step, strides in arrays for n in (start, step, *strides)]
        return (self.length, self.beside, *self.outer, *rest)


def lines_of(arrays: Sequence[Array], axis: int, backwards: bool = False) -> Lines:
    """Describe the lines of arrays along an axis, from the end if `backwards`; some may have size 1 there."""
    strides = [[s // a.itemsize for s in a.strides] for a in arrays]
    shape = arrays[0].shape
    others = [k for k in range(len(shape)) if k != axis and shape[k] != 1]
    beside = next((k for k in reversed(others) if all(s[k] == 1 for s in strides)), None)
    outer: list[int] = []
    along: list[list[int]] = [[] for _ in arrays]
    for k in others:
        if k == beside:
            continue
        if outer and all(a[-1] == s[k] * shape[k] for a, s in zip(along, strides, strict=True)):
            outer[-1] *= shape[k]
            for a, s in zip(along, strides, strict=True):
                a[-1] = s[k]
            continue
        outer.append(shape[k])
        for a, s in zip(along, strides, strict=True):
            a.append(s[k])
    steps = [s[axis] if a.shape[axis] > 1 else 0 for a, s in zip(arrays, strides, strict=True)]
    starts = [(a.shape[axis] - 1) * step if backwards else 0 for a, step in zip(arrays, steps, strict=True)]
    return Lines(
        shape[axis],
        1 if beside is None else shape[beside],
        tuple(outer),
        tuple(starts),
        tuple([-step for step in steps] if backwards else steps),
        tuple([tuple(a) for a in along]),
    )


@frozen(slots=True)
class Split:
    """How lines are split.

    Attributes:
        lanes: of a vector.
        together: single lines side by side; 0 where lines lie beside each other.
        block: neighbouring lines that are one unit of the parallel axis.
        steps: all lines of a block take each step together.
        extent, multiple: the parallel axis.
    """

    lanes: int
    together: int
    block: int
    steps: bool
    extent: int
    multiple: int

    @property
    def name(self) -> str:
        """Return what of it is in the code."""
        return f"{self.lanes}_{self.together}_{self.block}" + "_steps" * self.steps


def split(lines: Lines, kind: str, together: int = TOGETHER) -> Split:
    """Choose how lines of elements of a kind are split, with at most so many single ones side by side."""
    nbytes = max(bits_of(kind), 8) // 8
    if lines.beside == 1:
        beside = min(together, 1 << (lines.apart.bit_length() - 1))
        return Split(1, beside, 1, False, lines.apart, beside)
    lanes = max(host().vector_bytes // nbytes, 1)
    while lanes > lines.beside:
        lanes //= 2
    block = BLOCK_BYTES // nbytes
    steps = lines.beside * nbytes >= MANY_BYTES
    return Split(lanes, 0, block, steps, lines.apart * -(-lines.beside // block), 1)


@frozen(slots=True)
class Line:
    """A line, or a vector of neighbouring ones.

    Attributes:
        first: the address of the first element in each array.
        lanes: how many lines.
        place: number of the first one in its block.
    """

    first: tuple[str, ...]
    lanes: int
    place: str = "0"


Bundle = Sequence[Line]


class Bundles:
    """The writing of a kernel that goes over bundles of lines; pointers are those of the arrays, in order."""

    def __init__(self, code: Code, lines: Lines, elements: Sequence[str]) -> None:
        """Read the run-time integers; `elements` are the LLVM types of the arrays' elements in memory."""
        self.code = code
        self.elements = elements
        self.length = size(code, 0)
        self.beside = size(code, 1)
        axes, arrays = len(lines.outer), len(lines.steps)
        self.outer = [size(code, 2 + k) for k in range(axes)]
        base = [2 + axes + (2 + axes) * k for k in range(arrays)]
        self.steps = [size(code, at + 1) for at in base]
        self.strides = [[size(code, at + 2 + k) for k in range(axes)] for at in base]
        self.bases = [self._at(k, pointer(code, k), size(code, at)) for k, at in enumerate(base)]

    def write(self, split: Split, body: Callable[[Bundle], None]) -> None:
        """Write the loops over this thread's share, around what `body` writes for a bundle, and the return."""
        if split.together:
            self._write_single(split.together, body)
        else:
            with self._block(split) as (row, first, last):
                self._write_vectors(row, first, last, split.lanes, lambda line: body([line]))
        self.code.line("ret void")

    def write_steps(self, split: Split, begin: Callable[[Line], None], step: Callable[[Line, str], None]) -> None:
        """Write the loops over this thread's share, in which all lines of a block take each step together.

        `begin` writes what is done at the first elements of some lines, `step` what at the k-th; then comes the return.
        """
        with self._block(split) as (row, first, last):
            self._write_vectors(row, first, last, split.lanes, begin)
            with self.code.loop("1", self.length) as k:
                self._write_vectors(row, first, last, split.lanes, lambda line: step(line, k))
        self.code.line("ret void")

    def element(self, line: Line, array: int, k: str) -> str:
        """Return the address of element k of a line in an array."""
        return self._at(array, line.first[array], self.code.value(f"mul i64 {k}, {self.steps[array]}"))

    def _at(self, array: int, base: str, offset: str) -> str:
        return self.code.value(f"getelementptr {self.elements[array]}, ptr {base}, i64 {offset}")

    def _line(self, number: str) -> list[str]:
        """Return the addresses of the first elements of a line, or row of neighbouring lines."""
        code, places, rest = self.code, list(self.bases), number
        for axis in reversed(range(len(self.outer))):
            index = rest
            if axis:
                index = code.value(f"urem i64 {rest}, {self.outer[axis]}")
                rest = code.value(f"udiv i64 {rest}, {self.outer[axis]}")
            for k, strides in enumerate(self.strides):
                places[k] = self._at(k, places[k], code.value(f"mul i64 {index}, {strides[axis]}"))
        return places

    def _write_single(self, together: int, body: Callable[[Bundle], None]) -> None:
        code = self.code
        full = self._past_full("%begin", "%end", together)
        with code.loop("%begin", full, together) as first:
            body([Line(tuple(self._line(code.value(f"add i64 {first}, {r}"))), 1) for r in range(together)])
        if together > 1:
            with code.loop(full, "%end") as number:
                body([Line(tuple(self._line(number)), 1)])

    @contextmanager
    def _block(self, split: Split) -> Iterator[tuple[Sequence[str], str, str]]:
        """Write the loop over this thread's blocks; gives a row's addresses and the first and past last line of it."""
        code, width = self.code, split.block
        code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
        blocks = code.value(f"udiv i64 {code.value(f'add i64 {self.beside}, {width - 1}')}, {width}")
        with code.loop("%begin", "%end") as unit:
            row = self._line(code.value(f"udiv i64 {unit}, {blocks}"))
            first = code.value(f"mul i64 {code.value(f'urem i64 {unit}, {blocks}')}, {width}")
            past = code.value(f"add i64 {first}, {width}")
            yield row, first, code.call("i64", "llvm.smin.i64", [("i64", past), ("i64", self.beside)])

    def _write_vectors(
        self, row: Sequence[str], first: str, last: str, lanes: int, body: Callable[[Line], None]
    ) -> None:
        begin = first
        for count in dict.fromkeys((lanes * VECTORS, lanes, 1)):
            end = last if count == 1 else self._past_full(begin, last, count)
            with self.code.loop(begin, end, count) as column:
                places = tuple([self._at(k, place, column) for k, place in enumerate(row)])
                body(Line(places, count, self.code.value(f"sub i64 {column}, {first}")))
            begin = end

    def _past_full(self, first: str, last: str, count: int) -> str:
        span = self.code.value(f"sub i64 {last}, {first}")
        return self.code.value(f"add i64 {first}, {self.code.value(f'and i64 {span}, {-count}')}")
