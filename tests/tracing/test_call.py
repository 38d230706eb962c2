"""Calling a graph: binding of arguments, conversion of leaves, sizes from shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import ContainerError, ExecutionError, SymbolicSizeError
from graphad.tracing.call import argument_names, convert_leaf, flatten_arguments, size_binding


def model(params: dict[str, Any], x: Any, y: Any = 1.0) -> Any:
    return (x @ params["w"] + params["b"]) * y


PARAMS = {"w": np.ones((2, 3)), "b": np.zeros(3)}
X = np.arange(8.0).reshape(4, 2)
GRAPH = ga.trace(model, PARAMS, X, 2.0)


def test_positions_keywords_and_order_of_dicts() -> None:
    expected = model(PARAMS, X, 3.0)
    assert argument_names(GRAPH) == ("params", "x", "y")
    np.testing.assert_array_equal(GRAPH(PARAMS, X, 3.0), expected)
    np.testing.assert_array_equal(GRAPH(y=3.0, x=X, params=PARAMS), expected)
    np.testing.assert_array_equal(GRAPH({"b": PARAMS["b"], "w": PARAMS["w"]}, X, y=3), expected)
    leaves = flatten_arguments(GRAPH, (PARAMS,), {"y": 3.0, "x": X})
    assert leaves[0] is PARAMS["w"] and leaves[2] is X and leaves[3] == 3.0


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "text"),
    [
        ((PARAMS, X), {}, ExecutionError, "needs the argument 'y' (y: f64[])"),
        ((PARAMS, X, 1.0, 2.0), {}, ExecutionError, "takes 3 arguments (params, x, y), got 4"),
        ((PARAMS, X), {"z": 1.0}, ExecutionError, "has no argument 'z'"),
        ((PARAMS, X, 1.0), {"x": X}, ExecutionError, "'x' of graph 'model' is given twice"),
        (({"w": X}, X, 1.0), {}, ContainerError, "missing 'b'"),
        (((X, X), X, 1.0), {}, ContainerError, "argument 'params'"),
        ((PARAMS, {"x": X}, 1.0), {}, ContainerError, "argument 'x'"),
        ((PARAMS, None, 1.0), {}, ContainerError, "argument 'x'"),
        (({"w": "a", "b": 1}, X, 1.0), {}, ContainerError, "argument 'params'"),
        ((PARAMS, X.T, 1.0), {}, ExecutionError, "argument 'x' must be f64[4,2], got f64[2,4]"),
        (({"w": X, "b": X}, X, 1.0), {}, ExecutionError, "argument 'params.w' must be f64[2,3], got f64[4,2]"),
        ((PARAMS, X, "a"), {}, ExecutionError, "argument 'y' must be f64[]"),
        ((PARAMS, X, 1j), {}, ExecutionError, "argument 'y' must be f64[]"),
    ],
)
def test_errors(arguments: Any, keywords: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        GRAPH(*arguments, **keywords)
    assert text in str(caught.value)
    assert "test_call.py" in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "value", "fits"),
    [
        ("float32", 1.5, True), ("float32", 2, True), ("float32", True, True), ("float32", np.float32(1), True),
        ("float32", np.float64(1), False), ("float32", np.float16(1), True),
        ("float64", np.float32(1), True),
        ("float64", np.int32(1), True), ("float64", np.int64(1), True), ("float32", np.int64(1), False),
        ("int64", 1, True), ("int64", 1.0, False), ("int64", True, True), ("int8", 300, False), ("uint8", -1, False),
        ("int32", np.int64(1), False), ("int64", np.int32(1), True), ("bool", True, True), ("bool", 1, False),
        ("float64", np.complex128(1), False), ("float64", 2**70, True), ("int64", 2**70, False),
    ],
)  # fmt: skip
def test_convert_leaf(dtype: str, value: Any, fits: bool) -> None:
    type_ = ga.spec((), dtype)
    if fits:
        array = convert_leaf(type_, value, "x")
        assert array.dtype == np.dtype(dtype) and array.shape == () and float(array) == float(value)
    else:
        with pytest.raises(ExecutionError, match=f"argument 'x' must be {type_}".replace("[", r"\[")):
            convert_leaf(type_, value, "x")


def test_wide_array_says_what_to_do() -> None:
    with pytest.raises(ExecutionError, match=r"got f64\[3\]; cast it first: x.astype\('float32'\)"):
        convert_leaf(ga.spec(3, "float32"), np.ones(3), "x")


def test_arrays_pass_without_copy() -> None:
    transposed = np.ones((3, 4)).T
    assert convert_leaf(ga.spec((4, 3)), transposed, "x") is transposed
    np.testing.assert_array_equal(convert_leaf(ga.spec((2,)), [1, 2], "x"), [1.0, 2.0])


def test_sizes() -> None:
    n, m = ga.dim("n"), ga.dim("m")
    graph = ga.trace(lambda a, b: (a.sum() + b.sum(), a), ga.spec((n * m,)), ga.spec((n, m + 1)))
    assert size_binding(graph, [np.ones(6), np.ones((2, 4))]) == {"n": 2, "m": 3}
    assert graph(np.ones(6), np.ones((2, 4)))[0] == 14.0
    for wrong in ([np.ones(5), np.ones((2, 4))], [np.ones(0), np.ones((2, 0))]):
        with pytest.raises(SymbolicSizeError, match="argument"):
            size_binding(graph, wrong)
    lone = ga.trace(lambda a: a.sum(), ga.spec((n * m,)))
    with pytest.raises(SymbolicSizeError, match=r"graph.bind\(m=..., n=...\)"):
        lone(np.ones(6))
    assert lone.bind(n=2, m=3)(np.ones(6)) == 6.0


def test_same_name_must_agree() -> None:
    n = ga.dim("n")
    graph = ga.trace(lambda a, b: a + b, ga.spec((n,)), ga.spec((n,)))
    np.testing.assert_array_equal(graph(np.ones(3), np.ones(3)), np.full(3, 2.0))
    with pytest.raises(SymbolicSizeError, match="argument 'b'"):
        graph(np.ones(3), np.ones(4))


def test_tensors_are_inlined() -> None:
    outer = ga.trace(lambda x: GRAPH(PARAMS, x, 2.0) + 1, X)
    np.testing.assert_array_equal(outer(X), model(PARAMS, X, 2.0) + 1)
    with pytest.raises(ExecutionError, match="takes f64"):
        ga.trace(lambda x: GRAPH(PARAMS, x, 2.0), X.astype(np.float32))
