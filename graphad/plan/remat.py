"""Rematerialisation: a graph that needs no more memory than it may, because it makes some values twice.

The schedule of the graph is played within limits (`graphad.plan.policies`); what is made again becomes nodes of the
role "recompute" with a `replica` above 0, which no pass merges with the first (`graphad.plan.replay`). The new graphs
are then planned, and it is the placed arena that must fit: the cheapest that does is taken.

Memory here is what `Plan.peak_bytes` counts: the arena and the results of a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphad.ir.collector import collector_paused
from graphad.ir.errors import MemoryBudgetError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.plan.plan import Plan, plan
from graphad.plan.policies import LARGE, POLICIES, Play, Stuck, cheapest
from graphad.plan.replay import Replay, node_flops, node_seconds

RUNG = 0.985
"""Each limit that is played is this share of the next."""

RUNGS = 300
"""Limits there are: the last is a hundredth of what is held without a limit."""

TRIES = 4
"""Limits whose plans fit that are looked at for a budget; two for large graphs."""

ABOVE = 1.05
"""The first limit is at most so many times what is left of the budget: plays keep what may never be wanted again."""

NO_LUCK = 1.3
"""A limit that costs so many times the best is the last: policies are never that lucky below it."""

ALL_LIMITS_UP_TO = 64
"""Items of a graph for which each budget looks at all limits below it."""

ALL_POLICIES_UP_TO = 2_000
"""Items that all policies are played on; beyond, the first two."""

Updates = Mapping[int, int | None]


@frozen(slots=True, eq=False)
class Budgeted:
    """A graph that keeps a budget.

    Attributes:
        graph: the graph, with recomputation in it where that is needed.
        plan: its plan; ``plan.peak_bytes`` keeps the budget.
        seconds: estimate of what recomputation costs, beyond a call without it.
        flops: floating-point operations beyond a call without it.
        policy: the policy that gave it; "" for a graph without recomputation.
    """

    graph: Graph
    plan: Plan
    seconds: float
    flops: int
    policy: str


@frozen(slots=True)
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
    total = search.flops
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


def _costs(found: Plan) -> tuple[float, int]:
    """Return an estimate of the seconds of a plan's steps, and their floating-point operations."""
    nodes = [node for node in found.schedule.nodes if not node.op.view]
    return sum([node_seconds(node) for node in nodes]), sum([node_flops(node) for node in nodes])


class _Search:
    """The search for recomputation in one graph: its items, and the limits that were played.

    Limits come from one ladder, whatever the budget: each budget takes the cheapest of the plans that fit, from the
    limits at and below it, so that a bigger budget finds what a smaller one does.
    """

    def __init__(self, start: Plan, updates: Updates | None, results: int | None, beside: int = 0) -> None:
        self.start, self.updates, self.results, self.beside = start, updates, results, beside
        self.replay = Replay(start)
        self.items = self.replay.items
        self.seconds, self.flops = _costs(start)
        self.tried: dict[int, Budgeted | None] = {}
        self.smallest: Budgeted | None = None
        count = len(self.items.sizes)
        self.policies = tuple(POLICIES)[: len(POLICIES) if count <= ALL_POLICIES_UP_TO else 2]
        self.tries, self.above = (TRIES, ABOVE) if count <= LARGE else (2, 1.0)
        self.exhaustive = count <= ALL_LIMITS_UP_TO

    def within(self, budget: int) -> Budgeted:
        """Return the cheapest plan found within a budget of arena and results."""
        room = budget - self.start.result_bytes - self.beside
        best: Budgeted | None = None
        fitting = 0
        for rung in range(RUNGS):
            limit = int(self.start.arena_bytes * RUNG**rung)
            if limit > room * self.above:
                continue
            found = self._at(limit)
            if found is None:
                if self.exhaustive:
                    continue
                break
            if found.plan.arena_bytes <= room:
                fitting += 1
                if best is None or found.seconds < best.seconds:
                    best = found
            if best is None or self.exhaustive:
                continue
            if fitting >= self.tries or found.seconds > NO_LUCK * best.seconds:
                break
        if best is None or self.exhaustive:
            least = self._smallest()
            if least.plan.arena_bytes <= room and (best is None or least.seconds < best.seconds):
                best = least
        if best is None:
            raise _refusal(self._smallest().plan, budget, self.beside)
        return best

    def _at(self, limit: int) -> Budgeted | None:
        """Return the cheapest play within a limit as a planned graph; None where no policy keeps it."""
        if limit not in self.tried:
            found = cheapest(self.items, limit, self.policies)
            self.tried[limit] = None if isinstance(found, Stuck) else self._planned(found)
        return self.tried[limit]

    def _planned(self, found: Play) -> Budgeted:
        graph = self.replay.graph(found)
        made = plan(graph, self.updates, self.results)
        seconds, flops = _costs(made)
        return Budgeted(graph, made, max(seconds - self.seconds, 0.0), max(flops - self.flops, 0), found.policy)

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
