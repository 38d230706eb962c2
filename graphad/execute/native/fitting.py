"""Fitting: whether the loops of a group and of one that reads from it can be the same loops.

What may enter: what frames, reductions and costs say of two groups whose axes are paired.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphad.execute.native.kinds import CHEAP

if TYPE_CHECKING:
    from graphad.execute.native.fusion import Group, Grouping

LONGEST_SINGLE_ROW = 1 << 14
"""Elements of a frame that is all one row and yet goes through several passes: one thread runs it."""
MOST_PASSES = 4


def fitted(grouping: Grouping, source: Group, reader: Group, pairs: dict[int, int]) -> dict[int, int] | None:
    """Complete the pairing of two frames, or None where one loop nest cannot serve both."""
    if source.reduced is None and reader.reduced is None and len(source.frame) == len(reader.frame) == len(pairs):
        return pairs
    missing = [a for a in range(len(source.frame)) if a not in pairs]
    extra = [a for a in range(len(reader.frame)) if a not in set(pairs.values())]
    if missing:
        # The reader sees rows of the source. Its own further axes, if any, must be the reduced ones.
        if source.reduced is None or set(missing) - source.reduced:
            return None
        rows = set(range(len(source.frame))) - source.reduced
        if rows - pairs.keys() or len(missing) != len(source.reduced):
            return None
        if reader.reduced is not None and reader.reduced != set(extra):
            return None
        if extra:
            if [source.frame[a] for a in missing] != [reader.frame[a] for a in extra]:
                return None
            pairs = {**pairs, **dict(zip(missing, extra, strict=True))}
    elif extra:
        # The source's values are repeated along the extra axes.
        if source.reduced is not None:
            return None
        at_rows = reader.reduced is not None and not set(pairs.values()) & reader.reduced
        cheap = source.weight <= CHEAP and not grouping.seen_outside(source, reader)
        if not at_rows and not cheap:
            return None
        if grouping.seen_outside(source, reader) and not (reader.reduced is not None and reader.reduced == set(extra)):
            return None
    if source.reduced is not None and reader.reduced is not None:
        mapped = {pairs[a] for a in source.reduced if a in pairs}
        if mapped and mapped != reader.reduced:
            return None
        if not mapped and reader.reduced:
            return None
    return pairs if _affordable(source, reader, pairs) else None


def _affordable(source: Group, reader: Group, pairs: dict[int, int]) -> bool:
    """Tell whether the merged loops are not too slow: few passes, and enough rows to share where rows are long."""
    reduced = source.reduced is not None or reader.reduced is not None
    if not reduced:
        return True
    sizes = dict(enumerate(reader.frame))
    axes = set(sizes)
    new = [a for a in range(len(source.frame)) if a not in pairs]
    total = 1
    for n in [*reader.frame, *[source.frame[a] for a in new]]:
        total *= n
    dropped = reader.reduced
    if source.reduced is not None:
        dropped = frozenset(pairs.get(a, len(axes) + a) for a in source.reduced)
    assert dropped is not None
    passes = max(reader.depth, source.depth) + (source.depth and reader.depth)
    if passes >= MOST_PASSES:
        return False
    every = len(dropped) == len(reader.frame) + len(new)
    one_pass = not source.depth and reader.depth <= 1
    return not every or total <= LONGEST_SINGLE_ROW or one_pass
