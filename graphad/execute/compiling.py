"""compile and jit: from a function or a graph to something that runs."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphad.execute.choice import chosen
from graphad.execute.executable import Executable
from graphad.execute.state import resolve_updates
from graphad.execute.tiers import UNFIT
from graphad.ir.collector import collector_paused
from graphad.ir.containers import Container, flatten, paths, unflatten
from graphad.ir.errors import ExecutionError
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.types import TensorType
from graphad.tracing.call import argument_containers, argument_names
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import bind_call, is_leaf, trace

SIGNATURES_KEPT = 64
"""Executables that a jitted function keeps for different signatures; the one used longest ago goes first."""


def optimized(graph: Graph, executor: str | None, optimize: Callable[[Graph], Graph] | None = None) -> Graph:
    """Return the graph after `optimize`, or after the default pipeline as far as `executor` needs it.

    Native code makes groups of its own, of all ops and not of elementwise ones alone.
    """
    if optimize is not None:
        return optimize(graph)
    from graphad.passes import PIPELINE, UNGROUPED
    from graphad.passes import optimize as run_passes

    return run_passes(graph, UNGROUPED if chosen(executor) == "native" else PIPELINE)


@collector_paused()
def compile(
    function: Graph | Callable[..., Any],
    *examples: Any,
    updates: Mapping[str, str] | None = None,
    state: Mapping[str, Any] | None = None,
    optimize: Callable[[Graph], Graph] | None = None,
    executor: str | None = None,
    threads: int | None = None,
    wait: bool = False,
    memory: int | str | None = None,
) -> Executable:
    """Plan a graph's memory and return an Executable.

    Args:
        function: a Graph, compiled as it is; or a function, traced on `examples` and optimised with the default
            pipeline.
        *examples: for a function, an array or a `spec(shape, dtype)` for each argument.
        updates: state and its next value by name, ``{"params": "new_params"}``: the Executable keeps these inputs and
            sets them at the end of each call; a call passes only the rest and returns only the rest.
        state: first values of the state, by argument name. Without it they come from `graph.initial`, or from the
            examples where these are arrays; `Executable.set_state` sets them at any time.
        optimize: the pass to run on the graph instead, for a Graph or a function.
        executor: "native" (machine code, the default where llvmlite is installed) or "reference" (NumPy).
        threads: most threads of a native call; GRAPHAD_THREADS, or the number of processors, if not given.
        wait: compile machine code before this returns. Else the first calls run on the reference executor, and
            machine code takes over when a background thread has made it.
        memory: budget of what a call needs beyond its arguments, the constants and the state: bytes, or text with a
            unit ("140MB", "1.5 GiB"). What does not fit is computed again where it is needed; results keep every bit.
            Machine code is then compiled before the first call.

    Raises:
        MemoryBudgetError: no plan keeps `memory`; says the least that was found, and what holds it. Of a graph with
            symbolic sizes, the call raises it that brings the sizes.
        ExecutionError: `updates` or `state` name what the graph does not have, or types differ.
        TraceError, OpTypeError, ...: what tracing the function raises.
    """
    if isinstance(function, Graph):
        graph = traced_and_optimized(function, examples, optimize, executor)
        made = Executable(graph, updates, state, executor, threads, memory)
        return made.wait() if wait else made
    traced = trace(function, *examples)
    first: dict[str, Any] = {}
    if updates:
        leaves, _ = flatten(tuple(examples), is_leaf)
        for position in resolve_updates(traced, updates):
            if not isinstance(leaves[position], TensorType):
                first[traced.input_names[position]] = leaves[position]
    graph = optimized(traced, executor, optimize)
    made = Executable(graph, updates, _overlaid(graph, first, state or {}), executor, threads, memory)
    return made.wait() if wait else made


def traced_and_optimized(
    function: Graph | Callable[..., Any],
    examples: Sequence[Any],
    optimize: Callable[[Graph], Graph] | None,
    executor: str | None = None,
) -> Graph:
    """Return a graph as `compile` takes it: itself, or a function traced and optimised with the default pipeline."""
    if not isinstance(function, Graph):
        return optimized(trace(function, *examples), executor, optimize)
    if examples:
        raise ExecutionError(f"graph {function.name!r} is compiled without examples: its types are known")
    return function if optimize is None else optimize(function)


def _overlaid(graph: Graph, first: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by input name, without those that `given` names an argument for, and then `given`."""
    owner: dict[str, str] = {}
    start = 0
    for name, container in zip(argument_names(graph), argument_containers(graph), strict=True):
        count = len(paths(container))
        owner.update((label, name) for label in graph.input_names[start : start + count])
        start += count
    return {**{label: v for label, v in first.items() if owner[label] not in given}, **given}


Key = tuple[Any, ...]


@frozen
class Bound:
    """The arguments of a call in order, a name for each, and which of the last ones go by keyword."""

    values: tuple[Any, ...]
    names: tuple[str, ...]
    by_keyword: tuple[str, ...]


