"""Rules that hold for real numbers but change IEEE results: they run under ``fast_math=True`` only.

They assume that nothing is nan or infinite and that the sign of zero and the last bits do not matter. They belong to
the pass `algebra`, which loads them when it is to apply them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ops.arithmetic import PowerScalar
from graphad.passes.patterns import pattern, scalars, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, y, a, b, c = variables("x y a b c")
j, k = scalars("j k")


@rule(x * 0, x * -0.0, 0 / x, fast_math=True, complex_too=True)
def mul_zero(x: Tensor) -> Tensor:
    """x * 0 -> 0, 0 / x -> 0."""
    return x.zeros_like()


@rule(x + 0, fast_math=True, complex_too=True)
def add_positive_zero(x: Tensor) -> Tensor:
    """x + 0 -> x."""
    return x


@rule(0 - x, fast_math=True, complex_too=True)
def zero_sub(x: Tensor) -> Tensor:
    """0 - x -> -x."""
    return -x


@rule(x - x, fast_math=True, complex_too=True)
def sub_self(x: Tensor) -> Tensor:
    """x - x -> 0."""
    return x.zeros_like()


@rule(x / x, fast_math=True, complex_too=True)
def div_self(x: Tensor) -> Tensor:
    """x / x -> 1."""
    return filled(1, x)


@rule(-(a - b), fast_math=True, complex_too=True)
def neg_sub(a: Tensor, b: Tensor) -> Tensor:
    """-(a - b) -> b - a."""
    return b - a


@rule((a / b) * b, (a * b) / b, fast_math=True, complex_too=True)
def cancel_factor(a: Tensor) -> Tensor:
    """(a / b) * b -> a, (a * b) / b -> a."""
    return a


@rule((a + b) - b, (a - b) + b, fast_math=True, complex_too=True)
def cancel_term(a: Tensor) -> Tensor:
    """(a + b) - b -> a, (a - b) + b -> a."""
    return a


@rule((x * j) * k, fast_math=True, complex_too=True)
def mul_numbers(x: Tensor, j: Any, k: Any) -> Tensor:
    """(x * j) * k -> x * (j k)."""
    return x * filled(_quiet(np.multiply, j, k), x)


@rule((x + j) + k, fast_math=True, complex_too=True)
def add_numbers(x: Tensor, j: Any, k: Any) -> Tensor:
    """(x + j) + k -> x + (j + k)."""
    return x + filled(_quiet(np.add, j, k), x)


@rule((x - j) - k, fast_math=True, complex_too=True)
def sub_numbers(x: Tensor, j: Any, k: Any) -> Tensor:
    """(x - j) - k -> x - (j + k)."""
    return x - filled(_quiet(np.add, j, k), x)


@rule((x * j) * (y * k), fast_math=True, complex_too=True)
def gather_numbers(x: Tensor, y: Tensor, j: Any, k: Any) -> Tensor:
    """(x * j) * (y * k) -> (x * y) * (j k)."""
    return (x * y) * filled(_quiet(np.multiply, j, k), x)


@rule(x / k, fast_math=True, complex_too=True)
def div_number(x: Tensor, k: Any) -> Tensor | None:
    """x / k -> x * (1 / k)."""
    inverse = _quiet(np.divide, k.dtype.type(1), k)
    return x * filled(inverse, x) if np.isfinite(inverse) and inverse != 0 and abs(k) != 1 else None


@rule(a * b + a * c, fast_math=True, complex_too=True)
def factor_sum(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b + a * c -> a * (b + c)."""
    return a * (b + c)


@rule(a * b - a * c, fast_math=True, complex_too=True)
def factor_difference(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b - a * c -> a * (b - c)."""
    return a * (b - c)


@rule(a / (b / c), fast_math=True, complex_too=True)
def div_by_quotient(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a / (b / c) -> (a * c) / b."""
    return (a * c) / b


@rule(a * (1 / b), fast_math=True, complex_too=True)
def mul_reciprocal(a: Tensor, b: Tensor) -> Tensor:
    """a * (1 / b) -> a / b."""
    return a / b


@rule(np.exp(np.log(x)), fast_math=True, complex_too=True)
def exp_log(x: Tensor) -> Tensor:
    """exp(log(x)) -> x."""
    return x


@rule(np.exp(a) * np.exp(b), fast_math=True, complex_too=True)
def exp_sum(a: Tensor, b: Tensor) -> Tensor:
    """exp(a) * exp(b) -> exp(a + b)."""
    return ops.exp(a + b)


@rule(pattern(PowerScalar, x, exponent=0.5), fast_math=True, complex_too=True)
def power_half(x: Tensor) -> Tensor:
    """x ** 0.5 -> sqrt(x)."""
    return ops.sqrt(x)


@rule(pattern(PowerScalar, x, exponent=-1), fast_math=True, complex_too=True)
def power_minus_one(x: Tensor) -> Tensor:
    """x ** -1 -> 1 / x."""
    return filled(1, x) / x


@rule(x**3, fast_math=True, complex_too=True)
def cube(x: Tensor) -> Tensor:
    """x ** 3 -> x * x * x."""
    return x * x * x


@rule(x**4, fast_math=True, complex_too=True)
def fourth_power(x: Tensor) -> Tensor:
    """x ** 4 -> (x * x) * (x * x)."""
    squared = x * x
    return squared * squared


def _quiet(ufunc: np.ufunc, a: Any, b: Any) -> Any:
    with np.errstate(all="ignore"):
        return ufunc(a, b)


RULES = rules_in(globals())
