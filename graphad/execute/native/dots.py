"""Products with few columns whose sums run along memory: vectors lie along the terms.

What may enter: matrix times vector for a matrix with contiguous rows, dot products, and a few of them side by side. As
many rows as a vector has lanes are summed at once, so that one transposition adds up all their lanes; where there are
fewer, each has several vectors of partial sums. The order of the additions depends on the sizes only. These and the
strides are run-time integers, unless a product is so small that straight lines pay.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, constant, load, store
from graphad.execute.native.microkernel import Rows, Step, Update, either, finish, going_down
from graphad.execute.native.packing import Strip, order_of, pack, transposed
from graphad.execute.native.product_cut import FIXED_UP_TO
from graphad.execute.native.product_spec import Product
from graphad.execute.native.register_tiles import (
    Tile,
    View,
    advance,
    difference_text,
    item_bytes,
    load_lanes,
    product_text,
    smaller,
)

PARTIAL_SUMS = 8
"""Vectors of sums that hide the latency of fused multiply-add on two units."""

STRAIGHT = 8
"""Vectors of terms up to which the sums of many rows are written without a loop, for their very number."""

WORTH_A_SHARE = 4096
"""Multiplications in a unit of the parallel axis, at least."""


def suits(p: Product) -> bool:
    """Tell whether this is the way: few columns, and rows of A that are contiguous."""
    return p.n <= 4 and (p.strides_a[2] == 1 or p.k == 1) and p.k >= 8


def dots_kernel(module: Module, product: Product, order: tuple[int, int], vector_bytes: int) -> Kernel:
    """Enter the kernel of a product that `suits`, and return its use."""
    writer = Writer(module, product.simplified(), order, vector_bytes)
    if not module.has(writer.name):
        writer.write()
    return Kernel(writer.name, writer.told, extent=product.batch * writer.values["blocks"], scratch=writer.scratch)


class Writer:
    """Writes one kernel."""

    def __init__(self, module: Module, product: Product, order: tuple[int, int], vector_bytes: int) -> None:
        self.module, self.p, self.order = module, product, order
        p, item = product, item_bytes(product.kind)
        self.lanes = vector_bytes // item
        self.fixed = p.m * p.n * p.k <= FIXED_UP_TO
        self.height = min(p.m, self.lanes)
        vectors = -(-p.k // self.lanes)
        self.straight = vectors <= STRAIGHT and (self.fixed or self.height == self.lanes)
        self.low = p.m % self.lanes if self.fixed else max(self.lanes // 4, 1)
        tiles = max(WORTH_A_SHARE // max(self.lanes * p.n * p.k, 1), 1)
        block = tiles * self.lanes
        left = p.m % self.height if p.m else 0
        self.values = {
            "m": p.m,
            "k": p.k,
            "block": block,
            "blocks": -(-p.m // block),
            "low": left,
        }
        for letter, strides in p.strides().items():
            self.values |= {f"{letter}{axis}": stride for axis, stride in enumerate(strides)}
        self.packs_b = p.strides_b[1] != 1
        self.scratch = -(-p.n * p.k * item // 64) * 64 if self.packs_b else 0

    @property
    def told(self) -> tuple[int, ...]:
        """Return the run-time integers."""
        return () if self.fixed else tuple(self.values.values())

    @property
    def name(self) -> str:
        """Return the name of the kernel: all that decides its code."""
        p, places = self.p, "".join(map(str, self.order))
        if self.fixed:
            return f"{p.name('dots')}_{places}"
        separate = "_from" if len(p.buffers) == 4 else ""
        sizes = f"{'many_' * (p.batch > 1)}{self.height}x{p.n}{f'x{p.k}' * self.straight}"
        return f"dots_{p.kind}_{sizes}_{self.lanes}_{p.stride_classes}_{p.numbers}_{places}{separate}"

    def write(self) -> None:
        """Write the loop over blocks of rows."""
        p = self.p
        code = self.code = begin_kernel(self.module, self.name)
        if not (p.batch and p.m and p.n):
            code.line("ret void")
            return
        self.sizes = {
            name: str(value) if self.fixed else size(code, k) for k, (name, value) in enumerate(self.values.items())
        }
        self.bases = {"a": pointer(code, self.order[0]), "b": pointer(code, self.order[1])}
        self.bases["c"] = pointer(code, len(p.buffers) - 1)
        self.bases["old"] = pointer(code, 2) if len(p.buffers) == 4 else self.bases["c"]
        with code.loop("%begin", "%end") as unit:
            member, block = "0", unit
            if p.batch > 1:
                member = code.value(f"udiv i64 {unit}, {self.sizes['blocks']}")
                block = code.value(f"urem i64 {unit}, {self.sizes['blocks']}")
            a, b, c = (self.view(letter, member) for letter in "abc")
            old = None if p.addend is None else self.view("old", member)
            self.rows(block, a, self.columns(b), c, old)
        code.line("ret void")

    def view(self, letter: str, member: str) -> View:
        """Return a member of a stack; a stride of 1 is in the code."""
        strides = self.p.strides()[letter]
        address = advance(self.code, self.p.kind, self.bases[letter], member, self.sizes[f"{letter}0"])
        row, column = ("1" if strides[axis] == 1 else self.sizes[f"{letter}{axis}"] for axis in (1, 2))
        return View(address, row, column)

    def columns(self, b: View) -> View:
        """Return B with contiguous columns: packed, if they are not."""
        p, code, k = self.p, self.code, self.sizes["k"]
        if not self.packs_b:
            return b
        for column in range(p.n):
            source = advance(code, p.kind, b.address, str(column), b.column)
            target = advance(code, p.kind, "%scratch", str(column), k)
            strip = Strip(p.kind, 1, 1, 1, order_of(2, p.strides_b[1], 1))
            pack(code, strip, source, ("1", b.row), k, target)
        return View("%scratch", "1", k)

    def rows(self, block: str, a: View, b: View, c: View, old: View | None) -> None:
        """Write one block of rows: high tiles, then low ones. The last one may compute some rows again."""
        code = self.code
        if self.height < self.lanes:
            self.tile(self.height, Step("0", "0", "0"), "0", a, b, c, old)
            return
        row = product_text(code, block, self.sizes["block"])
        below = difference_text(code, self.sizes["m"], row)
        rows = smaller(code, below, self.sizes["block"])
        low = self.sizes["low"]
        if rows != below:
            low = code.value(f"select i1 {code.value(f'icmp eq i64 {rows}, {below}')}, i64 {low}, i64 0")
        high = difference_text(code, rows, low)
        with code.loop("0", high, self.lanes) as first:
            self.tile(self.lanes, Step(first, "0", first), row, a, b, c, old)
        if self.low:
            row = code.value(f"add i64 {row}, {high}")
            with going_down(code, Tile(self.p.kind, self.low, 1, 1), low) as step:
                self.tile(self.low, step, row, a, b, c, old)

    def tile(self, height: int, step: Step, row: str, a: View, b: View, c: View, old: View | None) -> None:
        """Write the sums of the rows of a tile, counted from a row on, with every column."""
        p, code, skip = self.p, self.code, step.skip
        first = row if step.first == "0" else code.value(f"add i64 {row}, {step.first}")
        a, c = a.at(code, p.kind, first, "0"), c.at(code, p.kind, first, "0")
        old = None if old is None else old.at(code, p.kind, first, "0")
        rows = Rows(code, Tile(p.kind, height, 1, self.lanes), a)
        addresses = rows.at(a.address) if self.straight else []
        for column in range(p.n):
            x = advance(code, p.kind, b.address, str(column), b.column)
            here = c.at(code, p.kind, "0", str(column))
            there = None if old is None else old.at(code, p.kind, "0", str(column))
            sums = self.straight_sums(addresses, x) if self.straight else self.looped_sums(rows, a.address, x)
            if skip == "0":
                self.finish(height, sums, here, there)
                continue
            either(
                code, code.value(f"icmp eq i64 {skip}, 0"),
                partial(self.finish, height, sums, here, there),
                partial(self.finish_some, height, skip, sums, here, there),
            )  # fmt: skip

    def no_sums(self, height: int) -> list[list[Lanes]]:
        """Return the vectors of partial sums of some rows, zero: as many as hide what an addition takes."""
        zero = constant(self.code, self.p.kind, 0.0, self.lanes)
        return [[zero] * max(PARTIAL_SUMS // height, 1) for _ in range(height)]

    def add(self, sums: list[list[Lanes]], rows: Sequence[str], x: str, number: int, count: int | str) -> None:
        """Write the products of the next vector of terms: `count` of each row and of a column."""
        code, kind, lanes = self.code, self.p.kind, self.lanes
        factor = load_lanes(code, kind, lanes, x, count)
        for line, row in zip(sums, rows, strict=True):
            k = number % len(line)
            line[k] = load_lanes(code, kind, lanes, row, count).fma(factor, line[k])

    def straight_sums(self, rows: Sequence[str], x: str) -> Lanes:
        """Write the sums of rows with one column, for this number of terms; returns one lane for each."""
        p, lanes = self.p, self.lanes
        sums = self.no_sums(len(rows))
        for number, term in enumerate(range(0, p.k, lanes)):
            *here, factors = (advance(self.code, p.kind, start, str(term), "1") for start in (*rows, x))
            self.add(sums, here, factors, number, min(lanes, p.k - term))
        return self.joined(sums)

    def looped_sums(self, rows: Rows, a: str, x: str) -> Lanes:
        """Write the sums of rows, the first of which is at `a`, with one column; returns one lane for each."""
        p, code, lanes, k = self.p, self.code, self.lanes, self.sizes["k"]
        sums = self.no_sums(rows.tile.rows)
        slots = [[code.slot(value.type) for value in line] for line in sums]

        def keep() -> None:
            for line, values in zip(slots, sums, strict=True):
                for slot, value in zip(line, values, strict=True):
                    store(value, slot)

        def add(term: str, number: int, count: int | str) -> None:
            from_a, from_x = (advance(code, p.kind, start, term, "1") for start in (a, x))
            self.add(sums, rows.at(from_a), from_x, number, count)

        def take() -> None:
            sums[:] = [[load(code, p.kind, slot, lanes) for slot in line] for line in slots]

        keep()
        many = len(sums[0])
        step = many * lanes
        whole = code.value(f"and i64 {k}, {-step}")
        with code.loop("0", whole, step) as term:
            take()
            for number in range(many):
                add(code.value(f"add i64 {term}, {number * lanes}"), number, lanes)
            keep()
        for number in range(many):
            term = code.value(f"add i64 {whole}, {number * lanes}")
            left = code.value(f"sub i64 {k}, {term}")
            with code.when(code.value(f"icmp sgt i64 {left}, 0")):
                take()
                add(term, number, code.value(f"trunc i64 {smaller(code, left, str(lanes))} to i32"))
                keep()
        take()
        return self.joined(sums)

    def joined(self, sums: Sequence[Sequence[Lanes]]) -> Lanes:
        """Write the sum of the vectors and lanes of each row; returns one lane for each."""
        zero = constant(self.code, self.p.kind, 0.0, self.lanes)
        return added(transposed([added(line) for line in sums] + [zero] * (self.lanes - len(sums))))

    def finish(self, rows: int, sums: Lanes, c: View, old: View | None) -> None:
        """Write what becomes of the sums of a column, as if it were a row of a tile."""
        p = self.p
        tile = Tile(p.kind, 1, rows, sums.count)
        addend = None if old is None else View(old.address, "0", old.row)
        finish(self.code, tile, sums, View(c.address, "0", c.row), 0, 0, Update(p.alpha, p.beta, addend))

    def finish_some(self, height: int, skip: str, sums: Lanes, c: View, old: View | None) -> None:
        """Write the same for the rows from one on."""
        p, code = self.p, self.code
        slot = code.slot(sums.type)
        store(sums, slot)
        with code.loop(skip, str(height)) as row:
            one = load(code, p.kind, advance(code, p.kind, slot, row, "1"))
            here = c.at(code, p.kind, row, "0")
            self.finish(1, one, here, None if old is None else old.at(code, p.kind, row, "0"))


def added(values: Sequence[Lanes]) -> Lanes:
    """Return the sum of values, in pairs of neighbours, pairs of pairs, and so on."""
    values = list(values)
    while len(values) > 1:
        values = [values[i] + values[i + 1] if i + 1 < len(values) else values[i] for i in range(0, len(values), 2)]
    return values[0]
