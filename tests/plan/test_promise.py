"""The promise covers the process: the rise of the peak resident memory in a warm call is the arena, results and 5 %."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXECUTORS = ["reference", "native"] if find_spec("llvmlite") else ["reference"]
SMALL = 400_000
"""Bytes that a call may take beside: Python's objects, NumPy's iterators, stacks of threads."""

SCRIPT = """
import ctypes, json, sys
import numpy as np
sys.path.insert(0, sys.argv[1])
from training_graphs import chain
import graphad as ga

def resident(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(key))

def give_back(array):
    # The arena's pages, so that the next call has to touch them again and they count as part of its rise.
    page, start = 4096, array.ctypes.data
    first = -(-start // page) * page
    length = (start + array.nbytes) // page * page - first
    if length > 0:
        assert ctypes.CDLL(None, use_errno=True).madvise(ctypes.c_void_p(first), ctypes.c_size_t(length), 4) == 0

executor, share = sys.argv[2], float(sys.argv[3])
graph = chain(36, 4000, 64)
free = ga.compile(graph, executor=executor)
memory = None if share == 1 else int(free.peak_bytes * share)
exe = ga.compile(graph, executor=executor, memory=memory).wait()
rng = np.random.default_rng(0)
x, w = rng.standard_normal((4000, 64)), rng.standard_normal((64, 64)) / 8
for _ in range(3):
    results = exe(x, w)
del results
found = {}
for kind in ("warm", "fresh"):
    if kind == "fresh":
        give_back(exe._bound(()).program.arena)
    open("/proc/self/clear_refs", "w").write("5")
    before = resident("VmRSS")
    results = exe(x, w)
    found[kind] = resident("VmHWM") - before
    del results
memory = exe.memory
print(json.dumps(found | {"arena": memory.arena, "results": memory.results, "budget": memory.budget}))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="Linux tells a process's peak")
@pytest.mark.parametrize("share", [1.0, 0.6, 0.3])
@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_warm_call_takes_what_was_planned(executor: str, share: float) -> None:
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), executor, str(share)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    planned = found["arena"] + found["results"]
    if share < 1:
        assert planned <= found["budget"]
    # The arena is held between calls; with its pages given back, a call takes it anew.
    assert found["warm"] <= 1.05 * found["results"] + SMALL
    assert 0.5 * found["arena"] < found["fresh"] <= 1.05 * planned + SMALL
