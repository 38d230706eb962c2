"""Random graphs, their gradients and their optimised forms: text, files and comparison lose nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings

import graphad as ga
from graphad.files import load, save
from graphad.ir.diff import diff
from graphad.ir.parser import parse
from tests.random_graphs import Example, random_graphs


def unchanged(graph: ga.Graph) -> None:
    text = str(graph)
    read = parse(text)
    assert read == graph
    assert str(read) == text
    graph.verify()
    assert diff(graph, read).equal
    with tempfile.TemporaryDirectory() as directory:
        save(graph, Path(directory) / "g")
        assert load(Path(directory) / "g") == graph


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_graphs())
def test_random_graphs(example: Example) -> None:
    unchanged(ga.trace(example.function, *example.arrays))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_graphs())
def test_gradients_and_optimised_graphs(example: Example) -> None:
    def loss(*arrays: Any) -> Any:
        results = example.function(*arrays)
        return sum(np.sum(result) for result in (results if isinstance(results, tuple) else (results,)))

    both = ga.value_and_grad(ga.trace(loss, *example.arrays))
    unchanged(both)
    unchanged(ga.optimize(both))
