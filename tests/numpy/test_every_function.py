"""Every function of docs/coverage.md where programs go wrong: memory layouts, order two, awkward values, empty arrays.

Driven by the examples of calls.py, so that a function that gets an example is tested here as well. What differs from
NumPy on purpose stands in the tables below, with the reason.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib import NumpyVersion

import graphad as ga
from graphad.ir.containers import flatten
from graphad.ir.types import is_inexact

sys.path.insert(0, str(Path(__file__).parent))

from calls import CALLS, function_of

Array = np.ndarray[Any, Any]
Arrays = Sequence[Array]

UNTRACED = ("frexp", "histogram2d", "histogramdd", "packbits", "unpackbits")
"""What docs/coverage.md says does not trace."""
HERE = [name for name in CALLS if function_of(np, name) is not None and name not in UNTRACED]
FLOATING = [name for name in HERE if any(is_inexact(a.dtype) for a in CALLS[name].arrays)]

NAN_NOT_ERROR = "values are known only when the graph runs: nan where NumPy raises"
KEEPS_ZEROS = "leading zeros stay, so that the shape depends on no element; NumPy drops them"
NO_DERIVATIVE = "has a value but no derivative there: the gradient raises NumPy's LinAlgError, with the user's line"
SINGULAR = "has no derivative at a singular matrix: what rounding leaves of it differs from mode to mode"
SPREAD = "a sum with zeros for what NumPy leaves out, as in JAX: 0 * inf is nan"
NUMPY_SLIP = "NumPy stumbles over its own arithmetic (IndexError, ZeroDivisionError); nan here, as for the mean"
NO_ELEMENT = "NumPy checks no position where nothing is picked; a trace does"

VALUES: dict[tuple[str, str], str] = {
    ("convolve", "not finite"): SPREAD,
    ("fft.ifft", "not finite"): "scaled by a complex number: nan in one part reaches the other",
    ("fft.ihfft", "not finite"): "scaled by a complex number: nan in one part reaches the other",
    ("geomspace", "zeros"): NAN_NOT_ERROR,
    ("histogram_bin_edges", "not finite"): NAN_NOT_ERROR,
    ("interp", "not finite"): "a point at infinity that is hit exactly gives nan, in NumPy its value",
    ("linalg.cond", "ties"): SINGULAR,
    ("linalg.qr", "ties"): SINGULAR,
    ("linalg.qr", "zeros"): NO_DERIVATIVE,
    ("linalg.slogdet", "ties"): NO_DERIVATIVE,
    ("linalg.slogdet", "zeros"): NO_DERIVATIVE,
    ("partition", "not finite"): "the order before and behind the place is free; the element there is compared below",
    ("polydiv", "not finite"): KEEPS_ZEROS,
    ("polydiv", "ties"): KEEPS_ZEROS,
    ("polydiv", "zeros"): KEEPS_ZEROS,
    ("polymul", "not finite"): SPREAD,
    ("polymul", "zeros"): KEEPS_ZEROS,
    ("roots", "zeros"): KEEPS_ZEROS,
}
"""Function, awkward values -> why the result is not NumPy's, or has no gradient."""

SIZES: dict[tuple[str, str], str] = {
    **dict.fromkeys(
        [("average", "no rows"), ("average", "empty"), ("percentile", "no columns"), ("percentile", "empty")],
        NUMPY_SLIP,
    ),
    **dict.fromkeys([("quantile", "no rows"), ("quantile", "empty")], NUMPY_SLIP),
    **dict.fromkeys([("partition", "no rows"), ("partition", "empty"), ("take", "empty")], NO_ELEMENT),
    **dict.fromkeys([("unstack", "no rows"), ("unstack", "empty")], "a graph without outputs is no graph"),
    **dict.fromkeys(
        [("apply_along_axis", "no rows"), ("apply_along_axis", "empty")], "NumPy refuses it; the result is empty here"
    ),
}
"""Function, size -> why a result is not NumPy's."""

