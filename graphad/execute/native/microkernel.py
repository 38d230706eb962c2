"""Register tiles: a few rows by a few vectors of a product's result, summed over k in registers.

What may enter: the innermost part of generated products. A tile's vectors lie along the columns, so B and C have
neighbouring columns in memory (C may have any stride, at the price of single stores). Every element of C is one chain
``s = fma(a[k], b[k], s)`` over ascending k, wherever it lies in a tile, so that its bits do not depend on how a
product is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial

from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import Lanes, constant, constant_text, element_type, load, store
from graphad.execute.native.product_ends import Ending, Epilogue, emit_ending
from graphad.execute.native.register_tiles import (
    Tile,
    View,
    advance,
    fetch,
    item_bytes,
    lanes_in,
    larger,
    load_lanes,
    load_strided,
    product_text,
    smaller,
    store_strided,
    type_bytes,
)

UNROLLED = 8
"""Sums of up to this many terms are written without a loop."""

FETCHING_TERMS = 4
"""Terms between two fetches of the rows that come next."""

HIDE = "llvm.launder.invariant.group.p0"
"""A function of LLVM that returns its argument, which only the last of LLVM's passes know."""


@dataclass(frozen=True, slots=True)
class Update:
    """What becomes of the sums: ``C = alpha * sum + beta * C0``.

    Attributes:
        alpha, beta: numbers, or texts of values of the tile's kind.
        addend: C0; None leaves the second term out, and C0 unread.
        adds: text of an i1, which false does the same at run time (`call_tiles` only).
        ending: where the results go instead of C, which keeps the sums as long as they are not complete.
        skip: text of how many rows, the first of a tile, are left as they are: the tile before has computed them.
    """

    alpha: float | Lanes
    beta: float | Lanes = 0.0
    addend: View | None = None
    adds: str = "true"
    ending: Ending | None = None
    skip: str = "0"

    def at(self, code: Code, kind: str, row: str, column: str) -> Update:
        """Return the update of the part of C that begins at an element."""
        addend = None if self.addend is None else self.addend.at(code, kind, row, column)
        ending = None if self.ending is None else self.ending.at(code, row, column)
        return replace(self, addend=addend, ending=ending)


def emit_tile(code: Code, tile: Tile, a: View, b: View, c: View, k: str, update: Update) -> None:
    """Write one tile: ``C = alpha * A @ B + beta * C0``.

    Args:
        code: where to write.
        tile: its shape.
        a: rows x k.
        b: k x columns, with column stride 1.
        c: rows x columns.
        k: text of the number of terms.
        update: alpha, beta and C0.
    """
    emit_results(code, tile, emit_sums(code, tile, a, b, k), c, update)


def emit_sums(code: Code, tile: Tile, a: View, b: View, k: str, following: View | None = None) -> list[list[Lanes]]:
    """Write the sums of a tile; returns its rows of vectors.

    Args:
        code, tile, a, b, k: as for `emit_tile`.
        following: the rows of A that are fetched meanwhile; None for none.
    """
    zero = constant(code, tile.kind, 0.0, tile.lanes)
    sums = [[zero] * tile.vectors for _ in range(tile.rows)]
    rows = Rows(code, tile, a)
    if not k.startswith("%") and int(k) <= UNROLLED:
        return emit_terms(code, tile, rows.at(a.address), a.column, b, range(int(k)), sums)
    slots = [[code.slot(zero.type) for _ in line] for line in sums]

    def add(a: View, b: View, steps: Sequence[int]) -> None:
        values = [[load(code, tile.kind, slot, tile.lanes, type_bytes(tile)) for slot in line] for line in slots]
        keep(emit_terms(code, tile, rows.at(a.address), a.column, b, steps, values))

    def keep(values: list[list[Lanes]]) -> None:
        for places, line in zip(slots, values, strict=True):
            for place, value in zip(places, line, strict=True):
                store(value, place, align=type_bytes(tile))

    keep(sums)
    whole = "0"
    if following is not None:
        whole = code.value(f"and i64 {k}, {-FETCHING_TERMS}")
        with code.loop("0", whole, FETCHING_TERMS) as first:
            for address in rows.at(following.at(code, tile.kind, "0", first).address):
                fetch(code, address, write=False)
            add(a.at(code, tile.kind, "0", first), b.at(code, tile.kind, first, "0"), range(FETCHING_TERMS))
    with code.loop(whole, k) as index:
        add(a.at(code, tile.kind, "0", index), b.at(code, tile.kind, index, "0"), [0])
    return [[load(code, tile.kind, slot, tile.lanes, type_bytes(tile)) for slot in line] for line in slots]


