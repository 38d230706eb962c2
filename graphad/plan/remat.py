"""Rematerialisation: a graph that needs no more memory than it may, because it makes some values twice.

The schedule of the graph is played within limits (`graphad.plan.policies`); what is made again becomes nodes of the
role "recompute" with a `replica` above 0, which no pass merges with the first (`graphad.plan.replay`). The new graphs
are then planned, and it is the placed arena that must fit: the cheapest that does is taken.

Memory here is what `Plan.peak_bytes` counts: the arena and the results of a call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from graphad.ir.collector import collector_paused
from graphad.ir.errors import MemoryBudgetError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.plan.division import chain_of
from graphad.plan.items import links_of
from graphad.plan.keeping import Keeping, Preference
from graphad.plan.plan import Plan, plan
from graphad.plan.policies import DIVIDING, LARGE, POLICIES, Dear, Play, Stuck, play_below
from graphad.plan.replay import Outline, Replay, node_flops, node_seconds

RUNG = 0.992
"""Each limit that is played is at most this share of the last."""

RUNGS = 560
"""Limits there are: the last is a hundredth of what is held without a limit."""

TRIES = 4
"""Limits that are looked at for a budget from the first that fits; one for large graphs."""

ABOVE = 1.03
"""Limits are at most so many times what is left of the budget: plays keep what may never be wanted again."""

PLACED = 1.02
"""A play is planned where it holds at most so many times the room there is: its order may still get better."""

DEAR = 2.0
"""A play that costs so many times the best is broken off: policies are never that lucky with less memory."""

ALL_LIMITS_UP_TO = 64
"""Items of a graph for which each budget looks at all limits below it."""

ALL_STRATEGIES_UP_TO = 2_000
"""Items that all strategies are played on, at least within the first limit; beyond, few are."""

LEADERS = 2
"""Strategies that go on to further limits, where not all limits are looked at: the cheapest of the first."""

HALVINGS = 10
"""How often the range of limits is halved for the least memory."""

SMALLEST_PLANNED = 3
"""Plays that are planned for the least memory: those that hold least."""

Updates = Mapping[int, int | None]

Lead = Literal["preference", "division", ""]
"""What goes before a policy."""
Strategy = tuple[str, Lead]
"""The name of a policy, and what goes before it."""

_LEADS: tuple[Lead, ...] = ("preference", "")
ALL_STRATEGIES: tuple[Strategy, ...] = tuple([(name, lead) for lead in _LEADS for name in POLICIES])
FEW_STRATEGIES: tuple[Strategy, ...] = (("by size", "preference"), ("steep", ""))


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


def within(graph: Graph, updates: Updates | None, results: int | None, budget_bytes: int, beside: int = 0) -> Budgeted:
    """Find the cheapest recomputation that keeps a budget, as `with_budget` does, and return it with its plan.

    Of the budget, `beside` bytes are left for the executor's workspace.
    """
    return Budgets(graph, updates, results, beside).within(budget_bytes)


def remat_curve(
    graph: Graph, budgets: Sequence[int], updates: Updates | None = None, results: int | None = None
) -> list[CurvePoint]:
    """Return what each budget costs, in the order given; a bigger budget never costs more."""
    return Budgets(graph, updates, results).curve(budgets)


class Budgets:
    """The budgets of one graph: what was found for one serves the others.

    Limits come from one ladder, whatever the budget: each budget takes the cheapest of the plans that fit, from the
    limits at and below it, so that a bigger budget finds what a smaller one does.

    Attributes:
        start: the plan without a budget.
        beside: bytes of each budget that are left for the executor's workspace.
    """

    def __init__(self, graph: Graph, updates: Updates | None, results: int | None, beside: int = 0) -> None:
        self.updates, self.results, self.beside = updates, results, beside
        with collector_paused():
            self.start = plan(graph, updates, results)
        self._search: _Search | None = None
        self._smallest: Budgeted | None = None

    @property
    def peak(self) -> int:
        """Return what a call needs without a budget."""
        return self.start.peak_bytes + self.beside

    @collector_paused()
    def within(self, budget: int) -> Budgeted:
        """Return the cheapest plan found within a budget of arena, results and workspace.

        Raises MemoryBudgetError where none was found.
        """
        if self.peak <= budget:
            return Budgeted(self.start.graph, self.start, 0.0, 0, "")
        room = budget - self.start.result_bytes - self.beside
        search = self._searched()
        best = search.within(room)
        if best is None or search.exhaustive:
            least = self.smallest()
            if least.plan.arena_bytes <= room and (best is None or least.seconds < best.seconds):
                best = least
        if best is None:
            raise _refusal(self.smallest().plan, budget, self.beside)
        return best

    @collector_paused()
    def smallest(self) -> Budgeted:
        """Return the plan with the least memory that is found by halving the limit's range; it is looked for once."""
        if self._smallest is None:
            found = self._searched().smallest()
            if found is None or self.start.arena_bytes <= found.plan.arena_bytes:
                found = Budgeted(self.start.graph, self.start, 0.0, 0, "")
            self._smallest = found
        return self._smallest

    def curve(self, budgets: Sequence[int]) -> list[CurvePoint]:
        """Return what each budget costs, in the order given; a bigger budget never costs more."""
        best: Budgeted | None = None
        points: dict[int, CurvePoint] = {}
        for budget in sorted(set(budgets)):
            try:
                found = self.within(budget)
            except MemoryBudgetError:
                points[budget] = CurvePoint(budget, None, self._searched().flops, 0, 0.0, 0)
                continue
            if best is None or found.seconds < best.seconds:
                best = found
            points[budget] = self.point(budget, best)
        return [points[budget] for budget in budgets]

    def point(self, budget: int | None, found: Budgeted) -> CurvePoint:
        """Describe a plan as the point of a curve."""
        recomputed = sum([node.role == "recompute" for node in found.plan.schedule.nodes])
        peak = found.plan.peak_bytes + self.beside
        return CurvePoint(budget, peak, self._searched().flops + found.flops, found.flops, found.seconds, recomputed)

    def _searched(self) -> _Search:
        if self._search is None:
            self._search = _Search(self.start, self.updates, self.results)
        return self._search


