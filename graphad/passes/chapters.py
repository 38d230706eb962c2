"""Chapters: the rules of a pass by the ops they are about, each loaded when a graph comes that has such an op.

Most graphs have few kinds of ops, and a program pays for the rules that may fire. What may enter: how a pass finds its
rules; which rules those are stands in `pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.loading import load_module
from graphad.passes.driver import Journal, rewrite
from graphad.passes.rules import Rule


@frozen
class Chapter:
    """The `RULES` of a module.

    Attributes:
        module: its name in this package.
        ops: printed names; each match of one of its rules has one of these ops in it. Empty: any op may be there.
        fast_math: its rules run under ``fast_math=True`` only.
    """

    module: str
    ops: frozenset[str] = frozenset()
    fast_math: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Load the rules."""
        found: tuple[Rule, ...] = load_module(f"graphad.passes.{self.module}").RULES
        return found

    def concerns(self, ops: Collection[str]) -> bool:
        """Tell whether its rules may match where there are these ops."""
        return not self.ops or not self.ops.isdisjoint(ops)


@frozen
class RewritePass:
    """A pass made of rules: those of its chapters, and rules that people add."""

    name: str
    text: str
    parts: tuple[Chapter | Rule, ...]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Load all rules, in the order in which they are tried."""
        return _rules_of(self.parts)

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Rewrite until no rule applies."""
        pending = [part for part in self.parts if journal.fast_math or not part.fast_math]
        needed: set[Chapter | Rule] = set()
        while True:
            ops = {kind.name for kind in graph.op_classes}
            found = {part for part in pending if isinstance(part, Rule) or part.concerns(ops)}
            if found <= needed:
                return graph
            # A rule may bring ops that those of another chapter are about.
            needed |= found
            before, graph = graph, rewrite(graph, _rules_of(part for part in pending if part in needed), journal)
            if graph is before:
                return graph


def _rules_of(parts: Iterable[Chapter | Rule]) -> tuple[Rule, ...]:
    return tuple([rule for part in parts for rule in ((part,) if isinstance(part, Rule) else part.rules)])
