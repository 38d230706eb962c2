"""Ordering: an order of dependent tasks that needs little memory, and whether any order needs less.

The problem is abstract: tasks are numbered in some valid order, memory is blocks; a block is held from the first task
that touches it until all that touch it have run. What is held is then a function of the set of tasks that have run, and
a submodular one, from which the free move follows: a task that leaves no more held than before may always run now if
its transient stays under a peak that is reached anyhow. The same holds of a run of tasks that each wait for the one
before, as soon as it leaves no more held than at its start.

`order_tasks` takes the better of a beam search and what it is given, and where that is above the lower bound searches
best-first over the sets of tasks that have run (sets are integers, a bit a task) until the best order is found or the
states are spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

BEAM = 8
"""States kept for each number of tasks that have run."""

STATES = 6_000
"""States that the best-first search opens at most: about a second for the hundreds of tasks it is meant for."""

WATCHED = 48
"""Tasks, those that need most, whose need is worked out anew for each state."""

_RUN_LENGTH = 6
"""Tasks that each wait for the one before, looked at for a free run."""


@dataclass(frozen=True, slots=True, eq=False)
class Tasks:
    """Tasks and the memory they touch.

    Attributes:
        needs: bits of the tasks that each task waits for.
        followers: the tasks that wait for each task.
        blocks: the blocks each task touches.
        sizes: bytes of each block.
        touching: bits of the tasks that touch each block.
        reusable: of each task, the blocks that what it makes may take over where they die there.
        block_bits: bits of the blocks each task touches.
        related: bits of the tasks that each task waits for, that wait for it, or that touch a block of it.
    """

    needs: list[int]
    followers: list[tuple[int, ...]]
    blocks: list[tuple[int, ...]]
    sizes: list[int]
    touching: list[int]
    reusable: list[tuple[int, ...]]
    block_bits: list[int]
    related: list[int]


@dataclass(frozen=True, slots=True)
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


@dataclass(slots=True, eq=False)
class _State:
    """A set of tasks that have run (`done`, as bits), what may run next, the blocks touched, bytes held, the peak, and how
    it was reached.
    """

    done: int
    ready: int
    touched: int
    held: int
    peak: int
    count: int
    before: _State | None
    ran: list[int]
    pending: int = 0


def order_tasks(tasks: Tasks, known: Sequence[int], beam: int = BEAM, states: int = STATES) -> Ordering:
    """Return the best order found, never above `known`, and a bound of all orders."""
    best = list(known)
    peak = peak_of(tasks, known)
    needs = needs_of(tasks)
    bound = needs[0].least if needs else 0
    opened = 0
    if peak > bound:
        found = _beam_search(tasks, needs, peak, beam)
        if found is not None:
            best, peak = _path(found), found.peak
    if peak > bound:
        last, bound, opened = _best_first(tasks, needs, peak, states)
        if last is not None:
            best, peak = _path(last), last.peak
    return Ordering(tuple(best), peak, bound, opened)


def peak_of(tasks: Tasks, order: Sequence[int]) -> int:
    """Return the most bytes held while the tasks run in this order."""
    done = held = peak = 0
    for task in order:
        transient, change = _effect(tasks, done, task)
        peak = max(peak, held + transient)
        held += change
        done |= 1 << task
    return peak


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """What must be held while `task` runs, whatever the order, and what must be as well once it has been touched.

    While a task runs, all it waits for has run and all that waits for it has not: blocks touched on both sides are
    held (`least` bytes). A block touched late only (bits of blocks `late`) is held too if it was touched early by choice.
    """

    task: int
    least: int
    late: int


def needs_of(tasks: Tasks, watched: int = WATCHED) -> list[Need]:
    """Return the needs of the tasks that need most, the greatest first."""
    count = len(tasks.needs)
    before = [0] * count
    for task in range(count):
        found = tasks.needs[task]
        for other in _bits(tasks.needs[task]):
            found |= before[other]
        before[task] = found
    after = [0] * count
    for task in reversed(range(count)):
        found = 0
        for other in tasks.followers[task]:
            found |= after[other] | 1 << other
        after[task] = found
    blocks = [(touching, size) for touching, size in zip(tasks.touching, tasks.sizes, strict=True) if size]
    least: list[tuple[int, int]] = []
    for task in range(count):
        bit = 1 << task
        early, late = before[task] | bit, after[task] | bit
        held = sum([size for touching, size in blocks if touching & early and touching & late])
        # What may be overwritten here counts once.
        saved = max([tasks.sizes[b] for b in tasks.reusable[task]], default=0)
        least.append((held - saved, task))
    found_needs: list[Need] = []
    for held, task in sorted(least, key=lambda each: (-each[0], each[1]))[:watched]:
        bit = 1 << task
        early, late = before[task] | bit, after[task] | bit
        bits = 0
        for b, touching in enumerate(tasks.touching):
            if tasks.sizes[b] and touching & late and not touching & early:
                bits |= 1 << b
        found_needs.append(Need(task, held, bits))
    return found_needs


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _effect(tasks: Tasks, done: int, task: int) -> tuple[int, int]:
    """Return the bytes a task holds beyond what was held before, and how many more are held after it."""
    sizes, touching = tasks.sizes, tasks.touching
    after = done | 1 << task
    new = freed = 0
    for b in tasks.blocks[task]:
        touch = touching[b]
        if not touch & done:
            new += sizes[b]
        if touch & after == touch:
            freed += sizes[b]
    transient = new
    if new:
        for b in tasks.reusable[task]:
            touch = touching[b]
            if touch & after == touch and touch & done:
                transient -= sizes[b]
                break
    return transient, new - freed


def _start(tasks: Tasks) -> _State:
    ready = 0
    for task, needs in enumerate(tasks.needs):
        if not needs:
            ready |= 1 << task
    return _State(0, ready, 0, 0, 0, 0, None, [])


def _released(tasks: Tasks, done: int, task: int) -> int:
    """Return the bits of the tasks that may run once `task`, the last in `done`, has."""
    needs = tasks.needs
    found = 0
    for other in tasks.followers[task]:
        if needs[other] & done == needs[other]:
            found |= 1 << other
    return found


def _closed(tasks: Tasks, state: _State, limit: int) -> _State:
    """Let a state make all its free moves, in place; transients up to `limit`, or the state's own peak, are free."""
    limit = max(limit, state.peak)
    moved = True
    while moved:
        moved = False
        for task in _bits(state.ready):
            transient, change = _effect(tasks, state.done, task)
            if change <= 0 and state.held + transient <= limit:
                _run(tasks, state, task, transient, change)
                moved = True
        if not moved:
            for task in _bits(state.ready):
                run = _free_run(tasks, state.done, state.held, limit, task)
                if run:
                    for each in run:
                        _run(tasks, state, each, *_effect(tasks, state.done, each))
                    moved = True
                    break
    return state


