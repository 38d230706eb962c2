"""Stabilisation: the same mathematics without overflow, cancellation, or 0 * inf, in values and in derivatives.

People write ``np.log(np.sum(np.exp(x)))``; where floating point fails on it, the rules compute what was meant. They
change results only where the original loses digits, overflows or is undefined (x * log(x) at 0), and they look for the
forms that tracing plain NumPy code and differentiating it give, before any canonical form can hide them.

Sources: Blanchard, Higham & Higham (2021), Accurately computing the log-sum-exp and softmax functions; Maechler (2012),
Accurately computing log(1 - exp(-|a|)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.emit import apply, handle
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.arithmetic import Add, Div, Mul, Neg, Sqrt, Sub
from graphad.ops.indexing import Gather, ScatterAdd
from graphad.ops.product import Matmul
from graphad.ops.reduction import Sum
from graphad.ops.selection import Where
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.ops.slicing import Pad, Slice
from graphad.ops.transcendental import Exp, Expit
from graphad.passes.exponentials import axes_of_sum, log_of, logsumexp, shifted, spread
from graphad.passes.factors import Frame, Level, divided_by, times
from graphad.passes.patterns import is_number, pattern, uniform, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, y, z, a, b, c, s, axes = variables("x y z a b c s axes")


def softplus(x: Tensor) -> Tensor:
    """Return log(1 + e^x) without overflow."""
    return ops.logaddexp(x, x.zeros_like())


def negated(x: Tensor) -> Tensor:
    """Return -x, taking back a minus sign that is there."""
    node = x.value.node
    return handle(node.inputs[0]) if type(node.op) is Neg else -x


# log(1 + x), exp(x) - 1, and what is made of 1 + exp(x)


@rule(np.log(1 + np.exp(x)), np.log1p(np.exp(x)))
def softplus_of_log(x: Tensor) -> Tensor:
    """log(1 + exp(x)) -> logaddexp(x, 0), also log1p(exp(x))."""
    return softplus(x)


@rule(np.log(np.exp(a) + np.exp(b)))
def log_of_two(a: Tensor, b: Tensor) -> Tensor:
    """log(exp(a) + exp(b)) -> logaddexp(a, b)."""
    return ops.logaddexp(a, b)


@rule(np.log(1 + x))
def log1p_of_log(x: Tensor) -> Tensor:
    """log(1 + x) -> log1p(x)."""
    return ops.log1p(x)


@rule(np.log(1 - x))
def log1p_of_difference(x: Tensor) -> Tensor:
    """log(1 - x) -> log1p(-x)."""
    return ops.log1p(negated(x))


@rule(np.exp(x) - 1, np.exp(x) + -1)
def expm1_of_exp(x: Tensor) -> Tensor:
    """exp(x) - 1 -> expm1(x)."""
    return ops.expm1(x)


@rule(1 - np.exp(x), 1 + -np.exp(x))
def negative_expm1(x: Tensor) -> Tensor:
    """1 - exp(x) -> -expm1(x)."""
    return -ops.expm1(x)


@rule(np.log(np.exp(x)))
def log_exp(x: Tensor) -> Tensor:
    """log(exp(x)) -> x."""
    return x


@rule(np.expm1(np.log1p(x)), np.log1p(np.expm1(x)))
def expm1_log1p(x: Tensor) -> Tensor:
    """expm1(log1p(x)) -> x, log1p(expm1(x)) -> x."""
    return x


@rule(np.log(-np.expm1(x)), np.log1p(-np.exp(x)))
def log_of_one_minus_exp(x: Tensor) -> Tensor | None:
    """log(1 - exp(x)) -> where(x < -log(2), log1p(-exp(x)), log(-expm1(x))), also log1p(-exp(x))."""
    node = x.value.node
    if type(node.op) is Where and any(is_number(uniform(v), x.dtype.type(-np.log(2))) for v in node.inputs[1:]):
        return None  # half of a replacement
    # Each half gets only what it is good for, so that derivatives of the other are finite.
    limit = filled(-np.log(2), x)
    far = ops.less(x, limit)
    below, above = ops.where(far, x, limit), ops.where(far, limit, x)
    return ops.where(far, ops.log1p(-ops.exp(below)), ops.log(-ops.expm1(above)))


@rule(np.exp(x) / (1 + np.exp(x)))
def sigmoid_of_quotient(x: Tensor) -> Tensor:
    """exp(x) / (1 + exp(x)) -> sigmoid(x)."""
    return ops.expit(x)


@rule(a / (1 + np.exp(x)))
def sigmoid_of_reciprocal(a: Tensor, x: Tensor, root: Tensor) -> Tensor:
    """a / (1 + exp(x)) -> a * sigmoid(-x)."""
    sigmoid = ops.expit(negated(x))
    return sigmoid if is_number(uniform(a.value), 1) else a * sigmoid


@rule(1 - pattern(Expit, x))
def one_minus_sigmoid(x: Tensor) -> Tensor:
    """1 - sigmoid(x) -> sigmoid(-x)."""
    return ops.expit(negated(x))


@rule(np.log(pattern(Expit, x)))
def log_sigmoid(x: Tensor) -> Tensor:
    """log(sigmoid(x)) -> -logaddexp(-x, 0)."""
    return -softplus(negated(x))


@rule(np.log1p(-pattern(Expit, x)))
def log1p_sigmoid(x: Tensor) -> Tensor:
    """log1p(-sigmoid(x)) -> -logaddexp(x, 0)."""
    return -softplus(x)


@rule(a * np.exp(z))
def sigmoid_times_exp(a: Tensor, z: Tensor) -> Tensor | None:
    """(a * sigmoid(x)) * exp(-x) -> a * sigmoid(-x), with the sigmoid anywhere in the product."""

    def leaf(value: Value, level: Level) -> Tensor | None:
        if type(value.node.op) is Expit and opposite(value.node.inputs[0], z.value):
            return ops.expit(z)
        return None

    return times(a.value, "full", Frame(z.shape, ()), leaf)


def opposite(a: Value, b: Value) -> bool:
    """Tell whether a is -b, by its form: x and -x, u - v and v - u, k x and (-k) x."""
    for left, right in ((a, b), (b, a)):
        if type(left.node.op) is Neg and left.node.inputs[0] == right:
            return True
    if type(a.node.op) is Sub and type(b.node.op) is Sub:
        return a.node.inputs == b.node.inputs[::-1]
    if type(a.node.op) is type(b.node.op) and type(a.node.op) in (Mul, Div):
        (p, q), (r, t) = a.node.inputs, b.node.inputs
        return (opposite(p, r) and q == t) or (p == r and opposite(q, t))
    j, k = uniform(a), uniform(b)
    return j is not None and k is not None and bool(j == -k)


# log-sum-exp and softmax


def softmax(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Return exp(x - logsumexp(x)), at most 1."""
    return ops.exp(x - spread(logsumexp(x, axes), x, axes))


