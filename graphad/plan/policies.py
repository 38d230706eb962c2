"""Policies: which values to give up, and make again later, so that a fixed order of items stays within a limit.

The order is played as a cache: before an item runs, what it reads must be there; what was given up is made again, with
all it needs. Next uses are known, as in Belady's rule, but what a miss costs differs: the seconds to make a value
again, with everything on the way that has been given up as well. A policy weighs these seconds against the bytes that
are won and the time for which they are. A value that nothing reads any more stays while there is room: it may save
making others from further back. No policy is best everywhere: `cheapest` plays them all and keeps the cheapest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush


@dataclass(frozen=True, slots=True, eq=False)
class Items:
    """Items in the order they run; each makes one block.

    Attributes:
        operands: the items each reads.
        sizes: bytes of each item's block; 0 where it lies outside the memory that is limited.
        seconds: what running each costs.
        fixed: items that are never given up: results, and what must not run twice.
        overwrites: operands whose block an item may take over where they die there.
    """

    operands: list[tuple[int, ...]]
    sizes: list[int]
    seconds: list[float]
    fixed: list[bool]
    overwrites: list[tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Play:
    """One way to run items within a limit.

    Attributes:
        order: the items as they run; what comes again is made again.
        extra: seconds of all runs but the first of each item.
        policy: the name of the policy.
    """

    order: tuple[int, ...]
    extra: float
    policy: str


@dataclass(frozen=True, slots=True)
class Stuck:
    """Why a limit cannot be kept: while `item` runs, at least `needed` bytes are held by `held`."""

    item: int
    needed: int
    held: tuple[int, ...]


LARGE = 1_000
"""Items beyond which a little more than needed is given up at a time, to save looking, and prices are rough."""

_FAR = 32
"""How many values that are not there a rough price goes through."""

_GENERATIONS = 3
"""How far what is read no more is followed to what is."""

_SOON = 16
"""What is there and read within so many items will not be given up."""

Score = Callable[[float, int, int, float], float]
"""From seconds to make a value again, bytes, items until its next use, seconds of what would have to be made from it:
what keeping it is worth; the least is given up first.
"""

POLICIES: dict[str, Score] = {
    "gap a byte, root of wait": lambda seconds, size, wait, below: (seconds + below) / (size * wait**0.5),
    "seconds a byte": lambda seconds, size, wait, below: seconds / size,
    "half gap a byte, root of wait": lambda seconds, size, wait, below: (seconds + 0.5 * below) / (size * wait**0.5),
    "seconds a byte, root of wait": lambda seconds, size, wait, below: seconds / (size * wait**0.5),
    "uneven gaps": lambda seconds, size, wait, below: seconds * (seconds + below) ** 0.5 / (size * wait),
    "squared seconds": lambda seconds, size, wait, below: seconds**2 / (size * wait**0.5),
}
"""By name. The roots and products are what comes closest to binomial checkpointing on chains (Griewank & Walther)."""


def cheapest(items: Items, limit: int, policies: Iterable[str] = tuple(POLICIES)) -> Play | Stuck:
    """Play all policies and return the cheapest play; Stuck where none keeps the limit."""
    best: Play | Stuck | None = None
    for name in policies:
        found = play(items, limit, name)
        if isinstance(found, Play):
            if not isinstance(best, Play) or found.extra < best.extra:
                best = found
            if not found.extra:
                break
        elif best is None or (isinstance(best, Stuck) and found.needed < best.needed):
            best = found
    assert best is not None
    return best


def play(items: Items, limit: int, policy: str) -> Play | Stuck:
    """Run the items in order within `limit` bytes, giving up what `policy` says."""
    return _Cache(items, limit, policy).run()


class _Cache:
    """The state of one play."""

    def __init__(self, items: Items, limit: int, policy: str) -> None:
        count = len(items.sizes)
        self.items, self.limit, self.policy = items, limit, policy
        self.score = POLICIES[policy]
        self.users: list[list[int]] = [[] for _ in range(count)]
        for item, operands in enumerate(items.operands):
            for operand in dict.fromkeys(operands):
                self.users[operand].append(item)
        self.next = [0] * count  # position in `users` of the next use in the order
        self.there = bytearray(count)
        self.wanted = [0] * count  # reads still to come while something is made again
        self.held: dict[int, None] = {}  # what is there and has bytes, in the order it was made
        self.live = 0
        self.order: list[int] = []
        self.extra = 0.0
        self.ran = bytearray(count)
        self.known: dict[int, tuple[float, float, int]] = {}
        self.now = 0
        self.never = 2 * count + 1
        self.chunk = limit // 64 if count > LARGE else 0
        self.far = _FAR if count > LARGE else count

    def run(self) -> Play | Stuck:
        for item in range(len(self.items.sizes)):
            stuck = self._step(item)
            if stuck is not None:
                return stuck
        return Play(tuple(self.order), self.extra, self.policy)

    def _step(self, item: int) -> Stuck | None:
        self.now = item
        batch = [*self._missing(item), item]
        operands, wanted = self.items.operands, self.wanted
        for each in batch:
            for operand in operands[each]:
                wanted[operand] += 1
        for operand in dict.fromkeys(operands[item]):
            self.next[operand] += 1  # from here on the use by `item` is one of those wanted
        for each in batch:
            if not self._make(each, item):
                needed = self.live + self.items.sizes[each]
                return Stuck(item, needed, tuple(self.held))
        return None

    def _missing(self, item: int) -> list[int]:
        """Return what must be made again before `item` can run, in an order in which it can."""
        operands, there = self.items.operands, self.there
        found: set[int] = set()
        stack = [o for o in operands[item] if not there[o]]
        while stack:
            each = stack.pop()
            if each not in found:
                found.add(each)
                stack += [o for o in operands[each] if not there[o] and o not in found]
        return sorted(found)

    def _make(self, item: int, now: int) -> bool:
        items = self.items
        operands, size = items.operands[item], items.sizes[item]
        excess = self.live + size - self.limit
        if size and excess > 0:
            # What is overwritten is given up without a moment in which both are there.
            taken = [o for o in items.overwrites[item] if items.sizes[o] == size and self._dies(o, operands.count(o))]
            if not self._give_up(excess, now, taken[0] if taken else -1):
                return False
        self.order.append(item)
        if self.ran[item]:
            self.extra += items.seconds[item]
        self.ran[item] = 1
        self.there[item] = 1
        self.live += size
        if size:
            self.held[item] = None
        self._changed(item)
        for operand in operands:
            self.wanted[operand] -= 1
        return True

    def _dies(self, item: int, reads: int) -> bool:
        """Tell whether nothing reads an item any more once `reads` of the wanted reads are done."""
        return self.wanted[item] == reads and self.next[item] == len(self.users[item]) and not self.items.fixed[item]

    def _drop(self, item: int) -> None:
        self.there[item] = 0
        if self.items.sizes[item]:
            self.live -= self.items.sizes[item]
            del self.held[item]

    def _give_up(self, excess: int, now: int, taken: int) -> bool:
        """Free at least `excess` bytes of what is there and not wanted now, or is `taken` over."""
        sizes, fixed, wanted, score = self.items.sizes, self.items.fixed, self.wanted, self.score
        candidates: list[tuple[float, int]] = []
        for item in self.held:
            if (wanted[item] and item != taken) or fixed[item]:
                continue
            above, below, due = self.known.get(item) or self._price(item)
            if due <= now and item != taken:
                above, below, due = self._price(item)
            worth = score(above, sizes[item], max(due - now, 1), below) if due < self.never else 0.0
            candidates.append((worth, item))
        if sum([sizes[item] for _, item in candidates]) < excess:
            return False
        if len(candidates) > 8:
            excess = max(excess, self.chunk)
        heapify(candidates)
        freed = 0
        while freed < excess and candidates:
            worth, best = heappop(candidates)
            # What was given up since may have raised its price.
            above, below, due = self.known.get(best) or self._price(best)
            risen = score(above, sizes[best], max(due - now, 1), below) if due < self.never else 0.0
            if candidates and risen > worth and risen > candidates[0][0]:
                heappush(candidates, (risen, best))
                continue
            freed += sizes[best]
            self._drop(best)
            self._changed(best)
        return True

    def _due(self, item: int) -> int:
        """Return when an item is read next; where nothing reads it any more, when what was made from it is."""
        due = self.never
        stack, seen = [(item, 0)], {item}
        while stack:
            each, depth = stack.pop()
            if self.next[each] < len(self.users[each]):
                at = self.users[each][self.next[each]]
                if each == item or not self.there[each] or at - self.now > _SOON:
                    due = min(due, at)
            elif depth < _GENERATIONS:
                found = [user for user in self.users[each] if user not in seen and self.ran[user]]
                seen.update(found)
                stack += [(user, depth + 1) for user in found]
        return due

    def _price(self, item: int) -> tuple[float, float, int]:
        """Return the seconds to make an item again now, those of what was given up and is made from it, and `_due`."""
        seconds, there, ran = self.items.seconds, self.there, self.ran
        above, below = seconds[item], 0.0
        seen: set[int] = set()
        stack = [o for o in self.items.operands[item] if not there[o]]
        while stack and len(seen) < self.far:
            each = stack.pop()
            if each not in seen:
                seen.add(each)
                above += seconds[each]
                stack += [o for o in self.items.operands[each] if not there[o]]
        stack = list(self.users[item])
        most = len(seen) + self.far
        while stack and len(seen) < most:
            each = stack.pop()
            if each not in seen and ran[each] and not there[each] and self.next[each] < len(self.users[each]):
                seen.add(each)
                below += seconds[each]
                stack += self.users[each]
        found = self.known[item] = above, below, self._due(item)
        return found

    def _changed(self, item: int) -> None:
        """Forget the prices that depend on whether an item is there: those next to it through what is not."""
        known = self.known
        known.pop(item, None)
        if not known:
            return
        there, users, operands = self.there, self.users, self.items.operands
        seen = {item}
        stack = [*users[item], *operands[item]]
        while stack and len(seen) < 2 * self.far:
            each = stack.pop()
            if each in seen:
                continue
            seen.add(each)
            known.pop(each, None)
            if not there[each] and self.ran[each]:
                stack += [*users[each], *operands[each]]