def _run(tasks: Tasks, state: _State, task: int, transient: int, change: int) -> None:
    state.done |= 1 << task
    state.ready ^= 1 << task
    state.touched |= tasks.block_bits[task]
    state.ready |= _released(tasks, state.done, task)
    state.peak = max(state.peak, state.held + transient)
    state.held += change
    state.count += 1
    state.ran.append(task)


def _free_run(tasks: Tasks, done: int, held: int, limit: int, task: int) -> list[int]:
    """Return a run of tasks from `task` on, each released by those before it, that leaves no more held; [] for none.

    After each step of the run, free moves that it released are made at once.
    """
    stack = [(done, held, task, [task])]
    while stack:
        done_now, held_now, task, run = stack.pop()
        transient, change = _effect(tasks, done_now, task)
        if held_now + transient > limit:
            continue
        done_now |= 1 << task
        held_now += change
        released = _released(tasks, done_now, task)
        waiting: list[int] = list(_bits(released))
        kept: list[int] = []
        while waiting:
            other = waiting.pop()
            transient, change = _effect(tasks, done_now, other)
            if change <= 0 and held_now + transient <= limit:
                done_now |= 1 << other
                held_now += change
                run = [*run, other]
                waiting += [*_bits(_released(tasks, done_now, other)), *kept]
                kept = []
            else:
                kept.append(other)
        if held_now <= held:
            return run
        if len(run) < _RUN_LENGTH:
            stack += [(done_now, held_now, other, [*run, other]) for other in kept]
    return []


