"""Tiles: elements that are neighbours in memory and belong to different values of an unrolled nest.

One load a lane and value, or one store, is slow. As many values as there are lanes are read as that many rows, each one
vector, and turned; fewer values that fill their rows are read as one piece, and taken apart. What may enter: which
loads and stores go together, and the turning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphad.execute.native.lanes import Lanes
from graphad.execute.native.nest import Access, Indexed, Nest, access_of
from graphad.ir.frozen import frozen, replace

MOST_DENSE = 4
"""Values that are read or written as one piece: of more, each vector has lanes from too many."""


@frozen(slots=True)
class Tile:
    """Loads or stores that are made together.

    Attributes:
        members: instructions whose values lie one behind the other in memory.
        first: the access of the first of them.
        dense: the members fill the rows; else they are as many as there are lanes.
    """

    members: tuple[int, ...]
    first: Access | Indexed
    dense: bool


def load_tiles(nest: Nest) -> dict[int, Tile]:
    """Return the tile of each load that is in one."""
    loads = [(k, i.what, i.operands) for k, i in enumerate(nest.instructions) if i.along and access_of(i.what)]
    found: dict[int, Tile] = {}
    for tile in _tiles(nest, loads):
        for k in tile.members:
            found.setdefault(k, tile)
    return found


def store_tiles(nest: Nest) -> tuple[list[Tile], list[tuple[int, Access]]]:
    """Return the tiles of an unrolled nest's stores, and the stores that are in none."""
    tiles = _tiles(nest, [(k, access, ()) for k, access in nest.stores])
    inside = {
        replace(tile.first, offset=tile.first.offset + n)
        for tile in tiles
        for n in range(len(tile.members))
        if isinstance(tile.first, Access)
    }
    return tiles, [(k, access) for k, access in nest.stores if access not in inside]


def _tiles(nest: Nest, accesses: Iterable[tuple[int, Any, tuple[int, ...]]]) -> list[Tile]:
    """Return tiles of values that are read or written alike, but for the offset."""
    alike: dict[Any, dict[int, tuple[int, Any]]] = {}
    for k, what, operands in accesses:
        access = access_of(what)
        assert access is not None and nest.vector is not None
        stride = access.strides[nest.vector]
        if access.kind != "bool" and (stride not in (0, 1) or operands):
            key = (access.index, access.kind, stride, operands, what.steps if isinstance(what, Indexed) else ())
            alike.setdefault(key, {})[access.offset] = (k, what)
    found = []
    for (_, _, stride, operands, _), places in alike.items():
        for run in _runs(sorted(places)):
            if len(run) >= nest.lanes:
                starts = [*range(0, len(run) - nest.lanes, nest.lanes), len(run) - nest.lanes]
                pieces = [(run[s : s + nest.lanes], False) for s in starts]
            else:
                pieces = [(run, True)] if 1 < len(run) == stride <= MOST_DENSE and not operands else []
            for piece, dense in pieces:
                found.append(Tile(tuple([places[o][0] for o in piece]), places[piece[0]][1], dense))
    return found


def _runs(offsets: Sequence[int]) -> list[list[int]]:
    """Return ascending numbers in runs without a gap."""
    runs: list[list[int]] = []
    for offset in offsets:
        if runs and runs[-1][-1] == offset - 1:
            runs[-1].append(offset)
        else:
            runs.append([offset])
    return runs


def turned(rows: Sequence[Lanes]) -> list[Lanes]:
    """Return the columns of a square: lane i of row j becomes lane j of column i."""
    found = list(rows)
    step = 1
    while step < len(found):
        for k in range(len(found)):
            if not k & step:
                found[k], found[k + step] = _exchanged(found[k], found[k + step], step)
        step *= 2
    return found


def _exchanged(a: Lanes, b: Lanes, step: int) -> tuple[Lanes, Lanes]:
    """Exchange each second group of `step` lanes of one vector for the group before it of another."""
    n = a.count
    return (
        _chosen(a, b, [j if not j & step else n + j - step for j in range(n)]),
        _chosen(a, b, [j + step if not j & step else n + j for j in range(n)]),
    )


def _chosen(a: Lanes, b: Lanes, indices: Sequence[int]) -> Lanes:
    """Return lanes of two vectors, those of the second counted on from those of the first."""
    mask = ", ".join(f"i32 {i}" for i in indices)
    text = f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(indices)} x i32> <{mask}>"
    return Lanes(a.code, a.kind, len(indices), a.code.value(text))


def taken_apart(whole: Lanes, parts: int) -> list[Lanes]:
    """Return every `parts`-th lane of a vector, from the first, from the second, and so on."""
    return [whole.shuffle(range(k, whole.count, parts)) for k in range(parts)]


def put_together(parts: Sequence[Lanes]) -> Lanes:
    """Return the first lane of each of several vectors, then the second of each, and so on."""
    lanes, count = parts[0].count, len(parts)
    whole = parts[0]
    for part in parts[1:]:
        wide = part if part.count == whole.count else part.shuffle([*range(lanes), *[0] * (whole.count - lanes)])
        whole = _chosen(whole, wide, [*range(whole.count), *range(whole.count, whole.count + lanes)])
    return whole.shuffle([k * lanes + lane for lane in range(lanes) for k in range(count)])
