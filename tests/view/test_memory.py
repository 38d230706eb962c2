"""Plans as timelines: every buffer of the arena once, in its class, with the op and line that made it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

import graphad as ga
from graphad.autodiff import value_and_grad
from graphad.plan.holes import holes
from graphad.plan.plan import Plan, plan
from graphad.view.memory import plan_to_svg, timeline

SVG = "{http://www.w3.org/2000/svg}"


def loss(w: Any, x: Any) -> Any:
    for _ in range(4):
        with ga.scope("layer"):
            x = np.tanh(x @ w + np.arange(16.0))
    return np.mean(np.exp(x) * x)


def train_step(w: Any, x: Any) -> Any:
    value, gradient = value_and_grad(loss)(w, x)
    with ga.role("update"):
        return value, w - 0.1 * gradient


def planned() -> Plan:
    return plan(value_and_grad(ga.trace(loss, np.ones((16, 16)), np.ones((32, 16)))))


def test_every_buffer_is_drawn_where_it_lies() -> None:
    found = planned()
    drawn = timeline(found)
    assert len(drawn.rectangles) == len(found.placed()) > 5
    for rectangle, buffer in zip(drawn.rectangles, found.placed(), strict=True):
        assert (rectangle.start_step, rectangle.end_step) == (buffer.start, buffer.end)
        assert (rectangle.offset, rectangle.size) == (buffer.offset, buffer.size)
    assert drawn.arena_bytes == found.arena_bytes
    assert drawn.lower_bound_bytes == found.lower_bound_bytes
    assert list(drawn.live_bytes) == found.live_bytes()
    assert drawn.live_bytes[drawn.peak_step] == max(drawn.live_bytes)


def test_classes_of_memory() -> None:
    found = planned()
    drawn = timeline(found)
    first_backward = next(k for k, node in enumerate(found.lifetimes.steps) if node.role == "backward")
    kinds = {rectangle.kind for rectangle in drawn.rectangles}
    assert {"activation", "gradient"} <= kinds <= {"activation", "gradient", "workspace"}
    for rectangle, buffer in zip(drawn.rectangles, found.placed(), strict=True):
        assert (rectangle.kind == "gradient") == (buffer.node.role == "backward")
        if rectangle.kind == "activation":
            assert rectangle.end_step >= first_backward
        if rectangle.kind == "workspace":
            assert rectangle.end_step < first_backward


def test_without_a_backward_pass_all_is_activation() -> None:
    drawn = timeline(plan(ga.trace(loss, np.ones((16, 16)), np.ones((32, 16)))))
    assert {rectangle.kind for rectangle in drawn.rectangles} == {"activation"}


def test_what_is_not_in_the_arena_is_told() -> None:
    found = planned()
    assert dict(timeline(found).outside) == {
        "parameter": 16 * 16 * 8,  # its gradient is an output
        "input": 32 * 16 * 8,
        "constant": found.constant_bytes,
        "output": 8 + 16 * 16 * 8,
    }
    step = ga.trace(train_step, np.ones((16, 16)), np.ones((32, 16)))
    kept = timeline(plan(step, updates={0: 1}, results=1))
    outside = dict(kept.outside)
    assert outside["state"] == 16 * 16 * 8
    assert outside["input"] == 32 * 16 * 8
    assert outside["output"] == 8


def test_tooltips_name_the_op_and_the_line() -> None:
    tips = [rectangle.tooltip for rectangle in timeline(planned()).rectangles]
    assert any("matmul f64[32,16]" in tip and "x = np.tanh(x @ w" in tip and "scope layer" in tip for tip in tips)
    assert all("test_memory.py:" in tip for tip in tips)


def test_the_door_writes_the_file(tmp_path: Path) -> None:
    found = planned()
    svg = found.to_svg(tmp_path / "memory.svg")
    assert (tmp_path / "memory.svg").read_text(encoding="utf-8") == svg == plan_to_svg(found)
    texts = {item.text for item in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    assert {"activation", "gradient", "live bytes"} <= texts


def test_holes_are_those_of_the_plan() -> None:
    found = planned()
    drawn = timeline(found)
    assert [(h.start_step, h.end_step, h.offset, h.size) for h in drawn.holes] == [
        (h.start, h.end, h.offset, h.size) for h in holes(found)
    ]
    assert drawn.holes and not any(h.start_step <= found.peak_step <= h.end_step for h in drawn.holes)


def test_groups_name_the_ops_inside_them() -> None:
    graph = ga.optimize(ga.trace(lambda x: np.tanh(x + 1) @ x, np.ones((16, 16))))
    labels = [rectangle.label for rectangle in timeline(plan(graph)).rectangles]
    assert labels == ["fused f64[16,16]: add tanh"]


def test_a_plan_without_steps() -> None:
    found = plan(ga.trace(lambda x: x, np.ones(3)))
    assert timeline(found).rectangles == ()
    ElementTree.fromstring(found.to_svg())
