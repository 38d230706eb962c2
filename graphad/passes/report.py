"""Reports: what each pass of an optimisation did, for people and for `graphad optimize`."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from graphad.ir.dims import Dim
from graphad.ir.frozen import field, frozen
from graphad.ir.graph import Graph
from graphad.passes.driver import Rewrite

if TYPE_CHECKING:
    from graphad.ir.counts import Counts


class Counted:
    """A graph whose costs are counted when somebody asks: counting takes as long as a pass does."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    @functools.cached_property
    def counts(self) -> Counts:
        """The costs of the graph."""
        from graphad.ir.counts import count

        return count(self.graph)


@frozen
class PassReport:
    """What one pass did.

    Attributes:
        name: the pass.
        rules: how often each rule (or kind of step) fired.
        rewrites: the history, in order.
        input, output: the graph before and after the pass.
        seconds: time the pass took, without verifying.
    """

    name: str
    rules: Mapping[str, int]
    rewrites: tuple[Rewrite, ...] = field(repr=False)
    input: Counted = field(repr=False)
    output: Counted = field(repr=False)
    seconds: float

    @property
    def before(self) -> Counts:
        """Return the costs of the graph before the pass."""
        return self.input.counts

    @property
    def after(self) -> Counts:
        """Return the costs of the graph after the pass."""
        return self.output.counts


@frozen
class Report:
    """The passes of one `optimize`, in order; prints as a table."""

    passes: tuple[PassReport, ...]

    @property
    def before(self) -> Counts:
        """Return the costs of the graph that was given."""
        return self.passes[0].before

    @property
    def after(self) -> Counts:
        """Return the costs of the graph that came out."""
        return self.passes[-1].after

    @property
    def rules(self) -> Mapping[str, int]:
        """Return how often each rule fired, over all passes."""
        counts: Counter[str] = Counter()
        for each in self.passes:
            counts.update(each.rules)
        return counts

    @property
    def rewrites(self) -> tuple[Rewrite, ...]:
        """Return the history of all passes, in order."""
        return tuple(r for each in self.passes for r in each.rewrites)

    def __str__(self) -> str:
        if not self.passes:
            return "no passes ran"
        rows = [("pass", "ops", "FLOPs", "bytes moved", "peak bytes", "ms", "rules")]
        rows.append(("(before)", *_cells(self.before), "", ""))
        for each in self.passes:
            fired = ", ".join(f"{name} {n}" for name, n in sorted(each.rules.items(), key=lambda kv: (-kv[1], kv[0])))
            rows.append((each.name, *_cells(each.after), f"{each.seconds * 1e3:.1f}", fired or "-"))
        widths = [max(len(row[k]) for row in rows) for k in range(6)]
        return "\n".join(
            "  ".join(
                [
                    row[0].ljust(widths[0]),
                    *(cell.rjust(w) for cell, w in zip(row[1:6], widths[1:], strict=True)),
                    row[6],
                ]
            ).rstrip()
            for row in rows
        )


def _cells(counts: Counts) -> tuple[str, str, str, str]:
    return (
        str(counts.ops),
        _number(counts.flops),
        _number(counts.bytes_moved),
        "symbolic" if counts.peak_bytes is None else _number(counts.peak_bytes),
    )


def _number(n: Dim) -> str:
    return f"{n:,}" if isinstance(n, int) else str(n)
