"""Ordering: an order of dependent tasks that needs little memory, and whether any order needs less.

The problem is abstract: tasks are numbered in some valid order, memory is blocks; a block is held from the first task
that touches it until all that touch it have run. What is held is then a function of the set of tasks that have run, and
a submodular one, from which the free move follows: a task that leaves no more held than before may always run now if
its transient stays under a peak that is reached anyhow. The same holds of a run of tasks that each wait for the one
before, as soon as it leaves no more held than at its start.

`order_tasks` searches the sets of tasks that have run (sets are integers, a bit a task) for an order below the best it
knows, until there is none: first without the small blocks, which decide little and multiply the sets. Where the states
are spent before, a beam search has the last word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from graphad.ir.frozen import frozen

BEAM = 8
"""States kept for each number of tasks that have run."""

BEAM_WORK = 1_200
"""The beam is narrower for more tasks than this over `BEAM`."""

WORK = 175_000_000
"""States opened times the square of the tasks, of one search at most: about a second."""

RESOLUTIONS = (500, 5_000, 0)
"""Blocks smaller than the peak over this are left out at first (0: none is): that settles nearly everything at once."""

WATCHED = 48
"""Tasks, those that need most, whose need is worked out anew for each state."""

_RUN_LENGTH = 6
"""Tasks that each wait for the one before, looked at for a free run."""


@frozen(slots=True, eq=False)
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


class _State:
    """A set of tasks that have run, as bits, what it has touched and holds, and how it was reached."""

    __slots__ = ("before", "count", "done", "held", "peak", "pending", "ran", "ready", "touched")

    def __init__(
        self,
        done: int,
        ready: int,
        touched: int,
        held: int,
        peak: int,
        count: int,
        before: _State | None,
        ran: list[int],
    ) -> None:
        self.done = done
        self.ready = ready
        self.touched = touched
        self.held = held
        self.peak = peak
        self.count = count
        self.before = before
        self.ran = ran
        self.pending = 0


def order_tasks(tasks: Tasks, known: Sequence[int], beam: int = BEAM, work: int = WORK) -> Ordering:
    """Return the best order found, never above `known`, and a bound of all orders.

    Args:
        tasks: the problem.
        known: a valid order.
        beam: states that the beam search keeps for each number of tasks that have run; 0 for none.
        work: states that the search for the best order opens at most, times the square of the number of tasks.
    """
    best = list(known)
    peak = peak_of(tasks, known)
    needs = needs_of(tasks)
    bound = needs[0].least if needs else 0
    opened = 0
    states = work // max(len(tasks.needs), 1) ** 2
    for share in RESOLUTIONS:
        if peak == bound:
            break
        seen = without_small(tasks, peak // share) if share else tasks
        seen_needs = needs_of(seen)
        settled, lowest = True, peak_of(seen, best)
        while settled:
            last, more, settled = _below(seen, seen_needs, lowest - 1, states - opened)
            opened += more
            if last is None:
                break
            order = _path(last)
            lowest, here = last.peak, peak_of(tasks, order)
            if here < peak:
                best, peak = order, here
        if not settled:
            width = max(min(beam, BEAM_WORK // len(tasks.needs)), 1)
            found = _beam_search(tasks, needs, peak, width) if beam else None
            if found is not None:
                best, peak = _path(found), found.peak
            break
        bound = max(bound, lowest)
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


@frozen(slots=True, eq=False)
class Need:
    """What must be held while `task` runs, whatever the order, and what must be as well once it has been touched.

    While a task runs, all it waits for has run and all that waits for it has not: blocks touched on both sides are
    held (`least` bytes). A block touched late only (bits of blocks `late`) is held too if it was touched early by
    choice.
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

    A task that frees nothing may as well run after the next one, unless they are related: the next one waits for it, or
    what they share is freed or taken by one of them. So of the tasks of this kind that have run since the last of
    another kind (`pending`), each must be related to the one that ends them, directly or by way of others of them; and
    where they are not related to each other they need only be tried in one order.
    """
    task, before = child.ran[0], state.pending
    if child.pending:
        if before and not before & tasks.related[task]:
            near = 0
            for other in _bits(before):
                near |= tasks.related[other]
            if not near & tasks.related[task] & ~state.done or before >> task:
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
        for other in _bits(rest):
            if _related(tasks, other, reach, child.done, untouched):
                reach |= 1 << other
                rest ^= 1 << other
                grown = True
    return not rest


def _related(tasks: Tasks, task: int, others: int, done: int, untouched: int) -> bool:
    """Tell whether any of `others` waits for a task, or shares a block with it that is taken or freed among them."""
    if not tasks.related[task] & others:
        return False
    needs = tasks.needs
    for other in _bits(tasks.related[task] & others):
        if needs[other] >> task & 1 or needs[task] >> other & 1:
            return True
    for b in tasks.blocks[task]:
        touching = tasks.touching[b]
        if touching & others and (touching & done == touching or touching & untouched == touching):
            return True
    return False


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


def _below(tasks: Tasks, needs: Sequence[Need], limit: int, states: int) -> tuple[_State | None, int, bool]:
    """Search for an order that never holds more than `limit`, depth first, the best promise first.

    Returns its last state or None, the states opened, and whether that settles it.
    """
    count = len(tasks.needs)
    first = _closed(tasks, _start(tasks), limit)
    seen: set[tuple[int, int]] = set()
    stack = [first] if _promise(tasks, needs, first) <= limit else []
    opened = 0
    while stack:
        state = stack.pop()
        if state.count == count:
            return state, opened, True
        if opened == states:
            return None, opened, False
        opened += 1
        children: list[tuple[int, int, _State]] = []
        for child in _children(tasks, state, limit, limit + 1):
            if not _lazy(tasks, state, child):
                continue
            key = (child.done, child.pending)
            if key in seen or (child.done, 0) in seen:
                continue
            seen.add(key)
            promise = _promise(tasks, needs, child)
            if promise <= limit:
                children.append((promise, child.held, child))
        children.sort(key=lambda each: each[:2], reverse=True)
        stack += [child for _, _, child in children]
    return None, opened, True


def without_small(tasks: Tasks, size: int) -> Tasks:
    """Return the problem in which blocks smaller than `size` need no memory: a bound of it is one of `tasks`."""
    large = [b for b, each in enumerate(tasks.sizes) if each >= size]
    position = {b: k for k, b in enumerate(large)}
    return make_tasks(
        tasks.needs,
        tasks.followers,
        [[position[b] for b in found if b in position] for found in tasks.blocks],
        [tasks.sizes[b] for b in large],
        [[position[b] for b in found if b in position] for found in tasks.reusable],
    )


def make_tasks(
    needs: Sequence[int],
    followers: Sequence[Sequence[int]],
    blocks: Sequence[Sequence[int]],
    sizes: Sequence[int],
    reusable: Sequence[Sequence[int]],
) -> Tasks:
    """Return tasks from what each waits for (bits), what waits for it, the blocks it touches, and their sizes."""
    touching = [0] * len(sizes)
    for task, found in enumerate(blocks):
        for b in found:
            touching[b] |= 1 << task
    related = list(needs)
    for task, found in enumerate(blocks):
        for other in followers[task]:
            related[task] |= 1 << other
        for b in found:
            related[task] |= touching[b]
    return Tasks(
        list(needs),
        [tuple(each) for each in followers],
        [tuple(each) for each in blocks],
        list(sizes),
        touching,
        [tuple(each) for each in reusable],
        [sum([1 << b for b in each]) for each in blocks],
        related,
    )
