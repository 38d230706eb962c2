"""The elementwise lowering table: which native code each elementwise op becomes, for which dtypes.

What may enter: one row an op class. A row is a function from the operands' lanes to the result's, which writes its
instructions inline; what is more than a line stands in `integers`, `floats`, `powers`, `conversions` and `maths`.
Values are NumPy's bit for bit, except those of transcendental functions. Half precision and complex numbers have no
native code.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from graphad.execute.native import conversions, floats, integers
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths import (
    beta,
    error_function,
    exponential,
    gamma,
    hyperbolic,
    hypot,
    inverse_trigonometric,
    log_of_sum,
    logarithm,
    logistic,
    normal,
    polygamma,
    power,
    trigonometric,
)
from graphad.ir.frozen import frozen
from graphad.ir.op import Op
from graphad.ir.types import DTYPE_NAMES, DType
from graphad.ops import arithmetic, comparison, error_functions, rounding, selection, special, transcendental
from graphad.ops import hyperbolic as hyperbolic_ops
from graphad.ops import normal as normal_ops
from graphad.ops import trigonometric as trigonometric_ops
from graphad.ops.cast import Cast

Lowering = Callable[..., Lanes]
"""From an op and its operands' lanes to the result's lanes."""

KINDS = frozenset({"bool", "f32", "f64", *(f"{sign}{bits}" for sign in "iu" for bits in (8, 16, 32, 64))})
"""The dtypes that native code computes with, by printed name."""


@frozen
class Row:
    """What an op class becomes for one kind of dtype.

    Attributes:
        function: the lowering.
        weight: instructions a vector of elements, roughly.
        serves: tells which ops of the class, on which dtype, the function is for.
    """

    function: Lowering
    weight: int
    serves: Callable[[Op, DType], bool]


_TABLE: dict[tuple[type[Op], str], Row] = {}
"""Rows by op class and NumPy's kind of the last operand's dtype."""


def lowers(
    *classes: type[Op],
    kinds: str = "biuf",
    weight: int = 1,
    serves: Callable[[Op, DType], bool] = lambda op, dtype: True,
) -> Callable[[Lowering], Lowering]:
    """Enter ``function(op, *operands)`` for op classes, on operands of the `kinds` of dtype ("b", "i", "u", "f")."""

    def enter(function: Lowering) -> Lowering:
        for cls in classes:
            for kind in kinds:
                _TABLE[cls, kind] = Row(function, weight, serves)
        return function

    return enter


def lowering(op: Op, operand_dtypes: tuple[DType, ...]) -> Lowering | None:
    """Return the function that writes `op` on operands of these dtypes; None where there is no native code for it."""
    if not operand_dtypes or any(DTYPE_NAMES.get(dtype) not in KINDS for dtype in operand_dtypes):
        return None
    dtype = operand_dtypes[-1]
    row = _TABLE.get((type(op), dtype.kind))
    return row.function if row is not None and row.serves(op, dtype) else None


def emit(op: Op, *operands: Lanes) -> Lanes:
    """Write `op`, which must have a lowering, on operands of equally many lanes or of one."""
    count = max(x.count for x in operands)
    lanes = [x.spread(count) for x in operands]
    function = _TABLE[type(op), lanes[-1].kind[0]].function
    return function(op, *lanes)


def weight(op: Op, dtype: DType) -> int:
    """Return roughly how many instructions a vector of elements costs, for operands of `dtype`; 100 if unknown."""
    row = _TABLE.get((type(op), dtype.kind))
    return 100 if row is None else row.weight


def _rows(kinds: str, cost: int, functions: Mapping[type[Op], Callable[..., Lanes]]) -> None:
    """Enter functions of the operands alone."""
    for cls, function in functions.items():
        lowers(cls, kinds=kinds, weight=cost)(partial(_without_op, function))


def _without_op(function: Callable[..., Lanes], op: Op, *operands: Lanes) -> Lanes:
    return function(*operands)


def _same(x: Lanes) -> Lanes:
    return x


def _nowhere(x: Lanes) -> Lanes:
    return x.constant(False, "bool")


def _everywhere(x: Lanes) -> Lanes:
    return x.constant(True, "bool")


def _true(x: Lanes) -> Lanes:
    """Return where x counts as true: it is not 0."""
    return x if x.kind == "bool" else x.differs(0)


# Arithmetic

_rows("iuf", 1, {arithmetic.Add: operator.add, arithmetic.Sub: operator.sub, arithmetic.Neg: operator.neg})
_rows("f", 1, {arithmetic.Mul: operator.mul, arithmetic.Abs: Lanes.abs, rounding.Copysign: Lanes.copysign})
_rows("iu", 2, {arithmetic.Mul: operator.mul, arithmetic.Abs: integers.absolute, rounding.Sign: integers.sign})
_rows("b", 1, {arithmetic.Add: operator.or_, arithmetic.Mul: operator.and_, arithmetic.Abs: _same})
_rows("f", 8, {arithmetic.Div: operator.truediv, arithmetic.Sqrt: Lanes.sqrt})
_rows("f", 4, {rounding.Sign: floats.sign, rounding.Heaviside: floats.heaviside})
_rows("f", 8, {rounding.Nextafter: floats.nextafter, rounding.Spacing: floats.spacing})
_rows("biu", 0, {rounding.Floor: _same, rounding.Ceil: _same, rounding.Trunc: _same})


def _rounded(name: str) -> Callable[[Lanes], Lanes]:
    return lambda x: x.intrinsic(name)


_rows("f", 1, {rounding.Floor: _rounded("floor"), rounding.Ceil: _rounded("ceil")})
_rows("f", 1, {rounding.Trunc: _rounded("trunc"), rounding.Rint: Lanes.rint})


# Division


def _floor_divide(a: Lanes, b: Lanes) -> Lanes:
    return floats.divmod_(a, b)[0]


def _remainder(a: Lanes, b: Lanes) -> Lanes:
    return floats.divmod_(a, b)[1]


_rows("iu", 20, {rounding.FloorDivide: integers.floor_divide, rounding.Remainder: integers.remainder})
_rows("iu", 20, {rounding.Fmod: integers.fmod})
_rows("iu", 4, {rounding.Reciprocal: integers.reciprocal})
_rows("iu", 200, {rounding.Gcd: integers.gcd, rounding.Lcm: integers.lcm})
_rows("f", 50, {rounding.FloorDivide: _floor_divide, rounding.Remainder: _remainder})
_rows("f", 30, {rounding.Fmod: floats.fmod})


# Powers


def _fits(op: Op, dtype: DType) -> bool:
    """Tell whether an exponent is one of NumPy's integers of the dtype, and not negative."""
    assert isinstance(op, arithmetic.PowerScalar)
    return isinstance(op.exponent, int) and 0 <= op.exponent <= np.iinfo(dtype).max


