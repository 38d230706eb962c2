"""Tiers: a plan that runs at once on the reference executor, and as machine code when that is ready.

Both programs obey one plan and share its arena and its state; the swap happens between two calls.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphad.execute.background import Task, in_background
from graphad.execute.reference import Program
from graphad.plan.plan import Plan

Array = np.ndarray[Any, Any]


class Tiers:
    """A plan bound to memory, with the best program there is so far. One call at a time: the caller holds a lock."""

    def __init__(self, plan: Plan, state: Mapping[int, Array], native: bool, threads: int | None) -> None:
        """Bind the plan for the reference executor; `native` allows machine code, on at most `threads` threads."""
        self.plan = plan
        self.program = Program(plan, state)
        self._state = state
        self._threads = threads
        self._task: Task | None = None
        self._native = native

    @property
    def compiled(self) -> bool:
        """Tell whether calls run machine code, or never will."""
        return not self._native or (self._task is not None and self._task.finished)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run one call; the first begins to compile in the background when it has its results."""
        results = self.program.run(inputs)
        if self._native and self._task is None:
            self._task = in_background(self._compile)
        return results

    def wait(self) -> None:
        """Compile now, or wait until it is done."""
        if not self._native:
            return
        if self._task is None:
            self._task = Task(self._compile)
        self._task.run()
        if self._task.error is not None:
            raise self._task.error

    def _compile(self) -> None:
        from graphad.execute.native.program import NativeProgram

        try:
            self.program = NativeProgram(self.plan, self._state, self.program.arena, self._threads)
        except Exception as error:
            warnings.warn(
                f"native code for {self.plan.graph.name!r} failed, the reference executor goes on: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            raise
