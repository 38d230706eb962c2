"""Policies: which values to give up, and make again later, so that a fixed order of items stays within a limit.

The order is played as a cache: before an item runs, what it reads must be there; what was given up is made again, with
all it needs. Next uses are known, as in Belady's rule, but what a miss costs differs: the seconds to make a value
again, with everything on the way that has been given up as well. A policy weighs these seconds against the bytes that
are won and the time for which they are. A value that nothing reads any more stays while there is room: it may save
making others from further back. A `Preference` goes before what a policy says: what to hold over the fullest moment is
better chosen for all items together. So does a `Division`, where the items are a chain. No policy is best everywhere:
`cheapest` plays them all and keeps the cheapest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphad.ir.frozen import frozen
from graphad.plan.division import Division, chain_of
from graphad.plan.items import Items, Links, fullest, links_of
from graphad.plan.keeping import Preference


@frozen(slots=True)
class Play:
    """One way to run items within a limit.

    Attributes:
        order: the items as they run; what comes again is made again.
        runs: the number of the run that makes each: items of one step may be made together.
        extra: seconds of all runs but the first of each item.
        policy: the name of the policy.
        held: the most bytes held at a time: in any limit from here to the one it was played in, the policy plays like
            this; of more than `LARGE` items, and of a chain that was divided, the limit itself.
    """

    order: tuple[int, ...]
    runs: tuple[int, ...]
    extra: float
    policy: str
    held: int


@frozen(slots=True)
class Stuck:
    """Why a limit cannot be kept: while `item` runs, at least `needed` bytes are held by `held`."""

    item: int
    needed: int
    held: tuple[int, ...]


@frozen(slots=True)
class Dear:
    """A play that was broken off: it costs more than the `most` that was of interest."""

    most: float


LARGE = 2_000
"""Items beyond which a little more than needed is given up at a time, to save looking."""

_FAR = 16
"""How many values that are not there a price goes through: further prices are dearer to find, and no better."""

_GENERATIONS = 3
"""How far what is read no more is followed to what is."""

_SOON = 16
"""What is there and read within so many items will not be given up."""

Array = np.ndarray[Any, Any]


@frozen(slots=True)
class Policy:
    """What keeping a value is worth: ``seconds**a * (seconds + b * below)**c / (size**d * wait**e)``.

    `seconds` is what it takes to make it again, `below` what it takes to make what would have to be made from it,
    `size` its bytes, `wait` how many items run until it is read. The least is given up first.

    Attributes:
        alone: a.
        share: b.
        gap: c.
        size: d.
        wait: e.
    """

    alone: float
    share: float
    gap: float
    size: float
    wait: float

    def worth(self, seconds: Array, below: Array, sizes: Array, wait: Array) -> Array:
        """Return the worth of each value."""
        gap = (seconds + self.share * below) ** self.gap
        return np.asarray(seconds**self.alone * gap / (sizes**self.size * wait**self.wait))


POLICIES: dict[str, Policy] = {
    "steep": Policy(1.5, 1, 1.5, 1, 1.25),
    "by size": Policy(0.5, 0.25, 0.25, 1.25, 0.25),
    "by gap and wait": Policy(0, 2, 1, 0.75, 0.75),
    "by seconds": Policy(1, 2, 0.25, 0.5, 0.5),
    "by wait": Policy(1, 2, 0.5, 0.5, 1.25),
    "by gap": Policy(0, 1, 1, 1, 0.5),
}
"""By name: the six of 75 that together did best on chains and transformers under many limits, the best first."""

DIVIDING = "steep"
"""The policy that plays a chain that is divided: it gives up the rest."""


def cheapest(items: Items, limit: int, policies: Iterable[str] = tuple(POLICIES)) -> Play | Stuck:
    """Play all policies, and a chain as it is divided best, and return the cheapest play; Stuck where none keeps the
    limit.
    """
    best: Play | Stuck | None = None
    chain = chain_of(items, fullest(items))
    plays = [(name, None) for name in policies] + [(DIVIDING, chain)] * (chain is not None)
    for name, divided in plays:
        found = play_below(items, limit, name, np.inf, division=divided.division(limit) if divided else None)
        assert not isinstance(found, Dear)
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
    """Run the items in order within `limit` bytes, giving up what the policy of this name says."""
    found = play_below(items, limit, policy, np.inf)
    assert not isinstance(found, Dear)
    return found


def play_below(
    items: Items,
    limit: int,
    policy: str,
    most: float,
    preference: Preference | None = None,
    links: Links | None = None,
    division: Division | None = None,
) -> Play | Stuck | Dear:
    """Run the items as `play` does, but only as long as what is made again takes no more than `most` seconds.

    What a `preference` or a `division` says of an item goes before what the policy does. `links` are those of the
    items, once known.
    """
    return _Cache(items, links or links_of(items), limit, policy, preference, division).run(most)


class _Cache:
    """The state of one play."""

    def __init__(
        self,
        items: Items,
        links: Links,
        limit: int,
        policy: str,
        preference: Preference | None,
        division: Division | None,
    ) -> None:
        count = len(items.sizes)
        self.items, self.limit, self.name = items, limit, policy
        self.policy, self.preference, self.division = POLICIES[policy], preference, division
        self.users, self.near = links.users, links.near
        self.next = list(links.first)  # position in `users` of the next use in the order
        self.there = bytearray(count)
        self.wanted: dict[int, int] = {}  # reads still to come while something is made again; none is 0
        self.live = 0
        self.held = 0
        self.order: list[int] = []
        self.runs: list[int] = []
        self.dropped = 0  # items given up so far
        self.latest = -1  # the step of which something was made again last
        self.beside = 0  # bytes of what was made again in one run with that
        self.steps = items.steps or list(range(count))
        self.aside = items.aside or [0] * count
        self.spared = items.spared or [0.0] * count
        self.tied = items.tied or [False] * count
        self.read = bytearray(count)  # whether anything has read it: what nothing has need not have been made
        self.extra = 0.0
        self.ran = bytearray(count)
        self.sizes = np.array(items.sizes, np.float64)
        self.loose = bytearray(count)  # there, of some bytes, and not fixed
        self.known = bytearray(count)  # whether these prices hold:
        self.least = bytearray(count)  # whether they hold or are too low:
        # One flag at a time is set faster in a bytearray, all are read faster as an array of the same bytes.
        self.all_loose, self.all_least = np.frombuffer(self.loose, bool), np.frombuffer(self.least, bool)
        self.above, self.below, self.due = np.zeros(count), np.zeros(count), np.zeros(count, np.int64)
        self.now = 0
        self.never = 2 * count + 1
        self.chunk = limit // 64 if count > LARGE else 0
        self.lazy = int(count > LARGE)  # prices that can only have risen are not looked up until they matter

    def run(self, most: float) -> Play | Stuck | Dear:
        first, count = 0, len(self.steps)
        while first < count:
            end = first + 1
            while end < count and self.steps[end] == first:
                end += 1
            stuck = self._step(range(first, end))
            if stuck is not None:
                return stuck
            if self.extra > most:
                return Dear(most)
            first = end
        held = self.held if not self.chunk and self.division is None else self.limit
        name = self.name if self.division is None else "dividing"
        return Play(tuple(self.order), tuple(self.runs), self.extra, name, held)

    def _step(self, step: range) -> Stuck | None:
        """Run the items of a step for the first time, after what is missing of what they read."""
        now = self.now = step[-1]
        operands = self.items.operands
        reads = operands[now]
        if len(step) > 1:
            reads = tuple(dict.fromkeys([o for item in step for o in operands[item] if o < step[0]]))
        missing = self._missing(reads)
        if missing and self.division is not None:
            given_up = self.division.again(missing, reads, self.there)
            if given_up >= 0:
                self._drop(given_up)
                missing = self._missing(reads)
        for each in missing:
            self._want(operands[each])
        self._want(reads)
        for operand in reads:
            # From here on the uses by the step are those wanted.
            users, position = self.users[operand], self.next[operand]
            while position < len(users) and users[position] <= now:
                position += 1
            self.next[operand] = position
        for each in missing:
            if not self._make_again(each, now):
                return self._stuck(now, each)
            self._have(operands[each])
        # A step that gives all or nothing holds all that it has given while it runs.
        whole = step if any(self.tied[item] for item in step) else ()
        for each in step:
            if not self._make_room(each, now, 0):
                return self._stuck(now, each)
            self._add(each, each > step[0])
            if whole:
                self.wanted[each] = 1
        self._have(whole)
        self._have(reads)
        self.latest = -1
        return None

    def _want(self, items: Iterable[int]) -> None:
        wanted = self.wanted
        for item in items:
            wanted[item] = wanted.get(item, 0) + 1
            self.read[item] = 1

    def _have(self, items: Iterable[int]) -> None:
        wanted = self.wanted
        for item in items:
            if wanted[item] == 1:
                del wanted[item]
            else:
                wanted[item] -= 1

    def _stuck(self, now: int, item: int) -> Stuck:
        held = [k for k, there in enumerate(self.there) if there and self.items.sizes[k]]
        return Stuck(now, self.live + self.items.sizes[item] + self.aside[item], tuple(held))

    def _missing(self, reads: Iterable[int]) -> list[int]:
        """Return what must be made again for `reads` to be there, in an order in which it can."""
        operands, there = self.items.operands, self.there
        found: set[int] = set()
        stack = [o for o in reads if not there[o]]
        while stack:
            each = stack.pop()
            if each not in found:
                found.add(each)
                stack += [o for o in operands[each] if not there[o] and o not in found]
        for each in list(found):
            if self.aside[each]:
                found.update(self._as_well(each))
        return sorted(found)

    def _as_well(self, item: int) -> list[int]:
        """Return what else is made when an item is made again, is not there, and will be read."""
        steps, aside, step = self.steps, self.aside, self.steps[item]
        found = []
        k = step
        while k < len(steps) and steps[k] == step:
            if aside[k] and not self.there[k] and self.next[k] < len(self.users[k]):
                found.append(k)
            k += 1
        return found

    def _make_again(self, item: int, now: int) -> bool:
        """Make an item whose operands are there: together with the one before if both are of one step."""
        aside, dropped = self.aside[item], self.dropped
        beside = self.latest == self.steps[item]
        if not self._make_room(item, now, max(aside - self.beside, 0) if beside else aside):
            return False
        together = beside and dropped == self.dropped
        if not (together and aside):
            self.extra += self._seconds(item)
        self._add(item, together)
        self.beside = self.items.sizes[item] + (self.beside if together else 0)
        self.latest = self.steps[item]
        return True

    def _make_room(self, item: int, now: int, aside: int) -> bool:
        """Give up what must be for an item, and for `aside` bytes that are made as well."""
        items = self.items
        size = items.sizes[item]
        if not size:
            return True
        excess = self.live + size + aside - self.limit
        if excess > 0:
            # What is overwritten is given up without a moment in which both are there.
            taken = [o for o in items.overwrites[item] if items.sizes[o] == size and self._dies(o)]
            if not self._give_up(excess, now, taken[0] if taken else -1):
                return False
        self.held = max(self.held, self.live + size + aside)
        return True

    def _add(self, item: int, together: bool) -> None:
        """Let an item be there; `together` with the one before it, in one run."""
        size = self.items.sizes[item]
        self.runs.append(self.runs[-1] + (not together) if self.runs else 0)
        self.order.append(item)
        self.there[item] = 1
        self.live += size
        self.loose[item] = size > 0 and not self.items.fixed[item]
        self.ran[item] = 1
        self._changed(item, 0)

    def _dies(self, item: int) -> bool:
        """Tell whether nothing reads an item any more once one of the wanted reads is done."""
        return self.wanted.get(item) == 1 and self.next[item] == len(self.users[item]) and not self.items.fixed[item]

    def _drop(self, item: int) -> None:
        self.there[item] = 0
        self.loose[item] = 0
        self.dropped += 1
        self.live -= self.items.sizes[item]
        self._changed(item, self.lazy)

    def _give_up(self, excess: int, now: int, taken: int) -> bool:
        """Free at least `excess` bytes of what is there and not wanted now, or is `taken` over."""
        free = self.all_loose.copy()
        free[list(self.wanted)] = False
        if taken >= 0:
            free[taken] = True
        found = np.flatnonzero(free)
        sizes = self.sizes[found]
        if sizes.sum() < excess:
            return False
        for item in found[~self.all_least[found] | (self.due[found] <= now)].tolist():
            self._price(item)
        worth = self._worth(found, now)
        if len(found) > 8:
            excess = max(excess, self.chunk)
        freed = 0
        while freed < excess and freed < sizes.sum():
            k = int(worth.argmin())
            best = int(found[k])
            if not self.known[best]:
                # What was given up or made since may have raised its price.
                self._price(best)
                risen = float(self._worth(found[k : k + 1], now)[0])
                if risen > worth[k]:
                    worth[k] = risen
                    if int(worth.argmin()) != k:
                        continue
            worth[k] = np.inf
            freed += self.items.sizes[best]
            self._drop(best)
        return True

    def _worth(self, found: Array, now: int) -> Array:
        due = self.due[found]
        wait = np.maximum(due - now, 1)
        worth = self.policy.worth(self.above[found], self.below[found], self.sizes[found], wait)
        if self.preference is not None:
            worth *= self.preference.of(found, due, now)
        if self.division is not None:
            worth *= self.division.factors[found]
        return np.where(due < self.never, worth, 0.0)

    def _due(self, item: int) -> int:
        """Return when an item is read next; where nothing reads it any more, when what was made from it is."""
        if self.next[item] < len(self.users[item]):
            return self.users[item][self.next[item]]
        due = self.never
        stack, seen = [(item, 0)], {item}
        while stack:
            each, depth = stack.pop()
            if self.next[each] < len(self.users[each]):
                at = self.users[each][self.next[each]]
                if not self.there[each] or at - self.now > _SOON:
                    due = min(due, at)
            elif depth < _GENERATIONS:
                found = [user for user in self.users[each] if user not in seen and self.ran[user]]
                seen.update(found)
                stack += [(user, depth + 1) for user in found]
        return due

    def _seconds(self, item: int) -> float:
        """Return what it costs to make an item again, itself alone."""
        seconds = self.items.seconds[item]
        return seconds if self.read[item] else max(seconds - self.spared[item], 0.1 * seconds)

    def _price(self, item: int) -> None:
        """Find the seconds to make an item again now, those of what was given up and is made from it, and `_due`."""
        seconds, there, ran = self.items.seconds, self.there, self.ran
        above, below = self._seconds(item), 0.0
        seen: set[int] = set()
        stack = [o for o in self.items.operands[item] if not there[o]]
        while stack and len(seen) < _FAR:
            each = stack.pop()
            if each not in seen:
                seen.add(each)
                above += seconds[each]
                stack += [o for o in self.items.operands[each] if not there[o]]
        stack = list(self.users[item])
        most = len(seen) + _FAR
        while stack and len(seen) < most:
            each = stack.pop()
            if each not in seen and ran[each] and not there[each] and self.next[each] < len(self.users[each]):
                seen.add(each)
                below += seconds[each]
                stack += self.users[each]
        self.above[item], self.below[item], self.due[item] = above, below, self._due(item)
        self.known[item] = self.least[item] = 1

    def _changed(self, item: int, still_least: int) -> None:
        """Forget the prices that depend on whether an item is there: those next to it through what is not.

        They are `still_least` where it was given up, which makes no price lower.
        """
        known, least = self.known, self.least
        known[item] = least[item] = 0
        there, near = self.there, self.near
        seen = {item}
        stack = [*near[item]]
        while stack and len(seen) < 2 * _FAR:
            each = stack.pop()
            if each in seen:
                continue
            seen.add(each)
            known[each] = 0
            least[each] &= still_least
            if not there[each] and self.ran[each]:
                stack += near[each]
