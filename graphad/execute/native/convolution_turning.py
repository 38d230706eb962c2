"""Transposing a square of lanes in registers."""

from __future__ import annotations

from collections.abc import Sequence

from graphad.execute.native.lanes import Lanes


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
