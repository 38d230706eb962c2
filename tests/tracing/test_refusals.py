"""What a traced array refuses: each error names the user's line and what to do instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import SymbolicSizeError, TraceError

asarray = np.asarray  # under another name than np.asarray it is NumPy's own while tracing, too


def set_element(x: Any) -> Any:
    a = np.zeros(3)
    a[0] = x[0]
    return a


def set_integer_element(x: Any) -> Any:
    a = np.zeros(3, int)
    a[0] = x[0]
    return a


def set_boolean_element(x: Any) -> Any:
    a = np.zeros(3, bool)
    a[0] = x[0]
    return a


def set_all(x: Any) -> Any:
    a = np.zeros(3)
    a[:] = x
    return a


def set_list(x: Any) -> Any:
    a = np.zeros((3, 2))
    a[0] = [x[0], x[1]]
    return a


def add_in_place(x: Any) -> Any:
    a = np.zeros(3)
    a += x
    return a


def set_traced(x: Any) -> Any:
    x[0] = 1.0
    return x


def add_to_traced_element(x: Any) -> Any:
    x[0] += 1.0
    return x


def delete(x: Any) -> Any:
    del x[0]
    return x


REFUSALS = [
    (lambda x: x if x[0] > 0 else -x, "np.where, np.logical_and"),
    (lambda x: float(x[0]), "drop the float()"),
    (lambda x: int(x[0]), "x.astype(int)"),
    (lambda x: complex(x[0]), "complex()"),
    (lambda x: [1, 2, 3][x[0]], "Index with the array itself"),
    (lambda x: x.item(), "Return it as an output"),
    (lambda x: f"{x[0]:.3f}", "print it after the call"),
    (lambda x: x.tolist(), "Return it as an output"),
    (lambda x: 3.0 in x, "np.any(x == item)"),
    (lambda x: asarray(x), "graphad.numpy.array"),
    (lambda x: asarray([x[0], x[1]]), "np.stack"),
    (lambda x: np.ones(3)[x.astype(int)], "np.asarray()"),
    (lambda x: np.full(3, x[0]), "np.stack"),
    (lambda x: np.zeros(x[0]), "where it needs a number"),
    (lambda x: np.zeros((x[0], 2)), "plain Python argument"),
    (lambda x: list(x[0]), "without axes"),
    (lambda x: len(x[0]), "without axes"),
    (set_element, "written into an element of a NumPy array"),
    (set_integer_element, "int()"),
    (set_boolean_element, "written into an element of a NumPy array"),
    (set_all, "np.stack"),
    (set_list, "np.stack"),
    (add_in_place, "a = a + b"),
    (set_traced, "y = x.at[index].set(value)"),
    (add_to_traced_element, "y = x.at[index].set(value)"),
    (delete, "Select those to keep"),
    (lambda x: np.add(x, 1, out=np.zeros(3)), "out="),
    (lambda x: np.sum(x, out=np.zeros(())), "out="),
    (lambda x: x.sum(out=np.zeros(())), "out="),
    (lambda x: x.mean(None, None, np.zeros(())), "out="),
    (lambda x: x.sort(), "y = np.sort(x)"),
    (lambda x: np.put_along_axis(x, np.array([0]), x, 0), "graphad.numpy.put_along_axis"),
    (lambda x: x.fill(0.0), "np.full_like"),
    (lambda x: x.flat, "x.ravel()"),
    (lambda x: x.view("int64"), "no memory"),
    (lambda x: x.resize(2), "np.pad"),
    (lambda x: np.fft.fft(x, out=np.zeros(3, complex)), "out="),
    (lambda x: np.kaiser(x, x), "np.kaiser cannot be traced"),
    (lambda x: np.unique(x), "depends on the elements"),
    (lambda x: np.copyto(np.zeros(3), x), "writes into an array in place"),
    (lambda x: np.vectorize(lambda v: v)(x), "np.stack"),
]


@pytest.mark.parametrize("case", range(len(REFUSALS)))
def test_refusals(case: int) -> None:
    function, text = REFUSALS[case]
    with pytest.raises(TraceError) as caught:
        ga.trace(function, np.ones(3))
    assert text in str(caught.value)
    assert caught.value.location is not None and caught.value.location.file == __file__
    assert caught.value.location.source


SYMBOLIC = [
    (lambda x: np.zeros(x.shape), SymbolicSizeError),
    (lambda x: np.zeros(x.shape[0]), SymbolicSizeError),
    (lambda x: list(x), SymbolicSizeError),
    (lambda x: len(x), SymbolicSizeError),
    (lambda x: range(x.shape[0]), SymbolicSizeError),
    (lambda x: np.arange(x.shape[0]), ga.GraphadError),
]


@pytest.mark.parametrize("case", range(len(SYMBOLIC)))
def test_symbolic_sizes_are_no_numbers(case: int) -> None:
    function, error = SYMBOLIC[case]
    with pytest.raises(error) as caught:
        ga.trace(function, ga.spec((ga.dim("n"), 3)))
    assert caught.value.location is not None and caught.value.location.file == __file__


def test_unknown_attributes_stay_attribute_errors() -> None:
    graph = ga.trace(lambda x: x * (1 if hasattr(x, "nonsense") else 2), 1.0)
    assert graph(1.0) == 2.0


def test_errors_of_the_user_pass_through() -> None:
    def f(x: Any) -> Any:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        ga.trace(f, 1.0)
