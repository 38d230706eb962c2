"""Reports: the budget, what is computed again and what that costs, and the largest tensors with the user's lines."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.execute.report import report
from graphad.plan.savings import recomputation

EXECUTORS = ["reference", "native"] if find_spec("llvmlite") else ["reference"]


def loss(x: Any, w: Any) -> Any:
    for _ in range(16):
        x = np.tanh(x @ w)
    return np.mean(x * x)


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_report_tells_what_a_budget_costs(executor: str) -> None:
    function, types = ga.value_and_grad(loss), (ga.spec((80, 32)), ga.spec((32, 32)))
    free = ga.compile(function, *types, executor=executor)
    assert "recomputation" not in free.report() and "budget" not in free.report()
    least = ga.remat_curve(function, *types, executor=executor).smallest.peak
    assert least is not None and least < free.peak_bytes
    exe = ga.compile(function, *types, executor=executor, memory=(2 * least + free.peak_bytes) // 3)
    again = recomputation(exe.plan.graph)
    (line,) = (line for line in exe.report().splitlines() if line.startswith("  recomputation  ") and "FLOPs" in line)
    assert f"{len(again.nodes):,} ops (" in line and f"{again.flops:,} FLOPs" in line
    if executor == "native":
        assert "of the steps compute again" in exe.report()
    budget = exe.memory.budget
    assert f"  budget         {budget:,} bytes: {budget - exe.plan.peak_bytes:,} are left" in exe.report()
    lines = report(exe.plan, executor, 123_456_789).splitlines()
    left = 123_456_789 - exe.plan.peak_bytes
    assert f"  budget         123,456,789 bytes: {left:,} are left for the executor's workspace" in lines


def test_the_largest_tensors_come_with_their_lines() -> None:
    exe = ga.compile(ga.value_and_grad(loss), ga.spec((80, 32)), ga.spec((32, 32)), executor="reference")
    text = exe.report().splitlines()
    head = next(k for k, line in enumerate(text) if line.startswith("  largest at the peak (step "))
    assert text[head + 1].split() == ["bytes", "type", "class", "role", "op", "line"]
    assert "20,480  f64[80,32]" in text[head + 2] and "test_report.py:" in text[head + 2]


def test_a_graph_without_steps() -> None:
    exe = ga.compile(ga.trace(lambda x: x, np.ones(3)), executor="reference")
    assert "24  f64[3]  output" in exe.report()
