"""np.asarray, np.array and the like on traced arrays."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import TraceError

X = np.array([0.5, 1.5, 2.5])


@pytest.mark.parametrize(
    "function",
    [
        np.sin,
        lambda x: np.asarray(x) * 2,
        lambda x: np.asanyarray(x).sum(),
        lambda x: np.ascontiguousarray(x[::-1]),
        lambda x: np.array(x, copy=True) + 1,
        lambda x: np.array(x, dtype=np.float32),
        lambda x: np.asarray(x, np.float32),
        lambda x: np.array(x, ndmin=3),
        lambda x: np.array([x, 2 * x]),
        lambda x: np.array([x[0], 1.0, x[2] * x[1]]),
        lambda x: np.array([[np.cos(x[0]), -np.sin(x[0])], [np.sin(x[0]), np.cos(x[0])]]),
        lambda x: np.array((x[0], 3), order="C"),
    ],
)
def test_conversions_trace(function: Any) -> None:
    found, expected = ga.trace(function, X)(X), function(X)
    np.testing.assert_allclose(found, expected)
    assert found.dtype == expected.dtype and found.shape == expected.shape


def test_conversions_differentiate() -> None:
    def rotated(x: Any) -> Any:
        rotation = np.array([[np.cos(x[0]), -np.sin(x[0])], [np.sin(x[0]), np.cos(x[0])]])
        return np.sum(rotation @ np.asarray(x[1:]) * [2.0, 3.0])

    ga.check_grads(rotated, (X,))
    np.testing.assert_allclose(ga.grad(rotated)(X), ga.grad(ga.trace(rotated, X))(X))


def test_other_arrays_stay_numpys() -> None:
    made: list[Any] = []

    def function(x: Any) -> Any:
        made.append(np.array([1, 2, 3]))
        made.append(np.asarray(made[0]))
        return x + np.asarray([1.0, 2.0, 3.0])

    ga.trace(function, X)
    assert type(made[0]) is np.ndarray and made[1] is made[0]


def test_numpy_is_as_before_after_a_trace() -> None:
    before = (np.array, np.asarray, np.asanyarray, np.ascontiguousarray)

    def failing(x: Any) -> Any:
        assert np.asarray is not before[1]
        ga.trace(lambda y: np.asarray(y), X)
        assert np.asarray(x) is x  # the inner trace does not end the outer one's
        raise KeyError

    with pytest.raises(KeyError):
        ga.trace(failing, X)
    assert (np.array, np.asarray, np.asanyarray, np.ascontiguousarray) == before


def test_traces_in_several_threads() -> None:
    before = np.asarray
    inside, finish = threading.Event(), threading.Event()

    def slow(x: Any) -> Any:
        inside.set()
        finish.wait(10)
        return np.asarray(x) + 1

    found: list[Any] = []
    other = threading.Thread(target=lambda: found.append(ga.trace(slow, X)))
    other.start()
    inside.wait(10)
    ga.trace(lambda x: np.asarray(x), X)
    finish.set()
    other.join()
    np.testing.assert_array_equal(found[0](X), X + 1)
    assert np.asarray is before


def test_other_objects_still_refuse() -> None:
    class Holder:
        def __init__(self, tensor: Any) -> None:
            self.tensor = tensor

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return self.tensor.__array__()

    with pytest.raises(TraceError, match=r"np\.stack"):
        ga.trace(lambda x: np.asarray(Holder(x)), X)
