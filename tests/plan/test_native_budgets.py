"""Budgets of native graphs: results of a region are given up one by one, every bit stays, nothing is computed twice."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
sys.path.insert(0, str(Path(__file__).parent))
from placement_checks import overlapping_pairs
from recomputation_bounds import least_again
from small_graphs import random_inputs
from training_graphs import chain, cnn, mlp, transformer

import graphad as ga
from graphad.execute.native.duplication import with_duplicates
from graphad.execute.native.epilogues import Finished
from graphad.execute.native.opening import open_all
from graphad.execute.native.preparing import prepared
from graphad.execute.native.program import NativeProgram
from graphad.execute.native.regions import OverwritingRegion, Region
from graphad.execute.reference import Program
from graphad.ir.errors import MemoryBudgetError
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.reduction import Reduction
from graphad.plan.plan import Plan, plan
from graphad.plan.remat import within
from graphad.tracing.trace import make_input

Array = np.ndarray[Any, Any]


def inputs_of(graph: Graph) -> list[Array]:
    """Return random arrays; integers are labels below 10."""
    return [x if x.dtype.kind == "f" else np.abs(x) % 10 for x in random_inputs(graph)]


def run(found: Plan, inputs: list[Array], threads: int = 1) -> list[bytes]:
    return [np.asarray(r).tobytes() for r in NativeProgram(found, {}, threads).run(inputs)]


def smallest(graph: Graph) -> int:
    """Return the least budget that is kept."""
    with pytest.raises(MemoryBudgetError) as raised:
        within(graph, None, None, 1)
    return raised.value.smallest


@pytest.mark.parametrize("graph", [cnn(), transformer(1), chain(3)])
def test_a_part_of_a_region_gives_what_the_region_does(graph: Graph) -> None:
    rng = np.random.default_rng(0)
    parts = 0
    for region in {node.op for node in prepared(graph).nodes if isinstance(node.op, Region)}:
        types = region.body.input_types
        operands = [np.asarray(rng.integers(0, 2, t.shape)).astype(t.dtype) for t in types]
        results = region.evaluate(*operands)
        for k, result in enumerate(results):
            part = region.part((k,))
            if part is None:
                assert any(isinstance(node.op, Reduction) for node in region.body.nodes) or not types
                continue
            parts += len(results) > 1
            op, positions = part
            (alone,) = op.evaluate(*[operands[p] for p in positions])
            assert np.array_equal(alone, result, equal_nan=alone.dtype.kind == "f")
            assert op.infer(*[types[p] for p in positions]) == (region.body.output_types[k],)
    assert parts


def test_a_part_of_a_region_gives_from_its_other_results_what_the_region_does() -> None:
    """Elements of a row from what the row's reductions gave: on one thread and on two."""
    parts = 0
    for region in {node.op for node in prepared(transformer(1)).nodes if isinstance(node.op, Region)}:
        whole = _alone(region)
        inputs = inputs_of(whole)
        results = NativeProgram(plan(whole), {}, 1).run(inputs)
        for k, result in enumerate(results):
            others = tuple(other for other in range(len(results)) if other != k)
            part = region.part((k,), others)
            if part is None or region.part((k,)) is not None:
                continue
            parts += 1
            assert max(part[1]) >= len(inputs)
            there = [*inputs, *results]
            for threads in (1, 2):
                assert run(plan(_alone(part[0])), [there[p] for p in part[1]], threads) == [result.tobytes()]
    assert parts >= 3


@pytest.mark.parametrize("shape", [(5, 300), (67, 33), (300, 17), (130, 256)])
@pytest.mark.parametrize("axis", [0, 1, None])
def test_a_region_with_reductions_overwrites_what_it_reads_last(shape: tuple[int, int], axis: int | None) -> None:
    """Elements of the last pass lie where an operand did; those of a pass before do not: later ones read it again."""

    def last(x: Any, w: Any) -> Any:
        a = x @ w
        b = a - np.mean(a, axis, keepdims=True)
        return (b / np.sqrt(np.sum(b * b, axis, keepdims=True) + 1)) @ w

    def summed(x: Any, w: Any) -> Any:
        a = np.tanh(np.cumsum(x, 0)) * 3
        return np.sum(a, axis), a @ w

    def earlier(x: Any, w: Any) -> Any:
        a = x @ w
        b = a * a
        return b @ w, (a - np.sum(b, axis, keepdims=True)) @ w

    rng = np.random.default_rng(0)
    inputs = [rng.standard_normal(shape), rng.standard_normal((shape[1], shape[1]))]
    for function, least in ((last, 1), (summed, 1), (earlier, 0)):
        graph = ga.optimize(ga.trace(function, *inputs))
        found = plan(prepared(graph))
        kinds = [type(node.op) for node in found.schedule.nodes if isinstance(node.op, Region)]
        assert sum(issubclass(kind, OverwritingRegion) for kind in kinds) >= least
        assert found.lifetimes.in_place >= least
        expected = [np.asarray(r) for r in Program(plan(graph), {}).run(inputs)]
        one, two = (NativeProgram(found, {}, threads).run(inputs) for threads in (1, 2))
        for a, b, c in zip(one, two, expected, strict=True):
            assert a.tobytes() == b.tobytes()
            np.testing.assert_allclose(a, c, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("graph", "share"),
    [
        (cnn(batch=32), 0.0),
        (mlp(), 0.0),
        (chain(24), 0.7),
        (chain(24), 0.35),
        (transformer(1), 0.8),
        (transformer(2), 0.5),
    ],
)
def test_gradients_keep_every_bit_on_any_number_of_threads(graph: Graph, share: float) -> None:
    native = prepared(graph)
    free = plan(native)
    budget = int(free.peak_bytes * share) or smallest(native)
    kept = within(native, None, None, budget)
    assert kept.graph is not native
    assert kept.plan.peak_bytes <= budget
    placed = kept.plan.placed()
    columns = ([p.start for p in placed], [p.end for p in placed], [p.size for p in placed], [p.offset for p in placed])
    assert not overlapping_pairs(*columns)
    inputs = inputs_of(graph)
    expected = run(free, inputs)
    for threads in (1, 2):
        assert run(kept.plan, inputs, threads) == expected


