"""The native executor: a plan as machine code, with NumPy's own steps in between where an op has no native code.

Binding is the reference executor's: the same buffers, the same views, the same copies. What differs is what a step
becomes: kernels that machine code walks through, thread by thread, or a call into Python ("host step").
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from graphad.execute.background import go_on
from graphad.execute.native import blas, image_lowering  # noqa: F401  # enters its lowerings
from graphad.execute.native.addresses import Guard
from graphad.execute.native.code import Module
from graphad.execute.native.entry import Entry, entry, possible
from graphad.execute.native.entry_nesting import known
from graphad.execute.native.guarding import verdicts
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer
from graphad.execute.native.late import enter_lowering
from graphad.execute.native.lowering import Lowered, lowered, lowered_copy, moves, product_of, separate_batches
from graphad.execute.native.object_cache import compiled
from graphad.execute.native.regions import Region
from graphad.execute.native.target import FULL, LIGHT, Loaded, define
from graphad.execute.native.threads import default_threads, pool
from graphad.execute.native.walker import ALONE, BARRIER, HEEDS, STEP, StepTable, heed, step_table
from graphad.execute.reference import Program, aligned_empty
from graphad.ir.collector import collector_paused
from graphad.ir.containers import Container
from graphad.ir.frozen import frozen
from graphad.ir.node import Node, Value
from graphad.ir.types import TensorType
from graphad.ops.joining import Concatenate
from graphad.ops.product import Matmul
from graphad.ops.slicing import UpdateSlice
from graphad.plan.plan import Plan

Array = np.ndarray[Any, Any]

SMALL_NS = 3_000.0
"""Expected nanoseconds of a step below which one thread runs it rather than all: meeting costs about as much."""
SINGLE_NS = 30_000.0
"""Expected nanoseconds of a whole program below which no other thread is woken."""
BRIEF_NS = 15_000.0
"""Expected nanoseconds of a program that does not release Python's lock."""
WHOLE = "whole"
"""Name of the function that is a whole short program."""
WHOLE_STEPS = 12
WHOLE_NS = 10_000.0
"""Steps and expected nanoseconds up to which a program becomes one function, specialised for its sizes."""

_new_place: Callable[[type[Place], tuple[int, int, int, int]], Place] = tuple.__new__

FIXED = -1
"""In place of a slot: an address that never changes."""


class Place(NamedTuple):
    """A buffer of a step: at an address, or at an offset from what a call brings into a slot.

    Attributes:
        slot: the slot, or FIXED.
        at: address or offset of its first element.
        low, high: the bytes it spans (as `at`).
    """

    slot: int
    at: int
    low: int
    high: int

    def overlaps(self, other: Place) -> bool:
        """Tell whether two places share bytes. What a call brings never overlaps the program's own memory."""
        return self.slot == other.slot and self.low < other.high and other.low < self.high


@frozen(slots=True)
class Step:
    """One native step.

    Attributes:
        kernel: the kernel.
        read, written: the buffers it is given.
        nanoseconds: what it should take on one thread.
        node: what it comes from.
        share: of the node's work.
        heeds: it writes state, so that it must not run where a guard has condemned the run.
    """

    kernel: Kernel
    read: tuple[Place, ...]
    written: tuple[Place, ...]
    nanoseconds: float
    node: Node
    share: float
    heeds: bool = False


@frozen(slots=True)
class HostStep:
    """A call into Python: the next of the program's calls."""

    node: Node


