"""Algebra: identities of arithmetic that keep every bit of the result.

A rule here holds for nan, infinities and both zeros (the sign bit of a nan aside): ``x - 0`` is x, but ``x + 0`` is
not, for -0.0. Integers wrap, so there more identities hold. The pass `algebra` has more chapters: `signs.py`,
`choices.py`, `movement.py`, `slices.py`, and `fast_math.py` with the rules that hold for real numbers only.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ir.types import finfo, is_float, is_inexact
from graphad.ops.arithmetic import PowerScalar
from graphad.ops.cast import Cast
from graphad.passes.patterns import pattern, scalars, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, t = variables("x t")
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


@rule(x * -1, x / -1)
def mul_minus_one(x: Tensor) -> Tensor | None:
    """x * -1 -> -x, x / -1 -> -x."""
    return None if x.dtype.kind in "bu" else -x


@rule(-0.0 - x)
def minus_zero_sub(x: Tensor) -> Tensor:
    """-0.0 - x -> -x; 0 - x -> -x for integers."""
    return -x


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


RULES = rules_in(globals())
