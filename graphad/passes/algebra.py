"""Algebra: identities of arithmetic, logic and data movement that keep every bit of the result.

A rule here holds for nan, infinities and both zeros (the sign bit of a nan aside): ``x - 0`` is x, but ``x + 0`` is
not, for -0.0. Integers wrap, so there more identities hold. Rules that hold for real numbers only stand in
`fast_math.py` and run under ``fast_math=True``; rules about shapes stand in `movement.py`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.emit import apply
from graphad.ir.frozen import frozen
from graphad.ir.graph import Graph
from graphad.ir.op import Elementwise
from graphad.ir.types import finfo, is_float, is_inexact
from graphad.ops.arithmetic import PowerScalar
from graphad.ops.cast import Cast
from graphad.ops.comparison import Invert, LogicalAnd, LogicalNot, LogicalOr
from graphad.ops.control import StopGradient
from graphad.ops.selection import Where
from graphad.passes import movement
from graphad.passes.driver import Journal, RewritePass, rewrite
from graphad.passes.patterns import UNIFORM, pattern, scalars, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, y, a, b, c, d, t = variables("x y a b c d t")
j, k = scalars("j k")


# Neutral elements


@rule(x * 1)
def mul_one(x: Tensor) -> Tensor:
    """x * 1 -> x."""
    return x


@rule(x / 1)
def div_one(x: Tensor) -> Tensor:
    """x / 1 -> x."""
    return x


@rule(x + -0.0)
def add_zero(x: Tensor) -> Tensor:
    """x + (-0.0) -> x; x + 0 -> x for integers (0.0 is not neutral: -0.0 + 0.0 is 0.0)."""
    return x


@rule(x - 0)
def sub_zero(x: Tensor) -> Tensor:
    """x - 0 -> x."""
    return x


@rule(x**1)
def power_one(x: Tensor) -> Tensor:
    """x ** 1 -> x."""
    return x


@rule(x**0)
def power_zero(x: Tensor, root: Tensor) -> Tensor:
    """x ** 0 -> 1 (nan ** 0 is 1 too)."""
    return filled(1, root)


@rule(x * 0)
def integer_mul_zero(x: Tensor) -> Tensor | None:
    """x * 0 -> 0 for integers and booleans."""
    return None if is_inexact(x.dtype) else x.zeros_like()


@rule(x - x)
def integer_sub_self(x: Tensor) -> Tensor | None:
    """x - x -> 0 for integers."""
    return None if is_inexact(x.dtype) else x.zeros_like()


@rule(
    np.maximum(x, x),
    np.minimum(x, x),
    np.fmax(x, x),
    np.fmin(x, x),
    np.bitwise_and(x, x),
    np.bitwise_or(x, x),
    complex_too=True,
)
def idempotent(x: Tensor) -> Tensor:
    """max(x, x) -> x; also min, fmax, fmin, x & x, x | x."""
    return x


# Squares and doubles


@rule(pattern(PowerScalar, x, exponent=2))
def square(x: Tensor) -> Tensor:
    """x ** 2 -> x * x."""
    return x * x


@rule(x + x)
def double(x: Tensor) -> Tensor | None:
    """x + x -> 2 * x (exact: doubling changes the exponent only)."""
    return None if x.dtype.kind == "b" else filled(2, x) * x


@rule(x / k)
def divide_by_power_of_two(x: Tensor, k: Any) -> Tensor | None:
    """x / 2^n -> x * 2^-n (exact: both change the exponent only)."""
    if not np.isfinite(k) or k == 0 or abs(math.frexp(float(k))[0]) != 0.5:
        return None
    with np.errstate(all="ignore"):
        inverse = k.dtype.type(1) / k
    if not np.isfinite(inverse) or abs(inverse) < finfo(k.dtype).tiny or abs(k) == 1:
        return None
    return x * filled(inverse, x)


@rule((x * j) * k)
def mul_exact_numbers(x: Tensor, j: Any, k: Any) -> Tensor | None:
    """(x * j) * k -> x * (j * k) where neither makes smaller and one is a power of two: a single rounding both ways."""
    if not is_float(k.dtype) or not (abs(j) >= 1 and abs(k) >= 1):
        return None
    with np.errstate(all="ignore"):
        both = j * k
    one_is_power = any(math.frexp(abs(float(n)))[0] == 0.5 for n in (j, k))
    return x * filled(both, x) if one_is_power and np.isfinite(both) else None


# Signs


@rule(-(-x), complex_too=True)  # noqa: B002  # a pattern, not a decrement
def neg_neg(x: Tensor) -> Tensor:
    """-(-x) -> x."""
    return x


@rule(x * -1, x / -1)
def mul_minus_one(x: Tensor) -> Tensor | None:
    """x * -1 -> -x, x / -1 -> -x."""
    return None if x.dtype.kind in "bu" else -x


@rule(a + (-b), complex_too=True)
def add_neg(a: Tensor, b: Tensor) -> Tensor:
    """a + (-b) -> a - b."""
    return a - b


@rule(a - (-b), complex_too=True)
def sub_neg(a: Tensor, b: Tensor) -> Tensor:
    """a - (-b) -> a + b."""
    return a + b


@rule(-0.0 - x)
def minus_zero_sub(x: Tensor) -> Tensor:
    """-0.0 - x -> -x; 0 - x -> -x for integers."""
    return -x


@rule((-a) * (-b))
def mul_signs(a: Tensor, b: Tensor) -> Tensor:
    """(-a) * (-b) -> a * b."""
    return a * b


@rule((-a) / (-b))
def div_signs(a: Tensor, b: Tensor) -> Tensor:
    """(-a) / (-b) -> a / b."""
    return a / b


@rule((-x) * k)
def neg_mul_number(x: Tensor, k: Any) -> Tensor | None:
    """(-x) * k -> x * (-k)."""
    return None if k.dtype.kind == "u" else x * filled(-k, x)


@rule(-(x * k))
def neg_of_mul_number(x: Tensor, k: Any) -> Tensor | None:
    """-(x * k) -> x * (-k)."""
    return None if k.dtype.kind == "u" else x * filled(-k, x)


@rule((-x) / k, -(x / k))
def neg_div_number(x: Tensor, k: Any) -> Tensor:
    """(-x) / k -> x / (-k), also -(x / k)."""
    return x / filled(-k, x)


@rule(k / (-x), -(k / x))
def number_div_neg(x: Tensor, k: Any) -> Tensor:
    """k / (-x) -> (-k) / x, also -(k / x)."""
    return filled(-k, x) / x


@rule((-a) * (b * k))
def neg_into_number(a: Tensor, b: Tensor, k: Any) -> Tensor | None:
    """(-a) * (b * k) -> a * (b * (-k))."""
    return None if k.dtype.kind == "u" else a * (b * filled(-k, b))


@rule((-a) * b + c)
def add_neg_mul(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """(-a) * b + c -> c - a * b."""
    return c - a * b


@rule(c - (-a) * b)
def sub_neg_mul(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """c - (-a) * b -> c + a * b."""
    return c + a * b


@rule(a + (-b) / c)
def add_neg_div(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a + (-b) / c -> a - b / c."""
    return a - b / c


