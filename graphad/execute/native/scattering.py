"""Scatters: updates added to, or put at, computed addresses of a result that holds what they go into already.

The parallel axis runs over blocks of the parts' elements, never over the updates: updates at one address meet in the
order that NumPy has, whatever the number of threads.
"""

from __future__ import annotations

import hashlib

from graphad.execute.native.code import Code, Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, bits_of, load, store
from graphad.execute.native.register_tiles import View, load_strided
from graphad.execute.native.target import host
from graphad.ir.frozen import frozen

BLOCK = 64
"""Elements of a part that are one unit of the parallel axis."""


@frozen(slots=True)
class Scatter:
    """``y[i, j, ...] += v`` (or ``=``) for dense indices; y is dense too.

    Attributes:
        kind: of the elements.
        adds: whether updates are added.
        steps: strides in y, in elements, of the axes that the indices address.
        updates: number of updates.
        part: elements of one.
        strides: in v, in elements, from one update to the next, and from one element of a part to the next.
    """

    kind: str
    adds: bool
    steps: tuple[int, ...]
    updates: int
    part: int
    strides: tuple[int, int]


def scatter_kernel(module: Module, scatter: Scatter) -> Kernel:
    """Enter the kernel of a scatter; pointers are what y was made of (not read), v, the indices (i64), y."""
    lanes = max(host().vector_bytes * 8 // max(bits_of(scatter.kind), 8), 1)
    while lanes > scatter.part:
        lanes //= 2
    # Constants of the code: everything but how many updates there are.
    key = (scatter.kind, scatter.adds, scatter.steps, scatter.part, scatter.strides, lanes)
    name = f"scatter_{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}"
    if not module.has(name):
        _write(begin_kernel(module, name), scatter, lanes)
    return Kernel(name, (scatter.updates,), -(-scatter.part // BLOCK))


def _write(code: Code, scatter: Scatter, lanes: int) -> None:
    indices = [pointer(code, 2 + k) for k in range(len(scatter.steps))]
    v, y = pointer(code, 1), pointer(code, 2 + len(indices))
    element = f"i{max(bits_of(scatter.kind), 8)}"
    first = code.value(f"mul i64 %begin, {BLOCK}")
    past = code.value(f"mul i64 %end, {BLOCK}")
    code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
    last = code.call("i64", "llvm.smin.i64", [("i64", past), ("i64", str(scatter.part))])
    span = code.value(f"sub i64 {last}, {first}")
    full = code.value(f"add i64 {first}, {code.value(f'and i64 {span}, {-lanes}')}")
    with code.loop("0", size(code, 0)) as u:
        at = "0"
        for place, step in zip(indices, scatter.steps, strict=True):
            index = code.value(f"load i64, ptr {code.value(f'getelementptr i64, ptr {place}, i64 {u}')}, align 8")
            at = code.value(f"add i64 {at}, {code.value(f'mul i64 {index}, {step}')}")
        between, along = scatter.strides
        source = code.value(f"getelementptr {element}, ptr {v}, i64 {code.value(f'mul i64 {u}, {between}')}")
        target = code.value(f"getelementptr {element}, ptr {y}, i64 {at}")
        for begin, end, count in ((first, full, lanes), (full, last, 1)):
            with code.loop(begin, end, count) as k:
                here = code.value(f"getelementptr {element}, ptr {target}, i64 {k}")
                there = code.value(f"getelementptr {element}, ptr {source}, i64 {code.value(f'mul i64 {k}, {along}')}")
                update = load_strided(code, scatter.kind, count, View(there, "0", str(along)), count).spread(count)
                store(_met(load(code, scatter.kind, here, count), update) if scatter.adds else update, here)
    code.line("ret void")


def _met(old: Lanes, update: Lanes) -> Lanes:
    """Return what an element becomes: the sum, of truth values the disjunction."""
    return old | update if old.kind == "bool" else old + update
