"""compile of functions, and jit: one Executable a signature."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import ExecutionError


def test_compile_traces_optimises_and_keeps_example_state() -> None:
    def step(w, x):  # type: ignore[no-untyped-def]
        return np.sum(w * x), w - 0.5 * x

    w = np.ones(3)
    exe = ga.compile(step, w, ga.spec((3,)), updates={"w": "out1"})
    assert exe(np.ones(3)) == 3
    assert exe(np.ones(3)) == 1.5
    assert w.tolist() == [1, 1, 1]
    given = ga.compile(step, w, ga.spec((3,)), updates={"w": "out1"}, state={"w": np.zeros(3)})
    assert given(np.ones(3)) == 0


def test_compile_takes_a_pass_and_refuses_examples_with_a_graph() -> None:
    seen = []

    def note(graph: ga.Graph) -> ga.Graph:
        seen.append(graph.name)
        return graph

    exe = ga.compile(np.sin, np.ones(2), optimize=note)
    assert seen == ["sin"] and exe(np.zeros(2)).tolist() == [0, 0]
    with pytest.raises(ExecutionError, match="without examples"):
        ga.compile(exe.graph, np.ones(2))


def test_one_executable_a_signature() -> None:
    traced = []

    @ga.jit
    def f(x, p):  # type: ignore[no-untyped-def]
        traced.append(x.shape)
        return {"y": np.sin(x) * p["s"]}

    assert f.__name__ == "f"
    for n in (2, 3, 2, 3, 2):
        x = np.arange(float(n))
        assert np.allclose(f(x, {"s": np.float64(2.0)})["y"], np.sin(x) * 2)
    assert traced == [(2,), (3,)]
    f(np.ones(2, np.float32), {"s": np.float64(2.0)})
    f(np.ones(2), p={"s": np.float64(3.0)})
    assert len(traced) == 3
    # A Python number promotes differently from a NumPy scalar: a signature of its own.
    f(np.ones(2), {"s": 2.0})
    assert len(traced) == 4
    assert f.graph(np.ones(2), {"s": 1.0}) is f.executable(np.ones(2), {"s": 1.0}).graph
    assert len(traced) == 4


def test_static_arguments() -> None:
    @ga.jit(static_argnums=(1, 2))
    def f(x, n, how="sum"):  # type: ignore[no-untyped-def]
        for _ in range(n):
            x = x * 2
        return np.sum(x) if how == "sum" else x

    assert f(np.ones(2), 3) == 16
    assert f(np.ones(2), 1) == 4
    assert f(np.ones(2), 1, "all").tolist() == [2, 2]
    assert f(np.ones(2), 1, how="all").tolist() == [2, 2]
    with pytest.raises(ExecutionError, match="not hashable"):
        f(np.ones(2), [1])


def test_tensors_inline() -> None:
    @ga.jit
    def inner(x):  # type: ignore[no-untyped-def]
        return np.sin(x)

    graph = ga.trace(lambda x: inner(x) + inner(x * 2), np.ones(2))
    assert [n.op.name for n in graph.nodes if n.inputs].count("sin") == 2
    outer = ga.jit(lambda x: inner(x) + 1)
    assert np.allclose(outer(np.ones(2)), np.sin(1) + 1)


def test_methods() -> None:
    class Model:
        def __init__(self, scale: float) -> None:
            self.scale = scale

        @ga.jit(static_argnums=0)
        def __call__(self, x):  # type: ignore[no-untyped-def]
            return x * self.scale

    two, three = Model(2.0), Model(3.0)
    assert two(np.ones(2)).tolist() == [2, 2]
    assert three(np.ones(2)).tolist() == [3, 3]


def test_first_calls_from_several_threads() -> None:
    f = ga.jit(lambda x: np.exp(x) @ x)
    results = []

    def work(n: int) -> None:
        results.append((n, f(np.ones(n))))

    threads = [threading.Thread(target=work, args=(2 + k % 3,)) for k in range(9)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(results) == 9
    assert all(np.allclose(value, n * np.e) for n, value in results)


def test_gradients() -> None:
    f = ga.jit(ga.value_and_grad(lambda p, x: np.sum(np.tanh(x @ p["w"]) ** 2)))
    w, x = np.random.rand(3, 2), np.random.rand(4, 3)
    value, grads = f({"w": w}, x)
    h = np.tanh(x @ w)
    assert np.allclose(value, np.sum(h**2))
    assert np.allclose(grads["w"], x.T @ (2 * h * (1 - h**2)))


def test_python_numbers_promote_as_python_numbers():
    @ga.jit
    def f(x, rate):
        return x * rate, x * (2 * rate + 1) - rate**2, np.maximum(x, rate), -rate * x

    x = np.ones(3, np.float32)
    for rate in (0.5, np.float64(0.5), np.asarray(0.5), 0.25, 3):
        plain = [np.asarray(x * rate), x * (2 * rate + 1) - rate**2, np.maximum(x, rate), -rate * x]
        for ours, theirs in zip(f(x, rate), plain, strict=True):
            assert ours.dtype == theirs.dtype
            np.testing.assert_array_equal(ours, theirs)


def test_keyword_only_arguments():
    @ga.jit
    def f(x, *, scale=2.0, **rest):
        return x * scale + sum(rest.values())

    x = np.arange(3.0)
    assert np.array_equal(f(x), x * 2)
    assert np.array_equal(f(x, scale=np.float64(3.0)), x * 3)
    assert np.array_equal(f(x, shift=x), x * 2 + x)
    assert np.array_equal(f(x), x * 2)
    assert np.array_equal(ga.trace(lambda x: f(x, scale=5.0), x)(x), x * 5)
