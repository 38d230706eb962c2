"""Circles: groups of nodes that wait for each other, which no order of steps can serve.

What may enter: finding them. How groups are made and taken apart stands in `graphad.execute.native.fusion`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from graphad.execute.native.regions import NONE

if TYPE_CHECKING:
    from graphad.execute.native.fusion import Group, Grouping

    Unit: TypeAlias = Group | int
    """What is made as one: a group, or a node that is in none."""


def in_circles(grouping: Grouping) -> list[Group]:
    """Return the groups of more than one node that wait for each other in circles, or between two circles."""
    group_of, origins = grouping.group_of, grouping.origins
    reads: dict[Unit, set[Unit]] = {g: _units(grouping, g.sources) - {g} for g in grouping.alive()}
    for at, group in enumerate(group_of):
        if group is None and not grouping.views[at] and grouping.inputs[at]:
            reads[at] = _units(grouping, {o for k in grouping.inputs[at] if (o := origins[k]) != NONE})
    readers: dict[Unit, list[Unit]] = {}
    left = {unit: len(sources) for unit, sources in reads.items()}
    for unit, sources in reads.items():
        for source in sources:
            readers.setdefault(source, []).append(unit)
    ready = [unit for unit, count in left.items() if not count]
    ready += [source for source in readers if source not in left]
    while ready:
        for unit in readers.get(ready.pop(), ()):
            left[unit] -= 1
            if not left[unit]:
                ready.append(unit)
    stuck = {unit for unit, count in left.items() if count}
    # What only waits for a circle, and is in none, has no reader that is stuck.
    ends = [unit for unit in stuck if stuck.isdisjoint(readers.get(unit, ()))]
    while ends:
        unit = ends.pop()
        stuck.discard(unit)
        ends += [o for o in reads[unit] if o in stuck and stuck.isdisjoint(readers.get(o, ()))]
    return [unit for unit in stuck if not isinstance(unit, int) and len(unit.members) > 1]


def _units(grouping: Grouping, nodes: Iterable[int]) -> set[Unit]:
    """Return the groups that nodes are in, and those that are in none."""
    group_of = grouping.group_of
    return {group_of[at] or at for at in nodes}
