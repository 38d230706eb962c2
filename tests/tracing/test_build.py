"""`build`: graphs made by hand."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import TraceError
from graphad.tracing.build import build


def test_mlp() -> None:
    initial = np.full((64, 8), 0.5, np.float32)
    with build("mlp") as b:
        x = b.input("x", (128, 64), "float32")
        w = b.parameter("w", initial)
        b.output(y=np.tanh(x @ w))
    graph = b.graph
    assert graph.name == "mlp" and graph.input_names == ("x", "w") and graph.output_names == ("y",)
    assert [node.op.kind for node in graph.nodes[:2]] == ["input", "parameter"]
    data = np.ones((128, 64), np.float32)
    np.testing.assert_allclose(graph(data)["y"], np.tanh(data @ initial), rtol=1e-6)
    np.testing.assert_array_equal(graph(data, np.zeros_like(initial))["y"], np.zeros((128, 8)))
    np.testing.assert_array_equal(graph(x=data, w=np.zeros_like(initial))["y"], np.zeros((128, 8)))
    initial[:] = 7.0
    assert graph.initial["w"][0, 0] == 0.5 and not graph.initial["w"].flags.writeable


def test_bare_and_several_outputs() -> None:
    with build("one") as b:
        b.output(b.input("x", 3) * 2)
    np.testing.assert_array_equal(b.graph(np.ones(3)), np.full(3, 2.0))
    with build("two") as b:
        x = b.input("x")
        b.output(x + 1, x * 2)
    assert b.graph(3.0) == (4.0, 6.0)
    with build("named") as b:
        x = b.input("x")
        b.output(a=x + 1)
        b.output(b=x * 2)
    assert b.graph(3.0) == {"a": 4.0, "b": 6.0}


def test_symbolic_and_dtype() -> None:
    with build("sizes") as b:
        x = b.input("x", (ga.dim("n"), 2), "f32")
        w = b.parameter("w", [1, 2], dtype="float32")
        b.output(np.mean(x[1:] * w, axis=0))
    data = np.arange(6, dtype=np.float32).reshape(3, 2)
    np.testing.assert_allclose(b.graph(data), (data[1:] * [1, 2]).mean(0))
    assert b.graph.assumptions


def test_exception_passes_through() -> None:
    with pytest.raises(ZeroDivisionError), build("broken") as b:
        b.input("x")
        raise ZeroDivisionError
    with pytest.raises(TraceError, match="ended without an exception"):
        b.graph  # noqa: B018


def test_write_into_numpy_array_is_explained() -> None:
    with pytest.raises(TraceError, match="written into an element"), build("write") as b:
        np.zeros(3)[0] = b.input("x")


def no_outputs() -> None:
    with build("g") as b:
        b.input("x")


def same_input() -> None:
    with build("g") as b:
        b.input("x")
        b.parameter("x", 1.0)


def same_output() -> None:
    with build("g") as b:
        x = b.input("x")
        b.output(y=x)
        b.output(y=x)


def mixed_outputs() -> None:
    with build("g") as b:
        x = b.input("x")
        b.output(y=x)
        b.output(x)


def bare_twice() -> None:
    with build("g") as b:
        x = b.input("x")
        b.output(x)
        b.output(x)


def empty_output() -> None:
    with build("g") as b:
        b.output()


def input_after() -> None:
    with build("g") as b:
        b.output(b.input("x"))
    b.input("z")


def output_after() -> None:
    with build("g") as b:
        x = b.input("x")
        b.output(x)
    b.output(y=x)


def input_before() -> None:
    build("g").input("x")


def entered_twice() -> None:
    b = build("g")
    with b:
        b.output(b.input("x"))
    with b:
        pass


def graph_inside() -> None:
    with build("g") as b:
        b.output(b.input("x"))
        b.graph  # noqa: B018


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (no_outputs, "no outputs"),
        (same_input, "already an input named 'x'"),
        (same_output, "already an output named 'y'"),
        (mixed_outputs, "not both"),
        (bare_twice, "not both"),
        (empty_output, "at least one"),
        (input_after, "after the `with` block ended"),
        (output_after, "after the `with` block ended"),
        (input_before, "inside the block"),
        (entered_twice, "one graph"),
        (graph_inside, "after the `with` block"),
    ],
)
def test_misuse(function: object, text: str) -> None:
    with pytest.raises(TraceError) as caught:
        function()  # type: ignore[operator]
    assert text in str(caught.value)
    assert "test_build.py" in str(caught.value)
