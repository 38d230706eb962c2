"""In-place operators on traced arrays: NumPy's result where a graph can give it, an error where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import TraceError


def aliased(x):
    h = x * 2
    same = h
    same += 1
    h **= 2
    same @= np.eye(3)
    return h, same


def accumulated(x):
    total = 0.0
    for k in range(3):
        total += np.sum(x[k])
    first = total
    total *= 2
    return first, total


def narrow(x):
    y = x.astype(np.float32)
    y += np.ones(3)
    return y


@pytest.mark.parametrize("function", [aliased, accumulated, narrow])
def test_as_in_numpy(function):
    x = np.arange(9.0).reshape(3, 3)
    for ours, theirs in zip(ga.trace(function, x)(x), function(x), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert np.asarray(ours).dtype == np.asarray(theirs).dtype


def write_argument(x):
    x += 1
    return x


def write_view(x):
    part = (x * 2)[1:]
    part -= 1
    return part


def grow(x):
    y = x * 2
    y += np.ones((2, 3, 3))
    return y


def divide_integers(x):
    y = x.astype(int)
    y /= 2
    return y


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (write_argument, r"x \+= \.\.\.\) to an argument"),
        (write_view, r"x -= \.\.\.\) to a view"),
        (grow, r"cannot turn f64\[3,3\] into f64\[2,3,3\]"),
        (divide_integers, r"cannot turn i64\[3,3\] into f64\[3,3\]"),
    ],
)
def test_refused(function, message):
    with pytest.raises(TraceError, match=message) as caught:
        ga.trace(function, np.ones((3, 3)))
    assert caught.value.location.file == __file__
