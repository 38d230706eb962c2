"""Threads: the pool of workers that runs programs together with whoever calls.

One pool serves the process. Its workers are plain system threads that know nothing of Python: between runs they look
for work for a short time and then sleep. A run takes the workers if nobody else has them, and does the work alone if
somebody has: results are the same. After a fork the child makes its own workers.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
import time
import weakref
from typing import Final

from graphad.execute.choice import thread_setting
from graphad.execute.native import control, waiting
from graphad.execute.native.walker import StepTable
from graphad.execute.native.workers import runtime

LOOKING: Final = 30e-6
"""Seconds that a thread looks for its partners before it sleeps: about what waking it costs."""
LOOKING_CROWDED: Final = 1e-6
"""The same where there are more threads than processors."""
STACK: Final = 8 << 20
"""Bytes of stack of a worker, at most (they are taken as they are used)."""
LIMIT: Final = 256
"""Most threads of a pool."""


def processors() -> int:
    """Return how many processors this process may use, 1 where the platform does not tell."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else 1


def default_threads() -> int:
    """Return the thread count of runs: GRAPHAD_THREADS, or as many as there are processors.

    Raises ExecutionError where the variable is not a whole number of at least 1.
    """
    return min(thread_setting() or processors(), LIMIT)


class Pool:
    """Workers and what they share with their callers. It is never taken apart: sleeping threads hold its memory."""

    def __init__(self, most: int = LIMIT, way: str | None = None) -> None:
        """Prepare a pool for runs of at most `most` threads; no thread is made before a run wants it.

        `way` is how threads sleep, the platform's own if not given.
        """
        self.most = most if _threads_can_be_made() else 1
        self._code = runtime(way or waiting.sleeping())
        self._block = ctypes.create_string_buffer(control.control_bytes(self.most) + 128)
        self.address = ctypes.addressof(self._block) + -ctypes.addressof(self._block) % 128
        """Address of the control block, for machine code that calls `run_address`."""
        self.run_address = self._code.address("graphad_run")
        """Address of ``i64 graphad_run(ptr pool, ptr program, i64 first, i64 last, i64 threads)``."""
        _keep_forever(self._block)
        _keep_forever(self._code)
        _fill(self.address, self.most)
        self._set(control.GENERATION, 1)
        self._set(control.SPINS, self._looks(LOOKING if processors() > 1 else LOOKING_CROWDED))
        arguments = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64]
        self._run = ctypes.CFUNCTYPE(ctypes.c_int64, *arguments)(self.run_address)
        self._run_holding = ctypes.PYFUNCTYPE(ctypes.c_int64, *arguments)(self.run_address)
        if hasattr(os, "register_at_fork"):
            own = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: (pool := own()) and pool._begin_anew())  # type: ignore[func-returns-value]

    def run(self, table: StepTable, first: int = 0, last: int | None = None, threads: int | None = None) -> int:
        """Run steps first to last (not included; all by default) and return how many threads took part.

        Args:
            table: the program; its own thread count is the default.
            first, last: range of steps.
            threads: most threads, this one included.
        """
        end = len(table) if last is None else last
        if not 0 <= first <= end <= len(table):
            raise ValueError(f"steps {first} to {end} are not in a program of {len(table)}")
        wanted = table.threads if threads is None else min(threads, table.threads)
        call = self._run_holding if table.brief else self._run
        return int(call(self.address, table.address, first, end, wanted))

    def quiet(self, get: int, set_: int) -> None:
        """Keep an outside library of matrix products to one thread during runs.

        Args:
            get, set_: addresses of ``int get(void)`` and ``void set(int)``, which tell and set its thread count.
        """
        self._set(control.QUIET_GET, get)
        self._set(control.QUIET_SET, set_)

    @property
    def workers(self) -> int:
        """Return how many workers there are at the moment."""
        return self._get(control.WORKERS)

    @property
    def look(self) -> int:
        """Return how many times a thread looks before it sleeps; it can be set."""
        return self._get(control.SPINS)

    @look.setter
    def look(self, looks: int) -> None:
        self._set(control.SPINS, looks)

    def _set(self, offset: int, value: int) -> None:
        ctypes.c_int64.from_address(self.address + offset).value = value

    def _get(self, offset: int) -> int:
        return ctypes.c_int64.from_address(self.address + offset).value

    def _looks(self, seconds: float) -> int:
        """Return how many looks take that long; the quickest of a few trials, because others run too."""
        spin = ctypes.PYFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self._code.address("spin"))
        trials = []
        for _ in range(5):
            begin = time.perf_counter()
            spin(self.address + control.JOB, 500)
            trials.append(time.perf_counter() - begin)
        return max(1, int(500 * seconds / max(min(trials), 1e-9)))

    def _begin_anew(self) -> None:
        """Forget threads and runs of the parent process; this process has only the thread that forked."""
        self._set(control.WORKERS, 0)
        self._set(control.BUSY, 0)
        self._set(control.GENERATION, self._get(control.GENERATION) + 1)
        self._set(control.QUIET_LOCK, 0)
        if self._get(control.QUIET_COUNT):
            self._set(control.QUIET_COUNT, 0)
            restore = ctypes.CFUNCTYPE(None, ctypes.c_int)(self._get(control.QUIET_SET))
            restore(self._get(control.QUIET_SAVED))
        _fill(self.address, self.most)


