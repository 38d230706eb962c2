"""Where the results of a product go: through an epilogue into one array or several.

What may enter: what generated products do with a tile of finished sums that are not simply stored. The sums lie in a
small buffer of their own, row after row, and a loop over its rows makes the results of each.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from graphad.execute.native.code import Code
from graphad.execute.native.lanes import Lanes, load
from graphad.execute.native.product_spec import Strides, flipped
from graphad.execute.native.register_tiles import Tile, View, advance, lanes_in, load_strided, store_strided


@dataclass(frozen=True, slots=True)
class End:
    """An array beside a product: its kind, and its strides (batch, row, column) in elements."""

    kind: str
    strides: Strides

    def text_of(self, axis: int) -> str:
        """Return the text of a stride that is in the code; "" for those that it is told at run time."""
        stride = self.strides[axis]
        return str(stride) if stride == 0 or (axis == 2 and stride == 1) else ""

    @property
    def text(self) -> str:
        """Return what tells its code apart, as part of a name."""
        return f"{self.kind}_{self.text_of(1) or 'n'}x{self.text_of(2) or 'n'}"


@dataclass(frozen=True, slots=True)
class Epilogue:
    """What becomes of the results of a product.

    Attributes:
        key: tells epilogues apart.
        operands: what it reads, each as large as the result, or the same along an axis of stride 0.
        results: what it writes, at least one.
        apply: writes and returns the results, given sums and as many elements of the operands at the same places, or
            one for all.
    """

    key: str
    operands: tuple[End, ...]
    results: tuple[End, ...]
    apply: Callable[[Lanes, Sequence[Lanes]], Sequence[Lanes]]

    @property
    def ends(self) -> tuple[End, ...]:
        """Return all arrays, in the order of their pointers: behind those of the product's operands."""
        return (*self.operands, *self.results)

    @property
    def name(self) -> str:
        """Return a name that only epilogues of equal code have, whatever the strides that it is told at run time."""
        text = "|".join([self.key, *(end.text for end in self.operands), ">", *(end.text for end in self.results)])
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def keeper(self, kind: str) -> int | None:
        """Return the number of the end that can hold sums of a kind until they are complete; None if none can."""
        first = len(self.operands)
        return next((first + k for k, end in enumerate(self.results) if end.kind == kind), None)

    def transposed(self) -> Epilogue:
        """Return the epilogue of the transposed product."""
        operands, results = (
            tuple([End(end.kind, flipped(end.strides)) for end in ends]) for ends in (self.operands, self.results)
        )
        return Epilogue(self.key, operands, results, self.apply)


@dataclass(frozen=True, slots=True)
class Ending:
    """An epilogue at a place of the result.

    Attributes:
        epilogue: what is done.
        places: the rest of each array.
        complete: text of an i1: false where more terms follow, so that the sums are only kept (`call_tiles` only).
    """

    epilogue: Epilogue
    places: tuple[View, ...]
    complete: str = "true"

    def at(self, code: Code, row: str, column: str) -> Ending:
        """Return the ending of the part of the result that begins at an element."""
        moved = [
            place.at(code, end.kind, row, column) for place, end in zip(self.places, self.epilogue.ends, strict=True)
        ]
        return Ending(self.epilogue, tuple(moved), self.complete)


def emit_ending(code: Code, tile: Tile, buffer: str, ending: Ending, skip: str) -> None:
    """Write the epilogue of a tile whose sums lie in a buffer, row by row but for the first `skip` rows (a text)."""
    with code.loop(skip, str(tile.rows)) as row:
        here = ending.at(code, row, "0")
        line = advance(code, tile.kind, buffer, row, str(tile.vectors * tile.lanes))
        for vector in range(tile.vectors):
            emit_vector(code, tile, line, vector, here)


def emit_vector(code: Code, tile: Tile, line: str, vector: int, ending: Ending) -> None:
    """Write the epilogue of one vector of a row of sums."""
    epilogue, count = ending.epilogue, lanes_in(tile, vector)
    first = str(vector * tile.lanes)
    places = [(end.kind, place) for place, end in zip(ending.at(code, "0", first).places, epilogue.ends, strict=True)]
    sums = load(code, tile.kind, advance(code, tile.kind, line, first, "1"), tile.lanes)
    many = len(epilogue.operands)
    operands = [load_strided(code, kind, tile.lanes, place, count) for kind, place in places[:many]]
    for (_, place), value in zip(places[many:], epilogue.apply(sums, operands), strict=True):
        store_strided(value, place, count)
