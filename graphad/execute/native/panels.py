"""Generated products: loops over blocks of rows, blocks of terms, panels of columns and register tiles.

What may enter: how a whole product is cut into the tiles of `microkernel`. A panel is as many columns of B as a tile
has. Where several tiles read a panel it is copied to scratch, and stays in the first-level cache while the tiles go
down the rows of A; the terms are cut into blocks so that it fits. The rows are cut into blocks so that the part of A
that is read again for each panel stays in the second-level cache. A is read where it lies if its lines are few enough
for that, and copied to scratch otherwise.

The parallel axis counts (member of the batch, block of rows, panel): threads never share a tile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.lanes import Lanes, constant
from graphad.execute.native.microkernel import Update, call_tiles, emit_tile
from graphad.execute.native.packing import Strip, order_of, pack
from graphad.execute.native.product_ends import Ending, Epilogue
from graphad.execute.native.product_spec import Product
from graphad.execute.native.register_tiles import Tile, View, advance, product_text

FIRST_LEVEL = 28 * 1024
"""Bytes of a panel and of the rows of a tile together: most of a first-level cache of 32 KiB."""

BEYOND_FIRST_LEVEL = 60 * 1024
"""The same for tiles of 64-byte vectors: they read two vectors of the panel in the time of 24 sums, for which the
second-level cache is quick enough, and longer blocks of terms pass over C less often."""

SECOND_LEVEL = 256 * 1024
"""Bytes of a block of A: half of a second-level cache of 512 KiB."""

MANY_PANELS = 64
"""Panels from which on copying A pays, if its terms are neighbours."""

SOME_PANELS = 8
"""The same if they are not: each term then lies in another cache line."""

PACKED = 1024 * 1024
"""Bytes of B that are packed together where several chunks of rows read them."""

PACKED_AT_ONCE = 128 * 1024
"""Bytes of a block of B that is packed at once, row by row: what lies in memory is read in order."""

SHORT_ROWS = 1024
"""Bytes of the rows of A up to which the processor does not foresee by itself what a tile reads next."""

MOST_FETCHED = 6
"""Rows that are fetched at once: the addresses of more, beside those being read, do not fit the machine's registers."""

FEW_UNITS = 16
"""With fewer panels than this, the rows are cut into smaller blocks, so that there is something to share."""

INLINE_UP_TO = 24**3
"""Multiplications of a member up to which the tiles are written for its very strides, in line."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a product is cut.

    Attributes:
        lanes: of a vector.
        rows, columns: of a tile.
        terms: of a block.
        block: rows of a block of rows, the parallel axis's; a multiple of `rows`.
        chunk: rows whose part of A stays in cache; a multiple of `rows`.
        group: panels of B that are packed together.
        packs_a, packs_b: what is copied to scratch.
        fetches: each tile fetches the rows of A of the next one.
    """

    lanes: int
    rows: int
    columns: int
    terms: int
    block: int
    chunk: int
    group: int
    packs_a: bool
    packs_b: bool
    fetches: bool


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