class Rows:
    """The addresses of the rows of a tile, found from that of the first.

    LLVM likes to keep a pointer for each row and has no registers for so many: where the stride is known at run time
    only, it must not see that the pointers of one term and those of the next have anything to do with each other. Then
    two rows of three are reached by what instructions add to an address anyway.
    """

    def __init__(self, code: Code, tile: Tile, a: View) -> None:
        self.code, self.tile, self.a = code, tile, a
        self.known = not a.row.startswith("%")
        if not self.known:
            self.stride = code.value(f"mul i64 {a.row}, {item_bytes(tile.kind)}")
            self.three = code.value(f"mul i64 {self.stride}, 3")

    def at(self, address: str) -> list[str]:
        """Return the address of each row; `address` is the first's."""
        code, tile = self.code, self.tile
        if self.known:
            return [advance(code, tile.kind, address, str(i), self.a.row) for i in range(tile.rows)]
        code.module.declare(HIDE, "ptr", ["ptr"])
        base = code.call("ptr", HIDE, [("ptr", address)])
        found = []
        for i in range(tile.rows):
            if i and i % 3 == 0:
                base = code.value(f"getelementptr i8, ptr {base}, i64 {self.three}")
            found.append(advance(code, "i8", base, str(i % 3), self.stride))
        return found


def emit_terms(
    code: Code, tile: Tile, rows: Sequence[str], column: str, b: View, steps: Sequence[int], sums: list[list[Lanes]]
) -> list[list[Lanes]]:
    """Write some terms of the sums of a tile, given rows of A and their column stride; returns the sums with them."""
    for step in steps:
        from_a = product_text(code, str(step), column)
        from_b = advance(code, tile.kind, b.address, str(step), b.row)
        vectors = [load_columns(code, tile, from_b, v) for v in range(tile.vectors)]
        done = []
        for row, before in zip(rows, sums, strict=True):
            factor = load(code, tile.kind, advance(code, tile.kind, row, from_a, "1")).spread(tile.lanes)
            done.append([factor.fma(vector, s) for vector, s in zip(vectors, before, strict=True)])
        sums = done
    return sums


def emit_results(code: Code, tile: Tile, sums: list[list[Lanes]], c: View, update: Update) -> None:
    """Write what becomes of the sums of a tile."""
    if update.ending is not None:
        buffer = new_buffer(code, tile)
        into_buffer(code, tile, sums, buffer, update)
        emit_ending(code, tile, buffer, update.ending, update.skip)
        return
    for i, line in enumerate(sums):
        with wanted(code, tile, i, update.skip):
            for v, value in enumerate(line):
                finish(code, tile, value, c, i, v, update)


def wanted(code: Code, tile: Tile, row: int, skip: str) -> AbstractContextManager[None]:
    """Write what runs unless a row is one of those to skip, which are never all."""
    if skip == "0" or row == tile.rows - 1:
        return nullcontext()
    return code.when(code.value(f"icmp sle i64 {skip}, {row}"))


@dataclass(frozen=True, slots=True)
class Step:
    """A tile of a column of them.

    Attributes:
        row: text of the first row that is its own.
        skip: text of how many rows before that it computes again, and drops.
        first: text of ``row - skip``.
    """

    row: str
    skip: str
    first: str


@contextmanager
def going_down(code: Code, tile: Tile, rows: str) -> Iterator[Step]:
    """Write the loop over the tiles, one below the other, that cover rows.

    Where the rows are no multiple of a tile's, the last tile begins earlier, be it above the first row.
    """
    if rows == str(tile.rows):
        yield Step("0", "0", "0")
        return
    if not rows.startswith("%") and int(rows) % tile.rows == 0:
        with code.loop("0", rows, tile.rows) as row:
            yield Step(row, "0", row)
        return
    last = code.value(f"sub i64 {rows}, {tile.rows}")
    with code.loop("0", rows, tile.rows) as row:
        yield Step(row, larger(code, code.value(f"sub i64 {row}, {last}"), "0"), smaller(code, row, last))


