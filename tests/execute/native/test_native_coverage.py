"""Every function of docs/coverage.md on native code: values and gradients of the reference executor.

Driven by the examples of tests/numpy/calls.py, several functions a graph, since what takes time is compiling a graph.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import graphad as ga
from graphad.execute import Executable
from graphad.ir.types import is_inexact
from tests.execute.native.both_executors import arrays_of, assert_agree, same_bits, share_everything

sys.path.insert(0, str(Path(__file__).parents[2] / "numpy"))

from calls import CALLS, function_of

NOT_TRACED = ("frexp", "histogram2d", "histogramdd", "packbits", "unpackbits")
"""What docs/coverage.md says does not trace."""
NAMES = sorted(name for name in CALLS if function_of(np, name) is not None and name not in NOT_TRACED)
UFUNCS = [name for name in NAMES if isinstance(function_of(np, name), np.ufunc)]
ELEMENTWISE = [name for name in UFUNCS if function_of(np, name).signature is None and name != "ldexp"]
ROWS = [
    "all",
    "amax",
    "amin",
    "any",
    "argmax",
    "argmin",
    "average",
    "count_nonzero",
    "max",
    "mean",
    "median",
    "min",
    "nanargmax",
    "nanargmin",
    "prod",
    "ptp",
    "std",
    "sum",
    "var",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "argsort",
    "sort",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanprod",
    "nanstd",
    "nansum",
    "nanvar",
]
CHANGED = {"roots": "sorts what rounding decides", "linalg.matrix_rank": "a count that rounding decides"}
"""Functions that are compared for their shape and type only where values are of single precision -> why."""
TOGETHER = 12
"""Functions of one graph."""


@pytest.fixture(autouse=True)
def _shared(monkeypatch):
    share_everything(monkeypatch)


@contextmanager
def silent():
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def chunks(names):
    return [names[k : k + TOGETHER] for k in range(0, len(names), TOGETHER)]


def leaves(result):
    """Return the arrays of a result; what is none (a dtype) is left out."""
    found = ga.ir.containers.flatten(result, lambda leaf: not isinstance(leaf, (tuple, list, dict)))[0]
    return [leaf for leaf in found if isinstance(leaf, (ga.Tensor, np.ndarray, np.generic, bool, int, float, complex))]


def called(name, arrays):
    return leaves(CALLS[name].call(function_of(ga.numpy, name) or function_of(np, name), *arrays))


def with_gradient(name, arrays):
    """Return the results of an example, and the gradients of the sum of their squares."""
    values = called(name, arrays)
    smooth = [k for k, a in enumerate(arrays) if is_inexact(a.dtype)]
    if not smooth or not any(isinstance(v, ga.Tensor) and is_inexact(v.dtype) for v in values):
        return values

    def total(*points):
        parts = [v for v in called(name, points) if isinstance(v, ga.Tensor) and is_inexact(v.dtype)]
        return sum(np.sum(np.real(v) ** 2 + np.imag(v) ** 2 if v.dtype.kind == "c" else v * v) for v in parts)

    return [*values, *ga.grad(total, argnums=tuple(smooth))(*arrays)]


def traced(names, sets, function):
    """Return one graph of `function` for every name and its arrays, and how many results each name has."""
    counts = []

    def everything(*flat):
        rest, found = iter(flat), []
        counts.clear()
        for name, arrays in zip(names, sets, strict=True):
            part = function(name, [next(rest) for _ in arrays])
            counts.append(len(part))
            found += part
        return found

    return ga.optimize(ga.trace(everything, *[a for arrays in sets for a in arrays])), counts


def assert_same_on_both(names, sets, bound, threads=(1, 2), function=with_gradient, arrange=lambda a: a):
    """Compare the executors on the examples `names` with the arrays `sets`, each laid out as `arrange` says."""
    with silent():
        graph, counts = traced(names, sets, function)
        given = [arrange(a) for arrays in sets for a in arrays]
        wanted = arrays_of(Executable(graph, executor="reference")(*given))
        runs = [arrays_of(Executable(graph, executor="native", threads=n).wait()(*given)) for n in threads]
    for other in runs[1:]:
        assert same_bits(runs[0], other)
    at, wrong = 0, []
    for name, count in zip(names, counts, strict=True):
        try:
            assert_agree(runs[0][at : at + count], wanted[at : at + count], bound)
        except AssertionError as error:
            if not (name in CHANGED and bound > 1e-6):
                wrong.append(f"{name}: {error}")
        at += count
    assert not wrong, "\n".join(wrong)


def single(array):
    """Return an array in single precision, if it has floats."""
    return array.astype({"f": np.float32, "c": np.complex64}.get(array.dtype.kind, array.dtype))


BOUNDS = {"double": 1e-9, "single": 2e-3}
PRECISIONS = {"double": lambda a: a, "single": single}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("names", chunks(NAMES), ids=lambda names: names[0])
def test_every_function_and_its_gradient(names, precision):
    sets = [[PRECISIONS[precision](a) for a in CALLS[name].arrays] for name in names]
    assert_same_on_both(names, sets, BOUNDS[precision])


def every_second(array):
    wide = np.zeros(tuple(2 * n for n in array.shape), array.dtype)
    wide[(slice(None, None, 2),) * array.ndim] = array
    return wide[(slice(None, None, 2),) * array.ndim]


LAYOUTS = {
    "every second": every_second,
    "backwards": lambda a: np.flip(np.flip(a).copy()),
    "columns first": np.asfortranarray,
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("names", chunks(NAMES), ids=lambda names: names[0])
def test_values_do_not_depend_on_strides(names, layout):
    sets = [CALLS[name].arrays for name in names]
    assert_same_on_both(names, sets, 1e-9, (2,), called, LAYOUTS[layout])


def of_size(array, shape):
    return np.resize(array, shape)


SIZES = [0, 1, 3, 8, 33]


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("size", SIZES)
def test_elementwise_functions_of_awkward_sizes(size, precision):
    for names in chunks(ELEMENTWISE):
        sets = [[PRECISIONS[precision](of_size(a, (size,))) for a in CALLS[name].arrays] for name in names]
        assert_same_on_both(names, sets, BOUNDS[precision], (2,))


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("shape", [(n, m) for n, m in ((1, 3), (9, 8), (2, 33))])
def test_functions_of_rows_of_awkward_sizes(shape, precision):
    rng = np.random.default_rng(1)
    x = PRECISIONS[precision](rng.permutation(np.linspace(0.2, 1.8, shape[0] * shape[1])).reshape(shape))
    for names in chunks(ROWS):
        assert_same_on_both(names, [[x]] * len(names), BOUNDS[precision], (2,))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("names", chunks(ELEMENTWISE), ids=lambda names: names[0])
def test_awkward_values(names, precision):
    special = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, 1e-300, -1e300, 2.0, 3.5, -2.5])
    sets = []
    for name in names:
        arrays = CALLS[name].arrays
        grid = np.meshgrid(*[special] * len(arrays), indexing="ij")
        changed = [g.ravel() if is_inexact(a.dtype) else of_size(a, g.size) for a, g in zip(arrays, grid, strict=True)]
        with silent():
            sets.append([PRECISIONS[precision](a) for a in changed])
    assert_same_on_both(names, sets, BOUNDS[precision], (2,), called)
