"""The peak and the savings as pictures: what is named, where the words stand, hostile text."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.ir.graph import Graph
from graphad.plan.peak import SHOWN
from graphad.plan.plan import plan
from graphad.plan.remat import within
from graphad.plan.savings import Savings, Stage
from graphad.view.peak import peak_to_svg
from graphad.view.savings import savings_to_svg
from tests.plan.training_graphs import chain, cnn, mlp, transformer
from tests.view.words import SVG, check_words, words

GRAPHS = {
    "mlp": lambda: mlp((32, 64, 64, 10), 16),
    "transformer": lambda: transformer(2),
    "cnn": lambda: cnn(4),
    "nothing": lambda: ga.trace(lambda x: x, np.ones(3)),
}


@pytest.fixture(scope="module", params=list(GRAPHS))
def graph(request: Any) -> Graph:
    return GRAPHS[request.param]()


def test_no_words_are_clipped_or_overlap(graph: Graph) -> None:
    found = plan(graph)
    for svg in (found.to_svg(), found.live_svg(), found.peak_svg(), found.savings().to_svg()):
        check_words(svg)


def test_the_largest_tensors_are_named_with_their_lines(tmp_path: Path) -> None:
    found = plan(GRAPHS["transformer"]())
    svg = found.peak_svg(tmp_path / "peak.svg")
    assert (tmp_path / "peak.svg").read_text(encoding="utf-8") == svg
    said = [text for *_, text in words(svg)]
    tensors = found.peak_tensors()
    assert sum(text.startswith("training_graphs.py:") for text in said) == SHOWN
    assert any(text.startswith(f"{tensors[0].op} {tensors[0].type}") for text in said)
    assert f"{len(tensors) - SHOWN:,} more" in svg and f"at step {found.peak_step}" in said[0]


def test_hostile_lines() -> None:
    tensor = plan(GRAPHS["mlp"]()).peak_tensors()[0]
    evil = '</svg><script>"&\x00' * 20
    svg = peak_to_svg(evil, [replace(tensor, source=evil, op=evil, scope=evil, memory_class=evil, file=evil)])
    assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))
    check_words(svg)


def test_the_waterfall_names_stages_and_shares() -> None:
    graph = chain(24, 60, 32)
    unlimited = plan(graph)
    budget = unlimited.peak_bytes // 2
    saved = within(graph, None, None, budget).plan.savings(unlimited, budget)
    svg = saved.to_svg()
    check_words(svg)
    said = [text for *_, text in words(svg)]
    assert {"program order", "schedule", "in place", "recomputation"} <= set(said)
    assert any(text.startswith("−") for text in said) and any(text.startswith("budget ") for text in said)


@pytest.mark.parametrize("arenas", [(0, 0, 0), (100, 100, 100), (1000, 1010, 4), (5, 1000, 999, 10)])
def test_stages_of_any_height(arenas: tuple[int, ...]) -> None:
    stages = tuple(Stage(f"stage {k}", size, size, "a note") for k, size in enumerate(arenas))
    check_words(savings_to_svg(Savings("g", stages, 5, 5, 0, 0, 0, 700)))
