"""The ops that carry derivative rules of the user's own.

They hold only graphs, so they print, save, bind and batch like any other op; their value is that of their body.
`custom` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

import graphad.ops as ops
from graphad.autodiff.batching import batch_graph, with_batch_axis
from graphad.autodiff.reverse import transpose_linear
from graphad.ir.body import BodyOp
from graphad.ir.dims import Dim, dim
from graphad.ir.emit import apply_all
from graphad.ir.frozen import fields, frozen, replace
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.op import Op
from graphad.ir.samples import real, sample
from graphad.ir.types import TensorType, is_inexact
from graphad.ir.walk import inline, rebuild
from graphad.tracing.tensor import Tensor
from graphad.tracing.trace import make_input

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]


class GraphOp(BodyOp, abstract=True):
    """An op whose value is that of its `body`; its last `captured` operands are what the function closed over."""

    captured: int

    def graphs(self) -> tuple[Graph, ...]:
        """The body, then the rules."""
        return tuple(value for _, value in self._graph_fields())

    def bind(self, binding: Mapping[str, Dim]) -> Op:
        """Substitute symbolic sizes in all the graphs."""
        return self._with_graphs(lambda graph: rebuild(graph, lambda node: node.op.bind(binding)))

    def batch(self, batched: tuple[bool, ...], *operands: Tensor) -> tuple[Tensor, ...]:
        """Batch every graph; operands without the batch axis get it first."""
        size = operands[batched.index(True)].shape[0]
        op = self._with_graphs(lambda graph: batch_graph(graph, size))
        whole = [x if has else with_batch_axis(x, size) for x, has in zip(operands, batched, strict=True)]
        return apply_all(op, *whole)

    def own(self, operands: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return the arguments and the captured operands."""
        count = len(operands) - self.captured
        return list(operands[:count]), list(operands[count:])

    def _graph_fields(self) -> list[tuple[str, Graph]]:
        values = ((f.name, getattr(self, f.name)) for f in fields(type(self)))
        return [(name, value) for name, value in values if isinstance(value, Graph)]

    def _with_graphs(self, change: Callable[[Graph], Graph]) -> Op:
        changed = {name: change(graph) for name, graph in self._graph_fields()}
        return replace(self, **changed)


@frozen
class CustomVjp(GraphOp):
    """y = body(x), with the VJP that the user gave (`custom_vjp`).

    Attributes:
        body: operands -> results.
        forward: (operands, results) -> residuals. The results are the op's own, so that second derivatives through a
            residual that is a result use this rule again.
        backward: (residuals, cotangents of the floating-point results, captured operands) -> cotangents.
        pulled: the positions of the operands that `backward` gives cotangents of.
        captured: how many operands, the last ones, the function and its rules closed over. They count as constants.
    """

    body: Graph
    forward: Graph
    backward: Graph
    pulled: tuple[int, ...]
    captured: int = 0

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The user's rule: run `forward` for the residuals, then `backward`."""
        _, captured = self.own(operands)
        kept = inline(self.forward, [*operands, *results])
        given = float_cotangents(cotangents, results)
        found = dict(zip(self.pulled, inline(self.backward, [*kept, *given, *captured]), strict=True))
        return tuple(found.get(position) for position in range(len(operands)))


@frozen
class CustomJvp(GraphOp):
    """y = body(x), with the JVP that the user gave (`custom_jvp`); the VJP is its transpose.

    Attributes:
        body: operands -> results.
        rule: (arguments, results, tangents of the floating-point arguments, captured operands) -> tangents of the
            floating-point results.
        captured: how many operands, the last ones, the function and its rule closed over. They count as constants.
    """

    body: Graph
    rule: Graph
    captured: int = 0

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        """The user's rule; zeros stand for tangents that are None."""
        arguments, _ = self.own(operands)
        if all(t is None for t in tangents[: len(arguments)]):
            return (None,) * len(results)
        directions = [
            x.zeros_like() if t is None else t for x, t in zip(arguments, tangents, strict=False) if is_inexact(x.dtype)
        ]
        pushed = iter(self._pushed(operands, results, directions))
        return tuple(next(pushed) if is_inexact(y.dtype) else None for y in results)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        """The transpose of the user's rule, which is linear in the tangents."""
        arguments, _ = self.own(operands)
        stand_ins = [make_input(f"tangent{i}", x.type) for i, x in enumerate(arguments) if is_inexact(x.dtype)]
        pushed = self._pushed(operands, results, stand_ins)
        given = float_cotangents(cotangents, results)
        pulled = iter(transpose_linear(pushed, given, stand_ins, "backward"))
        own = [next(pulled) if is_inexact(x.dtype) else None for x in arguments]
        return (*own, *(None,) * self.captured)

    def _pushed(
        self, operands: Sequence[Tensor], results: Sequence[Tensor], directions: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        arguments, captured = self.own(operands)
        return inline(self.rule, [*arguments, *results, *directions, *captured])


def float_cotangents(cotangents: Sequence[Tensor | None], results: Sequence[Tensor]) -> list[Tensor]:
    """Return the cotangents of the floating-point results, zeros where there is none."""
    return [y.zeros_like() if g is None else g for g, y in zip(cotangents, results, strict=True) if is_inexact(y.dtype)]


def _sample_graph(name: str, rule: Function, types: Sequence[TensorType]) -> Graph:
    """Return the graph of a rule written on tensors, for the samples."""
    inputs = [make_input(f"x{i}", type_) for i, type_ in enumerate(types)]
    outputs = rule(*inputs)
    return Graph(
        name,
        tuple(t.value for t in inputs),
        tuple(t.value for t in outputs),
        tuple(f"x{i}" for i in range(len(inputs))),
        tuple(f"out{i}" for i in range(len(outputs))),
        *flat_containers(len(inputs), len(outputs)),
    )


def _samples(cls: type[GraphOp], rules: Mapping[str, tuple[Function, int]], **attributes: Any) -> None:
    """Give an op a sample: y = tanh(x) with its true derivative, in the static and in the symbolic form."""
    graphs = []
    for size in (3, dim("d3")):
        type_ = TensorType(np.dtype(np.float64), (size,))
        graphs.append({name: _sample_graph("tanh", rule, [type_] * n) for name, (rule, n) in rules.items()})
    static: dict[str, Any] = {**graphs[0], **attributes}
    cls.samples = (sample(real(3), symbolic=graphs[1], **static),)


_samples(
    CustomVjp,
    {
        "body": (lambda x: [ops.tanh(x)], 1),
        "forward": (lambda x, y: [y], 2),
        "backward": (lambda y, g: [g * (1 - y * y)], 2),
    },
    pulled=(0,),
)
_samples(
    CustomJvp,
    {"body": (lambda x: [ops.tanh(x)], 1), "rule": (lambda x, y, t: [t * (1 - y * y)], 3)},
)
