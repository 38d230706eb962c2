"""Packing: a strip of a matrix copied so that each step of a sum reads neighbouring numbers.

What may enter: the layouts that `panels` puts in scratch. A strip is `count` lines (rows of A or columns of B) by some
terms; packed, it is one row of `width` numbers for each term, the last ones zero where the width exceeds the count.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import Lanes, constant, element_type, load, store
from graphad.execute.native.register_tiles import advance
from graphad.ir.frozen import frozen


@frozen(slots=True)
class Strip:
    """The shape of a strip.

    Attributes:
        kind: "f32" or "f64".
        count, width: lines, and numbers for each term once packed.
        lanes: of the vectors to move it with.
        order: "lines" if neighbours in memory belong to neighbouring lines, "terms" if to neighbouring terms, else
            "none".
    """

    kind: str
    count: int
    width: int
    lanes: int
    order: str

    @property
    def name(self) -> str:
        """Return the name of the function that packs it."""
        return f"pack_{self.kind}_{self.count}in{self.width}_{self.lanes}_{self.order}"


def order_of(line_stride: int, term_stride: int, count: int) -> str:
    """Return the order of a strip of these strides."""
    if line_stride == 1 or count == 1:
        return "lines"
    return "terms" if term_stride == 1 else "none"


PARAMETERS = (
    ("ptr", "source"), ("i64", "line_stride"), ("i64", "term_stride"), ("i64", "terms"),
    ("ptr", "target"), ("i64", "strips"), ("i64", "step"),
)  # fmt: skip

TOGETHER = 8
"""Strips whose lines are neighbours and are copied together, so that whole cache lines are read at once."""


def pack(
    code: Code,
    strip: Strip,
    source: str,
    strides: tuple[str, str],
    terms: str,
    target: str,
    strips: str = "1",
    step: str = "0",
) -> None:
    """Call the function that packs strips, entering it into the module unless it is there.

    Args:
        code: where to write the call.
        strip: the shape of each.
        source, target: texts of addresses.
        strides: texts of the strides of lines and terms, in elements.
        terms: text of the number of terms.
        strips: text of how many strips, side by side in the source.
        step: text of the elements from one packed strip to the next.
    """
    if not code.module.has(strip.name):
        Writer(code.module, strip).write()
    given = (source, *strides, terms, target, strips, step)
    code.call("void", strip.name, [(type_, text) for (type_, _), text in zip(PARAMETERS, given, strict=True)])


class Writer:
    """Writes the function that packs strips of one shape."""

    def __init__(self, module: Module, strip: Strip) -> None:
        self.strip = strip
        self.code = module.function(strip.name, "void", PARAMETERS, "nounwind noinline optsize")
        self.from_ = self.to = ""

    def write(self) -> None:
        """Write the whole function."""
        code, strip = self.code, self.strip
        if strip.order == "lines":
            with code.loop("0", "%strips", TOGETHER) as first:
                limit = code.value(f"add i64 {first}, {TOGETHER}")
                inside = code.value(f"icmp slt i64 {limit}, %strips")
                stop = code.value(f"select i1 {inside}, i64 {limit}, i64 %strips")
                with code.loop("0", "%terms") as term, code.loop(first, stop) as number:
                    self.choose(number)
                    self.copy_term(term)
        else:
            with code.loop("0", "%strips") as number:
                self.choose(number)
                self.one_strip()
        code.line("ret void")

    def choose(self, number: str) -> None:
        """Write the addresses of a strip: of its source and of its target."""
        code, strip = self.code, self.strip
        lines = code.value(f"mul i64 {number}, {strip.count}")
        self.from_ = advance(code, strip.kind, "%source", lines, "%line_stride")
        self.to = advance(code, strip.kind, "%target", number, "%step")

    def one_strip(self) -> None:
        """Write the packing of a strip whose lines are not neighbours."""
        code, strip = self.code, self.strip
        if strip.order == "terms" and strip.lanes > 1:
            whole = code.value(f"and i64 %terms, {-strip.lanes}")
            with code.loop("0", whole, strip.lanes) as term:
                self.turn(term)
            with code.loop(whole, "%terms") as term:
                self.gather_term(term, "1")
        else:
            with code.loop("0", "%terms") as term:
                self.gather_term(term, "%term_stride")

    def source(self, line: int, term: str, term_stride: str) -> str:
        """Return the address of an element."""
        at = advance(self.code, self.strip.kind, self.from_, term, term_stride)
        return advance(self.code, self.strip.kind, at, str(line), "%line_stride")

    def target(self, term: str, line: int) -> str:
        """Return the address of a packed element."""
        at = advance(self.code, self.strip.kind, self.to, term, str(self.strip.width))
        return advance(self.code, self.strip.kind, at, str(line), "1")

    def zeros(self, term: str) -> None:
        """Fill up a term."""
        for line in range(self.strip.count, self.strip.width):
            self.code.line(f"store {element_type(self.strip.kind)} 0.0, ptr {self.target(term, line)}")

    def copy_term(self, term: str) -> None:
        """Copy one term whose lines are neighbours, in vectors as long as they last."""
        code, strip = self.code, self.strip
        at = advance(code, strip.kind, self.from_, term, "%term_stride")
        line, piece = 0, strip.lanes
        while line < strip.count:
            if line + piece > strip.count:
                piece //= 2
                continue
            store(load(code, strip.kind, advance(code, strip.kind, at, str(line), "1"), piece), self.target(term, line))
            line += piece
        self.zeros(term)

    def gather_term(self, term: str, term_stride: str) -> None:
        """Copy one term, number by number."""
        for line in range(self.strip.count):
            value = load(self.code, self.strip.kind, self.source(line, term, term_stride))
            store(value, self.target(term, line))
        self.zeros(term)

    def turn(self, term: str) -> None:
        """Copy as many terms as a vector has lanes: vectors along the terms are transposed in registers."""
        code, strip = self.code, self.strip
        for first in range(0, strip.width, strip.lanes):
            some = min(strip.lanes, strip.width - first)
            vectors = [
                load(code, strip.kind, self.source(first + i, term, "1"), strip.lanes)
                if first + i < strip.count
                else constant(code, strip.kind, 0.0, strip.lanes)
                for i in range(strip.lanes)
            ]
            for i, vector in enumerate(transposed(vectors)):
                at = self.target(code.value(f"add i64 {term}, {i}"), first)
                line, piece = 0, strip.lanes
                while line < some:
                    if line + piece > some:
                        piece //= 2
                        continue
                    part = vector if piece == strip.lanes else vector.shuffle(range(line, line + piece))
                    store(part, advance(code, strip.kind, at, str(line), "1"))
                    line += piece


def transposed(vectors: Sequence[Lanes]) -> list[Lanes]:
    """Transpose a square of vectors: lane i of vector j becomes lane j of vector i.

    First inside groups of 16 bytes, then groups against groups: each step is one instruction of the machine.
    """
    lanes = len(vectors)
    inner = min(16 // (4 if vectors[0].kind == "f32" else 8), lanes)
    grouped: list[list[Lanes]] = []
    for g in range(0, lanes, inner):
        grouped.append(transposed_groups(vectors[g : g + inner], inner))
    result: list[Lanes] = [vectors[0]] * lanes
    for j in range(inner):
        for q, vector in enumerate(transposed_blocks([group[j] for group in grouped], inner)):
            result[q * inner + j] = vector
    return result


def both(a: Lanes, b: Lanes, indices: Sequence[int]) -> Lanes:
    """Return lanes of a (0 ...) and b (count ...)."""
    mask = ", ".join(f"i32 {i}" for i in indices)
    text = a.code.value(f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(indices)} x i32> <{mask}>")
    return Lanes(a.code, a.kind, len(indices), text)


def transposed_groups(rows: Sequence[Lanes], inner: int) -> list[Lanes]:
    """Transpose `inner` vectors inside each of their groups of `inner` lanes."""
    if inner == 1:
        return list(rows)
    lanes = rows[0].count
    starts = range(0, lanes, inner)
    if inner == 2:
        a, b = rows
        return [both(a, b, [x for s in starts for x in (s + i, lanes + s + i)]) for i in (0, 1)]
    halves = []
    for a, b in (rows[:2], rows[2:]):
        for i in (0, 2):
            halves.append(both(a, b, [x for s in starts for x in (s + i, lanes + s + i, s + i + 1, lanes + s + i + 1)]))
    low_ab, high_ab, low_cd, high_cd = halves
    return [
        both(ab, cd, [x for s in starts for x in (s + i, s + i + 1, lanes + s + i, lanes + s + i + 1)])
        for ab, cd in ((low_ab, low_cd), (high_ab, high_cd))
        for i in (0, 2)
    ]


def transposed_blocks(rows: Sequence[Lanes], inner: int) -> list[Lanes]:
    """Transpose a square of blocks of `inner` lanes."""
    rows = list(rows)
    blocks, lanes = len(rows), rows[0].count
    distance = 1
    while distance < blocks:
        for i in range(blocks):
            if i & distance:
                continue
            a, b = rows[i], rows[i + distance]
            first: list[int] = []
            second: list[int] = []
            for q in range(blocks):
                partner = q ^ distance
                inside = range(inner)
                if q & distance:
                    first += [lanes + partner * inner + x for x in inside]
                    second += [lanes + q * inner + x for x in inside]
                else:
                    first += [q * inner + x for x in inside]
                    second += [partner * inner + x for x in inside]
            rows[i], rows[i + distance] = both(a, b, first), both(a, b, second)
        distance *= 2
    return rows