@functools.cache
def pool() -> Pool:
    """Return the pool of this process."""
    return Pool()


def _keep_forever(kept: object) -> None:
    """Keep an object until the process ends: its threads outlive the interpreter."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))


# The platform.


def _threads_can_be_made() -> bool:
    return os.name == "posix" and _outside("pthread_create") != 0


@functools.cache
def _process() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def _outside(name: str) -> int:
    """Return the address of a function of the C library, 0 where it has none of that name."""
    found = getattr(_process(), name, None) if os.name == "posix" else None
    return ctypes.cast(found, ctypes.c_void_p).value or 0 if found is not None else 0


_FUNCTIONS: Final = {
    control.SYSCALL: "syscall",
    control.YIELD: "sched_yield",
    control.MUTEX_LOCK: "pthread_mutex_lock",
    control.MUTEX_UNLOCK: "pthread_mutex_unlock",
    control.CONDITION_WAIT: "pthread_cond_wait",
    control.CONDITION_BROADCAST: "pthread_cond_broadcast",
    control.THREAD_CREATE: "pthread_create",
    control.THREAD_MASK: "pthread_sigmask",
    control.PROCESSOR: "sched_getcpu",
}


def _fill(address: int, most: int) -> None:
    """Write what a pool without workers begins with into a control block."""
    for offset, name in _FUNCTIONS.items():
        ctypes.c_uint64.from_address(address + offset).value = _outside(name)
    ctypes.c_int64.from_address(address + control.MOST).value = most
    ctypes.memset(address + control.MAILBOXES, 0, control.MAILBOX_BYTES * most)
    for thread in range(most):
        mailbox = address + control.MAILBOXES + control.MAILBOX_BYTES * thread
        ctypes.c_uint64.from_address(mailbox + control.MAIL_CONTROL).value = address
        ctypes.c_int64.from_address(mailbox + control.MAIL_THREAD).value = thread
    if most == 1:
        return
    library = _process()
    mutex, condition, attributes, mask = (
        ctypes.c_void_p(address + offset)
        for offset in (control.MUTEX, control.CONDITION, control.ATTRIBUTES, control.NO_SIGNALS)
    )
    library.pthread_mutex_init(mutex, None)
    library.pthread_cond_init(condition, None)
    library.pthread_attr_init(attributes)
    library.pthread_attr_setstacksize(attributes, ctypes.c_size_t(STACK))
    library.pthread_attr_setdetachstate(attributes, _DETACHED)
    library.sigfillset(mask)
    for fault in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT):
        library.sigdelset(mask, int(fault))


_DETACHED: Final = 2 if sys.platform == "darwin" else 1
