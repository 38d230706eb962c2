"""Passes: named functions from graph to graph, the rewrite driver, and the pipeline that `optimize` runs."""

from typing import TYPE_CHECKING, Any

from graphad.passes.patterns import pattern, scalars, variables
from graphad.passes.pipeline import PASSES, PIPELINE, UNGROUPED, every_rule, optimize, register_pass
from graphad.passes.report import PassReport, Report
from graphad.passes.rules import Rule, rule

if TYPE_CHECKING:
    from graphad.passes.rules import RULES

__all__ = [
    "PASSES",
    "PIPELINE",
    "RULES",
    "UNGROUPED",
    "PassReport",
    "Report",
    "Rule",
    "optimize",
    "pattern",
    "register_pass",
    "rule",
    "scalars",
    "variables",
]


def __getattr__(name: str) -> Any:
    if name == "RULES":  # all of them: most load when a graph needs them
        return every_rule()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
