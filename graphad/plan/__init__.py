"""Planning: in which order a graph runs, how long each buffer lives, where it lies. Frozen results beside the graph."""

from __future__ import annotations

from graphad.plan.plan import Plan, plan
from graphad.plan.stats import Stats, stats

__all__ = ["Plan", "Stats", "plan", "stats"]
