"""`trace`: arguments in every form, containers, constants, leaks, results."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import LeakError, TraceError
from graphad.ir.leaf import Constant
from graphad.ir.op import Elementwise
from graphad.tracing import coerce


class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass
class Layer:
    w: Any
    b: Any


def test_names_and_containers() -> None:
    def model(params: dict[str, Any], layer: Layer, x: Any) -> dict[str, Any]:
        return {"y": x @ layer.w + layer.b, "pair": Pair(params["a"] * 2, [params["b"][0]])}

    params = {"a": np.ones(2), "b": (np.zeros(3), np.float32(1))}
    graph = ga.trace(model, params, Layer(np.ones((2, 4)), np.zeros(4)), x=np.ones((3, 2)))
    assert graph.name == "model"
    assert graph.input_names == ("params.a", "params.b.0", "params.b.1", "layer.w", "layer.b", "x")
    assert graph.output_names == ("y", "pair.left", "pair.right.0")
    result = graph(params, Layer(np.ones((2, 4)), np.ones(4)), np.ones((3, 2)))
    assert isinstance(result["pair"], Pair) and isinstance(result["pair"].right, list)
    np.testing.assert_array_equal(result["y"], np.full((3, 4), 3.0))


def test_keywords_defaults_and_varargs() -> None:
    def f(x: Any, scale: Any = 2.0, shift: Any = None, *, power: Any = 1.0) -> Any:
        y = x * scale if shift is None else x * scale + shift
        return y * power

    x = np.arange(3.0)
    assert ga.trace(f, x).input_names == ("x",)
    np.testing.assert_array_equal(ga.trace(f, x)(x), 2 * x)
    graph = ga.trace(f, x, shift=np.ones(3))
    assert graph.input_names == ("x", "scale", "shift")
    np.testing.assert_array_equal(graph(x, 3.0, np.ones(3)), 3 * x + 1)
    np.testing.assert_array_equal(graph(x, shift=x, scale=0), x)
    graph = ga.trace(f, x, power=2.0)
    assert graph.input_names == ("x", "power")
    np.testing.assert_array_equal(graph(x, power=3.0), 6 * x)

    def g(x0: Any, *x: Any, **options: Any) -> Any:
        return x0 + sum(x) * options["k"]

    graph = ga.trace(g, 1.0, 2.0, 3.0, k=4.0)
    assert graph.input_names == ("x0", "x0_", "x1", "k")
    assert graph(1.0, 2.0, 3.0, k=4.0) == 21.0


def test_partial_builtin_lambda_and_name() -> None:
    x = np.ones(2)
    assert ga.trace(functools.partial(lambda a, b: a * b, 2.0), x).name == "function"
    assert ga.trace(np.sin, x).name == "sin"
    np.testing.assert_array_equal(ga.trace(np.add, x, x)(x, x), x + x)
    assert ga.trace(lambda x: x, x, name="mine").name == "mine"


def test_graph_is_returned_as_it_is() -> None:
    graph = ga.trace(np.sin, 1.0)
    assert ga.trace(graph, 1.0) is graph


def test_specs_and_examples() -> None:
    graph = ga.trace(lambda x, y: x + y, ga.spec((2, 3), "float32"), 1)
    assert [str(t) for t in graph.input_types] == ["f32[2,3]", "i64[]"]
    assert [str(t) for t in ga.trace(lambda x: x, ga.spec(4)).input_types] == ["f64[4]"]


def test_closures_are_constants() -> None:
    table = np.arange(3.0)
    graph = ga.trace(lambda x: x + table, np.ones(3))
    constants = [node.op.array for node in graph.nodes if isinstance(node.op, Constant)]
    assert len(constants) == 1 and not constants[0].flags.writeable
    table[:] = 100.0
    np.testing.assert_array_equal(graph(np.zeros(3)), [0.0, 1.0, 2.0])


def test_results_that_are_inputs_constants_and_repeated() -> None:
    graph = ga.trace(lambda x: (x, 3.0, np.arange(2), x * 2, x), np.ones(2))
    a, b, c, d, e = graph(np.full(2, 5.0))
    np.testing.assert_array_equal(np.concatenate([a, [b], c, d, e]), [5, 5, 3, 0, 1, 10, 10, 5, 5])
    assert graph.outputs[0] == graph.outputs[4]


def test_leak_names_the_line_that_made_the_tensor() -> None:
    kept = []

    def first(x: Any) -> Any:
        y = x * 2
        kept.append(np.sin(y))  # the leaking line
        return y

    ga.trace(first, np.ones(2))
    with pytest.raises(LeakError) as caught:
        ga.trace(lambda x: x + kept[0], np.ones(2))
    assert "the leaking line" in str(caught.value)
    with pytest.raises(LeakError) as caught:
        ga.trace(lambda x: (x, kept[0]), np.ones(2))
    assert "the leaking line" in str(caught.value)


def test_leak_from_a_surrounding_trace() -> None:
    def outer(x: Any) -> Any:
        y = np.exp(x)  # made outside
        return ga.trace(lambda t: t + y, x)(x)

    with pytest.raises(LeakError, match="made outside"):
        ga.trace(outer, np.ones(2))


def test_graphs_called_on_tensors_are_inlined() -> None:
    inner = ga.trace(lambda x, y: {"s": np.sin(x) * y}, np.ones(3), 1.0)
    outer = ga.trace(lambda x: inner(x, 2.0)["s"] + 1, np.ones(3))
    np.testing.assert_allclose(outer(np.arange(3.0)), np.sin(np.arange(3.0)) * 2 + 1)


@pytest.mark.parametrize(
    ("function", "example", "text"),
    [
        (lambda x: "text", 1.0, "the result of"),
        (lambda x: None, 1.0, "is a `return` missing?"),
        (lambda x: ga.spec(3), 1.0, "a spec"),
        (lambda x: x, "text", "argument 'x'"),
        (lambda x: x, [1.0, "text"], "argument 'x'"),
        (lambda x: x, np.array(["a"]), "is not supported"),
        (lambda: 1.0, 1.0, "too many positional arguments"),
    ],
)
def test_errors(function: Any, example: Any, text: str) -> None:
    with pytest.raises(ga.GraphadError) as caught:
        ga.trace(function, example)
    assert text in str(caught.value)
    assert "test_trace.py" in str(caught.value)


def test_arguments_without_arrays_have_no_inputs() -> None:
    graph = ga.trace(lambda x, nothing: x if nothing is None else -x, 1.0, None)
    assert len(graph.inputs) == 1 and graph(2.0, None) == 2.0


def test_long_chain() -> None:
    def chain(x: Any) -> Any:
        for _ in range(50_000):
            x = x + 1.0
        return x

    graph = ga.trace(chain, 0.0)
    assert graph(0.0) == 50_000.0


@pytest.mark.parametrize("shape", [(2, -1), (2, 1.5), "ab", -3])
def test_a_size_that_is_none_is_refused(shape) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TraceError, match=r"whole number(.|\n)*test_trace.py"):
        ga.spec(shape)


def test_types_of_elementwise_ops_are_inferred_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    infer = Elementwise.infer
    monkeypatch.setattr(coerce, "_KNOWN", {})
    monkeypatch.setattr(Elementwise, "infer", lambda self, *xs: asked.append(self.name) or infer(self, *xs))

    def chain(x: Any, y: Any) -> Any:
        for _ in range(50):
            x = np.sin(x) * y - x
        return x, x < y, x.astype("f4") * y.astype("f4")

    graph = ga.trace(chain, np.ones((2, 3)), np.ones((2, 3)))
    assert {name: asked.count(name) for name in asked} == {"sin": 1, "mul": 2, "sub": 1, "less": 1}
    assert [str(t) for t in graph.output_types] == ["f64[2,3]", "bool[2,3]", "f32[2,3]"]
    assert len({node.location for node in graph.nodes if node.op.name in ("sin", "less")}) == 2
