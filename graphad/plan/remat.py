"""Rematerialisation: a graph that needs no more memory than it may, because it makes some values twice.

The schedule of the graph is played within a limit (`graphad.plan.policies`); what is made again becomes nodes of the
role "recompute" with a `replica` above 0, which no pass merges with the first. The new graph is then planned, and it is
the placed arena that must fit: where it does not, the limit is tightened and played again.

Memory here is what `Plan.peak_bytes` counts: the arena and the results of a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from graphad.ir.collector import collector_paused
from graphad.ir.errors import MemoryBudgetError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.types import TensorType
from graphad.plan.arena import ALIGNMENT, aligned
from graphad.plan.buffers import Buffers, Home, byte_size, find_buffers
from graphad.plan.plan import Plan, plan
from graphad.plan.policies import LARGE, POLICIES, Items, Play, Stuck, cheapest
from graphad.plan.schedule import overwritable

FLOPS = 5e10
"""Floating-point operations a second of one ordinary core."""

BANDWIDTH = 1e10
"""Bytes a second it reads and writes."""

STEP = 1e-7
"""Seconds that a step takes at least."""

TRIES = 6
"""Limits that are played to bring the placed arena close to the budget, from below; two for large graphs."""

ALL_POLICIES_UP_TO = 500
"""Items that all policies are played on; beyond, the first two."""

Updates = Mapping[int, int | None]


@dataclass(frozen=True, slots=True, eq=False)
class Budgeted:
    """A graph that keeps a budget.

    Attributes:
        graph: the graph, with recomputation in it where that is needed.
        plan: its plan; ``plan.peak_bytes`` keeps the budget.
        seconds: estimate of what recomputation costs.
        flops: floating-point operations of what is recomputed.
        policy: the policy that gave it; "" for a graph without recomputation.
    """

    graph: Graph
    plan: Plan
    seconds: float
    flops: int
    policy: str


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a budget costs.

    Attributes:
        budget: bytes allowed; None for no limit.
        peak: bytes of arena and results; None where nothing keeps the budget.
        flops: floating-point operations of a call, recomputation counted.
        extra_flops: those of recomputation.
        seconds: estimate of the time that recomputation takes.
        recomputed: how many nodes are recomputation.
    """

    budget: int | None
    peak: int | None
    flops: int
    extra_flops: int
    seconds: float
    recomputed: int


def with_budget(graph: Graph, updates: Updates | None, results: int | None, budget_bytes: int) -> Graph:
    """Return a graph with the same results, to the bit, whose arena and results fit into `budget_bytes`.

    Args:
        graph: a static graph; returned as it is where it fits.
        updates, results: as for `plan`.
        budget_bytes: bytes that the arena and the results may take.

    Raises MemoryBudgetError where no plan was found that fits; it says what holds memory where it is short.
    """
    return within(graph, updates, results, budget_bytes).graph


@collector_paused()
def within(graph: Graph, updates: Updates | None, results: int | None, budget_bytes: int, beside: int = 0) -> Budgeted:
    """Find the cheapest recomputation that keeps a budget, as `with_budget` does, and return it with its plan.

    Of the budget, `beside` bytes are left for the executor's workspace.
    """
    start = plan(graph, updates, results)
    if start.peak_bytes + beside <= budget_bytes:
        return Budgeted(graph, start, 0.0, 0, "")
    return _Search(start, updates, results, beside).within(budget_bytes)


@collector_paused()
def remat_curve(
    graph: Graph, budgets: Sequence[int], updates: Updates | None = None, results: int | None = None
) -> list[CurvePoint]:
    """Return what each budget costs, in the order given; a bigger budget never costs more."""
    start = plan(graph, updates, results)
    search = _Search(start, updates, results)
    total = sum([_flops(node) for node in start.schedule.nodes])
    best: Budgeted | None = None
    points: dict[int, CurvePoint] = {}
    for budget in sorted(set(budgets)):
        if start.peak_bytes <= budget:
            best = Budgeted(graph, start, 0.0, 0, "")
        else:
            try:
                found = search.within(budget)
            except MemoryBudgetError:
                points[budget] = CurvePoint(budget, None, total, 0, 0.0, 0)
                continue
            if best is None or found.seconds < best.seconds:
                best = found
        recomputed = sum([node.role == "recompute" for node in best.plan.schedule.nodes])
        points[budget] = CurvePoint(
            budget, best.plan.peak_bytes, total + best.flops, best.flops, best.seconds, recomputed
        )
    return [points[budget] for budget in budgets]


