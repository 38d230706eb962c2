"""Constant folding: compute while optimising what does not depend on the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphad.ir.dims import Size
from graphad.ir.emit import apply, emission, emit
from graphad.ir.errors import SymbolicSizeError
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input, SizeValue
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise, Op
from graphad.ops.cast import Cast
from graphad.ops.creation import Iota
from graphad.ops.shape import BroadcastTo, broadcast_to
from graphad.passes.driver import Journal, Results, columns_of_many, imitate, sweep
from graphad.passes.patterns import UNIFORM, uniform

Array = np.ndarray[Any, Any]

LARGEST_RESULT = 1 << 20
"""Bytes of the largest constant that folding makes, unless it is no larger than the constants it comes from."""
LONGEST_WORK = 100_000_000
"""Floating-point operations that folding spends on one node."""


class ConstantFolding:
    """The pass `fold`.

    An op whose operands are all constant becomes its value. Uniform constants (zeros, ones) stay one number behind a
    broadcast, whatever their size, symbolic ones too. Broadcasts and ranges of constants are already as small as can
    be; they stay.
    """

    name = "fold"
    text = "Evaluate what depends on constants only (results up to 1 MiB, or no larger than their operands)."

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Fold constants."""
        columns = columns_of_many(graph)
        if columns is not None and not columns.positions(_may_fold):
            return graph
        known: dict[Node, Array] = {}

        def visit(node: Node) -> Results | None:
            op = node.op
            if type(op) is Constant:
                known[node] = op.array
                return None
            if type(op) is Input or len(node.types) != 1:
                return None
            if type(op) is SizeValue:
                if isinstance(op.size, Size):
                    return None
            elif not node.inputs or type(op) is BroadcastTo:
                _remember(node, known)
                return None
            first = node.inputs[0][0] if node.inputs else None
            if first is not None and first not in known and type(first.op) not in UNIFORM:
                return None  # what most nodes are
            replacement = _scalar(node) or _folded(node, known)
            if replacement is None:
                return None
            journal.note("evaluate", node, replacement)
            _remember(replacement.node, known)
            return (replacement,)

        return sweep(graph, visit)


def _may_fold(cls: type[Op], operands: Sequence[type[Op]] | None) -> bool:
    """Tell whether the first node that is folded may have these classes of op and operands."""
    if cls is SizeValue or operands is None:
        return True
    return bool(operands) and cls is not BroadcastTo and all(each in UNIFORM or each is Iota for each in operands)


def _remember(node: Node, known: dict[Node, Array]) -> None:
    """Keep the array of a node that stays, for what reads it: a view of a known one, or a range of moderate size."""
    if type(node.op) is Constant:
        known[node] = node.op.array
        return
    (type_,) = node.types
    nbytes = type_.nbytes
    if isinstance(nbytes, Size) or not all(v[0] in known for v in node.inputs):
        return
    if type(node.op) in (BroadcastTo, Iota) and (node.inputs or nbytes <= LARGEST_RESULT):
        with np.errstate(all="ignore"):
            known[node] = np.asarray(node.op.evaluate(*[known[v[0]] for v in node.inputs]))


def _scalar(node: Node) -> Value | None:
    """Fold an elementwise op on uniform operands to a number behind a broadcast."""
    op = node.op
    if not isinstance(op, (Elementwise, Cast)) or (type(op) is Cast and node.inputs[0].type.shape == ()):
        return None
    numbers = []
    for value in node.inputs:
        number = uniform(value)
        if number is None:
            return None
        numbers.append(np.asarray(number))
    with np.errstate(all="ignore"):
        result = np.asarray(op.evaluate(*numbers), node.types[0].dtype)
    return _constant(node, result)


def _folded(node: Node, known: dict[Node, Array]) -> Value | None:
    if not all(v[0] in known for v in node.inputs):
        return None
    nbytes = node.types[0].nbytes
    if isinstance(nbytes, Size):
        return None
    given = sum(known[v[0]].nbytes for v in node.inputs if type(v[0].op) is Constant)
    flops = node.op.flops(node.input_types, node.types)
    if nbytes > max(LARGEST_RESULT, given) or (not isinstance(flops, Size) and flops > LONGEST_WORK):
        return None
    try:
        with np.errstate(all="ignore"):
            result = node.op.evaluate(*[known[v[0]] for v in node.inputs])
    except SymbolicSizeError:
        return None  # an attribute (the start of a slice) is a symbolic size
    except np.linalg.LinAlgError:
        return None  # of a singular matrix: the error belongs to the run
    return _constant(node, np.asarray(result[0] if isinstance(result, tuple) else result))


def _constant(node: Node, array: Array) -> Value:
    """Return `array` as a constant of the node's type: one number behind a broadcast where all elements agree."""
    imitate(emission, node)
    shape = node.types[0].shape
    made = emit(Constant(array), ())
    number = uniform(Value(made, 0))
    if number is None or shape == ():
        return Value(made, 0)
    return broadcast_to(apply(Constant(np.asarray(number))), shape).value


fold = ConstantFolding()