def new_buffer(code: Code, tile: Tile) -> str:
    """Return the address of room for the sums of a tile: row after row, in whole vectors."""
    return code.slot(Lanes(code, tile.kind, tile.lanes, "").type, tile.rows * tile.vectors)


def into_buffer(code: Code, tile: Tile, sums: list[list[Lanes]], buffer: str, update: Update) -> None:
    """Write the sums of a tile, updated, into a buffer."""
    for i, line in enumerate(sums):
        for v, value in enumerate(line):
            place = advance(code, tile.kind, buffer, str((i * tile.vectors + v) * tile.lanes), "1")
            store(updated(code, tile, value, i, v, update), place, align=type_bytes(tile))


def from_buffer(code: Code, tile: Tile, buffer: str, c: View, skip: str) -> None:
    """Write the copying of a buffer to C, but for some rows."""
    for i in range(tile.rows):
        with wanted(code, tile, i, skip):
            for v in range(tile.vectors):
                place = advance(code, tile.kind, buffer, str((i * tile.vectors + v) * tile.lanes), "1")
                value = load(code, tile.kind, place, tile.lanes, type_bytes(tile))
                store_strided(value, c.at(code, tile.kind, str(i), str(v * tile.lanes)), lanes_in(tile, v))


def load_columns(code: Code, tile: Tile, address: str, vector: int) -> Lanes:
    """Load one vector of a row of B; what lies beyond the columns is not touched unless B is padded."""
    place = advance(code, tile.kind, address, str(vector * tile.lanes), "1")
    return load_lanes(code, tile.kind, tile.lanes, place, tile.lanes if tile.padded else lanes_in(tile, vector))


def finish(code: Code, tile: Tile, value: Lanes, c: View, row: int, vector: int, update: Update) -> None:
    """Write the last step of one vector of sums, and its store."""
    value = updated(code, tile, value, row, vector, update)
    store_strided(value, c.at(code, tile.kind, str(row), str(vector * tile.lanes)), lanes_in(tile, vector))


def updated(code: Code, tile: Tile, value: Lanes, row: int, vector: int, update: Update) -> Lanes:
    """Write and return ``alpha * sum + beta * C0`` of one vector of sums."""
    if update.addend is not None:
        place = update.addend.at(code, tile.kind, str(row), str(vector * tile.lanes))
        old = load_strided(code, tile.kind, tile.lanes, place, lanes_in(tile, vector))
        if not (isinstance(update.beta, float) and update.beta == 1.0):
            old = old * update.beta
        if isinstance(update.alpha, float) and update.alpha == 1.0:
            return value + old
        return value.fma(update.alpha, old)
    if isinstance(update.alpha, float) and update.alpha == 1.0:
        return value
    return value * update.alpha


def name_of(tile: Tile, ending: Ending | None) -> str:
    """Return the name of the function that computes a column of tiles."""
    marks = ("_padded" if tile.padded else "") + ("" if tile.unit else "_strided") + "_fetching" * tile.fetches
    last = "" if ending is None else f"_{ending.epilogue.name}"
    return f"tiles_{tile.kind}_{tile.rows}x{tile.columns}_{tile.lanes}{marks}{last}"


TILES_PARAMETERS = (
    ("ptr", "a"), ("i64", "a_row"), ("i64", "a_term"), ("i64", "a_step"), ("i64", "a_back"),
    ("ptr", "b"), ("i64", "b_term"),
    ("ptr", "c"), ("i64", "c_row"), ("i64", "c_column"),
    ("ptr", "old"), ("i64", "old_row"), ("i64", "old_column"),
    ("i64", "rows"), ("i64", "terms"), ("i1", "adds"),
)  # fmt: skip