def _costs(found: Plan) -> tuple[float, int]:
    """Return an estimate of the seconds of a plan's steps, and their floating-point operations."""
    nodes = [node for node in found.schedule.nodes if not node.op.view]
    return sum([node_seconds(node) for node in nodes]), sum([node_flops(node) for node in nodes])


class _Candidate:
    """A play, what it comes to, and its plan once that has been made."""

    def __init__(self, play: Play, outline: Outline) -> None:
        self.play, self.outline = play, outline
        self.planned: Budgeted | None = None


class _Search:
    """The search for recomputation in one graph: its items, and the plays of them."""

    def __init__(self, start: Plan, updates: Updates | None, results: int | None) -> None:
        self.start, self.updates, self.results = start, updates, results
        self.replay = Replay(start)
        self.items = self.replay.items
        self.seconds, self.flops = _costs(start)
        self.candidates: dict[tuple[int, ...], _Candidate] = {}
        self.links = links_of(self.items)
        self.keeping = Keeping(self.items)
        self.chain = chain_of(self.items, self.keeping.turn)
        self.played: dict[tuple[str, Lead, Preference | None], list[tuple[int, Play | Stuck | Dear]]] = {}
        count = len(self.items.sizes)
        self.exhaustive = count <= ALL_LIMITS_UP_TO
        self.strategies = ALL_STRATEGIES if count <= ALL_STRATEGIES_UP_TO else FEW_STRATEGIES
        if self.chain is not None and count <= LARGE:
            self.strategies = ((DIVIDING, "division"), *self.strategies)
        self.leaders = len(self.strategies) if self.exhaustive else LEADERS if count <= LARGE else 1
        self.tries, self.above = (TRIES, ABOVE) if count <= LARGE else (1, 1.0)

    def within(self, room: int) -> Budgeted | None:
        """Return the cheapest plan found whose arena fits into `room` bytes; None where none was found."""
        best: Budgeted | None = None
        left = list(self.strategies)
        misses = dict.fromkeys(left, 0)
        looked_at = 0
        for limit in self._limits(room):
            costs: dict[float, Strategy] = {}  # of equal plays one
            for each in left:
                rivals = [] if self.exhaustive else list(costs)
                found = self._at(limit, each, DEAR * min([*rivals, best.seconds if best else np.inf]))
                if isinstance(found, Play):
                    misses[each] = 0
                    costs.setdefault(found.extra, each)
                else:
                    misses[each] += 1
            left = [each for each in left if misses[each] < 2]
            best = self._cheapest(room, best)
            looked_at += best is not None
            if not left or (looked_at >= self.tries and not self.exhaustive):
                break
            if len(left) > self.leaders and costs:
                left = [costs[extra] for extra in sorted(costs)[: self.leaders]]
        return best

    def _limits(self, room: int) -> list[int]:
        """Return the limits for a room: the first that is not above it, then those above, then those below.

        Where a budget does not look at all limits below it, the first is the room itself.
        """
        limits = [int(self.start.arena_bytes * RUNG**rung) for rung in range(RUNGS)]
        above = [limit for limit in limits if room < limit <= room * self.above]
        below = [limit for limit in limits if limit <= room]
        return [*below[:1], *above, *below[1:]] if self.exhaustive else [room, *above, *below]

    def _at(self, limit: int, strategy: Strategy, most: float) -> Play | Stuck | Dear:
        """Play a strategy within a limit, where no play is known that is the same."""
        policy, lead = strategy
        preference = self.keeping.preference(limit) if lead == "preference" else None
        division = self.chain.division(limit) if self.chain is not None and lead == "division" else None
        played = self.played.setdefault((policy, lead, preference), [])
        for at, known in played:
            if isinstance(known, Play) and known.held <= limit <= at:
                return known if known.extra <= most else Dear(most)
            if at == limit and (isinstance(known, Stuck) or (isinstance(known, Dear) and known.most >= most)):
                return known
        found = play_below(self.items, limit, policy, most, preference, self.links, division)
        played.append((limit, found))
        if isinstance(found, Play) and found.order not in self.candidates:
            self.candidates[found.order] = _Candidate(found, self.replay.outline(found))
        return found

    def _cheapest(self, room: int, best: Budgeted | None) -> Budgeted | None:
        """Return the cheapest plan that fits of the plays so far; only what may be cheaper is planned."""
        promising = [each for each in self.candidates.values() if each.outline.live <= PLACED * room]
        for each in sorted(promising, key=lambda each: each.outline.seconds):
            if best is not None and each.outline.seconds - self.seconds >= best.seconds:
                break
            planned = self._planned(each)
            if planned.plan.arena_bytes <= room:
                return planned
        return best

    def _planned(self, candidate: _Candidate) -> Budgeted:
        if candidate.planned is None:
            outline = candidate.outline
            graph = self.replay.graph(outline)
            made = plan(graph, self.updates, self.results)
            seconds, flops = max(outline.seconds - self.seconds, 0.0), max(outline.flops - self.flops, 0)
            candidate.planned = Budgeted(graph, made, seconds, flops, candidate.play.policy)
        return candidate.planned

    def smallest(self) -> Budgeted | None:
        """Return the plan with the least memory that is found by halving the limit's range."""
        low, high = 0, self.start.arena_bytes
        for _ in range(HALVINGS):
            middle = (low + high) // 2
            found = [self._at(middle, (name, ""), np.inf) for name in tuple(POLICIES)[:2]]
            held = [play.held for play in found if isinstance(play, Play)]
            low, high = (low, min(held)) if held else (middle, high)
        by_live = sorted(self.candidates.values(), key=lambda each: each.outline.live)
        found_plans = [self._planned(each) for each in by_live[:SMALLEST_PLANNED]]
        return min(found_plans, key=lambda each: each.plan.arena_bytes, default=None)


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