class NativeProgram(Program):
    """A plan bound to memory and compiled: `run` takes the arrays of one call and gives its results."""

    @collector_paused()
    def __init__(self, plan: Plan, state: Mapping[int, Array], threads: int | None = None) -> None:
        """Allocate the arena, bind every step and compile; a call uses at most `threads` threads."""
        self.module = Module()
        self.order: list[Step | HostStep] = []
        self.threads = default_threads() if threads is None else threads
        self._templates: dict[int, Array] = {}
        self._roots: dict[int, tuple[int, int]] = {}
        self._kept: list[Any] = []
        self._known: dict[Any, Lowered] = {}
        self._seconds: list[list[float]] | None = None
        self._verdicts = verdicts(plan.graph.nodes)
        super().__init__(plan, state)
        self._compile()

    # Binding.

    def _bind_steps(self) -> None:
        self._places: dict[int, tuple[Array | int, Place]] = {}
        """By the identity of what is bound, which is kept so that it stays its own."""
        self._arena_address = _address(self.arena)
        graph = self.plan.graph
        types = [v.type for k, v in enumerate(graph.inputs) if k not in self._state]
        types += graph.output_types[: self.plan.results]
        self._state_bounds = sorted(_byte_bounds(x) for x in self._state.values() if x.nbytes)
        for slot, type_ in enumerate(types):
            self._templates[slot] = np.empty(type_.shape, type_.dtype)
            self._roots[slot] = (slot, 0)
        super()._bind_steps()
        del self._places

    def _slot(self, view: Callable[[Array], Any], operand: int) -> int:
        slot = super()._slot(view, operand)
        template = self._templates[operand]
        made = self._templates[slot] = np.asarray(view(template))
        root, offset = self._roots[operand]
        self._roots[slot] = (root, offset + _address(made) - _address(template))
        return slot

    def _in_arena(self, start: int, type_: TensorType) -> Array:
        made = super()._in_arena(start, type_)
        at = self._arena_address + start
        self._places[id(made)] = made, _new_place(Place, (FIXED, at, at, at + made.nbytes))
        return made

    def _bind_step(self, node: Node) -> None:
        go_on()
        results = node.outputs
        outs = list(map(self._made, results))
        operands = [self._bound[value] for value in node.inputs]
        if not isinstance(node.op, Region):
            self._bind_moves(node, operands, outs)
            if isinstance(node.op, (Concatenate, UpdateSlice)):
                return
        if all(0 in type_.shape for type_ in node.types) and node.op.risk(node.inputs) is None:
            self._bound.update(zip(results, outs, strict=True))
            return  # nothing to compute
        if isinstance(node.op, Matmul) and self._bind_batches(node, operands, outs[0]):
            return
        found = self._lowered(node, list(map(self._template, operands)), list(map(self._template, outs)))
        if found is None:
            super()._bind_step(node)
            return
        self._bound.update(zip(results, outs, strict=True))
        self._add_native(found, node, operands, outs)

    def _lowered(self, node: Node, operands: Sequence[Array], outs: Sequence[Array]) -> Lowered | None:
        """Lower a step; regions that share their body and lie in memory alike are looked at once."""
        if not isinstance(node.op, Region):
            enter_lowering(node.op)
            return lowered(self.module, node, operands, outs)
        key = (id(node.op), *[x.strides for x in operands], *[x.strides for x in outs])
        found = self._known.get(key)
        if found is None:
            found = lowered(self.module, node, operands, outs)
            assert found is not None  # whatever is in a region has native code
            self._known[key] = found
        return found

    def _bind_batches(self, node: Node, operands: Sequence[Array | int], out: Array | int) -> bool:
        """Bind a product of stacks whose matrices do not lie evenly, as one step an index of their leading axes."""
        arrays = [self._template(x) for x in (*operands, out)]
        axes = separate_batches(arrays[:-1], arrays[-1]) if arrays[-1].size else 0
        if not axes or product_of(*[x[(0,) * axes] for x in arrays]) is None:
            return False
        stacks = arrays[-1].shape[:axes]
        for index in np.ndindex(*stacks):
            parts = [self._part(x, index) for x in (*operands, out)]
            found = lowered(self.module, node, *self._templates_of(parts))
            assert found is not None
            self._add_native(found, node, parts[:-1], parts[-1:], 1 / math.prod(stacks))
        self._bound[Value(node, 0)] = out
        return True

    def _part(self, bound: Array | int, index: tuple[int, ...]) -> Array | int:
        return self._slot(lambda x: x[index], bound) if isinstance(bound, int) else bound[index]

    def _templates_of(self, parts: Sequence[Array | int]) -> tuple[list[Array], list[Array]]:
        arrays = [self._template(x) for x in parts]
        return arrays[:-1], arrays[-1:]

    def _bind_moves(self, node: Node, operands: Sequence[Array | int], outs: Sequence[Array | int]) -> None:
        """Bind the copies that a step begins with; what lies in its place already is not copied."""
        for k, part in moves(node) or ():
            whole = outs[0]
            target = self._slot(part, whole) if isinstance(whole, int) else part(whole)
            if self._place(operands[k]) != self._place(target):
                self._add(node, np.copyto, [target, operands[k]])
        if moves(node) is not None:
            self._bound[Value(node, 0)] = outs[0]

    def _add_native(
        self,
        found: Lowered,
        node: Node,
        operands: Sequence[Array | int],
        outs: Sequence[Array | int],
        part: float = 1.0,
    ) -> None:
        """Add the kernels that compute a node, or this part of it."""
        read = tuple(map(self._place, operands))
        written = tuple(map(self._place, outs))
        if found.workspace:
            room = aligned_empty(found.workspace)
            self._kept.append(room)
            written = (*written, self._place(room))
        heeds = bool(self._verdicts.places) and any(map(self._is_state, written))
        if isinstance(node.op, Guard):
            written = (*written, *map(self._place, (self._verdicts.finding(node), self._verdicts.condemned())))
        for kernel, share in zip(found.kernels, found.shares, strict=True):
            self.order.append(Step(kernel, read, written, found.nanoseconds * share, node, share * part, heeds))

    def _add(self, node: Node, function: Callable[..., Any], arguments: list[Any]) -> None:
        if function is np.copyto:
            target, source = arguments
            if not self._template(target).size:
                return
            found = lowered_copy(self.module, self._template(source), self._template(target))
            if found is not None:
                self._add_native(found, node, [source], [target])
                return
        self.order.append(HostStep(node))
        super()._add(node, function, arguments)

    def _template(self, bound: Array | int) -> Array:
        return self._templates[bound] if isinstance(bound, int) else bound

    def _place(self, bound: Array | int) -> Place:
        known = self._places.get(id(bound))
        if known is not None and known[0] is bound:
            return known[1]
        place = self._placed(bound)
        self._places[id(bound)] = bound, place
        return place

    def _placed(self, bound: Array | int) -> Place:
        array = self._template(bound)
        low, high = _byte_bounds(array)
        if isinstance(bound, int):
            slot, at = self._roots[bound]
            start = _address(array)
            return Place(slot, at, at + low - start, at + high - start)
        return Place(FIXED, _address(array), low, high)

    def _is_state(self, place: Place) -> bool:
        """Tell whether a place is in the memory of a state."""
        before = bisect_left(self._state_bounds, (place.high, 0))
        return place.slot == FIXED and before > 0 and self._state_bounds[before - 1][1] > place.low

    # Compiling.

    def _compile(self) -> None:
        """Compile the kernels and lay the steps out as tables, one for each run of native steps."""
        self._loaded: Loaded | None = None
        go_on()
        steps = [step for step in self.order if isinstance(step, Step)]
        if steps:
            library = blas.find()
            if library is not None:
                define(library.symbols())
                pool().quiet(library.get_threads, library.set_threads)
            whole = self._write_whole(steps)
            if whole:
                self._loaded = compiled(self.module.text(), level=FULL)
            else:
                self._loaded = compiled(*self.module.parts(), level=LIGHT, threads=self.threads)
        self._lay_out(steps)

    def _write_whole(self, steps: Sequence[Step]) -> bool:
        """Write a short program without host steps as one function, which LLVM specialises for its sizes."""
        total = sum(step.nanoseconds for step in steps)
        if self._calls or len(steps) > WHOLE_STEPS or total > WHOLE_NS:
            return False
        code = begin_kernel(self.module, WHOLE)
        cell = 0
        first = next((k for k, step in enumerate(steps) if step.heeds), None)
        for k, step in enumerate(steps):
            kernel = step.kernel
            if k == first:  # all guards stand before it: the plan writes no state as long as a step may refuse
                heed(code, pointer(code, sum(len(s.read) + len(s.written) for s in steps)), "condemned")
            sizes = self.module.table(f"sizes{k}", "i64", [str(n) for n in kernel.sizes or (0,)])
            pointers = code.value(f"getelementptr ptr, ptr %pointers, i64 {cell}")
            given = [("ptr", pointers), ("ptr", sizes), ("i64", "0"), ("i64", str(kernel.extent)), ("ptr", "%scratch")]
            code.call("void", kernel.name, given, "alwaysinline")
            cell += len(step.read) + len(step.written)
        code.line("ret void")
        if first is not None:
            code.place("condemned")
            code.line("ret void")
        return True

    def _lay_out(self, steps: Sequence[Step]) -> None:
        places = [place for step in steps for place in (*step.read, *step.written)]
        places.append(self._placed(self._verdicts.condemned()))
        self._table = np.array([p.at if p.slot == FIXED else 0 for p in places], np.int64).view(np.uint64)
        cells = [k for k, p in enumerate(places) if p.slot != FIXED]
        self._cells = np.array(cells, np.int64)
        self._cell_slots = np.array([places[k].slot for k in cells], np.int64)
        self._cell_offsets = np.array([places[k].at for k in cells], np.int64).view(np.uint64)
        total = sum(step.nanoseconds for step in steps)
        threads = 1 if total < SINGLE_NS else self.threads
        sizes = np.array([n for step in steps for n in step.kernel.sizes] or [0], np.int64)
        rows = np.zeros(len(steps), STEP)
        kernels = [step.kernel for step in steps]
        addresses: dict[str, int] = {}
        for kernel in kernels:
            if kernel.name not in addresses:
                assert self._loaded is not None
                addresses[kernel.name] = self._loaded.address(kernel.name)
        first_cells = np.cumsum([0, *[len(step.read) + len(step.written) for step in steps]])[:-1]
        first_sizes = np.cumsum([0, *[len(kernel.sizes) for kernel in kernels]])[:-1]
        rows["kernel"] = [addresses[kernel.name] for kernel in kernels]
        rows["pointers"] = self._table.ctypes.data + 8 * first_cells
        rows["sizes"] = sizes.ctypes.data + 8 * first_sizes
        rows["extent"] = [kernel.extent for kernel in kernels]
        rows["multiple"] = [kernel.multiple for kernel in kernels]
        rows["flags"] = _flags(self.order) if threads > 1 else [HEEDS if step.heeds else 0 for step in steps]
        scratch = max([step.kernel.scratch for step in steps], default=0)
        self._steps: StepTable = step_table(
            rows,
            scratch,
            threads,
            products=any("gemm" in step.kernel.name or "blas" in step.kernel.name for step in steps),
            brief=total < BRIEF_NS,
            condemned=self._verdicts.address,
            kept=(sizes, self._table, self._loaded, self._verdicts, *self._kept),
        )
        self._whole = self._steps
        if self._loaded is not None and self.module.has(WHOLE):
            only = np.zeros(1, STEP)
            only[0] = (self._loaded.address(WHOLE), self._table.ctypes.data, sizes.ctypes.data, 1, 1, 0)
            condemned = self._verdicts.address
            self._whole = step_table(only, scratch, 1, brief=True, condemned=condemned, kept=self._steps.kept)
        self._segments = _segments(self.order)
        self._hosts = bool(self._calls)
        self._pool = pool()

    # Running.

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run all steps on the call's arguments: dense arrays of the graph's types, in order, state left out.

        Raises what the reference executor raises for the same values.
        """
        if self._hosts:
            return super().run(inputs)
        results = [np.empty(shape, dtype) for shape, dtype in self._results]
        self._patch(inputs, results)
        self._verdicts.clear()
        self._pool.run(self._whole)
        self._verdicts.obey()
        return results

    def entry(self, arguments: Container, result: Container, fallback: Callable[..., Any]) -> Entry | None:
        """Return the program as a built-in function of arguments nested like `arguments`.

        None where a call needs Python: for host steps, or for arguments out of the common. What does not fit goes to
        `fallback`.
        """
        graph = self.plan.graph
        inputs = [v.type for k, v in enumerate(graph.inputs) if k not in self._state]
        if self._hosts or not known(arguments) or not possible(len(inputs), len(self._results)):
            return None
        patches = np.stack(
            [self._cell_slots, self._table.ctypes.data + 8 * self._cells, self._cell_offsets.view(np.int64)], 1
        )
        return entry(
            self._pool,
            self._whole,
            [(t.dtype, t.shape) for t in inputs],  # type: ignore[misc]  # static
            [(dtype, shape) for shape, dtype in self._results],
            patches,
            fallback,
            arguments,
            result,
        )

    def _patch(self, inputs: Sequence[Array], results: Sequence[Array]) -> None:
        """Enter the addresses of what a call brings into the steps' pointers."""
        if len(self._cells):
            bases = np.array([_address(x) for x in (*inputs, *results)], np.uint64)
            self._table[self._cells] = bases[self._cell_slots] + self._cell_offsets

    @property
    def used_threads(self) -> int:
        """Return how many threads a call uses at most."""
        return self._steps.threads

    @property
    def scratch_bytes(self) -> int:
        """Return the bytes of workspace that are held beside the arena, and of temporaries of host steps."""
        held = int(self._steps.scratch.nbytes) + sum(int(x.nbytes) for x in self._kept)
        return held + super().scratch_bytes

    def timed(self, inputs: Sequence[Array], repeats: int) -> list[list[float]]:
        """Run the steps one by one on the arguments of a call, several times; returns the seconds of each.

        State is put back afterwards.
        """
        kept = {position: array.copy() for position, array in self._state.items()}
        self._seconds = [[] for _ in self.order]
        try:
            for _ in range(repeats):
                super().run(inputs)
                for position, array in kept.items():
                    np.copyto(self._state[position], array)
            return list(self._seconds)
        finally:
            self._seconds = None

    def _execute_timed(self, seconds: list[list[float]]) -> None:
        done = {True: 0, False: 0}
        for number, item in enumerate(self.order):
            native = isinstance(item, Step)
            at = done[native]
            done[native] += 1
            begin = time.perf_counter()
            if native:
                self._pool.run(self._steps, at, at + 1)
                self._verdicts.obey()
            else:
                self._make_calls(self._calls[at : at + 1], self._nodes[at : at + 1])
            seconds[number].append(time.perf_counter() - begin)

    def _execute(self, given: Sequence[Any]) -> None:
        self._patch(given[: self._inputs], given[self._inputs : self._inputs + len(self._results)])
        self._verdicts.clear()
        if self._seconds is not None:
            self._execute_timed(self._seconds)
            return
        for native, first, last in self._segments:
            if native:
                self._pool.run(self._steps, first, last)
                self._verdicts.obey()
            else:
                self._make_calls(self._calls[first:last], self._nodes[first:last])


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])


