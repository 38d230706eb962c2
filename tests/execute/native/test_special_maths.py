"""Trigonometric, error, gamma and normal functions of the native executor: accuracy, special values, equal lanes."""

from __future__ import annotations

import ctypes
import functools
import math
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

pytest.importorskip("llvmlite")
pytest.importorskip("scipy")

sys.path.insert(0, str(Path(__file__).parent))
from maths_machine import CASES, KINDS, Array, bits, cases, every, machine, special_numbers, table
from scipy import special

from graphad.execute.native.code import Module
from graphad.execute.native.lanes import Lanes, load, store
from graphad.execute.native.maths import gamma, inverse_trigonometric, trigonometric
from graphad.execute.native.maths.rare import where_rare, where_some

EVERY = every(cases.SPECIAL)


@pytest.mark.parametrize("name", [case.name for case in cases.SPECIAL if case.long_double])
@KINDS
def test_error_against_many_digits(name: str, kind: str) -> None:
    """The wider formats that errors are measured in are right."""
    case, loops = CASES[name], machine(name, kind)
    for _, operands in table.sets(case, kind, 60):
        y = loops.run(loops.counts[1], operands)
        for k in np.flatnonzero(np.isfinite(y) & (np.abs(y) >= np.finfo(y.dtype).tiny)):
            exact = table.exact_value(case, [float(x[k]) for x in operands])
            unit = mpmath.ldexp(1, mpmath.frexp(exact)[1] - 1 - int(np.finfo(y.dtype).nmant))
            assert abs(mpmath.mpf(float(y[k])) - exact) <= case.bound * unit, [x[k] for x in operands]


@pytest.mark.parametrize(
    ("name", "point"),
    [
        ("erfinv", (0.8377663555880213,)),
        ("erfinv", (0.9999707650417622,)),
        ("erfcinv", (0.007914494587142551,)),
        ("erfcinv", (0.15996229225947078,)),
        ("ndtri_exp", (-1.8408781169887107,)),
        ("ndtri_exp", (-0.6900410754551758,)),
        ("ndtri_exp", (-21791.30471717038,)),
        ("inverse_mills", (2.1694467110849545e-05,)),
        ("inverse_mills", (0.08510974030677154,)),
        ("betaln", (3.445274818257327, 3.074189215383827)),
        ("betaln", (212187.26490677375, 157540.82087102128)),
        ("polygamma[order=1]", (919390.6274173951,)),
        ("polygamma[order=2]", (97.02466172499825,)),
        ("polygamma[order=3]", (342860.83940220537,)),
        ("polygamma[order=10]", (1.9888131731487797,)),
        ("polygamma[order=10]", (2.0**56.5,)),
    ],
)
def test_points_where_single_numbers_lose_digits(name: str, point: tuple[float, ...]) -> None:
    """Where roots, quotients, powers or logarithms without what rounding took from them are 2 to 14 units off."""
    case, loops = CASES[name], machine(name, "f64")
    y = loops.run(1, [np.full(1, x) for x in point])
    assert table.errors(case, "f64", y, [np.full(1, x) for x in point]).max() <= case.bound


def _better_than_scipy(name: str, operands: list[Array]) -> Array:
    """Return where SciPy's own value is off: it overflows, underflows or holds a whole number in 32 bits."""
    x, y = operands[0], operands[-1]
    size, other = np.abs(x), np.abs(y)
    with np.errstate(all="ignore"):
        total = x + y
    return {
        "betaln": (size < 1e-300) | (other < 1e-300) | (x < -(2.0**31)) | (y < -(2.0**31)) | ~np.isfinite(total),
        "gammaln": size < np.finfo(x.dtype).tiny,
        "gamma": (x < -170) | ((x < 0) & (size < 1e-300)),
        "erfinv": x == 0,
        "erfcinv": size < 1e-300,
        "inverse_mills": x < -1e30,
        "log_ndtr": x > 37,
    }.get(name, np.zeros(x.shape, bool))


