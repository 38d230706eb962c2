"""State updates: the step that makes the next value of a state, moved behind what still reads the old value.

Where nothing reads the old value any more, the next one is made in the state's own memory. A step that comes too early
for that needs memory of the arena instead, to the end of the call, and a copy there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from graphad.ir.node import Value
from graphad.plan.buffers import Buffers, Home, live_profile

Place: TypeAlias = tuple[int, int]
"""Where a step stands: behind the step of the given order, and behind those that have been moved there before."""


def late_updates(buffers: Buffers, updates: Mapping[int, int | None]) -> list[int] | None:
    """Return an order in which steps that update state run late enough to do so in place; None where all do as it is.

    A step is moved where nothing needs its results before, and where what lives longer for its sake does not raise the
    peak. Views stay where they are: whoever takes the order puts them behind what they view.
    """
    moves = _Moves(buffers)
    for position, output in updates.items():
        if output is not None:
            moves.consider(position, output)
    return sorted(range(len(buffers.steps)), key=moves.places.__getitem__) if moves.moved else None


class _Moves:
    """The working state: where each step stands by now."""

    def __init__(self, buffers: Buffers) -> None:
        self.buffers = buffers
        self.places: list[Place] = [(k, 0) for k in range(len(buffers.steps))]
        self.moved = 0
        self.users: dict[int, list[int]] = {}
        for step in range(len(buffers.steps)):
            for b in self.read(step):
                self.users.setdefault(b, []).append(step)
        self.made: dict[int, list[int]] = {}
        for b, step in enumerate(buffers.made_at):
            self.made.setdefault(step, []).append(b)
        self.results = {buffers.buffer_of[buffers.number[v[0]] + v[1]] for v in buffers.graph.outputs}
        self.live = live_profile(buffers)
        self.peak = int(self.live.max(initial=0))

    def read(self, step: int) -> set[int]:
        first = self.buffers.first_read
        return set(self.buffers.reads[first[step] : first[step + 1]])

    def consider(self, position: int, output: int) -> None:
        """Move the step that makes an output behind the last other reader of the state at `position`, if that pays."""
        buffers = self.buffers
        state, value = buffers.graph.inputs[position], buffers.graph.outputs[output]
        own = buffers.buffer_of[buffers.number[state[0]]]
        made = buffers.buffer_of[buffers.number[value[0]] + value[1]]
        step = buffers.made_at[made]
        readers = [k for k in self.users.get(own, ()) if k != step]
        if step < 0 or not readers:
            return
        behind = max([self.places[k] for k in readers])
        if behind < self.places[step] or not self.may_overwrite(value, step, own):
            return
        if any(self.places[k] <= behind for b in self.made[step] for k in self.users.get(b, ())):
            return
        more = self.held_longer(step, behind) - buffers.sizes[made]
        between = slice(step + 1, behind[0] + 1)
        if self.live[between].max(initial=0) + more > self.peak:
            return
        self.moved += 1
        self.places[step] = (behind[0], self.moved)
        self.live[between] += more
        self.live[behind[0] + 1 :] -= buffers.sizes[made]

    def may_overwrite(self, value: Value, step: int, own: int) -> bool:
        """Tell whether a step may write one of its results where it reads the state, if it does."""
        buffers, node = self.buffers, self.buffers.steps[step]
        if own not in self.read(step):
            return True
        if not (node.op.in_place_each or (node.op.in_place and not value.index)):
            return False
        allowed = node.op.overwrites
        numbers = [buffers.number[v[0]] + v[1] for v in node.inputs]
        return all(
            v not in buffers.strided and (allowed is None or k in allowed)
            for k, v in enumerate(numbers)
            if buffers.buffer_of[v] == own
        )

    def held_longer(self, step: int, behind: Place) -> int:
        """Return the bytes of what only this step reads between where it stands and `behind`."""
        buffers = self.buffers
        held = [
            b
            for b in self.read(step)
            if buffers.homes[b] == Home.ARENA
            and b not in self.results
            and max([self.places[k] for k in self.users[b] if k != step], default=(-1, 0)) < behind
        ]
        return sum([buffers.sizes[b] for b in held])
