"""Elementwise functions that are no single op: choices, rounding, closeness, and ufuncs written with others.

Ufuncs that an op means need no function here (see `ufuncs.py`).
"""

from __future__ import annotations

from typing import Any, overload

import numpy as np

import graphad.ops as ops
from graphad.ir.errors import OpTypeError
from graphad.ir.types import as_dtype, finfo, is_complex, is_float, is_inexact
from graphad.numpy.arguments import averaging_dtype, dtype_of, elements, no_out, refuse, untraceable
from graphad.numpy.reductions import all
from graphad.ops.rounding import Reciprocal, Sign
from graphad.tracing.coerce import (
    as_tensor,
    common_shape,
    constant,
    elementwise,
    is_weak,
    power_ufunc,
    promoted,
    result_dtype,
)
from graphad.tracing.protocols import implements
from graphad.tracing.tensor import Tensor

_NONE: Any = np._NoValue  # what NumPy passes for "not given"
_BOOL = np.dtype(np.bool_)


def as_float(x: Any) -> Tensor:
    """Return x as a floating-point tensor, real or complex: float64 where it was not one."""
    t = as_tensor(x)
    return ops.cast(t, averaging_dtype(t.dtype))


def _in_loop_of(ufunc: np.ufunc, x: Any) -> Tensor:
    """Return x in the dtype in which NumPy's `ufunc` computes on it: small integers take small floats."""
    t = as_tensor(x)
    return t if is_inexact(t.dtype) else ops.cast(t, result_dtype(ufunc, t))


@overload
def where(condition: Any, /) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Any, x: Any, y: Any, /) -> Tensor: ...
@implements(np.where)
def where(condition: Any, x: Any = _NONE, y: Any = _NONE, /) -> Any:
    """z = x where the condition is true (not 0), y elsewhere; of a known condition alone, where it is true."""
    if x is _NONE or y is _NONE:
        found = elements(condition)
        if found is not None and x is y is _NONE:
            return tuple(map(constant, np.nonzero(found)))
        untraceable(
            "np.where(condition) with one argument gives as many indices as elements are true, "
            "which is not known while tracing. Use the three-argument np.where(condition, x, y), or a mask as a factor"
        )
    mask = ops.cast(as_tensor(condition), _BOOL)
    a, b = promoted(x, y)
    shape = common_shape([mask.shape, a.shape, b.shape])
    return ops.where(ops.broadcast_to(mask, shape), ops.broadcast_to(a, shape), ops.broadcast_to(b, shape))


@implements(np.clip)
def clip(
    a: Any,
    a_min: Any = _NONE,
    a_max: Any = _NONE,
    out: None = None,
    *,
    min: Any = _NONE,
    max: Any = _NONE,
    dtype: Any = None,
) -> Tensor:
    """y = minimum(maximum(a, a_min), a_max); a bound of None does not bound."""
    no_out(out, "clip")
    low = _bound("min", a_min, min)
    high = _bound("max", a_max, max)
    y = as_tensor(a)
    if low is not None:
        y = np.maximum(y, low)
    if high is not None:
        y = np.minimum(y, high)
    return ops.cast(y, dtype_of(dtype, y.dtype))


def _bound(name: str, positional: Any, keyword: Any) -> Any:
    if positional is not _NONE and keyword is not _NONE:
        refuse(f"np.clip: give a_{name} or {name}, not both")
    bound = keyword if positional is _NONE else positional
    return None if bound is _NONE else bound


@implements(np.round, np.around)
def round(a: Any, decimals: int = 0, out: None = None) -> Tensor:
    """y = a rounded to `decimals` digits after the point, halves to even."""
    no_out(out, "round")
    x = as_tensor(a)
    if x.dtype.kind == "b":
        if decimals:
            refuse(f"np.round of booleans takes no decimals, got {decimals}")
        x = _in_loop_of(np.rint, x)
    if not is_inexact(x.dtype):
        if decimals >= 0:
            return x
        # NumPy, too, divides integers as floats here.
        return ops.cast(round(ops.cast(x, np.dtype(np.float64)), decimals), x.dtype)
    if decimals == 0:
        return ops.rint(x)
    scale = float(10 ** abs(decimals))
    return ops.rint(x * scale) / scale if decimals > 0 else ops.rint(x / scale) * scale


around = round


@implements(np.fix)
def fix(x: Any, out: None = None) -> Tensor:
    """y = x rounded towards 0."""
    no_out(out, "fix")
    t = as_tensor(x)
    return t if t.dtype.kind in "biu" else ops.trunc(t)


@implements(np.square)
def square(x: Any, /) -> Tensor:
    """y = x * x."""
    t = _in_loop_of(np.square, x)
    return t * t


@implements(np.reciprocal)
def reciprocal(x: Any, /) -> Tensor:
    """y = 1 / x; truncated for integers, 0 where |x| > 1."""
    t = as_tensor(x)
    return 1 / t if is_inexact(t.dtype) else elementwise(Reciprocal(), t)