def call_tiles(
    code: Code, tile: Tile, a: View, moves: tuple[str, str], b: View, c: View, rows: str, terms: str, update: Update
) -> None:
    """Call the function that computes tiles one below the other, entering it into the module unless it is there.

    Args:
        code: where to write the call.
        tile: the shape of each.
        a, b, c: from the first row on.
        moves: texts of elements of A: how far apart two rows of different tiles are, divided by the rows between, and
            how far back a row lies by which a tile begins earlier.
        rows, terms: texts of how many.
        update: what becomes of the sums.
    """
    name, ending = name_of(tile, update.ending), update.ending
    if not code.module.has(name):
        write_tiles(code.module, name, tile, None if ending is None else ending.epilogue)
    element = element_type(tile.kind)
    old = update.addend or c
    adds = update.adds if update.addend is not None else "false"
    given = [
        a.address, a.row, a.column, *moves, b.address, b.row, c.address, c.row, c.column,
        old.address, old.row, old.column, rows, terms, adds,
    ]  # fmt: skip
    arguments = [(type_, text) for (type_, _), text in zip(TILES_PARAMETERS, given, strict=True)]
    for number in (update.alpha, update.beta):
        text = number.text if isinstance(number, Lanes) else constant_text(tile.kind, number)
        arguments.append((element, text))
    if ending is not None:
        for place in ending.places:
            arguments += [("ptr", place.address), ("i64", place.row), ("i64", place.column)]
        arguments.append(("i1", ending.complete))
    code.call("void", name, arguments)


def write_tiles(module: Module, name: str, tile: Tile, epilogue: Epilogue | None) -> None:
    """Write the function of `call_tiles` for one shape of tile.

    The lines of C are fetched while the sums run: they are wanted all at once at the end.
    """
    element = element_type(tile.kind)
    parameters = [*TILES_PARAMETERS, (element, "alpha"), (element, "beta")]
    if epilogue is not None:
        for k in range(len(epilogue.ends)):
            parameters += [("ptr", f"end{k}"), ("i64", f"end{k}_row"), ("i64", f"end{k}_column")]
        parameters.append(("i1", "complete"))
    code = module.function(name, "void", parameters, "nounwind noinline optsize")
    alpha, beta = (Lanes(code, tile.kind, 1, f"%{name}").spread(tile.lanes) for name in ("alpha", "beta"))
    b = View("%b", str(tile.vectors * tile.lanes) if tile.padded else "%b_term", "1")
    a_term = "1" if tile.fetches else "%a_term"
    all_c = View("%c", "%c_row", "1" if tile.unit else "%c_column")
    all_old = View("%old", "%old_row", "1" if tile.unit else "%old_column")
    buffer = "" if epilogue is None else new_buffer(code, tile)
    with going_down(code, tile, "%rows") as step:
        moved = code.value(
            f"sub i64 {product_text(code, step.row, '%a_step')}, {product_text(code, step.skip, '%a_back')}"
        )
        a = View(advance(code, tile.kind, "%a", moved, "1"), "%a_row", a_term)
        c, old = (x.at(code, tile.kind, step.first, "0") for x in (all_c, all_old))
        for row in range(tile.rows):
            line = advance(code, tile.kind, c.address, str(row), c.row)
            for column in (0, tile.columns - 1):
                fetch(code, advance(code, tile.kind, line, str(column), c.column), write=True)
        following = (
            replace(a, address=advance(code, tile.kind, a.address, str(tile.rows), "%a_step")) if tile.fetches else None
        )
        sums = emit_sums(code, tile, a, b, "%terms", following)
        added, plain = Update(alpha, beta, old, skip=step.skip), Update(alpha, skip=step.skip)
        if epilogue is None:
            store_tile = partial(emit_results, code, tile, sums, c)
            either(code, "%adds", partial(store_tile, added), partial(store_tile, plain))
        else:
            keep_tile = partial(into_buffer, code, tile, sums, buffer)
            either(code, "%adds", partial(keep_tile, added), partial(keep_tile, plain))
            places = [
                View(f"%end{k}", end.text_of(1) or f"%end{k}_row", end.text_of(2) or f"%end{k}_column")
                for k, end in enumerate(epilogue.ends)
            ]
            ending = Ending(epilogue, tuple(places)).at(code, step.first, "0")
            finish_tile = partial(emit_ending, code, tile, buffer, ending, step.skip)
            either(code, "%complete", finish_tile, partial(from_buffer, code, tile, buffer, c, step.skip))
    code.line("ret void")


def either(code: Code, condition: str, then: Callable[[], None], otherwise: Callable[[], None]) -> None:
    """Write what runs where an i1 holds, and what runs where it does not."""
    labels = [code.new_label(stem) for stem in ("holds", "fails", "after")]
    code.branch(condition, labels[0], labels[1])
    for label, write in zip(labels, (then, otherwise), strict=False):
        code.place(label)
        write()
        code.jump(labels[2])
    code.place(labels[2])
