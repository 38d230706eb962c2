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
from small_graphs import random_inputs
from training_graphs import chain, cnn, mlp, transformer

from graphad.execute.native.duplication import with_duplicates
from graphad.execute.native.opening import open_all
from graphad.execute.native.preparing import prepared
from graphad.execute.native.program import NativeProgram
from graphad.execute.native.regions import Region
from graphad.ir.errors import MemoryBudgetError
from graphad.ir.graph import Graph
from graphad.ops.reduction import Reduction
from graphad.plan.plan import Plan, plan
from graphad.plan.remat import within

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


def test_a_cnn_gives_up_the_masks_of_its_activations() -> None:
    native = prepared(cnn(batch=32))
    assert smallest(native) < 0.92 * plan(native).peak_bytes


@pytest.mark.parametrize(("share", "most"), [(0.5, 0.05), (0.3, 0.16)])
def test_a_transformer_of_eight_blocks_costs_few_operations(share: float, most: float) -> None:
    native = prepared(transformer(8, d=256, heads=4, seq=128, batch=8, vocab=1000))
    free = plan(native)
    found = within(native, None, None, int(free.peak_bytes * share))
    total = sum(int(n.op.flops(n.input_types, n.types)) for n in free.schedule.nodes if not n.op.view)
    assert found.flops <= most * total


def test_duplicates_bring_no_second_product() -> None:
    graph = open_all(transformer(2, d=128, seq=64, batch=16))
    after = with_duplicates(graph)
    assert after is not graph
    assert _products(after) == _products(graph)


def _products(graph: Graph) -> int:
    return sum(node.op.name == "matmul" for node in graph.nodes)
