"""The curve of memory against time: what each budget would cost, before one is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from graphad.execute.choice import chosen
from graphad.execute.compiling import traced_and_optimized
from graphad.execute.executable import Executable
from graphad.ir.errors import SymbolicSizeError
from graphad.ir.graph import Graph
from graphad.plan.amounts import amount_bytes
from graphad.plan.remat import CurvePoint

SHARES = 12
"""Budgets that are looked at where none are given: this many equal steps down from the peak."""


def remat_curve(
    function: Graph | Callable[..., Any],
    *examples: Any,
    budgets: Iterable[int | str] | None = None,
    updates: Mapping[str, str] | None = None,
    optimize: Callable[[Graph], Graph] | None = None,
    executor: str | None = None,
) -> list[CurvePoint]:
    """Return what each budget of memory costs in time, as `compile(..., memory=budget)` would keep it.

    Args:
        function, *examples, updates, optimize, executor: as of `compile`.
        budgets: bytes, or text like "140MB"; twelve steps from the peak down if not given. The workspace of machine
            code (some 10 kB a thread) is not counted.

    Returns a point for each budget, in order: the planned peak (None where no plan was found), the floating-point
    operations with and without what is computed again, and an estimate of the seconds that this takes. A bigger budget
    never costs more. Raises SymbolicSizeError for a graph with symbolic sizes.
    """
    graph = traced_and_optimized(function, examples, optimize)
    if not graph.static:
        raise SymbolicSizeError(f"graph {graph.name!r} has a curve once its sizes are known: graph.bind(...)")
    plans = Executable(graph, updates, executor=chosen(executor)).plans
    if budgets is None:
        peak = plans.get(()).peak_bytes
        return plans.curve((), [max(peak * k // SHARES, 1) for k in range(SHARES, 0, -1)])
    return plans.curve((), [amount_bytes(budget) for budget in budgets])
