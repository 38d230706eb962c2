"""Without fast_math, fold, cse, algebra and fuse keep every bit: nan, infinities and both zeros go in."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphad.ir.walk import evaluate
from graphad.passes import RULES, optimize

AWKWARD = np.array([0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 5e-324, -2.5e-310, 1.7e308, -1.7e308, 0.1, -3.0])
EXACT = ("fold", "cse", "algebra", "cse", "fuse")
EXACT_CHAPTERS = ("algebra", "signs", "choices", "movement", "slices")


def _examples() -> Any:
    path = Path(__file__).parent / "examples.py"
    specification = importlib.util.spec_from_file_location("examples_for_ieee", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["examples_for_ieee"] = module
    specification.loader.exec_module(module)
    return module


EXAMPLES = _examples().EXAMPLES
NAMES = sorted(
    name
    for name, example in EXAMPLES.items()
    if not example.fast_math and RULES[name].function.__module__.endswith(EXACT_CHAPTERS)
)


def awkward_inputs(types: Any, round_: int) -> list[np.ndarray[Any, Any]]:
    """Fill the inputs so that over the rounds every pair of awkward numbers meets."""
    pairs = np.array(list(itertools.product(AWKWARD, AWKWARD))).T
    filled = []
    for k, type_ in enumerate(types):
        size = int(np.prod(type_.shape))
        if type_.dtype.kind == "f":
            chosen = np.take(pairs[k % 2], np.arange(size) + round_ * size, mode="wrap")
        else:
            chosen = (np.arange(size) * 7 + round_ * (k + 3)) % 5 - (2 if type_.dtype.kind == "i" else 0)
        with np.errstate(all="ignore"):
            filled.append(chosen.reshape(type_.shape).astype(type_.dtype))
    return filled


def same_bits(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    """Tell whether two arrays have the same bits; any nan is as good as another."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind != "f":
        return bool((a == b).all())
    return bool(((np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))).all())


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_kept(name: str) -> None:
    graph = EXAMPLES[name].graph()
    best = optimize(graph, passes=EXACT)
    for round_ in range(16):
        inputs = awkward_inputs(graph.input_types, round_)
        for old, new in zip(evaluate(graph, inputs), evaluate(best, inputs), strict=True):
            assert same_bits(np.asarray(old), np.asarray(new)), (inputs, old, new)


def test_the_comparison_sees_signs_of_zero() -> None:
    assert not same_bits(np.array([0.0]), np.array([-0.0]))
    assert same_bits(np.array([np.nan]), np.array([-np.nan]))


def test_zero_is_not_neutral_for_addition() -> None:
    import graphad as ga

    graph = ga.trace(lambda x: x + 0.0, ga.spec(3))
    best = optimize(graph, passes=EXACT)
    (result,) = evaluate(best, [np.array([-0.0, 0.0, 1.0])])
    assert not np.signbit(result[0])
    assert [node.op.name for node in best.nodes].count("add") == 1
