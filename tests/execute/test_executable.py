"""Executables: arguments, results, symbolic sizes, threads, reports, and state kept between calls."""

from __future__ import annotations

import dataclasses
import threading
from typing import NamedTuple

import numpy as np
import pytest

import graphad as ga
from graphad.execute import Executable
from graphad.execute.planning import BINDINGS_KEPT
from graphad.ir.errors import ContainerError, ExecutionError, SymbolicSizeError
from graphad.ir.walk import evaluate
from graphad.plan.buffers import Home


class Point(NamedTuple):
    x: object
    y: object


@dataclasses.dataclass
class Layer:
    w: object
    b: object


def test_arguments_and_results_are_nested_as_traced() -> None:
    def f(p, layer, items):  # type: ignore[no-untyped-def]
        return {"sum": p.x + p.y, "items": [items[1], (items[0]["a"] * layer.w + layer.b, None)]}

    ones = np.ones(2)
    arguments = (Point(ones, ones * 2), Layer(ones * 3, ones), [{"a": ones}, ones * 4])
    exe = ga.compile(ga.trace(f, *arguments))
    for result in (exe(*arguments), exe(arguments[0], layer=arguments[1], items=arguments[2])):
        assert result["sum"].tolist() == [3, 3]
        assert result["items"][0].tolist() == [4, 4]
        assert isinstance(result["items"][1], tuple) and result["items"][1][1] is None
        assert result["items"][1][0].tolist() == [4, 4]


def test_arguments_that_do_not_fit_are_named() -> None:
    exe = ga.compile(ga.trace(lambda x, p: x + p["w"], np.ones(3), {"w": np.ones(3)}))
    with pytest.raises(ExecutionError, match=r"'x'.*f64\[3\]"):
        exe(np.ones(4), {"w": np.ones(3)})
    with pytest.raises(ContainerError, match="'p'"):
        exe(np.ones(3), {"v": np.ones(3)})
    with pytest.raises(ExecutionError, match="'p'"):
        exe(np.ones(3))
    with pytest.raises(ExecutionError):
        exe(np.ones(3), {"w": np.ones(3)}, 1)
    assert exe([1, 2, 3], {"w": np.ones(3, np.float32)}).tolist() == [2, 3, 4]


def test_layouts_and_scalars() -> None:
    exe = ga.compile(ga.trace(lambda x, s: x.reshape(-1) * s, np.ones((2, 3)), 1.0))
    x = np.arange(6.0).reshape(3, 2)
    x.flags.writeable = False
    assert exe(x.T, 2).tolist() == (x.T.reshape(-1) * 2).tolist()
    assert exe(x.T.astype(">f8"), np.float64(2)).tolist() == (x.T.reshape(-1) * 2).tolist()
    assert isinstance(ga.compile(ga.trace(lambda s: s + 1, 1.0))(2.0), np.ndarray)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.sum(np.sin(x.T), axis=0),
        lambda x: np.sum(np.sin(x.T), axis=1),
        lambda x: np.sin(x.T) @ np.sin(x),
        lambda x: np.sum(np.sin(np.broadcast_to(x[:, None], (70, 5, 90))).T, axis=(0, 2)),
        lambda x: np.mean(np.exp(x.T.reshape(-1, 3)[::2]), axis=0),
    ],
)
def test_the_layout_of_arguments_and_views_does_not_reach_the_last_bits(f) -> None:  # type: ignore[no-untyped-def]
    x = np.random.default_rng(0).random((70, 90))
    graph = ga.trace(f, x)
    exe = ga.compile(graph)
    for given in (x, np.asfortranarray(x)):
        assert exe(given).tobytes() == np.asarray(evaluate(graph, [given])[0], order="C").tobytes()


def test_memory_is_known_before_the_first_call() -> None:
    exe = ga.compile(ga.trace(lambda x: np.sum(np.exp(x) @ np.sin(x)), np.ones((16, 16))))
    assert exe.peak_bytes == exe.plan.peak_bytes == exe.memory.peak
    assert exe.memory.results == 8 and exe.memory.inputs == 16 * 16 * 8
    assert "lower bound" in str(exe.memory)
    text = exe.report()
    for part in ("matmul 1", "FLOPs", "test_executable.py", "peak"):
        assert part in text
    assert "executable" in repr(exe)


