"""Rules of `algebra` about choices, logic and stops: they keep every bit."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphad.ops as ops
from graphad.ops.comparison import Invert, LogicalAnd, LogicalNot, LogicalOr
from graphad.ops.control import StopGradient
from graphad.ops.selection import Where
from graphad.passes.patterns import pattern, scalars, variables
from graphad.passes.rules import filled, rule, rules_in
from graphad.tracing.tensor import Tensor

x, a, b, c, d = variables("x a b c d")
(k,) = scalars("k")


# Choices


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


# Logic


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


# Stops


@rule(pattern(StopGradient, x), complex_too=True)
def derived_stop_gradient(x: Tensor, root: Tensor) -> Tensor | None:
    """stop_gradient(x) -> x in derivatives (in the forward part it may have to stop one yet)."""
    return x if root.value.node.role != "forward" else None


RULES = rules_in(globals())