class Jitted:
    """A function that is traced, optimised and compiled on its first call with each signature of its arguments.

    The signature is the nesting of the arguments, their shapes and dtypes, and the values of the static ones. Python
    numbers are arguments like arrays without axes. Called with tensors, while another function is traced, it is just
    the function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        static_argnums: Sequence[int] = (),
        optimize: Callable[[Graph], Graph] | None = None,
        executor: str | None = None,
        threads: int | None = None,
        memory: int | str | None = None,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._static = frozenset(static_argnums)
        self._optimize = optimize
        self._executor = executor
        self._threads = threads
        self._memory: int | None = None
        if memory is not None:
            from graphad.plan.amounts import amount_bytes

            self._memory = amount_bytes(memory)
        self._lock = threading.Lock()
        self._cache: OrderedDict[Key, Executable] = OrderedDict()
        self._latest: tuple[Executable, tuple[type, ...]] | None = None
        """What ran last, and the classes of its flat arguments: arrays, or Python numbers (which promote weakly)."""
        self._latest_is_arrays = False
        """Nothing that it takes could be a Python number, which promotes weakly and makes another signature."""

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Run the compiled function."""
        if self._latest is not None and not keywords:
            latest, classes = self._latest
            straight = latest.straight
            if straight is not None and self._latest_is_arrays:
                result = straight(*arguments)
                if result is not UNFIT:
                    return result
            leaves: list[Any] = []
            if latest._take(arguments, leaves) and latest.matches(leaves, classes):
                return latest._run([latest._fit(k, leaf) for k, leaf in enumerate(leaves)])
        bound = Bound(*bind_call(self._function, arguments, keywords))
        dynamic, leaves, container = self._flattened(bound)
        if any(isinstance(leaf, Tensor) for leaf in leaves):
            return self._function(*arguments, **keywords)
        return self._executable(bound, leaves, container)(*dynamic)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind as a method; the object is the first argument: a container, or static (``static_argnums=0``)."""
        return self if instance is None else functools.partial(self, instance)

    def executable(self, *arguments: Any, **keywords: Any) -> Executable:
        """Return the Executable that a call with these arguments (arrays or specs) runs."""
        bound = Bound(*bind_call(self._function, arguments, keywords))
        _, leaves, container = self._flattened(bound)
        return self._executable(bound, leaves, container)

    def graph(self, *arguments: Any, **keywords: Any) -> Graph:
        """Return the optimised graph that a call with these arguments (arrays or specs) runs."""
        return self.executable(*arguments, **keywords).graph

    def _flattened(self, bound: Bound) -> tuple[tuple[Any, ...], list[Any], Container]:
        dynamic = tuple(a for k, a in enumerate(bound.values) if k not in self._static)
        leaves, container = flatten(dynamic, is_leaf)
        return dynamic, leaves, container

    def _executable(self, bound: Bound, leaves: list[Any], container: Container) -> Executable:
        static = tuple((k, type(a), a) for k, a in enumerate(bound.values) if k in self._static)
        key = (container, tuple(map(_signature, leaves)), len(bound.values), bound.by_keyword, static)
        try:
            hash(key)
        except TypeError:
            raise ExecutionError(
                f"a static argument of {self._name} is not hashable; pass arrays as ordinary arguments, and tuples "
                "instead of lists"
            ) from None
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
        if found is None:
            # Outside the lock: tracing runs the user's code, which may call this function again.
            made = self._compiled(bound, leaves, container)
            with self._lock:
                found = self._cache.setdefault(key, made)
                while len(self._cache) > SIGNATURES_KEPT:
                    self._cache.popitem(last=False)
        if not static and not bound.by_keyword:
            numbers = (int, float, complex)
            self._latest_is_arrays = all(shape or dtype.kind != "f" for dtype, shape in found._types)
            self._latest = found, tuple(type(x) if type(x) in numbers else np.ndarray for x in leaves)
        return found

    @collector_paused()
    def _compiled(self, bound: Bound, leaves: list[Any], container: Container) -> Executable:
        values, names, by_keyword = bound.values, bound.names, bound.by_keyword
        static = {k: a for k, a in enumerate(values) if k in self._static}

        def positional(*dynamic: Any) -> Any:
            rest = iter(dynamic)
            given = [static[k] if k in static else next(rest) for k in range(len(values))]
            first = len(given) - len(by_keyword)
            return self._function(*given[:first], **dict(zip(by_keyword, given[first:], strict=True)))

        positional.__name__ = self._name
        positional.__signature__ = _signature_of(  # type: ignore[attr-defined]
            [name for k, name in enumerate(names) if k not in static]
        )
        traced = trace(positional, *unflatten(container, leaves), name=self._name)
        graph = optimized(traced, self._executor, self._optimize)
        return Executable(graph, None, None, self._executor, self._threads, self._memory)

    @property
    def _name(self) -> str:
        return getattr(self._function, "__name__", type(self._function).__name__).replace("<lambda>", "function")


def _signature(leaf: Any) -> tuple[Any, ...]:
    if isinstance(leaf, TensorType):
        return leaf.shape, leaf.dtype
    if type(leaf) in (int, float, complex):
        return (type(leaf),)
    array = np.asarray(leaf)
    return array.shape, array.dtype.newbyteorder("=")


def _signature_of(names: Sequence[str]) -> Any:
    import inspect

    kind = inspect.Parameter.POSITIONAL_ONLY
    unique = len(set(names)) == len(names) and all(name.isidentifier() for name in names)
    return inspect.Signature([inspect.Parameter(name if unique else f"x{k}", kind) for k, name in enumerate(names)])


def jit(
    function: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] = (),
    optimize: Callable[[Graph], Graph] | None = None,
    executor: str | None = None,
    threads: int | None = None,
    memory: int | str | None = None,
) -> Any:
    """Trace, optimise and compile `function` on its first call with each signature; also a decorator.

    Args:
        function: a pure function of arrays, as `trace` takes it.
        static_argnums: positions of arguments that are not arrays; hashable, and part of the signature.
        optimize: the pass to run instead of the default pipeline.
        executor, threads, memory: as of `compile`.

    Returns a `Jitted`: call it; `.graph(*args)` and `.executable(*args)` show what runs.
    """
    positions = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    if function is None:
        return lambda decorated: Jitted(decorated, positions, optimize, executor, threads, memory)
    return Jitted(function, positions, optimize, executor, threads, memory)