@lowers(arithmetic.PowerScalar, kinds="iu", weight=6, serves=_fits)
@lowers(arithmetic.PowerScalar, kinds="f", weight=30)
def _power_scalar(op: arithmetic.PowerScalar, x: Lanes) -> Lanes:
    return power.power_scalar(x, op.exponent)


# Powers of signed integers refuse negative exponents at run time; native code refuses nothing.
_rows("u", 200, {arithmetic.Power: integers.power})
_rows("f", 80, {arithmetic.Power: power.power})
_rows("f", 200, {special.Betaln: beta.betaln})


@lowers(
    special.Polygamma,
    kinds="f",
    weight=150,
    serves=lambda op, dtype: getattr(op, "order", 0) <= polygamma.LARGEST_ORDER,
)
def _polygamma(op: special.Polygamma, x: Lanes) -> Lanes:
    return polygamma.polygamma(op.order, x)


_rows("f", 25, {rounding.Cbrt: power.cbrt, rounding.Hypot: hypot.hypot})


# Selection

_rows("iu", 2, {selection.Maximum: integers.maximum, selection.Minimum: integers.minimum})
_rows("iu", 2, {selection.Fmax: integers.maximum, selection.Fmin: integers.minimum})
_rows("b", 1, {selection.Maximum: operator.or_, selection.Minimum: operator.and_})
_rows("b", 1, {selection.Fmax: operator.or_, selection.Fmin: operator.and_})
_rows("f", 3, {selection.Maximum: floats.maximum, selection.Minimum: floats.minimum})
_rows("f", 3, {selection.Fmax: floats.fmax, selection.Fmin: floats.fmin})
_rows("biuf", 1, {selection.Where: Lanes.select})


# Transcendental functions

