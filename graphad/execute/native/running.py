"""Running sums, products, extremes and recurrences along an axis, in the order that NumPy has.

What may enter: ops whose result at an element is made of the result at the one before. Lines are never split, so that
the bits are those of NumPy for sums and products, whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from graphad.execute.native import elementwise
from graphad.execute.native.code import Code, Module
from graphad.execute.native.elementwise import KINDS
from graphad.execute.native.kernel import Kernel, begin_kernel
from graphad.execute.native.lanes import Lanes, bits_of, load, store
from graphad.execute.native.lines import Bundle, Bundles, Line, Lines, Split, lines_of, split
from graphad.execute.native.lowering import Lowered, lowers_step, moving_nanoseconds
from graphad.ir.node import Node
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES
from graphad.ops.arithmetic import Add, Mul
from graphad.ops.cumulative import Cumsum, ExclusiveProd
from graphad.ops.recurrence import CumMax, CumMin, CumProd, Recurrence
from graphad.ops.selection import Maximum, Minimum

Array = np.ndarray[Any, Any]

WAITING_NS: Final = 1.3
"""Nanoseconds that an element of a line waits for the one before."""
NEXT_NS: Final = 0.3
"""Nanoseconds an element where the processor has other lines to work on."""

_BOTH: Final[dict[type[Op], Op]] = {Cumsum: Add(), CumProd: Mul(), CumMax: Maximum(), CumMin: Minimum()}
_OF_TRUTH: Final = {Cumsum: "or", CumMax: "or", CumProd: "and", CumMin: "and"}


def next_value(op: type[Op], last: Lanes, operands: Sequence[Lanes]) -> Lanes:
    """Return what an element becomes, of the result before it and the operands there."""
    if op is Recurrence:
        factor, term = operands
        return elementwise.emit(Add(), elementwise.emit(Mul(), factor, last), term)
    (x,) = operands
    if x.kind == "bool":
        return last | x if _OF_TRUTH[op] == "or" else last & x
    return elementwise.emit(_BOTH[op], last, x)


@lowers_step(Cumsum, CumProd, CumMax, CumMin, Recurrence, ExclusiveProd)
def _running(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    y = results[0]
    kind = DTYPE_NAMES[y.dtype]
    if kind not in KINDS or y.size == 0:
        return None
    op = node.op
    assert isinstance(op, (Cumsum, CumProd, CumMax, CumMin, Recurrence, ExclusiveProd))
    lines = lines_of([*operands, y], op.axis, backwards=isinstance(op, Cumsum) and op.backwards)
    parts = split(lines, kind)
    name = f"{op.name}_{kind}_{'_'.join(map(str, lines.shape))}_{parts.name}"
    if not module.has(name):
        _write(begin_kernel(module, name), type(op), kind, lines, parts)
    moved = moving_nanoseconds(sum(x.nbytes for x in (*operands, y)))
    work = 0.0 if lines.beside > 1 else y.size * (NEXT_NS if parts.together > 2 else WAITING_NS)
    return Lowered((Kernel(name, lines.sizes, parts.extent, parts.multiple),), max(moved, work))


def _write(code: Code, op: type[Op], kind: str, lines: Lines, parts: Split) -> None:
    bundles = Bundles(code, lines, [f"i{max(bits_of(kind), 8)}"] * len(lines.steps))
    if op is ExclusiveProd:
        bundles.write(parts, lambda bundle: _write_others(bundles, kind, bundle))
    elif parts.steps:
        _write_in_steps(bundles, parts, op, kind)
    else:
        bundles.write(parts, lambda bundle: _write_running(bundles, op, kind, bundle))


def _write_in_steps(bundles: Bundles, parts: Split, op: type[Op], kind: str) -> None:
    """Write the same as `_write_running`, a row of results from the row before it."""
    result = len(bundles.steps) - 1

    def begin(line: Line) -> None:
        store(load(bundles.code, kind, line.first[result - 1], line.lanes), line.first[result])

    def step(line: Line, k: str) -> None:
        last = _loaded(bundles, kind, line, result, bundles.code.value(f"sub i64 {k}, 1"))
        operands = [_loaded(bundles, kind, line, array, k) for array in range(result)]
        store(next_value(op, last, operands), bundles.element(line, result, k))

    bundles.write_steps(parts, begin, step)


def _write_running(bundles: Bundles, op: type[Op], kind: str, bundle: Bundle) -> None:
    """Write y[0] = x[0] (a recurrence's last operand there), and on from it."""
    result = len(bundles.steps) - 1
    kept = [_Kept(bundles.code, kind, line.lanes) for line in bundle]
    for line, last in zip(bundle, kept, strict=True):
        x = load(bundles.code, kind, line.first[result - 1], line.lanes)
        store(x, line.first[result])
        last.set(x)
    with bundles.code.loop("1", bundles.length) as k:
        for line, last in zip(bundle, kept, strict=True):
            operands = [_loaded(bundles, kind, line, array, k) for array in range(result)]
            y = next_value(op, last.get(), operands)
            store(y, bundles.element(line, result, k))
            last.set(y)


def _write_others(bundles: Bundles, kind: str, bundle: Bundle) -> None:
    """Write y[k] = x[0] ... x[k-1] on the way there, and that times x[k+1] ... x[-1] on the way back."""
    code = bundles.code
    end = code.value(f"sub i64 {bundles.length}, 1")
    kept = [_Kept(code, kind, line.lanes) for line in bundle]

    def product(last: _Kept, line: Line, k: str) -> Lanes:
        return elementwise.emit(Mul(), last.get(), _loaded(bundles, kind, line, 0, k))

    for line, last in zip(bundle, kept, strict=True):
        x = load(code, kind, line.first[0], line.lanes)
        store(x.constant(1), line.first[1])
        last.set(x)
    with code.loop("1", bundles.length) as k:
        for line, last in zip(bundle, kept, strict=True):
            store(last.get(), bundles.element(line, 1, k))
            last.set(product(last, line, k))
    for line, last in zip(bundle, kept, strict=True):
        last.set(_loaded(bundles, kind, line, 0, end))
    with code.loop("1", bundles.length) as back:
        k = code.value(f"sub i64 {end}, {back}")
        for line, last in zip(bundle, kept, strict=True):
            before = _loaded(bundles, kind, line, 1, k)
            store(elementwise.emit(Mul(), before, last.get()), bundles.element(line, 1, k))
            last.set(product(last, line, k))


def _loaded(bundles: Bundles, kind: str, line: Line, array: int, k: str) -> Lanes:
    return load(bundles.code, kind, bundles.element(line, array, k), line.lanes)


class _Kept:
    """A value that a loop hands on."""

    def __init__(self, code: Code, kind: str, lanes: int) -> None:
        self.code, self.kind, self.lanes = code, kind, lanes
        self.place = code.slot("i8", lanes * max(bits_of(kind), 8) // 8)

    def set(self, value: Lanes) -> None:
        store(value, self.place)

    def get(self) -> Lanes:
        return load(self.code, self.kind, self.place, self.lanes)
