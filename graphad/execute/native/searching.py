"""Searching sorted rows: how many of their elements come before a value, by halving.

A few values are looked for side by side, because each halving waits for memory. The steps are the same for all values,
and no step depends on a guess about them.

What may enter: searches that rely on order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from graphad.execute.native.code import Code, Module
from graphad.execute.native.elementwise import KINDS
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, bits_of, load
from graphad.execute.native.lowering import Lowered, lowers_step
from graphad.ir.node import Node
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.sorting import SearchSorted

Array = np.ndarray[Any, Any]

TOGETHER: Final = 8
"""Values that are looked for side by side."""
UNIT: Final = 64
"""Values that are one unit of the parallel axis."""
HALVING_NS: Final = 1.0
"""Nanoseconds of a halving for one value."""


@lowers_step(SearchSorted)
def _search(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    op, (a, v), (y,) = node.op, operands, results
    assert isinstance(op, SearchSorted)
    kind = DTYPE_NAMES[a.dtype]
    if kind not in KINDS or not a.size or not v.size or not all(x.flags.c_contiguous for x in (a, v, y)):
        return None
    kind = "u8" if kind == "bool" else kind
    name = f"{op.name}_{kind}_{'after' if op.or_equal else 'before'}"
    if not module.has(name):
        _write(begin_kernel(module, name), kind, op.or_equal)
    rows, length = math.prod(a.shape[:-1]), a.shape[-1]
    values = v.size // rows
    kernel = Kernel(name, (length, values), rows * -(-values // UNIT))
    return Lowered((kernel,), v.size * HALVING_NS * length.bit_length())


def _write(code: Code, kind: str, or_equal: bool) -> None:
    """Pointers are the rows, the values, and their numbers; sizes are the lengths of a row of each."""
    code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
    length, values = size(code, 0), size(code, 1)
    rows, given, found = (pointer(code, k) for k in range(3))
    element = f"i{bits_of(kind)}"
    units = code.value(f"udiv i64 {code.value(f'add i64 {values}, {UNIT - 1}')}, {UNIT}")
    with code.loop("%begin", "%end") as unit:
        row = code.value(f"udiv i64 {unit}, {units}")
        a = code.value(f"getelementptr {element}, ptr {rows}, i64 {code.value(f'mul i64 {row}, {length}')}")
        start = code.value(f"mul i64 {row}, {values}")
        first = code.value(f"mul i64 {code.value(f'urem i64 {unit}, {units}')}, {UNIT}")
        past = code.value(f"add i64 {first}, {UNIT}")
        last = code.call("i64", "llvm.smin.i64", [("i64", past), ("i64", values)])
        span = code.value(f"sub i64 {last}, {first}")
        full = code.value(f"add i64 {first}, {code.value(f'and i64 {span}, {-TOGETHER}')}")
        for begin, end, count in ((first, full, TOGETHER), (full, last, 1)):
            with code.loop(begin, end, count) as k:
                places = [code.value(f"add i64 {start}, {code.value(f'add i64 {k}, {j}')}") for j in range(count)]
                sought = [
                    load(code, kind, code.value(f"getelementptr {element}, ptr {given}, i64 {p}")) for p in places
                ]
                for place, number in zip(places, _numbers(code, a, length, sought, or_equal), strict=True):
                    target = code.value(f"getelementptr i64, ptr {found}, i64 {place}")
                    code.line(f"store i64 {number}, ptr {target}, align 8")
    code.line("ret void")


def _numbers(code: Code, a: str, length: str, sought: Sequence[Lanes], or_equal: bool) -> list[str]:
    """Write the search for some values in the row at `a`; returns how many elements come before each."""
    kind = sought[0].kind

    def before(at: str, value: Lanes) -> str:
        x = load(code, kind, code.value(f"getelementptr i{bits_of(kind)}, ptr {a}, i64 {at}"))
        comes = x <= value if or_equal else x < value
        if kind[0] == "f":  # NaN is behind all numbers
            comes = comes | (value.is_nan() if or_equal else value.is_nan() & ~x.is_nan())
        return comes.text

    slots = [code.slot("i64", align=8) for _ in sought]
    left = code.slot("i64", align=8)
    for slot in slots:
        code.line(f"store i64 0, ptr {slot}, align 8")
    code.line(f"store i64 {length}, ptr {left}, align 8")
    look, halve, over = (code.new_label(stem) for stem in ("look", "halve", "over"))
    code.jump(look)
    code.place(look)
    rest = code.value(f"load i64, ptr {left}, align 8")
    code.branch(code.value(f"icmp sgt i64 {rest}, 1"), halve, over)
    code.place(halve)
    half = code.value(f"lshr i64 {rest}, 1")
    for slot, value in zip(slots, sought, strict=True):
        low = code.value(f"load i64, ptr {slot}, align 8")
        high = code.value(f"add i64 {low}, {half}")
        comes = before(code.value(f"add i64 {high}, -1"), value)
        code.line(f"store i64 {code.value(f'select i1 {comes}, i64 {high}, i64 {low}')}, ptr {slot}, align 8")
    code.line(f"store i64 {code.value(f'sub i64 {rest}, {half}')}, ptr {left}, align 8")
    code.jump(look)
    code.place(over)
    found = []
    for slot, value in zip(slots, sought, strict=True):
        low = code.value(f"load i64, ptr {slot}, align 8")
        found.append(code.value(f"add i64 {low}, {code.value(f'zext i1 {before(low, value)} to i64')}"))
    return found
