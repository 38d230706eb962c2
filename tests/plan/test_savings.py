"""Savings and the peak: stages that end at the plan, tensors that add up to it, lines that are the user's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

import graphad as ga
from graphad.autodiff import value_and_grad
from graphad.plan.plan import plan
from graphad.plan.remat import within
from graphad.plan.savings import recomputation
from tests.plan.training_graphs import chain, cnn, mlp, transformer


def test_the_stages_end_at_the_plan_and_never_above_program_order() -> None:
    for graph in (chain(12, 40, 16), mlp((16, 32, 32, 4), 16), cnn(1, (3, 8, 8), 8)):
        found = plan(graph)
        saved = found.savings()
        assert [stage.name for stage in saved.stages] == ["program order", "schedule", "in place"]
        assert saved.stages[-1].arena_bytes == found.arena_bytes
        assert saved.stages[-1].arena_bytes <= saved.stages[0].arena_bytes <= saved.separate_bytes
        assert all(stage.lower_bound_bytes <= stage.arena_bytes for stage in saved.stages)
        assert not saved.recomputed and not saved.extra_flops and saved.flops > 0


def test_sharing_in_place_is_seen() -> None:
    def loss(x: Any) -> Any:
        for _ in range(6):
            x = np.tanh(x)
        return x @ x

    found = plan(ga.trace(loss, np.ones((16, 16))))
    before, _, after = found.savings().stages
    assert before.arena_bytes == 2 * 16 * 16 * 8
    assert after.arena_bytes == 16 * 16 * 8


def test_recomputation_is_a_stage_of_its_own_and_is_counted() -> None:
    graph = chain(24, 60, 32)
    unlimited = plan(graph)
    budget = unlimited.peak_bytes // 2
    kept = within(graph, None, None, budget)
    for saved in (kept.plan.savings(), kept.plan.savings(unlimited, budget)):
        *_, in_place, again = saved.stages
        assert again.name == "recomputation" and again.arena_bytes == kept.plan.arena_bytes < in_place.arena_bytes
        assert saved.recomputed == sum(n.role == "recompute" and not n.op.view for n in kept.graph.nodes) > 0
        assert saved.extra_flops == kept.flops
        flops = sum(int(n.op.flops(n.input_types, n.types)) for n in graph.nodes if not n.op.view)
        assert saved.flops == flops
    assert saved.stages[2].arena_bytes == unlimited.arena_bytes
    assert saved.budget == budget and "recomputation" in str(saved)
    assert recomputation(graph).nodes == ()


def test_savings_as_json_are_plain_and_strict() -> None:
    found = plan(mlp((16, 32, 4), 16))
    data = json.loads(json.dumps(found.savings(budget=10_000_000).to_json(), allow_nan=False))
    assert (data["format"], data["version"], data["units"]) == ("graphad savings", 1, "bytes")
    assert data["budget_bytes"] == 10_000_000
    assert data["stages"][-1]["peak_bytes"] == found.peak_bytes
    assert data["stages"][-1]["arena_bytes"] == found.arena_bytes


def test_tensors_at_the_peak_add_up_and_name_their_lines() -> None:
    for graph in (mlp((16, 32, 32, 4), 16), transformer(1, d=16, heads=2, seq=8, batch=2, vocab=10)):
        found = plan(graph)
        tensors = found.peak_tensors()
        assert sum(t.bytes for t in tensors) == max(found.live_bytes()) + found.result_bytes
        assert [t.bytes for t in tensors] == sorted((t.bytes for t in tensors), reverse=True)
        inside = [t for t in tensors if t.memory_class != "output"]
        assert all(t.start <= found.peak_step <= t.end for t in inside)
        assert all(t.place.startswith("training_graphs.py:") and t.source for t in tensors)
        assert {"output", "gradient"} <= {t.memory_class for t in tensors}


def loss(w: Any, x: Any) -> Any:
    with ga.scope("layer"):
        x = np.tanh(x @ w)
    return np.mean(x * x)


def train_step(w: Any, x: Any) -> Any:
    value, gradient = value_and_grad(loss)(w, x)
    with ga.role("update"):
        return value, w - 0.1 * gradient


def test_the_document_is_strict_json_and_agrees_with_the_plan() -> None:
    shapes = np.ones((16, 16)), np.ones((32, 16))
    for found in (
        plan(ga.value_and_grad(ga.trace(loss, *shapes))),
        plan(ga.trace(train_step, *shapes), updates={0: 1}, results=1),
        plan(ga.trace(lambda x: x, np.ones(3))),
    ):
        data = json.loads(json.dumps(found.to_json(), allow_nan=False))
        assert (data["format"], data["version"], data["units"]) == ("graphad plan", 1, "bytes")
        assert [sum(row) for row in zip(*data["classes"].values(), strict=True)] == data["live_bytes"]
        assert (
            sum(t["bytes"] for t in data["peak_tensors"]) == max(data["live_bytes"], default=0) + data["result_bytes"]
        )
        assert sum(data["outside"].values()) == sum(
            data[f"{name}_bytes"] for name in ("input", "constant", "state", "result")
        )
        assert {b["class"] for b in data["buffers"]} == set(data["classes"])
    assert data["holes"] == [] and data["peak_step"] == 0