def sums_of_exp(value: Value, x: Value, shape: tuple[Any, ...]) -> tuple[Value, tuple[int, ...]] | None:
    """Return (s, axes) where `value` is s = sum(exp(x), axes), broadcast to `shape`."""
    below = value
    for _ in range(4):
        if type(below.node.op) not in (BroadcastTo, Reshape):
            break
        below = below.node.inputs[0]
    op = below.node.op
    if type(op) is not Sum:
        return None
    inner = below.node.inputs[0]
    if type(inner.node.op) is not Exp or inner.node.inputs[0] != x:
        return None
    frame = Frame(shape, op.axes)
    return (below, op.axes) if frame.is_reduced(value, below, "full") else None


@rule(np.log(pattern(Sum, np.exp(x), axes=axes)))
def log_sum_exp(x: Tensor, axes: tuple[int, ...]) -> Tensor | None:
    """log(sum(exp(x))) -> log(sum(exp(x - m))) + m with m = max(x)."""
    return None if shifted(x.value) or 0 in [x.shape[k] for k in axes] else logsumexp(x, axes)


@rule(np.exp(x) / s)
def softmax_of_quotient(x: Tensor, s: Tensor) -> Tensor | None:
    """exp(x) / sum(exp(x)) -> exp(x - logsumexp(x))."""
    found = sums_of_exp(s.value, x.value, x.shape)
    if found is None or 0 in [x.shape[k] for k in found[1]]:
        return None
    _, axes = found
    if shifted(x.value):
        return ops.exp(x - spread(ops.log(handle(found[0])), x, axes))
    return softmax(x, axes)


@rule(a * np.exp(x))
def softmax_derivative(a: Tensor, x: Tensor) -> Tensor | None:
    """(g / s) * exp(x) -> g * exp(x - log(s)) for s = k sum(exp(x)), with the division anywhere in the product."""
    for s, axes in divisors(a.value, x.value):
        frame = Frame(x.shape, axes)

        def leaf(value: Value, level: Level, frame: Frame = frame, s: Value = s) -> Tensor | None:
            return divided_by(value, lambda divisor: frame.is_reduced(divisor, s, level))

        part = times(a.value, "full", frame, leaf)
        if part is not None:
            log_s = log_of(s)
            return part * ops.exp(x - spread(ops.log(handle(s)) if log_s is None else log_s, x, axes))
    return None


SEARCHED = 32
"""Nodes of a product that are searched for the sum it is divided by."""


