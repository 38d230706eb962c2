"""Executable: a compiled graph that users call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.execute.arguments import builder, taker
from graphad.execute.choice import chosen, thread_setting
from graphad.execute.planning import BINDINGS_KEPT, Binding, Plans
from graphad.execute.reference import Program
from graphad.execute.state import State, call_graph_of, resolve_updates, result_container
from graphad.execute.tiers import UNFIT, Tiers
from graphad.ir.collector import collector_paused
from graphad.ir.errors import ExecutionError, SymbolicSizeError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.plan.plan import Plan
from graphad.tracing.call import convert_leaf, flatten_arguments, size_binding

if TYPE_CHECKING:
    from graphad.execute.native.profile import Profile
    from graphad.execute.native.program import NativeProgram

Array = np.ndarray[Any, Any]


@frozen
class Memory:
    """What an Executable needs, in bytes: `arena`, `scratch` and `state` are held, `results` are made by each call.

    `lower_bound` is the most arena bytes live at once; `inputs` belong to the caller, `constants` to the graph.
    `scratch` is the workspace of machine code, once it is compiled, and what NumPy allocates inside an op; `budget`
    is what `memory=` allowed.
    """

    arena: int
    lower_bound: int
    results: int
    state: int
    inputs: int
    constants: int
    scratch: int = 0
    budget: int | None = None

    @property
    def peak(self) -> int:
        """Return the bytes a call needs beyond arguments, constants and state."""
        return self.arena + self.results + self.scratch

    def __str__(self) -> str:
        return (
            f"peak {self.peak:,} bytes = arena {self.arena:,} (lower bound {self.lower_bound:,}) "
            f"+ results {self.results:,} + scratch {self.scratch:,}; "
            f"state {self.state:,}, constants {self.constants:,}, inputs {self.inputs:,}"
        )


class Executable:
    """A compiled graph: call it with the graph's arguments, nested as they were traced.

    The first call of a graph with symbolic sizes plans it for the sizes of its arguments; later calls find the plan
    again. Calls from several threads take turns. Results are new arrays that belong to the caller.

    An error that an op raises leaves the state as it was before the call. KeyboardInterrupt and MemoryError may come
    between any two steps: the state can then be half updated, so save it from time to time, or set it anew with
    `set_state`.
    """

    @collector_paused()
    def __init__(
        self,
        graph: Graph,
        updates: Mapping[str, str] | None = None,
        state: Mapping[str, Any] | None = None,
        executor: str | None = None,
        threads: int | None = None,
        memory: int | str | None = None,
    ) -> None:
        """Prepare `graph`.

        Args:
            graph: what a call computes.
            updates: state and its next value, by name: ``{"params": "new_params"}``. These inputs are kept here,
                leave the call's arguments, and are set at the end of each call; their new values leave the result
                (give a value twice, under two names, to have it in both). Inputs with an initial value are state too.
            state: values of state by argument name, before `graph.initial`.
            executor: "native" or "reference"; native where llvmlite is installed if not given.
            threads: most threads of a native call; GRAPHAD_THREADS, or the number of processors, if not given.
            memory: budget of a call's arena, results and workspace: bytes, or text like "140MB" (`amount_bytes`). What
                does not fit is computed again where it is needed, and results stay the same to the bit. Machine code
                is then compiled before the first call, which would need the memory of both executors otherwise.

        Raises ExecutionError for names or types that do not fit, and MemoryBudgetError where no plan keeps the budget:
        at once, or when the sizes are known.
        """
        self._graph = graph
        self._executor = chosen(executor)
        if threads is not None and threads < 1:
            raise ExecutionError(f"a call runs on at least one thread, not {threads}")
        self._threads = threads if threads is not None else thread_setting()
        pairs = resolve_updates(graph, updates or {})
        held = {k for k, name in enumerate(graph.input_names) if name in graph.initial}
        consumed = set(pairs.values())
        results = [k for k in range(len(graph.outputs)) if k not in consumed]
        sources = list(dict.fromkeys(pairs.values()))
        order = [*results, *sources]
        moved = {old: new for new, old in enumerate(order)}
        # Results first: the plan tells them from what only feeds the state by their count.
        self._planned = (
            graph.with_outputs([graph.outputs[k] for k in order], [graph.output_names[k] for k in order])
            if consumed
            else graph
        )
        self._results = len(results)
        self._updates: dict[int, int | None] = dict.fromkeys(sorted(held))
        self._updates.update({k: moved[output] for k, output in pairs.items()})
        self._state = State(graph, tuple(self._updates))
        self._call_graph = call_graph_of(graph, tuple(self._updates)) if self._updates else graph
        self._types = [(t.dtype, t.shape) for t in self._call_graph.input_types]
        self._take = taker(self._call_graph.input_container)
        self._result_container = result_container(graph, consumed)
        self._build = builder(self._result_container)
        self._lock = threading.RLock()
        self._profile: Profile | None = None
        self._running = 0
        self._programs: OrderedDict[Binding, Tiers] = OrderedDict()
        budget = None
        if memory is not None:
            from graphad.plan.amounts import amount_bytes

            budget = amount_bytes(memory)
        self._plans = Plans(self._planned, self._updates, self._results, self._executor, budget, threads)
        self._static = graph.static
        self._program: Tiers | None = None
        initial = {name: graph.initial[name] for name in graph.input_names if name in graph.initial}
        self._state.assign(initial)
        if state:
            self._state.assign(state)
        if self._static and (self._executor == "reference" or budget is not None):
            self._plans.get(())

    # What is known before it runs.

    @property
    def plans(self) -> Plans:
        """Return the plans of the graph, for all sizes."""
        return self._plans

    @property
    def graph(self) -> Graph:
        """Return the graph that was compiled."""
        return self._graph

    @property
    def plan(self) -> Plan:
        """Return the memory plan; of a graph with symbolic sizes, use `plan_for`.

        Raises SymbolicSizeError where sizes are symbolic.
        """
        if not self._static:
            names = ", ".join(f"{n}=..." for n in sorted(self._graph.size_names))
            raise SymbolicSizeError(
                f"graph {self._graph.name!r} is planned once its sizes are known: ask exe.plan_for({names})"
            )
        with self._lock:
            return self._plans.get(())

    def plan_for(self, **sizes: int) -> Plan:
        """Return the memory plan for these values of the symbolic sizes."""
        with self._lock:
            return self._plans.get(tuple(sorted(sizes.items())))

    @property
    def peak_bytes(self) -> int:
        """Return the bytes that a call needs beyond its arguments, the constants and the state."""
        return self.plan.peak_bytes

    @property
    def memory(self) -> Memory:
        """Return what the executable needs, by class."""
        found = self.plan
        tiers = self._programs.get(())
        program = None if tiers is None else tiers.program
        return Memory(
            found.arena_bytes,
            found.lower_bound_bytes,
            found.result_bytes,
            found.state_bytes,
            found.input_bytes,
            found.constant_bytes,
            int(getattr(program, "scratch_bytes", 0)),
            self._plans.budget,
        )

    @property
    def executor(self) -> str:
        """Return the executor that calls run on once it is ready: "native" or "reference"."""
        return self._executor

    @property
    def compiled(self) -> bool:
        """Tell whether the next call (of the sizes called last) runs as it always will: on machine code, if any."""
        with self._lock:
            found = list(self._programs.values())[-1:]
        return bool(found) and found[0].compiled

    def wait(self) -> Executable:
        """Compile now, or wait until the background thread has; returns the executable itself.

        Of a graph with symbolic sizes, what has been called so far is compiled.
        """
        with self._lock:
            if self._static and not self._programs and not self._state.missing():
                self._program = self._bound(())
            found = list(self._programs.values())
        for tiers in found:
            tiers.wait()
        return self

    def report(self) -> str:
        """Describe steps, costs, memory, and the largest tensors at the peak with their user lines, as text.

        Of native code (compiled for this, if need be), also kernels, host steps and expected times, and the measured
        ones after `profile`.
        """
        from graphad.execute.report import report

        text = report(self.plan, self._executor, self._plans.budget)
        program = self._native_program()
        if program is None:
            return text
        from graphad.execute.native.report import report as native_report

        return f"{text}\n{native_report(program, self._profile)}"

    def profile(self, *arguments: Any, repeats: int = 5, **keywords: Any) -> Profile:
        """Run native code step by step on the arguments of a call; returns the time of each step, op and user line.

        State is as it was before. Raises ExecutionError for the reference executor and for symbolic sizes.
        """
        program = self._native_program()
        if program is None:
            raise ExecutionError(f"{self._graph.name!r} has no native code to profile: compile it with static sizes")
        from graphad.execute.native.profile import profile

        leaves = flatten_arguments(self._call_graph, arguments, keywords)
        with self._alone():
            self._profile = profile(program, [self._fit(k, leaf) for k, leaf in enumerate(leaves)], repeats)
        return self._profile

    def llvm_ir(self) -> str:
        """Return the native code as LLVM IR, as it was generated; ExecutionError where there is none."""
        return self._code("LLVM IR").module.text()

    def assembly(self) -> str:
        """Return the native code as assembly of this machine, optimised; ExecutionError where there is none."""
        text = self._code("assembly").module.text()
        from graphad.execute.native.target import assembly

        return assembly(text)

    def _code(self, wanted: str) -> NativeProgram:
        program = self._native_program()
        if program is None:
            raise ExecutionError(f"{self._graph.name!r} has no {wanted}: compile it natively, with static sizes")
        return program

    def _native_program(self) -> NativeProgram | None:
        """Return the compiled program of a static graph, compiling it now if need be; None for other executors."""
        if self._executor != "native" or not self._static:
            return None
        self._check_state()
        self.wait()
        assert self._program is not None
        from graphad.execute.native.program import NativeProgram

        found = self._program.program
        assert isinstance(found, NativeProgram)
        return found

    def __repr__(self) -> str:
        size = f"peak {self.peak_bytes:,} bytes" if self._static else "sizes symbolic"
        return f"<executable {self._graph!r}, {size}>"

    # State.

    @property
    def state(self) -> dict[str, Any]:
        """Return copies of the state, nested as the arguments were, by argument name.

        Raises ExecutionError where some of it has no value yet.
        """
        with self._alone():
            self._check_state()
            return self._state.nested()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep calls of other threads out."""
        with self._lock:
            if self._program is None or self._running:
                yield
                return
            with self._program.alone():
                yield

    def set_state(self, values: Mapping[str, Any] | None = None, **named: Any) -> None:
        """Set state by argument name (or, in a mapping, by input name "params.w1"); the rest keeps its values."""
        with self._alone():
            if self._running:
                raise ExecutionError(f"state of {self._graph.name!r} cannot be set from inside its own call")
            if self._state.assign({**(values or {}), **named}):
                self._programs.clear()
                self._program = None

    def _check_state(self) -> None:
        missing = self._state.missing()
        if missing:
            raise ExecutionError(
                f"state {', '.join(missing)} of {self._graph.name!r} has no value yet: exe.set_state(...), or "
                "compile(..., state={...})"
            )

    # Calls.

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the graph on the arguments that are not state and return its result, nested as it was traced.

        Raises ContainerError or ExecutionError where the arguments do not fit, and SymbolicSizeError where their sizes
        break an assumption made while tracing.
        """
        if self._program is not None and self._program.call is not None and not keywords:
            result = self._program.call(*arguments)
            if result is not UNFIT:
                return result
        leaves: list[Any] = []
        if keywords or not self._take(arguments, leaves):
            leaves = flatten_arguments(self._call_graph, arguments, keywords)
        return self._run([self._fit(k, leaf) for k, leaf in enumerate(leaves)])

    @property
    def straight(self) -> Callable[..., Any] | None:
        """Return the built-in function that runs a call by position, None as long as there is none.

        It returns `UNFIT` for arguments that are not exactly the arrays it takes.
        """
        return None if self._program is None else self._program.call

    def matches(self, leaves: Sequence[Any], classes: Sequence[Any]) -> bool:
        """Tell whether flat arguments are of these classes, and the arrays among them of the types the graph takes."""
        for (dtype, shape), leaf, cls in zip(self._types, leaves, classes, strict=True):
            if type(leaf) is not cls:
                return False
            if cls is np.ndarray and (leaf.shape != shape or leaf.dtype != dtype):
                return False
        return True

    def _fit(self, position: int, leaf: Any) -> Array:
        """Return a leaf as a dense, aligned array of the type that the graph takes; itself where it is one."""
        dtype, shape = self._types[position]
        if not (type(leaf) is np.ndarray and leaf.shape == shape and leaf.dtype == dtype):
            label = self._call_graph.input_names[position]
            leaf = np.asarray(convert_leaf(self._call_graph.inputs[position].type, leaf, label))
        if leaf.flags.num & _DENSE != _DENSE:
            leaf = np.array(leaf, order="C", copy=True, subok=False)
        return leaf  # type: ignore[no-any-return]

    def _run(self, inputs: list[Array]) -> Any:
        with self._lock:
            program = self._program if self._static else self._program_for(inputs)
            if program is None:
                program = self._program = self._bound(())
            runner = self._nested(program) if self._running else program
            self._running += 1
            try:
                results = runner.run(inputs)
            finally:
                self._running -= 1
        return self._build(results)

    def _nested(self, program: Tiers) -> Program:
        """Return a program for a call from inside a call: it must not touch the arena in use."""
        if self._updates:
            raise ExecutionError(
                f"{self._graph.name!r} was called from inside its own call; it has state, so it cannot be"
            )
        return program.apart()

    def _program_for(self, inputs: list[Array]) -> Tiers:
        self._check_state()
        given = iter(inputs)
        arrays = [self._state.arrays[k] if k in self._updates else next(given) for k in range(len(self._graph.inputs))]
        return self._bound(tuple(sorted(size_binding(self._graph, arrays).items())))

    @collector_paused()
    def _bound(self, binding: Binding) -> Tiers:
        found = self._programs.get(binding)
        if found is None:
            self._check_state()
            native = self._executor == "native"
            budgeted = self._plans.budget is not None
            if budgeted:
                self._plans.get(binding)  # it may refuse
                self._programs.clear()  # their arenas would add up
            nesting = (self._call_graph.input_container, self._result_container) if self._static else None
            found = Tiers(self._plans, binding, self._state.arrays, native, self._threads, self._lock, nesting)
            if budgeted:
                with suppress(Exception):  # of the compiler: it has warned, and the reference executor goes on
                    found.wait()
            self._programs[binding] = found
            while len(self._programs) > BINDINGS_KEPT:
                self._programs.popitem(last=False)
        self._programs.move_to_end(binding)
        return found


_DENSE = 0x101
"""NumPy's flags for row-major contiguous and aligned."""