if NumpyVersion(np.__version__) < "2.4.0":
    reason = "NumPy raised ValueError before 2.4, where the rank of nothing became 0"
    SIZES |= {("linalg.matrix_rank", kind): reason for kind in ("no rows", "no columns", "empty")}

ALWAYS_COMPLEX = ("linalg.eig", "linalg.eigvals")
"""Complex where NumPy's dtype depends on the elements: real where all eigenvalues are."""


@contextmanager
def silent() -> Iterator[None]:
    """NumPy warns of the values these tests are made of."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def arrays_of(result: Any) -> list[Any]:
    """Return the arrays in a result; what is none (a dtype) by its text."""
    leaves = flatten(result, lambda leaf: not isinstance(leaf, (tuple, list, dict)))[0]
    kinds = (np.ndarray, np.generic, bool, int, float, complex)
    return [
        leaf
        if isinstance(leaf, ga.Tensor)
        else np.asarray(leaf)
        if isinstance(leaf, kinds)
        else np.frombuffer(repr(leaf).encode(), np.uint8)
        for leaf in leaves
    ]


def bound(name: str, function: Callable[..., Any]) -> Callable[..., list[Any]]:
    """Return an example as a function of its arrays that gives a list of arrays."""
    return lambda *arrays: arrays_of(CALLS[name].call(function, *arrays))


def of_numpy(name: str) -> Callable[..., list[Any]]:
    return bound(name, function_of(np, name))


def of_graphad(name: str) -> Callable[..., list[Any]]:
    """Return the example with graphad.numpy's function; where it has none, NumPy's traces."""
    return bound(name, function_of(ga.numpy, name) or function_of(np, name))


def smooth_part(name: str) -> Callable[..., list[Any]]:
    """Return the example without the results that have no derivatives."""
    whole = of_graphad(name)
    return lambda *arrays: [leaf for leaf in whole(*arrays) if is_inexact(leaf.dtype)]


def computed(name: str, arrays: Arrays) -> list[Array]:
    return [np.asarray(leaf) for leaf in ga.trace(of_graphad(name), *arrays)(*arrays)]


def assert_same(name: str, found: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(found) == len(expected)
    if name in ALWAYS_COMPLEX:
        expected = [leaf.astype(np.complex128) for leaf in expected]
    for one, other in zip(found, expected, strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


def assert_as_numpy(name: str, arrays: Arrays) -> bool:
    """Compare with NumPy: its value, or an error where it has one. Tell whether there is a value."""
    try:
        expected = of_numpy(name)(*arrays)
    except Exception:  # whatever NumPy refuses it with
        with pytest.raises(Exception):  # noqa: B017
            computed(name, arrays)
        return False
    assert_same(name, computed(name, arrays), expected)
    return True


# Memory layouts.


def every_second(array: Array) -> Array:
    wide = np.zeros(tuple(2 * size for size in array.shape), array.dtype)
    spaced = wide[(slice(None, None, 2),) * array.ndim]
    spaced[...] = array
    return spaced


def backwards(array: Array) -> Array:
    return np.flip(np.flip(array).copy())


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "every second": every_second,
    "negative strides": backwards,
    "columns first": np.asfortranarray,
}


@pytest.mark.parametrize("name", HERE)
def test_values_do_not_depend_on_strides(name: str) -> None:
    arrays = CALLS[name].arrays
    with silent():
        expected = of_numpy(name)(*arrays)
        graph = ga.trace(of_graphad(name), *arrays)
        for change in LAYOUTS.values():
            assert_same(name, [np.asarray(leaf) for leaf in graph(*map(change, arrays))], expected)


# Derivatives.


def is_smooth(name: str) -> bool:
    """Tell whether an example has results with derivatives."""
    with silent():
        return any(is_inexact(leaf.dtype) for leaf in of_numpy(name)(*CALLS[name].arrays))


@pytest.mark.parametrize("name", [name for name in FLOATING if is_smooth(name)])
def test_derivatives_of_second_order(name: str) -> None:
    with silent():
        ga.check_grads(smooth_part(name), CALLS[name].arrays, order=2)


# Awkward values.


def holed(array: Array) -> Array:
    """Return the array with the values that are no finite numbers in it."""
    result = array.copy()
    for position, value in enumerate((np.inf, np.nan, -np.inf)):
        result.reshape(-1)[position * 2 % array.size] = value
    return result


AWKWARD: dict[str, Callable[[Array], Array]] = {
    "zeros": np.zeros_like,
    "ties": lambda array: np.full_like(array, 0.5),
    "not finite": holed,
}


def chosen(positions: list[int]) -> list[list[int]]:
    """Return each position alone, then all: ties between arguments as well as within one."""
    return [[k] for k in positions] + ([positions] if len(positions) > 1 else [])


def assert_modes_agree(function: Callable[..., list[Any]], points: Arrays) -> None:
    """Take derivatives forward and in reverse; where both are finite numbers, they are the same."""
    results, pull = ga.vjp(function, *points)
    gradients = pull([np.ones_like(leaf) for leaf in results])
    directions = [np.ones_like(a) if is_inexact(a.dtype) else None for a in points]
    _, tangents = ga.jvp(function, points, directions)
    reverse, forward = (
        sum(np.sum(np.real(np.asarray(leaf))) for leaf in leaves if leaf is not None)
        for leaves in (gradients, tangents)
    )
    if np.isfinite(reverse) and np.isfinite(forward):
        np.testing.assert_allclose(reverse, forward, rtol=1e-6, atol=1e-8)


def declared(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a declared deviation; whether rounding shows one differs from machine to machine."""
    return pytest.mark.xfail(reason=reason, strict=reason != SINGULAR)


