"""The curve of a budget: a sequence, a table, JSON and a picture with both ends marked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import MemoryBudgetError
from graphad.view.curve import cost_ticks, frontier, time_text
from tests.view.words import check_words, words


def loss(x: Any, w: Any) -> Any:
    for _ in range(8):
        x = np.tanh(x @ w)
    return np.sum(x)


@pytest.fixture(scope="module")
def graph() -> ga.Graph:
    return ga.optimize(ga.value_and_grad(ga.trace(loss, ga.spec((60, 16)), ga.spec((16, 16)))))


def test_the_ends_of_the_curve_are_what_compiling_finds(graph: ga.Graph) -> None:
    curve = ga.remat_curve(graph)
    assert isinstance(curve, Sequence) and len(curve) == 12 and list(curve[:2]) == [curve[0], curve[1]]
    assert curve.unlimited.peak == ga.compile(graph).peak_bytes and curve.unlimited.budget is None
    least = curve.smallest.peak
    assert least is not None and least < curve.unlimited.peak
    assert ga.compile(graph, memory=least).peak_bytes <= least
    with pytest.raises(MemoryBudgetError) as refused:
        ga.compile(graph, memory=least // 2)
    assert refused.value.smallest == least
    feasible = [p for p in curve if p.peak is not None]
    assert curve.smallest.seconds >= max(p.seconds for p in feasible)


def test_the_table_and_json(graph: ga.Graph) -> None:
    curve = ga.remat_curve(graph, budgets=["1MB", "40kB", 1000])
    data = json.loads(json.dumps(curve.to_json(), allow_nan=False))
    assert (data["format"], data["version"], data["units"]) == ("graphad remat curve", 1, "bytes")
    assert [p["budget_bytes"] for p in data["points"]] == [1_000_000, 40_000, 1000]
    assert data["points"][0]["extra_flops"] == 0 and data["points"][2]["peak_bytes"] is None
    assert data["unlimited"]["budget_bytes"] is None
    text = str(curve)
    assert "no plan" in text and "smallest" in text and len(set(map(len, text.splitlines()))) == 1


def test_the_picture_marks_both_ends(graph: ga.Graph, tmp_path: Path) -> None:
    curve = ga.remat_curve(graph)
    svg = curve.to_svg(tmp_path / "curve.svg")
    assert (tmp_path / "curve.svg").read_text(encoding="utf-8") == svg
    check_words(svg)
    said = [text for *_, text in words(svg)]
    assert any(text.startswith("least found ") for text in said)
    assert any(text.startswith("without a budget ") for text in said)
    drawn = frontier(curve)
    assert svg.count("<circle") == 2 * len(drawn) >= 6
    assert drawn[0].peak == curve.smallest.peak and drawn[-1].peak == curve.unlimited.peak
    assert [p.peak for p in drawn] == sorted({p.peak for p in drawn}, key=int)
    assert [p.seconds for p in drawn] == sorted({p.seconds for p in drawn}, reverse=True)


def test_a_graph_that_has_nothing_to_give_up() -> None:
    for function in (lambda x: x @ x, lambda x: x):
        svg = ga.remat_curve(ga.trace(function, np.ones((8, 8)))).to_svg()
        check_words(svg)


@pytest.mark.parametrize(("most", "last"), [(1.0, 1.0), (20.3, 20.0), (0.00083, 0.0008), (7.0, 6.0)])
def test_cost_ticks(most: float, last: float) -> None:
    ticks = cost_ticks(most)
    assert ticks[0] == 0 and 3 <= len(ticks) <= 7 and ticks[-1] == pytest.approx(last)


def test_time_text() -> None:
    assert [time_text(s) for s in (0.0, 3e-9, 1.2e-5, 0.0015, 2.0)] == ["0 s", "3 ns", "12 us", "1.5 ms", "2 s"]
