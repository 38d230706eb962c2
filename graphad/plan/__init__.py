"""Planning: in which order a graph runs, how long each buffer lives, where it lies. Frozen results beside the graph."""

from __future__ import annotations

from graphad.plan.plan import Plan, plan

__all__ = ["Plan", "plan"]