_rows("f", 1, {trigonometric_ops.Deg2rad: trigonometric.deg2rad, trigonometric_ops.Rad2deg: trigonometric.rad2deg})
_rows("f", 20, {transcendental.Exp: exponential.exp, transcendental.Exp2: exponential.exp2})
_rows("f", 25, {transcendental.Expm1: exponential.expm1, transcendental.Expit: logistic.expit})
_rows("f", 25, {transcendental.Log: logarithm.log, transcendental.Log1p: logarithm.log1p})
_rows("f", 35, {transcendental.Log2: logarithm.log2, transcendental.Log10: logarithm.log10})
_rows("f", 80, {transcendental.Logaddexp2: log_of_sum.logaddexp2})
_rows("f", 35, {trigonometric_ops.Sin: trigonometric.sin, trigonometric_ops.Cos: trigonometric.cos})
_rows("f", 50, {trigonometric_ops.Tan: trigonometric.tan, trigonometric_ops.Arctan2: inverse_trigonometric.arctan2})
_rows(
    "f",
    35,
    {trigonometric_ops.Arcsin: inverse_trigonometric.arcsin, trigonometric_ops.Arccos: inverse_trigonometric.arccos},
)
_rows("f", 30, {trigonometric_ops.Arctan: inverse_trigonometric.arctan, hyperbolic_ops.Tanh: hyperbolic.tanh})
_rows("f", 30, {hyperbolic_ops.Sinh: hyperbolic.sinh, hyperbolic_ops.Cosh: hyperbolic.cosh})
_rows("f", 40, {hyperbolic_ops.Arcsinh: hyperbolic.arcsinh, hyperbolic_ops.Arccosh: hyperbolic.arccosh})
_rows("f", 40, {hyperbolic_ops.Arctanh: hyperbolic.arctanh})
_rows("f", 60, {error_functions.Erf: error_function.erf, error_functions.Erfc: error_function.erfc})
_rows("f", 40, {special.Logit: logarithm.logit, special.Xlogy: logarithm.xlogy})
_rows("f", 50, {special.Xlog1py: logarithm.xlog1py, special.RelEntr: logarithm.rel_entr})
_rows("f", 90, {special.Gammaln: gamma.gammaln, special.Gamma: gamma.gamma, special.Digamma: gamma.digamma})
_rows("f", 100, {normal_ops.Ndtri: normal.ndtri, normal_ops.Erfinv: normal.erfinv, normal_ops.Erfcinv: normal.erfcinv})
_rows("f", 150, {normal_ops.LogNdtr: normal.log_ndtr, normal_ops.InverseMills: normal.inverse_mills})
_rows("f", 150, {normal_ops.NdtriExp: normal.ndtri_exp})


@lowers(transcendental.Logaddexp, kinds="f", weight=80)
def _logaddexp(op: transcendental.Logaddexp, a: Lanes, b: Lanes) -> Lanes:
    # Beside 0, as in log(1 + e^x), nothing cancels.
    for x, other in ((a, b), (b, a)):
        if other.text == other.constant(0.0).text:
            return logistic.softplus(x)
    return log_of_sum.logaddexp(a, b)


# Comparison, logic, bits

_rows("biuf", 1, {comparison.Equal: Lanes.equals, comparison.NotEqual: Lanes.differs})
_rows("biuf", 1, {comparison.Less: operator.lt, comparison.LessEqual: operator.le})
_rows("biuf", 1, {comparison.Greater: operator.gt, comparison.GreaterEqual: operator.ge})
_rows(
    "biuf",
    2,
    {
        comparison.LogicalAnd: lambda a, b: _true(a) & _true(b),
        comparison.LogicalOr: lambda a, b: _true(a) | _true(b),
        comparison.LogicalXor: lambda a, b: _true(a) ^ _true(b),
        comparison.LogicalNot: lambda x: ~_true(x),
    },
)
_rows("biu", 0, {comparison.Isnan: _nowhere, comparison.Isinf: _nowhere, comparison.Isfinite: _everywhere})
_rows("f", 2, {comparison.Isnan: Lanes.is_nan, comparison.Isinf: floats.is_infinite})
_rows("f", 2, {comparison.Isfinite: floats.is_finite, comparison.Signbit: floats.sign_bit})
_rows("biu", 1, {comparison.BitwiseAnd: operator.and_, comparison.BitwiseOr: operator.or_})
_rows("biu", 1, {comparison.BitwiseXor: operator.xor, comparison.Invert: operator.invert})
_rows("iu", 3, {comparison.LeftShift: integers.shift_left, comparison.RightShift: integers.shift_right})
_rows("iu", 8, {comparison.BitwiseCount: integers.count_ones})


# Casts


def _is_to_real(op: Op, dtype: DType) -> bool:
    assert isinstance(op, Cast)
    return DTYPE_NAMES.get(op.dtype) in KINDS


@lowers(Cast, weight=2, serves=_is_to_real)
def _cast(op: Cast, x: Lanes) -> Lanes:
    return conversions.cast(x, DTYPE_NAMES[op.dtype])