def test_symbolic_sizes_are_bound_by_the_arguments_and_planned_once() -> None:
    n, m = ga.dim("n"), ga.dim("m")
    graph = ga.trace(lambda x, y: np.sum(x @ y, axis=0) * x.shape[0], ga.spec((n, m)), ga.spec((m, 3)))
    exe = Executable(graph)
    for rows, columns in ((2, 4), (5, 4), (2, 4)):
        x, y = np.random.rand(rows, columns), np.random.rand(columns, 3)
        assert np.allclose(exe(x, y), np.sum(x @ y, axis=0) * rows)
    assert len(exe._programs) == 2
    with pytest.raises(SymbolicSizeError):
        exe(np.ones((2, 4)), np.ones((5, 3)))
    with pytest.raises(SymbolicSizeError, match="plan_for"):
        exe.plan  # noqa: B018
    assert exe.plan_for(n=2, m=4).arena_bytes >= 0
    for rows in range(2, 4 + BINDINGS_KEPT):
        exe(np.ones((rows, 4)), np.ones((4, 3)))
    assert len(exe._programs) == BINDINGS_KEPT


def test_calls_from_several_threads() -> None:
    def f(x):  # type: ignore[no-untyped-def]
        for _ in range(5):
            x = np.tanh(x @ x.T @ x) + x
        return x, np.sum(x)

    graph = ga.trace(f, np.ones((20, 20)))
    exe = ga.compile(graph)
    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal((20, 20)) for _ in range(8)]
    wanted = [evaluate(graph, [x]) for x in inputs]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(30):
            got = exe(inputs[k])
            if not all(np.array_equal(a, b) for a, b in zip(got, wanted[k], strict=True)):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_a_call_from_inside_a_call() -> None:
    from graphad.ir.emit import apply
    from graphad.ir.op import OPS, General

    inner: list[np.ndarray] = []

    @dataclasses.dataclass(frozen=True)
    class Callback(General):
        def infer(self, x):  # type: ignore[no-untyped-def, override]
            return x

        def evaluate(self, x):  # type: ignore[no-untyped-def, override]
            if not inner:
                inner.append(x)
                inner[0] = exe(x + 100)
            return x * 2

    try:
        exe = ga.compile(ga.trace(lambda x: apply(Callback(), np.sin(x) + 1) + np.cos(x), np.ones(3)))
        x = np.arange(3.0)
        assert exe(x).tolist() == ((np.sin(x) + 1) * 2 + np.cos(x)).tolist()
        y = np.sin(x) + 1 + 100
        assert inner[0].tolist() == ((np.sin(y) + 1) * 2 + np.cos(y)).tolist()
    finally:
        OPS.pop("callback")


# State


def test_a_counter() -> None:
    exe = ga.compile(
        ga.trace(lambda n, step: {"n": n + step, "old": n * 1}, 0.0, 1.0), updates={"n": "n"}, state={"n": 5.0}
    )
    assert exe(2.0)["old"] == 5
    assert exe(step=3.0)["old"] == 7
    assert exe.state["n"] == 10
    exe.set_state(n=1.0)
    assert exe(1.0)["old"] == 1
    copy = exe.state["n"]
    copy += 100
    assert exe.state["n"] == 2


def test_whole_arguments_are_paired_by_path_and_elementwise_updates_are_in_place() -> None:
    def step(params, moments, x):  # type: ignore[no-untyped-def]
        g = {k: v * x for k, v in params.items()}
        new_moments = {k: 0.9 * moments[k] + 0.1 * g[k] for k in g}
        return np.sum(x), {k: params[k] - 0.1 * new_moments[k] for k in g}, new_moments

    params = {"w": np.ones(1000), "b": np.full(1000, 2.0)}
    moments = {"w": np.zeros(1000), "b": np.zeros(1000)}
    exe = ga.compile(
        ga.trace(step, params, moments, 3.0),
        updates={"params": "out1", "moments": "2"},
        state={"params": params, "moments": moments},
    )
    expected = (0, params, moments)
    for _ in range(3):
        assert exe(3.0) == 3.0
        expected = step(expected[1], expected[2], 3.0)
    state = exe.state
    for k in ("w", "b"):
        assert state["params"][k].tolist() == expected[1][k].tolist()
        assert state["moments"][k].tolist() == expected[2][k].tolist()
    assert params["w"][0] == 1 and moments["w"][0] == 0
    assert not any(copy.home == Home.STATE for copy in exe.plan.lifetimes.copies)
    assert exe.plan.state_bytes == 32_000