def _children(tasks: Tasks, state: _State, limit: int, below: int) -> Iterator[_State]:
    """Yield the states after each task that may run, closed under free moves, whose peak is below `below`."""
    for task in _bits(state.ready):
        transient, change = _effect(tasks, state.done, task)
        peak = max(state.peak, state.held + transient)
        if peak >= below:
            continue
        done = state.done | 1 << task
        ready = state.ready ^ 1 << task | _released(tasks, done, task)
        touched = state.touched | tasks.block_bits[task]
        child = _State(done, ready, touched, state.held + change, peak, state.count + 1, state, [task])
        if transient == change > 0:
            child.pending = state.pending | 1 << task
        _closed(tasks, child, limit)
        if child.peak < below:
            yield child


def _lazy(tasks: Tasks, state: _State, child: _State) -> bool:
    """Tell whether nothing that only raised what is held ran before its time; clears `pending` where its time has come.

    A task that frees nothing may as well run after the next one, unless they are related. So of the tasks of this kind
    that have run since the last of another kind (`pending`), each must be related to the one that ends them, directly or
    by way of others of them, and they need only be tried in one order where they are not related to each other.
    """
    related = tasks.related
    task = child.ran[0]
    if child.pending:
        before = state.pending
        if before and not before & related[task]:
            near = 0
            for other in _bits(before):
                near |= related[other]
            if not near & related[task] & ~child.done or before >> task:
                return False
        if len(child.ran) == 1:
            return True
        before = child.pending
        reach = 0
        for other in child.ran[1:]:
            reach |= related[other]
    else:
        before = state.pending
        reach = related[task]
    found = before & reach
    grown = True
    while grown and before != found:
        grown = False
        for other in _bits(before & ~found):
            if related[other] & found:
                found |= 1 << other
                grown = True
    child.pending = 0
    return before == found


def _promise(tasks: Tasks, needs: Sequence[Need], state: _State) -> int:
    """Return a bound of the peak of every order that goes through a state."""
    sizes, promise = tasks.sizes, state.peak
    for need in needs:
        early = state.touched & need.late
        if state.done >> need.task & 1 or not early:
            continue  # what every order needs is in the bound already
        held = need.least
        while early:
            low = early & -early
            held += sizes[low.bit_length() - 1]
            early ^= low
        if held > promise:
            promise = held
    return promise


def _path(state: _State) -> list[int]:
    parts: list[list[int]] = []
    at: _State | None = state
    while at is not None:
        parts.append(at.ran)
        at = at.before
    return [task for part in reversed(parts) for task in part]


def _beam_search(tasks: Tasks, needs: Sequence[Need], below: int, width: int) -> _State | None:
    """Keep the `width` states that promise the lowest peaks of each size; the last state if below `below`."""
    count, bound = len(tasks.needs), needs[0].least
    first = _closed(tasks, _start(tasks), bound)
    levels: dict[int, dict[int, tuple[int, _State]]] = {first.count: {first.done: (first.peak, first)}}
    for level in range(first.count, count):
        states = levels.pop(level, None)
        if states is None:
            continue
        for _, state in sorted(states.values(), key=lambda s: (s[0], s[1].held, s[1].done))[:width]:
            for child in _children(tasks, state, bound, below):
                promise = _promise(tasks, needs, child)
                if promise >= below:
                    continue
                there = levels.setdefault(child.count, {})
                other = there.get(child.done)
                if other is None or child.peak < other[1].peak:
                    there[child.done] = (promise, child)
    final = levels.get(count)
    return next(iter(final.values()))[1] if final else None


def _best_first(tasks: Tasks, needs: Sequence[Need], below: int, states: int) -> tuple[_State | None, int, int]:
    """Open states by rising promise; returns the last state of an order below `below` or None, a bound, states opened."""
    count, bound = len(tasks.needs), needs[0].least
    first = _closed(tasks, _start(tasks), bound)
    queue = [(max(first.peak, bound), -first.count, 0, first)]
    seen: dict[tuple[int, int], int] = {(first.done, 0): first.peak}
    opened = pushed = 0
    while queue:
        promise, _, _, state = heappop(queue)
        if state.count == count:
            return state, promise, opened
        if seen[state.done, state.pending] < state.peak:
            continue
        if opened == states:
            return None, promise, opened
        opened += 1
        for child in _children(tasks, state, promise, below):
            if not _lazy(tasks, state, child):
                continue
            key = (child.done, child.pending)
            if child.peak < min(seen.get(key, below), seen.get((child.done, 0), below)):
                seen[key] = child.peak
                least = max(_promise(tasks, needs, child), promise)
                if least < below:
                    pushed += 1
                    heappush(queue, (least, -child.count, pushed, child))
    return None, below, opened
