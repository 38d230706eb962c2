"""Passes: named functions from graph to graph, the rewrite driver, and the pipeline that `optimize` runs."""

from graphad.passes.patterns import pattern, scalars, variables
from graphad.passes.pipeline import PASSES, PIPELINE, UNGROUPED, optimize, register_pass
from graphad.passes.report import PassReport, Report
from graphad.passes.rules import RULES, Rule, rule

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