def test_a_part_of_a_finished_product_gives_what_it_all_gives() -> None:
    """As steps of their own, on one thread and on two: bits of sums do not depend on what becomes of them."""
    parts = 0
    for graph in (cnn(batch=4), mlp((600, 500, 300, 10)), transformer(1)):
        for op in {node.op for node in prepared(graph).nodes if isinstance(node.op, Finished)}:
            whole = _alone(op)
            inputs = inputs_of(whole)
            expected = run(plan(whole), inputs)
            for k in range(len(whole.outputs)):
                part = op.part((k,)) if len(whole.outputs) > 1 else None
                if part is None:
                    continue
                parts += 1
                alone = _alone(part[0])
                for threads in (1, 2):
                    assert run(plan(alone), [inputs[p] for p in part[1]], threads) == [expected[k]]
    assert parts


def _alone(op: Op) -> Graph:
    """Return a graph of one op that holds a body."""
    (body,) = op.graphs()
    leaves = [make_input(name, type_).value for name, type_ in zip(body.input_names, body.input_types, strict=True)]
    node = Node(op, tuple(leaves), body.output_types, None, "", "forward", 0)
    outputs = tuple([Value(node, k) for k in range(len(body.outputs))])
    containers = flat_containers(len(leaves), len(outputs))
    return Graph("alone", tuple(leaves), outputs, body.input_names, body.output_names, *containers)


def test_a_cnn_gives_up_the_masks_of_its_activations() -> None:
    native = prepared(cnn(batch=32))
    assert smallest(native) < 0.75 * plan(native).peak_bytes


@pytest.mark.parametrize(("budget", "most"), [(134_000_000, 0.01), (80_000_000, 0.12)])
def test_a_transformer_of_eight_blocks_costs_few_operations(budget: int, most: float) -> None:
    """Within bytes, not shares of the unlimited peak: what lowers that would make its shares harder to keep."""
    native = prepared(transformer(8, d=256, heads=4, seq=128, batch=8, vocab=1000))
    free = plan(native)
    found = within(native, None, None, budget)
    total = sum(int(n.op.flops(n.input_types, n.types)) for n in free.schedule.nodes if not n.op.view)
    assert found.flops <= most * total


@pytest.mark.parametrize(("share", "most"), [(0.5, 0.0715), (0.3, 0.181)])
def test_a_transformer_of_eight_blocks_costs_little_more_than_any_plan_must(share: float, most: float) -> None:
    """Shares of the peak without a budget, which leaves out already what is cheap to leave out.

    What is asked of this graph elsewhere, 5 % more operations in half its peak and 15 % in 30 %, no plan reaches.
    """
    graph = transformer(8, d=256, heads=4, seq=128, batch=8, vocab=1000)
    native = prepared(graph)
    free = plan(native)
    budget = int(share * free.peak_bytes)
    found = within(native, None, None, budget)
    total = sum(int(n.op.flops(n.input_types, n.types)) for n in free.schedule.nodes if not n.op.view)
    assert found.flops <= most * total
    opened = open_all(graph)
    turns = [node for node in opened.nodes if node.op.name == "matmul" and node.role == "backward"][:1]
    least = least_again(opened, budget - free.result_bytes, turns)
    assert {0.5: 0.06, 0.3: 0.17}[share] * total < least <= found.flops <= 1.15 * least


@pytest.mark.xfail(reason="no plan can: 6.2 % and 17.2 % are bounds, 7.0 % and 18.0 % are found", strict=True)
@pytest.mark.parametrize(("share", "most"), [(0.5, 0.05), (0.3, 0.15)])
def test_a_transformer_of_eight_blocks_costs_few_operations_in_shares(share: float, most: float) -> None:
    native = prepared(transformer(8, d=256, heads=4, seq=128, batch=8, vocab=1000))
    free = plan(native)
    found = within(native, None, None, int(share * free.peak_bytes))
    total = sum(int(n.op.flops(n.input_types, n.types)) for n in free.schedule.nodes if not n.op.view)
    assert found.flops <= most * total


def test_duplicates_bring_no_second_product() -> None:
    graph = open_all(transformer(2, d=128, seq=64, batch=16))
    after = with_duplicates(graph)
    assert after is not graph
    assert _products(after) == _products(graph)


def _products(graph: Graph) -> int:
    return sum(node.op.name == "matmul" for node in graph.nodes)