def _flops(node: Node) -> int:
    return 0 if node.op.view else int(node.op.flops(node.input_types, node.types))


def _seconds(node: Node) -> float:
    """Return a roofline estimate of the time a node takes: by arithmetic or by memory, whichever is longer."""
    types: tuple[TensorType, ...] = (*node.input_types, *node.types)
    moved = sum([byte_size(t) for t in types])
    return max(_flops(node) / FLOPS, moved / BANDWIDTH, STEP)


class _Search:
    """The search for recomputation in one graph: its items, and the plays that were tried."""

    def __init__(self, start: Plan, updates: Updates | None, results: int | None, beside: int = 0) -> None:
        self.start, self.updates, self.results, self.beside = start, updates, results, beside
        self.buffers = find_buffers(start.graph, start.schedule.nodes)
        made: dict[int, list[int]] = {}
        for b, step in enumerate(self.buffers.made_at):
            if step >= 0:
                made.setdefault(step, []).append(b)
        self.steps = sorted(made)
        self.items = _items(start, self.buffers, self.steps, made)
        self.tried: dict[int, Budgeted | Stuck] = {}
        self.smallest: Budgeted | None = None
        count = len(self.steps)
        self.policies = tuple(POLICIES)[: len(POLICIES) if count <= ALL_POLICIES_UP_TO else 2]
        self.tries = TRIES if count <= LARGE else 2

    def within(self, budget: int) -> Budgeted:
        """Return the cheapest plan found within a budget of arena and results."""
        room = budget - self.start.result_bytes - self.beside
        best: Budgeted | None = None
        limit, below, above = room, 0, 0  # what is played, the last limit that kept the budget, the last that did not
        for played in range(TRIES):
            if best is not None and played >= self.tries:
                break
            found = self._at(limit) if limit > 0 else None
            if not isinstance(found, Budgeted):
                break
            arena = found.plan.arena_bytes
            if arena <= room:
                below = limit
                if best is None or found.seconds < best.seconds:
                    best = found
            else:
                # The arena is above what the play counted: alignment, views, places that do not fit.
                above = limit
            if 0 < room - arena < room // 50:
                break
            if below and above:
                limit = (below + above) // 2
            elif above:
                limit = min(limit * room // arena, limit - ALIGNMENT)
            else:
                # It is below: what the play keeps in case it is wanted again may never be.
                limit = limit * room // max(arena, 1)
        if best is None:
            best = self._smallest()
            if best.plan.peak_bytes + self.beside > budget:
                raise _refusal(best.plan, budget, self.beside)
        return best

    def _at(self, limit: int) -> Budgeted | Stuck:
        """Return the cheapest play within a limit as a planned graph."""
        known = self.tried.get(limit)
        if known is None:
            found = cheapest(self.items, limit, self.policies)
            known = self.tried[limit] = found if isinstance(found, Stuck) else self._planned(found)
        return known

    def _planned(self, found: Play) -> Budgeted:
        graph = played_graph(self.buffers, [self.steps[item] for item in found.order])
        made = plan(graph, self.updates, self.results)
        again = [node for node in graph.nodes if node.role == "recompute" and node.replica]
        return Budgeted(
            graph,
            made,
            sum([_seconds(n) for n in again if not n.op.view]),
            sum([_flops(n) for n in again]),
            found.policy,
        )

    def _smallest(self) -> Budgeted:
        """Return the plan with the least memory that is found by halving the limit's range; it is looked for once."""
        if self.smallest is None:
            self.smallest = self._halved()
        return self.smallest

    def _halved(self) -> Budgeted:
        low, high = 0, self.start.arena_bytes
        best: Budgeted | None = None
        for _ in range(10):
            middle = (low + high) // 2
            found = cheapest(self.items, middle, self.policies[:2])
            if isinstance(found, Stuck):
                low = middle
                continue
            high = middle
            planned = self._planned(found)
            if best is None or planned.plan.peak_bytes < best.plan.peak_bytes:
                best = planned
        if best is None or self.start.peak_bytes <= best.plan.peak_bytes:
            return Budgeted(self.start.graph, self.start, 0.0, 0, "")
        return best


def _items(start: Plan, buffers: Buffers, steps: Sequence[int], made: Mapping[int, list[int]]) -> Items:
    """Describe the steps that make buffers as items; what lies in results or state takes no bytes of the arena."""
    nodes, number = buffers.steps, {step: item for item, step in enumerate(steps)}
    found = start.lifetimes
    outputs = {value[0] for value in start.graph.outputs}
    in_place = set(buffers.in_place_steps)
    viewed = {buffers.buffer_of[buffers.number[value[0]] + value[1]] for value in start.graph.outputs}
    operands, sizes, seconds, fixed, overwrites = [], [], [], [], []
    for step in steps:
        node = nodes[step]
        reads = buffers.reads[buffers.first_read[step] : buffers.first_read[step + 1]]
        made_by = [number[buffers.made_at[b]] for b in reads if buffers.made_at[b] >= 0]
        operands.append(tuple(dict.fromkeys(made_by)))
        size = 0
        for index, type_ in enumerate(node.types):
            if found.homes[found.buffer(Value(node, index))] == Home.ARENA:
                size += aligned(byte_size(type_))
        sizes.append(size)
        seconds.append(_seconds(node))
        fixed.append(node in outputs or not size or any(b in viewed for b in made[step]))
        taken = overwritable(buffers, step) if step in in_place else []
        overwrites.append(tuple([number[buffers.made_at[b]] for b in taken]))
    return Items(operands, sizes, seconds, fixed, overwrites)


def played_graph(buffers: Buffers, order: Sequence[int]) -> Graph:
    """Return the graph whose nodes run in `order`, a list of steps; those that come again are recomputation."""
    old = buffers.graph
    now: dict[Node, Node] = {}  # the copy of each step that was made last
    times: dict[Node, int] = {}
    views: dict[tuple[Node, Value], Node] = {}

    def current(value: Value) -> Value:
        """Return what stands for a value now; views are put in over the copy of what they view."""
        path: list[Node] = []
        node, index = value
        while node not in now and type(node.op) is not Input and type(node.op) is not Constant:
            path.append(node)
            node, index = node.inputs[0]
        at = Value(now.get(node, node), index)
        for view in reversed(path):
            made = views.get((view, at))
            if made is None:
                made = views[view, at] = _copy(view, (at, *map(current, view.inputs[1:])), at.node.replica)
            at = Value(made, 0)
        return at

    for step in order:
        node = buffers.steps[step]
        times[node] = times.get(node, -1) + 1
        now[node] = _copy(node, tuple([current(value) for value in node.inputs]), times[node])
    outputs = tuple([current(value) for value in old.outputs])
    return Graph(
        old.name,
        old.inputs,
        outputs,
        old.input_names,
        old.output_names,
        old.input_container,
        old.output_container,
        old.initial,
        old.assumptions,
    )


def _copy(node: Node, inputs: tuple[Value, ...], times: int) -> Node:
    """Return a node like this one for the first time, and as recomputation from then on."""
    role = "recompute" if times else node.role
    return Node(node.op, inputs, node.types, node.location, node.scope, role, node.replica + times)


def _refusal(smallest: Plan, budget: int, beside: int) -> MemoryBudgetError:
    """Say that a budget cannot be kept, how little memory was reached, and what holds it."""
    step = smallest.peak_step
    live = [p for p in smallest.placed() if p.start <= step <= p.end]
    live.sort(key=lambda p: -p.size)
    lines = [
        f"  {p.size:>14,} bytes  {p.label}" + (f"  at {p.node.location.short}" if p.node.location else "")
        for p in live[:5]
    ]
    least = smallest.peak_bytes + beside
    workspace = f", {beside:,} of workspace" if beside else ""
    return MemoryBudgetError(
        f"graph {smallest.graph.name!r} does not fit into {budget:,} bytes; the least that was found is {least:,} "
        f"({smallest.arena_bytes:,} of arena, {smallest.result_bytes:,} of results{workspace}). At its peak it holds:\n"
        + "\n".join(lines),
        least,
    )
