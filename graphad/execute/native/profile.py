"""Profiles: what each step of a native program does, what it should take, and what it takes.

What may enter: counting and timing. A profile runs the program's own steps one by one on the arguments given.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphad.execute.native.code import Module
from graphad.execute.native.epilogues import Finished
from graphad.execute.native.kernel import begin_kernel, pointer
from graphad.execute.native.lanes import constant, load, store
from graphad.execute.native.object_cache import compiled
from graphad.execute.native.program import HostStep, NativeProgram, Place, Step
from graphad.execute.native.regions import Region
from graphad.execute.native.target import host
from graphad.execute.native.threads import pool
from graphad.execute.native.walker import STEP, step_table
from graphad.ir.node import Node

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class StepCost:
    """One step of a native program.

    Attributes:
        number: its place in the order.
        op: the ops it computes.
        line: the user's line, "file.py:12".
        kernel: name of the machine function; "(NumPy)" for a host step.
        units: length of the parallel axis.
        flops: floating-point operations.
        nbytes: bytes of the buffers it reads and writes.
        expected: seconds of one thread by rough count; 0 for a host step.
        measured: seconds, the median; None without a measurement.
    """

    number: int
    op: str
    line: str
    kernel: str
    units: int
    flops: int
    nbytes: int
    expected: float
    measured: float | None = None


@dataclass(frozen=True)
class Machine:
    """What one thread of this machine can do: float32 operations a second with FMA, and bytes a second from memory."""

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Profile:
    """The steps of a program with their times. Prints as a table, the slowest first."""

    steps: tuple[StepCost, ...]
    threads: int
    machine: Machine

    @property
    def seconds(self) -> float:
        """Return the sum of the measured times."""
        return sum(step.measured or 0.0 for step in self.steps)

    def by(self, key: Callable[[StepCost], str]) -> dict[str, float]:
        """Return seconds by what `key` gives of a step, the most first."""
        found: dict[str, float] = {}
        for step in self.steps:
            found[key(step)] = found.get(key(step), 0.0) + (step.measured or 0.0)
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def by_line(self) -> dict[str, float]:
        """Return seconds by user line, the most first."""
        return self.by(lambda step: step.line)

    def by_op(self) -> dict[str, float]:
        """Return seconds by op, the most first."""
        return self.by(lambda step: step.op)

    def __str__(self) -> str:
        total = self.seconds or 1.0
        peak = self.machine.flops * self.threads
        lines = [
            f"{len(self.steps)} steps on {self.threads} thread(s): {1e6 * self.seconds:,.1f} us; peak of the machine "
            f"{peak / 1e9:,.0f} GFLOP/s (float32), {self.machine.bandwidth / 1e9:,.1f} GB/s a thread",
            f"{'us':>10} {'share':>6} {'GFLOP/s':>8} {'of peak':>7} {'GB/s':>6}  {'line':<20} op",
        ]
        for step in sorted(self.steps, key=lambda s: -(s.measured or 0.0)):
            seconds = max(step.measured or 0.0, 1e-9)
            rate = step.flops / seconds
            lines.append(
                f"{1e6 * seconds:10.1f} {seconds / total:6.1%} {rate / 1e9:8.1f} {rate / peak:7.1%} "
                f"{step.nbytes / seconds / 1e9:6.1f}  {step.line:<20} {step.op}"
            )
        return "\n".join(lines)


def costs(program: NativeProgram) -> list[StepCost]:
    """Return the steps of a program with what they should take."""
    return [_cost(k, step) for k, step in enumerate(program.order)]


def _cost(number: int, step: Step | HostStep) -> StepCost:
    node = step.node
    line = node.location.short if node.location else ""
    flops = int(node.op.flops(node.input_types, node.types))
    if isinstance(step, HostStep):
        moved = sum(int(t.nbytes) for t in (*node.input_types, *node.types))
        return StepCost(number, node.op.name, line, "(NumPy)", 1, flops, moved, 0.0)
    moved = sum(_bytes(place) for place in (*step.read, *step.written))
    kernel, expected = step.kernel, step.nanoseconds * 1e-9
    return StepCost(
        number, described(node), line, kernel.name, kernel.extent, round(step.share * flops), moved, expected
    )


def _bytes(place: Place) -> int:
    return place.high - place.low


def described(node: Node) -> str:
    """Return the ops of a node: of a region, and of a product with its epilogue, those of its body."""
    if not isinstance(node.op, (Region, Finished)):
        return node.op.name
    names = [n.op.name for n in node.op.body.nodes if n.inputs and not n.op.view]
    counted = {name: names.count(name) for name in dict.fromkeys(names)}
    return " ".join(name if count == 1 else f"{name}*{count}" for name, count in counted.items())


def profile(program: NativeProgram, inputs: Sequence[Array], repeats: int = 5) -> Profile:
    """Run a program step by step on the arguments of a call, `repeats` times, and return the median times."""
    seconds = program.timed(inputs, repeats)
    measured = [
        StepCost(c.number, c.op, c.line, c.kernel, c.units, c.flops, c.nbytes, c.expected, statistics.median(s))
        for c, s in zip(costs(program), seconds, strict=True)
    ]
    return Profile(tuple(measured), program.used_threads, machine())


@functools.cache
def machine() -> Machine:
    """Measure what one thread of this machine can do; the best of a few short trials."""
    return Machine(_peak_flops(), _bandwidth())


def _peak_flops() -> float:
    """Time a loop of independent fused multiply-adds in registers."""
    lanes = host().vector_bytes // 4
    chains, rounds = 12, 20_000
    module = Module()
    code = begin_kernel(module, "peak")
    place = pointer(code, 0)
    slots = [code.slot(f"<{lanes} x float>") for _ in range(chains)]
    start = load(code, "f32", place, lanes)
    for slot in slots:
        store(start, slot)
    with code.loop("0", str(rounds)):
        for slot in slots:
            store(load(code, "f32", slot, lanes).fma(start, constant(code, "f32", 1.0, lanes)), slot)
    total = start
    for slot in slots:
        total = total + load(code, "f32", slot, lanes)
    store(total, place)
    code.line("ret void")
    loaded = compiled(module.text())
    data = np.zeros(lanes, np.float32)
    pointers = np.array([data.ctypes.data], np.uint64)
    steps = np.zeros(1, STEP)
    steps[0] = (loaded.address("peak"), pointers.ctypes.data, pointers.ctypes.data, 1, 1, 0)
    table = step_table(steps, kept=(loaded, pointers, data))
    return 2.0 * lanes * chains * rounds / _best(lambda: pool().run(table))


def _bandwidth() -> float:
    """Time a copy of arrays that no cache holds."""
    source = np.ones(1 << 22)
    target = np.empty_like(source)
    return 2.0 * source.nbytes / _best(lambda: np.copyto(target, source))


def _best(call: Callable[[], object]) -> float:
    found = []
    for _ in range(7):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return min(found)
