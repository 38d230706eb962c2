"""The reference executor: NumPy, op by op, out of one arena, exactly as the plan says.

Everything that can be is bound once: a step is a function and its arguments, which are views of the arena, constants
and state. What a call brings (its arguments, the arrays of its results, and views of them) is put into the bound
argument lists before the steps run and taken out again after them. No step of an op with `allocates = False`
allocates; the results are the only arrays made for a call. (Where operands are broadcast or strided, NumPy's iterator
holds a buffer of 8192 elements an operand while the step runs, whatever the sizes.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from graphad.ir.collector import collector_paused
from graphad.ir.errors import ExecutionError
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise
from graphad.ir.types import TensorType
from graphad.plan.arena import ALIGNMENT
from graphad.plan.buffers import Home
from graphad.plan.layout import STRIDES
from graphad.plan.lifetimes import BEFORE, Copy
from graphad.plan.plan import Plan

Array = np.ndarray[Any, Any]

_NAMED_OUT = (np.maximum, np.minimum)
"""Ufuncs that NumPy wants to be given their output by name."""


def aligned_empty(nbytes: int) -> Array:
    """Return uninitialised bytes that start at a multiple of the alignment."""
    raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + nbytes]


def aligned_array(type_: TensorType) -> Array:
    """Return an uninitialised array that starts at a multiple of the alignment."""
    return aligned_empty(int(type_.nbytes)).view(type_.dtype).reshape(type_.shape)


class Program:
    """A plan bound to memory: `run` takes the arrays of one call and gives its results.

    One call at a time: the caller holds a lock. `arena` is the block that holds all intermediate values.
    """

    @collector_paused()
    def __init__(self, plan: Plan, state: Mapping[int, Array]) -> None:
        """Allocate the arena and bind every step; `state` gives the array of each input that is state."""
        self.plan = plan
        self.arena = aligned_empty(plan.arena_bytes)
        graph = plan.graph
        call_inputs = [position for position in range(len(graph.inputs)) if position not in state]
        self._inputs = len(call_inputs)
        self._results: list[tuple[Any, Any]] = [(t.shape, t.dtype) for t in graph.output_types[: plan.results]]
        self._slots = self._inputs + len(self._results)
        self._views: list[tuple[Callable[[Array], Any], int]] = []
        self._calls: list[tuple[Callable[..., Any], list[Any]]] = []
        self._nodes: list[Node] = []
        self._patches: list[tuple[list[Any], int, int]] = []
        self._out_patches: list[tuple[list[Any], tuple[Array | int, ...]]] = []
        slot_of_input = {position: slot for slot, position in enumerate(call_inputs)}
        self._bound: dict[Value, Array | int] = {}
        """Array of each value, or the slot that a call puts it into."""
        for position, value in enumerate(graph.inputs):
            self._bound[value] = state[position] if position in state else slot_of_input[position]
        for node in graph.nodes:
            if type(node.op) is Constant:
                self._bound[Value(node, 0)] = node.op.array
        self._state = state
        self._bind_steps()

    def array(self, value: Value) -> Array | None:
        """Return the array that a value lies in while the program runs; None where each call brings another."""
        found = self._bound[value]
        return None if isinstance(found, int) else found

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        """Run all steps on the call's arguments: dense arrays of the graph's types, in order, state left out.

        Raises ExecutionError naming the op and the user's line where NumPy refuses a step; `numpy.linalg.LinAlgError`
        goes through with that as a note.
        """
        results = [np.empty(shape, dtype) for shape, dtype in self._results]
        slots: list[Any] = [*inputs, *results]
        for view, slot in self._views:
            slots.append(view(slots[slot]))
        patches = self._patches
        for arguments, position, slot in patches:
            arguments[position] = slots[slot]
        for arguments, outs in self._out_patches:
            arguments[0] = tuple([slots[out] if type(out) is int else out for out in outs])
        try:
            with np.errstate(all="ignore"):
                self._execute(slots)
        finally:
            # A bound list must not keep the caller's arrays alive.
            for arguments, position, _ in patches:
                arguments[position] = None
            for arguments, _ in self._out_patches:
                arguments[0] = None
        return results

    @property
    def scratch_bytes(self) -> int:
        """Return the most bytes of temporaries that a call of NumPy makes."""
        calls = zip(self._calls, self._nodes, strict=True)
        made = [n.op.temporaries(n.input_types, n.types) for (function, _), n in calls if function is not np.copyto]
        return max(made, default=0)

    def _execute(self, given: Sequence[Any]) -> None:
        """Run all steps; `given` are the call's arguments and results, which are in their places already."""
        self._make_calls(self._calls, self._nodes)

    def _make_calls(self, calls: Sequence[tuple[Callable[..., Any], list[Any]]], nodes: Sequence[Node]) -> None:
        """Make calls one after the other; `nodes` say whose they are."""
        done = 0
        try:
            for done, (function, arguments) in enumerate(calls):  # noqa: B007  # for the message
                function(*arguments)
        except np.linalg.LinAlgError as error:
            # A matrix that is singular or not positive definite is part of NumPy's contract: people catch it by type.
            error.add_note(str(self._failure(nodes[done], error)))
            raise
        except (ValueError, TypeError, ArithmeticError, LookupError) as error:
            raise self._failure(nodes[done], error) from error

    def _failure(self, node: Node, error: Exception) -> ExecutionError:
        operands = ", ".join(str(t) for t in node.input_types)
        return ExecutionError(f"{node.op.name}({operands}) failed: {error}", location=node.location)

    # Binding.

    def _bind_steps(self) -> None:
        found = self.plan.lifetimes
        copies: dict[int, list[Copy]] = {}
        for copy in found.copies:
            copies.setdefault(copy.step, []).append(copy)
            if copy.buffer is not None:
                copies.setdefault(BEFORE, []).append(copy)
        self._bind_copies(copies.get(BEFORE, ()), BEFORE)
        for step, node in enumerate(found.steps):
            if self._is_view(node):
                self._bind_view(node)
            else:
                self._bind_step(node)
            self._bind_copies(copies.get(step, ()), step)
        self._bind_copies(copies.get(len(found.steps), ()), len(found.steps))

    def _is_view(self, node: Node) -> bool:
        found = self.plan.lifetimes
        if not (node.op.view and node.op.name in STRIDES):
            return False
        return found.buffer(Value(node, 0)) == found.buffer(node.inputs[0])

    def _bind_view(self, node: Node) -> None:
        operand = self._bound[node.inputs[0]]
        if isinstance(operand, int):
            self._bound[Value(node, 0)] = self._slot(node.op.evaluate, operand)
            return
        view = node.op.evaluate(operand)
        assert isinstance(view, np.ndarray)
        if view.size and not np.may_share_memory(view, operand):
            raise ExecutionError(
                f"{node.op.name} was planned as a view of {node.inputs[0].type}, but it made a copy",
                location=node.location,
            )
        self._bound[Value(node, 0)] = view

    def _slot(self, view: Callable[[Array], Any], operand: int) -> int:
        """Make a slot that each call fills with a view of what another slot holds."""
        self._views.append((view, operand))
        self._slots += 1
        return self._slots - 1

    def _made(self, value: Value) -> Array | int:
        """Return where a step writes `value`: a view of the arena, of a state, or the slot of a result."""
        found = self.plan.lifetimes
        buffer = found.buffer(value)
        type_ = value[0].types[value[1]]
        home = found.homes[buffer]
        if not home:  # the arena, as mostly
            return self._in_arena(self.plan.arena.offsets[buffer], type_)
        shape: Any = type_.shape
        if home == Home.STATE:
            return self._state[found.places[buffer]].reshape(shape)
        position = found.places[buffer]
        slot = self._inputs + position
        if shape == self._results[position][0]:
            return slot
        return self._slot(lambda result: result.reshape(shape), slot)

    def _in_arena(self, start: int, type_: TensorType) -> Array:
        """Return the array of a type that begins at an offset of the arena."""
        return np.ndarray(type_.shape, type_.dtype, self.arena, start)

    def _bind_step(self, node: Node) -> None:
        op = node.op
        outs = tuple([self._made(value) for value in node.outputs])
        for value, out in zip(node.outputs, outs, strict=True):
            self._bound[value] = out
        operands = [self._bound[value] for value in node.inputs]
        if (
            isinstance(op, Elementwise)
            and type(op).evaluate_into is Elementwise.evaluate_into
            and isinstance(op.ufunc, np.ufunc)
            and op.ufunc not in _NAMED_OUT
        ):
            self._add(node, op.ufunc, [*operands, outs[0]])
            return
        dynamic = any(isinstance(out, int) for out in outs)
        self._add(node, op.evaluate_into, [None if dynamic else outs, *operands])
        if dynamic:
            self._out_patches.append((self._calls[-1][1], outs))

    def _add(self, node: Node, function: Callable[..., Any], arguments: list[Any]) -> None:
        """Append a call; integers among the arguments are slots."""
        for position, argument in enumerate(arguments):
            if type(argument) is int:
                self._patches.append((arguments, position, argument))
                arguments[position] = None
        self._calls.append((function, arguments))
        self._nodes.append(node)

    def _bind_copies(self, copies: Sequence[Copy], step: int) -> None:
        for copy in copies:
            if step == BEFORE and copy.value not in self._bound:
                self._bind_early_views(copy.value)
            source = self._bound[copy.value]
            target: Array | int
            if copy.home == Home.RESULT:
                target = self._inputs + copy.index
            else:
                target = self._state[copy.index]
            if copy.buffer is not None:
                staged = self._in_arena(self.plan.arena.offsets[copy.buffer], copy.value.type)
                if step == BEFORE:
                    target = staged
                else:
                    source = staged
            self._add(copy.value.node, np.copyto, [target, source])

    def _bind_early_views(self, value: Value) -> None:
        """Bind the views that lead from an argument, a constant or a state to `value`."""
        path = [value.node]
        while path[-1].inputs[0] not in self._bound:
            path.append(path[-1].inputs[0].node)
        for node in reversed(path):
            self._bind_view(node)


def workspace_bytes(plan: Plan) -> int:
    """Return the `scratch_bytes` of the program of a plan; the arena that it binds is reserved and never touched."""
    types = plan.graph.input_types
    state = {k: np.empty(types[k].shape, types[k].dtype) for k in plan.lifetimes.updates}
    return Program(plan, state).scratch_bytes
