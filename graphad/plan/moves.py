"""Moves: what the tasks that may run do to a state, and the free moves, which never do harm.

What is held is a submodular function of the set of tasks that have run, from which the free move follows: a task that
leaves no more held than before may always run now if its transient stays under a peak that is reached anyhow. The same
holds of a run of tasks that each wait for the one before, as soon as it leaves no more held than at its start.

What a task does depends on few others: it is worked out once for each state of these.
"""

from __future__ import annotations

from graphad.plan.tasks import Tasks, bits, effect

_RUN_LENGTH = 6
"""Tasks that each wait for the one before, looked at for a free run."""


class State:
    """A set of tasks that have run, as bits, those that may run next, what is held, and how it was reached.

    `ran` are the tasks that led here from the state `before`: one that was chosen, then free moves. Of the tasks that
    only raise what is held, those that have run since the last of another kind are `pending`.
    """

    __slots__ = ("before", "count", "done", "held", "peak", "pending", "ran", "ready")

    def __init__(
        self, done: int, ready: int, held: int, peak: int, count: int, before: State | None, ran: list[int]
    ) -> None:
        self.done = done
        self.ready = ready
        self.held = held
        self.peak = peak
        self.count = count
        self.before = before
        self.ran = ran
        self.pending = 0

    def path(self) -> list[int]:
        """Return the tasks that have run, in order."""
        parts: list[list[int]] = []
        at: State | None = self
        while at is not None:
            parts.append(at.ran)
            at = at.before
        return [task for part in reversed(parts) for task in part]


class Moves:
    """The moves of one problem."""

    def __init__(self, tasks: Tasks) -> None:
        self.tasks = tasks
        self._effects: dict[tuple[int, int], tuple[int, int]] = {}
        self._failed: dict[tuple[int, int], int] = {}
        self._reach: dict[int, int] = {}
        self._beside = [0] * len(tasks.needs)
        for task, found in enumerate(tasks.blocks):
            for b in found:
                self._beside[task] |= tasks.touching[b]

    def start(self, limit: int) -> State:
        """Return the first state, closed under free moves."""
        ready = 0
        for task, needs in enumerate(self.tasks.needs):
            if not needs:
                ready |= 1 << task
        return self._closed(State(0, ready, 0, 0, 0, None, []), limit)

    def peak_after(self, state: State, task: int) -> int:
        """Return the peak of a state once a task has run."""
        return max(state.peak, state.held + self._effect(state.done, task)[0])

    def after(self, state: State, task: int, limit: int) -> State:
        """Return the state after a task, closed under free moves: transients up to `limit`, or its peak, are free."""
        transient, change = self._effect(state.done, task)
        done = state.done | 1 << task
        ready = state.ready ^ 1 << task | self._released(done, task)
        peak = max(state.peak, state.held + transient)
        child = State(done, ready, state.held + change, peak, state.count + 1, state, [task])
        if transient == change > 0:
            child.pending = state.pending | 1 << task
        return self._closed(child, limit)

    def _effect(self, done: int, task: int) -> tuple[int, int]:
        key = (task, done & self._beside[task])
        found = self._effects.get(key)
        if found is None:
            found = self._effects[key] = effect(self.tasks, done, task)
        return found

    def _released(self, done: int, task: int) -> int:
        """Return the bits of the tasks that may run once `task`, the last in `done`, has."""
        needs = self.tasks.needs
        found = 0
        for other in self.tasks.followers[task]:
            if needs[other] & done == needs[other]:
                found |= 1 << other
        return found

    def _closed(self, state: State, limit: int) -> State:
        """Let a state make all its free moves, in place."""
        limit = max(limit, state.peak)
        moved = True
        while moved:
            moved = False
            for task in bits(state.ready):
                transient, change = self._effect(state.done, task)
                if change <= 0 and state.held + transient <= limit:
                    self._run(state, task, transient, change)
                    moved = True
            if not moved:
                for task in bits(state.ready):
                    run = self._free_run(state.done, state.held, limit, task)
                    if run:
                        for each in run:
                            self._run(state, each, *self._effect(state.done, each))
                        moved = True
                        break
        return state

    def _run(self, state: State, task: int, transient: int, change: int) -> None:
        state.done |= 1 << task
        state.ready ^= 1 << task
        state.ready |= self._released(state.done, task)
        state.peak = max(state.peak, state.held + transient)
        state.held += change
        state.count += 1
        state.ran.append(task)

    def _free_run(self, done: int, held: int, limit: int, task: int) -> list[int]:
        """Return a run of tasks from `task` on that leaves no more held, [] for none; what has failed is remembered."""
        key = (task, done & self._reach_of(task))
        room = limit - held
        if self._failed.get(key, -1) >= room:
            return []
        run = self._found_run(done, held, limit, task)
        if not run:
            self._failed[key] = room
        return run

    def _reach_of(self, task: int) -> int:
        """Return the bits of the tasks that decide whether there is a free run from a task on."""
        reach = self._reach.get(task)
        if reach is None:
            tasks = self.tasks
            run = edge = 1 << task
            for _ in range(_RUN_LENGTH):
                further = 0
                for each in bits(edge):
                    for other in tasks.followers[each]:
                        further |= 1 << other
                edge = further & ~run
                run |= further
            reach = run
            for each in bits(run):
                reach |= tasks.needs[each] | self._beside[each]
            self._reach[task] = reach
        return reach

    def _found_run(self, done: int, held: int, limit: int, task: int) -> list[int]:
        """Look for a free run: tasks each released by those before it; free moves that they release run at once."""
        stack = [(done, held, task, [task])]
        while stack:
            done_now, held_now, task, run = stack.pop()
            transient, change = self._effect(done_now, task)
            if held_now + transient > limit:
                continue
            done_now |= 1 << task
            held_now += change
            waiting = list(bits(self._released(done_now, task)))
            kept: list[int] = []
            while waiting:
                other = waiting.pop()
                transient, change = self._effect(done_now, other)
                if change <= 0 and held_now + transient <= limit:
                    done_now |= 1 << other
                    held_now += change
                    run = [*run, other]
                    waiting += [*bits(self._released(done_now, other)), *kept]
                    kept = []
                else:
                    kept.append(other)
            if held_now <= held:
                return run
            if len(run) < _RUN_LENGTH:
                stack += [(done_now, held_now, other, [*run, other]) for other in kept]
        return []