@EVERY
def test_special_numbers(name: str, kind: str) -> None:
    """NumPy's and SciPy's nan, infinities, zeros and their signs; other values to the bound, or near theirs."""
    case, loops, dtype = CASES[name], machine(name, kind), table.KINDS[kind]
    numbers = special_numbers(kind)
    if name.startswith("polygamma"):
        # SciPy adds -x terms, one by one.
        numbers = numbers[~(numbers < -1e4)]
    if name == "betaln":
        # Next to a pole the rounding of a + b decides, in SciPy too.
        numbers = numbers[(numbers > 0) | np.isnan(numbers) | (numbers == np.rint(numbers * 0.5) * 2)]
    operands = [np.ascontiguousarray(x.ravel()) for x in np.meshgrid(*[numbers] * case.arity)]
    with np.errstate(all="ignore"):
        # In f32 SciPy's own functions are not much better than f32.
        given = (
            operands if isinstance(case.numpy, np.ufunc) and case.long_double else [x.astype("f8") for x in operands]
        )
        expected = np.asarray(case.numpy(*given)).astype(dtype)
        result = loops.run(loops.counts[1], operands)
        near = np.abs(result - expected) <= 6 * np.maximum(np.spacing(np.abs(expected)), np.finfo(dtype).tiny)
    same = (result == expected) | (np.isnan(result) & np.isnan(expected)) | (np.isfinite(result) & near)
    same &= (expected != 0) | (result != 0) | (np.signbit(result) == np.signbit(expected))
    wrong = np.flatnonzero(~same & ~_better_than_scipy(name, [x.astype("f8") for x in operands]))
    for k in wrong:
        # Where SciPy cancels, many digits decide.
        exact = table.exact_value(case, [float(x[k]) for x in operands])
        if not mpmath.isfinite(exact):
            exact = mpmath.mpf(float(expected[k]))
        assert np.isfinite(result[k]) and mpmath.isfinite(exact), [x[k] for x in (*operands, result, expected)]
        # Of negative arguments this is for magnitudes: what cancels where they are reflected is a test of its own.
        size = max(abs(float(result[k])), _reflected_terms(name, [float(x[k]) for x in operands]), case.least)
        unit = float(np.spacing(dtype.type(size)))
        assert abs(float(exact - mpmath.mpf(float(result[k])))) <= max(case.bound, 4) * unit, [
            x[k] for x in (*operands, result, expected)
        ]


def _reflected_terms(name: str, operands: list[float]) -> float:
    """Return the size of the terms whose difference is the result, for negative arguments."""
    x = min(operands)
    if not x < 0:
        return 0.0
    if name.startswith("polygamma"):
        order = int(name.split("=")[1].rstrip("]"))
        return float(math.factorial(order) * abs(x - round(x)) ** -(order + 1.0)) if x != round(x) else 0.0
    if name == "digamma":
        return abs(float(mpmath.pi / mpmath.tan(mpmath.pi * mpmath.mpf(x)))) + 3
    if name == "gammaln":
        return 3.0
    if name == "betaln":
        # The logarithms of the gamma function at the arguments, or, where these are poles, at mirrored ones.
        found = special.gammaln([*operands, sum(operands), *(1 + abs(v) for v in (*operands, sum(operands)))])
        return float(np.abs(found[np.isfinite(found)]).sum()) + 3.0
    return 0.0


@KINDS
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_nearly_multiples_of_half_pi(name: str, kind: str) -> None:
    """Where all digits of the angle cancel: near multiples of pi/2, up to the end of the range."""
    case, loops, dtype = CASES[name], machine(name, kind), table.KINDS[kind]
    # The double that is nearest to a multiple of pi/2, and 2^k of it; multiples of pi/2 themselves.
    worst = np.array([6381956970095103 * 2.0**797, 5319372648326541416707072.0, 1.5707963267948966, 3.14159265358979])
    many = np.arange(1, 4000) * (np.pi / 2)
    powers = 2.0 ** np.arange(0, 1000 if kind == "f64" else 120)
    with np.errstate(all="ignore"):
        x = np.concatenate([worst, many, many * 2.0**20, powers, powers * np.pi]).astype(dtype)
    x = x[np.isfinite(x)]
    y = loops.run(loops.counts[1], [x])
    picked = np.random.default_rng(3).permutation(x.size)[:400]
    for k in [*range(4), *picked]:
        if not k < x.size:
            continue
        exact = table.exact_value(case, [float(x[k])])
        unit = mpmath.ldexp(1, mpmath.frexp(exact)[1] - 1 - int(np.finfo(dtype).nmant))
        assert abs(mpmath.mpf(float(y[k])) - exact) <= case.bound * unit, x[k]


@KINDS
def test_sine_and_cosine_of_one_reduction(kind: str) -> None:
    dtype = table.KINDS[kind]
    x = np.concatenate([table.points(kind, [(-100, 100)], 4000)[0], table.bit_patterns(kind, 1, 4000)[0]]).astype(dtype)
    for k, name in enumerate(("sin", "cos")):
        both = table.loops(functools.partial(_one_of, trigonometric.sincos, k), kind)
        np.testing.assert_array_equal(bits(both.run(both.counts[1], [x])), bits(machine(name, kind).run(1, [x])))


def _one_of(function: Any, index: int, x: Lanes) -> Lanes:
    result: Lanes = function(x)[index]
    return result


@KINDS
def test_sine_and_cosine_stay_within_one(kind: str) -> None:
    x = np.concatenate([table.points(kind, [(-1e3, 1e3)], 200_000)[0], table.bit_patterns(kind, 1, 100_000)[0]])
    x = x[np.isfinite(x)]
    for name in ("sin", "cos"):
        assert np.abs(machine(name, kind).run(1, [x])).max() <= 1
    zero = np.zeros(1, table.KINDS[kind])
    assert machine("cos", kind).run(1, [zero])[0] == 1