def test_swap_and_shift() -> None:
    exe = ga.compile(ga.trace(lambda a, b, c, x: {"p": b, "q": a, "r": c[::-1], "x": x, "y": a + 0}, *[np.ones(3)] * 4),
                     updates={"a": "p", "b": "q", "c": "r"},
                     state={"a": np.arange(3.0), "b": np.arange(3.0) + 10, "c": np.arange(3.0) + 20})  # fmt: skip
    result = exe(np.zeros(3))
    assert result["y"].tolist() == [0, 1, 2]
    assert {k: v.tolist() for k, v in exe.state.items()} == {"a": [10, 11, 12], "b": [0, 1, 2], "c": [22, 21, 20]}
    exe(np.zeros(3))
    assert {k: v.tolist() for k, v in exe.state.items()} == {"a": [0, 1, 2], "b": [10, 11, 12], "c": [20, 21, 22]}


def test_updates_that_are_arguments_constants_or_themselves() -> None:
    constant = np.array([7.0, 8.0])
    exe = ga.compile(ga.trace(lambda a, b, c, x: (a + b + c, x, constant, c), *[np.ones(2)] * 4),
                     updates={"a": "out1", "b": "out2", "c": "out3"},
                     state={"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)})  # fmt: skip
    x = np.array([3.0, 4.0])
    assert exe(x).tolist() == [3, 3]
    assert exe(x).tolist() == [3 + 7 + 1, 4 + 8 + 1]
    x[:] = 0
    assert exe.state["a"].tolist() == [3, 4]


def test_the_old_value_is_read_after_the_new_one_is_known() -> None:
    def f(a, x):  # type: ignore[no-untyped-def]
        new = a * 2 + x
        return np.sum(new @ a), new, a, new

    a = np.arange(9.0).reshape(3, 3)
    exe = ga.compile(ga.trace(f, a, a), updates={"a": "out3"}, state={"a": a})
    total, new, old = exe(np.ones((3, 3)))
    assert old.tolist() == a.tolist() and new.tolist() == (a * 2 + 1).tolist()
    assert total == np.sum((a * 2 + 1) @ a)
    assert exe.state["a"].tolist() == new.tolist()
    assert not np.may_share_memory(new, exe._state.arrays[0])


@pytest.mark.parametrize("seed", range(40))
def test_random_updates_agree_with_plain_functions(seed: int) -> None:
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent.parent / "plan"))
    from small_graphs import random_graph, random_inputs

    rng = np.random.default_rng(seed)
    choices = [int(c) for c in rng.integers(0, 2**30, 25)]
    graph = random_graph(choices, (2, 3))
    nodes = [v for node in graph.nodes for v in node.outputs]
    updates, outputs, names = {}, list(graph.outputs), list(graph.output_names)
    for k, value in enumerate(graph.inputs):
        same = [v for v in nodes if v.type == value.type]
        if rng.random() < 0.8:
            outputs.append(same[rng.integers(len(same))])
            names.append(f"new{k}")
            updates[f"x{k}"] = f"new{k}"
    from graphad.ir.graph import flat_containers

    graph = graph.with_outputs(outputs, names, flat_containers(0, len(outputs))[1])
    inputs = random_inputs(graph, seed)
    exe = Executable(graph, updates, {name: inputs[int(name[1:])] for name in updates})
    held = [f"x{k}" in updates for k in range(5)]
    for _ in range(3):
        rest = [x for x, h in zip(inputs, held, strict=True) if not h]
        got = exe(*rest)
        wanted = evaluate(graph, inputs)
        count = len(outputs) - len(updates)
        for a, b in zip(got, wanted[:count], strict=True):
            assert a.tobytes() == np.asarray(b, order="C").tobytes()
        new = iter(wanted[count:])
        inputs = [np.array(next(new), order="C") if h else x for x, h in zip(inputs, held, strict=True)]
        for k, h in enumerate(held):
            if h:
                assert exe.state[f"x{k}"].tobytes() == inputs[k].tobytes()


