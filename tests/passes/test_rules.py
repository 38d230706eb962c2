"""Every rule: reachable through the whole pipeline, keeps values and types, and does what its case file shows."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphad as ga
from graphad.ir.graph import Graph
from graphad.ir.parser import parse
from graphad.ir.walk import evaluate
from graphad.passes import PIPELINE, RULES, optimize
from graphad.passes.check import random_array

HERE = Path(__file__).parent
CASES = HERE / "cases"


def _load(name: str) -> Any:
    specification = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    import sys

    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


EXAMPLES = _load("examples").EXAMPLES
OWN = {name for name, rule in RULES.items() if rule.function.__module__.startswith("graphad.")}
UNFUSED = tuple(each for each in PIPELINE if each.name != "fuse")


def test_every_rule_has_an_example() -> None:
    assert set(EXAMPLES) == OWN


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_rule_is_reachable_through_the_whole_pipeline(name: str) -> None:
    example = EXAMPLES[name]
    best = optimize(example.graph(), fast_math=example.fast_math, verify=True)
    assert best.report is not None and best.report.rules.get(name, 0) > 0, f"fired: {dict(best.report.rules)}"


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_rule_states_what_it_does(name: str) -> None:
    assert "->" in RULES[name].text or RULES[name].text.endswith("."), RULES[name].text
    assert RULES[name].fast_math == EXAMPLES[name].fast_math


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_values_are_kept_where_the_original_is_finite(name: str) -> None:
    example = EXAMPLES[name]
    graph = example.graph()
    best = optimize(graph, fast_math=example.fast_math)
    rng = np.random.default_rng(1)
    for _ in range(3):
        inputs = [random_array(t, rng) for t in graph.input_types]
        for old, new in zip(evaluate(graph, inputs), evaluate(best, inputs), strict=True):
            finite = np.isfinite(old)
            np.testing.assert_allclose(new[finite], old[finite], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_optimising_twice_changes_nothing_more(name: str) -> None:
    example = EXAMPLES[name]
    once = optimize(example.graph(), passes=UNFUSED, fast_math=example.fast_math)
    twice = optimize(once, passes=UNFUSED, fast_math=example.fast_math)
    again = optimize(twice, passes=UNFUSED, fast_math=example.fast_math)
    assert again == twice
    assert twice.report is not None and len(twice.nodes) <= len(once.nodes)


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_before_and_after(name: str) -> None:
    """GRAPHAD_WRITE_CASES=1 writes the files anew; read what changed."""
    example = EXAMPLES[name]
    path = CASES / f"{name}.txt"
    if os.environ.get("GRAPHAD_WRITE_CASES"):
        traced = example.graph()
        optimised = optimize(traced, passes=UNFUSED, fast_math=example.fast_math)
        path.write_text(f"before:\n{_text(traced)}\n\nafter:\n{_text(optimised)}\n", encoding="utf-8")
    before, after = path.read_text(encoding="utf-8").removeprefix("before:\n").split("\n\nafter:\n")
    best = optimize(parse(before), passes=UNFUSED, fast_math=example.fast_math)
    assert _text(best) == after.rstrip()
    assert parse(after) == best
    assert best.report is not None and name in best.report.rules


def _text(graph: Graph) -> str:
    """Return the printed graph without line numbers, which would tie the cases to this file's layout."""
    return "\n".join(line.split("  #")[0].rstrip() for line in str(graph).splitlines())


def test_case_files_are_all_used() -> None:
    assert {path.stem for path in CASES.glob("*.txt")} == set(EXAMPLES)


def test_examples_are_traced_from_user_code() -> None:
    graph = EXAMPLES["mul_one"].graph()
    assert graph.outputs[0].node.location is not None
    assert graph.outputs[0].node.location.short.startswith("examples.py")
    assert isinstance(graph, ga.Graph)