def cases(names: Sequence[str], kinds: Iterable[str], deviations: dict[tuple[str, str], str]) -> list[Any]:
    """Return (name, kind) for each; what deviates must fail, so that no reason outlives its deviation."""
    return [
        pytest.param(name, kind, marks=[declared(deviations[name, kind])])
        if (name, kind) in deviations
        else (name, kind)
        for kind, name in itertools.product(kinds, names)
    ]


@pytest.mark.parametrize(("name", "kind"), cases(FLOATING, AWKWARD, VALUES))
def test_awkward_values(name: str, kind: str) -> None:
    arrays = CALLS[name].arrays
    with silent():
        for positions in chosen([i for i, a in enumerate(arrays) if is_inexact(a.dtype)]):
            points = [AWKWARD[kind](a) if i in positions else a for i, a in enumerate(arrays)]
            if assert_as_numpy(name, points) and is_smooth(name):
                assert_modes_agree(smooth_part(name), points)


def test_partition_with_values_not_finite_settles_its_place() -> None:
    (x,) = map(holed, CALLS["partition"].arrays)
    for place in range(3):
        (found,) = [np.asarray(y) for y in ga.trace(lambda t, k=place: [np.partition(t, k, axis=0)], x)(x)]
        np.testing.assert_array_equal(found[place], np.sort(x, axis=0)[place])
        np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(x, axis=0))


# Empty arrays, and axes of size zero and one.

SMALLER: dict[str, Callable[[Array], Array]] = {
    "no rows": lambda array: array[:0],
    "no columns": lambda array: array[..., :0],
    "empty": lambda array: array[(slice(0),) * array.ndim],
    "one row": lambda array: array[:1],
    "one column": lambda array: array[..., :1],
    "one element": lambda array: array[(slice(1),) * array.ndim],
}


@pytest.mark.parametrize(("name", "kind"), cases(HERE, SMALLER, SIZES))
def test_small_axes(name: str, kind: str) -> None:
    with silent():
        arrays = [SMALLER[kind](a) for a in CALLS[name].arrays]
        if assert_as_numpy(name, arrays) and name in FLOATING and is_smooth(name):
            assert_modes_agree(smooth_part(name), arrays)
