"""Walking graphs: one way to run over the nodes with values of one's own kind.

`Interpreter` is the loop; evaluation, inlining, rebuilding, batching and drawing differ only in `visit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from graphad.ir.emit import apply_all, emitting
from graphad.ir.errors import VerifyError
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ir.op import Op

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

T = TypeVar("T")
Array = np.ndarray[Any, Any]


class Interpreter(Generic[T]):
    """Run over a graph in topological order; give `visit`.

    What a node gave is dropped after its last use, so a walk needs no more memory than the widest cut.
    """

    def visit(self, node: Node, operands: tuple[T, ...]) -> tuple[T, ...]:
        """Return what the results of `node` are for these operands."""
        raise NotImplementedError(f"{type(self).__name__} does not say what a node is")

    def run(self, graph: Graph, inputs: Sequence[T]) -> tuple[T, ...]:
        """Return what the outputs are for these inputs."""
        if len(inputs) != len(graph.inputs):
            raise VerifyError(f"graph {graph.name!r} takes {len(graph.inputs)} inputs, got {len(inputs)}")
        nodes = graph.nodes
        last_use: dict[Node, Node | None] = {}
        for node in nodes:
            for value in node.inputs:
                last_use[value[0]] = node
        for value in graph.outputs:
            last_use[value[0]] = None
        results: dict[Node, tuple[T, ...]] = {
            value.node: (given,) for value, given in zip(graph.inputs, inputs, strict=True)
        }
        visit = self.visit
        for node in nodes[len(graph.inputs) :]:
            results[node] = visit(node, tuple([results[v[0]][v[1]] for v in node.inputs]))
            for value in node.inputs:
                if last_use[value[0]] is node:
                    results.pop(value[0], None)
        return tuple(results[v[0]][v[1]] for v in graph.outputs)


class Evaluator(Interpreter[Array]):
    """NumPy's meaning of a graph: every op by its `evaluate`.

    What is not a view is dense in row-major order: NumPy sums in the order of memory, so layouts reach the last bits.
    """

    def visit(self, node: Node, operands: tuple[Array, ...]) -> tuple[Array, ...]:
        try:
            results = node.op.evaluate(*operands)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            # NumPy's errors keep their type (an index out of bounds, a singular matrix) and say whose they are.
            error.add_note(_described(node))
            raise
        found = results if isinstance(results, tuple) else (results,)
        return found if node.op.view else tuple([np.asarray(result, order="C") for result in found])


def _described(node: Node) -> str:
    """Return op, operand types and the user's line of a node."""
    text = f"in {node.op.name}({', '.join(str(t) for t in node.input_types)})"
    return text if node.location is None else f"{text}\n  at {node.location.describe()}"


class Inliner(Interpreter["Tensor"]):
    """Emit the nodes of a graph again on tensors; they keep their lines and roles, scopes nest in the caller's."""

    def visit(self, node: Node, operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        with emitting(node.role, node.location) as here:
            here.scope = "/".join(filter(None, (here.scope, node.scope)))
            here.replica = node.replica
            return apply_all(node.op, *operands)


def evaluate(graph: Graph, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """Evaluate a static graph on arrays, op by op, with NumPy's floating-point warnings silenced."""
    with np.errstate(all="ignore"):
        # A ufunc gives a NumPy scalar for 0-d operands; results are arrays.
        return tuple(np.asarray(result) for result in Evaluator().run(graph, inputs))


def inline(graph: Graph, inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Emit the nodes of `graph` on `inputs` and return its outputs as tensors."""
    return Inliner().run(graph, inputs)


def copy_node(node: Node, op: Op, inputs: tuple[Value, ...]) -> Node:
    """Return a node like `node` with another op and inputs, its types inferred anew."""
    types = op.infer(*[v.type for v in inputs])
    return Node(
        op,
        inputs,
        types if isinstance(types, tuple) else (types,),
        node.location,
        node.scope,
        node.role,
        node.replica,
    )


def rebuild(graph: Graph, new_op: Callable[[Node], Op]) -> Graph:
    """Return the graph with `new_op(node)` for every op and all types inferred anew; unchanged nodes are shared."""
    final: dict[Value, Value] = {}
    for node in graph.nodes:
        op = new_op(node)
        inputs = tuple([final.get(v, v) for v in node.inputs])
        if op is node.op and inputs == node.inputs:
            continue
        copy = copy_node(node, op, inputs)
        for i in range(len(node.types)):
            final[Value(node, i)] = Value(copy, i)
    return Graph(
        graph.name,
        tuple(final.get(v, v) for v in graph.inputs),
        tuple(final.get(v, v) for v in graph.outputs),
        graph.input_names,
        graph.output_names,
        graph.input_container,
        graph.output_container,
        graph.initial,
        graph.assumptions,
    )
