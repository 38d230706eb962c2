"""The curve of memory against time: what each budget would cost, before one is chosen."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, overload

from graphad.execute.choice import chosen
from graphad.execute.compiling import traced_and_optimized
from graphad.execute.executable import Executable
from graphad.ir.errors import SymbolicSizeError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.plan.amounts import amount_bytes
from graphad.plan.remat import CurvePoint

SHARES = 12
"""Budgets that are looked at where none are given: this many equal steps down from the peak."""


@frozen
class RematCurve(Sequence[CurvePoint]):
    """What budgets of memory cost: a sequence of its points, which prints as a table and draws itself.

    Attributes:
        graph: the graph's name.
        points: a point for each budget, in the order asked for.
        unlimited: what a call needs without a budget; its own `budget` is None.
        smallest: the least memory that a plan was found for, and what it costs.
    """

    graph: str
    points: tuple[CurvePoint, ...]
    unlimited: CurvePoint
    smallest: CurvePoint

    @overload
    def __getitem__(self, index: int) -> CurvePoint: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[CurvePoint]: ...
    def __getitem__(self, index: int | slice) -> CurvePoint | Sequence[CurvePoint]:
        """Return the point, or the points, of a budget by position."""
        return self.points[index]

    def __len__(self) -> int:
        """Return the number of budgets."""
        return len(self.points)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers, with the form's version and the units."""
        return {
            "format": "graphad remat curve",
            "version": 1,
            "units": "bytes",
            "graph": self.graph,
            "unlimited": _numbers(self.unlimited),
            "smallest": _numbers(self.smallest),
            "points": [_numbers(point) for point in self.points],
        }

    def to_svg(self, path: str | os.PathLike[str] | None = None) -> str:
        """Draw extra FLOPs and time over memory, write the picture to `path` if given, and return it."""
        from graphad.view.curve import curve_to_svg

        svg = curve_to_svg(self)
        if path is not None:
            from pathlib import Path

            Path(path).write_text(svg, encoding="utf-8")
        return svg

    def __str__(self) -> str:
        rows = [("budget", "peak bytes", "recomputed", "extra FLOPs", "extra us")]
        for name, point in (
            ("unlimited", self.unlimited),
            *((f"{point.budget:,}", point) for point in self.points),
            ("smallest", self.smallest),
        ):
            if point.peak is None:
                rows.append((name, "no plan", "", "", ""))
                continue
            share = f"{extra_share(point):.2%}"
            rows.append((name, f"{point.peak:,}", f"{point.recomputed:,}", share, f"{1e6 * point.seconds:.1f}"))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        return "\n".join("  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in rows)


def extra_share(point: CurvePoint) -> float:
    """Return the FLOPs of recomputation as a share of those of a call without it."""
    return point.extra_flops / max(point.flops - point.extra_flops, 1)


def _numbers(point: CurvePoint) -> dict[str, Any]:
    return {
        "budget_bytes": point.budget,
        "peak_bytes": point.peak,
        "flops": point.flops,
        "extra_flops": point.extra_flops,
        "extra_seconds": point.seconds,
        "recomputed": point.recomputed,
    }


def remat_curve(
    function: Graph | Callable[..., Any],
    *examples: Any,
    budgets: Iterable[int | str] | None = None,
    updates: Mapping[str, str] | None = None,
    optimize: Callable[[Graph], Graph] | None = None,
    executor: str | None = None,
) -> RematCurve:
    """Return what each budget of memory costs in time, as `compile(..., memory=budget)` would keep it.

    Args:
        function, *examples, updates, optimize, executor: as of `compile`.
        budgets: bytes, or text like "140MB"; twelve steps from the peak down if not given. Workspace counts, as a
            call without a budget needs it: what is computed again may take a little more.

    Returns a sequence with a point for each budget, in order: the planned peak (None where no plan was found), the
    floating-point operations with and without what is computed again, and an estimate of the seconds that this takes. A
    bigger budget never costs more. Raises SymbolicSizeError for a graph with symbolic sizes.
    """
    graph = traced_and_optimized(function, examples, optimize, executor)
    if not graph.static:
        raise SymbolicSizeError(f"graph {graph.name!r} has a curve once its sizes are known: graph.bind(...)")
    wanted = None if budgets is None else [amount_bytes(budget) for budget in budgets]
    found = Executable(graph, updates, executor=chosen(executor)).plans.budgets(())
    peak = found.peak
    if wanted is None:
        wanted = [max(peak * k // SHARES, 1) for k in range(SHARES, 0, -1)]
    least = max(found.smallest().plan.peak_bytes + found.beside, 1)
    *points, smallest, unlimited = found.curve([*wanted, least, max(peak, 1)])
    return RematCurve(
        graph.name,
        tuple(points),
        CurvePoint(None, peak, unlimited.flops - unlimited.extra_flops, 0, 0.0, 0),
        smallest,
    )