@rule(abs(-x), abs(abs(x)), complex_too=True)
def abs_sign(x: Tensor) -> Tensor:
    """|-x| -> |x|, ||x|| -> |x|."""
    return ops.absolute(x)


@rule(np.cos(-x), np.cosh(-x))
def even_function(x: Tensor, root: Tensor) -> Tensor:
    """cos(-x) -> cos(x), cosh(-x) -> cosh(x)."""
    return apply(root.value.node.op, x)


@rule((-x) * (-x), abs(x) * abs(x))
def square_of_sign(x: Tensor) -> Tensor:
    """(-x) * (-x) -> x * x, |x| * |x| -> x * x."""
    return x * x


# Choices and logic


@rule(pattern(Where, c, x, x), complex_too=True)
def where_same(x: Tensor) -> Tensor:
    """where(c, x, x) -> x."""
    return x


@rule(pattern(Where, k, a, b), complex_too=True)
def where_known(k: Any, a: Tensor, b: Tensor) -> Tensor:
    """where(True, a, b) -> a, where(False, a, b) -> b."""
    return a if k else b


@rule(pattern(Where, pattern(LogicalNot, c), a, b), pattern(Where, pattern(Invert, c), a, b), complex_too=True)
def where_not(c: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    """where(not c, a, b) -> where(c, b, a)."""
    return ops.where(c, b, a) if c.dtype.kind == "b" else None


@rule(pattern(Where, c, pattern(Where, c, a, b), d), complex_too=True)
def where_twice_true(c: Tensor, a: Tensor, d: Tensor) -> Tensor:
    """where(c, where(c, a, b), d) -> where(c, a, d)."""
    return ops.where(c, a, d)


@rule(pattern(Where, c, a, pattern(Where, c, b, d)), complex_too=True)
def where_twice_false(c: Tensor, a: Tensor, d: Tensor) -> Tensor:
    """where(c, a, where(c, b, d)) -> where(c, a, d)."""
    return ops.where(c, a, d)


@rule(pattern(LogicalNot, pattern(LogicalNot, x)), pattern(Invert, pattern(Invert, x)), complex_too=True)
def not_not(x: Tensor, root: Tensor) -> Tensor | None:
    """not not x -> x for booleans, ~~x -> x."""
    return x if x.dtype == root.dtype else None


@rule(pattern(LogicalNot, np.equal(a, b)), pattern(Invert, np.equal(a, b)), complex_too=True)
def not_equal_to(a: Tensor, b: Tensor) -> Tensor:
    """not (a == b) -> a != b."""
    return ops.not_equal(a, b)


@rule(pattern(LogicalNot, np.not_equal(a, b)), pattern(Invert, np.not_equal(a, b)), complex_too=True)
def not_unequal_to(a: Tensor, b: Tensor) -> Tensor:
    """not (a != b) -> a == b."""
    return ops.equal(a, b)


@rule(pattern(LogicalAnd, x, x), pattern(LogicalOr, x, x), complex_too=True)
def logical_same(x: Tensor) -> Tensor | None:
    """x and x -> x, x or x -> x for booleans."""
    return x if x.dtype.kind == "b" else None


@rule(pattern(LogicalAnd, x, k), complex_too=True)
def and_known(x: Tensor, k: Any, root: Tensor) -> Tensor | None:
    """x and True -> x, x and False -> False."""
    if not k:
        return filled(False, root)
    return x if x.dtype.kind == "b" else None


@rule(pattern(LogicalOr, x, k), complex_too=True)
def or_known(x: Tensor, k: Any, root: Tensor) -> Tensor | None:
    """x or False -> x, x or True -> True."""
    if k:
        return filled(True, root)
    return x if x.dtype.kind == "b" else None


# Casts


def exact(narrow: np.dtype[Any], wide: np.dtype[Any]) -> bool:
    """Tell whether every value of `narrow` is a value of `wide`."""
    if is_inexact(wide) and narrow.kind in "iu":
        return bool(np.iinfo(narrow).bits - (narrow.kind == "i") <= finfo(wide).nmant + 1)
    return np.can_cast(narrow, wide, "safe")


@rule(pattern(Cast, x), complex_too=True)
def cast_same(x: Tensor, root: Tensor) -> Tensor | None:
    """cast(x, dtype of x) -> x."""
    return x if x.dtype == root.dtype else None


@rule(pattern(Cast, pattern(Cast, x, dtype=t)), complex_too=True)
def cast_cast(x: Tensor, t: Any, root: Tensor) -> Tensor | None:
    """cast(cast(x, wider), dtype) -> cast(x, dtype) where the first cast is exact."""
    return ops.cast(x, root.dtype) if exact(x.dtype, t) else None


@rule(pattern(StopGradient, x), complex_too=True)
def derived_stop_gradient(x: Tensor, root: Tensor) -> Tensor | None:
    """stop_gradient(x) -> x in derivatives (in the forward part it may have to stop one yet)."""
    return x if root.value.node.role != "forward" else None


# Work on the small side of a broadcast


wide_x, wide_y, wide_a = variables("x y a", among=UNIFORM)


@rule(pattern(Elementwise, wide_x), pattern(Cast, wide_x), complex_too=True)
def unary_of_broadcast(x: Tensor, root: Tensor) -> Tensor | None:
    """f(broadcast(x)) -> broadcast(f(x)) for elementwise f, casts too."""
    return movement.before_broadcast(root, (x,))


@rule(pattern(Elementwise, wide_x, wide_y), complex_too=True)
def binary_of_broadcast(x: Tensor, y: Tensor, root: Tensor) -> Tensor | None:
    """f(broadcast(x), broadcast(y)) -> broadcast(f(x, y)); either may be one number everywhere."""
    return movement.before_broadcast(root, (x, y))


@rule(pattern(Elementwise, wide_x, wide_y, wide_a), complex_too=True)
def ternary_of_broadcast(x: Tensor, y: Tensor, a: Tensor, root: Tensor) -> Tensor | None:
    """where(broadcast(c), broadcast(x), broadcast(y)) -> broadcast(where(c, x, y))."""
    return movement.before_broadcast(root, (x, y, a))


@frozen
class Algebra(RewritePass):
    """The pass `algebra`."""

    def run(self, graph: Graph, journal: Journal) -> Graph:
        """Rewrite until no rule applies."""
        if not journal.fast_math:
            return super().run(graph, journal)
        from graphad.passes import fast_math

        return rewrite(graph, (*self.rules, *fast_math.RULES), journal)


algebra = Algebra(
    "algebra",
    "Apply identities that keep every bit; under fast_math also those of real numbers.",
    (*rules_in(globals()), *movement.RULES),
)
