"""Keeping: what is worth holding at the fullest moment of an order, when the rest is made again after it.

At that moment each item that is read later on is there, or is made again from items that are. The cheapest choice, at
a price in seconds for a byte, is a minimum cut (Picard, "Maximal closure of a graph and applications to combinatorial
problems", 1976). The price is a Lagrange multiplier (Everett, "Generalized Lagrange multiplier method for solving
problems of optimum allocation of resources", 1963): choices at rising prices hold less and less, and the two on either
side of the room there is tell what to keep, what to give up, and what may be either.

Items that are made again need room as well, which the choice does not see: it is a preference, for policies to follow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphad.ir.frozen import frozen
from graphad.plan.flow import Network
from graphad.plan.items import Items, fullest

Array = np.ndarray[Any, Any]

STRONG = 1e6
"""Times that what is to be kept is worth more than what may be either, and that more than what is to be given up."""

TIE = 0.02
"""Relative difference in cost up to which choices cost the same."""

_SECOND = 1e12
"""Units of a network's edges in a second."""


@frozen(slots=True, eq=False)
class Preference:
    """What to keep until it is read after an item.

    Attributes:
        turn: the item; what is read before is not of interest.
        factors: by item, times that keeping it is worth more.
    """

    turn: int
    factors: Array

    def of(self, found: Array, due: Array, now: int) -> Array:
        """Return the factors of items that are read next when they are `due`; none is below 1 after the turn."""
        factors = np.where(due > self.turn, self.factors[found], 1.0)
        return np.maximum(factors, 1.0) if now > self.turn else factors


@frozen(slots=True, eq=False)
class _Choice:
    """Items that are kept, with their bytes, and the seconds that making the others again takes."""

    kept: frozenset[int]
    size: int
    seconds: float

    def at(self, price: float) -> float:
        """Return what it costs at a price in seconds for a byte."""
        return self.seconds + price * self.size


class Keeping:
    """The choices for one list of items, found as they are asked for.

    Attributes:
        turn: the item that runs at the fullest moment.
    """

    def __init__(self, items: Items) -> None:
        self.items = items
        self.turn = fullest(items)
        self._there = {self.turn, *items.operands[self.turn]} if items.sizes else set()
        count = len(items.sizes)
        reads = {o for item in range(self.turn + 1, count) for o in items.operands[item] if o <= self.turn}
        self._needed = sorted(reads)
        self._choices = [self._choice(frozenset(self._needed), ())]  # by falling size
        self._adjacent: set[tuple[int, int]] = set()
        self._preferences: dict[tuple[int, int], Preference] = {}

    def preference(self, room: int) -> Preference:
        """Return what to keep where there is room for so many bytes."""
        choices = self._choices
        if len(choices) == 1:
            choices.append(self._cheapest(1.0 + sum(self.items.seconds)))
        while True:
            at = next((k for k, choice in enumerate(choices) if choice.size <= room), len(choices))
            more, less = choices[max(at - 1, 0)], choices[min(at, len(choices) - 1)]
            key = id(more), id(less)
            if more is less or key in self._adjacent:
                break
            price = max(less.seconds - more.seconds, 0.0) / (more.size - less.size)
            between = self._cheapest(price)
            # What costs the same at this price may be kept or not: policies choose among it.
            cheaper = between.at(price) < more.at(price) * (1 - TIE)
            if cheaper and less.size < between.size < more.size:
                choices.insert(at, between)
            else:
                self._adjacent.add(key)
        if key not in self._preferences:
            factors = np.ones(len(self.items.sizes))
            factors[: self.turn + 1] = 1 / STRONG
            factors[list(more.kept)] = 1.0
            factors[list(less.kept)] = STRONG
            self._preferences[key] = Preference(self.turn, factors)
        return self._preferences[key]

    def _cheapest(self, price: float) -> _Choice:
        """Return the choice that costs least, at a price in seconds for a byte.

        An item is wanted on the source's side of its first edge, and made again on that of its second.
        """
        operands, seconds = self.items.operands, self.items.seconds
        network = Network()
        wanted: dict[int, int] = {}
        stack = list(self._needed)
        while stack:
            item = stack.pop()
            if item not in wanted:
                wanted[item] = network.node()
                stack += operands[item]
        again = {item: network.node() for item in wanted}
        for item in self._needed:
            network.bond(network.source, wanted[item])
        for item, number in wanted.items():
            network.edge(number, again[item], round(self._size(item) * price * _SECOND))
            network.edge(again[item], network.sink, max(round(seconds[item] * _SECOND), 1))
            for operand in operands[item]:
                network.bond(again[item], wanted[operand])
        network.flow()
        beyond = network.beyond()
        kept = frozenset([item for item in wanted if not beyond[wanted[item]] and beyond[again[item]]])
        return self._choice(kept, [item for item in wanted if not beyond[again[item]]])

    def _choice(self, kept: frozenset[int], again: Any) -> _Choice:
        return _Choice(kept, sum(map(self._size, kept)), sum([self.items.seconds[item] for item in again]))

    def _size(self, item: int) -> int:
        """Return the bytes that keeping an item takes: none of what is never given up, and what is there anyway."""
        return 0 if self.items.fixed[item] or item in self._there else self.items.sizes[item]
