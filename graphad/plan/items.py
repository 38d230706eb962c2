"""Items: what may be given up and made again, in the order in which it is made."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from graphad.ir.frozen import field, frozen


@frozen(slots=True, eq=False)
class Items:
    """Items in the order they run; each makes one block. Items of one step run together the first time.

    Attributes:
        operands: the items each reads when it is made alone; earlier ones of its step are only read when it is made
            again.
        sizes: bytes of each item's block; 0 where it lies outside the memory that is limited.
        seconds: what running each costs.
        fixed: items that are never given up: results, and what must not run twice.
        overwrites: operands whose block an item may take over where they die there.
        steps: the first item of the step each belongs to, whose items follow each other; empty where each is a step.
        aside: bytes of the other items of its step, which are made as well when an item is made again; 0 where it can
            be made without them, and empty where all can.
        spared: seconds that the first run of its step takes less without an item; empty where all are 0.
        tied: whether the first run of its step makes it whether it is wanted or not; empty where none is.
    """

    operands: list[tuple[int, ...]]
    sizes: list[int]
    seconds: list[float]
    fixed: list[bool]
    overwrites: list[tuple[int, ...]]
    steps: list[int] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)
    spared: list[float] = field(default_factory=list)
    tied: list[bool] = field(default_factory=list)


@frozen(slots=True, eq=False)
class Links:
    """What reads what among items; all plays of them use it.

    Attributes:
        users: the items that read each, ascending.
        near: the items that read each, and those that it reads.
        first: position in `users` of the first use in the order: that of a later step.
    """

    users: list[list[int]]
    near: list[tuple[int, ...]]
    first: list[int]


def links_of(items: Items) -> Links:
    """Return what reads what."""
    count = len(items.sizes)
    users: list[list[int]] = [[] for _ in range(count)]
    for item, operands in enumerate(items.operands):
        for operand in dict.fromkeys(operands):
            users[operand].append(item)
    near = [(*found, *operands) for found, operands in zip(users, items.operands, strict=True)]
    last = list(range(count))  # of the step each belongs to
    for item in reversed(range(count - 1)):
        if items.steps and items.steps[item] == items.steps[item + 1]:
            last[item] = last[item + 1]
    return Links(users, near, [bisect_right(found, end) for found, end in zip(users, last, strict=True)])


def fullest(items: Items) -> int:
    """Return the item that runs when most bytes are held, where nothing is given up; -1 of none."""
    count = len(items.sizes)
    last = list(range(count))
    for item, operands in enumerate(items.operands):
        for operand in operands:
            last[operand] = item
    freed = [0] * count
    for item, size in enumerate(items.sizes):
        if not items.fixed[item]:
            freed[last[item]] += size
    held = np.cumsum(items.sizes) - np.cumsum(freed) + np.array(freed)
    return int(held.argmax()) if count else -1
