"""Exponentials, logarithms, hyperbolic functions and powers of the native executor, against wider arithmetic."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("scipy")

sys.path.insert(0, str(Path(__file__).parent))
from maths_machine import CASES, KINDS, WIDE_ENOUGH, Array, bits, cases, every, machine, signed_neighbours, table

from graphad.execute.native.elementwise import emit
from graphad.execute.native.maths.power import power, power_scalar
from graphad.ops.transcendental import Logaddexp

EVERY = every(cases.ELEMENTARY)

MPMATH = {
    "exp": mpmath.exp,
    "exp2": lambda x: mpmath.power(2, x),
    "expm1": mpmath.expm1,
    "log": mpmath.log,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "log1p": mpmath.log1p,
    "logit": lambda x: mpmath.log(x / (1 - x)),
    "xlogy": lambda x, y: x * mpmath.log(y),
    "xlog1py": lambda x, y: x * mpmath.log1p(y),
    "rel_entr": lambda x, y: x * mpmath.log(x / y),
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tanh": mpmath.tanh,
    "arcsinh": mpmath.asinh,
    "arccosh": mpmath.acosh,
    "arctanh": mpmath.atanh,
    "expit": lambda x: 1 / (1 + mpmath.exp(-x)),
    "softplus": lambda x: mpmath.log1p(mpmath.exp(x)),
    "log_expit": lambda x: -mpmath.log1p(mpmath.exp(-x)),
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "logaddexp2": lambda a, b: mpmath.log(mpmath.power(2, a) + mpmath.power(2, b), 2),
    "power": mpmath.power,
    "cbrt": lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)),
}


CANCELS = {"logaddexp", "logaddexp2"}
"""Near 0 NumPy's results are differences of larger numbers, and only as accurate as those; their sign may be wrong."""


def special_numbers(kind: str) -> Array:
    """Return numbers at which functions are easily wrong."""
    places = [0, 1, 0.5, 2, 3, 2.5, 0.25, 1e-10, 1e-30, 40, 88.8, 100, 104, 150, 709, 710, 720, 745.2, 1100, 1e30]
    return signed_neighbours([*places, np.inf, 2.0**53, 2.0**53 + 2], kind, 0)


@pytest.mark.parametrize("name", ["exp", "log", "expm1", "log1p", "tanh"])
@KINDS
def test_error_of_the_commonest_is_smaller(name: str, kind: str) -> None:
    if not WIDE_ENOUGH[kind]:
        pytest.skip("this machine has no wider format")
    case, loops = CASES[name], machine(name, kind)
    for _, operands in table.sets(case, kind, 100_000):
        assert table.errors(case, kind, loops.run(loops.counts[1], operands), operands).max() < 1.2


@EVERY
def test_error_against_many_digits(name: str, kind: str) -> None:
    case, loops = CASES[name], machine(name, kind)
    limits = np.finfo(table.KINDS[kind])
    for _, operands in table.sets(case, kind, 60):
        result = loops.run(loops.counts[1], operands)
        for k in np.flatnonzero(np.isfinite(result) & (np.abs(result) >= limits.tiny)):
            given = [float(x[k]) for x in operands]
            with mpmath.workprec(1200 if max(map(abs, given)) > 1e3 or 0 < min(map(abs, given)) < 1e-3 else 160):
                exact = MPMATH[name](*map(mpmath.mpf, given))
                assert mpmath.im(exact) == 0
                unit = mpmath.ldexp(1, max(mpmath.frexp(exact)[1] - 1, int(limits.minexp)) - int(limits.nmant))
                assert abs(mpmath.mpf(float(result[k])) - exact) <= case.bound * unit, given


