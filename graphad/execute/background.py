"""Work in the background: one thread that compiles what has been called, while calls run on the reference executor.

The thread does not keep the process alive: it begins a moment after it is asked, or when somebody hurries it because
a function is called again, so that a short program, which calls once, ends before. At exit what has not begun is
dropped, and what has stops at its next `go_on`. Only LLVM is waited for, which must not be torn down under a running
thread.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable

PATIENCE = 0.25
"""Seconds before the first task begins where nobody hurries."""


class Stopped(BaseException):
    """The process is ending: a task in the background gives up."""


_tasks: weakref.WeakSet[Task] = weakref.WeakSet()
"""All tasks there are."""


class Task:
    """A function to be called once, in the background or by whoever waits for it first."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._lock = threading.Lock()
        self._finished = False
        self.error: BaseException | None = None
        _tasks.add(self)

    def begin_anew(self) -> None:
        """After a fork: the thread that was calling the function, if any, is not there."""
        self._lock = threading.Lock()

    @property
    def finished(self) -> bool:
        """Tell whether the function has returned or raised."""
        return self._finished

    def run(self) -> None:
        """Call the function, unless it has been called; waits if another thread is calling it."""
        with self._lock:
            if self._finished:
                return
            try:
                self._function()
            except BaseException as error:
                self.error = error
            finally:
                self._finished = True


class _Queue:
    """The tasks that wait, and the thread that takes them; it ends when there is nothing to do."""

    def __init__(self) -> None:
        self.tasks: deque[Task] = deque()
        self.lock = threading.Lock()
        self.hurry = threading.Event()
        """Begin at once, now and from now on: the process lives on, or is ending."""
        self.thread: threading.Thread | None = None
        self.closed = False

    def add(self, task: Task) -> None:
        with self.lock:
            if self.closed:
                return
            self.tasks.append(task)
            if self.thread is None:
                self.thread = threading.Thread(target=self._work, name="graphad-compile", daemon=True)
                self.thread.start()

    def _work(self) -> None:
        self.hurry.wait(PATIENCE)
        while True:
            with self.lock:
                if not self.tasks or self.closed:
                    self.thread = None
                    return
                task = self.tasks.popleft()
            task.run()

    def close(self) -> None:
        """Drop what has not begun, and wait for what has."""
        with self.lock:
            self.closed = True
            self.tasks.clear()
            thread = self.thread
        self.hurry.set()
        if thread is not None:
            thread.join()


_queue = _Queue()
atexit.register(lambda: _queue.close())


def _begin_anew() -> None:
    """After a fork: the thread is not there, and what it was doing is done again by whoever waits."""
    global _queue
    _queue = _Queue()
    for task in list(_tasks):
        task.begin_anew()


whole = threading.RLock()
"""Held while something goes on that must not be cut in two by a fork: an import, LLVM at work."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=whole.acquire, after_in_parent=whole.release, after_in_child=whole.release)
    os.register_at_fork(after_in_child=_begin_anew)


def go_on() -> None:
    """Raise Stopped in the background thread of a process that is ending; does nothing elsewhere."""
    if _queue.closed and threading.current_thread() is _queue.thread:
        raise Stopped


def hurry() -> None:
    """Let what waits begin: what is called a second time will be called again."""
    _queue.hurry.set()


def in_background(function: Callable[[], None]) -> Task:
    """Call a function in the background thread, after those given before; returns the task to wait for."""
    task = Task(function)
    _queue.add(task)
    return task
