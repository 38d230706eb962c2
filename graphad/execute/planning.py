"""Planning: the plans of one graph for the sizes that it is called with, made when they are first needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping

from graphad.execute.opening import open_groups
from graphad.ir.graph import Graph
from graphad.plan.plan import Plan, plan

Binding = tuple[tuple[str, int], ...]
"""Names and values of symbolic sizes, by name; empty for a static graph."""

BINDINGS_KEPT = 16
"""Plans, and programs, kept for different sizes of a symbolic graph; the one used longest ago goes first."""


class Plans:
    """The plans of a graph. Several threads may ask."""

    def __init__(self, graph: Graph, updates: Mapping[int, int | None], results: int, executor: str) -> None:
        """Remember what to plan: `updates` and `results` as `plan` takes them, for calls on `executor`."""
        self.graph = graph
        self._updates = dict(updates)
        self._results = results
        self._executor = executor
        self._lock = threading.Lock()
        self._made: OrderedDict[Binding, Plan] = OrderedDict()

    def get(self, binding: Binding) -> Plan:
        """Return the plan that calls with these sizes follow, on the executor they run on in the end."""
        with self._lock:
            found = self._made.get(binding)
            if found is None:
                found = self._made[binding] = self._planned(self._grouped(self._bound(binding)))
                while len(self._made) > BINDINGS_KEPT:
                    self._made.popitem(last=False)
            self._made.move_to_end(binding)
            return found

    def reference(self, binding: Binding) -> Plan:
        """Return the plan that the reference executor follows, whichever executor calls run on in the end."""
        if self._executor == "reference":
            return self.get(binding)
        return self._planned(open_groups(self._bound(binding)))

    def _bound(self, binding: Binding) -> Graph:
        return self.graph.bind(**dict(binding)) if binding else self.graph

    def _planned(self, graph: Graph) -> Plan:
        return plan(graph, self._updates, self._results)

    def _grouped(self, graph: Graph) -> Graph:
        """Return the static graph as the executor runs it: with the groups of ops that it computes together."""
        if self._executor == "reference":
            return open_groups(graph)
        from graphad.execute.native.preparing import prepared

        return prepared(graph)
