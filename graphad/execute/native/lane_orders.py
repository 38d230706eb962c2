"""Lanes in other orders: vectors transposed, interleaved, joined, gathered from single values."""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.lanes import Lanes, element_type


def turned(rows: Sequence[Lanes]) -> list[Lanes]:
    """Return the columns of as many vectors as each has lanes, a power of two."""
    lines = list(rows)
    lanes = lines[0].count
    half = 1
    while half < lanes:
        for k in range(lanes):
            if k & half:
                continue
            a, b = lines[k], lines[k + half]
            # Each keeps its lanes on the diagonal of the squares of `half` lanes, and takes the other's beside them.
            lines[k] = two(a, b, [i if not i & half else lanes + i - half for i in range(lanes)])
            lines[k + half] = two(a, b, [i + half if not i & half else lanes + i for i in range(lanes)])
        half *= 2
    return lines


def two(a: Lanes, b: Lanes, indices: Sequence[int]) -> Lanes:
    """Return the lanes at `indices` of a followed by b."""
    mask = ", ".join(f"i32 {i}" for i in indices)
    text = a.code.value(f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(indices)} x i32> <{mask}>")
    return Lanes(a.code, a.kind, len(indices), text)


def gathered(singles: Sequence[Lanes]) -> Lanes:
    """Return single values as the lanes of a vector."""
    first, count = singles[0], len(singles)
    if count == 1:
        return first
    wide = f"<{count} x {element_type(first.kind)}>"
    text = "poison"
    for i, single in enumerate(singles):
        text = first.code.value(f"insertelement {wide} {text}, {single.type} {single.text}, i64 {i}")
    return Lanes(first.code, first.kind, count, text)


def ramp(start: Lanes, step: int) -> Lanes:
    """Return start + step * lane."""
    if start.count == 1:
        return start
    items = ", ".join(f"i64 {k * step}" for k in range(start.count))
    steps = Lanes(start.code, "i64", start.count, f"<{items}>")
    return start + steps


def interleaved(parts: Sequence[Lanes]) -> Lanes:
    """Return lane 0 of every part, then lane 1 of every part, ..."""
    row, count = parts[0], parts[0].count
    for part in parts[1:]:
        row = joined(row, part)
    return row.shuffle([k * count + i for i in range(count) for k in range(len(parts))])


def joined(a: Lanes, b: Lanes) -> Lanes:
    """Return the lanes of a, then those of b."""
    if b.count < a.count:
        mask = ", ".join(f"i32 {i}" if i < b.count else "i32 poison" for i in range(a.count))
        text = a.code.value(f"shufflevector {b.type} {b.text}, {b.type} poison, <{a.count} x i32> <{mask}>")
        wide = Lanes(a.code, a.kind, a.count, text)
    else:
        wide = b
    mask = ", ".join(f"i32 {i}" for i in range(a.count + b.count))
    text = a.code.value(f"shufflevector {a.type} {a.text}, {a.type} {wide.text}, <{a.count + b.count} x i32> <{mask}>")
    return Lanes(a.code, a.kind, a.count + b.count, text)
