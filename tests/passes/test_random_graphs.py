"""Random graphs, and their gradients, through every pass and through the pipeline: values are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import graphad as ga
from graphad.ir.verify import verify
from graphad.ir.walk import evaluate
from graphad.passes import PASSES, PIPELINE, optimize
from tests.random_graphs import Example, random_graphs

EXACT = ("dce", "fold", "cse", "algebra", "fuse")


@pytest.mark.parametrize("name", sorted(PASSES))
@settings(max_examples=25, deadline=None)
@given(example=random_graphs())
def test_one_pass_keeps_values(name: str, example: Example) -> None:
    keeps_values(name, example)


@pytest.mark.parametrize("name", sorted(PASSES))
@settings(max_examples=25, deadline=None)
@given(example=random_graphs(dtype="complex128"))
def test_one_pass_keeps_complex_values(name: str, example: Example) -> None:
    keeps_values(name, example)


def keeps_values(name: str, example: Example) -> None:
    graph = ga.trace(example.function, *example.arrays)
    best = verify(optimize(graph, passes=(name,)))
    for old, new in zip(evaluate(graph, example.arrays), evaluate(best, example.arrays), strict=True):
        if name in EXACT:
            np.testing.assert_array_equal(new, old)
        else:
            np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("fast_math", [False, True])
@settings(max_examples=25, deadline=None)
@given(example=random_graphs())
def test_the_pipeline_keeps_values_and_gradients(fast_math: bool, example: Example) -> None:
    graph = ga.trace(example.function, *example.arrays)
    scalar = ga.trace(lambda *xs: sum(np.sum(y) for y in _flat(example.function(*xs))), *example.arrays)
    for each in (graph, ga.value_and_grad(scalar, argnums=tuple(range(len(example.arrays))))):
        best = verify(optimize(each, fast_math=fast_math))
        for old, new in zip(evaluate(each, example.arrays), evaluate(best, example.arrays), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("fast_math", [False, True])
@settings(max_examples=25, deadline=None)
@given(example=random_graphs(dtype="complex128"))
def test_the_pipeline_keeps_complex_values_and_gradients(fast_math: bool, example: Example) -> None:
    graph = ga.trace(example.function, *example.arrays)
    scalar = ga.trace(lambda *xs: sum(np.sum(np.real(y)) for y in _flat(example.function(*xs))), *example.arrays)
    for each in (graph, ga.value_and_grad(scalar, argnums=tuple(range(len(example.arrays))))):
        best = verify(optimize(each, fast_math=fast_math))
        with np.errstate(all="ignore"):
            for old, new in zip(evaluate(each, example.arrays), evaluate(best, example.arrays), strict=True):
                np.testing.assert_allclose(new, old, rtol=1e-7, atol=1e-7)


@settings(max_examples=25, deadline=None)
@given(example=random_graphs())
def test_a_second_run_of_the_rules_finds_nothing(example: Example) -> None:
    graph = ga.trace(example.function, *example.arrays)
    rules = tuple(each for each in PIPELINE if each.name != "fuse")
    settled = optimize(optimize(graph, passes=rules), passes=rules)
    assert optimize(settled, passes=rules) == settled


def _flat(results: object) -> tuple[object, ...]:
    return results if isinstance(results, tuple) else (results,)
