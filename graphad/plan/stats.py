"""Stats: what a graph costs, in a few numbers that print as a table. `graphad.ir.counts` does the counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from graphad.ir.counts import LEAVES, count
from graphad.ir.dims import Dim
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph


@frozen
class Stats:
    """What a graph costs; sizes that are not known yet leave expressions in them.

    Attributes:
        name: the graph's name.
        ops: nodes that compute (inputs, constants and sizes do not).
        flops: floating-point operations.
        bytes_moved: bytes read and written by ops that are not views.
        parameters: elements of the parameter inputs.
        peak_bytes: the most bytes alive at once in program order, inputs and constants counted throughout; None where
            sizes are symbolic.
        by_op: how often each op comes, most frequent first.
        by_role: how many ops are forward, backward, ...
    """

    name: str
    ops: int
    flops: Dim
    bytes_moved: Dim
    parameters: Dim
    peak_bytes: int | None
    by_op: Mapping[str, int]
    by_role: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers; symbolic ones as text."""
        plain = {
            name: value if isinstance(value, int) or value is None else str(value)
            for name, value in (
                ("ops", self.ops),
                ("flops", self.flops),
                ("bytes_moved", self.bytes_moved),
                ("parameters", self.parameters),
                ("peak_bytes", self.peak_bytes),
            )
        }
        return {"name": self.name, **plain, "by_op": dict(self.by_op), "by_role": dict(self.by_role)}

    def __str__(self) -> str:
        peak = "unknown: sizes are symbolic" if self.peak_bytes is None else f"{self.peak_bytes:,} bytes"
        kinds = ", ".join(f"{name} {times}" for name, times in self.by_op.items())
        roles = ", ".join(f"{name} {times}" for name, times in self.by_role.items())
        return "\n".join(
            (
                f"graph {self.name}",
                f"  ops          {self.ops:,}" + (f" ({roles})" if roles else ""),
                f"  FLOPs        {_number(self.flops)}",
                f"  bytes moved  {_number(self.bytes_moved)}",
                f"  parameters   {_number(self.parameters)}",
                f"  live peak    {peak}",
                f"  by op        {kinds}",
            )
        )


def stats(graph: Graph) -> Stats:
    """Count ops, FLOPs, bytes moved, parameters and the live-memory peak of a graph."""
    counts = count(graph)
    by_op: Counter[str] = Counter()
    by_role: Counter[str] = Counter()
    for node in graph.nodes:
        if type(node.op) not in LEAVES:
            by_op[node.op.name] += 1
            by_role[node.role] += 1
    return Stats(
        graph.name,
        counts.ops,
        counts.flops,
        counts.bytes_moved,
        counts.parameters,
        counts.peak_bytes,
        dict(by_op.most_common()),
        dict(by_role.most_common()),
    )


def _number(value: Dim) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
