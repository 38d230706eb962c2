"""How the tests of this folder compare: a function traced through `numpy` and through `graphad.numpy` against NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import graphad as ga
import graphad.numpy as gnp
from graphad.ir.containers import flatten

Array = np.ndarray[Any, Any]


def random(*shape: int, dtype: str = "float64", seed: int = 0, low: float = -2.0, high: float = 2.0) -> Array:
    """Return random elements; integers lie in -3 ... 5, or 0 ... 5 where unsigned."""
    rng = np.random.default_rng(seed + sum(shape) + 7 * len(shape))
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.asarray(rng.integers(0, 2, shape)).astype(bool)
    if kind in "iu":
        return np.asarray(rng.integers(0 if kind == "u" else -3, 6, shape)).astype(dtype)
    return np.asarray(rng.uniform(low, high, shape)).astype(dtype)


def assert_same(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Compare values, shapes and dtypes of two nests of arrays."""

    def is_leaf(value: object) -> bool:
        return isinstance(value, (np.ndarray, np.generic, bool, int, float))

    found, wanted = flatten(actual, is_leaf)[0], flatten(expected, is_leaf)[0]
    assert len(found) == len(wanted)
    for a, b in zip(map(np.asarray, found), map(np.asarray, wanted), strict=True):
        assert a.shape == b.shape, (a.shape, b.shape)
        assert a.dtype == b.dtype, (a.dtype, b.dtype)
        single = a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=2e-5 if single else tolerance, atol=1e-6 if single else tolerance)


def check(function: Callable[..., Any], *arrays: Any, tolerance: float = 1e-12) -> ga.Graph:
    """Check ``function(np, *arrays)`` traced with both namespaces against NumPy's own; return the graph."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of empty means and too few degrees of freedom
        expected = function(np, *arrays)
    for namespace in (gnp, np):
        graph = ga.trace(lambda *tensors, namespace=namespace: function(namespace, *tensors), *arrays)
        assert_same(graph(*arrays), expected, tolerance)
    return graph
