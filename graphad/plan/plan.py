"""Plan: schedule, lifetimes and arena of one graph together, and what they say about memory before anything runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from graphad.ir.collector import collector_paused
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.node import Node
from graphad.plan.arena import Arena, place
from graphad.plan.buffers import Home, live_bytes
from graphad.plan.effort import QUICK, Effort
from graphad.plan.lifetimes import Lifetimes, lifetimes_in
from graphad.plan.schedule import Schedule, schedule_with_buffers

if TYPE_CHECKING:
    from graphad.plan.peak import PeakTensor
    from graphad.plan.savings import Savings


@frozen(slots=True)
class PlacedBuffer:
    """One buffer of the arena, live from step `start` to step `end` (both included) at `offset`.

    `node` made what first lies in it; `label` is its op and type; `sharing` counts the values that lie in it in turn.
    """

    start: int
    end: int
    offset: int
    size: int
    node: Node
    label: str
    sharing: int


@frozen(eq=False)
class Plan:
    """How a static graph runs and where everything lies.

    Attributes:
        graph: the graph.
        schedule: the order.
        lifetimes: what lives when, and what shares.
        arena: the offsets.
        results: how many of the outputs, from the first, are results for the caller.
    """

    graph: Graph
    schedule: Schedule
    lifetimes: Lifetimes
    arena: Arena
    results: int

    @property
    def arena_bytes(self) -> int:
        """Return the bytes of the block that holds all intermediate values."""
        return self.arena.nbytes

    @property
    def lower_bound_bytes(self) -> int:
        """Return the most arena bytes live at once: no placement of this schedule needs less."""
        return self.arena.lower_bound

    @property
    def result_bytes(self) -> int:
        """Return the bytes of the results of a call."""
        return sum(int(t.nbytes) for t in self.graph.output_types[: self.results])

    @property
    def state_bytes(self) -> int:
        """Return the bytes of the state kept between calls."""
        types = self.graph.input_types
        return sum(int(types[position].nbytes) for position in self.lifetimes.updates)

    @property
    def input_bytes(self) -> int:
        """Return the bytes of what a call passes."""
        types = enumerate(self.graph.input_types)
        return sum(int(t.nbytes) for position, t in types if position not in self.lifetimes.updates)

    @property
    def constant_bytes(self) -> int:
        """Return the bytes of the graph's constants."""
        homes, sizes = self.lifetimes.homes, self.lifetimes.sizes
        return sum(size for size, home in zip(sizes, homes, strict=True) if home == Home.CONSTANT)

    @property
    def peak_bytes(self) -> int:
        """Return what a call needs beyond its arguments, the constants and the state: the arena and the results."""
        return self.arena_bytes + self.result_bytes

    def live_bytes(self) -> list[int]:
        """Return the arena bytes live at each step, sizes rounded up to the alignment."""
        from graphad.plan.arena import aligned

        found = self.lifetimes
        buffers = found.arena_buffers
        live = live_bytes(
            [found.starts[b] for b in buffers],
            [found.ends[b] for b in buffers],
            [aligned(found.sizes[b]) for b in buffers],
            len(found.steps),
        )
        return live.tolist()  # type: ignore[no-any-return]

    @property
    def peak_step(self) -> int:
        """Return the first step at which the most arena bytes are live; 0 for a graph without steps."""
        live = self.live_bytes()
        return live.index(max(live)) if live else 0

    def placed(self) -> list[PlacedBuffer]:
        """Return the buffers of the arena with their places, for pictures and reports."""
        found = self.lifetimes
        first: dict[int, tuple[Node, str]] = {}
        count: dict[int, int] = {}
        for node in found.steps:
            start = found.number[node]
            for index, type_ in enumerate(node.types):
                b = found.buffer_of[start + index]
                count[b] = count.get(b, 0) + 1
                if b not in first:
                    first[b] = (node, f"{node.op.name} {type_}")
        for copy in found.copies:
            if copy.buffer is not None:
                first[copy.buffer] = (copy.value.node, f"old value {copy.value.type}")
                count[copy.buffer] = 1
        last_step = max(len(found.steps) - 1, 0)
        return [
            PlacedBuffer(
                found.starts[b],
                min(found.ends[b], last_step),
                self.arena.offsets[b],
                found.sizes[b],
                *first[b],
                count[b],
            )
            for b in found.arena_buffers
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain numbers and strings, in the form that docs/memory.md describes."""
        from graphad.plan.document import document

        return document(self)

    def savings(self, unlimited: Plan | None = None, budget: int | None = None) -> Savings:
        """Return what order, sharing in place and recomputation save, stage by stage (`graphad.plan.savings`)."""
        from graphad.plan.savings import savings

        return savings(self, unlimited, budget)

    def peak_tensors(self) -> list[PeakTensor]:
        """Return the tensors that a call holds at the peak, the largest first, with the user's lines."""
        from graphad.plan.peak import peak_tensors

        return peak_tensors(self)

    def to_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw the arena as rectangles of address and time, write the picture to `path` if given, and return it."""
        from graphad.view.memory import plan_to_svg

        return plan_to_svg(self, path)

    def live_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw the live bytes by class, write the picture to `path` if given, and return it."""
        from graphad.view.live_bytes import plan_to_live_svg

        return plan_to_live_svg(self, path)

    def peak_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw the largest tensors at the peak with the user's lines, write the picture to `path`, and return it."""
        from graphad.view.peak import plan_to_peak_svg

        return plan_to_peak_svg(self, path)

    def __repr__(self) -> str:
        return (
            f"<plan of {self.graph.name}: {len(self.schedule.nodes)} steps, arena {self.arena_bytes} bytes "
            f"(lower bound {self.lower_bound_bytes}), results {self.result_bytes} bytes>"
        )


@collector_paused()
def plan(
    graph: Graph,
    updates: Mapping[int, int | None] | None = None,
    results: int | None = None,
    effort: Effort = QUICK,
) -> Plan:
    """Plan a static graph: order, lifetimes, offsets.

    Args:
        graph: a graph without symbolic sizes.
        updates: which inputs (by position) are state, and the output that is the next value of each (None: it stays).
        results: how many of the outputs, from the first, are results for the caller; all if not given.
        effort: how much is done for a better order.

    Raises SymbolicSizeError for a graph with symbolic sizes.
    """
    order, buffers = schedule_with_buffers(graph, effort, updates)
    found = lifetimes_in(buffers, updates, results)
    return Plan(graph, order, found, place(found), len(graph.outputs) if results is None else results)
