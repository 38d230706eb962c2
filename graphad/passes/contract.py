"""Contractions: the order of matrix products and sums, transposes folded into them, scalars on the small side.

Also what is read in part, computed in part (`narrow`).

These rewrites change the order of summation, so last digits may differ; what they choose depends on costs only. With
symbolic sizes they act where one side is cheaper for small and large sizes alike; else the product stays as written.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim
from graphad.ir.dims import product as size_product
from graphad.ir.emit import emission, handle
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.node import Node, Value
from graphad.ir.types import is_float
from graphad.ops.product import Matmul
from graphad.ops.reduction import Sum
from graphad.ops.shape import BroadcastTo, Transpose
from graphad.passes.chapters import Chapter, RewritePass
from graphad.passes.costs import cheaper
from graphad.passes.driver import Journal, Results, imitate, sweep
from graphad.passes.patterns import pattern, scalars, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, y, a, b, axes, inner = variables("x y a b axes inner")
(k,) = scalars("k")

LONGEST_CHAIN = 32
"""Factors of a chain of products that are ordered together (the work grows with the third power)."""


def swaps(permutation: tuple[int, ...]) -> bool:
    """Tell whether a permutation swaps the last two axes and nothing else."""
    n = len(permutation)
    return n >= 2 and permutation == (*range(n - 2), n - 1, n - 2)


# Transposes


@rule(
    pattern(Matmul, pattern(Transpose, a, permutation=axes), pattern(Transpose, b, permutation=axes)), complex_too=True
)
def product_of_transposes(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """a^T @ b^T -> (b @ a)^T."""
    return ops.matrix_transpose(ops.matmul(b, a)) if swaps(axes) else None


@rule(
    pattern(Transpose, pattern(Matmul, pattern(Transpose, a, permutation=axes), b), permutation=axes), complex_too=True
)
def transpose_of_left(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """(a^T @ b)^T -> b^T @ a."""
    return ops.matmul(ops.matrix_transpose(b), a) if swaps(axes) else None


@rule(
    pattern(Transpose, pattern(Matmul, a, pattern(Transpose, b, permutation=axes)), permutation=axes), complex_too=True
)
def transpose_of_right(a: Tensor, b: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """(a @ b^T)^T -> b @ a^T."""
    return ops.matmul(b, ops.matrix_transpose(a)) if swaps(axes) else None


@rule(pattern(Transpose, pattern(Transpose, x, permutation=inner), permutation=axes), complex_too=True)
def transposes_cancel(x: Tensor, inner: tuple[int, ...], axes: tuple[int, ...]) -> Tensor:
    """(x^T)^T -> x."""
    return ops.transpose(x, [inner[k] for k in axes])


# Scalars


@rule(pattern(Matmul, a * k, b))
def scalar_of_left(a: Tensor, b: Tensor, k: Any, root: Tensor, uses: Any) -> Tensor | None:
    """(a * k) @ b -> (a @ b) * k, or a @ (b * k), where that multiplies fewer elements."""
    scaled = handle(root.value.node.inputs[0])
    return _move_scalar(a, b, k, root, a) if uses(scaled) == 1 else None


@rule(pattern(Matmul, a, b * k))
def scalar_of_right(a: Tensor, b: Tensor, k: Any, root: Tensor, uses: Any) -> Tensor | None:
    """a @ (b * k) -> (a @ b) * k, or (a * k) @ b, where that multiplies fewer elements."""
    scaled = handle(root.value.node.inputs[1])
    return _move_scalar(a, b, k, root, b) if uses(scaled) == 1 else None


def _move_scalar(a: Tensor, b: Tensor, k: Any, root: Tensor, scaled: Tensor) -> Tensor | None:
    if not is_float(k.dtype):
        return None
    other = b if scaled is a else a
    if cheaper(root.size, scaled.size) and not cheaper(other.size, root.size):
        made = ops.matmul(a, b)
        return made * filled(k, made)
    if cheaper(other.size, scaled.size):
        return ops.matmul(a, b * filled(k, b)) if scaled is a else ops.matmul(a * filled(k, a), b)
    return None


@rule(pattern(Sum, x * k, axes=axes))
def scalar_of_sum(x: Tensor, k: Any, axes: tuple[int, ...], root: Tensor, uses: Any) -> Tensor | None:
    """sum(x * k) -> sum(x) * k."""
    if not is_float(k.dtype) or not cheaper(root.size, x.size) or uses(handle(root.value.node.inputs[0])) != 1:
        return None
    made = ops.reduce_sum(x, axes)
    return made * filled(k, made)


@rule(pattern(Sum, -x, axes=axes), complex_too=True)
def neg_of_sum(x: Tensor, axes: tuple[int, ...], root: Tensor, uses: Any) -> Tensor | None:
    """sum(-x) -> -sum(x)."""
    if not cheaper(root.size, x.size) or uses(handle(root.value.node.inputs[0])) != 1:
        return None
    return -ops.reduce_sum(x, axes)


# Sums


@rule(pattern(Sum, pattern(BroadcastTo, x), axes=axes))
def sum_of_broadcast(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """sum(broadcast(x)) -> broadcast(x) * n, where n elements are the same."""
    wide = root.value.node.inputs[0].type.shape
    extra = len(wide) - x.ndim
    repeated = [k for k in axes if k < extra or (x.shape[k - extra] == 1 and wide[k] != 1)]
    if not repeated or root.dtype.kind == "b":
        return None
    count = size_product([wide[k] for k in repeated])
    rest = [k for k in axes if k not in repeated]
    narrow = tuple(1 if k in repeated else n for k, n in enumerate(wide))
    # Everything that is not summed keeps its place; the repeated axes become 1 and go with the others.
    lifted = ops.reshape(x, (*(1,) * extra, *x.shape))
    one = ops.broadcast_to(lifted, narrow)
    part = ops.reshape(ops.reduce_sum(one, rest) if rest else one, root.shape)
    return part * filled(count, part)


@rule(pattern(Sum, x, axes=axes), complex_too=True)
def sum_of_ones(x: Tensor, axes: tuple[int, ...], root: Tensor) -> Tensor | None:
    """sum(x, axes) -> reshape(x) where those axes have size 1 (-0.0 stays -0.0)."""
    return None if any(x.shape[k] != 1 for k in axes) else ops.reshape(x, root.shape)


@rule(pattern(Sum, pattern(Sum, x, axes=inner), axes=axes), complex_too=True)
def sum_sum(x: Tensor, inner: tuple[int, ...], axes: tuple[int, ...], uses: Any, root: Tensor) -> Tensor | None:
    """sum(sum(x, i), j) -> sum(x, i and j)."""
    if uses(handle(root.value.node.inputs[0])) != 1:
        return None
    kept = [axis for axis in range(x.ndim) if axis not in inner]
    return ops.reduce_sum(x, sorted((*inner, *(kept[j] for j in axes))))


@rule(pattern(Sum, pattern(Matmul, a, b), axes=axes), complex_too=True)
def sum_of_product(a: Tensor, b: Tensor, axes: tuple[int, ...], root: Tensor, uses: Any) -> Tensor | None:
    """sum(a @ b, rows) -> sum(a, rows) @ b, sum(a @ b, columns) -> a @ sum(b, columns)."""
    row, column = a.ndim - 2, a.ndim - 1
    made = handle(root.value.node.inputs[0])
    if made.dtype.kind == "b" or made.dtype == np.float16 or uses(made) != 1:
        return None  # float16 ends at 65,504: a sum of many rows may be beyond it where no product is
    m, k, n = a.shape[row], a.shape[column], b.shape[column]
    rows, columns = (1 if row in axes else m), (1 if column in axes else n)
    work = (a.size if row in axes else 0) + (b.size if column in axes else 0)
    stack = a.shape[:row]
    if not cheaper(work + 2 * size_product(stack) * rows * k * columns, 2 * made.size * k):
        return None
    if row in axes:
        a = ops.reshape(ops.reduce_sum(a, [row]), (*stack, 1, k))
    if column in axes:
        b = ops.reshape(ops.reduce_sum(b, [column]), (*stack, k, 1))
    rest = [axis for axis in axes if axis < row]
    small = ops.matmul(a, b)
    return ops.reshape(ops.reduce_sum(small, rest) if rest else small, root.shape)


@rule((y + x) + x)
def equal_terms(x: Tensor, y: Tensor) -> Tensor | None:
    """(y + x) + x -> 2 * x + y."""
    return None if x.dtype.kind == "b" else filled(2, x) * x + y


@rule(x * k + x)
def one_more_term(x: Tensor, k: Any) -> Tensor | None:
    """x * k + x -> x * (k + 1)."""
    return None if x.dtype.kind == "b" else x * filled(k + k.dtype.type(1), x)


@rule((y + x * k) + x)
def one_more_equal_term(x: Tensor, y: Tensor, k: Any) -> Tensor | None:
    """(y + x * k) + x -> y + x * (k + 1)."""
    return None if x.dtype.kind == "b" else y + x * filled(k + k.dtype.type(1), x)


# Chains


def order_chains(graph: Graph, journal: Journal) -> Graph:
    """Reassociate chains of products whose intermediates nothing else reads, where another order costs less."""
    inside = _inner_products(graph)
    if not inside:
        return graph

    originals = iter(graph.nodes[len(graph.inputs) :])

    def visit(node: Node) -> Results | None:
        if next(originals) in inside:
            inside.add(node)  # a rebuilt inner product is one still
            return None
        if type(node.op) is not Matmul:
            return None
        factors = _factors(node, inside)
        if not 3 <= len(factors) <= LONGEST_CHAIN:
            return None
        imitate(emission, node)
        ordered = _cheapest(node, factors)
        if ordered is None:
            return None
        journal.note("chain_order", node, ordered)
        return (ordered,)

    return sweep(graph, visit)


def _inner_products(graph: Graph) -> set[Node]:
    """Return the products that exactly one node reads, another product."""
    readers: dict[Node, list[Node]] = {}
    if Matmul not in graph.op_classes:
        return set()
    for node in graph.nodes:
        for value in node.inputs:
            if type(value[0].op) is Matmul:
                readers.setdefault(value[0], []).append(node)
    outputs = {value.node for value in graph.outputs}
    return {
        node
        for node, found in readers.items()
        if len(found) == 1 and type(found[0].op) is Matmul and node not in outputs
    }


def _factors(node: Node, inside: set[Node]) -> list[Value]:
    """Return the operands of a chain from left to right."""
    factors: list[Value] = []
    stack = [Value(node, 0)]
    while stack:
        value = stack.pop()
        if value.node is node or value.node in inside:
            stack += reversed(value.node.inputs)
        else:
            factors.append(value)
    return factors


def _cost_as_written(node: Node, factors: list[Value]) -> Dim:
    leaves = set(factors)
    total: Dim = 0
    stack = [node]
    while stack:
        each = stack.pop()
        total = total + each.op.flops(each.input_types, each.types)
        stack += [v.node for v in each.inputs if v not in leaves]
    return total


def _cheapest(node: Node, factors: list[Value]) -> Value | None:
    """Return the chain in its cheapest order, or None where the written one is as cheap or costs do not compare.

    The textbook dynamic programme (Cormen et al., section 14.2): cost[i, j] is that of the product of factors i to j.
    """
    n = len(factors)
    stack = factors[0].type.shape[:-2]
    sizes = [factors[0].type.shape[-2], *(v.type.shape[-1] for v in factors)]
    many = 2 * size_product(stack)
    cost: dict[tuple[int, int], Dim] = {(i, i): 0 for i in range(n)}
    split: dict[tuple[int, int], int] = {}
    for length in range(2, n + 1):
        for i in range(n - length + 1):
            j = i + length - 1
            best: Dim | None = None
            for m in range(i, j):
                work = cost[i, m] + cost[m + 1, j] + many * (sizes[i] * sizes[m + 1] * sizes[j + 1])
                if best is None or cheaper(work, best):
                    best, split[i, j] = work, m
            assert best is not None
            cost[i, j] = best
    if not cheaper(cost[0, n - 1], _cost_as_written(node, factors)):
        return None
    made: dict[tuple[int, int], Tensor] = {(i, i): handle(v) for i, v in enumerate(factors)}
    agenda = [(0, n - 1)]
    while agenda:
        i, j = agenda[-1]
        parts = [(i, split[i, j]), (split[i, j] + 1, j)]
        missing = [part for part in parts if part not in made]
        if missing:
            agenda += missing
            continue
        made[i, j] = ops.matmul(made[parts[0]], made[parts[1]])
        agenda.pop()
    return made[0, n - 1].value


RULES = rules_in(globals())


@frozen
class Contraction(RewritePass):
    """The pass `contract`: its rules, then the cheapest order of each chain of matrix products."""

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Apply the rules and order the chains."""
        return order_chains(super().run(graph, journal), journal)


contract = Contraction(
    "contract",
    "Order matrix products by cost; fold transposes; move scalars, sums, gathers and slices to the small side.",
    (Chapter("contract"), Chapter("narrow", frozenset({"gather", "slice", "pad"}))),
)
