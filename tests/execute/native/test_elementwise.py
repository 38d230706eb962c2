"""Every elementwise lowering against its op's NumPy evaluation, in single lanes and in vectors, on hostile values."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import itertools
import math

import mpmath
import numpy as np
import pytest

pytest.importorskip("llvmlite")

import graphad.special  # noqa: F401  (defines ops of its own)
from graphad.execute.native import elementwise
from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import bits_of, load, store
from graphad.execute.native.target import Loaded, host
from graphad.execute.native.target import load as load_text
from graphad.ir.errors import RuleViolation
from graphad.ir.op import OPS, Elementwise
from graphad.ir.types import DTYPE_NAMES, TensorType, dtype_named
from graphad.ops.arithmetic import Add, Div, Power
from graphad.ops.cast import Cast
from graphad.ops.rounding import FloorDivide, Hypot
from graphad.ops.selection import Where
from graphad.ops.transcendental import Exp

REAL = [name for name in DTYPE_NAMES.values() if name in elementwise.KINDS]
LIMIT = 4
"""Units in the last place by which a transcendental function may differ from NumPy's or SciPy's, or from the truth."""
# fmt: off
APPROXIMATE = {
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt", "cos", "cosh", "digamma", "erf",
    "erfc", "exp", "exp2", "expit", "expm1", "gamma", "gammaln", "hypot", "log", "log10", "log1p", "log2",
    "logaddexp", "logaddexp2", "logit", "power", "power_scalar", "rel_entr", "sin", "sinh", "tan", "tanh", "xlog1py",
    "xlogy", "ndtri", "erfinv", "erfcinv", "log_ndtr", "inverse_mills",
    "ndtri_exp",
}
# fmt: on
CANCELS = {"logaddexp", "logaddexp2", "rel_entr"}
"""NumPy's results near 0 are differences of larger numbers, and as accurate as those."""
UNLOWERED = {
    "bessel_i": "has no native function yet",
    "bessel_ie": "has no native function yet",
    "beta": "has no native function yet",
    "beta_tail": "is an integral of NumPy loops",
    "betainc": "is SciPy's continued fraction",
    "gamma_tail": "is an integral of NumPy loops",
    "gammainc": "is SciPy's series and continued fraction",
    "gammaincc": "is SciPy's series and continued fraction",
    "zeta": "has no native function yet",
}
"""Elementwise ops that run on NumPy on every dtype, and why."""
ELSEWHERE = {
    "polygamma": "SciPy does not return in reasonable time for large negative numbers; test_maths_b compares the rest",
    "betaln": "its error is relative to the terms that cancel; test_maths_b compares it",
}
"""Lowered ops that are not run on hostile values here, and why."""
UNLOWERED_KINDS = {("power", "i"): "refuses negative exponents at run time; native code refuses nothing"}
"""Ops that run on NumPy on some kinds of dtype only, and why."""


# Values


