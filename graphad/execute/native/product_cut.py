"""How a generated product is cut: tiles, blocks of rows and of terms, panels of columns, what is copied.

What may enter: every decision that `panels` writes code for. Some are in the code (the shape of a tile, what is
packed), the others are numbers that the code is given (the lengths of blocks), so that products of other sizes run the
same code.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphad.execute.native.product_spec import Product

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

FEW_UNITS = 16
"""With fewer panels than this, the rows are cut into smaller blocks, so that there is something to share."""

INLINE_UP_TO = 24**3
"""Multiplications of a member up to which the tiles are written in line."""

FIXED_UP_TO = 12**3
"""Multiplications of a member up to which its sizes and strides are in the code: loops become straight lines."""

MANY_ROWS = 24
"""Rows from which on their number does not decide the shape of a tile."""


@dataclass(frozen=True, slots=True)
class Cut:
    """How a product is cut.

    Attributes:
        lanes: of a vector.
        rows, columns: of a tile.
        low: rows of the tiles that end a product whose rows are no multiple of `rows`; 0 if there are none.
        terms: of a block.
        block: rows of a block of rows, the parallel axis's; a multiple of `rows`.
        chunk: rows whose part of A stays in cache; a multiple of `rows`.
        group: panels of B that are packed together; 1: each when it is used.
        packs_a, packs_b: what is copied to scratch.
        fetches: each tile fetches the rows of A of the next one.
        fixed: the code is for these sizes and strides only.
        in_line: the tiles are written in line.
    """

    lanes: int
    rows: int
    columns: int
    low: int
    terms: int
    block: int
    chunk: int
    group: int
    packs_a: bool
    packs_b: bool
    fetches: bool
    fixed: bool
    in_line: bool

    def low_rows(self, m: int) -> int:
        """Return how many of m rows, the last ones, are those of low tiles.

        A tile of very few rows has too few sums to keep the processor busy: it shares the rows of the one before. A
        tile that reaches beyond the rows begins so much earlier, and drops what it computes again.
        """
        block = (m - 1) % self.block + 1
        many, left = divmod((block - 1) % self.chunk + 1, self.rows)
        if many and 0 < left <= 2 * self.low - self.rows:
            return self.rows + left
        return left if left <= self.low else 0


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


UNCOUNTED = 10_000
"""In place of many rows, where the shape of a tile is chosen."""


def choose_tile(p: Product, lanes: int, registers: int, fixed: bool) -> tuple[int, int, int]:
    """Return the rows and the vectors of a tile, and the rows of a low one."""
    many = p.m >= MANY_ROWS
    if many and p.n >= lanes * 4:
        rows, vectors = (12 if registers == 32 else 6), 2
    else:
        counted = UNCOUNTED if many and not fixed else max(p.m, 1)
        rows, vectors = best_tile(counted, max(p.n, 1), lanes, registers)
    if many and not fixed:
        low = -(-2 * rows // 3)
        return rows, vectors, low if low < rows else 0
    whole, left = divmod(p.m, rows)
    shared = rows + left
    evenly = whole > 0 and 0 < left <= rows // 3 and shared % 2 == 0
    return rows, vectors, shared // 2 if evenly else left


def choose_cut(p: Product, vector_bytes: int, split_terms: bool = True) -> Cut:
    """Return how to cut a product on a machine with vectors of so many bytes, and whether sums may wait in C."""
    item = 4 if p.kind == "f32" else 8
    lanes = vector_bytes // item
    while lanes > 1 and lanes // 2 >= p.n:
        lanes //= 2
    fixed, in_line = (p.m * p.n * p.k <= bound for bound in (FIXED_UP_TO, INLINE_UP_TO))
    registers, room = (32, BEYOND_FIRST_LEVEL) if vector_bytes == 64 else (16, FIRST_LEVEL)
    rows, vectors, low = choose_tile(p, lanes, registers, fixed)
    most = room // ((rows + lanes * vectors) * item)
    terms = p.k if in_line or not split_terms else even_share(p.k, most, 8)
    panels = -(-p.n // (lanes * vectors))
    pieces = max(FEW_UNITS // max(panels * p.batch, 1), 1)
    block = max(even_share(p.m, -(-p.m // pieces), rows), 4 * rows)
    chunk = block if in_line else min(even_share(block, max(SECOND_LEVEL // max(terms * item, 1), rows), rows), block)
    panel = max(terms * lanes * vectors * item, 1)
    group = panels if panels * panel <= PACKED_AT_ONCE else 1
    if chunk < min(block, p.m):
        group = max(PACKED // panel, 1)
    reuse = -(-min(p.m, block) // rows)
    packs_b = not (p.strides_b[2] == 1 or p.n == 1) or (not in_line and (reuse > 2 or p.m >= MANY_ROWS))
    packs_a = not in_line and panels >= (MANY_PANELS if p.strides_a[2] == 1 else SOME_PANELS)
    fetches = not in_line and not packs_a and p.strides_a[2] == 1 and p.k <= terms and p.k * item <= SHORT_ROWS
    return Cut(lanes, rows, lanes * vectors, low, terms, block, chunk, group, packs_a, packs_b, fetches, fixed, in_line)


def even_share(length: int, most: int, multiple: int) -> int:
    """Return the length of equal parts of at most about `most`, as a multiple of something; at least one multiple."""
    parts = max(-(-length // max(most, 1)), 1)
    return max(-(-length // (parts * multiple)), 1) * multiple