def divisors(tree: Value, x: Value) -> list[tuple[Value, tuple[int, ...]]]:
    """Return the sums of exp(x), or multiples of them, that parts of a product are divided by."""
    found: dict[Value, tuple[int, ...]] = {}
    pending, seen = [tree], 0
    while pending and seen < SEARCHED:
        value = pending.pop()
        seen += 1
        node = value.node
        if type(node.op) is Div:
            below = node.inputs[1]
            while type(below.node.op) in (BroadcastTo, Reshape):
                below = below.node.inputs[0]
            axes = axes_of_sum(below, x)
            if axes is not None:
                found[below] = axes
        if type(node.op) in _TRANSPARENT:
            pending += node.inputs
    return list(found.items())


_TRANSPARENT = frozenset({Mul, Div, Neg, Add, Sub, Sum, BroadcastTo, Reshape})
(_tree,) = variables("a", among=_TRANSPARENT | {ScatterAdd, Pad})
(_product,) = variables("b", among=_TRANSPARENT | {Exp, Expit})


@rule(_tree * _product)
def cancel_positive(a: Tensor, b: Tensor) -> Tensor | None:
    """(g / p + h) * (k * p) -> (g + h * p) * k for p = exp(x) or sigmoid(x), which is never 0 but may underflow."""
    for p in positive_divisors(a.value):
        rest = without_factor(b, p)
        if rest is not None:
            part = without_division(a.value, p)
            if part is not None:
                return part if b.value == p else part * rest
    return None


def without_factor(x: Tensor, p: Value) -> Tensor | None:
    """Return x / p where p is a factor of the product x; None where it is none."""

    def leaf(value: Value, level: Level) -> Tensor | None:
        return filled(1, handle(value)) if value == p else None

    return times(x.value, "full", Frame(x.shape, ()), leaf)


def positive_divisors(tree: Value) -> list[Value]:
    """Return the results of exp and sigmoid that parts of a product are divided by, also by elements of them."""
    found: dict[Value, None] = {}
    pending, seen = [tree], 0
    while pending and seen < SEARCHED:
        value = pending.pop()
        seen += 1
        node = value.node
        if type(node.op) is Div:
            below = node.inputs[1]
            while type(below.node.op) in (Gather, Slice, Reshape):
                below = below.node.inputs[0]
            if type(below.node.op) in (Exp, Expit):
                found[below] = None
        if type(node.op) in _TRANSPARENT:
            pending += node.inputs
        elif type(node.op) in (ScatterAdd, Pad):
            pending.append(placed(node))
    return list(found)


LONGEST_PATH = 6
"""Movements between p and the elements of it that something is divided by."""


Path = tuple[tuple[Op, tuple[Value, ...]], ...]
"""Data movement that leads from p to some of its elements: ops, and their operands after the first."""


def without_division(tree: Value, p: Value, path: Path = ()) -> Tensor | None:
    """Return tree * p where a part of the tree is divided by p; None where none is.

    Sees through the derivatives of indexing: ``scatter_add(0, i, g / p[i]) * p`` is ``scatter_add(0, i, g)``.
    """

    def is_p(value: Value) -> bool:
        for op, others in reversed(path):
            if value.node.op != op or value.node.inputs[1:] != others:
                return False
            value = value.node.inputs[0]
        return value == p

    def leaf(value: Value, level: Level) -> Tensor | None:
        found = divided_by(value, is_p)
        return scattered(value, p, path) if found is None else found

    def direct(part: Tensor, level: Level) -> Tensor:
        moved = handle(p)
        for op, others in path:
            moved = apply(op, moved, *[handle(v) for v in others])
        return part * moved

    return times(tree, "full", Frame(tree.type.shape, ()), leaf, direct)


def scattered(value: Value, p: Value, path: Path) -> Tensor | None:
    """Return value * p where value puts elements, divided by those of p, into zeros; None for anything else."""
    node = value.node
    step: tuple[Op, tuple[Value, ...]]
    if type(node.op) is ScatterAdd and is_number(uniform(node.inputs[0]), 0):
        step = (Gather(), node.inputs[2:])
    elif type(node.op) is Pad and not any(node.op.interior):
        inner = node.inputs[0].type.shape
        stops = tuple(low + n for low, n in zip(node.op.low, inner, strict=True))
        step = (Slice(tuple(node.op.low), stops, (1,) * len(inner)), ())
    elif type(node.op) is Reshape:
        step = (Reshape(node.inputs[0].type.shape), ())
    else:
        return None
    if len(path) == LONGEST_PATH:
        return None
    part = without_division(placed(node), p, (*path, step))
    if part is None:
        return None
    return apply(node.op, *[part if v == placed(node) else handle(v) for v in node.inputs])


def placed(node: Node) -> Value:
    """Return the operand whose elements a scatter, pad or reshape puts somewhere."""
    return node.inputs[1] if type(node.op) is ScatterAdd else node.inputs[0]