def choose_cut(p: Product, vector_bytes: int, split_terms: bool = True) -> Cut:
    """Return how to cut a product on a machine with vectors of so many bytes, and whether sums may wait in C."""
    item = 4 if p.kind == "f32" else 8
    lanes = vector_bytes // item
    while lanes > 1 and lanes // 2 >= p.n:
        lanes //= 2
    registers = 32 if vector_bytes == 64 else 16
    if p.m >= 24 and p.n >= lanes * 4:
        rows, vectors = (12 if registers == 32 else 6), 2
    else:
        rows, vectors = best_tile(max(p.m, 1), max(p.n, 1), lanes, registers)
    room = BEYOND_FIRST_LEVEL if registers == 32 else FIRST_LEVEL
    most = room // ((rows + lanes * vectors) * item)
    terms = p.k if in_line(p) or not split_terms else even_share(p.k, most, 8)
    panels = -(-p.n // (lanes * vectors))
    pieces = max(FEW_UNITS // max(panels * p.batch, 1), 1)
    block = max(even_share(p.m, -(-p.m // pieces), rows), 4 * rows)
    chunk = min(even_share(block, max(SECOND_LEVEL // max(terms * item, 1), rows), rows), block)
    if in_line(p):
        chunk = block
    panel = max(terms * lanes * vectors * item, 1)
    group = panels if panels * panel <= PACKED_AT_ONCE else 1
    if chunk < min(block, p.m):
        group = max(PACKED // panel, 1)
    reuse = -(-min(p.m, block) // rows)
    packs_b = not (p.strides_b[2] == 1 or p.n == 1) or reuse > 2
    packs_a = not in_line(p) and panels >= (MANY_PANELS if p.strides_a[2] == 1 else SOME_PANELS)
    short = p.strides_a[2] == 1 and p.k <= terms and p.k * item <= SHORT_ROWS
    fetches = short and not packs_a and rows <= MOST_FETCHED
    return Cut(lanes, rows, lanes * vectors, terms, block, chunk, group, packs_a, packs_b, fetches)


def in_line(p: Product) -> bool:
    """Tell whether the tiles of a product are written in line."""
    return p.m * p.n * p.k <= INLINE_UP_TO


def even_share(length: int, most: int, multiple: int) -> int:
    """Return the length of equal parts of at most about `most`, as a multiple of something; at least one multiple."""
    parts = max(-(-length // max(most, 1)), 1)
    return max(-(-length // (parts * multiple)), 1) * multiple


def heights(m: int, cut: Cut) -> list[tuple[int, int]]:
    """Return the tiles that cover m rows: rows, and how many of these.

    A tile of very few rows has too few sums to keep the processor busy: it shares the rows of the one before.
    """
    many, left = divmod(m, cut.rows)
    if many and 0 < left <= cut.rows // 3 and (cut.rows + left) % 2 == 0 and not cut.packs_a:
        return [(cut.rows, many - 1), ((cut.rows + left) // 2, 2)]
    return [(cut.rows, many), *([(left, 1)] if left else [])]


def panel_kernel(
    module: Module, product: Product, order: tuple[int, int], vector_bytes: int, epilogue: Epilogue | None = None
) -> Kernel:
    """Enter the generated kernel of a product, and return its use.

    Args:
        module: where to.
        product: any; best with neighbouring columns in C and in B.
        order: places of A and B among the pointers.
        vector_bytes: of the machine's vectors.
        epilogue: what becomes of the results; its arrays take the place of C among the pointers.
    """
    p = product
    splits = epilogue is None or epilogue.keeper(p.kind) is not None
    cut = choose_cut(p, vector_bytes, splits)
    writer = Writer(module, p, order, cut, epilogue)
    # The number of members decides how rows are cut into blocks, and nothing else of the code.
    rows = f"{cut.block}x{cut.chunk}x{cut.group}"
    finish = "" if epilogue is None else f"_{epilogue.name}"
    name = f"{p.name('product')}_{rows}_{''.join(map(str, order))}{finish}"
    if not module.has(name):
        writer.write(name)
    return Kernel(name, (), extent=p.batch * writer.row_blocks * writer.panels, scratch=writer.scratch)


class Writer:
    """Writes one kernel."""

    def __init__(
        self, module: Module, product: Product, order: tuple[int, int], cut: Cut, epilogue: Epilogue | None
    ) -> None:
        self.module, self.p, self.order, self.cut, self.epilogue = module, product, order, cut, epilogue
        self.item = 4 if product.kind == "f32" else 8
        self.panels = -(-product.n // cut.columns)
        self.row_blocks = -(-product.m // cut.block)
        self.panel_bytes = aligned(cut.terms * cut.columns * self.item) if cut.packs_b else 0
        self.packed_bytes = self.panel_bytes * min(cut.group, self.panels)
        self.scratch = self.packed_bytes + (aligned(cut.terms * cut.chunk * self.item) if cut.packs_a else 0)

    def write(self, name: str) -> None:
        """Write the walk over the thread's units: the panels of one block of rows at a time."""
        p = self.p
        code = self.code = begin_kernel(self.module, name)
        self.a, self.b = pointer(code, self.order[0]), pointer(code, self.order[1])
        last = len(p.buffers) - 1
        ends = () if self.epilogue is None else self.epilogue.ends
        self.ends = [pointer(code, last + k) for k in range(len(ends))]
        keeper = None if self.epilogue is None else self.epilogue.keeper(p.kind)
        self.c = pointer(code, last) if keeper is None else self.ends[keeper]
        self.c0 = pointer(code, 2) if len(p.buffers) == 4 else self.c
        self.packed_a = advance(code, "i8", "%scratch", str(self.packed_bytes), "1")
        if not (p.batch and p.m and p.n):
            code.line("ret void")
            return
        first_group = code.value(f"udiv i64 %begin, {self.panels}")
        end_group = code.value(f"udiv i64 {code.value(f'add i64 %end, {self.panels - 1}')}, {self.panels}")
        with code.loop(first_group, end_group) as group:
            origin = code.value(f"mul i64 {group}, {self.panels}")
            first = self.larger(code.value(f"sub i64 %begin, {origin}"), "0")
            stop = self.smaller(code.value(f"sub i64 %end, {origin}"), str(self.panels))
            block = code.value(f"urem i64 {group}, {self.row_blocks}") if self.row_blocks > 1 else "0"
            member = code.value(f"udiv i64 {group}, {self.row_blocks}") if p.batch > 1 else "0"
            self.block(member, block, first, stop)
        code.line("ret void")

    def smaller(self, a: str, b: str) -> str:
        """Return the smaller of two i64."""
        return self.code.value(f"select i1 {self.code.value(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def larger(self, a: str, b: str) -> str:
        """Return the larger of two i64."""
        return self.code.value(f"select i1 {self.code.value(f'icmp sgt i64 {a}, {b}')}, i64 {a}, i64 {b}")

    def view(self, base: str, strides: tuple[int, int, int], member: str) -> View:
        """Return a member of a batch."""
        address = advance(self.code, self.p.kind, base, member, str(strides[0]))
        return View(address, str(strides[1]), str(strides[2]))

    def block(self, member: str, block: str, first: str, stop: str) -> None:
        """Write what computes panels ``first <= panel < stop`` of one block of rows."""
        p, code, cut = self.p, self.code, self.cut
        a, b, c = (
            self.view(base, strides, member)
            for base, strides in ((self.a, p.strides_a), (self.b, p.strides_b), (self.c, p.strides_c))
        )
        row = "0" if self.row_blocks == 1 else code.value(f"mul i64 {block}, {cut.block}")
        rows = str(p.m)
        if self.row_blocks > 1:
            rows = self.smaller(code.value(f"sub i64 {p.m}, {row}"), str(cut.block))
        a, c = a.at(code, p.kind, row, "0"), c.at(code, p.kind, row, "0")
        old = None if p.addend is None else self.view(self.c0, p.addend, member).at(code, p.kind, row, "0")
        ending = self.ending(member, row)
        if p.k <= cut.terms:
            self.some_terms(a, b, c, Update(p.alpha, p.beta, old, ending=ending), rows, str(p.k), first, stop)
            return
        with code.loop("0", str(p.k), cut.terms) as term:
            terms = self.smaller(code.value(f"sub i64 {p.k}, {term}"), str(cut.terms))
            begins = code.value(f"icmp eq i64 {term}, 0")
            update = self.update_from(begins, old, c)
            if ending is not None:
                complete = code.value(f"icmp eq i64 {code.value(f'add i64 {term}, {terms}')}, {p.k}")
                update = replace(update, ending=replace(ending, complete=complete))
            a_here, b_here = a.at(code, p.kind, "0", term), b.at(code, p.kind, term, "0")
            self.some_terms(a_here, b_here, c, update, rows, terms, first, stop)

    def ending(self, member: str, row: str) -> Ending | None:
        """Return the epilogue of a member of a batch from a row on."""
        if self.epilogue is None:
            return None
        addresses = [
            advance(self.code, end.kind, base, member, str(end.strides[0]))
            for end, base in zip(self.epilogue.ends, self.ends, strict=True)
        ]
        return Ending(self.epilogue, tuple(addresses)).at(self.code, row, "0")

    def update_from(self, begins: str, old: View | None, c: View) -> Update:
        """Return what becomes of the sums: the first block of terms meets C0, the others what the first left in C."""
        p, code = self.p, self.code
        if old is None:
            return Update(p.alpha, 1.0, c, code.value(f"xor i1 {begins}, true"))
        one, beta = constant(code, p.kind, 1.0), constant(code, p.kind, p.beta)
        chosen = code.value(f"select i1 {begins}, {one.type} {beta.text}, {one.type} {one.text}")
        address = code.value(f"select i1 {begins}, ptr {old.address}, ptr {c.address}")
        row, column = (
            code.value(f"select i1 {begins}, i64 {x}, i64 {y}") for x, y in ((old.row, c.row), (old.column, c.column))
        )
        return Update(p.alpha, Lanes(code, p.kind, 1, chosen), View(address, row, column))

    def some_terms(
        self, a: View, b: View, c: View, update: Update, rows: str, terms: str, first: str, stop: str
    ) -> None:
        """Write the loop over groups of panels for one block of terms."""
        code, cut = self.code, self.cut
        if cut.group == 1 or self.panels == 1:
            self.chunks(a, b, c, update, rows, terms, first, stop)
            return
        with code.loop(first, stop, cut.group) as begin:
            end = self.smaller(code.value(f"add i64 {begin}, {cut.group}"), stop)
            if cut.packs_b:
                self.pack_group(begin, end, b, terms)
            self.chunks(a, b, c, update, rows, terms, begin, end)

    def pack_group(self, first: str, stop: str, b: View, terms: str) -> None:
        """Write the packing of a group of panels."""
        code, cut = self.code, self.cut
        tail = self.p.n % cut.columns
        full = self.panels - (1 if tail else 0)
        end = self.smaller(stop, str(full)) if tail else stop
        self.pack_panels(cut.columns, first, first, b, terms, code.value(f"sub i64 {end}, {first}"))
        if tail:
            with code.when(code.value(f"icmp eq i64 {stop}, {self.panels}")):
                self.pack_panels(tail, str(full), first, b, terms)

    def chunks(self, a: View, b: View, c: View, update: Update, rows: str, terms: str, first: str, stop: str) -> None:
        """Write the loop over chunks of rows for some panels."""
        p, code, cut = self.p, self.code, self.cut

        def chunk(a: View, c: View, update: Update, rows: str) -> None:
            if cut.packs_a:
                self.pack_rows(a, rows, terms)
            self.each_panel(
                first, stop, lambda columns, panel: self.panel(columns, panel, first, a, b, c, update, rows, terms)
            )

        if cut.chunk >= min(cut.block, p.m):
            chunk(a, c, update, rows)
            return
        with code.loop("0", rows, cut.chunk) as row:
            here = self.smaller(code.value(f"sub i64 {rows}, {row}"), str(cut.chunk))
            chunk(a.at(code, p.kind, row, "0"), c.at(code, p.kind, row, "0"), update.at(code, p.kind, row, "0"), here)

    def each_panel(self, first: str, stop: str, write: Callable[[int, str], None]) -> None:
        """Write the loop over panels; `write` is given the columns of a panel and its number."""
        code, cut = self.code, self.cut
        tail = self.p.n % cut.columns
        full = self.panels - (1 if tail else 0)
        if full:
            end = self.smaller(stop, str(full)) if tail else stop
            with code.loop(first, end) as panel:
                write(cut.columns, panel)
        if tail:
            with code.when(code.value(f"icmp eq i64 {stop}, {self.panels}")):
                write(tail, str(full))

    def packed_panel(self, columns: int, panel: str, first: str) -> View:
        """Return where a panel lies packed; `first` is the first of its group."""
        width = -(-columns // self.cut.lanes) * self.cut.lanes
        if self.cut.group == 1 or self.panels == 1:
            return View("%scratch", str(width), "1")
        place = self.code.value(f"sub i64 {panel}, {first}")
        return View(advance(self.code, "i8", "%scratch", place, str(self.panel_bytes)), str(width), "1")

    def pack_panels(self, columns: int, panel: str, first: str, b: View, terms: str, many: str = "1") -> None:
        """Write the packing of neighbouring panels of equal width."""
        p, code = self.p, self.code
        packed = self.packed_panel(columns, panel, first)
        source = b.at(code, p.kind, "0", product_text(code, panel, str(self.cut.columns)))
        order = order_of(p.strides_b[2], p.strides_b[1], p.n)
        strip = Strip(p.kind, columns, int(packed.row), self.cut.lanes, order)
        step = str(self.panel_bytes // self.item)
        pack(code, strip, source.address, (source.column, source.row), terms, packed.address, many, step)

    def panel(
        self, columns: int, panel: str, first: str, a: View, b: View, c: View, update: Update, rows: str, terms: str
    ) -> None:
        """Write the tiles of one panel, going down the rows."""
        p, code, cut = self.p, self.code, self.cut
        column = product_text(code, panel, str(cut.columns))
        c, update = c.at(code, p.kind, "0", column), update.at(code, p.kind, "0", column)
        if cut.packs_b:
            if cut.group == 1 or self.panels == 1:
                self.pack_panels(columns, panel, first, b, terms)
            b = self.packed_panel(columns, panel, first)
        else:
            b = b.at(code, p.kind, "0", column)
        unit = all(s[2] == 1 or p.n == 1 for s in (p.strides_c, p.addend) if s is not None)
        shape = Tile(p.kind, cut.rows, columns, cut.lanes, padded=cut.packs_b, unit=unit, fetches=cut.fetches)
        if not rows.startswith("%"):
            done = 0
            for height, many in heights(p.m, cut):
                self.tiles(replace(shape, rows=height), str(many), str(done), a, b, c, terms, update)
                done += height * many
            return
        self.tiles(shape, code.value(f"udiv i64 {rows}, {cut.rows}"), "0", a, b, c, terms, update)
        if left := p.m % cut.rows:
            rest = code.value(f"urem i64 {rows}, {cut.rows}")
            with code.when(code.value(f"icmp ne i64 {rest}, 0")):
                first = code.value(f"sub i64 {rows}, {rest}")
                self.tiles(replace(shape, rows=left), "1", first, a, b, c, terms, update)

    def pack_rows(self, a: View, rows: str, terms: str) -> None:
        """Write the packing of a block of A: a strip for each tile, one after the other."""
        p, code, cut = self.p, self.code, self.cut
        order = order_of(p.strides_a[1], p.strides_a[2], p.m)
        done = code.value(f"mul i64 {code.value(f'udiv i64 {rows}, {cut.rows}')}, {cut.rows}")

        def some(count: int, row: str, strips: str) -> None:
            source = a.at(code, p.kind, row, "0")
            target = advance(code, p.kind, self.packed_a, row, terms)
            strip = Strip(p.kind, count, count, cut.lanes, order)
            step = product_text(code, str(count), terms)
            pack(code, strip, source.address, (source.row, source.column), terms, target, strips, step)

        some(cut.rows, "0", code.value(f"udiv i64 {done}, {cut.rows}"))
        if p.m % cut.rows:
            with code.when(code.value(f"icmp ne i64 {done}, {rows}")):
                some(p.m % cut.rows, done, "1")

    def tiles(self, shape: Tile, tiles: str, row: str, a: View, b: View, c: View, terms: str, update: Update) -> None:
        """Write tiles one below the other, from a row on."""
        p, code = self.p, self.code
        if tiles == "0":
            return
        step = str(int(a.row) * shape.rows)
        if self.cut.packs_a:
            a = View(advance(code, p.kind, self.packed_a, row, terms), "1", str(shape.rows))
            step = product_text(code, str(shape.rows), terms)
        else:
            a = a.at(code, p.kind, row, "0")
        c = c.at(code, p.kind, row, "0")
        update = update.at(code, p.kind, row, "0")
        if not in_line(p):
            call_tiles(code, shape, a, step, b, c, tiles, terms, update)
        elif tiles == "1":
            emit_tile(code, shape, a, b, c, terms, update)
        else:
            with code.loop("0", tiles) as tile:
                at = code.value(f"mul i64 {tile}, {shape.rows}")
                a_here, c_here = a.at(code, p.kind, at, "0"), c.at(code, p.kind, at, "0")
                emit_tile(code, shape, a_here, b, c_here, terms, update.at(code, p.kind, at, "0"))


def aligned(nbytes: int) -> int:
    """Round bytes up to a cache line."""
    return -(-nbytes // 64) * 64
