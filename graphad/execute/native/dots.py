"""Products with few columns whose sums run along memory: vectors lie along the terms.

What may enter: matrix times vector for a matrix with contiguous rows, dot products, and a few of them side by side. As
many rows as a vector has lanes are summed at once, so that one transposition adds up all their lanes; a few rows that
are left over have several vectors of partial sums each. The order of the additions depends on the row and on the
number of terms only.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lanes import Lanes, constant, load, store
from graphad.execute.native.microkernel import Update, finish
from graphad.execute.native.packing import Strip, order_of, pack, transposed
from graphad.execute.native.product_spec import Product
from graphad.execute.native.register_tiles import Tile, View, advance, load_lanes, product_text

PARTIAL_SUMS = 8
"""Vectors of sums that hide the latency of fused multiply-add on two units."""

WORTH_A_SHARE = 4096
"""Multiplications in a unit of the parallel axis, at least."""


def suits(p: Product) -> bool:
    """Tell whether this is the way: few columns, and rows of A that are contiguous."""
    return p.n <= 4 and (p.strides_a[2] == 1 or p.k == 1) and p.k >= 8


def dots_kernel(module: Module, product: Product, order: tuple[int, int], vector_bytes: int) -> Kernel:
    """Enter the kernel of a product that `suits`, and return its use."""
    p = product
    writer = Writer(module, p, order, vector_bytes)
    name = f"{p.name('dots')}_{''.join(map(str, order))}"
    if not module.has(name):
        writer.write(name)
    return Kernel(name, (), extent=p.batch * writer.blocks, scratch=writer.scratch)


class Writer:
    """Writes one kernel."""

    def __init__(self, module: Module, product: Product, order: tuple[int, int], vector_bytes: int) -> None:
        self.module, self.p, self.order = module, product, order
        self.item = 4 if product.kind == "f32" else 8
        self.lanes = vector_bytes // self.item
        tiles = max(WORTH_A_SHARE // max(self.lanes * product.n * product.k, 1), 1)
        self.block = tiles * self.lanes
        self.blocks = -(-product.m // self.block)
        self.packs_b = product.strides_b[1] != 1 and product.k > 1
        self.scratch = -(-product.n * product.k * self.item // 64) * 64 if self.packs_b else 0

    def write(self, name: str) -> None:
        """Write the loop over blocks of rows."""
        p = self.p
        code = self.code = begin_kernel(self.module, name)
        self.a, self.b = pointer(code, self.order[0]), pointer(code, self.order[1])
        self.c = pointer(code, len(p.buffers) - 1)
        self.c0 = pointer(code, 2) if len(p.buffers) == 4 else self.c
        if not (p.batch and p.m and p.n):
            code.line("ret void")
            return
        with code.loop("%begin", "%end") as unit:
            member, block = "0", unit
            if p.batch > 1:
                member = code.value(f"udiv i64 {unit}, {self.blocks}")
                block = code.value(f"urem i64 {unit}, {self.blocks}")
            a, b, c = (
                self.view(base, strides, member)
                for base, strides in ((self.a, p.strides_a), (self.b, p.strides_b), (self.c, p.strides_c))
            )
            old = None if p.addend is None else self.view(self.c0, p.addend, member)
            self.rows(block, a, self.columns(b), c, old)
        code.line("ret void")

    def view(self, base: str, strides: tuple[int, int, int], member: str) -> View:
        """Return a member of a batch."""
        address = advance(self.code, self.p.kind, base, member, str(strides[0]))
        return View(address, str(strides[1]), str(strides[2]))

    def columns(self, b: View) -> View:
        """Return B with contiguous columns: packed, if they are not."""
        p, code = self.p, self.code
        if not self.packs_b:
            return b
        for column in range(p.n):
            source = advance(code, p.kind, b.address, str(column), b.column)
            target = advance(code, p.kind, "%scratch", str(column), str(p.k))
            strip = Strip(p.kind, 1, 1, 1, order_of(2, p.strides_b[1], 1))
            pack(code, strip, source, ("1", b.row), str(p.k), target)
        return View("%scratch", "1", str(p.k))

    def rows(self, block: str, a: View, b: View, c: View, old: View | None) -> None:
        """Write one block of rows: whole tiles, then what is left of the last one."""
        p, code = self.p, self.code
        left = p.m % self.lanes
        full = p.m - left
        row = product_text(code, block, str(self.block))
        if full:
            limit = code.value(f"add i64 {row}, {self.block}")
            inside = code.value(f"icmp slt i64 {limit}, {full}")
            end = code.value(f"select i1 {inside}, i64 {limit}, i64 {full}")
            with code.loop(row, end, self.lanes) as i:
                self.tile(self.lanes, i, a, b, c, old)
        if left:
            with code.when(code.value(f"icmp eq i64 {block}, {self.blocks - 1}")):
                self.tile(left, str(full), a, b, c, old)

    def tile(self, rows: int, row: str, a: View, b: View, c: View, old: View | None) -> None:
        """Write the sums of some rows with every column."""
        p, code = self.p, self.code
        a, c = a.at(code, p.kind, row, "0"), c.at(code, p.kind, row, "0")
        old = None if old is None else old.at(code, p.kind, row, "0")
        for column in range(p.n):
            x = advance(code, p.kind, b.address, str(column), b.column)
            here = c.at(code, p.kind, "0", str(column))
            there = None if old is None else old.at(code, p.kind, "0", str(column))
            self.finish(rows, self.sums(rows, a, x), here, there)

    def sums(self, rows: int, a: View, x: str) -> Lanes:
        """Write the sums of `rows` rows with one column; returns one lane for each."""
        p, code, lanes = self.p, self.code, self.lanes
        many = max(PARTIAL_SUMS // rows, 1)
        step = many * lanes
        whole = p.k - p.k % step
        zero = constant(code, p.kind, 0.0, lanes)
        addresses = [advance(code, p.kind, a.address, str(i), a.row) for i in range(rows)]
        sums = [[zero] * many for _ in range(rows)]

        def add(at: str, number: int, count: int) -> None:
            factor = load_lanes(code, p.kind, lanes, advance(code, p.kind, x, at, "1"), count)
            for i, address in enumerate(addresses):
                other = load_lanes(code, p.kind, lanes, advance(code, p.kind, address, at, "1"), count)
                sums[i][number] = other.fma(factor, sums[i][number])

        if whole // step > 4:
            slots = [[code.slot(zero.type) for _ in line] for line in sums]
            for line in slots:
                for slot in line:
                    store(zero, slot)
            with code.loop("0", str(whole), step) as k:
                sums = [[load(code, p.kind, slot, lanes) for slot in line] for line in slots]
                for number in range(many):
                    add(code.value(f"add i64 {k}, {number * lanes}"), number, lanes)
                for line, values in zip(slots, sums, strict=True):
                    for slot, value in zip(line, values, strict=True):
                        store(value, slot)
            sums = [[load(code, p.kind, slot, lanes) for slot in line] for line in slots]
        else:
            for term in range(0, whole, lanes):
                add(str(term), term // lanes % many, lanes)
        for term in range(whole, p.k, lanes):
            add(str(term), (term - whole) // lanes, min(lanes, p.k - term))
        return added(transposed([added(line) for line in sums] + [zero] * (lanes - rows)))

    def finish(self, rows: int, sums: Lanes, c: View, old: View | None) -> None:
        """Write what becomes of the sums of a column, as if it were a row of a tile."""
        p = self.p
        tile = Tile(p.kind, 1, rows, self.lanes)
        addend = None if old is None else View(old.address, "0", old.row)
        finish(self.code, tile, sums, View(c.address, "0", c.row), 0, 0, Update(p.alpha, p.beta, addend))


def added(values: Sequence[Lanes]) -> Lanes:
    """Return the sum of values, in pairs of neighbours, pairs of pairs, and so on."""
    values = list(values)
    while len(values) > 1:
        values = [values[i] + values[i + 1] if i + 1 < len(values) else values[i] for i in range(0, len(values), 2)]
    return values[0]