def test_state_errors() -> None:
    graph = ga.trace(lambda a, x: (a + x, a.astype("float32")), np.ones(2), np.ones(2))
    with pytest.raises(ExecutionError, match="no input named 'b'; it has a, x"):
        Executable(graph, {"b": "out0"})
    with pytest.raises(ExecutionError, match="no output named 'new'"):
        Executable(graph, {"a": "new"})
    with pytest.raises(ExecutionError, match=r"f64\[2\].*f32\[2\]"):
        Executable(graph, {"a": "out1"})
    exe = Executable(graph, {"a": "out0"})
    with pytest.raises(ExecutionError, match=r"a of .* has no value yet"):
        exe(np.ones(2))
    with pytest.raises(ExecutionError, match="its state is: a"):
        exe.set_state(c=1)
    with pytest.raises(ExecutionError, match=r"f64\[2\]"):
        exe.set_state(a=np.ones(3))
    exe.set_state(a=np.ones(2))
    assert exe(np.ones(2)).tolist() == [1, 1]
    nested = ga.trace(lambda p, x: {"p": {"w": p["w"] * x}}, {"w": np.ones(1), "v": np.ones(1)}, 1.0)
    with pytest.raises(ExecutionError, match=r"do not pair.*'v'"):
        Executable(nested, {"p": "p"})
    partly = Executable(nested, {"p.w": "p.w"}, {"p": {"w": np.ones(1)}})
    partly({"v": np.ones(1)}, 3.0)
    assert partly.state["p"]["w"] == 3


def test_state_with_symbolic_sizes() -> None:
    n = ga.dim("n")
    exe = Executable(ga.trace(lambda a, x: (np.sum(a), a + x), ga.spec((n,)), ga.spec((n,))), {"a": "out1"})
    exe.set_state(a=np.zeros(3))
    exe(np.ones(3))
    assert exe(np.ones(3)) == 3
    with pytest.raises(SymbolicSizeError):
        exe(np.ones(4))
    exe.set_state(a=np.zeros(4))
    exe(np.ones(4))
    assert exe.state["a"].tolist() == [1] * 4


def _embed(w, table, idx, g):  # type: ignore[no-untyped-def]
    return w - 0.1 * g, table[idx].sum()


def _scatter(table, idx, v):  # type: ignore[no-untyped-def]
    return table.at[idx].add(v)


def _power(x, exponents):  # type: ignore[no-untyped-def]
    return x**exponents


@pytest.mark.parametrize("optimized", [False, True])
@pytest.mark.parametrize(
    ("function", "update", "good", "bad"),
    [
        (
            _embed,
            {"w": "out0"},
            (np.ones(5), np.arange(4.0), np.array([0, 1]), np.ones(5)),
            (np.arange(4.0), np.array([0, 9]), np.ones(5)),
        ),
        (_scatter, {"table": "out"}, (np.zeros(4), np.array([0, 1]), np.ones(2)), (np.array([1, 4]), np.ones(2))),
        (_power, {"x": "out"}, (np.arange(3), np.array([1, 2, 1])), (np.array([2, 2, -1]),)),
    ],
)
def test_a_call_that_fails_leaves_the_state_as_it_was(function, update, good, bad, optimized) -> None:  # type: ignore[no-untyped-def]
    graph = ga.trace(function, *good)
    exe = ga.compile(ga.optimize(graph) if optimized else graph, updates=update, state={next(iter(update)): good[0]})
    before = exe.state
    with pytest.raises(ExecutionError, match=r"test_executable\.py"):
        exe(*bad)
    np.testing.assert_equal(exe.state, before)
    exe(*good[1:])
    after = evaluate(graph, good)[0]
    np.testing.assert_equal(next(iter(exe.state.values())), after)


def test_a_sparse_update_after_a_read_at_the_same_places_is_in_place() -> None:
    def step(table, w, idx):  # type: ignore[no-untyped-def]
        rows = table[idx]
        return table.at[idx].add(-0.1 * rows * w), w - rows.sum(0)

    graph = ga.trace(step, np.ones((1000, 3)), np.ones(3), np.array([1, 5]))
    exe = ga.compile(
        graph, updates={"table": "out0", "w": "out1"}, state={"table": np.ones((1000, 3)), "w": np.ones(3)}
    )
    assert exe.peak_bytes < 1000
    with pytest.raises(ExecutionError, match="out of bounds"):
        exe(np.array([1, 1000]))
    np.testing.assert_equal(exe.state, {"table": np.ones((1000, 3)), "w": np.ones(3)})