@pytest.mark.parametrize(("name", "base"), [("logaddexp", mpmath.e), ("logaddexp2", 2)])
@pytest.mark.parametrize("distance", [2.0**-5, 2.0**-6.5, 1e-3, 1e-6, 1e-12])
@KINDS
def test_sums_of_exponentials_near_one(name: str, base: mpmath.mpf, distance: float, kind: str) -> None:
    """Where the operand and the logarithm cancel, in every lane and every tail of a vector."""
    case, loops, unit = CASES[name], machine(name, kind), float(mpmath.log(2, base))
    random = np.random.default_rng(7)
    b = np.concatenate([-random.uniform(0.69, 5, 100), -(10.0 ** random.uniform(0.7, 2, 100))]) * unit
    a = np.log2(-np.expm1(b / unit * math.log(2))) * unit * (1 + random.uniform(-distance, distance, b.size))
    a, b = a.astype(table.KINDS[kind]), b.astype(table.KINDS[kind])
    y = loops.run(loops.counts[1], [a, b])
    np.testing.assert_array_equal(bits(loops.run(1, [b, a])), bits(y))
    for k in range(b.size):
        exact = table.exact_value(case, [float(a[k]), float(b[k])])
        step = max(float(np.spacing(np.abs(y[k]))), 2.0**-96 * abs(float(a[k])))
        assert abs(mpmath.mpf(float(y[k])) - exact) <= case.bound * step, (a[k], b[k])


@KINDS
def test_sum_of_two_halves_is_one(kind: str) -> None:
    half = np.full(3, -1, table.KINDS[kind])
    np.testing.assert_array_equal(machine("logaddexp2", kind).run(1, [half, half]), np.zeros(3))


@KINDS
def test_logaddexp_beside_zero_is_softplus(kind: str) -> None:
    x = table.points(kind, [(-20, 20)], 1000)[0]
    expected = bits(machine("softplus", kind).run(1, [x]))
    for both in (lambda x: (x, x.constant(0.0)), lambda x: (x.constant(0.0), x)):
        loops = table.loops(lambda x, both=both: emit(Logaddexp(), *both(x)), kind)
        np.testing.assert_array_equal(bits(loops.run(loops.counts[1], [x])), expected)


@EVERY
def test_special_numbers(name: str, kind: str) -> None:
    """NumPy's nan, infinities, zeros and their signs; the values beside them too."""
    case, loops = CASES[name], machine(name, kind)
    numbers = special_numbers(kind)
    operands = [np.ascontiguousarray(x.ravel()) for x in np.meshgrid(*[numbers] * case.arity)]
    # Formulas of several NumPy functions overflow and lose digits on the way; in the wider format they do not.
    single = isinstance(case.numpy, np.ufunc)
    with np.errstate(all="ignore"):
        given = operands if single else [x.astype(table.WIDER[kind]) for x in operands]
        expected = np.asarray((case.numpy if single else case.wide)(*given)).astype(table.KINDS[kind])
        result = loops.run(loops.counts[1], operands)
        near = np.abs(result - expected) <= 4 * np.spacing(np.abs(expected))
        if name in CANCELS:
            near |= np.abs(result - expected) <= 8 * np.spacing(np.abs(np.maximum.reduce(operands)))
    same = (result == expected) | (np.isnan(result) & np.isnan(expected)) | (np.isfinite(result) & near)
    zeros = (expected == 0) & (result == 0)
    wrong = ~same | (zeros & (np.signbit(result) != np.signbit(expected)) & (name not in CANCELS))
    assert not wrong.any(), [[float(v[wrong][0]) for v in (*operands, result, expected)], int(wrong.sum())]


@KINDS
def test_exponentials_underflow_gradually(kind: str) -> None:
    limits = np.finfo(table.KINDS[kind])
    smallest = np.log(limits.smallest_subnormal.astype(np.float64))
    x = np.linspace(smallest - 1, np.log(limits.tiny.astype(np.float64)) + 1, 5001).astype(table.KINDS[kind])
    y = machine("exp", kind).run(1, [x])
    assert table.errors(CASES["exp"], kind, y, [x]).max() <= 1
    assert ((y > 0) & (y < limits.tiny)).sum() > 500
    assert (np.diff(y) >= 0).all()


