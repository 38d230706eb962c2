"""Tiers: a graph that runs at once on the reference executor, and as machine code when that is ready.

Each executor has a plan of its own, made when it is first needed: the first call must not wait for what native code
needs. They share the state; the swap happens between two calls, and the arena of the reference executor goes with it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from graphad.execute.background import Task, hurry, in_background, whole
from graphad.execute.planning import Binding, Plans
from graphad.execute.reference import Program
from graphad.ir.collector import collector_paused
from graphad.ir.containers import Container

if TYPE_CHECKING:
    from graphad.execute.native.entry import Claim

Array = np.ndarray[Any, Any]


UNFIT: Final = object()
"""What a call straight into machine code returns for arguments that are not exactly what the program takes."""


def _unfit(*arguments: Any, **keywords: Any) -> object:
    return UNFIT


class Tiers:
    """A plan bound to memory, with the best program there is so far. One call at a time: the caller holds a lock."""

    def __init__(
        self,
        plans: Plans,
        binding: Binding,
        state: Mapping[int, Array],
        native: bool,
        threads: int | None,
        lock: threading.RLock,
        nesting: tuple[Container, Container] | None = None,
    ) -> None:
        """Remember what to run; nothing is planned yet.

        Args:
            plans, binding: the graph, and the sizes of this call.
            state: the array of each input that is state.
            native: machine code may take over, on at most `threads` threads.
            threads: most threads of a native call.
            lock: held by whoever runs a call; the swap takes it.
            nesting: of the arguments and the result of a call, where calls may go straight into machine code.
        """
        self._plans = plans
        self._binding = binding
        self.program: Program | None = None
        self._state = state
        self._threads = threads
        self._task: Task | None = None
        self._native = native
        self._lock = lock
        self._nesting = nesting
        self.call: Callable[..., Any] | None = None
        """The program as a built-in function; it returns UNFIT for what must go the general way."""
        self._claim: Claim | None = None

    @property
    def compiled(self) -> bool:
        """Tell whether calls run machine code, or never will."""
        return not self._native or (self._task is not None and self._task.finished)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run one call; when the first has its results, compiling is asked for, and the second hurries it."""
        if self.program is None:
            self.program = Program(self._plans.reference(self._binding), self._state)
        with self.alone():
            results = self.program.run(inputs)
        if self._native:
            if self._task is None:
                self._task = in_background(self._compile)
            elif not self._task.finished:
                hurry()
        return results

    def apart(self) -> Program:
        """Return a program of its own memory, for a call from inside a call of a graph without state."""
        return Program(self._plans.reference(self._binding), {})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep calls that go straight into machine code out for a while."""
        if self._claim is None:
            yield
            return
        with self._claim.held():
            yield

    def wait(self) -> None:
        """Compile now, or wait until it is done."""
        if not self._native:
            return
        if self._task is None:
            self._task = Task(self._compile)
        with collector_paused():
            self._task.run()
        if self._task.error is not None:
            raise self._task.error

    def _compile(self) -> None:
        try:
            with whole:
                from graphad.execute.native.ahead import compiled_ahead

                with compiled_ahead(self._threads):
                    from graphad.execute.native.program import NativeProgram

                    made = NativeProgram(self._plans.get(self._binding), self._state, self._threads)
                    straight = None if self._nesting is None else made.entry(*self._nesting, _unfit)
        except Exception as error:
            warnings.warn(
                f"native code for {self._plans.graph.name!r} failed, the reference executor goes on: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            raise
        with self._lock:
            self.program = made
            if straight is not None:
                self._claim, self.call = straight.claim, straight.call
