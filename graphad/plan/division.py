"""Division: which values of a chain to hold, while it is made again and again, so that it is divided best.

A value that alone of all before it is read behind it is a *cut*. A graph of cuts that follow each other, layer after
layer, is a chain to whoever makes it again: a stretch is run from the cut before it, and holds some cuts on the way, so
that what is behind these is gone back through first. Where to hold is found by dynamic programming, as in Griewank &
Walther, "Algorithm 799: revolve" (2000), in slots: a step forward holds what it reads and what it makes, a step back
overwrites the last and reads what it goes back through and what that was made from.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from graphad.ir.frozen import frozen
from graphad.plan.items import Items

Array = np.ndarray[Any, Any]

FEWEST, MOST = 6, 100
"""Cuts of a chain that is worth dividing, and that is quick to divide: the effort grows with their square."""

MOST_SLOTS = 16
"""Slots that a division tells apart."""

WEAK = 1e-6
"""Times that a cut is worth less than other values where it is not to be held."""

_NONE_FITS = 10**9


@frozen(slots=True, eq=False)
class Chain:
    """A chain among items.

    Attributes:
        cuts: the cuts that are read when the chain is gone back through, ascending.
        size: bytes of the largest.
        beside: bytes that are held beside cuts, as an estimate: what is never given up, and what is read of a stretch
            between two cuts, as most have it.
        count: number of all items.
    """

    cuts: tuple[int, ...]
    size: int
    beside: int
    count: int

    def division(self, limit: int) -> Division:
        """Return what to hold within so many bytes, before anything has run."""
        return Division(self, max((limit - self.beside) // self.size - 1, 0))


def chain_of(items: Items, turn: int) -> Chain | None:
    """Return the chain that is gone back through from about the item `turn` on; None where there is none."""
    cuts, inside = max([_cuts_before(items, stop) for stop in (turn, turn + 1)], key=lambda found: len(found[0]))
    if not FEWEST <= len(cuts) <= MOST:
        return None
    never = sum([size for size, fixed in zip(items.sizes[:turn], items.fixed, strict=False) if fixed])
    return Chain(tuple(cuts), max([items.sizes[item] for item in cuts]), inside + never, len(items.sizes))


def _cuts_before(items: Items, stop: int) -> tuple[list[int], int]:
    """Return the cuts among the items before one, and the median of bytes between two that are read from it on."""
    last = list(range(len(items.sizes)))  # reader before `stop`
    later = [False] * len(items.sizes)
    for item, operands in enumerate(items.operands):
        for operand in operands:
            if item < stop:
                last[operand] = item
            else:
                later[operand] = True
    cuts: list[int] = []
    between: list[int] = []
    inside = reach = 0
    for item in range(stop):
        size = 0 if items.fixed[item] else items.sizes[item]
        if size and later[item] and reach <= item:
            cuts.append(item)
            between.append(inside)
            inside = 0
        elif later[item]:
            inside += size
        if not items.fixed[item]:
            reach = max(reach, last[item])
    return cuts, statistics.median_low(between) if between else 0


class Division:
    """The cuts that one play holds.

    Attributes:
        factors: by item, times that it is worth more than a policy says.
    """

    def __init__(self, chain: Chain, slots: int) -> None:
        self.cuts, self.slots = chain.cuts, slots
        self.factors = np.ones(chain.count)
        self._place = {item: k for k, item in enumerate(chain.cuts)}
        self._held = [False] * len(chain.cuts)
        self._hold(0, len(chain.cuts), end_held=False)

    def again(self, missing: Sequence[int], reads: Iterable[int], there: Sequence[int]) -> int:
        """Divide the stretch of what is missing, and is made again for an item that reads `reads`.

        Returns the cut at its end if that is to be given up and made again as well; -1 if it is not.
        """
        places = [self._place[item] for item in missing if item in self._place]
        ends = [self._place[item] for item in reads if item in self._place]
        if not places or not ends or max(ends) < places[0]:
            return -1
        first, end = places[0], max(ends)
        end_held = bool(there[self.cuts[end]])
        stays = self._hold(first, end + 1, end_held)
        return self.cuts[end] if end_held and not stays else -1

    def _hold(self, first: int, stop: int, end_held: bool) -> bool:
        """Hold cuts of the stretch ``first <= k < stop``, and none behind it; returns whether its last one stays."""
        slots = self.slots - sum(self._held[:first])
        self._held[first:] = [False] * (len(self._held) - first)
        at = first
        while stop - at > 1:
            ahead, end_held = _divided(stop - at, min(slots, MOST_SLOTS), end_held)
            if not ahead:
                break
            at, slots = at + ahead, slots - 1
            self._held[at - 1] = True
        self._held[stop - 1] |= end_held
        self.factors[list(self.cuts)] = np.where(self._held, 1.0, WEAK)
        return end_held


def _divided(length: int, slots: int, end_held: bool) -> tuple[int, bool]:
    """Return how far to go before a cut is held, 0 for no further; and whether the end stays."""
    _, ahead, stays = _reversed(length, max(slots, 0), end_held)
    return ahead, stays


@cache
def _reversed(length: int, slots: int, end_held: bool) -> tuple[int, int, bool]:
    """Return the steps forward that going back takes, from the beginning of a stretch, and what `_divided` does."""
    if length <= 1:
        return 0 if end_held or not length else 1 if slots else _NONE_FITS, 0, end_held
    best, chosen = _NONE_FITS, 0
    for ahead in range(1, length):
        if slots - end_held >= min(ahead, 2):
            behind = _reversed(length - ahead, slots - 1, end_held)[0]
            steps = ahead + behind + _reversed(ahead, slots, True)[0]
            if steps < best:
                best, chosen = steps, ahead
    if end_held:
        without = _reversed(length, slots, False)
        if without[0] < best:
            return without
    return best, chosen, end_held
