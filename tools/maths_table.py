"""Measure the accuracy of the native executor's functions and write docs/maths.md.

python tools/maths_table.py            # print the table (function, dtype, range, largest error, method) and write it
python tools/maths_table.py --times    # print nanoseconds an element, beside NumPy's or SciPy's, on 4096 elements

The functions are those of `maths_cases`. Errors of f32 are measured against f64; those of f64 against long double where
NumPy has the function in it (64 bits on x86; where it has 53, such functions cannot be judged), else against mpmath, on
fewer points.
"""

from __future__ import annotations

import ctypes
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
from maths_cases import CASES, Array, Case, Number, Range

from graphad.execute.native import lanes
from graphad.execute.native.code import Module
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.target import Loaded, host, load

PAGE = Path(__file__).resolve().parents[1] / "docs" / "maths.md"

KINDS: dict[str, np.dtype[Any]] = {"f64": np.dtype(np.float64), "f32": np.dtype(np.float32)}
WIDER: dict[str, Any] = {"f64": np.longdouble, "f32": np.float64}
POINTS, EXACT_POINTS = 100_000, 4_000
"""Random points of each range; those of them that are judged against mpmath."""


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


def errors(case: Case, kind: str, y: Array, operands: Sequence[Array], many: int = EXACT_POINTS) -> Array:
    """Return errors of y = f(*operands) in units in the last place; against mpmath only of the first `many`."""
    widened = kind == "f32" or case.exact is None or (case.long_double and np.finfo(np.longdouble).nmant > 60)
    with np.errstate(all="ignore"):
        if not widened:
            return _errors_by_mpmath(case, y[:many], [x[:many] for x in operands])
        wide = [x.astype(WIDER[kind]) for x in operands]
        exact = np.asarray(case.wide(*wide))
        return ulps(y, exact, _least(case, exact))


def _errors_by_mpmath(case: Case, y: Array, operands: Sequence[Array]) -> Array:
    finite = np.isfinite(y)
    exact = np.array(
        [
            _in_two(exact_value(case, given)) if usable else np.longdouble("nan")
            for usable, *given in zip(finite, *(x.tolist() for x in operands), strict=True)
        ]
    )
    return np.where(np.isnan(exact), 0, ulps(y, exact, _least(case, exact)))


def _least(case: Case, exact: Array) -> Array | None:
    return np.full(exact.shape, case.least, exact.dtype) if case.least else None


def exact_value(case: Case, operands: Sequence[float]) -> Number:
    """Return mpmath's value; nan where it has none."""
    assert case.exact is not None
    with mpmath.workprec(160):
        try:
            value = case.exact(*map(mpmath.mpf, operands))
        except (ValueError, ZeroDivisionError, OverflowError):
            return mpmath.nan
        return mpmath.re(value)


def _in_two(value: Number) -> np.longdouble:
    """Return a number of mpmath as a long double, or nan where it would be denormal or infinite."""
    high = float(value)
    if not np.isfinite(high) or abs(high) < 1e-290:
        return np.longdouble("nan")
    return np.longdouble(high) + np.longdouble(float(value - mpmath.mpf(high)))


def sets(case: Case, kind: str, count: int) -> list[tuple[str, list[Array]]]:
    """Return operands with their name: of each range, and of random bits where the bound holds for those."""
    found = [
        (", ".join(f"[{a:g}, {b:g}]" for a, b in ranges), points(kind, ranges, count, seed))
        for seed, ranges in enumerate(case.ranges)
    ]
    return [*found, ("random bits", bit_patterns(kind, case.arity, count))] if case.random_bits else found


def rows(case: Case, kind: str) -> list[str]:
    """Return the rows of the table for one function and kind."""
    machine, made = loops(case.native, kind, case.arity), []
    for text, operands in sets(case, kind, POINTS):
        worst = errors(case, kind, machine.run(machine.counts[1], operands), operands).max()
        made.append(f"| `{case.name}` | {kind} | {text} | {worst:.2f} | {case.method} |\n")
    return made


HEAD = f"""# The native executor's mathematical functions

Generated by `python tools/maths_table.py`, which measures every number below. The functions are written in LLVM IR, the
same formula for a vector of any length and for a single number, so an element's value does not depend on where it
stands. [native.md](native.md) tells where they run.

The largest error is in units in the last place (ulp) of the exact result; 0.5 is what rounding alone may cost. It is
the largest of {POINTS:,} random points, uniform in the range of each operand, or of random bits: all signs, exponents,
nan and infinities among them. It is what was seen, not a proven bound. Errors in f32 are measured against f64; in f64
against long double where NumPy has the function in it and it is wider than f64, else against mpmath on
{EXACT_POINTS:,} of the points. Denormal results
are judged in units of the smallest one.

One function is measured otherwise: the error of `betaln` is in units of 2 where the result is smaller.

| function | dtype | range | largest error (ulp) | method and source |
| --- | --- | --- | --- | --- |
"""


def best_time(call: Callable[[], object], elements: int) -> float:
    """Return the nanoseconds an element of a call: the lower quartile of many."""
    times = []
    for _ in range(400):
        begin = time.perf_counter_ns()
        call()
        times.append(time.perf_counter_ns() - begin)
    return float(np.quantile(times, 0.25)) / elements


def times(case: Case, kind: str) -> str:
    """Return a row of times: nanoseconds an element of one vector, of two at a time, and of NumPy or SciPy."""
    machine, operands = loops(case.native, kind, case.arity), points(kind, case.ranges[0], 4096)
    out = np.empty_like(operands[0])
    calls: list[Callable[[], object]] = [machine.bound(count, operands, out) for count in machine.counts[1:]]
    place = {"out": out} if isinstance(case.numpy, np.ufunc) else {}
    calls.append(lambda: case.numpy(*operands, **place))
    with np.errstate(all="ignore"):
        cells = " | ".join(f"{best_time(call, out.size):.2f}" for call in calls)
    return f"| `{case.name}` | {kind} | {cells} |"


def print_times() -> None:
    """Print the times of all functions."""
    print("| function | kind | one vector | two | NumPy or SciPy |\n| --- | --- | --- | --- | --- |")
    for case in CASES:
        for kind in KINDS:
            print(times(case, kind))


def write_errors() -> None:
    """Print the page, and write it."""
    page = HEAD + "".join(row for case in CASES for kind in KINDS for row in rows(case, kind))
    print(page, end="")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    print_times() if "--times" in sys.argv[1:] else write_errors()
