"""Fused: a graph of elementwise ops as one op, evaluated block by block so that intermediates stay in cache.

`graphad.passes.fuse` makes these nodes; NumPy, derivatives, batching and the viewer read the body.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.blocks import blocks
from graphad.ir.body import BodyOp
from graphad.ir.dims import Dim, dim, static
from graphad.ir.emit import apply, apply_all, emit
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen, replace
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import add_all
from graphad.ir.samples import late, real, sample
from graphad.ir.types import BLOCK_BYTES, TensorType, is_float
from graphad.ir.walk import Interpreter
from graphad.ops.shape import BroadcastTo

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]


@frozen
class Fused(BodyOp):
    """body(*operands): a graph of elementwise ops, all of the result's shape, on operands that may be broadcast.

    The body has one output. Its views (broadcasts, reshapes that insert axes) read inputs and constants only.
    """

    body: Graph

    in_place = True

    def infer(self, *operands: TensorType) -> tuple[TensorType, ...]:
        """The body's output type; operands must have the types of its inputs."""
        if len(self.body.outputs) != 1:
            fail("a fused body has one output")
        return super().infer(*operands)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        """The body, op by op, a block at a time."""
        type_ = self.body.outputs[0].type
        out = np.empty(tuple(static(n) for n in type_.shape), type_.dtype)
        self.evaluate_into((out,), *operands)
        return (out,)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """Run the body block by block; temporaries have the size of a block."""
        program_of(self.body).run(out[0], operands)

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """A block of each scratch array, and what a step of the body allocates for a block."""
        program, size = program_of(self.body), static(results[0].size)
        block = min(program.elements, size)
        whole = max(size, 1)
        steps = [node.op.temporaries(node.input_types, node.types) * block // whole for node in program.steps]
        return block * sum([dtype.itemsize for dtype in program.scratch]) + max(steps, default=0)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """Pull the cotangent back through the body, node by node; its values are computed again where needed."""
        values, sums = self._emitted(operands), dict(zip(self.body.outputs, cotangents, strict=True))
        for node in reversed(self.body.nodes[len(self.body.inputs) :]):
            g = sums.pop(Value(node, 0), None)
            if g is None or node.op.no_gradient:
                continue
            given, result = tuple(values[v] for v in node.inputs), values[Value(node, 0)]
            for value, pulled in zip(node.inputs, node.op.vjp((g,), given, (result,)), strict=True):
                if pulled is not None and is_float(value.type.dtype):
                    sums[value] = add_all([sums.get(value), pulled])
        return tuple(sums.get(value) for value in self.body.inputs)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """Push the tangents through the body, node by node."""
        values, pushed = self._emitted(operands), dict(zip(self.body.inputs, tangents, strict=True))
        for node in self.body.nodes[len(self.body.inputs) :]:
            given, result = tuple(values[v] for v in node.inputs), values[Value(node, 0)]
            moving = tuple(pushed.get(v) for v in node.inputs)
            if any(t is not None for t in moving):
                (pushed[Value(node, 0)],) = node.op.jvp(moving, given, (result,))
        return (pushed.get(self.body.outputs[0]),)

    def _emitted(self, operands: tuple[Tensor, ...]) -> dict[Value, Tensor]:
        """Emit the body on `operands`; return the tensor of each of its values."""
        values = dict(zip(self.body.inputs, operands, strict=True))
        for node in self.body.nodes[len(self.body.inputs) :]:
            values[Value(node, 0)] = apply(node.op, *[values[v] for v in node.inputs])
        return values

    def batch(self, batched: tuple[bool, ...], *operands: Tensor) -> Tensor:
        """Batch the body, op by op."""
        ((result, has_axis),) = _Batcher().run(self.body, list(zip(operands, batched, strict=True)))
        if has_axis:
            return result
        size = operands[batched.index(True)].shape[0]
        return result.broadcast_to((size, *result.shape))

    def bind(self, binding: Mapping[str, Dim]) -> Fused:
        """Bind the sizes of the body."""
        known = self.body.size_names
        sizes: dict[str, Any] = {name: size for name, size in binding.items() if name in known}
        return replace(self, body=self.body.bind(**sizes)) if sizes else self


class _Batcher(Interpreter["tuple[Tensor, bool]"]):
    def visit(self, node: Node, operands: tuple[tuple[Tensor, bool], ...]) -> tuple[tuple[Tensor, bool], ...]:
        tensors = tuple(tensor for tensor, _ in operands)
        batched = tuple(has for _, has in operands)
        if not any(batched):
            return tuple((tensor, False) for tensor in apply_all(node.op, *tensors))
        result = node.op.batch(batched, *tensors)
        return tuple((tensor, True) for tensor in (result if isinstance(result, tuple) else (result,)))


# Blocks


@frozen
class Program:
    """A body made ready to run.

    Attributes:
        views: nodes evaluated once a call on whole arrays: constants and views of inputs.
        steps: the other nodes; each writes the scratch array of its number in `scratch_of`.
        scratch: element type of each scratch array. The last step writes the result itself where its op may do so in
            place of an operand (the result's buffer may be an operand's).
    """

    inputs: tuple[Value, ...]
    output: Value
    views: tuple[Node, ...]
    steps: tuple[Node, ...]
    scratch_of: tuple[int, ...]
    scratch: tuple[np.dtype[Any], ...]

    @property
    def elements(self) -> int:
        """Return the elements of a block."""
        dtypes = (self.output.type.dtype, *self.scratch)
        return max(1, BLOCK_BYTES // max([dtype.itemsize for dtype in dtypes]))

    def run(self, out: Array, operands: tuple[Array, ...]) -> None:
        """Write the body's result for `operands` into `out`."""
        whole: dict[Value, Array] = dict(zip(self.inputs, operands, strict=True))
        for node in self.views:
            whole[Value(node, 0)] = np.asarray(node.op.evaluate(*[whole[v] for v in node.inputs]))
        elements = self.elements
        buffers = [np.empty(min(elements, out.size), dtype) for dtype in self.scratch]
        with np.errstate(all="ignore"):
            for index in blocks(out.shape, elements):
                self._run_block(index, out, whole, buffers)

    def _run_block(self, index: Any, out: Array, whole: dict[Value, Array], buffers: list[Array]) -> None:
        target = out[index]
        shape = target.shape
        size = target.size
        here: dict[Value, Array] = {}
        last = len(self.steps) - 1
        for k, node in enumerate(self.steps):
            operands = [here[v] if v in here else whole[v][index] for v in node.inputs]
            direct = k == last and node.op.in_place
            result = target if direct else buffers[self.scratch_of[k]][:size].reshape(shape)
            node.op.evaluate_into((result,), *operands)
            here[Value(node, 0)] = result
        if not (self.steps and self.steps[-1].op.in_place):
            np.copyto(target, here[self.output] if self.steps else whole[self.output][index])


_programs: weakref.WeakKeyDictionary[Graph, Program] = weakref.WeakKeyDictionary()


def program_of(body: Graph) -> Program:
    """Return the program of a fused body, made on first use."""
    found = _programs.get(body)
    if found is None:
        found = _programs[body] = _program(body)
    return found


def _program(body: Graph) -> Program:
    views: list[Node] = []
    steps: list[Node] = []
    for node in body.nodes[len(body.inputs) :]:
        plain = all(type(v.node.op) is Input or v.node in views for v in node.inputs)
        (views if (node.op.view or not node.inputs) and plain else steps).append(node)
    last_read = {value: k for k, node in enumerate(steps) for value in node.inputs}
    scratch: list[np.dtype[Any]] = []
    free: list[int] = []
    busy: dict[Value, int] = {}
    numbers: list[int] = []
    for k, node in enumerate(steps):
        dtype = node.types[0].dtype
        # A step does not write where it still reads: scratch is freed after the step.
        number = next((n for n in free if scratch[n] == dtype), None)
        if number is None:
            number = len(scratch)
            scratch.append(dtype)
        else:
            free.remove(number)
        numbers.append(number)
        busy[Value(node, 0)] = number
        for value in set(node.inputs):
            if last_read[value] == k and value in busy:
                free.append(busy.pop(value))
    if steps and steps[-1].op.in_place and (len(numbers) == 1 or numbers[-1] not in numbers[:-1]):
        # The last step writes the result; scratch that nothing else uses is not needed.
        unused = numbers[-1]
        if unused == len(scratch) - 1:
            scratch.pop()
    return Program(body.inputs, body.outputs[0], tuple(views), tuple(steps), tuple(numbers), tuple(scratch))


def _example(m: Dim, n: Dim) -> Graph:
    """Return the body of the sample: tanh(x + y) * 2 with y broadcast to [m,n]."""
    from graphad.ops.arithmetic import Add, Mul
    from graphad.ops.hyperbolic import Tanh

    f64 = np.dtype(np.float64)
    x, y = (Value(emit(Input(f"x{k}", TensorType(f64, shape)), ()), 0) for k, shape in enumerate(((m, n), (n,))))
    wide = Value(emit(BroadcastTo((m, n)), (y,)), 0)
    two = Value(emit(BroadcastTo((m, n)), (Value(emit(Constant(np.array(2.0)), ()), 0),)), 0)
    inner = Value(emit(Tanh(), (Value(emit(Add(), (x, wide)), 0),)), 0)
    result = Value(emit(Mul(), (inner, two)), 0)
    return Graph("fused", (x, y), (result,), ("x0", "x1"), ("out",), *flat_containers(2, 1))


Fused.samples = late(
    lambda: (sample(real(3, 4), real(4), body=_example(3, 4), symbolic={"body": _example(dim("d3"), dim("d4"))}),)
)
