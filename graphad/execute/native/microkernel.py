"""Register tiles: a few rows by a few vectors of a product's result, summed over k in registers.

What may enter: the innermost part of generated products. A tile's vectors lie along the columns, so B and C have
neighbouring columns in memory (C may have any stride, at the price of single stores). Every element of C is one chain
``s = fma(a[k], b[k], s)`` over ascending k, wherever it lies in a tile, so that its bits do not depend on how a
product is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    lanes_in,
    load_lanes,
    load_strided,
    product_text,
    store_strided,
    type_bytes,
)

UNROLLED = 8
"""Sums of up to this many terms are written without a loop."""

FETCHING_TERMS = 4
"""Terms between two fetches of the rows that come next."""


@dataclass(frozen=True, slots=True)
class Update:
    """What becomes of the sums: ``C = alpha * sum + beta * C0``.

    Attributes:
        alpha, beta: numbers, or texts of values of the tile's kind.
        addend: C0; None leaves the second term out, and C0 unread.
        adds: text of an i1, which false does the same at run time (`call_tiles` only).
        ending: where the results go instead of C, which keeps the sums as long as they are not complete.
    """

    alpha: float | Lanes
    beta: float | Lanes = 0.0
    addend: View | None = None
    adds: str = "true"
    ending: Ending | None = None

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
    if not k.startswith("%") and int(k) <= UNROLLED:
        return emit_terms(code, tile, a, b, range(int(k)), sums)
    slots = [[code.slot(zero.type) for _ in line] for line in sums]

    def add(a: View, b: View, steps: Sequence[int | str]) -> None:
        values = [[load(code, tile.kind, slot, tile.lanes, type_bytes(tile)) for slot in line] for line in slots]
        keep(emit_terms(code, tile, a, b, steps, values))

    def keep(values: list[list[Lanes]]) -> None:
        for places, line in zip(slots, values, strict=True):
            for place, value in zip(places, line, strict=True):
                store(value, place, align=type_bytes(tile))

    keep(sums)
    whole = "0"
    if following is not None:
        whole = code.value(f"and i64 {k}, {-FETCHING_TERMS}")
        with code.loop("0", whole, FETCHING_TERMS) as first:
            for i in range(tile.rows):
                fetch(code, following.at(code, tile.kind, str(i), first).address, write=False)
            add(a.at(code, tile.kind, "0", first), b.at(code, tile.kind, first, "0"), range(FETCHING_TERMS))
    with code.loop(whole, k) as index:
        add(a, b, [index])
    return [[load(code, tile.kind, slot, tile.lanes, type_bytes(tile)) for slot in line] for line in slots]


def emit_terms(
    code: Code, tile: Tile, a: View, b: View, steps: Sequence[int | str], sums: list[list[Lanes]]
) -> list[list[Lanes]]:
    """Write some terms of the sums of a tile; returns the sums with them."""
    rows = [advance(code, tile.kind, a.address, str(i), a.row) for i in range(tile.rows)]
    for step in steps:
        from_a = product_text(code, str(step), a.column)
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
        emit_ending(code, tile, buffer, update.ending)
        return
    for i, line in enumerate(sums):
        for v, value in enumerate(line):
            finish(code, tile, value, c, i, v, update)


def new_buffer(code: Code, tile: Tile) -> str:
    """Return the address of room for the sums of a tile: row after row, in whole vectors."""
    return code.slot(Lanes(code, tile.kind, tile.lanes, "").type, tile.rows * tile.vectors)


def into_buffer(code: Code, tile: Tile, sums: list[list[Lanes]], buffer: str, update: Update) -> None:
    """Write the sums of a tile, updated, into a buffer."""
    for i, line in enumerate(sums):
        for v, value in enumerate(line):
            place = advance(code, tile.kind, buffer, str((i * tile.vectors + v) * tile.lanes), "1")
            store(updated(code, tile, value, i, v, update), place, align=type_bytes(tile))


def from_buffer(code: Code, tile: Tile, buffer: str, c: View) -> None:
    """Write the copying of a buffer to C."""
    for i in range(tile.rows):
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
    ("ptr", "a"), ("i64", "a_row"), ("i64", "a_term"),
    ("ptr", "b"), ("i64", "b_term"),
    ("ptr", "c"), ("i64", "c_row"), ("i64", "c_column"),
    ("ptr", "old"), ("i64", "old_row"), ("i64", "old_column"),
    ("i64", "a_step"), ("i64", "tiles"), ("i64", "terms"), ("i1", "adds"),
)  # fmt: skip


def call_tiles(
    code: Code, tile: Tile, a: View, a_step: str, b: View, c: View, tiles: str, terms: str, update: Update
) -> None:
    """Call the function that computes tiles one below the other, entering it into the module unless it is there.

    Args:
        code: where to write the call.
        tile: the shape of each.
        a, b, c: of the first tile.
        a_step: text of the elements from the rows of A of one tile to those of the next.
        tiles, terms: texts of how many.
        update: what becomes of the sums.
    """
    name, ending = name_of(tile, update.ending), update.ending
    if not code.module.has(name):
        write_tiles(code.module, name, tile, None if ending is None else ending.epilogue)
    element = element_type(tile.kind)
    old = update.addend or c
    adds = update.adds if update.addend is not None else "false"
    given = [
        a.address, a.row, a.column, b.address, b.row, c.address, c.row, c.column, old.address, old.row, old.column,
        a_step, tiles, terms, adds,
    ]  # fmt: skip
    arguments = [(type_, text) for (type_, _), text in zip(TILES_PARAMETERS, given, strict=True)]
    for number in (update.alpha, update.beta):
        text = number.text if isinstance(number, Lanes) else constant_text(tile.kind, number)
        arguments.append((element, text))
    if ending is not None:
        arguments += [*(("ptr", address) for address in ending.addresses), ("i1", ending.complete)]
    code.call("void", name, arguments)


def write_tiles(module: Module, name: str, tile: Tile, epilogue: Epilogue | None) -> None:
    """Write the function of `call_tiles` for one shape of tile.

    The lines of C are fetched while the sums run: they are wanted all at once at the end.
    """
    element = element_type(tile.kind)
    parameters = [*TILES_PARAMETERS, (element, "alpha"), (element, "beta")]
    ends = () if epilogue is None else tuple([f"end{k}" for k in range(len(epilogue.ends))])
    parameters += [("ptr", end) for end in ends] + [("i1", "complete")] * (epilogue is not None)
    code = module.function(name, "void", parameters, "nounwind noinline optsize")
    alpha, beta = (Lanes(code, tile.kind, 1, f"%{name}").spread(tile.lanes) for name in ("alpha", "beta"))
    b = View("%b", str(tile.vectors * tile.lanes) if tile.padded else "%b_term", "1")
    a_term = "1" if tile.fetches else "%a_term"
    c_step, old_step = (code.value(f"mul i64 %{x}_row, {tile.rows}") for x in ("c", "old"))
    buffer = "" if epilogue is None else new_buffer(code, tile)
    with code.loop("0", "%tiles") as i:
        a = View(advance(code, tile.kind, "%a", i, "%a_step"), "%a_row", a_term)
        c = View(advance(code, tile.kind, "%c", i, c_step), "%c_row", "1" if tile.unit else "%c_column")
        old = View(advance(code, tile.kind, "%old", i, old_step), "%old_row", "1" if tile.unit else "%old_column")
        for row in range(tile.rows):
            line = advance(code, tile.kind, c.address, str(row), c.row)
            for column in (0, tile.columns - 1):
                fetch(code, advance(code, tile.kind, line, str(column), c.column), write=True)
        following = replace(a, address=advance(code, tile.kind, a.address, "1", "%a_step")) if tile.fetches else None
        sums = emit_sums(code, tile, a, b, "%terms", following)
        added, plain = Update(alpha, beta, old), Update(alpha)
        if epilogue is None:
            store_tile = partial(emit_results, code, tile, sums, c)
            either(code, "%adds", partial(store_tile, added), partial(store_tile, plain))
        else:
            keep_tile = partial(into_buffer, code, tile, sums, buffer)
            either(code, "%adds", partial(keep_tile, added), partial(keep_tile, plain))
            first = code.value(f"mul i64 {i}, {tile.rows}")
            ending = Ending(epilogue, tuple([f"%{end}" for end in ends])).at(code, first, "0")
            finish_tile, store_tile = partial(emit_ending, ending=ending), partial(from_buffer, c=c)
            either(code, "%complete", partial(finish_tile, code, tile, buffer), partial(store_tile, code, tile, buffer))
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
