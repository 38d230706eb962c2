"""Rules of `algebra` about signs: they keep every bit."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.emit import apply
from graphad.passes.patterns import scalars, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, a, b, c = variables("x a b c")
(k,) = scalars("k")


@rule(-(-x), complex_too=True)  # noqa: B002  # a pattern, not a decrement
def neg_neg(x: Tensor) -> Tensor:
    """-(-x) -> x."""
    return x


@rule(a + (-b), complex_too=True)
def add_neg(a: Tensor, b: Tensor) -> Tensor:
    """a + (-b) -> a - b."""
    return a - b


@rule(a - (-b), complex_too=True)
def sub_neg(a: Tensor, b: Tensor) -> Tensor:
    """a - (-b) -> a + b."""
    return a + b


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


RULES = rules_in(globals())