@implements(np.positive)
def positive(x: Any, /) -> Tensor:
    """y = x, a number."""
    t = as_tensor(x)
    if t.dtype.kind == "b":
        refuse(f"np.positive is not defined for booleans ({t.type})")
    return t


@implements(np.fabs)
def fabs(x: Any, /) -> Tensor:
    """y = |x|, floating-point."""
    return ops.absolute(_in_loop_of(np.fabs, x))


@implements(np.degrees)
def degrees(x: Any, /) -> Tensor:
    """y = x * 180 / pi."""
    return ops.rad2deg(_in_loop_of(np.degrees, x))


@implements(np.radians)
def radians(x: Any, /) -> Tensor:
    """y = x * pi / 180."""
    return ops.deg2rad(_in_loop_of(np.radians, x))


@implements(np.float_power)
def float_power(x1: Any, x2: Any, /) -> Tensor:
    """y = x1 ** x2 in float64, or complex128 where one is complex."""
    operands = [x if is_weak(x) else as_tensor(x) for x in (x1, x2)]
    complex_ = any(is_complex(x.dtype) if isinstance(x, Tensor) else isinstance(x, complex) for x in operands)
    wide = np.dtype(np.complex128 if complex_ else np.float64)
    base, exponent = (ops.cast(x, wide) if isinstance(x, Tensor) else x for x in operands)
    return power_ufunc(base, exponent, wide)


@implements(np.power)
def power(x1: Any, x2: Any, /, dtype: Any = None) -> Tensor:
    """y = x1 ** x2; of integers, integers."""
    return power_ufunc(x1, x2, None if dtype is None else as_dtype(dtype))


@implements(np.divmod)
def divmod(x1: Any, x2: Any, /) -> tuple[Tensor, Tensor]:
    """(q, r) = (x1 // x2, x1 % x2)."""
    a, b = as_pair(x1, x2)
    return a // b, a % b


def as_pair(x1: Any, x2: Any) -> tuple[Tensor, Tensor]:
    """Return two operands in their common dtype, Python numbers weak."""
    a, b = promoted(x1, x2)
    return a, b


@implements(np.modf)
def modf(x: Any, /) -> tuple[Tensor, Tensor]:
    """(fraction, whole) with fraction + whole = x, both with the sign of x."""
    t = _in_loop_of(np.modf, x)
    whole = ops.trunc(t)
    fraction = ops.where(ops.isinf(t), t.zeros_like(), t - whole)
    return ops.copysign(fraction, t), whole


@implements(np.ldexp)
def ldexp(x1: Any, x2: Any, /) -> Tensor:
    """y = x1 * 2 ** x2 for integers x2."""
    mantissa, exponent = as_tensor(x1), as_tensor(x2)
    if exponent.dtype.kind not in "biu":
        refuse(f"np.ldexp takes integer exponents, got {exponent.type}")
    dtype = mantissa.dtype
    x = ops.cast(mantissa, dtype if is_float(dtype) else result_dtype(np.ldexp, mantissa, exponent))
    if exponent.dtype.kind == "b":
        exponent = ops.cast(exponent, np.dtype(np.int32))
    # In two halves, so that a power that overflows alone does not where the product is finite.
    half = exponent // 2
    return x * ops.exp2(ops.cast(half, x.dtype)) * ops.exp2(ops.cast(exponent - half, x.dtype))


@implements(np.frexp)
def frexp(x: Any, /) -> tuple[Tensor, Tensor]:
    """Refuse: no op takes mantissa and exponent of a number apart."""
    untraceable("np.frexp cannot be traced. Use np.floor(np.log2(np.abs(x))) and a division by a power of 2")


@implements(np.conjugate)
def conjugate(x: Any, /) -> Tensor:
    """y = Re x - i Im x, the complex conjugate; x itself where it is real."""
    return ops.conj(_in_loop_of(np.conjugate, x))


conj = conjugate


@implements(np.real)
def real(val: Any) -> Tensor:
    """y = the real part; val itself where it is real."""
    return ops.real_part(as_tensor(val))


@implements(np.imag)
def imag(val: Any) -> Tensor:
    """y = the imaginary part; 0 where val is real."""
    return ops.imag_part(as_tensor(val))


@implements(np.angle)
def angle(z: Any, deg: bool = False) -> Tensor:
    """y = the angle of z in the complex plane, in (-pi, pi], in degrees with `deg`; its derivative at 0 is 0."""
    t = as_tensor(z)
    # NumPy gives arctan2 a Python zero for the imaginary part of what is not complex.
    t = t if is_inexact(t.dtype) else ops.cast(t, result_dtype(np.arctan2, 0, t))
    radians_ = ops.arctan2(ops.imag_part(t), ops.real_part(t))
    return radians_ * (180 / np.pi) if deg else radians_


@implements(np.sign)
def sign(x: Any, /) -> Tensor:
    """y = -1, 0 or 1 as x is negative, zero or positive; z / |z|, and 0 at 0, for complex numbers."""
    t = as_tensor(x)
    if not is_complex(t.dtype):
        return elementwise(Sign(), t)
    zero = ops.equal(t, t.zeros_like())
    safe = ops.where(zero, t.zeros_like() + 1, t)
    return ops.where(zero, t.zeros_like(), safe / ops.cast(ops.absolute(safe), t.dtype))


