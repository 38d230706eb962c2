"""Tiles of matrices, and where they lie: shapes, addresses, loads and stores of rows of lanes.

What may enter: what all kernels of products need to move numbers between registers and strided memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphad.execute.native.code import Code
from graphad.execute.native.lanes import Lanes, constant, element_type, load, store


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
        fetches: the rows of A of the next tile are fetched while the sums run; their terms are neighbours.
    """

    kind: str
    rows: int
    columns: int
    lanes: int
    padded: bool = False
    unit: bool = True
    fetches: bool = False

    @property
    def vectors(self) -> int:
        """Return the vectors in a row."""
        return -(-self.columns // self.lanes)


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


def difference_text(code: Code, a: str, b: str) -> str:
    """Return the text of a - b for two texts of i64, of which either may be a number."""
    if b == "0":
        return a
    if not a.startswith("%") and not b.startswith("%"):
        return str(int(a) - int(b))
    return code.value(f"sub i64 {a}, {b}")


def smaller(code: Code, a: str, b: str) -> str:
    """Return the smaller of two texts of i64; of two numbers at once."""
    if not a.startswith("%") and not b.startswith("%"):
        return str(min(int(a), int(b)))
    return code.value(f"select i1 {code.value(f'icmp slt i64 {a}, {b}')}, i64 {a}, i64 {b}")


def larger(code: Code, a: str, b: str) -> str:
    """Return the larger of two texts of i64."""
    return code.value(f"select i1 {code.value(f'icmp sgt i64 {a}, {b}')}, i64 {a}, i64 {b}")


def advance(code: Code, kind: str, address: str, count: str, stride: str) -> str:
    """Return the address `count` strides further; both are texts of i64, in elements."""
    elements = product_text(code, count, stride)
    if elements == "0":
        return address
    return code.value(f"getelementptr {element_type(kind)}, ptr {address}, i64 {elements}")


def item_bytes(kind: str) -> int:
    """Return the bytes of a number."""
    return 4 if kind == "f32" else 8


def type_bytes(tile: Tile) -> int:
    """Return the bytes of one vector of a tile."""
    return tile.lanes * item_bytes(tile.kind)


def lanes_in(tile: Tile, vector: int) -> int:
    """Return how many lanes of a vector are columns."""
    return min(tile.lanes, tile.columns - vector * tile.lanes)


def fetch(code: Code, address: str, write: bool) -> None:
    """Have the cache line of an address brought near, to be read or to be written."""
    code.module.declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
    code.line(f"call void @llvm.prefetch.p0(ptr {address}, i32 {int(write)}, i32 3, i32 1)")


def load_lanes(code: Code, kind: str, lanes: int, address: str, count: int | str) -> Lanes:
    """Load the first `count` lanes of a vector; the others are zero, and their memory is not touched.

    The count may be the text of an i32.
    """
    if count == lanes:
        return load(code, kind, address, lanes)
    type_ = Lanes(code, kind, lanes, "").type
    mask_type = f"<{lanes} x i1>"
    if isinstance(count, int):
        mask = "<" + ", ".join(f"i1 {'true' if lane < count else 'false'}" for lane in range(lanes)) + ">"
    else:
        numbers = "<" + ", ".join(f"i32 {lane}" for lane in range(lanes)) + ">"
        mask = code.value(f"icmp slt <{lanes} x i32> {numbers}, {Lanes(code, 'i32', 1, count).spread(lanes).text}")
    name = f"llvm.masked.load.v{lanes}{kind}.p0"
    code.module.declare(name, type_, ["ptr", mask_type, type_])
    given = [(f"ptr align {item_bytes(kind)}", address), (mask_type, mask), (type_, "zeroinitializer")]
    return Lanes(code, kind, lanes, code.call(type_, name, given))


def load_strided(code: Code, kind: str, lanes: int, place: View, count: int) -> Lanes:
    """Load `count` columns of a row as a vector, the other lanes zero; one lane where all columns are the same."""
    if place.column == "0":
        return load(code, kind, place.address)
    if place.column == "1" and (kind[0] == "f" or count == lanes):
        return load_lanes(code, kind, lanes, place.address, count)
    found = constant(code, kind, 0, lanes)
    for lane in range(count):
        one = load(code, kind, advance(code, kind, place.address, str(lane), place.column))
        if lanes == 1:
            return one
        text = code.value(f"insertelement {found.type} {found.text}, {one.type} {one.text}, i64 {lane}")
        found = Lanes(code, kind, lanes, text)
    return found


def store_strided(value: Lanes, place: View, count: int) -> None:
    """Store the first `count` lanes as neighbouring columns: in pieces of 4, 2 and 1 lanes if it is not all of them."""
    code, kind = value.code, value.kind
    if place.column != "1":
        for lane in range(count):
            store(value.lane(lane), advance(code, kind, place.address, str(lane), place.column))
        return
    first, piece = 0, value.count
    while first < count:
        if first + piece > count:
            piece //= 2
            continue
        part = value if piece == value.count else value.shuffle(range(first, first + piece))
        store(part, advance(code, kind, place.address, str(first), "1"))
        first += piece