@rule(
    np.log(pattern(Gather, ...)),
    np.log(pattern(Slice, x)),
    np.log(pattern(Reshape, x)),
    np.log(pattern(Transpose, x)),
    np.log(pattern(BroadcastTo, x)),
)
def log_of_moved_exp(root: Tensor) -> Tensor | None:
    """log(exp(x)[i]) -> x[i], log(sum(exp(x))[i]) -> logsumexp(x)[i], through all data movement."""
    return log_of(root.value.node.inputs[0])


@rule(
    np.log(pattern(Mul, ...)),
    np.log(pattern(Div, ...)),
    np.log(pattern(Sum, *variables("x", among={Mul, Div}))),
)
def log_of_multiple_of_exp(root: Tensor) -> Tensor | None:
    """log(k sum(exp(x))) -> logsumexp(x) + log(k) for constants k > 0; also log(mean(exp(x))), log(sum(k exp(x)))."""
    return log_of(root.value.node.inputs[0])


@rule(a / (1 / b))
def div_by_reciprocal(a: Tensor, b: Tensor) -> Tensor | None:
    """a / (1 / exp(x)) -> a * exp(x); also for sigmoid."""
    return a * b if type(b.value.node.op) in (Exp, Expit) else None


# Zero


@rule(np.sqrt(x) ** 2, np.sqrt(x) * np.sqrt(x))
def square_of_sqrt(x: Tensor) -> Tensor:
    """sqrt(x) ** 2 -> x, nan where x is negative."""
    return ops.where(ops.less(x, x.zeros_like()), filled(np.nan, x), x)


@rule(a * (b / np.sqrt(x)))
def sqrt_cancels(a: Tensor, b: Tensor, x: Tensor) -> Tensor | None:
    """(g * sqrt(x)) * (k / sqrt(x)) -> g * k, the derivative of sqrt(x)^2, at 0 too; nan where x is negative."""

    def leaf(value: Value, level: Level) -> Tensor | None:
        is_root = type(value.node.op) is Sqrt and value.node.inputs[0] == x.value
        return filled(1, handle(value)) if is_root else None

    part = times(a.value, "full", Frame(a.shape, ()), leaf)
    if part is None:
        return None
    product = part * b
    return ops.where(ops.less(x, x.zeros_like()), filled(np.nan, product), product)


@rule(x * np.log(x))
def x_log_x(x: Tensor) -> Tensor:
    """x * log(x) -> x * log(where(x == 0, 1, x)): 0 at 0."""
    return x * ops.log(nonzero(x))


@rule((a * x) * np.log(x))
def x_log_x_scaled(a: Tensor, x: Tensor) -> Tensor:
    """(a * x) * log(x) -> a * (x * log(where(x == 0, 1, x)))."""
    return a * (x * ops.log(nonzero(x)))


@rule(a * np.log(x) + (b * x) * (1 / x), a * np.log(x) + (b * x) / x)
def x_log_x_derivative(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    """g log(x) + (g x) (1 / x) -> g log(x) + g, the derivative of x log(x): -inf at 0, not nan."""
    return a * ops.log(x) + b


def nonzero(x: Tensor) -> Tensor:
    """Return x with 1 in place of 0."""
    return ops.where(ops.equal(x, x.zeros_like()), filled(1, x), x)


@rule(a / np.sqrt(x))
def norm_derivative(a: Tensor, x: Tensor, root: Tensor) -> Tensor | None:
    """a / sqrt(sum(z z)) -> a / where(norm == 0, 1, norm) in derivatives: the gradient of a norm at 0 is 0."""
    if root.value.node.role == "forward" or not is_sum_of_squares(x.value):
        return None
    return a / nonzero(handle(root.value.node.inputs[1]))


def is_sum_of_squares(value: Value) -> bool:
    """Tell whether a value is z * z, a sum of that over axes, or the product of vectors z @ z."""
    while type(value.node.op) in (Sum, Reshape, BroadcastTo):
        value = value.node.inputs[0]
    node = value.node
    if type(node.op) is Mul:
        return node.inputs[0] == node.inputs[1]
    if type(node.op) is Matmul and node.types[0].shape[-2:] == (1, 1):
        left, right = (elements_of(v) for v in node.inputs)
        return left == right
    return False


def elements_of(value: Value) -> Value:
    """Return what a value has the elements of, in the same order: reshapes and turned vectors change nothing."""
    while type(value.node.op) is Reshape or (type(value.node.op) is Transpose and is_vector(value.node)):
        value = value.node.inputs[0]
    return value


def is_vector(node: Node) -> bool:
    """Tell whether at most one axis is longer than 1."""
    return sum(n != 1 for n in node.types[0].shape) <= 1


RULES = rules_in(globals())
