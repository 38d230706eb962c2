"""Live bytes by class: the numbers agree with the plan, and the picture names the peak."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np

import graphad as ga
from graphad.view.live_bytes import live_bytes_by_class, live_bytes_to_svg


def _loss(w, x):
    return np.mean(np.tanh(np.tanh(x @ w) @ w) ** 2)


def test_classes_add_up_to_the_plan_and_the_picture_names_the_peak():
    graph = ga.value_and_grad(ga.trace(_loss, np.ones((32, 32)), np.ones((64, 32))))
    plan = ga.compile(graph).plan
    live = live_bytes_by_class(plan)
    sums = [sum(row) for row in zip(*live.to_json()["classes"].values(), strict=True)]
    assert sums == plan.live_bytes()
    assert sum(sums) > 0
    assert live.peak_step == plan.peak_step
    svg = live_bytes_to_svg(live)
    texts = [each.text or "" for each in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert any(text.startswith("peak ") and f"at step {plan.peak_step}" in text for text in texts)


def test_what_a_call_holds_throughout_lies_under_the_stack(tmp_path):
    graph = ga.value_and_grad(ga.trace(_loss, np.ones((32, 32)), np.ones((64, 32))))
    plan = ga.compile(graph).plan
    live = live_bytes_by_class(plan)
    assert live.held == {"parameter": 32 * 32 * 8, "output": 8 + 32 * 32 * 8}
    assert live.beside == {"input": 64 * 32 * 8} | ({"constant": plan.constant_bytes} if plan.constant_bytes else {})
    data = json.loads(json.dumps(live.to_json(), allow_nan=False))
    assert (data["format"], data["version"], data["units"]) == ("graphad live bytes", 1, "bytes")
    assert data["highest_bytes"] == max(plan.live_bytes()) + sum(live.held.values())
    svg = plan.live_svg(tmp_path / "live.svg")
    assert (tmp_path / "live.svg").read_text(encoding="utf-8") == svg
    bands = list(ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}polygon"))
    assert [band[0].text for band in bands] == [*live.held, *live.classes]
    tops = [min(float(pair.split(",")[1]) for pair in band.attrib["points"].split()) for band in bands]
    assert tops == sorted(tops, reverse=True)
