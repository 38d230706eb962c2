"""Generated products: loops over panels of columns, blocks of terms and register tiles.

What may enter: how a whole product is cut into the tiles of `microkernel`, and how B is packed for them. A panel is as
many columns of B as a tile has. Where several tiles read a panel it is copied to scratch, by the first tile on its way
if the columns of B are neighbours, and stays in the first-level cache while the tiles go down the rows of A. The terms
are cut into blocks for the same reason; A is read where it is.

The parallel axis counts (member of the batch, block of rows, panel): threads never share a tile.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lanes import element_type, load, store
from graphad.execute.native.microkernel import Tile, Update, View, advance, emit_tile
from graphad.execute.native.product_spec import Product

TERMS = 320
"""Most terms of a block: a panel of it and the rows of a tile stay in a first-level cache of 32 KiB."""

FEW_UNITS = 16
"""With fewer panels than this, the rows are cut into blocks too, so that there is something to share."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a product is cut.

    Attributes:
        lanes: of a vector.
        rows, columns: of a tile.
        terms: of a block.
        block: rows of a block of rows, a multiple of `rows`.
    """

    lanes: int
    rows: int
    columns: int
    terms: int
    block: int


def best_tile(m: int, n: int, lanes: int, registers: int) -> tuple[int, int]:
    """Return the rows and the vectors of the tile that covers m x n at the least cost."""
    best = (float("inf"), 1, 1)
    for vectors in range(1, min(-(-n // lanes), 12) + 1):
        for rows in range(1, min(m, 12) + 1):
            if rows * vectors + min(rows, vectors) + 1 > registers:
                continue
            cost = 0.0
            for r, many in ((rows, m // rows), (m % rows, 1)):
                for v, times in ((vectors, n // (lanes * vectors)), (-(-(n % (lanes * vectors)) // lanes), 1)):
                    if r and v:
                        cost += many * times * (max(r * v, 8, r + v) + 0.25 * (r + v))
            best = min(best, (cost, -rows, -vectors))
    return -int(best[1]), -int(best[2])


def choose_cut(p: Product, vector_bytes: int) -> Cut:
    """Return how to cut a product on a machine with vectors of so many bytes."""
    item = 4 if p.kind == "f32" else 8
    lanes = vector_bytes // item
    while lanes > 1 and lanes // 2 >= p.n:
        lanes //= 2
    registers = 32 if vector_bytes == 64 else 16
    if p.m >= 6 * 4 and p.n >= lanes * 4:
        rows, vectors = (12 if registers == 32 else 6), 2
    else:
        rows, vectors = best_tile(max(p.m, 1), max(p.n, 1), lanes, registers)
    blocks_of_terms = max(-(-p.k // TERMS), 1)
    panels = -(-p.n // (lanes * vectors))
    pieces = max(FEW_UNITS // max(panels * p.batch, 1), 1)
    block = -(-p.m // pieces)
    block = max(-(-block // rows), 4) * rows
    return Cut(lanes, rows, lanes * vectors, max(-(-p.k // blocks_of_terms), 1), block)


def panel_kernel(module: Module, product: Product, order: tuple[int, int], vector_bytes: int) -> Kernel:
    """Enter the generated kernel of a product, and return its use.

    Args:
        module: where to.
        product: any; best with neighbouring columns in C and in B.
        order: places of A and B among the pointers.
        vector_bytes: of the machine's vectors.
    """
    p = product
    cut = choose_cut(p, vector_bytes)
    writer = Writer(module, p, order, cut)
    name = writer.name()
    if not module.has(name):
        writer.write(name)
    return Kernel(name, (), extent=p.batch * writer.row_blocks * writer.panels, scratch=writer.scratch)


class Writer:
    """Writes one kernel."""

    def __init__(self, module: Module, product: Product, order: tuple[int, int], cut: Cut) -> None:
        self.module, self.p, self.order, self.cut = module, product, order, cut
        self.panels = -(-product.n // cut.columns)
        self.row_blocks = -(-product.m // cut.block)
        self.item = 4 if product.kind == "f32" else 8
        self.element = element_type(product.kind)
        self.unit_b = product.strides_b[2] == 1 or product.n == 1
        reuse = min(product.m, cut.block) // cut.rows
        self.packs = product.k > 0 and (not self.unit_b or reuse > 2)
        self.scratch = cut.terms * cut.columns * self.item if self.packs else 0

    def name(self) -> str:
        """Return a name that says all that decides the code."""
        p = self.p
        strides = "_".join(
            "x".join(map(str, s)).replace("-", "m")
            for s in (p.strides_a, p.strides_b, p.strides_c, *([p.strides_c0] if p.strides_c0 else []))
        )
        numbers = f"{p.alpha!r}_{p.beta!r}".replace("+", "")
        size = f"{p.batch}x{p.m}x{p.n}x{p.k}"
        return f"product_{p.kind}_{size}_{strides}_{numbers}_{''.join(map(str, self.order))}"

    def write(self, name: str) -> None:
        """Write the loop over the units of the parallel axis."""
        p = self.p
        code = self.code = begin_kernel(self.module, name)
        self.a, self.b = pointer(code, self.order[0]), pointer(code, self.order[1])
        self.c = pointer(code, len(p.buffers) - 1)
        self.c0 = pointer(code, 2) if len(p.buffers) == 4 else self.c
        if p.batch and p.m and p.n:
            with code.loop("%begin", "%end") as unit:
                panel = code.value(f"urem i64 {unit}, {self.panels}")
                rest = code.value(f"udiv i64 {unit}, {self.panels}")
                block = code.value(f"urem i64 {rest}, {self.row_blocks}")
                member = code.value(f"udiv i64 {rest}, {self.row_blocks}")
                self.one_unit(member, block, panel)
        code.line("ret void")

    def view(self, base: str, strides: tuple[int, int, int], member: str) -> View:
        """Return a member of a batch."""
        address = advance(self.code, self.p.kind, base, member, str(strides[0]))
        return View(address, str(strides[1]), str(strides[2]))

    def one_unit(self, member: str, block: str, panel: str) -> None:
        """Write what computes one panel of one block of rows."""
        p, code, cut = self.p, self.code, self.cut
        a, b, c = (
            self.view(base, strides, member)
            for base, strides in ((self.a, p.strides_a), (self.b, p.strides_b), (self.c, p.strides_c))
        )
        addend = None if p.addend is None else self.view(self.c0, p.addend, member)
        column = code.value(f"mul i64 {panel}, {cut.columns}")
        b, c = b.at(code, p.kind, "0", column), c.at(code, p.kind, "0", column)
        addend = None if addend is None else addend.at(code, p.kind, "0", column)
        first_row = code.value(f"mul i64 {block}, {cut.block}")
        limit = code.value(f"add i64 {first_row}, {cut.block}")
        less = code.value(f"icmp slt i64 {limit}, {p.m}")
        last_row = code.value(f"select i1 {less}, i64 {limit}, i64 {p.m}")
        tail = p.n % cut.columns
        if not tail:
            self.all_terms(cut.columns, a, b, c, addend, first_row, last_row)
            return
        if self.panels == 1:
            self.all_terms(tail, a, b, c, addend, first_row, last_row)
            return
        is_last = code.value(f"icmp eq i64 {panel}, {self.panels - 1}")
        with code.when(is_last):
            self.all_terms(tail, a, b, c, addend, first_row, last_row)
        with code.when(code.value(f"xor i1 {is_last}, true")):
            self.all_terms(cut.columns, a, b, c, addend, first_row, last_row)

    def all_terms(
        self, columns: int, a: View, b: View, c: View, addend: View | None, first_row: str, last_row: str
    ) -> None:
        """Write the loop over blocks of terms for one panel."""
        p, code, cut = self.p, self.code, self.cut
        first = Update(p.alpha, p.beta, addend)
        if p.k <= cut.terms:
            self.tiles(columns, a, b, c, str(p.k), first, first_row, last_row)
            return
        self.tiles(columns, a, b, c, str(cut.terms), first, first_row, last_row)
        following = Update(p.alpha, 1.0, c)
        with code.loop(str(cut.terms), str(p.k), cut.terms) as term:
            left = code.value(f"sub i64 {p.k}, {term}")
            less = code.value(f"icmp slt i64 {left}, {cut.terms}")
            terms = code.value(f"select i1 {less}, i64 {left}, i64 {cut.terms}")
            self.tiles(
                columns,
                a.at(code, p.kind, "0", term),
                b.at(code, p.kind, term, "0"),
                c,
                terms,
                following,
                first_row,
                last_row,
            )

    def tiles(
        self, columns: int, a: View, b: View, c: View, terms: str, update: Update, first_row: str, last_row: str
    ) -> None:
        """Write the walk down the rows, one tile after the other."""
        p, code, cut = self.p, self.code, self.cut
        unit = p.strides_c[2] == 1 or p.n == 1
        if self.packs:
            width = -(-columns // cut.lanes) * cut.lanes
            self.pack(columns, width, b, terms)
            b = View("%scratch", str(width), "1")
        elif p.n == 1:
            b = View(b.address, b.row, "1")

        def tile(rows: int, row: str) -> None:
            shape = Tile(p.kind, rows, columns, cut.lanes, padded=self.packs, unit=unit)
            old = None if update.addend is None else update.addend.at(code, p.kind, row, "0")
            here = Update(update.alpha, update.beta, old)
            emit_tile(code, shape, a.at(code, p.kind, row, "0"), b, c.at(code, p.kind, row, "0"), terms, here)

        left = p.m % cut.rows
        full = p.m - left
        if full:
            less = code.value(f"icmp slt i64 {last_row}, {full}")
            stop = code.value(f"select i1 {less}, i64 {last_row}, i64 {full}")
            with code.loop(first_row, stop, cut.rows) as row:
                tile(cut.rows, row)
        if left:
            with code.when(code.value(f"icmp eq i64 {last_row}, {p.m}")):
                tile(left, str(full))

    def pack(self, columns: int, width: int, b: View, terms: str) -> None:
        """Copy a panel to scratch, filled up with zeros to whole vectors."""
        p, code = self.p, self.code
        with code.loop("0", terms) as term:
            source = advance(code, p.kind, b.address, term, b.row)
            target = advance(code, p.kind, "%scratch", term, str(width))
            for column in range(width):
                to = advance(code, p.kind, target, str(column), "1")
                if column < columns:
                    store(load(code, p.kind, advance(code, p.kind, source, str(column), b.column)), to)
                else:
                    code.line(f"store {self.element} 0.0, ptr {to}, align {self.item}")
