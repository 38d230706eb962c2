"""Ordering: an order of dependent tasks that needs little memory, and whether any order needs less.

`order_tasks` searches the sets of tasks that have run, from the bound that every order has (`graphad.plan.cuts`)
upwards: a state that promises more than the limit waits, and the limit only rises to the least that waits once nothing
else is left. So the first complete order is a best one. It begins without the small blocks, which decide little and
multiply the sets. Where the states are spent before, the limit is still a bound, and a beam search has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

from graphad.ir.frozen import frozen
from graphad.plan.cuts import Cuts
from graphad.plan.effort import BEAM, WORK
from graphad.plan.moves import Moves, State
from graphad.plan.tasks import Tasks, all_before, bits, peak_of, without_small

BEAM_WORK = 1_200
"""The beam is narrower for more tasks than this over `BEAM`."""

_STATE_WORK = 24
"""Work of reaching a state, and a unit more for so many tasks (`_TASKS_A_UNIT`)."""

_TASKS_A_UNIT = 100

_EDGE_WORK = 2
"""Work of building an edge of a network and of what flows through it."""

RESOLUTIONS = (500, 5_000, 0)
"""Blocks smaller than the peak over this are left out at first (0: none is): that settles nearly everything at once."""

_LINKS = 8
"""Tasks between two that may relate them, as far as it is looked into."""

CUTS = 32
"""Minimum cuts worked out for the bound at most."""


@frozen(slots=True)
class Ordering:
    """An order of tasks.

    Attributes:
        order: the tasks.
        peak: most bytes held while they run in this order.
        bound: no order has a lower peak than this.
        states: how many states were opened to find that out.
    """

    order: tuple[int, ...]
    peak: int
    bound: int
    states: int

    @property
    def optimal(self) -> bool:
        """Tell whether it is proven that no order has a lower peak."""
        return self.peak == self.bound


def order_tasks(tasks: Tasks, known: Sequence[int], beam: int = BEAM, work: int = WORK) -> Ordering:
    """Return the best order found, never above `known`, and a bound of all orders.

    Args:
        tasks: the problem.
        known: a valid order.
        beam: states that the beam search keeps for each number of tasks that have run; 0 for none.
        work: limit of the search for the best order, as `WORK` counts it.
    """
    best = list(known)
    peak = peak_of(tasks, known)
    if not known:
        return Ordering((), 0, 0, 0)
    opened = bound = 0
    for share in RESOLUTIONS:
        seen = without_small(tasks, peak // share) if share else tasks
        cuts = Cuts(seen, best, CUTS)
        bound = max(bound, cuts.bound)
        if peak == bound:
            break
        if peak_of(seen, best) <= bound:
            work -= _EDGE_WORK * cuts.work
            continue
        search = _Search(seen, cuts, bound, work)
        found = search.last
        opened += search.opened
        work -= search.work
        bound = max(bound, search.limit)
        if found is None:
            width = max(min(beam, BEAM_WORK // len(known)), 1)
            found = _beam_search(tasks, bound, peak, width) if beam else None
        if found is not None:
            order = found.path()
            here = peak_of(tasks, order)
            if here < peak:
                best, peak = order, here
        if search.last is None:
            break
    return Ordering(tuple(best), peak, bound, opened)


class _Search:
    """A search for an order of the lowest peak, depth first under a limit that rises.

    Attributes:
        limit: no order has a lower peak than this.
        last: the last state of an order of that peak; None where the states were spent before.
        opened: how many states were opened.
        reached: how many states were reached.
    """

    def __init__(self, tasks: Tasks, cuts: Cuts, bound: int, work: int) -> None:
        self.tasks, self.cuts, self.moves, self.near = tasks, cuts, Moves(tasks), _Near(tasks)
        self.limit = bound
        self.last: State | None = None
        self.opened = self.reached = 0
        self._seen: set[tuple[int, int]] = set()
        self._serial = 0
        self._waiting: list[tuple[int, int, State, int]] = []  # above the limit: a state and the task it waits to run
        self._stack: list[State] = []
        self._enter([self.moves.start(bound)])
        self._go(work)

    @property
    def work(self) -> int:
        """Return the work done so far."""
        state = _STATE_WORK + len(self.tasks.needs) // _TASKS_A_UNIT
        return _EDGE_WORK * self.cuts.work + state * self.reached

    def _go(self, work: int) -> None:
        count = len(self.tasks.needs)
        while True:
            while self._stack:
                state = self._stack.pop()
                if state.count == count:
                    self.last = state
                    return
                if self.work >= work:
                    return
                self.opened += 1
                self._enter(self._children(state, bits(state.ready)))
            if not self._waiting:
                return
            self._rise()

    def _rise(self) -> None:
        """Raise the limit to the least of what waits, and go on with that."""
        self.limit = self._waiting[0][0]
        entering: list[State] = []
        while self._waiting and self._waiting[0][0] <= self.limit:
            _, _, state, task = heappop(self._waiting)
            if task < 0:
                entering.append(state)
            else:
                entering += self._children(state, (task,))
        self._enter(entering)

    def _wait(self, least: int, state: State, task: int) -> None:
        self._serial += 1
        heappush(self._waiting, (least, self._serial, state, task))

    def _enter(self, states: list[State]) -> None:
        """Put states on the stack, the most promising on top; those that promise too much wait."""
        kept: list[tuple[int, int, State]] = []
        for state in states:
            promise = max(self.cuts.promise(state.done, self.limit), state.peak)
            if promise > self.limit:
                self._wait(promise, state, -1)
            else:
                kept.append((promise, state.held, state))
        kept.sort(key=lambda each: each[:2], reverse=True)
        self._stack += [state for _, _, state in kept]

    def _children(self, state: State, ready: Iterator[int] | Sequence[int]) -> list[State]:
        """Return the new states after each of these tasks; tasks that go above the limit wait."""
        found: list[State] = []
        for task in ready:
            peak = self.moves.peak_after(state, task)
            if peak > self.limit:
                self._wait(peak, state, task)
                continue
            child = self.moves.after(state, task, self.limit)
            self.reached += 1
            if not _lazy(self.tasks, self.near, state, child):
                continue
            key = (child.done, child.pending)
            if key not in self._seen and (child.done, 0) not in self._seen:
                self._seen.add(key)
                found.append(child)
        return found


def _lazy(tasks: Tasks, near: _Near, state: State, child: State) -> bool:
    """Tell whether nothing that only raised what is held ran before its time; clears `pending` where its time has come.

    A task that frees nothing may as well run after the next one, unless they are related: the next one waits for it, or
    what they share is freed or taken by one of them. So of the tasks of this kind that have run since the last of
    another kind (`pending`), each must be related to the one that ends them, directly or by way of others of them; and
    where they are not related to each other they need only be tried in one order.
    """
    task, before = child.ran[0], state.pending
    if child.pending:
        if before and not before & tasks.related[task] and (before >> task or near.apart(task, before, state.done)):
            return False
        if len(child.ran) == 1:
            return True
        before, ended = child.pending, child.ran[1:]
    else:
        ended = child.ran
    child.pending = 0
    if not before:
        return True
    reach = 0
    for other in ended:
        reach |= 1 << other
    rest, untouched = before, ~(child.done & ~(before | reach))
    grown = True
    while rest and grown:
        grown = False
        for other in bits(rest):
            if _related(tasks, other, reach, child.done, untouched):
                reach |= 1 << other
                rest ^= 1 << other
                grown = True
    return not rest


class _Near:
    """Which tasks can run, and be related to one another, before anything is freed."""

    def __init__(self, tasks: Tasks) -> None:
        self.related = tasks.related
        self.before = all_before(tasks)
        self.freeing = sum([1 << task for task in range(len(tasks.needs)) if not self._may_raise(tasks, task)])

    def apart(self, task: int, others: int, done: int) -> bool:
        """Tell whether nothing that is still to run relates a task to any of `others` before it has freed something.

        All that runs between only raises what is held, but for the last of it, and waits for nothing else. Where more
        than `_LINKS` are in between it is not known, and the answer no.
        """
        wanted = 0
        for other in bits(others):
            wanted |= self.related[other]
        blocked = self.freeing & ~done
        reached, edge = done | 1 << task, self.related[task]
        for _ in range(_LINKS):
            further = 0
            for each in bits(edge & ~reached):
                reached |= 1 << each
                if self.before[each] & blocked:
                    continue
                if wanted >> each & 1:
                    return False
                further |= self.related[each]
            if not further & ~reached:
                return True
            edge = further
        return False

    def _may_raise(self, tasks: Tasks, task: int) -> bool:
        """Tell whether there may be a moment at which a task leaves more held than before."""
        before, own = self.before[task], 1 << task
        change = 0
        for b in tasks.blocks[task]:
            touching = tasks.touching[b]
            if not touching & before:
                change += tasks.sizes[b]
            if not touching & ~(before | own):
                change -= tasks.sizes[b]
        return change > 0


def _related(tasks: Tasks, task: int, others: int, done: int, untouched: int) -> bool:
    """Tell whether any of `others` waits for a task, or shares a block with it that is taken or freed among them."""
    if not tasks.related[task] & others:
        return False
    needs = tasks.needs
    for other in bits(tasks.related[task] & others):
        if needs[other] >> task & 1 or needs[task] >> other & 1:
            return True
    for b in tasks.blocks[task]:
        touching = tasks.touching[b]
        if touching & others and (touching & done == touching or touching & untouched == touching):
            return True
    return False


def _beam_search(tasks: Tasks, bound: int, below: int, width: int) -> State | None:
    """Keep the `width` states with the lowest peaks of each size; the last state if below `below`."""
    count, moves = len(tasks.needs), Moves(tasks)
    first = moves.start(bound)
    levels: dict[int, dict[int, State]] = {first.count: {first.done: first}}
    for level in range(first.count, count):
        states = levels.pop(level, None)
        if states is None:
            continue
        for state in sorted(states.values(), key=lambda s: (s.peak, s.held, s.done))[:width]:
            for task in bits(state.ready):
                if moves.peak_after(state, task) >= below:
                    continue
                child = moves.after(state, task, bound)
                there = levels.setdefault(child.count, {})
                other = there.get(child.done)
                if child.peak < below and (other is None or child.peak < other.peak):
                    there[child.done] = child
    final = levels.get(count)
    return next(iter(final.values())) if final else None
