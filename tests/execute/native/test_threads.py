"""Programs, shares, and the pool of threads that runs them."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.execute.native import runtime_kernels as kernels

pytest.importorskip("llvmlite")

from graphad.execute.native import threads as threads_module
from graphad.execute.native.threads import Pool, default_threads, pool
from graphad.execute.native.walker import ALONE, BARRIER, HEEDS, STEP, StepTable, share, step_table
from graphad.ir.errors import ExecutionError

Array = np.ndarray[Any, Any]
HERE = Path(__file__).parents[3]


@pytest.fixture(scope="module", params=["futex", "condition"])
def crew(request: pytest.FixtureRequest) -> Pool:
    """Return a pool for each way of sleeping."""
    if request.param == "futex" and sys.platform != "linux":
        pytest.skip("futexes are Linux's")
    return Pool(8, request.param)


def counting(out: Array, multiple: int = 1, threads: int = 8, times: int = 1, flags: int = 0) -> StepTable:
    """Return a program that adds 1 to all elements, `times` times."""
    pointers = np.array([out.ctypes.data], np.uint64)
    row = (kernels.address("count"), pointers.ctypes.data, 0, len(out), multiple, flags)
    return step_table([row] * times, scratch=8, threads=threads, kept=(pointers, out))


def mirroring(n: int, steps: int, threads: int, multiple: int = 1) -> tuple[StepTable, Array, Array]:
    """Return a program whose steps each need all of the step before, its two buffers, and the last step's values."""
    buffers = np.zeros((2, n), np.int64)
    buffers[0] = np.arange(n)
    pointers = np.array([[buffers[k % 2].ctypes.data, buffers[1 - k % 2].ctypes.data] for k in range(2)], np.uint64)
    sizes = np.array([n], np.int64)
    rows = np.zeros(steps, STEP)
    rows["kernel"] = kernels.address("mirror")
    rows["pointers"] = pointers.ctypes.data + 16 * (np.arange(steps) % 2)
    rows["sizes"], rows["extent"], rows["multiple"], rows["flags"] = sizes.ctypes.data, n, multiple, BARRIER
    expected = np.arange(n)
    with np.errstate(over="ignore"):
        for _ in range(steps):
            expected = 3 * expected[::-1] + np.arange(n)
    return step_table(rows, threads=threads, kept=(pointers, sizes, buffers)), buffers, expected


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_shares_are_a_partition(threads: int) -> None:
    for extent in (0, 1, 5, 64, 1000):
        for multiple in (1, 3, 16, 5000):
            parts = [share(extent, multiple, t, threads) for t in range(threads)]
            taken = [k for begin, end in parts for k in range(begin, end)]
            assert taken == list(range(extent))
            assert all(begin % multiple == 0 for begin, end in parts if begin < end)
            units = [-(-(end - begin) // multiple) for begin, end in parts if begin < end] or [0]
            assert max(units) <= -(-extent // multiple) // threads + 1


def test_machine_code_takes_the_shares_that_python_computes(crew: Pool) -> None:
    for extent, multiple, threads in ((1000, 1, 3), (1000, 16, 4), (7, 2, 8), (64, 64, 2), (129, 64, 2)):
        out = np.full(extent, -1, np.int64)
        pointers = np.array([out.ctypes.data], np.uint64)
        table = step_table(
            [(kernels.address("stamp"), pointers.ctypes.data, 0, extent, multiple, 0)],
            threads=threads,
            kept=(pointers,),
        )
        assert crew.run(table) == threads
        expected = np.full(extent, -1, np.int64)
        for thread in range(threads):
            begin, end = share(extent, multiple, thread, threads)
            if begin < end:
                expected[begin] = end
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_every_element_is_done_once_a_step(crew: Pool, threads: int) -> None:
    for extent, multiple in ((1, 1), (2, 1), (999, 1), (999, 8)):
        out = np.zeros(extent, np.int64)
        assert crew.run(counting(out, multiple, threads, times=5)) == threads
        assert (out == 5).all()


def test_a_step_of_nothing_runs_nothing(crew: Pool) -> None:
    out = np.zeros(0, np.int64)
    for threads in (1, 2):
        crew.run(counting(out, threads=threads))


def test_steps_for_one_thread_are_done_once(crew: Pool) -> None:
    out = np.zeros(100, np.int64)
    for flags in (ALONE, ALONE | BARRIER):
        out[:] = 0
        crew.run(counting(out, threads=4, times=50, flags=flags))
        assert (out == 50).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("alone", [0, ALONE])
def test_steps_that_heed_stop_where_a_run_is_condemned(crew: Pool, threads: int, alone: int) -> None:
    # The second step condemns the run, or not: it counts up a word that is -1, or 0.
    for word, expected in ((0, (1, 0, 1)), (-1, (1, 1, 1))):
        condemned, outs = np.full(1, word, np.int64), np.zeros((3, 700), np.int64)
        pointers = np.array([out.ctypes.data for out in (outs[0], condemned, outs[1], outs[2])], np.uint64)
        flags = (alone, ALONE | BARRIER, alone | BARRIER | HEEDS, alone | BARRIER)
        rows = [
            (kernels.address("count"), pointers.ctypes.data + 8 * k, 0, 1 if k == 1 else 700, 1, flag)
            for k, flag in enumerate(flags)
        ]
        table = step_table(
            rows, scratch=8, threads=threads, condemned=condemned.ctypes.data, kept=(pointers, outs, condemned)
        )
        for _ in range(20):
            condemned[0], outs[:] = word, 0
            crew.run(table)
            np.testing.assert_array_equal(outs, np.repeat(np.array(expected)[:, None], 700, 1))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_barriers_order_what_depends(crew: Pool, threads: int) -> None:
    for n, steps in ((2, 500), (64, 500), (1001, 100), (20_000, 11)):
        table, buffers, expected = mirroring(n, steps, threads)
        crew.run(table)
        np.testing.assert_array_equal(buffers[steps % 2], expected)


def test_many_short_runs_follow_each_other(crew: Pool) -> None:
    table, buffers, _ = mirroring(40, 6, 4)
    first = buffers[0].copy()
    results = set()
    for _ in range(3000):
        buffers[0] = first
        crew.run(table)
        results.add(buffers[0].tobytes())
    assert len(results) == 1


def test_nobody_looks_before_sleeping(crew: Pool) -> None:
    looks = crew.look
    crew.look = 1
    try:
        for _ in range(30):
            table, buffers, expected = mirroring(301, 60, 5)
            crew.run(table)
            np.testing.assert_array_equal(buffers[0], expected)
    finally:
        crew.look = looks


def test_ranges_of_steps(crew: Pool) -> None:
    table, buffers, expected = mirroring(500, 12, 3)
    for first, last in ((0, 1), (1, 1), (1, 5), (5, 12)):
        crew.run(table, first, last)
    np.testing.assert_array_equal(buffers[0], expected)
    for first, last in ((-1, 2), (3, 2), (0, 13)):
        with pytest.raises(ValueError, match="not in a program of 12"):
            crew.run(table, first, last)


def test_thread_counts_are_bounded(crew: Pool) -> None:
    out = np.zeros(64, np.int64)
    assert crew.run(counting(out, threads=100)) == 8
    assert crew.run(counting(out, threads=4), threads=2) == 2
    assert crew.run(counting(out, threads=2), threads=6) == 2
    assert (out == 3).all()
    assert crew.workers == 7
    with pytest.raises(ValueError, match="at least one thread"):
        step_table([], threads=0)
    with pytest.raises(ValueError, match="multiple"):
        step_table([(0, 0, 0, 1, 0, 0)])


def test_calls_from_many_python_threads_at_once(crew: Pool) -> None:
    wrong: list[int] = []

    def call(seed: int) -> None:
        for round_ in range(60):
            table, buffers, expected = mirroring(200 + seed, 20, 1 + (seed + round_) % 4)
            crew.run(table)
            if not np.array_equal(buffers[0], expected):
                wrong.append(seed)

    callers = [threading.Thread(target=call, args=(seed,)) for seed in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


def test_a_run_beside_another_is_done_by_its_caller_alone(crew: Pool) -> None:
    words = np.zeros(2, np.int64)
    pointers = np.array([words.ctypes.data], np.uint64)
    waiting = step_table(
        [(kernels.address("await"), pointers.ctypes.data, 0, 1, 1, 0)], threads=2, kept=(pointers, words)
    )
    counts: list[int] = []
    caller = threading.Thread(target=lambda: counts.append(crew.run(waiting)))
    caller.start()
    while not words[0]:
        pass
    out = np.zeros(10, np.int64)
    counts.append(crew.run(counting(out, threads=2)))
    words[1] = 1
    caller.join()
    assert counts == [1, 2]
    assert (out == 1).all()
    assert crew.run(counting(out, threads=2)) == 2


def test_the_products_library_keeps_to_one_thread_during_runs() -> None:
    crew = Pool(4)
    said: list[int] = []
    count = [5]

    def set_count(value: int) -> None:
        said.append(value)
        count[0] = value

    get = ctypes.CFUNCTYPE(ctypes.c_int)(lambda: count[0])
    set_ = ctypes.CFUNCTYPE(None, ctypes.c_int)(set_count)
    out = np.zeros(10, np.int64)
    pointers = np.array([out.ctypes.data], np.uint64)
    row = (kernels.address("count"), pointers.ctypes.data, 0, 10, 1, 0)
    crew.quiet(*(ctypes.cast(f, ctypes.c_void_p).value or 0 for f in (get, set_)))
    for threads in (1, 2):
        for brief in (True, False):
            crew.run(step_table([row], 8, threads, products=False, brief=brief))
            assert said == []
            crew.run(step_table([row], 8, threads, products=True, brief=brief))
            assert said == [1, 5]
            said.clear()
    count[0] = 1
    crew.run(step_table([row], 8, 2, products=True))
    assert said == []


def forked(work: Callable[[], bool]) -> bool:
    """Run something in a forked child process and tell whether it was true there."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if work() else 1
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_its_own_workers(crew: Pool) -> None:
    table, buffers, expected = mirroring(500, 40, 4)
    start = buffers[0].copy()

    def right() -> bool:
        buffers[0] = start
        return crew.run(table) == 4 and np.array_equal(buffers[0], expected)

    assert right()
    assert forked(lambda: crew.workers == 0 and right() and crew.workers == 3 and forked(right))
    assert right()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_forked_during_a_run_is_free(crew: Pool) -> None:
    words = np.zeros(2, np.int64)
    pointers = np.array([words.ctypes.data], np.uint64)
    waiting = step_table([(kernels.address("await"), pointers.ctypes.data, 0, 1, 1, 0)], threads=2)
    caller = threading.Thread(target=crew.run, args=(waiting,))
    caller.start()
    while not words[0]:
        pass
    out = np.zeros(10, np.int64)
    table = counting(out, threads=2)
    assert forked(lambda: crew.run(table) == 2 and bool((out == 1).all()))
    words[1] = 1
    caller.join()


AT_EXIT = """
import sys, threading, time
sys.path.insert(0, {here!r})
import numpy as np
from tests.execute.native import test_threads
from graphad.execute.native.threads import Pool

crew = Pool(4, {way!r})
table, buffers, expected = test_threads.mirroring(3000, 300, 3)
crew.run(table)
if {busy}:
    def loop():
        while True:
            crew.run(table)
    threading.Thread(target=loop, daemon=True).start()
    time.sleep(0.05)
print("end")
"""


@pytest.mark.parametrize("way", ["futex", "condition"])
@pytest.mark.parametrize("busy", [False, True])
def test_the_process_ends_cleanly(way: str, busy: bool) -> None:
    if way == "futex" and sys.platform != "linux":
        pytest.skip("futexes are Linux's")
    text = AT_EXIT.format(here=str(HERE), way=way, busy=busy)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


ON_ONE_PROCESSOR = """
import os, sys
sys.path.insert(0, {here!r})
import numpy as np
from tests.execute.native import test_threads
from graphad.execute.native.threads import Pool, default_threads

os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
assert default_threads() == 1
crew = Pool(4)
for _ in range(20):
    table, buffers, expected = test_threads.mirroring(501, 400, 4)
    assert crew.run(table) == 4
    assert np.array_equal(buffers[0], expected)
print("end")
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the platform does not bind processes to processors")
def test_threads_share_one_processor() -> None:
    environment = {k: v for k, v in os.environ.items() if k != "GRAPHAD_THREADS"}
    text = ON_ONE_PROCESSOR.format(here=str(HERE))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")


def test_thread_count_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHAD_THREADS", "3")
    assert default_threads() == 3
    monkeypatch.setenv("GRAPHAD_THREADS", " ")
    assert default_threads() == threads_module.processors()
    monkeypatch.delenv("GRAPHAD_THREADS")
    assert default_threads() == threads_module.processors()
    for bad in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("GRAPHAD_THREADS", bad)
        with pytest.raises(ExecutionError, match="GRAPHAD_THREADS"):
            default_threads()


def test_the_process_has_one_pool() -> None:
    assert pool() is pool()


SIGNALS = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
import numpy as np
from tests.execute.native import test_threads
from graphad.execute.native.threads import Pool

def blocks_interrupts(task):
    lines = Path("/proc/self/task", task, "status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigBlk"))
    return bool(mask >> (signal.SIGINT - 1) & 1)

before = set(os.listdir("/proc/self/task"))
Pool(4).run(test_threads.counting(np.zeros(9, np.int64), threads=4))
made = set(os.listdir("/proc/self/task")) - before
assert len(made) == 3, made
assert all(map(blocks_interrupts, made))
assert not any(map(blocks_interrupts, before))
print("end")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's account of threads")
def test_interrupts_are_for_python() -> None:
    text = SIGNALS.format(here=str(HERE))
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
