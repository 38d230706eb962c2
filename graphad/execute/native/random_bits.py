"""Random bits: Philox4x32-10 in vectors of blocks, the bits of `graphad.ops.philox`.

What may enter: generators whose every block is a function of a key and a counter.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from graphad.execute.native.code import Code, Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, load, store
from graphad.execute.native.lowering import BYTES_PER_NS, Lowered, lowers_step
from graphad.execute.native.target import host
from graphad.ir.node import Node
from graphad.ops.philox import ROUNDS, PhiloxBits

Array = np.ndarray[Any, Any]

BLOCK_BYTES: Final = 16
UNIT: Final = 256
"""Blocks that are one unit of the parallel axis."""
BLOCK_NS: Final = 4.0
"""Nanoseconds of a block."""
LOW: Final = 0xFFFFFFFF
MULTIPLIERS: Final = (0xD2511F53, 0xCD9E8D57)
WEYL: Final = (0x9E3779B9, 0xBB67AE85)
"""The constants of Philox4x32 (Salmon, Moraes, Dror & Shaw 2011)."""


@lowers_step(PhiloxBits)
def _philox(module: Module, node: Node, operands: Sequence[Array], results: Sequence[Array]) -> Lowered | None:
    y = results[0]
    if not y.size or not all(x.flags.c_contiguous for x in (*operands, y)):
        return None
    keys = operands[0].size
    nbytes = y.nbytes // keys
    blocks = -(-nbytes // BLOCK_BYTES)
    name = "philox"
    if not module.has(name):
        _write(begin_kernel(module, name), max(host().vector_bytes // 4, 2))
    kernel = Kernel(name, (blocks, nbytes), keys * -(-blocks // UNIT))
    return Lowered((kernel,), max(keys * blocks * BLOCK_NS, math.prod(y.shape) * y.itemsize / BYTES_PER_NS))


def _write(code: Code, lanes: int) -> None:
    """Pointers are the keys, the two halves of the counters, and the bits; sizes are blocks and bytes a key."""
    code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
    blocks, nbytes = size(code, 0), size(code, 1)
    units = code.value(f"udiv i64 {code.value(f'add i64 {blocks}, {UNIT - 1}')}, {UNIT}")
    whole = code.value(f"udiv i64 {nbytes}, {BLOCK_BYTES}")
    part = code.slot("i8", BLOCK_BYTES)
    bases = [pointer(code, k) for k in range(4)]
    with code.loop("%begin", "%end") as unit:
        row = code.value(f"udiv i64 {unit}, {units}")
        first = code.value(f"mul i64 {code.value(f'urem i64 {unit}, {units}')}, {UNIT}")
        past = code.value(f"add i64 {first}, {UNIT}")
        last = code.call("i64", "llvm.smin.i64", [("i64", past), ("i64", whole)])
        given = [load(code, "u64", code.value(f"getelementptr i64, ptr {base}, i64 {row}")) for base in bases[:3]]
        bits = code.value(f"getelementptr i8, ptr {bases[3]}, i64 {code.value(f'mul i64 {row}, {nbytes}')}")
        span = code.value(f"sub i64 {last}, {first}")
        full = code.value(f"add i64 {first}, {code.value(f'and i64 {span}, {-lanes}')}")
        for begin, end, count in ((first, full, lanes), (full, last, 1)):
            with code.loop(begin, end, count) as block:
                place = code.value(f"getelementptr [{BLOCK_BYTES} x i8], ptr {bits}, i64 {block}")
                _store(_blocks(given, _numbers(code, block, count)), place)
        # Less than a block, at the end of the last unit of a key.
        rest = code.value(f"sub i64 {nbytes}, {code.value(f'mul i64 {whole}, {BLOCK_BYTES}')}")
        ends = code.value(f"icmp sge i64 {past}, {blocks}")
        with code.when(code.value(f"and i1 {ends}, {code.value(f'icmp ne i64 {rest}, 0')}")):
            _store(_blocks(given, _numbers(code, whole, 1)), part)
            place = code.value(f"getelementptr [{BLOCK_BYTES} x i8], ptr {bits}, i64 {whole}")
            with code.loop("0", rest) as k:
                byte = load(code, "u8", code.value(f"getelementptr i8, ptr {part}, i64 {k}"))
                store(byte, code.value(f"getelementptr i8, ptr {place}, i64 {k}"))
    code.line("ret void")


def _numbers(code: Code, first: str, count: int) -> Lanes:
    """Return first, first + 1, ..."""
    number = Lanes(code, "u64", 1, first)
    if count == 1:
        return number
    steps = ", ".join(f"i64 {k}" for k in range(count))
    return number.spread(count) + Lanes(code, "u64", count, f"<{steps}>")


def _blocks(given: Sequence[Lanes], numbers: Lanes) -> tuple[Lanes, Lanes]:
    """Return the two halves of the blocks with these numbers, of a key and the two halves of a counter."""
    key, low, high = given
    low = low + numbers
    high = high + (low < numbers).convert("u64")
    c0, c1, c2, c3 = low & LOW, low >> 32, high & LOW, high >> 32
    for number in range(ROUNDS):
        left, right = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        k0, k1 = ((half + (number * step & LOW)) & LOW for half, step in zip((key, key >> 32), WEYL, strict=True))
        c0, c1, c2, c3 = (right >> 32) ^ c1 ^ k0, right & LOW, (left >> 32) ^ c3 ^ k1, left & LOW
    return c0 | c1 << 32, c2 | c3 << 32


def _store(halves: tuple[Lanes, Lanes], place: str) -> None:
    """Store blocks one behind the other: the halves of each are neighbours."""
    first, second = halves
    if first.count == 1:
        store(first, place, align=4)
        store(second, first.code.value(f"getelementptr i64, ptr {place}, i64 1"), align=4)
        return
    order = ", ".join(f"i32 {k}, i32 {k + first.count}" for k in range(first.count))
    mixed = f"shufflevector {first.type} {first.text}, {second.type} {second.text}, <{2 * first.count} x i32> <{order}>"
    both = Lanes(first.code, "u64", 2 * first.count, first.code.value(mixed))
    store(both, place, align=4)
