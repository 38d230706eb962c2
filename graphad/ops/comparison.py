"""Elementwise comparisons, predicates, logic and bits: everything whose result is boolean or an integer pattern."""

from __future__ import annotations

import numpy as np

from graphad.ir.op import Elementwise, function_of
from graphad.ir.samples import booleans, complex_, integers, real, sample
from graphad.ir.types import DType

BOOL = np.dtype(np.bool_)


class Predicate(Elementwise, abstract=True):
    """An elementwise op that answers with a boolean; no gradient flows."""

    kinds = "biufc"
    no_gradient = "gives booleans"

    def result_dtype(self, dtype: DType) -> DType:
        """bool."""
        return BOOL


class Bitwise(Elementwise, abstract=True):
    """An elementwise op on the bits of integers (or on booleans); no gradient flows."""

    kinds = "biu"
    no_gradient = "is defined on integers"


class Equal(Predicate):
    """y = (a == b); nan equals nothing."""

    ufunc, arity = np.equal, 2
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(complex_(3), complex_(3)),
        sample(integers(3), integers(3)),
    )


class NotEqual(Predicate):
    """y = (a != b)."""

    ufunc, arity = np.not_equal, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class Less(Predicate):
    """y = (a < b); complex numbers compare by real, then by imaginary part."""

    ufunc, arity = np.less, 2
    samples = (
        sample(real(3, 4), real(3, 4)),
        sample(complex_(3), complex_(3)),
        sample(integers(3), integers(3)),
    )


class LessEqual(Predicate):
    """y = (a <= b)."""

    ufunc, arity = np.less_equal, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class Greater(Predicate):
    """y = (a > b)."""

    ufunc, arity = np.greater, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class GreaterEqual(Predicate):
    """y = (a >= b)."""

    ufunc, arity = np.greater_equal, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class LogicalAnd(Predicate):
    """y = (a != 0) and (b != 0)."""

    ufunc, arity = np.logical_and, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class LogicalOr(Predicate):
    """y = (a != 0) or (b != 0)."""

    ufunc, arity = np.logical_or, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class LogicalXor(Predicate):
    """y = (a != 0) differs from (b != 0)."""

    ufunc, arity = np.logical_xor, 2
    samples = (sample(real(3, 4), real(3, 4)), sample(integers(3), integers(3)))


class LogicalNot(Predicate):
    """y = (x == 0)."""

    ufunc = np.logical_not
    samples = (
        sample(real(3, 4)),
        sample(complex_(3)),
        sample(integers(3)),
    )


class Isnan(Predicate):
    """y = (x is not a number)."""

    ufunc = np.isnan
    samples = (
        sample(real(3, 4)),
        sample(complex_(3)),
        sample(integers(3)),
    )


class Isinf(Predicate):
    """y = (x is an infinity)."""

    ufunc = np.isinf
    samples = (
        sample(real(3, 4)),
        sample(integers(3)),
    )


class Isfinite(Predicate):
    """y = (x is neither infinite nor nan)."""

    ufunc = np.isfinite
    samples = (
        sample(real(3, 4)),
        sample(integers(3)),
    )


class Signbit(Predicate):
    """y = (the sign bit of x is set), true for -0.0."""

    ufunc = np.signbit
    kinds = "f"
    samples = (sample(real(3, 4)),)


class BitwiseAnd(Bitwise):
    """y = a & b."""

    ufunc, arity = np.bitwise_and, 2
    samples = (sample(integers(3, 4), integers(3, 4)), sample(booleans(3), booleans(3)))


class BitwiseOr(Bitwise):
    """y = a | b."""

    ufunc, arity = np.bitwise_or, 2
    samples = (sample(integers(3, 4), integers(3, 4)), sample(booleans(3), booleans(3)))


class BitwiseXor(Bitwise):
    """y = a ^ b."""

    ufunc, arity = np.bitwise_xor, 2
    samples = (sample(integers(3, 4), integers(3, 4)), sample(booleans(3), booleans(3)))


class LeftShift(Bitwise):
    """y = a shifted left by b bits."""

    ufunc, arity = np.left_shift, 2
    kinds = "iu"
    samples = (sample(integers(3, 4), integers(3, 4, low=0)), sample(integers(3), integers(3, low=0)))


class RightShift(Bitwise):
    """y = a shifted right by b bits, keeping the sign."""

    ufunc, arity = np.right_shift, 2
    kinds = "iu"
    samples = (sample(integers(3, 4), integers(3, 4, low=0)), sample(integers(3), integers(3, low=0)))


class Invert(Bitwise):
    """y = x with every bit flipped; logical not for booleans."""

    ufunc = np.invert
    samples = (sample(integers(3, 4)), sample(booleans(3)))


class BitwiseCount(Bitwise):
    """y = the number of bits set in |x|, as uint8."""

    ufunc, kinds = np.bitwise_count, "iu"
    samples = (sample(integers(3, 4)),)

    def result_dtype(self, dtype: DType) -> DType:
        """uint8."""
        return np.dtype(np.uint8)


equal = function_of(Equal)
not_equal = function_of(NotEqual)
less = function_of(Less)
less_equal = function_of(LessEqual)
greater = function_of(Greater)
greater_equal = function_of(GreaterEqual)
logical_and = function_of(LogicalAnd)
logical_or = function_of(LogicalOr)
logical_xor = function_of(LogicalXor)
logical_not = function_of(LogicalNot)
isnan = function_of(Isnan)
isinf = function_of(Isinf)
isfinite = function_of(Isfinite)
signbit = function_of(Signbit)
bitwise_and = function_of(BitwiseAnd)
bitwise_or = function_of(BitwiseOr)
bitwise_xor = function_of(BitwiseXor)
left_shift = function_of(LeftShift)
right_shift = function_of(RightShift)
invert = function_of(Invert)
bitwise_count = function_of(BitwiseCount)
