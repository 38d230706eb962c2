"""Generated products: loops over blocks of rows, blocks of terms, panels of columns and register tiles.

What may enter: how the cut of a product (`product_cut`) becomes loops around the tiles of `microkernel`. A panel is as
many columns of B as a tile has. Where several tiles read a panel it is copied to scratch, and stays in the first-level
cache while the tiles go down the rows of A; the terms are cut into blocks so that it fits. The rows are cut into blocks
so that the part of A that is read again for each panel stays in the second-level cache. A is read where it lies if its
lines are few enough for that, and copied to scratch otherwise.

Sizes and strides are run-time integers, so that products of other sizes run the same code, unless a product is so small
that straight lines pay. The parallel axis counts (member of the batch, block of rows, panel): threads never share a
tile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace

from graphad.execute.native.code import Module
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes, constant
from graphad.execute.native.microkernel import Update, call_tiles, emit_tile, going_down
from graphad.execute.native.packing import Strip, order_of, pack
from graphad.execute.native.product_cut import Cut, choose_cut
from graphad.execute.native.product_ends import Ending, Epilogue
from graphad.execute.native.product_spec import Product
from graphad.execute.native.register_tiles import Tile, View, advance, difference_text, larger, product_text, smaller


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
    splits = epilogue is None or epilogue.keeper(product.kind) is not None
    cut = choose_cut(product, vector_bytes, splits)
    writer = Writer(module, product.simplified(), order, cut, epilogue)
    if not module.has(writer.name):
        writer.write()
    return Kernel(writer.name, writer.told, extent=writer.extent, scratch=writer.scratch)


class Writer:
    """Writes one kernel."""

    def __init__(
        self, module: Module, product: Product, order: tuple[int, int], cut: Cut, epilogue: Epilogue | None
    ) -> None:
        self.module, self.p, self.order, self.cut, self.epilogue = module, product, order, cut, epilogue
        p, item = product, 4 if product.kind == "f32" else 8
        self.ends = () if epilogue is None else epilogue.ends
        self.tail = p.n % cut.columns
        self.several = p.batch > 1 or not cut.in_line
        panels, row_blocks = -(-p.n // cut.columns), -(-p.m // cut.block)
        panel = aligned(cut.terms * cut.columns * item) if cut.packs_b else 0
        together = cut.group > 1 and panels > 1
        packed = panel * min(cut.group, panels)
        self.values = {
            "m": p.m, "k": p.k, "panels": panels, "row_blocks": row_blocks,
            "terms": cut.terms, "block": cut.block, "chunk": cut.chunk, "group": cut.group if together else panels,
            "low": cut.low_rows(p.m), "pitch": panel // item * together, "packed": packed,
        }  # fmt: skip
        ends = {f"end{k}_": end.strides for k, end in enumerate(self.ends)}
        for letter, strides in (p.strides() | ends).items():
            self.values |= {f"{letter}{axis}": stride for axis, stride in enumerate(strides)}
        self.extent = p.batch * row_blocks * panels
        self.scratch = packed + (aligned(cut.terms * (cut.chunk + cut.rows) * item) if cut.packs_a else 0)

    @property
    def told(self) -> tuple[int, ...]:
        """Return the run-time integers."""
        return () if self.cut.fixed else tuple(self.values.values())

    @property
    def name(self) -> str:
        """Return the name of the kernel: all that decides its code."""
        p, cut = self.p, self.cut
        places = "".join(map(str, self.order))
        finish = "" if self.epilogue is None else f"_{self.epilogue.name}"
        if cut.fixed:
            # The number of members decides how rows are cut into blocks, and nothing else of the code.
            ends = "".join("_" + "x".join(map(str, end.strides)).replace("-", "m") for end in self.ends)
            return f"{p.name('product')}_{cut.block}x{cut.chunk}x{cut.group}_{places}{finish}{ends}"
        tile = f"{cut.rows}.{cut.low}x{cut.columns}.{self.tail}.{cut.lanes}"
        marks = "".join(
            letter * holds
            for letter, holds in (
                ("a", cut.packs_a), ("b", cut.packs_b), ("f", cut.fetches), ("i", cut.in_line),
                ("s", len(p.buffers) == 4), ("m", self.several), ("o", p.n == self.tail),
            )
        )  # fmt: skip
        return f"product_{p.kind}_{tile}_{marks}_{p.stride_classes}_{p.numbers}_{places}{finish}"

    def write(self) -> None:
        """Write the walk over the thread's units: the panels of one block of rows at a time."""
        p = self.p
        code = self.code = begin_kernel(self.module, self.name)
        if not (p.batch and p.m and p.n):
            code.line("ret void")
            return
        self.sizes = {
            name: str(value) if self.cut.fixed else size(code, k) for k, (name, value) in enumerate(self.values.items())
        }
        if p.n == self.tail:
            self.sizes |= {"panels": "1", "pitch": "0"}
        self.full = difference_text(code, self.sizes["panels"], "1") if self.tail else self.sizes["panels"]
        last = len(p.buffers) - 1
        self.bases = {"a": pointer(code, self.order[0]), "b": pointer(code, self.order[1])}
        self.bases |= {f"end{k}_": pointer(code, last + k) for k in range(len(self.ends))}
        keeper = None if self.epilogue is None else self.epilogue.keeper(p.kind)
        self.bases["c"] = pointer(code, last) if keeper is None else self.bases[f"end{keeper}_"]
        self.bases["old"] = pointer(code, 2) if len(p.buffers) == 4 else self.bases["c"]
        self.packed_a = advance(code, "i8", "%scratch", self.sizes["packed"], "1")
        self.units()
        code.line("ret void")

    def units(self) -> None:
        """Write the loop over (member, block of rows)."""
        code, panels, row_blocks = self.code, self.sizes["panels"], self.sizes["row_blocks"]
        first_group = code.value(f"udiv i64 %begin, {panels}")
        up = code.value(f"add i64 %end, {difference_text(code, panels, '1')}")
        with code.loop(first_group, code.value(f"udiv i64 {up}, {panels}")) as group:
            origin = code.value(f"mul i64 {group}, {panels}")
            first = larger(code, code.value(f"sub i64 %begin, {origin}"), "0")
            stop = smaller(code, code.value(f"sub i64 %end, {origin}"), panels)
            member, block = "0", group if row_blocks != "1" else "0"
            if self.several:
                member = code.value(f"udiv i64 {group}, {row_blocks}")
                block = code.value(f"urem i64 {group}, {row_blocks}") if row_blocks != "1" else "0"
            self.block(member, block, first, stop)

    def view(self, letter: str, member: str) -> View:
        """Return a member of a stack; a stride of 1 is in the code."""
        strides = self.p.strides()[letter]
        address = advance(self.code, self.p.kind, self.bases[letter], member, self.sizes[f"{letter}0"])
        row, column = ("1" if strides[axis] == 1 else self.sizes[f"{letter}{axis}"] for axis in (1, 2))
        return View(address, row, column)

    def block(self, member: str, block: str, first: str, stop: str) -> None:
        """Write what computes panels ``first <= panel < stop`` of one block of rows."""
        p, code, cut, sizes = self.p, self.code, self.cut, self.sizes
        row = product_text(code, block, sizes["block"])
        below = difference_text(code, sizes["m"], row)
        rows = smaller(code, below, sizes["block"])
        a, c = (self.view(letter, member).at(code, p.kind, row, "0") for letter in "ac")
        b = self.view("b", member)
        old = None if p.addend is None else self.view("old", member).at(code, p.kind, row, "0")
        ending = self.ending(member, row)
        if cut.in_line:
            update = Update(p.alpha, p.beta, old, ending=ending)
            self.some_terms(a, b, c, update, (rows, below), sizes["k"], first, stop)
            return
        with code.loop("0", sizes["k"], sizes["terms"]) as term:
            terms = smaller(code, code.value(f"sub i64 {sizes['k']}, {term}"), sizes["terms"])
            update = self.update_from(code.value(f"icmp eq i64 {term}, 0"), old, c)
            if ending is not None:
                complete = code.value(f"icmp eq i64 {code.value(f'add i64 {term}, {terms}')}, {sizes['k']}")
                update = replace(update, ending=replace(ending, complete=complete))
            a_here, b_here = a.at(code, p.kind, "0", term), b.at(code, p.kind, term, "0")
            self.some_terms(a_here, b_here, c, update, (rows, below), terms, first, stop)

    def ending(self, member: str, row: str) -> Ending | None:
        """Return the epilogue of a member of a batch from a row on."""
        if self.epilogue is None:
            return None
        places = tuple([self.end(k, member) for k in range(len(self.ends))])
        return Ending(self.epilogue, places).at(self.code, row, "0")

    def end(self, k: int, member: str) -> View:
        """Return a member of an array of the epilogue."""
        end, letter = self.ends[k], f"end{k}_"
        address = advance(self.code, end.kind, self.bases[letter], member, self.sizes[f"{letter}0"])
        row, column = (end.text_of(axis) or self.sizes[f"{letter}{axis}"] for axis in (1, 2))
        return View(address, row, column)

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
        self, a: View, b: View, c: View, update: Update, rows: tuple[str, str], terms: str, first: str, stop: str
    ) -> None:
        """Write the loop over groups of panels for one block of terms.

        `rows` are those of the block, and all from its first on.
        """
        with self.groups(first, stop) as (begin, end):
            if self.cut.packs_b and self.sizes["pitch"] != "0":
                with self.where_panels_are_packed("ne"):
                    self.pack_group(begin, end, b, terms)
            self.chunks(a, b, c, update, rows, terms, begin, end)

    @contextmanager
    def groups(self, first: str, stop: str) -> Iterator[tuple[str, str]]:
        """Write the loop over groups of panels; without copies of B there is one group."""
        code = self.code
        if not self.cut.packs_b or self.sizes["pitch"] == "0":
            yield first, stop
            return
        with code.loop(first, stop, self.sizes["group"]) as begin:
            yield begin, smaller(code, code.value(f"add i64 {begin}, {self.sizes['group']}"), stop)

    def where_panels_are_packed(self, together: str) -> AbstractContextManager[None]:
        """Write what runs where panels are packed together ("ne"), or one by one ("eq")."""
        pitch = self.sizes["pitch"]
        if not pitch.startswith("%"):
            return nullcontext()
        return self.code.when(self.code.value(f"icmp {together} i64 {pitch}, 0"))

    def pack_group(self, first: str, stop: str, b: View, terms: str) -> None:
        """Write the packing of a group of panels."""
        code = self.code
        end = smaller(code, stop, self.full)
        self.pack_panels(self.cut.columns, first, first, b, terms, code.value(f"sub i64 {end}, {first}"))
        if self.tail:
            with code.when(code.value(f"icmp eq i64 {stop}, {self.sizes['panels']}")):
                self.pack_panels(self.tail, self.full, first, b, terms)

    def chunks(
        self, a: View, b: View, c: View, update: Update, rows: tuple[str, str], terms: str, first: str, stop: str
    ) -> None:
        """Write the loop over chunks of rows for some panels."""
        p, code = self.p, self.code

        def chunk(a: View, c: View, update: Update, rows: str, below: str) -> None:
            low = self.low(rows, below)
            high = difference_text(code, rows, low)
            if self.cut.packs_a:
                self.pack_rows(a, high, low, terms)
            self.each_panel(
                first, stop, lambda columns, panel: self.panel(columns, panel, first, a, b, c, update, high, low, terms)
            )

        many, below = rows
        if self.cut.in_line:
            chunk(a, c, update, many, below)
            return
        with code.loop("0", many, self.sizes["chunk"]) as row:
            here = smaller(code, code.value(f"sub i64 {many}, {row}"), self.sizes["chunk"])
            left = code.value(f"sub i64 {below}, {row}")
            chunk(
                a.at(code, p.kind, row, "0"),
                c.at(code, p.kind, row, "0"),
                update.at(code, p.kind, row, "0"),
                here,
                left,
            )

    def low(self, rows: str, below: str) -> str:
        """Return how many of some rows are those of low tiles; `below` are all from their first on."""
        code, low = self.code, self.sizes["low"]
        if not self.cut.low or rows == below:
            return low if self.cut.low else "0"
        return code.value(f"select i1 {code.value(f'icmp eq i64 {rows}, {below}')}, i64 {low}, i64 0")

    def each_panel(self, first: str, stop: str, write: Callable[[int, str], None]) -> None:
        """Write the loop over panels; `write` is given the columns of a panel and its number."""
        code = self.code
        if self.full != "0":
            with code.loop(first, smaller(code, stop, self.full)) as panel:
                write(self.cut.columns, panel)
        if self.tail:
            with code.when(code.value(f"icmp eq i64 {stop}, {self.sizes['panels']}")):
                write(self.tail, self.full)

    def packed_panel(self, columns: int, panel: str, first: str) -> View:
        """Return where a panel lies packed; `first` is the first of its group."""
        code, p = self.code, self.p
        width = -(-columns // self.cut.lanes) * self.cut.lanes
        if self.sizes["pitch"] == "0":
            return View("%scratch", str(width), "1")
        number = code.value(f"sub i64 {panel}, {first}")
        return View(advance(code, p.kind, "%scratch", number, self.sizes["pitch"]), str(width), "1")

    def pack_panels(self, columns: int, panel: str, first: str, b: View, terms: str, many: str = "1") -> None:
        """Write the packing of neighbouring panels of equal width."""
        p, code = self.p, self.code
        packed = self.packed_panel(columns, panel, first)
        source = b.at(code, p.kind, "0", product_text(code, panel, str(self.cut.columns)))
        order = order_of(p.strides_b[2], p.strides_b[1], p.n)
        strip = Strip(p.kind, columns, int(packed.row), self.cut.lanes, order)
        pack(code, strip, source.address, (source.column, source.row), terms, packed.address, many, self.sizes["pitch"])

    def panel(
        self, columns: int, panel: str, first: str, a: View, b: View, c: View, update: Update, high: str, low: str,
        terms: str,
    ) -> None:  # fmt: skip
        """Write the tiles of one panel, going down the rows: high ones, then low ones."""
        p, code, cut = self.p, self.code, self.cut
        column = product_text(code, panel, str(cut.columns))
        c, update = c.at(code, p.kind, "0", column), update.at(code, p.kind, "0", column)
        if cut.packs_b:
            if self.sizes["pitch"] == "0" or not cut.fixed:
                with self.where_panels_are_packed("eq"):
                    self.pack_panels(columns, panel, first, b, terms)
            b = self.packed_panel(columns, panel, first)
        else:
            b = b.at(code, p.kind, "0", column)
        unit = all(s[2] == 1 for s in (p.strides_c, p.addend) if s is not None)
        tile = Tile(p.kind, cut.rows, columns, cut.lanes, padded=cut.packs_b, unit=unit, fetches=cut.fetches)
        with self.where_there_are(high):
            self.tiles(tile, high, "0", a, b, c, terms, update)
        with self.where_there_are(low):
            self.tiles(replace(tile, rows=cut.low), low, high, a, b, c, terms, update)

    def where_there_are(self, rows: str) -> AbstractContextManager[None]:
        """Write what runs unless there are no rows."""
        if not rows.startswith("%"):
            return nullcontext()
        return self.code.when(self.code.value(f"icmp ne i64 {rows}, 0"))

    def pack_rows(self, a: View, high: str, low: str, terms: str) -> None:
        """Write the packing of a block of A: a strip for each tile, one after the other.

        A tile that begins earlier has its rows where those lie that it has not.
        """
        p, code, cut = self.p, self.code, self.cut
        order = order_of(p.strides_a[1], p.strides_a[2], p.m)

        def strips(count: int, row: str, place: str, many: str) -> None:
            source = a.at(code, p.kind, row, "0")
            target = advance(code, p.kind, self.packed_a, place, terms)
            strip = Strip(p.kind, count, count, cut.lanes, order)
            step = product_text(code, str(count), terms)
            pack(code, strip, source.address, (source.row, source.column), terms, target, many, step)

        for rows, first, count in ((high, "0", cut.rows), (low, high, cut.low)):
            if rows == "0":
                continue
            many = code.value(f"udiv i64 {rows}, {count}")
            strips(count, first, first, many)
            done = code.value(f"mul i64 {many}, {count}")
            with code.when(code.value(f"icmp ne i64 {done}, {rows}")):
                end = code.value(f"add i64 {first}, {rows}")
                strips(count, code.value(f"sub i64 {end}, {count}"), code.value(f"add i64 {first}, {done}"), "1")

    def tiles(self, tile: Tile, rows: str, row: str, a: View, b: View, c: View, terms: str, update: Update) -> None:
        """Write tiles one below the other, from a row on."""
        p, code = self.p, self.code
        if rows == "0":
            return
        c, update = c.at(code, p.kind, row, "0"), update.at(code, p.kind, row, "0")
        if self.cut.packs_a:
            strips = View(advance(code, p.kind, self.packed_a, row, terms), "1", str(tile.rows))
            call_tiles(code, tile, strips, (terms, "0"), b, c, rows, terms, update)
            return
        a = a.at(code, p.kind, row, "0")
        if not self.cut.in_line:
            call_tiles(code, tile, a, (a.row, a.row), b, c, rows, terms, update)
            return
        with going_down(code, tile, rows) as step:
            a_here, c_here = (x.at(code, p.kind, step.first, "0") for x in (a, c))
            here = replace(update.at(code, p.kind, step.first, "0"), skip=step.skip)
            emit_tile(code, tile, a_here, b, c_here, terms, here)


def aligned(nbytes: int) -> int:
    """Round bytes up to a cache line."""
    return -(-nbytes // 64) * 64
