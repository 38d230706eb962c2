"""Benchmark harness: every measurement in a process of its own, the sides alternating, medians and ratios printed.

A benchmark file names its sides; a side is Python source that prints one number (seconds, or what the file says). The
peers (jax, autograd) come with the extra `bench`; a side whose package is missing is an error, never a silent gap.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Measured:
    """The numbers that one side gave, in run order."""

    name: str
    numbers: tuple[float, ...]

    @property
    def median(self) -> float:
        """Return the middle number."""
        return statistics.median(self.numbers)


def output_of(source: str, *arguments: str) -> str:
    """Run Python source in a fresh process and return what it prints."""
    # Byte code is kept, as after any installation; the peers' lies beside them already.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", source, *arguments], capture_output=True, text=True, env=environment, cwd=ROOT
    )
    if done.returncode != 0:
        raise SystemExit(f"a side failed:\n{done.stderr}")
    return done.stdout


def run_source(source: str, *arguments: str) -> float:
    """Run Python source in a fresh process and return the number on the last line it prints."""
    return float(output_of(source, *arguments).strip().splitlines()[-1])


def process_seconds(source: str) -> float:
    """Return the wall time of a whole fresh process that runs the source."""
    start = time.perf_counter()
    run_source(source + "\nprint(0)")
    return time.perf_counter() - start


def alternate(sides: Mapping[str, str], rounds: int, *, whole_process: bool = False) -> list[Measured]:
    """Measure the sides in turn, `rounds` times; the first round warms the file cache and is left out."""
    numbers: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, source in sides.items():
            number = process_seconds(source) if whole_process else run_source(source)
            if round_:
                numbers[name].append(number)
    return [Measured(name, tuple(found)) for name, found in numbers.items()]


def print_table(title: str, measured: list[Measured], unit: str, factor: float, ours: str = "graphad") -> None:
    """Print medians in `unit` (number * factor) and each side as a ratio to ours."""
    base = next(m.median for m in measured if m.name == ours)
    print(f"\n{title}  [{platform.processor() or platform.machine()}, {os.cpu_count()} cores]")
    for m in measured:
        low, high = min(m.numbers) * factor, max(m.numbers) * factor
        print(
            f"  {m.name:28s} {m.median * factor:10.3f} {unit}   ({low:.3f} .. {high:.3f})"
            f"   {m.median / base:8.2f} x {ours}"
        )