@implements(np.isreal)
def isreal(x: Any) -> Tensor:
    """y = whether the imaginary part of x is 0."""
    t = as_tensor(x)
    return ops.imag_part(t) == 0 if is_complex(t.dtype) else ops.broadcast_to(constant(True), t.shape)


@implements(np.iscomplex)
def iscomplex(x: Any) -> Tensor:
    """y = whether the imaginary part of x is not 0."""
    t = as_tensor(x)
    return ops.imag_part(t) != 0 if is_complex(t.dtype) else ops.broadcast_to(constant(False), t.shape)


@implements(np.iscomplexobj)
def iscomplexobj(x: Any) -> bool:
    """Return whether the dtype of x is complex."""
    return is_complex(as_tensor(x).dtype)


@implements(np.isrealobj)
def isrealobj(x: Any) -> bool:
    """Return whether the dtype of x is real."""
    return not is_complex(as_tensor(x).dtype)


@implements(np.isposinf)
def isposinf(x: Any, out: None = None) -> Tensor:
    """y = whether x is +inf."""
    no_out(out, "isposinf")
    return _real_only(x, "isposinf") == np.inf


@implements(np.isneginf)
def isneginf(x: Any, out: None = None) -> Tensor:
    """y = whether x is -inf."""
    no_out(out, "isneginf")
    return _real_only(x, "isneginf") == -np.inf


def _real_only(x: Any, function: str) -> Tensor:
    t = as_float(x)
    if is_complex(t.dtype):
        refuse(f"np.{function} is not defined for complex numbers ({t.type}); ask for real and imaginary part")
    return t


@implements(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Tensor:
    """y = x with nan, +inf and -inf replaced (the infinities by the largest numbers of the dtype)."""
    t = as_tensor(x)
    if is_complex(t.dtype):
        parts = (nan_to_num(part, copy, nan, posinf, neginf) for part in (ops.real_part(t), ops.imag_part(t)))
        return ops.complex_of(*parts)
    if not is_float(t.dtype):
        return t
    limits = finfo(t.dtype)
    y = where(ops.isnan(t), nan, t)
    y = where(t == np.inf, float(limits.max) if posinf is None else posinf, y)
    y = where(t == -np.inf, float(limits.min) if neginf is None else neginf, y)
    return ops.cast(y, t.dtype)


@implements(np.isclose)
def isclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Tensor:
    """y = |a - b| <= atol + rtol * |b|; equal infinities are close, nan only with `equal_nan`."""
    x, y = as_float(a), as_float(b)
    near = np.abs(x - y) <= atol + rtol * np.abs(y)
    result = (near & np.isfinite(y)) | (x == y)
    if equal_nan:
        result = result | (np.isnan(x) & np.isnan(y))
    found: Tensor = result
    return found


@implements(np.allclose)
def allclose(a: Any, b: Any, rtol: Any = 1e-5, atol: Any = 1e-8, equal_nan: bool = False) -> Tensor:
    """y = whether all elements are close (see `isclose`)."""
    return all(isclose(a, b, rtol, atol, equal_nan))


@implements(np.array_equal)
def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Tensor:
    """y = whether the shapes agree and all elements are equal."""
    x, y = as_tensor(a1), as_tensor(a2)
    if x.shape != y.shape:
        return constant(False)
    same: Tensor = x == y
    if equal_nan and is_inexact(x.dtype) and is_inexact(y.dtype):
        same = same | (ops.isnan(x) & ops.isnan(y))
    return all(same)


@implements(np.array_equiv)
def array_equiv(a1: Any, a2: Any) -> Tensor:
    """y = whether the shapes broadcast and all elements are equal then."""
    x, y = as_tensor(a1), as_tensor(a2)
    try:
        common_shape([x.shape, y.shape])
    except OpTypeError:
        return constant(False)
    return all(x == y)


@implements(np.sinc)
def sinc(x: Any) -> Tensor:
    """y = sin(pi x) / (pi x), 1 at 0; a series near 0, so that derivatives are right there too."""
    y = as_float(x) * float(np.pi)
    near = ops.absolute(y) < 0.03
    one = y.zeros_like() + 1
    far = ops.where(near, one, y)
    small = ops.where(near, y, y.zeros_like())
    z = small * small
    series = 1 - z / 6 * (1 - z / 20 * (1 - z / 42))
    return ops.where(near, series, ops.sin(far) / far)


def sigmoid(x: Any) -> Tensor:
    """y = 1 / (1 + exp(-x))."""
    return ops.expit(as_float(x))


expit = sigmoid


def erf(x: Any) -> Tensor:
    """y = 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x."""
    return ops.erf(as_float(x))


def erfc(x: Any) -> Tensor:
    """y = 1 - erf(x), without cancellation."""
    return ops.erfc(as_float(x))
