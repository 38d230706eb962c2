"""The reference executor: every op bit for bit, in place where the plan says so, and no allocation but the results."""

from __future__ import annotations

import dataclasses
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

sys.path.insert(0, str(Path(__file__).parent.parent / "plan"))
from small_graphs import CHOICES, random_graph, random_inputs

import graphad as ga
from graphad import ops
from graphad.execute import Executable
from graphad.ir.emit import apply_all
from graphad.ir.errors import ExecutionError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.leaf import Input
from graphad.ir.op import OPS, General
from graphad.ir.types import type_of
from graphad.ir.walk import evaluate
from graphad.tracing.trace import make_input

CASES = [
    pytest.param(cls, k, id=f"{name}-{k}")
    for name, cls in sorted(OPS.items())
    if cls.__module__.startswith("graphad.") and cls is not Input
    for k in range(len(cls.samples))
]


def drawn(cls: type, k: int) -> tuple:
    sample = cls.samples[k]
    rng = np.random.default_rng(0)
    return cls(**sample.attributes), [operand.draw(rng) for operand in sample.operands]


def graph_of(op: object, arrays: list, around: bool) -> Graph:
    """The op on inputs; `around` puts a copy before each operand and a reader after each result: all in the arena."""
    inputs = [make_input(f"x{k}", type_of(a)) for k, a in enumerate(arrays)]
    operands = [ops.concatenate([t], 0) if t.ndim else t for t in inputs] if around else inputs
    results = apply_all(op, *operands)  # type: ignore[arg-type]
    outputs = [ops.flip(t, (0,)) if t.ndim else t for t in results] if around else list(results)
    containers = flat_containers(len(inputs), len(outputs))
    names = tuple(f"x{k}" for k in range(len(inputs)))
    out_names = tuple(f"out{k}" for k in range(len(outputs)))
    return Graph("g", tuple(t.value for t in inputs), tuple(t.value for t in outputs), names, out_names, *containers)


def assert_same(a: np.ndarray, b: np.ndarray) -> None:
    b = np.asarray(b, order="C")
    assert a.shape == b.shape and a.dtype == b.dtype
    assert a.tobytes() == b.tobytes()


def as_tuple(result: object) -> tuple:
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("around", [False, True])
@pytest.mark.parametrize(("cls", "k"), CASES)
def test_every_op_gives_the_bits_of_its_evaluation(cls: type, k: int, around: bool) -> None:
    op, arrays = drawn(cls, k)
    graph = graph_of(op, arrays, around)
    exe = Executable(graph)
    for _ in range(2):
        results = as_tuple(exe(*arrays))
        for got, wanted in zip(results, evaluate(graph, arrays), strict=True):
            assert_same(got, wanted)
            assert got.flags.owndata and got.flags.writeable


@pytest.mark.parametrize(("cls", "k"), [case for case in CASES if drawn(*case.values)[0].in_place])
def test_in_place_ops_may_write_over_any_operand_of_their_type(cls: type, k: int) -> None:
    op, arrays = drawn(cls, k)
    (wanted,) = as_tuple(op.evaluate(*arrays))
    for position, array in enumerate(arrays):
        if array.shape == wanted.shape and array.dtype == wanted.dtype:
            operands = [a.copy() for a in arrays]
            with np.errstate(all="ignore"):
                op.evaluate_into((operands[position],), *operands)
            assert_same(operands[position], wanted)


@pytest.mark.parametrize(("cls", "k"), CASES)
def test_zero_sizes_and_views_of_operands(cls: type, k: int) -> None:
    """Arguments in any layout, read-only, give what dense ones give, and are not written."""
    op, arrays = drawn(cls, k)
    graph = graph_of(op, arrays, False)
    exe = Executable(graph)
    wanted = as_tuple(exe(*arrays))
    strided = []
    for a in arrays:
        wide = np.empty((*a.shape, 2), a.dtype)
        wide[..., 0] = a
        view = wide[..., 0]
        view.flags.writeable = False
        strided.append(view)
    for got, right in zip(as_tuple(exe(*strided)), wanted, strict=True):
        assert_same(got, right)