def _byte_bounds(array: Array) -> tuple[int, int]:
    """Return the addresses between which the elements of an array lie."""
    start = _address(array)
    if array.flags.c_contiguous or not array.size:
        return start, start + array.nbytes
    low, high = np.lib.array_utils.byte_bounds(array)
    return int(low), int(high)


def _segments(order: Sequence[Step | HostStep]) -> list[tuple[bool, int, int]]:
    """Return runs of steps of one kind: whether they are native, the number of the first, and behind the last."""
    found: list[tuple[bool, int, int]] = []
    done = {True: 0, False: 0}
    for item in order:
        native = isinstance(item, Step)
        at = done[native]
        done[native] += 1
        if found and found[-1][0] == native:
            found[-1] = (native, found[-1][1], at + 1)
        else:
            found.append((native, at, at + 1))
    return found


def _flags(order: Sequence[Step | HostStep]) -> list[int]:
    """Return the flags of the native steps: who runs them, and where all must meet before."""
    flags: list[int] = []
    since: list[Step] = []
    shared: list[Step] = []
    """Those of `since` that all threads run: the others follow each other on one thread."""
    for item in order:
        if isinstance(item, HostStep):
            since, shared = [], []  # a run ends before a host step: all have finished
            continue
        alone = item.kernel.extent == 1 or item.nanoseconds < SMALL_NS
        waits = any(_depends(item, other) for other in (shared if alone else since))
        if waits:
            since, shared = [], []
        since.append(item)
        if not alone:
            shared.append(item)
        flags.append((ALONE if alone else 0) | (BARRIER if waits else 0) | (HEEDS if item.heeds else 0))
    return flags


def _depends(later: Step, earlier: Step) -> bool:
    """Tell whether a step must wait for another: one of them writes what the other reads, writes or heeds."""
    if later.heeds and isinstance(earlier.node.op, Guard):
        return True
    written = any(w.overlaps(p) for w in earlier.written for p in (*later.read, *later.written))
    return written or any(w.overlaps(p) for w in later.written for p in earlier.read)
