"""Items: what may be given up and made again, in the order in which it is made."""

from __future__ import annotations

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