@given(CHOICES)
@settings(max_examples=60, deadline=None)
def test_random_graphs_through_the_executable(choices: list[int]) -> None:
    graph = random_graph(choices, (3, 2))
    inputs = random_inputs(graph, 1)
    exe = Executable(graph)
    first = exe(*inputs)
    kept = [r.copy() for r in first]
    second = exe(*[x + 1 for x in inputs])
    for a, b, c in zip(first, kept, evaluate(graph, inputs), strict=True):
        assert_same(a, b)  # a later call does not write into earlier results
        assert_same(a, c)
    assert not any(np.may_share_memory(a, b) for a in first for b in second)
    assert not any(np.may_share_memory(a, x) for a in first for x in inputs)
    assert not any(np.may_share_memory(a, b) for i, a in enumerate(first) for b in first[:i])


def mlp(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> tuple:
    h = np.tanh(x @ w + b)
    h = np.exp(-h) * 2.0 + np.where(h > 0, h, 0.5)
    return np.sum(h @ w.T, axis=0), (h[::2] - b).T


def test_a_call_allocates_its_results_and_nothing_else() -> None:
    x, w, b = np.ones((400, 300)), np.ones((300, 300)) * 0.01, np.ones(300)
    graph = ga.trace(mlp, x, w, b)
    assert not any(node.op.allocates for node in graph.nodes if node.inputs)
    exe = Executable(graph)
    exe(x, w, b)
    results = exe(x, w, b)
    result_bytes = sum(r.nbytes for r in results)
    assert result_bytes == exe.plan.result_bytes
    del results
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        results = exe(x, w, b)
        now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Each intermediate takes 960 kB. NumPy's iterator holds up to 8192 elements of each operand that is broadcast or
    # strided, whatever the sizes; headers of views and frames take a few kB.
    assert peak - before < result_bytes + 2 * 8192 * 8 + 8_000
    assert now - before < result_bytes + 4_000
    del results


def test_the_caller_may_drop_arguments_and_results() -> None:
    import weakref

    exe = ga.compile(ga.trace(lambda x: np.sin(x) * 2, np.ones(5)))

    class Watched(np.ndarray):
        pass

    x = np.ones(5).view(Watched)
    result = exe(x)
    watched = weakref.ref(x)
    del x
    assert watched() is None
    assert sys.getrefcount(result) == 2


def test_outputs_that_are_arguments_constants_or_each_other_are_copies() -> None:
    constant = np.arange(3.0)
    graph = ga.trace(lambda x: (x, x[::-1], constant, x, np.broadcast_to(x, (2, 3))), np.ones(3))
    exe = Executable(graph)
    x = np.array([1.0, 2.0, 3.0])
    results = exe(x)
    for r in results:
        r += 1
    assert x.tolist() == [1, 2, 3] and constant.tolist() == [0, 1, 2]
    assert [r.tolist() for r in exe(x)] == [[1, 2, 3], [3, 2, 1], [0, 1, 2], [1, 2, 3], [[1, 2, 3]] * 2]


def test_one_array_may_be_passed_twice() -> None:
    exe = ga.compile(ga.trace(lambda x, y: x * y + x, np.ones(3), np.ones(3)))
    x = np.array([1.0, 2.0, 3.0])
    assert exe(x, x).tolist() == [2, 6, 12]
    assert x.tolist() == [1, 2, 3]


def test_no_floating_point_warnings() -> None:
    import warnings

    exe = ga.compile(ga.trace(lambda x: np.log(x) / x, np.ones(2)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(exe(np.array([0.0, -1.0]))).tolist() == [False, True]


def test_a_failing_op_names_itself_and_the_users_line() -> None:
    @dataclasses.dataclass(frozen=True)
    class Refuse(General):
        def infer(self, x):  # type: ignore[no-untyped-def, override]
            return x

        def evaluate(self, x):  # type: ignore[no-untyped-def, override]
            raise ValueError("not today")

    try:
        x = make_input("x", ga.spec((2,)))
        y = apply_all(Refuse(), x)[0]
        graph = Graph("g", (x.value,), (y.value,), ("x",), ("out",), *flat_containers(1, 1))
        exe = Executable(graph)
        with pytest.raises(ExecutionError, match=r"refuse\(f64\[2\]\) failed: not today\n  at .*test_reference"):
            exe(np.ones(2))
    finally:
        OPS.pop("refuse")
