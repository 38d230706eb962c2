"""Every elementwise lowering against its op's NumPy evaluation, at one lane and at vectors of them, on hostile values."""

from __future__ import annotations

import ctypes
import functools
import itertools
import math

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from graphad.execute.native import elementwise
from graphad.execute.native.code import Code, Module
from graphad.execute.native.lanes import bits_of, load, store
from graphad.execute.native.target import Loaded, host
from graphad.execute.native.target import load as load_text
from graphad.ir.op import OPS, Elementwise
from graphad.ir.types import DTYPE_NAMES, dtype_named
from graphad.ops.cast import Cast

REAL = [name for name in DTYPE_NAMES.values() if name in elementwise.KINDS]
LIMIT = 4
"""Units in the last place by which a transcendental function may differ from NumPy's or SciPy's."""


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
    sizes = [0, limits.smallest_subnormal, 7 * limits.smallest_subnormal, limits.tiny, np.nextafter(limits.tiny, dtype.type(0))]
    sizes += [limits.eps, 1e-5, 0.25, 0.5, 1 - limits.epsneg, 1, 1 + limits.eps, 1.5, 2, 2.5, 3, math.pi, 10, 127.5, 255.5]
    sizes += [256, 65535.5, 65536, 2**31 - 1, 2**31, 2**31 + 0.5, 2**32, 2.0**52 + 0.5, 2.0**53, 2.0**63, 2.0**64, 1e30]
    sizes += [np.nextafter(dtype.type(2.0**k), dtype.type(0)) for k in (31, 32, 63, 64)] + [limits.max, math.inf, math.nan]
    positive = np.array(sizes, dtype)
    patterns = rng.integers(0, np.iinfo(word).max, 24, word, endpoint=True).view(dtype)
    return np.concatenate([positive, -positive, patterns, rng.uniform(-50, 50, 20).astype(dtype)])


def operands_of(name, arity):
    """Return `arity` arrays: all pairs of the values, or the values, then random bit patterns."""
    one = values(name)
    if arity == 1:
        arrays = [one]
    else:
        left, right = (np.array(x) for x in zip(*itertools.product(one, one), strict=True))
        arrays = [left, right, left[::-1]][:arity]
    rng, dtype = np.random.default_rng(5), one.dtype
    if dtype.kind != "b":
        noise = [rng.integers(0, 256, 256 * dtype.itemsize, np.uint8).view(dtype) for _ in arrays]
        arrays = [np.concatenate([a, n]) for a, n in zip(arrays, noise, strict=True)]
    padding = -len(arrays[0]) % 128
    return [np.concatenate([a, np.resize(a, padding)]) for a in arrays]


# Kernels


def function_into(module: Module, name, op, kinds, lanes):
    """Write ``void name(ptr a, ptr b, ptr c, ptr out, i64 n)``: out[k] = op(a[k], ...) for n a multiple of `lanes`."""
    parameters = [("ptr", "a"), ("ptr", "b"), ("ptr", "c"), ("ptr", "out"), ("i64", "n")]
    code = module.function(name, "void", parameters, "nounwind")
    with code.loop("0", "%n", lanes) as i:
        given = [load(code, k, address(code, k, at, i), lanes) for k, at in zip(kinds, ("%a", "%b", "%c"), strict=False)]
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


@functools.cache
def cases(name):
    """Return (function name, op, operands' dtype names) for every op that is lowered on a dtype."""
    found = []
    for cls in OPS.values():
        if issubclass(cls, Elementwise):
            for k, attributes in enumerate(attributes_of(cls)):
                kinds = (*["bool"] * (cls.name == "where"), *[name] * (cls.arity - (cls.name == "where")))
                op = cls(**attributes)
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

EXACT_SIGN_OF_NAN = {"neg", "abs", "copysign", "where"}


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


def units_apart(got, expected):
    """Return the distance in units in the last place, by the numbers' order; 0 between nans."""
    word = np.dtype(f"i{got.itemsize}")
    a, b = (x.view(word).astype(object) for x in (got, expected))
    lowest = np.iinfo(word).min
    a, b = (np.array([lowest - v if v < 0 else v for v in x], object) for x in (a, b))
    return np.where(np.isnan(got) & np.isnan(expected), 0, np.abs(a - b)).astype(float)


@pytest.mark.parametrize(("name", "label"), CASES)
def test_lanes_give_numpys_values(name, label):
    op, kinds = next((op, kinds) for found, op, kinds in cases(name) if found == label)
    arrays = operands_of(name, len(kinds))
    if kinds[0] != name:
        arrays[0] = np.arange(len(arrays[0])) % 3 == 0
    expected = expected_of(op, arrays)
    results = [run(compiled(name, lanes), label, arrays, expected.dtype) for lanes in lane_counts(name)]
    for other in results[1:]:
        assert results[0].tobytes() == other.tobytes(), "vectors and single lanes differ"
    wrong = ~same_bits(results[0], expected)
    if wrong.any():
        k = np.flatnonzero(wrong)[:6]
        pytest.fail(f"{wrong.sum()} of {len(wrong)} differ: {[a[k] for a in arrays]} gave {results[0][k]}, not {expected[k]}")
