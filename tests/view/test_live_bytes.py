"""Live bytes by class: the numbers agree with the plan, and the picture names the peak."""

from __future__ import annotations

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
