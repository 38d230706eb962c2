"""Register tiles: a few rows by a few vectors of a product's result, summed over k in registers.

What may enter: the innermost part of generated products. A tile's vectors lie along the columns, so B and C have
neighbouring columns in memory (C may have any stride, at the price of single stores). Every element of C is one chain
``s = fma(a[k], b[k], s)`` over ascending k, wherever it lies in a tile, so that its bits do not depend on how a
product is cut.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import Lanes, constant, constant_text, element_type, load, store

UNROLLED = 8
"""Sums of up to this many terms are written without a loop."""


@dataclass(frozen=True, slots=True)
class View:
    """A matrix in memory: texts of the address and of the strides of rows and columns, in elements."""

    address: str
    row: str
    column: str

    def at(self, code: Code, kind: str, row: str, column: str) -> View:
        """Return the part that begins at an element."""
        address = advance(code, kind, self.address, row, self.row)
        return View(advance(code, kind, address, column, self.column), self.row, self.column)


@dataclass(frozen=True, slots=True)
class Tile:
    """The shape of a tile.

    Attributes:
        kind: "f32" or "f64".
        rows, columns: of C.
        lanes: of one vector; the last vector may reach beyond the columns.
        padded: B may be read beyond the columns, to a full vector.
        unit: neighbouring columns of C are neighbours in memory.
    """

    kind: str
    rows: int
    columns: int
    lanes: int
    padded: bool = False
    unit: bool = True

    @property
    def vectors(self) -> int:
        """Return the vectors in a row."""
        return -(-self.columns // self.lanes)


@dataclass(frozen=True, slots=True)
class Update:
    """What becomes of the sums: ``C = alpha * sum + beta * C0``.

    Attributes:
        alpha, beta: numbers, or texts of values of the tile's kind.
        addend: C0; None leaves the second term out, and C0 unread.
        adds: text of an i1, which false does the same at run time (`call_tiles` only).
    """

    alpha: float | Lanes
    beta: float | Lanes = 0.0
    addend: View | None = None
    adds: str = "true"

    def at(self, code: Code, kind: str, row: str, column: str) -> Update:
        """Return the update of the part of C that begins at an element."""
        return self if self.addend is None else replace(self, addend=self.addend.at(code, kind, row, column))


def product_text(code: Code, a: str, b: str) -> str:
    """Return the text of a * b for two texts of i64, of which either may be a number."""
    if "0" in (a, b):
        return "0"
    if a == "1":
        return b
    if b == "1":
        return a
    if not a.startswith("%") and not b.startswith("%"):
        return str(int(a) * int(b))
    return code.value(f"mul nsw i64 {a}, {b}")


def sum_text(code: Code, a: str, b: str) -> str:
    """Return the text of a + b for two texts of i64, of which either may be a number."""
    if a == "0":
        return b
    if b == "0":
        return a
    if not a.startswith("%") and not b.startswith("%"):
        return str(int(a) + int(b))
    return code.value(f"add nsw i64 {a}, {b}")


def advance(code: Code, kind: str, address: str, count: str, stride: str) -> str:
    """Return the address `count` strides further; both are texts of i64, in elements."""
    elements = product_text(code, count, stride)
    if elements == "0":
        return address
    return code.value(f"getelementptr {element_type(kind)}, ptr {address}, i64 {elements}")


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


def emit_sums(code: Code, tile: Tile, a: View, b: View, k: str) -> list[list[Lanes]]:
    """Write the sums of a tile; returns its rows of vectors."""
    rows = [advance(code, tile.kind, a.address, str(i), a.row) for i in range(tile.rows)]
    type_ = Lanes(code, tile.kind, tile.lanes, "").type
    zero = constant(code, tile.kind, 0.0, tile.lanes)

    def terms(sums: list[list[Lanes]], index: str) -> list[list[Lanes]]:
        from_a = product_text(code, index, a.column)
        from_b = advance(code, tile.kind, b.address, index, b.row)
        vectors = [load_columns(code, tile, from_b, v) for v in range(tile.vectors)]
        done = []
        for row, before in zip(rows, sums, strict=True):
            factor = load(code, tile.kind, advance(code, tile.kind, row, from_a, "1")).spread(tile.lanes)
            done.append([factor.fma(vector, s) for vector, s in zip(vectors, before, strict=True)])
        return done

    sums = [[zero] * tile.vectors for _ in rows]
    if not k.startswith("%") and int(k) <= UNROLLED:
        for step in range(int(k)):
            sums = terms(sums, str(step))
    else:
        slots = [[code.slot(type_) for _ in line] for line in sums]

        def current() -> list[list[Lanes]]:
            return [[load(code, tile.kind, slot, tile.lanes, type_bytes(tile)) for slot in line] for line in slots]

        def keep(values: list[list[Lanes]]) -> None:
            for places, line in zip(slots, values, strict=True):
                for place, value in zip(places, line, strict=True):
                    store(value, place, align=type_bytes(tile))

        keep(sums)
        with code.loop("0", k) as index:
            keep(terms(current(), index))
        sums = current()
    return sums


def emit_results(code: Code, tile: Tile, sums: list[list[Lanes]], c: View, update: Update) -> None:
    """Write what becomes of the sums of a tile."""
    for i, line in enumerate(sums):
        for v, value in enumerate(line):
            finish(code, tile, value, c, i, v, update)


def type_bytes(tile: Tile) -> int:
    """Return the bytes of one vector of a tile."""
    return tile.lanes * (4 if tile.kind == "f32" else 8)


def lanes_in(tile: Tile, vector: int) -> int:
    """Return how many lanes of a vector are columns."""
    return min(tile.lanes, tile.columns - vector * tile.lanes)


def load_columns(code: Code, tile: Tile, address: str, vector: int) -> Lanes:
    """Load one vector of a row of B; what lies beyond the columns is not touched unless B is padded."""
    place = advance(code, tile.kind, address, str(vector * tile.lanes), "1")
    return load_lanes(code, tile.kind, tile.lanes, place, tile.lanes if tile.padded else lanes_in(tile, vector))


def load_lanes(code: Code, kind: str, lanes: int, address: str, count: int) -> Lanes:
    """Load the first `count` lanes of a vector; the others are zero, and their memory is not touched."""
    if count == lanes:
        return load(code, kind, address, count)
    type_ = Lanes(code, kind, lanes, "").type
    mask_type = f"<{lanes} x i1>"
    mask = ", ".join(f"i1 {'true' if lane < count else 'false'}" for lane in range(lanes))
    name = f"llvm.masked.load.v{lanes}{kind}.p0"
    code.module.declare(name, type_, ["ptr", mask_type, type_])
    align = 4 if kind == "f32" else 8
    text = code.call(
        type_, name, [(f"ptr align {align}", address), (mask_type, f"<{mask}>"), (type_, "zeroinitializer")]
    )
    return Lanes(code, kind, lanes, text)


def finish(code: Code, tile: Tile, value: Lanes, c: View, row: int, vector: int, update: Update) -> None:
    """Write the last step of one vector of sums, and its store."""
    count = lanes_in(tile, vector)
    if update.addend is not None:
        place = update.addend.at(code, tile.kind, str(row), str(vector * tile.lanes))
        old = load_strided(code, tile, place, count)
        if not (isinstance(update.beta, float) and update.beta == 1.0):
            old = old * update.beta
        if isinstance(update.alpha, float) and update.alpha == 1.0:
            value = value + old
        else:
            value = value.fma(update.alpha, old)
    elif not (isinstance(update.alpha, float) and update.alpha == 1.0):
        value = value * update.alpha
    store_strided(value, tile, c.at(code, tile.kind, str(row), str(vector * tile.lanes)), count)


def load_strided(code: Code, tile: Tile, place: View, count: int) -> Lanes:
    """Load `count` columns of a row as a vector; the other lanes are zero."""
    if place.column == "1":
        return load_lanes(code, tile.kind, tile.lanes, place.address, count)
    lanes = constant(code, tile.kind, 0.0, tile.lanes)
    for lane in range(count):
        one = load(code, tile.kind, advance(code, tile.kind, place.address, str(lane), place.column))
        if tile.lanes == 1:
            return one
        text = code.value(f"insertelement {lanes.type} {lanes.text}, {one.type} {one.text}, i64 {lane}")
        lanes = Lanes(code, tile.kind, tile.lanes, text)
    return lanes


def store_strided(value: Lanes, tile: Tile, place: View, count: int) -> None:
    """Store the first `count` lanes as neighbouring columns: in pieces of 4, 2 and 1 lanes if it is not all of them."""
    code = value.code
    if place.column != "1":
        for lane in range(count):
            store(value.lane(lane), advance(code, tile.kind, place.address, str(lane), place.column))
        return
    first, piece = 0, tile.lanes
    while first < count:
        if first + piece > count:
            piece //= 2
            continue
        part = value if piece == tile.lanes else value.shuffle(range(first, first + piece))
        store(part, advance(code, tile.kind, place.address, str(first), "1"))
        first += piece


def name_of(tile: Tile) -> str:
    """Return the name of the function that computes a column of tiles."""
    marks = ("_padded" if tile.padded else "") + ("" if tile.unit else "_strided")
    return f"tiles_{tile.kind}_{tile.rows}x{tile.columns}_{tile.lanes}{marks}"


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
    if not code.module.has(name_of(tile)):
        write_tiles(code.module, tile)
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
    code.call("void", name_of(tile), arguments)


def write_tiles(module: Module, tile: Tile) -> None:
    """Write the function of `call_tiles` for one shape of tile.

    The lines of C are fetched while the sums run: they are wanted all at once at the end.
    """
    element = element_type(tile.kind)
    parameters = [*TILES_PARAMETERS, (element, "alpha"), (element, "beta")]
    code = module.function(name_of(tile), "void", parameters, "nounwind noinline optsize")
    module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
    alpha, beta = (Lanes(code, tile.kind, 1, f"%{name}").spread(tile.lanes) for name in ("alpha", "beta"))
    b = View("%b", "%b_term", "1")
    c_step, old_step = (code.value(f"mul i64 %{x}_row, {tile.rows}") for x in ("c", "old"))
    with code.loop("0", "%tiles") as i:
        a = View(advance(code, tile.kind, "%a", i, "%a_step"), "%a_row", "%a_term")
        c = View(advance(code, tile.kind, "%c", i, c_step), "%c_row", "1" if tile.unit else "%c_column")
        old = View(advance(code, tile.kind, "%old", i, old_step), "%old_row", "1" if tile.unit else "%old_column")
        for row in range(tile.rows):
            line = advance(code, tile.kind, c.address, str(row), c.row)
            for column in (0, tile.columns - 1):
                place = advance(code, tile.kind, line, str(column), c.column)
                code.line(f"call void @llvm.prefetch.p0(ptr {place}, i32 1, i32 3, i32 1)")
        sums = emit_sums(code, tile, a, b, "%terms")
        then, otherwise, after = (code.new_label(stem) for stem in ("add", "set", "after"))
        code.branch("%adds", then, otherwise)
        code.place(then)
        emit_results(code, tile, sums, c, Update(alpha, beta, old))
        code.jump(after)
        code.place(otherwise)
        emit_results(code, tile, sums, c, Update(alpha))
        code.jump(after)
        code.place(after)
    code.line("ret void")