@KINDS
def test_degrees_have_numpys_bits(kind: str) -> None:
    x = np.concatenate([table.points(kind, [(-1e4, 1e4)], 1000)[0], special_numbers(kind)])
    for native, expected in ((trigonometric.deg2rad, np.deg2rad), (trigonometric.rad2deg, np.rad2deg)):
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(bits(table.loops(native, kind).run(1, [x])), bits(expected(x)))


@KINDS
def test_erfc_underflows_gradually(kind: str) -> None:
    limits = np.finfo(table.KINDS[kind])
    low, high = (26.5, 27.3) if kind == "f64" else (9.1, 10.1)
    x = np.linspace(low, high, 2001).astype(table.KINDS[kind])
    y = machine("erfc", kind).run(1, [x])
    assert (np.diff(y) <= 0).all()
    assert ((y > 0) & (y < limits.tiny)).sum() > 500
    for k in range(0, x.size, 50):
        exact = table.exact_value(CASES["erfc"], [float(x[k])])
        assert abs(exact - mpmath.mpf(float(y[k]))) <= 2 * max(
            float(np.spacing(y[k])), float(limits.smallest_subnormal)
        )


@pytest.mark.parametrize("name", ["gamma", "gammaln", "digamma", *(case.name for case in cases.POLYGAMMAS)])
@KINDS
def test_reflection(name: str, kind: str) -> None:
    """Negative arguments: small errors, beside the larger terms that cancel near zeros."""
    case, loops, dtype = CASES[name], machine(name, kind), table.KINDS[kind]
    x = np.random.default_rng(4).uniform(-30, 0, 200).astype(dtype)
    y = loops.run(loops.counts[1], [x])
    for k in range(x.size):
        exact = table.exact_value(case, [float(x[k])])
        size = max(abs(float(exact)), _reflected_terms(name, [float(x[k])]))
        assert abs(float(exact - mpmath.mpf(float(y[k])))) <= max(case.bound, 5) * np.spacing(dtype.type(size)), x[k]
    poles = -np.arange(1, 40).astype(dtype)
    expected = np.nan if name in ("gamma", "digamma") else case.numpy(poles)
    np.testing.assert_array_equal(loops.run(loops.counts[1], [poles]), np.full(poles.size, expected, dtype))


@KINDS
def test_zeros_are_approached_relatively(kind: str) -> None:
    """gammaln next to its zeros 1 and 2, digamma next to its root."""
    dtype, limits = table.KINDS[kind], np.finfo(table.KINDS[kind])
    for name, zero in (("gammaln", 1.0), ("gammaln", 2.0), ("digamma", 1.4616321449683622)):
        steps = np.array([1, 2, 3, 10, 1e3, 1e5, 1e6]) * float(limits.eps)
        x = np.concatenate([zero + steps, zero - steps]).astype(dtype)
        y = machine(name, kind).run(1, [x])
        for k in range(x.size):
            exact = table.exact_value(CASES[name], [float(x[k])])
            assert abs(exact - mpmath.mpf(float(y[k]))) <= 4 * float(np.spacing(np.abs(y[k]))), (name, x[k])
        assert machine("gammaln", kind).run(1, [np.array([1, 2], dtype)]).tolist() == [0, 0]


@KINDS
def test_several_functions_share_one_module(kind: str) -> None:
    """Rare branches are functions of the module, each there once; a rare branch within another one's is none."""

    def together(x: Lanes) -> Lanes:
        angle = inverse_trigonometric.arctan2(trigonometric.sin(x), trigonometric.cos(x))
        return angle + gamma.gammaln(x) + gamma.digamma(x) + trigonometric.tan(x)

    x = np.concatenate([table.points(kind, [(-20, 20)], 1000)[0], table.points(kind, [(1e10, 1e12)], 100)[0]])
    loops = table.loops(together, kind)
    parts = {name: machine(name, kind).run(1, [x]) for name in ("sin", "cos", "gammaln", "digamma", "tan")}
    angle = machine("arctan2", kind).run(1, [parts["sin"], parts["cos"]])
    expected = angle + parts["gammaln"] + parts["digamma"] + parts["tan"]
    for count in loops.counts:
        np.testing.assert_array_equal(loops.run(count, [x]), expected)


@pytest.mark.parametrize("where", [where_rare, where_some])
def test_a_rare_branch_leaves_other_lanes_alone(where: Any) -> None:
    module, count = Module(), 4
    code = module.function("f", "void", [("ptr", "x"), ("ptr", "y")], "nounwind")
    x = load(code, "f64", "%x", count)
    (y,) = where(x > 2.0, [x], [x * 10.0], "hundredfold", lambda x: (x * 100.0,))
    store(y, "%y")
    code.line("ret void")
    loaded = table.load(module.text())
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(loaded.address("f"))
    for given in ([1.0, 2.0, 3.0, -4.0], [0.0, 1.0, 2.0, 0.5], [3.0, 4.0, 5.0, np.nan]):
        source, target = np.array(given), np.empty(count)
        function(source.ctypes.data, target.ctypes.data)
        np.testing.assert_array_equal(target, np.where(source > 2, source * 100, source * 10))
