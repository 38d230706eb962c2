"""Workspace: the bytes that machine code needs beside the arena, known before it is compiled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphad.execute.native.program import SINGLE_NS, NativeProgram, Step
from graphad.execute.native.walker import step_table
from graphad.plan.plan import Plan


class _BoundOnly(NativeProgram):
    """A program whose steps are bound, so that their kernels are known, and never compiled."""

    def _compile(self) -> None:
        steps = [step for step in self.order if isinstance(step, Step)]
        self._steps = step_table((), _widest(steps), _threads(steps, self.threads), kept=self._kept)


def workspace_bytes(plan: Plan, threads: int | None) -> int:
    """Return the `scratch_bytes` of the program of a plan; the arena that it binds is reserved and never touched."""
    types = plan.graph.input_types
    state = {k: np.empty(types[k].shape, types[k].dtype) for k in plan.lifetimes.updates}
    return _BoundOnly(plan, state, threads).scratch_bytes


def _widest(steps: Sequence[Step]) -> int:
    return max([step.kernel.scratch for step in steps], default=0)


def _threads(steps: Sequence[Step], most: int) -> int:
    return 1 if sum(step.nanoseconds for step in steps) < SINGLE_NS else most
