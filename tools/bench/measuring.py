"""Measuring a row of the table: each side in fresh processes of one tree, the sides taking turns."""

from __future__ import annotations

import functools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side import others_share
from workloads.case import Checksum

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

KEPT = Path(tempfile.gettempdir()) / "graphad-bench-cache"
"""Where compiled code is kept between runs, for rows that measure steps."""

SETTLE = 0.02
"""Seconds between two turns: the threads of the side before may still spin."""


@dataclass(frozen=True)
class Taken:
    """What one side gave: a number of seconds a round, in order, what it computed, and how disturbed it was."""

    seconds: tuple[float, ...]
    checksum: Checksum
    others: float
    ready: float

    @property
    def median(self) -> float:
        """Return the middle number of seconds."""
        return statistics.median(self.seconds)


class SideError(Exception):
    """A side ended before it had answered; the message is the end of what it printed."""


class Side:
    """A process with one library's side of a workload, alive until it is closed."""

    def __init__(self, module: str, library: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._library = library
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "side.py"), module, library, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        built = self._answer()
        self.ready: float = built["ready"]
        self.checksum = Checksum(*built["checksum"])

    def turn(self, seconds: float) -> dict[str, float]:
        """Let the side run for so many seconds."""
        assert self._process.stdin is not None
        print(seconds, file=self._process.stdin, flush=True)
        measured: dict[str, float] = self._answer()
        return measured

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise SideError(f"{self._library}: {self._errors.read()[-2000:].strip()}")
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()


def confine(cores: int) -> None:
    """Bind this process and those it starts to the last `cores` cores, and to as many threads."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-cores:])
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "GRAPHAD_THREADS"):
        os.environ[name] = str(cores)


@contextmanager
def caches(folder: Path | None) -> Iterator[dict[str, str]]:
    """Give an environment whose on-disk caches of compiled code lie in `folder`; None: in a new, empty one."""
    made = Path(tempfile.mkdtemp(prefix="bench-cache-")) if folder is None else folder
    made.mkdir(parents=True, exist_ok=True)
    # Byte code is kept, as after any installation; the peers' lies beside them already.
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    try:
        yield {
            **inherited,
            "PYTHONPATH": str(ROOT),
            "XDG_CACHE_HOME": str(made),
            "TORCHINDUCTOR_CACHE_DIR": str(made / "inductor"),
            "PYTENSOR_FLAGS": f"base_compiledir={made / 'pytensor'}",
            "JAX_PLATFORMS": "cpu",
        }
    finally:
        if folder is None:
            shutil.rmtree(made, ignore_errors=True)


@dataclass(frozen=True)
class Outcome:
    """What the libraries of a row gave, and the messages of those that failed."""

    taken: Mapping[str, Taken]
    failed: Mapping[str, str]


def steps(module: str, arguments: Mapping[str, Any], libraries: Sequence[str], rounds: int, seconds: float) -> Outcome:
    """Measure a step of each library. All are built first and stay alive; in a round each takes a turn of `seconds`."""
    turns: dict[str, list[dict[str, float]]] = {library: [] for library in libraries}
    failed: dict[str, str] = {}
    sides: dict[str, Side] = {}
    with ExitStack() as stack:
        environment = stack.enter_context(caches(KEPT))
        for library in libraries:
            try:
                sides[library] = side = Side(module, library, arguments, environment)
                stack.callback(side.close)
            except SideError as error:
                failed[library] = str(error)
        for _ in range(rounds):
            for library, side in sides.items():
                if library not in failed:
                    time.sleep(SETTLE)
                    try:
                        turns[library].append(side.turn(seconds))
                    except SideError as error:
                        failed[library] = str(error)
    taken = {}
    for library, side in sides.items():
        if library in failed:
            continue
        medians = tuple(turn["median"] for turn in turns[library])
        others = statistics.mean(turn["others"] for turn in turns[library])
        taken[library] = Taken(medians, side.checksum, others, side.ready)
    return Outcome(taken, failed)


def readiness(module: str, arguments: Mapping[str, Any], libraries: Sequence[str], rounds: int) -> Outcome:
    """Measure the time to trace, compile and do the first step: each time a fresh process with empty caches."""

    def once(library: str) -> tuple[float, Checksum]:
        with caches(None) as environment:
            side = Side(module, library, arguments, environment)
            side.close()
        return side.ready, side.checksum

    return _rounds(once, libraries, rounds)


def processes(programs: Mapping[str, str], libraries: Sequence[str], rounds: int) -> Outcome:
    """Measure the wall time of whole processes; a first round, which warms the page cache, is left out."""

    def once(library: str) -> tuple[float, Checksum]:
        command = [sys.executable, "-c", programs[library]]
        with caches(None) as environment:
            start = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            seconds = time.perf_counter() - start
        if done.returncode:
            raise SideError(f"{library}: {done.stderr[-2000:].strip()}")
        value, norm = done.stdout.split()
        return seconds, Checksum(float(value), float(norm))

    _rounds(once, libraries, 1)
    return _rounds(once, libraries, rounds)


def _rounds(once: Callable[[str], tuple[float, Checksum]], libraries: Sequence[str], rounds: int) -> Outcome:
    """Run every library once a round."""
    found: dict[str, list[tuple[float, Checksum, float]]] = {library: [] for library in libraries}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for library in libraries:
            if library in failed:
                continue
            try:
                (seconds, checksum), others = others_share(functools.partial(once, library))
            except SideError as error:
                failed[library] = str(error)
            else:
                found[library].append((seconds, checksum, others))
    taken = {}
    for library in libraries:
        if library not in failed:
            each = tuple(seconds for seconds, _, _ in found[library])
            others = statistics.mean(others for _, _, others in found[library])
            taken[library] = Taken(each, found[library][0][1], others, statistics.median(each))
    return Outcome(taken, failed)
