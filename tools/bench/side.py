"""One library's side of one workload, in a process of its own: builds it, then runs it in turns as its parent asks.

    python tools/bench/side.py MODULE LIBRARY '{"n": 10}'

It writes one JSON object a line: first the time until it was ready and its checksum; then, for each line with a number
of seconds on standard input, what a turn of that length measured. It ends with its input.
"""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import json
import math
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

BATCH = 100e-6
"""Seconds: shorter steps are timed several at once, so that reading the clock is under a thousandth."""


def others_share(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `call` returns, and the share of all cores that others used meanwhile: processes, and the host."""
    busy, own, wall = _busy_seconds(), _own_seconds(), time.perf_counter()
    result = call()
    seconds = (time.perf_counter() - wall) * (os.cpu_count() or 1)
    return result, max(0.0, (_busy_seconds() - busy) - (_own_seconds() - own)) / seconds


def _own_seconds() -> float:
    """Return the seconds that this process and those it waited for ran, on all cores."""
    each = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in each)


def _busy_seconds() -> float:
    """Return the seconds that all cores were busy, with those stolen by the host; 0 where the system does not say."""
    try:
        text = Path("/proc/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0.0
    user, nice, system, _, _, hard, soft, stolen = (int(field) for field in text.split()[1:9])
    return float(user + nice + system + hard + soft + stolen) / os.sysconf("SC_CLK_TCK")


def calls_a_batch(step: Callable[[], Any]) -> int:
    """Return how many calls one reading of the clock covers; also warms the step up."""
    found = math.inf
    for _ in range(3):
        start = time.perf_counter()
        step()
        found = min(found, time.perf_counter() - start)
    return max(1, math.ceil(BATCH / found))


def timed(step: Callable[[], Any], calls: int) -> float:
    """Return seconds a call."""
    start = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        step()
    return (time.perf_counter() - start) / calls


def turn(step: Callable[[], Any], calls: int, seconds: float) -> list[float]:
    """Return seconds a call, again and again for so many seconds, at least three times; caches are warm before."""
    warm = time.perf_counter() + seconds / 10
    step()
    while time.perf_counter() < warm:
        step()
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 3 or time.perf_counter() < end:
        found.append(timed(step, calls))
    return found


def main() -> None:
    """Build, then take turns."""
    # Libraries print; the channel to the parent is kept apart from them.
    channel: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, library, arguments = sys.argv[1:]
    workload = importlib.import_module(f"workloads.{module}")
    build = getattr(workload, library)(workload.problem(**json.loads(arguments)))
    start = time.perf_counter()
    case = build()
    first = case.step()
    ready = time.perf_counter() - start
    checksum = case.checksum(first)
    del first
    print(json.dumps({"ready": ready, "checksum": [checksum.value, checksum.norm]}), file=channel)
    calls = 0
    for line in sys.stdin:
        calls = calls or calls_a_batch(case.step)
        gc.collect()
        found, others = others_share(functools.partial(turn, case.step, calls, float(line)))
        print(json.dumps({"median": statistics.median(found), "others": others}), file=channel)


if __name__ == "__main__":
    main()
