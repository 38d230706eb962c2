"""Planning: the plans of one graph for the sizes that it is called with, made when they are first needed.

A budget holds for whichever executor runs: recomputation is put into the graph as that executor runs it, and machine
code's workspace counts.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphad.execute.opening import open_groups, with_groups
from graphad.ir.graph import Graph
from graphad.plan.plan import Plan, plan

if TYPE_CHECKING:
    from graphad.plan.remat import Budgets

Binding = tuple[tuple[str, int], ...]
"""Names and values of symbolic sizes, by name; empty for a static graph."""

BINDINGS_KEPT = 16
"""Plans, and programs, kept for different sizes of a symbolic graph; the one used longest ago goes first."""


class Plans:
    """The plans of a graph. Several threads may ask."""

    def __init__(
        self,
        graph: Graph,
        updates: Mapping[int, int | None],
        results: int,
        executor: str,
        budget: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Remember what to plan.

        Args:
            graph, updates, results: as `plan` takes them.
            executor: what calls run on in the end.
            budget: most bytes of arena, results and workspace of a call; None for no limit.
            threads: most threads of a native call: each has a workspace.
        """
        self.graph = graph
        self.budget = budget
        self._updates = dict(updates)
        self._results = results
        self._executor = executor
        self._threads = threads
        self._lock = threading.Lock()
        self._made: OrderedDict[tuple[str, Binding], Plan] = OrderedDict()

    def get(self, binding: Binding) -> Plan:
        """Return the plan that calls with these sizes follow, on the executor they run on in the end.

        Raises MemoryBudgetError where none keeps the budget.
        """
        return self._found(self._executor, binding)

    def reference(self, binding: Binding) -> Plan:
        """Return the plan that the reference executor follows, whichever executor calls run on in the end."""
        return self._found("reference", binding)

    def _found(self, executor: str, binding: Binding) -> Plan:
        key = executor, binding
        with self._lock:
            found = self._made.get(key)
            if found is None:
                found = self._planned(executor, self._grouped(executor, self._bound(binding)))
                if executor != self._executor and self.budget is None:
                    return found  # it serves a few calls only, so it is not kept
                self._made[key] = found
                while len(self._made) > BINDINGS_KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return found

    def budgets(self, binding: Binding) -> Budgets:
        """Return the budgets of calls with these sizes; of each the workspace of a call without one is left."""
        from graphad.plan.remat import Budgets

        found = Budgets(self._grouped(self._executor, self._bound(binding)), self._updates, self._results)
        found.beside = self._workspace(self._executor, found.start)
        return found

    def _planned(self, executor: str, graph: Graph) -> Plan:
        if self.budget is None:
            return plan(graph, self._updates, self._results)
        beside = self._workspace(executor, plan(graph, self._updates, self._results))
        while True:
            found = self._within(graph, beside)
            needed = self._workspace(executor, found)
            if found.peak_bytes + needed <= self.budget:
                return found
            beside = max(needed, beside + 1)  # more each time, so this ends: with a plan, or a refusal

    def _bound(self, binding: Binding) -> Graph:
        return self.graph.bind(**dict(binding)) if binding else self.graph

    def _grouped(self, executor: str, graph: Graph) -> Graph:
        """Return the static graph as the executor runs it: with the groups of ops that it computes together.

        The pipeline makes the reference executor's groups where it is to run the graph for good.
        """
        if executor == "reference":
            return open_groups(graph if executor == self._executor else with_groups(graph))
        from graphad.execute.native.preparing import prepared

        return prepared(graph, self._updates)

    def _within(self, graph: Graph, beside: int) -> Plan:
        """Return a plan that leaves `beside` bytes of the budget."""
        from graphad.plan.remat import within

        assert self.budget is not None
        return within(graph, self._updates, self._results, self.budget, beside).plan

    def _workspace(self, executor: str, found: Plan) -> int:
        """Return the bytes that an executor needs beside arena and results, known once its steps are bound."""
        if executor == "reference":
            from graphad.execute.reference import workspace_bytes

            return workspace_bytes(found)
        from graphad.execute.native import workspace

        return workspace.workspace_bytes(found, self._threads)