def values(name):
    """Return hostile values of a dtype, its special ones first."""
    dtype, rng = dtype_named(name), np.random.default_rng(len(name))
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind in "iu":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        special = {0, 1, 2, 3, 5, 7, 8, 15, 16, 31, 32, 63, 64, 100, low, low + 1, high, high - 1, high // 2, high // 3}
        if dtype.kind == "i":
            special |= {-1, -2, -3, -7, -8, -64, low // 2}
        return np.array([*sorted(special), *rng.integers(low, high, 20, dtype, endpoint=True)], dtype)
    limits, word = np.finfo(dtype), f"u{dtype.itemsize}"
    least, tiny = limits.smallest_subnormal, limits.tiny
    sizes = [0, least, 7 * least, np.nextafter(tiny, dtype.type(0)), tiny, limits.eps, 1e-5, 0.25, 0.5]
    sizes += [1 - limits.epsneg, 1, 1 + limits.eps, 1.5, 2, 2.5, 3, math.pi, 10, 127.5, 255.5, 256, 65535.5, 65536]
    sizes += [2**31 - 1, 2**31, 2**31 + 0.5, 2**32, 2.0**52 + 0.5, 2.0**53, 2.0**63, 2.0**64, 1e30]
    sizes += [np.nextafter(dtype.type(2.0**k), dtype.type(0)) for k in (31, 32, 63, 64)]
    sizes += [limits.max, math.inf, math.nan]
    positive = np.array(sizes, dtype)
    patterns = rng.integers(0, np.iinfo(word).max, 24, word, endpoint=True).view(dtype)
    return np.concatenate([positive, -positive, patterns, rng.uniform(-50, 50, 20).astype(dtype)])


def operands_of(op, kinds):
    """Return operands: the op's own samples, all pairs of the values (or the values), and random bit patterns."""
    name, rng = kinds[-1], np.random.default_rng(5)
    one = values(name)
    left, right = (one, one) if len(kinds) == 1 else map(np.array, zip(*itertools.product(one, one), strict=True))
    pieces = [[left, right, left[::-1]][-len(kinds) :] if len(kinds) > 2 else [left, right]]
    if one.dtype.kind != "b":
        pieces.append([rng.integers(0, 256, 256 * one.itemsize, np.uint8).view(one.dtype) for _ in range(3)])
    pieces += [[operand.draw(rng).ravel() for operand in s.operands] for s in samples_of(op, one.dtype)]
    with np.errstate(invalid="ignore"):
        arrays = [np.concatenate(part).astype(dtype_named(kind)) for kind, *part in zip(kinds, *pieces, strict=False)]
    return [np.concatenate([a, np.resize(a, -len(a) % 128)]) for a in arrays]


def samples_of(op, dtype):
    """Return the op's samples on numbers of the kind of `dtype`."""
    attributes = {field.name: getattr(op, field.name) for field in dataclasses.fields(op)}
    fits = [s for s in op.samples if np.dtype(s.operands[-1].dtype).kind == dtype.kind]
    return [s for s in fits if s.attributes == attributes]


# Kernels


def function_into(module: Module, name, op, kinds, lanes):
    """Write ``void name(ptr a, ptr b, ptr c, ptr out, i64 n)``: out[k] = op(a[k], ...) for n a multiple of `lanes`."""
    parameters = [("ptr", "a"), ("ptr", "b"), ("ptr", "c"), ("ptr", "out"), ("i64", "n")]
    code = module.function(name, "void", parameters, "nounwind")
    with code.loop("0", "%n", lanes) as i:
        given = [
            load(code, k, address(code, k, at, i), lanes) for k, at in zip(kinds, ("%a", "%b", "%c"), strict=False)
        ]
        result = elementwise.emit(op, *given)
        store(result, address(code, result.kind, "%out", i))
    code.line("ret void")


def address(code: Code, kind, base, index):
    return code.value(f"getelementptr i{max(8, bits_of(kind))}, ptr {base}, i64 {index}")


def run(loaded: Loaded, name, arrays, dtype):
    """Call a function of the module on arrays of one length."""
    out = np.empty(len(arrays[0]), dtype)
    pointers = [a.ctypes.data for a in arrays] + [0] * (3 - len(arrays))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4, ctypes.c_int64)(loaded.address(name))
    call(*pointers, out.ctypes.data, len(out))
    return out


def attributes_of(cls):
    """Return the attributes with which to make ops of a class: those of its samples, once each."""
    return list({repr(s.attributes): s.attributes for s in cls.samples}.values())


def operand_kinds(op, name):
    """Return the dtype of each operand of an elementwise op on numbers of one dtype."""
    return ("bool", name, name) if op.name == "where" else (name,) * op.arity


@functools.cache
def cases(name):
    """Return (function name, op, operands' dtype names) for every op that is lowered on a dtype."""
    found = []
    for cls in OPS.values():
        if issubclass(cls, Elementwise) and cls.name not in ELSEWHERE:
            for k, attributes in enumerate(attributes_of(cls)):
                op = cls(**attributes)
                kinds = operand_kinds(op, name)
                if elementwise.lowering(op, tuple(map(dtype_named, kinds))) is not None:
                    found.append((f"{cls.name}{k}", op, kinds))
    for target in REAL:
        found.append((f"cast_{target}", Cast(dtype_named(target)), (name,)))
    return found


@functools.cache
def compiled(name, lanes):
    module = Module()
    for label, op, kinds in cases(name):
        function_into(module, label, op, kinds, lanes)
    return load_text(module.text())


CASES = [pytest.param(name, label, id=f"{name}-{label}") for name in REAL for label, _, _ in cases(name)]


def lane_counts(name):
    native = host().vector_bytes // max(1, bits_of(name) // 8)
    return 1, native, 2 * native


# Comparison


def same_bits(got, expected):
    """Return where two arrays hold the same bits; any nan is every other."""
    if got.dtype.kind != "f":
        return got == expected
    return (got.view(f"i{got.itemsize}") == expected.view(f"i{got.itemsize}")) | (np.isnan(got) & np.isnan(expected))


def expected_of(op, arrays):
    with np.errstate(all="ignore"):
        # NumPy's vector code casts out-of-range floats to uint32 otherwise than its scalar code does.
        if isinstance(op, Cast):
            return np.repeat(arrays[0], 2)[::2].astype(op.dtype)
        return op.evaluate(*arrays)


def ordered(x):
    """Return floats as integers in the same order: neighbours differ by 1, zeros by 0."""
    bits = x.view(f"i{x.itemsize}").astype(object)
    return np.where(bits < 0, np.iinfo(f"i{x.itemsize}").min - bits, bits)


def near(op, got, expected, arrays):
    """Return where floats agree to `LIMIT` units in the last place, of the larger operand's where results cancel."""
    close = np.abs(ordered(got) - ordered(expected)) <= LIMIT
    close &= np.isnan(got) == np.isnan(expected)
    # A zero has its sign.
    close &= (got != 0) | (expected != 0) | (np.signbit(got) == np.signbit(expected))
    if op.name in CANCELS:
        with np.errstate(all="ignore"):
            unit = np.spacing(np.maximum(1, np.max(np.abs(arrays), axis=0)))
            close |= np.abs(got - expected) <= LIMIT * unit
    return close | (np.isnan(got) & np.isnan(expected))


def lower(x):
    """Phi(x) in multiple precision."""
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


def root(function, slope, near):
    """Return the zero of an increasing or decreasing function by Newton's method."""
    for _ in range(4):
        near -= function(near) / slope(near)
    return near


TRUTH = {
    "gamma": lambda x, y: mpmath.gamma(x),
    "gammaln": lambda x, y: mpmath.log(abs(mpmath.gamma(x))),
    "digamma": lambda x, y: mpmath.digamma(x),
    "log_ndtr": lambda x, y: mpmath.log(lower(x)) if x < 0 else mpmath.log1p(-lower(-x)),
    "inverse_mills": lambda x, y: mpmath.npdf(x) / lower(x),
    "erfinv": lambda x, y: mpmath.erfinv(x),
    "erfcinv": lambda x, y: root(
        lambda z: x - mpmath.erfc(z), lambda z: 2 * mpmath.exp(-z * z) / mpmath.sqrt(mpmath.pi), y
    ),
    "ndtri_exp": lambda x, y: root(lambda z: mpmath.log(lower(z)) - x, lambda z: mpmath.npdf(z) / lower(z), y),
}
"""The true values, near y, of functions of which SciPy's have larger errors."""


def near_truth(op, got, x):
    """Tell whether a number is within `LIMIT` units of the true value; below 0, of the terms of the reflection."""
    if not np.isfinite(got):
        # Halves of what is below 0 round to 0 in NumPy's erfcinv.
        return np.isnan(got) and op.name == "erfcinv" and x < 0
    reflected = x < 0 and op.name in ("gammaln", "digamma")
    size = max(abs(got), math.log(2 - x)) if reflected else abs(got)
    with mpmath.workprec(400):
        truth = TRUTH[op.name](mpmath.mpf(float(x)), mpmath.mpf(float(got)))
        error = abs(mpmath.mpf(float(got)) - truth)
        return error <= LIMIT * float(np.spacing(got.dtype.type(size))) and (truth < 0) == np.signbit(got)


@pytest.mark.parametrize(("name", "label"), CASES)
def test_lanes_give_numpys_values(name, label):
    op, kinds = next((op, kinds) for found, op, kinds in cases(name) if found == label)
    arrays = operands_of(op, kinds)
    expected = expected_of(op, arrays)
    results = [run(compiled(name, lanes), label, arrays, expected.dtype) for lanes in lane_counts(name)]
    for other in results[1:]:
        assert same_bits(results[0], other).all(), "vectors and single lanes differ"
    got = results[0]
    loose = op.name in APPROXIMATE and expected.dtype.kind == "f"
    right = near(op, got, expected, arrays) if loose else same_bits(got, expected)
    if op.name in TRUTH:
        for k in np.flatnonzero(~right):
            right[k] = near_truth(op, got[k], arrays[0][k])
    k = np.flatnonzero(~right)
    assert not len(k), f"{len(k)} differ: of {[a[k[:6]] for a in arrays]} came {got[k[:6]]}, not {expected[k[:6]]}"


SIGN_BITS = ("neg", "abs", "copysign", "where")


@pytest.mark.parametrize("name", ["f32", "f64"])
def test_moves_and_signs_keep_the_bits_of_nan(name):
    for label, op, kinds in cases(name):
        if op.name in SIGN_BITS:
            arrays = operands_of(op, kinds)
            got = run(compiled(name, lane_counts(name)[1]), label, arrays, arrays[-1].dtype)
            assert got.tobytes() == expected_of(op, arrays).tobytes(), op.name


# The table


def accepts(op, name):
    """Tell whether an elementwise op is defined on operands of a dtype."""
    kinds = operand_kinds(op, name)
    try:
        op.infer(*[TensorType(dtype_named(kind), (3,)) for kind in kinds])
    except RuleViolation:
        return False
    return True


def test_what_has_no_native_code_is_declared():
    missing, partly = set(), set()
    for cls in OPS.values():
        if issubclass(cls, Elementwise):
            ops = [cls(**attributes) for attributes in attributes_of(cls)]
            pairs = [(op, name) for op in ops for name in REAL if accepts(op, name)]
            holes = {
                (op.name, dtype_named(name).kind)
                for op, name in pairs
                if elementwise.lowering(op, tuple(map(dtype_named, operand_kinds(op, name)))) is None
            }
            everything = holes == {(op.name, dtype_named(name).kind) for op, name in pairs}
            missing |= {cls.name} if everything else set()
            partly |= set() if everything else holes
    assert missing == set(UNLOWERED)
    assert partly == set(UNLOWERED_KINDS)


@pytest.mark.parametrize("name", ["f16", "c64", "c128"])
def test_half_precision_and_complex_numbers_have_no_native_code(name):
    dtype = dtype_named(name)
    assert elementwise.lowering(Add(), (dtype, dtype)) is None
    assert elementwise.lowering(Cast(dtype), (np.dtype(np.float64),)) is None
    assert elementwise.lowering(Cast(np.dtype(np.float64)), (dtype,)) is None


def test_one_lane_meets_a_vector():
    code = Module().function("f", "void", [("ptr", "p")])
    one, four = load(code, "f64", "%p"), load(code, "f64", "%p", 4)
    for operands in [(one, four), (four, one)]:
        assert elementwise.emit(Hypot(), *operands).count == 4
    assert elementwise.emit(Where(), one > 0, four, one).count == 4


def test_weights_tell_cheap_from_dear():
    f64, i64 = np.dtype(np.float64), np.dtype(np.int64)
    assert elementwise.weight(Add(), f64) < elementwise.weight(Div(), f64) < elementwise.weight(Exp(), f64)
    assert elementwise.weight(Exp(), f64) < elementwise.weight(Power(), f64)
    assert elementwise.weight(Add(), i64) < elementwise.weight(FloorDivide(), i64)
