"""Print the accuracy of native exponentials, logarithms, hyperbolic functions and powers as rows of a table.

python tools/maths_table_a.py            # function, kind, range, largest error in units in the last place, method
python tools/maths_table_a.py --times    # and nanoseconds an element, beside NumPy's, on 4096 elements

`CASES` is also what the tests of these functions run through. Errors are measured against NumPy in the next wider
format: long double for f64 (64 bits on x86; 53 elsewhere, where f64 cannot be judged), f64 for f32.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphad.execute.native import lanes
from graphad.execute.native.code import Module
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.maths import exponential, hyperbolic, logarithm, logistic, power
from graphad.execute.native.target import Loaded, host, load

Array = np.ndarray[Any, Any]
Function = Callable[..., Array]
Range = tuple[float, float]

KINDS: dict[str, np.dtype[Any]] = {"f64": np.dtype(np.float64), "f32": np.dtype(np.float32)}
WIDER: dict[str, Any] = {"f64": np.longdouble, "f32": np.float64}


@dataclass(frozen=True)
class Case:
    """A native function and what it is measured against.

    Attributes:
        name: of the function.
        native: the formula.
        numpy: NumPy's function, or what NumPy computes for the op.
        method: how the formula goes, and its source.
        ranges: of each measurement the range of each operand.
        exact: the function for wider formats, where NumPy's own loses digits.
        bound: the largest error allowed, in units in the last place.
        beside_larger: measure errors in units of the larger operand, where that is larger than the result;
            rounding a - b is what NumPy loses there as well.
    """

    name: str
    native: Callable[..., Lanes]
    numpy: Function
    method: str
    ranges: tuple[tuple[Range, ...], ...]
    exact: Function | None = None
    bound: float = 2.0
    beside_larger: bool = False

    @property
    def arity(self) -> int:
        """The number of operands."""
        return len(self.ranges[0])

    @property
    def wide(self) -> Function:
        """The function for wider formats."""
        return self.exact or self.numpy


@dataclass(frozen=True)
class Loops:
    """Machine loops `out[i] = f(in_0[i], ...)`, one for each number of lanes."""

    loaded: Loaded
    counts: tuple[int, ...]

    def bound(self, count: int, operands: Sequence[Array], out: Array) -> Callable[[], None]:
        """Return the call that computes out = f(*operands), `count` elements at a time and the rest one by one."""
        arrays = (*operands, out)
        if not all(x.flags.c_contiguous and x.dtype == out.dtype and x.size == out.size for x in arrays):
            raise ValueError("operands must be contiguous arrays of one dtype and size")
        pointers = (ctypes.c_void_p * len(arrays))(*(x.ctypes.data for x in arrays))
        function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(self.loaded.address(f"run{count}"))
        size = out.size

        def call(keep: object = arrays) -> None:
            function(pointers, size)

        return call

    def run(self, count: int, operands: Sequence[Array]) -> Array:
        """Return f(*operands), computed `count` elements at a time and the rest one by one."""
        out = np.empty_like(operands[0])
        self.bound(count, operands, out)()
        return out


def lane_counts(kind: str) -> tuple[int, ...]:
    """Return 1, the lanes of a vector register, and twice as many."""
    native = host().vector_bytes // KINDS[kind].itemsize
    return 1, native, 2 * native


def loops(function: Callable[..., Lanes], kind: str, arity: int = 1) -> Loops:
    """Compile loops over arrays of one kind."""
    module, counts = Module(), lane_counts(kind)
    element = lanes.element_type(kind)
    for count in counts:
        code = module.function(f"run{count}", "void", [("ptr", "pointers"), ("i64", "n")], "nounwind")
        places = [code.value(f"getelementptr ptr, ptr %pointers, i64 {i}") for i in range(arity + 1)]
        arrays = [code.value(f"load ptr, ptr {place}, align 8") for place in places]
        whole = code.value(f"and i64 %n, {-count}")
        for begin, end, step in (("0", whole, count), (whole, "%n", 1)):
            with code.loop(begin, end, step) as i:
                at = [code.value(f"getelementptr {element}, ptr {array}, i64 {i}") for array in arrays]
                lanes.store(function(*(lanes.load(code, kind, place, step) for place in at[:-1])), at[-1])
        code.line("ret void")
    return Loops(load(module.text()), counts)


def ulps(y: Array, exact: Array, scale: Array | None = None) -> Array:
    """Return |y - exact| in units in the last place of exact (or of scale where that is larger).

    Infinite where one is nan or infinite and the other, rounded, is not.
    """
    limits = np.finfo(y.dtype)
    size = np.abs(exact) if scale is None else np.maximum(np.abs(exact), np.abs(scale))
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        exponent = np.maximum(np.frexp(np.where(np.isfinite(size), size, 1))[1] - 1, limits.minexp)
        distance = np.abs(y.astype(exact.dtype) - exact) / np.ldexp(exact.dtype.type(1), exponent - limits.nmant)
    same = (y == rounded) | (np.isnan(y) & np.isnan(rounded))
    strange = ~(np.isfinite(y) & np.isfinite(rounded))
    return np.where(strange, np.where(same, 0, np.inf), distance)


def points(kind: str, ranges: Sequence[Range], count: int, seed: int = 0) -> list[Array]:
    """Return `count` random operands, uniform in their ranges."""
    random = np.random.default_rng(seed)
    return [random.uniform(low, high, count).astype(KINDS[kind]) for low, high in ranges]


def bit_patterns(kind: str, arity: int, count: int, seed: int = 0) -> list[Array]:
    """Return `count` operands of random bits."""
    random, dtype = np.random.default_rng(seed), KINDS[kind]
    whole = np.dtype(f"u{dtype.itemsize}")
    return [random.integers(0, 2 ** (8 * dtype.itemsize), count, whole).view(dtype) for _ in range(arity)]


def errors(case: Case, kind: str, y: Array, operands: Sequence[Array]) -> Array:
    """Return the errors of y = f(*operands) in units in the last place."""
    with np.errstate(all="ignore"):
        wide = [x.astype(WIDER[kind]) for x in operands]
        exact = np.asarray(case.wide(*wide))
        return ulps(y, exact, np.maximum.reduce(wide) if case.beside_larger else None)


def _expit(x: Array) -> Array:
    power = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, power, 1) / (1 + power))


def _numpy_expit(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.logaddexp(x, x.dtype.type(0)))


def _log_expit(x: Array) -> Array:
    return np.asarray(-np.logaddexp(-x, x.dtype.type(0)))


def _logit(x: Array) -> Array:
    near = np.abs(x - 0.5) < 0.25
    return np.asarray(np.where(near, np.log1p((2 * x - 1) / (1 - x)), np.log(x / (1 - x))))


def _xlogy(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log(y))


def _xlog1py(x: Array, y: Array) -> Array:
    return np.where((x == 0) & ~np.isnan(y), 0, x * np.log1p(y))


def _rel_entr(x: Array, y: Array) -> Array:
    # Logarithms apart: the quotient may leave even the wider format.
    near = np.abs(x - y) < 0.5 * y
    value = x * np.where(near, np.log1p((x - y) / y), np.log(x) - np.log(y))
    outside = np.where((x == 0) & (y >= 0), x.dtype.type(0), np.inf)
    return np.where(np.isnan(x) | np.isnan(y), np.nan, np.where((x > 0) & (y > 0), value, outside))


def _cube_root(x: Array) -> Array:
    # One step of Newton's: the C library's cbrt is 1 unit off.
    y = np.cbrt(x)
    with np.errstate(all="ignore"):
        better = y - (y * y * y - x) / (3 * y * y)
    return np.where(np.isfinite(better), better, y)


REDUCED = "Cody-Waite, minimax polynomial of degree 11 (f64), 6 (f32)"
REDUCED_IN_TWO = "Cody-Waite, minimax polynomial of degree 12 (f64), 7 (f32), leading sum with its error"
ATANH = "f64: series in (m - 1)/(m + 1), 7 terms (fdlibm's e_log); f32: degree 10 in m - 1 (Cephes' logf)"
QUOTIENT = "e^-abs(x) and one division"

CASES = (
    Case("exp", exponential.exp, np.exp, REDUCED, (((-10, 10),), ((-745, 709.7),), ((-104, 88.7),))),
    Case("exp2", exponential.exp2, np.exp2, REDUCED, (((-10, 10),), ((-1074, 1023.9),), ((-149, 127.9),))),
    Case("expm1", exponential.expm1, np.expm1, REDUCED_IN_TWO, (((-1, 1),), ((-10, 10),), ((-40, 709),))),
    Case("log", logarithm.log, np.log, ATANH, (((0.5, 2),), ((0, 10),), ((0, 1e30),))),
    Case("log2", logarithm.log2, np.log2, ATANH + ", in pairs", (((0.5, 2),), ((0, 10),))),
    Case("log10", logarithm.log10, np.log10, ATANH + ", in pairs", (((0.5, 2),), ((0, 10),))),
    Case("log1p", logarithm.log1p, np.log1p, ATANH, (((-0.5, 1),), ((-1, 10),), ((-1e-3, 1e-3),))),
    Case("logit", logarithm.logit, _logit, "log of a pair", (((0, 1),), ((0.4, 0.6),), ((0, 1e-3),))),
    Case("xlogy", logarithm.xlogy, _xlogy, "x log(y)", (((-5, 5), (0, 10)),)),
    Case("xlog1py", logarithm.xlog1py, _xlog1py, "x log1p(y)", (((-5, 5), (-1, 5)),)),
    Case("rel_entr", logarithm.rel_entr, _rel_entr, "log of a pair", (((0, 5), (0, 5)), ((1, 1.01), (1, 1.01)))),
    Case("sinh", hyperbolic.sinh, np.sinh, "sinh(r), cosh(r) and 2^n", (((-1, 1),), ((-10, 10),), ((-710, 710),))),
    Case("cosh", hyperbolic.cosh, np.cosh, "sinh(r), cosh(r) and 2^n", (((-1, 1),), ((-10, 10),), ((-710, 710),))),
    Case("tanh", hyperbolic.tanh, np.tanh, "e^2abs(x) in pairs, one division", (((-1, 1),), ((-3, 3),), ((-20, 20),))),
    Case("arcsinh", hyperbolic.arcsinh, np.arcsinh, "log1p of a pair", (((-1, 1),), ((-10, 10),))),
    Case("arccosh", hyperbolic.arccosh, np.arccosh, "log1p of a pair", (((1, 1.1),), ((1, 10),), ((1, 1e10),))),
    Case("arctanh", hyperbolic.arctanh, np.arctanh, "log1p of a pair", (((-0.1, 0.1),), ((-1, 1),))),
    Case("expit", logistic.expit, _numpy_expit, QUOTIENT, (((-1, 1),), ((-10, 10),), ((-745, 40),)), _expit),
    Case("softplus", logistic.softplus, _softplus, QUOTIENT, (((-1, 1),), ((-10, 10),), ((-700, 40),))),
    Case("log_expit", logistic.log_expit, _log_expit, QUOTIENT, (((-1, 1),), ((-10, 10),), ((-40, 700),))),
    Case("logaddexp", logistic.logaddexp, np.logaddexp, QUOTIENT, (((-5, 5), (-5, 5)),), None, 7, True),
    Case("logaddexp2", logistic.logaddexp2, np.logaddexp2, QUOTIENT, (((-5, 5), (-5, 5)),), None, 7, True),
    Case(
        "power",
        power.power,
        np.power,
        "f64: log and product in pairs (SLEEF's pow); f32: in f64",
        (((0, 10), (-5, 5)), ((0, 2), (-700, 700)), ((0.999, 1.001), (-7e5, 7e5)), ((-20, 20), (-3, 3))),
    ),
    Case("cbrt", power.cbrt, np.cbrt, "m^-1/3 by steps (SLEEF's cbrt)", (((-10, 10),), ((-1e30, 1e30),)), _cube_root),
)


def best_time(call: Callable[[], object], elements: int) -> float:
    """Return the nanoseconds an element of a call: the lower quartile of many."""
    times = []
    for _ in range(400):
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return float(np.quantile(times, 0.25)) / elements


def times(case: Case, kind: str) -> str:
    """Return cells of the table: nanoseconds an element of one vector, of two at a time, and of NumPy."""
    machine, operands = loops(case.native, kind, case.arity), points(kind, case.ranges[0], 4096)
    out = np.empty_like(operands[0])
    calls: list[Callable[[], object]] = [machine.bound(count, operands, out) for count in machine.counts[1:]]
    place = {"out": out} if isinstance(case.numpy, np.ufunc) else {}
    calls.append(lambda: case.numpy(*operands, **place))
    with np.errstate(all="ignore"):
        return " | ".join(f"{best_time(call, out.size):.2f}" for call in calls)


def rows(case: Case, kind: str) -> list[str]:
    """Return the rows of the table for one function and kind."""
    machine, made = loops(case.native, kind, case.arity), []
    sets = [(", ".join(f"[{a:g}, {b:g}]" for a, b in r), points(kind, r, 100_000)) for r in case.ranges]
    for text, operands in [*sets, ("random bits", bit_patterns(kind, case.arity, 100_000))]:
        y = machine.run(machine.counts[1], operands)
        made.append(
            f"| `{case.name}` | {kind} | {text} | {errors(case, kind, y, operands).max():.2f} | {case.method} |"
        )
    return made


def main(with_times: bool) -> None:
    """Print the table."""
    if with_times:
        print("| function | kind | one vector | two | NumPy |\n| --- | --- | --- | --- | --- |")
    else:
        print("| function | kind | range | largest error | method |\n| --- | --- | --- | --- | --- |")
    for case in CASES:
        for kind in KINDS:
            print(f"| `{case.name}` | {kind} | {times(case, kind)} |" if with_times else "\n".join(rows(case, kind)))


if __name__ == "__main__":
    main("--times" in sys.argv[1:])
