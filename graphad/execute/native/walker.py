"""Programs: a table of steps in memory, and the machine-code loop that walks it.

What may enter: how steps and programs lie in memory, and how a thread finds its share of a step. Every thread of a run
walks the same steps and takes its part of each; where the table says so, it waits for the others first::

    struct Step    { ptr kernel; ptr pointers; ptr sizes; i64 extent; i64 multiple; i64 flags }
    struct Program { ptr steps; i64 count; ptr scratch; i64 stride; i64 threads; i64 flags; ptr condemned }

The shares of a step are a partition of [0, extent) into contiguous, even parts that begin at multiples of `multiple`:
what a kernel computes does not depend on how many threads there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from graphad.execute.native.code import Code, Module
from graphad.execute.native.waiting import read
from graphad.ir.frozen import frozen

STEP: Final = np.dtype(
    [
        ("kernel", np.uint64),
        ("pointers", np.uint64),
        ("sizes", np.uint64),
        ("extent", np.int64),
        ("multiple", np.int64),
        ("flags", np.int64),
    ]
)
"""A step as it lies in memory: addresses, the parallel axis, flags."""

BARRIER: Final = 1
"""Flag: all threads have finished the steps before this one when it begins."""
ALONE: Final = 2
"""Flag: thread 0 runs the whole step, the others go on."""
HEEDS: Final = 4
"""Flag: nobody runs the step once the run is condemned (see `guarding`)."""

PROGRAM: Final = np.dtype(
    [
        ("steps", np.uint64),
        ("count", np.int64),
        ("scratch", np.uint64),
        ("stride", np.int64),
        ("threads", np.int64),
        ("flags", np.int64),
        ("condemned", np.uint64),
    ]
)
"""A program as it lies in memory; `condemned` is the address of a word, 0 where no step can condemn a run."""

PRODUCTS: Final = 1
"""Flag: some step calls the outside library of matrix products, which must keep to one thread meanwhile."""

PROGRAM_WORDS: Final = {name: 8 * k for k, name in enumerate(PROGRAM.names or ())}
"""Byte offset of each field of a program."""
STEP_BYTES: Final = STEP.itemsize
STEP_FLAGS: Final = 40


@frozen(slots=True, eq=False)
class StepTable:
    """A program in memory, ready to run; one run at a time, because its buffers and scratch are shared.

    Attributes:
        steps: array of STEP.
        header: array of one PROGRAM.
        address: address of the header: what machine code takes.
        threads: most threads of a run.
        brief: a run is so short that it may keep Python's lock.
        scratch: workspace of all threads.
        kept: whatever else must stay alive: pointer tables, sizes, loaded code.
    """

    steps: np.ndarray[Any, Any]
    header: np.ndarray[Any, Any]
    address: int
    threads: int
    brief: bool
    scratch: np.ndarray[Any, Any]
    kept: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.steps)


def step_table(
    steps: np.ndarray[Any, Any] | Sequence[tuple[int, ...]],
    scratch: int = 0,
    threads: int = 1,
    products: bool = False,
    brief: bool = False,
    condemned: int = 0,
    kept: Sequence[Any] = (),
) -> StepTable:
    """Lay a program out in memory.

    Args:
        steps: array of STEP, or tuples of its fields.
        scratch: bytes of workspace a thread; each thread's part is aligned to 64.
        threads: most threads of a run; 1 for programs below the work that pays for waking anybody.
        products: a step calls the outside library of matrix products.
        brief: a run takes less than some 20 us, so that releasing Python's lock would not pay.
        condemned: address of a word that some step sets to something else than 0 where the run is not to be believed.
        kept: objects to keep alive.

    Raises ValueError for a step with a multiple below 1, or fewer than one thread.
    """
    table = np.ascontiguousarray(steps if isinstance(steps, np.ndarray) else np.array(list(steps), STEP), STEP)
    if len(table) and int(table["multiple"].min()) < 1:
        raise ValueError("the multiple of a step is at least 1")
    if threads < 1:
        raise ValueError(f"a run has at least one thread, not {threads}")
    stride = -(-scratch // 128) * 128
    block = np.empty(stride * threads + 128, np.uint8)
    begin = block.ctypes.data + -block.ctypes.data % 128
    flags = PRODUCTS if products else 0
    header = np.array([(table.ctypes.data, len(table), begin, stride, threads, flags, condemned)], dtype=PROGRAM)
    return StepTable(table, header, header.ctypes.data, threads, brief, block, tuple(kept))


# The loop in machine code.


def add_walks(module: Module) -> None:
    """Enter walk_alone and run_share into a module."""
    _add_walk_alone(module)
    _add_run_share(module)


def _step(code: Code, steps: str, index: str) -> tuple[str, ...]:
    """Return the address of a step, and its kernel, pointers, sizes and extent."""
    step = code.value(f"getelementptr [{STEP_BYTES} x i8], ptr {steps}, i64 {index}")
    kernel, pointers, sizes = (read(code, "ptr", step, offset) for offset in (0, 8, 16))
    return step, kernel, pointers, sizes, read(code, "i64", step, 24)


def _call(code: Code, kernel: str, pointers: str, sizes: str, begin: str, end: str, scratch: str) -> None:
    code.line(f"call void {kernel}(ptr {pointers}, ptr {sizes}, i64 {begin}, i64 {end}, ptr {scratch})")


def _add_walk_alone(module: Module) -> None:
    """Enter ``void walk_alone(program, first, last)``: run steps first to last, whole, on this thread."""
    parameters = [("ptr", "program"), ("i64", "first"), ("i64", "last")]
    code = module.function("walk_alone", "void", parameters, "nounwind", "internal")
    steps = read(code, "ptr", "%program", PROGRAM_WORDS["steps"])
    scratch = read(code, "ptr", "%program", PROGRAM_WORDS["scratch"])
    condemned = read(code, "ptr", "%program", PROGRAM_WORDS["condemned"])
    with code.loop("%first", "%last") as index:
        step, kernel, pointers, sizes, extent = _step(code, steps, index)
        after = code.new_label("next")
        _heed_where_flagged(code, read(code, "i64", step, STEP_FLAGS), condemned, after)
        with code.when(code.value(f"icmp sgt i64 {extent}, 0")):
            _call(code, kernel, pointers, sizes, "0", extent, scratch)
        code.jump(after)
        code.place(after)
    code.line("ret void")


def _add_run_share(module: Module) -> None:
    """Enter ``void run_share(steps, begin, end, thread, threads, scratch, condemned)``.

    It is a thread's part of steps without barriers. Any thread may run it, with its own scratch.
    """
    range_ = [("ptr", "steps"), ("i64", "begin"), ("i64", "end")]
    parameters = [*range_, ("i64", "thread"), ("i64", "threads"), ("ptr", "scratch"), ("ptr", "condemned")]
    code = module.function("run_share", "void", parameters, "nounwind noinline", "internal")
    first = code.value("icmp eq i64 %thread, 0")
    with code.loop("%begin", "%end") as index:
        step, kernel, pointers, sizes, extent = _step(code, "%steps", index)
        flags = read(code, "i64", step, STEP_FLAGS)
        alone, shared, after = (code.new_label(stem) for stem in ("alone", "shared", "next"))
        _heed_where_flagged(code, flags, "%condemned", after)
        code.branch(_flag(code, flags, ALONE), alone, shared)
        code.place(alone)
        mine = code.value(f"icmp sgt i64 {extent}, 0")
        with code.when(code.value(f"and i1 {first}, {mine}")):
            _call(code, kernel, pointers, sizes, "0", extent, "%scratch")
        code.jump(after)
        code.place(shared)
        begin, end = _share(code, extent, read(code, "i64", step, 32))
        with code.when(code.value(f"icmp slt i64 {begin}, {end}")):
            _call(code, kernel, pointers, sizes, begin, end, "%scratch")
        code.jump(after)
        code.place(after)
    code.line("ret void")


def heed(code: Code, condemned: str, stopped: str) -> None:
    """Go on only in a run that is not condemned so far; else jump to the label `stopped`."""
    found = code.value(f"load atomic i64, ptr {condemned} monotonic, align 8")
    on = code.new_label("on")
    code.branch(code.value(f"icmp eq i64 {found}, 0"), on, stopped)
    code.place(on)


def _heed_where_flagged(code: Code, flags: str, condemned: str, after: str) -> None:
    ask, on = code.new_label("ask"), code.new_label("on")
    code.branch(_flag(code, flags, HEEDS), ask, on)
    code.place(ask)
    heed(code, condemned, after)
    code.jump(on)
    code.place(on)


def _flag(code: Code, flags: str, flag: int) -> str:
    return code.value(f"icmp ne i64 {code.value(f'and i64 {flags}, {flag}')}, 0")


def _share(code: Code, extent: str, multiple: str) -> tuple[str, str]:
    """Return begin and end of thread ``%thread``'s part of [0, extent): units t n / T to (t + 1) n / T."""
    code.module.declare("llvm.smin.i64", "i64", ["i64", "i64"])
    up = code.value(f"add i64 {code.value(f'add i64 {extent}, {multiple}')}, -1")
    units = code.value(f"udiv i64 {up}, {multiple}")
    low = code.value(f"mul i64 {units}, %thread")
    high = code.value(f"add i64 {low}, {units}")
    begin = code.value(f"mul i64 {code.value(f'udiv i64 {low}, %threads')}, {multiple}")
    past = code.value(f"mul i64 {code.value(f'udiv i64 {high}, %threads')}, {multiple}")
    return begin, code.call("i64", "llvm.smin.i64", [("i64", past), ("i64", extent)])


def share(extent: int, multiple: int, thread: int, threads: int) -> tuple[int, int]:
    """Return [begin, end), the part of [0, extent) that a thread of a run takes; as the machine code does."""
    units = -(-extent // multiple)
    begin = units * thread // threads * multiple
    return begin, min(units * (thread + 1) // threads * multiple, extent)