@KINDS
def test_powers_of_the_base_are_exact(kind: str) -> None:
    dtype, limits = table.KINDS[kind], np.finfo(table.KINDS[kind])
    whole = np.arange(limits.minexp - limits.nmant, limits.maxexp)
    powers = np.ldexp(dtype.type(1), whole)
    np.testing.assert_array_equal(
        machine("exp2", kind).run(machine("exp2", kind).counts[1], [whole.astype(dtype)]), powers
    )
    np.testing.assert_array_equal(machine("log2", kind).run(1, [powers]), whole)
    tens = np.arange(23 if kind == "f64" else 11)
    np.testing.assert_array_equal(machine("log10", kind).run(1, [(10.0**tens).astype(dtype)]), tens)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, 7, 16, 17, -1, -2, -3, 0.5, -0.5, 1.5, -2.5, 1 / 3, 2.2, -20.0])
@KINDS
def test_power_of_a_number(kind: str, exponent: float) -> None:
    """At most one unit from NumPy's power, and its bits where NumPy multiplies, divides or takes a root."""
    dtype = table.KINDS[kind]
    loops = table.loops(lambda x: power_scalar(x, exponent), kind)
    random = np.random.default_rng(5)
    sets = [
        random.uniform(-5, 5, 20_000),
        np.exp(random.uniform(-40, 40, 20_000)),
        table.bit_patterns(kind, 1, 20_000)[0],
    ]
    for x in [*(x.astype(dtype) for x in sets), special_numbers(kind)]:
        with np.errstate(all="ignore"):
            expected = np.power(x, dtype.type(exponent))
        results = [loops.run(count, [x]) for count in loops.counts]
        for result in results[1:]:
            np.testing.assert_array_equal(bits(result), bits(results[0]))
        if exponent in (0, 1, 2, 0.5, -1):
            np.testing.assert_array_equal(bits(results[0]), bits(expected))
        else:
            limits = np.finfo(dtype)
            with np.errstate(all="ignore"):
                near = np.abs(results[0] - expected) <= np.spacing(np.abs(expected)) * (
                    1 + (np.abs(expected) < limits.tiny)
                )
            same = bits(results[0]) == bits(expected)
            assert (same | (near & (np.signbit(results[0]) == np.signbit(expected)))).all()


@pytest.mark.parametrize("exponent", [0, 1, 2, 5, 11])
def test_power_of_integers_wraps(exponent: int) -> None:
    kind, dtype = "i32", np.dtype(np.int32)
    x = np.random.default_rng(1).integers(-1000, 1000, 100).astype(dtype)
    module = table.Module()
    code = module.function("run1", "void", [("ptr", "pointers"), ("i64", "n")], "nounwind")
    places = [code.value(f"getelementptr ptr, ptr %pointers, i64 {i}") for i in range(2)]
    arrays = [code.value(f"load ptr, ptr {place}, align 8") for place in places]
    with code.loop("0", "%n") as i:
        source, target = (code.value(f"getelementptr i32, ptr {array}, i64 {i}") for array in arrays)
        table.lanes.store(power_scalar(table.lanes.load(code, kind, source), exponent), target)
    code.line("ret void")
    loops = table.Loops(table.load(module.text()), (1,))
    np.testing.assert_array_equal(loops.run(1, [x]), x**exponent)


@KINDS
def test_power_of_many_exponents_beside_numpy(kind: str) -> None:
    """The cases of C99, by every pair of special numbers and of small integers and halves."""
    numbers = np.concatenate([special_numbers(kind), np.arange(-6, 6.5, 0.5)]).astype(table.KINDS[kind])
    a, b = (np.ascontiguousarray(x.ravel()) for x in np.meshgrid(numbers, numbers))
    with np.errstate(all="ignore"):
        expected = np.power(a, b)
        result = table.loops(power, kind, 2).run(1, [a, b])
        near = np.isfinite(result) & (np.abs(result - expected) <= 2 * np.spacing(np.abs(expected)))
    same = (bits(result) == bits(expected)) | (near & (np.signbit(result) == np.signbit(expected)))
    assert same.all(), (a[~same][:3], b[~same][:3], result[~same][:3], expected[~same][:3])
