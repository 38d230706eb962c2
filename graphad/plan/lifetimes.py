"""Lifetimes: over which steps each buffer is live, and what shares a buffer.

A view shares its operand's buffer. The result of an op that works in place takes the buffer of an operand of its type
that dies there. Arguments, constants, state and results stand outside the arena; a result is written straight into the
array the caller gets, and updated state into the state's own buffer, wherever that is safe.

In-place reuse is decided from the last step to the first, so that the home of a result or of a state flows back along
the chain of steps that make it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.plan.buffers import Buffers, Home, find_buffers, last_reads
from graphad.plan.schedule import Schedule

BEFORE = -1
"""The time of a copy that is made before the first step."""


@frozen(slots=True)
class Copy:
    """Copy `value` to result or state `index` (by `home`) after step `step` (BEFORE; the number of steps for the end).

    With `buffer` set, the copy goes by way of that arena buffer: there before the first step, on at the end. State that
    takes the old value of other state needs it.
    """

    step: int
    value: Value
    home: int
    index: int
    buffer: int | None = None


@frozen(eq=False)
class Lifetimes:
    """Where every value lies and when, short of the offsets.

    Attributes:
        graph: the static graph.
        steps: the computing nodes in the order they run.
        number: number of the first value of each node; the number of a value is ``number[node] + index``.
        buffer_of: the buffer each value lies in, by value number.
        strided: the numbers of the values that do not cover their buffer densely from end to end: most views.
        sizes: bytes of each buffer.
        starts, ends: first and last step at which each buffer is live; inputs, constants and state are always.
        homes: `Home` of each buffer.
        places: which input, state or result (position in the graph's inputs or outputs) a buffer outside the arena is.
        arena_buffers: the buffers of the arena by their first step.
        copies: what is copied into results and state because it could not be written there directly.
        updates: for each state (position of the input) the position of the output that is its next value; state that
            is not updated has None.
        in_place: number of steps that overwrite an operand.
    """

    graph: Graph
    steps: tuple[Node, ...]
    number: dict[Node, int]
    buffer_of: list[int]
    strided: set[int]
    sizes: list[int]
    starts: list[int]
    ends: list[int]
    homes: list[int]
    places: dict[int, int]
    arena_buffers: list[int]
    copies: tuple[Copy, ...]
    updates: Mapping[int, int | None]
    in_place: int

    def buffer(self, value: Value) -> int:
        """Return the buffer that a value lies in."""
        return self.buffer_of[self.number[value[0]] + value[1]]


def lifetimes(
    schedule: Schedule, updates: Mapping[int, int | None] | None = None, results: int | None = None
) -> Lifetimes:
    """Find the lifetime of every buffer under a schedule.

    Args:
        schedule: the steps in order.
        updates: which inputs are state (by position), and the output each takes as its next value at the end of a call.
        results: how many of the outputs are results for the caller, from the first; the others only feed `updates`.
            All of them if not given.
    """
    return lifetimes_in(find_buffers(schedule.graph, schedule.nodes), updates, results)


def lifetimes_in(
    buffers: Buffers, updates: Mapping[int, int | None] | None = None, results: int | None = None
) -> Lifetimes:
    """Find the lifetime of every buffer, as `lifetimes` does, of buffers that nobody needs as they are any more."""
    return _Sharing(buffers, updates or {}, results).run()


class _Sharing:
    """The working state of `lifetimes`: homes asked for, then in-place chains, then the check of state homes."""

    def __init__(self, buffers: Buffers, updates: Mapping[int, int | None], results: int | None) -> None:
        graph = buffers.graph
        self.graph = graph
        self.steps = tuple(buffers.steps)
        self.results = len(graph.outputs) if results is None else results
        self.updates = updates
        self.buffers = buffers
        self.last = last_reads(buffers)
        self.end = len(self.steps)
        self.homes = self.buffers.homes
        self.starts = self.buffers.made_at
        self.places: dict[int, int] = {}
        self.copies: list[Copy] = []
        self.state_buffer: dict[int, int] = {}
        self.claims: dict[int, int] = {}
        """By buffer that is to lie in a state's buffer: the position of the state."""
        self.met: set[int] = set()
        """States whose own old value is overwritten in place by the first step of the chain that makes the new one."""

    def number(self, value: Value) -> int:
        return self.buffers.number[value[0]] + value[1]

    def run(self) -> Lifetimes:
        self._place_inputs()
        self._claim_states()
        self._claim_results()
        group, in_place = self._overwrite()
        self._settle_states()
        buffers = self.buffers
        became = np.array(group, np.int64)
        buffer_of = became[np.array(buffers.buffer_of, np.int64)].tolist() if in_place else buffers.buffer_of
        own = became == np.arange(len(became))
        arena = np.flatnonzero(own & (np.array(self.homes, np.int64) == Home.ARENA))
        by_start = np.argsort(np.array(self.starts, np.int64)[arena], kind="stable")
        return Lifetimes(
            self.graph,
            self.steps,
            buffers.number,
            buffer_of,
            buffers.strided,
            buffers.sizes,
            self.starts,
            self.last,
            self.homes,
            self.places,
            arena[by_start].tolist(),
            tuple(sorted(self.copies, key=lambda copy: copy.step)),
            dict(self.updates),
            in_place,
        )

    def _place_inputs(self) -> None:
        for position, value in enumerate(self.graph.inputs):
            buffer = self.buffers.buffer_of[self.number(value)]
            self.places[buffer] = position
            if position in self.updates:
                self.homes[buffer] = Home.STATE
                self.state_buffer[position] = buffer

    def _claim_states(self) -> None:
        """Ask that new values of state be made in the state's own buffer; note what must be copied there instead."""
        for position, output in self.updates.items():
            if output is None:
                continue
            value = self.graph.outputs[output]
            number = self.number(value)
            buffer = self.buffers.buffer_of[number]
            own = self.state_buffer[position]
            dense = number not in self.buffers.strided
            home = self.homes[buffer]
            if buffer == own and dense:
                continue
            if home == Home.STATE:
                self._stage(value, position)
            elif home == Home.ARENA:
                self.last[buffer] = self.end
                if dense and buffer not in self.claims:
                    self.claims[buffer] = position
                else:
                    self.copies.append(Copy(self.end, value, Home.STATE, position))
            else:
                self.copies.append(Copy(self.end, value, Home.STATE, position))

    def _stage(self, value: Value, position: int) -> None:
        """Keep an old value of state in the arena until the end of the call."""
        buffers = self.buffers
        staged = len(buffers.sizes)
        buffers.sizes.append(buffers.sizes[self.state_buffer[position]])
        self.starts.append(0)
        self.last.append(max(self.end, 0))
        self.homes.append(0)
        self.copies.append(Copy(self.end, value, Home.STATE, position, staged))

    def _claim_results(self) -> None:
        """Let results be made in the arrays that the caller gets; note what must be copied there instead."""
        step_of: dict[Node, int] | None = None
        for position, value in enumerate(self.graph.outputs[: self.results]):
            number = self.number(value)
            buffer = self.buffers.buffer_of[number]
            home = self.homes[buffer]
            if home in (Home.INPUT, Home.CONSTANT, Home.STATE):
                self.copies.append(Copy(BEFORE, value, Home.RESULT, position))
            elif number in self.buffers.strided:
                if step_of is None:
                    step_of = {node: step for step, node in enumerate(self.steps)}
                step = step_of[value[0]]
                self.last[buffer] = max(self.last[buffer], step)
                self.copies.append(Copy(step, value, Home.RESULT, position))
            else:
                self.last[buffer] = self.end
                if home == Home.RESULT or buffer in self.claims:
                    self.copies.append(Copy(self.end, value, Home.RESULT, position))
                else:
                    self.homes[buffer] = Home.RESULT
                    self.places[buffer] = position

    def _overwrite(self) -> tuple[list[int], int]:
        """Let steps overwrite operands that die there; returns the buffer each buffer became, and how many steps do."""
        buffers, last, homes, starts = self.buffers, self.last, self.homes, self.starts
        number, buffer_of, strided, steps = buffers.number, buffers.buffer_of, buffers.strided, self.steps
        group = list(range(len(buffers.sizes)))
        claims = self.claims
        count = 0
        for step in reversed(buffers.in_place_steps):
            node = steps[step]
            if node.op.in_place_each:
                self._update_each(node, step)
            target = group[buffer_of[number[node]]]
            chosen = -1
            if target in claims:
                chosen = self._towards_state(node, step, claims[target])
            else:
                type_ = node.types[0]
                sees_strided = False
                allowed = node.op.overwrites
                for position, (operand, index) in enumerate(node.inputs):
                    v = number[operand] + index
                    if v in strided:
                        sees_strided = True
                        continue
                    b = buffer_of[v]
                    if allowed is not None and position not in allowed:
                        # It is read after the result has been begun: it must not lie there.
                        continue
                    if chosen < 0 and last[b] == step and not homes[b]:
                        other = operand.types[index]
                        if other is type_ or other == type_:
                            chosen = b
                if sees_strided and chosen >= 0 and not self._reads_densely(node, chosen):
                    continue
                if allowed is not None and chosen >= 0 and not self._spared(node, chosen):
                    continue
            if chosen < 0:
                continue
            count += 1
            if chosen in self.places:  # the old value of the state itself
                self.met.add(self.claims[target])
                continue
            group[chosen] = target
            starts[target] = starts[chosen]
        return group, count

    def _update_each(self, node: Node, step: int) -> None:
        """Let results of `node` but the first overwrite the old values of the states whose new ones they are."""
        first = self.buffers.buffer_of[self.buffers.number[node]]
        for index in range(1, len(node.types)):
            position = self.claims.get(first + index)
            if position is not None:
                own = self.state_buffer[position]
                if any(b == own for b, _ in self._dying(node, step, index)):
                    self.met.add(position)

    def _dying(self, node: Node, step: int, index: int = 0) -> list[tuple[int, Value]]:
        """Return the operands that a result of `node` may overwrite, with their buffers (arena or state)."""
        found = []
        allowed = node.op.overwrites
        for position, value in enumerate(node.inputs):
            if allowed is not None and position not in allowed:
                continue
            v = self.number(value)
            b = self.buffers.buffer_of[v]
            if (
                self.last[b] == step
                and self.homes[b] in (Home.ARENA, Home.STATE)
                and v not in self.buffers.strided
                and value.type == node.types[index]
                and self._reads_densely(node, b)
                and self._spared(node, b)
            ):
                found.append((b, value))
        return found

    def _towards_state(self, node: Node, step: int, position: int) -> int:
        """Choose the operand whose chain leads back to the old value of the state: itself, or one step before."""
        own = self.state_buffer[position]
        dying = self._dying(node, step)
        if any(b == own for b, _ in dying):
            return own
        arena = [(b, value) for b, value in dying if self.homes[b] == Home.ARENA]
        for b, _ in arena:
            made_at = self.starts[b]
            maker = self.steps[made_at]
            if maker.op.in_place and any(c == own for c, _ in self._dying(maker, made_at)):
                return b
        # A chain that starts after the last read of the old value may lie in the state's buffer as well.
        later = [b for b, _ in arena if self.starts[b] > self.last[own]]
        return later[0] if later else -1

    def _reads_densely(self, node: Node, buffer: int) -> bool:
        """Tell whether every operand of `node` in `buffer` covers it element by element."""
        for value in node.inputs:
            v = self.number(value)
            if self.buffers.buffer_of[v] == buffer and v in self.buffers.strided:
                return False
        return True

    def _spared(self, node: Node, buffer: int) -> bool:
        """Tell whether no operand that `node` must not overwrite lies in `buffer`."""
        allowed = node.op.overwrites
        if allowed is None:
            return True
        outside = [v for position, v in enumerate(node.inputs) if position not in allowed]
        return all(self.buffers.buffer_of[self.number(v)] != buffer for v in outside)

    def _settle_states(self) -> None:
        """Grant the state's buffer where its old value is read no more; otherwise copy at the end.

        A call that fails half-way must leave all state as it was: nothing is written there before the last step that
        may raise (and that one raises before it writes).
        """
        safe_from = self._last_risk() if self.claims else BEFORE
        for buffer, position in self.claims.items():
            free_after = self.last[self.state_buffer[position]]
            start = self.starts[buffer]
            free = start > free_after or (start == free_after and position in self.met)
            if free and start >= safe_from:
                self.homes[buffer] = Home.STATE
                self.places[buffer] = position
                continue
            output = self.updates[position]
            assert output is not None  # only updated state has a claim
            self.copies.append(Copy(self.end, self.graph.outputs[output], Home.STATE, position))
            self._offer_to_result(buffer)

    def _last_risk(self) -> int:
        """Return the last step that may raise; BEFORE where none does."""
        last = BEFORE
        passed: set[Any] = set()
        for step, node in enumerate(self.steps):
            risk = node.op.risk(node.inputs)
            if risk is not None and risk not in passed:
                passed.add(risk)
                last = step
        return last

    def _offer_to_result(self, buffer: int) -> None:
        """Make a value that did not get its state's buffer in the result that would have been copied from there."""
        for copy in self.copies:
            number = self.number(copy.value)
            if (
                copy.home == Home.RESULT
                and copy.step == self.end
                and self.buffers.buffer_of[number] == buffer
                and number not in self.buffers.strided
            ):
                self.copies.remove(copy)
                self.homes[buffer] = Home.RESULT
                self.places[buffer] = copy.index
                return
