"""The benchmark's workloads: graphad's side of each, small, against gradients written by hand and central differences.

Also the harness: sides in processes of their own, and the lines it makes of what they took. No time is asserted.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tools.bench.workloads import (
    adbench,
    ba,
    blackscholes,
    cnn,
    gmm,
    hand,
    hierarchical,
    logreg,
    mlp,
    rosen,
    transformer,
    unrolled,
)
from tools.bench.workloads.case import Case, Checksum

BENCH = Path(__file__).parents[1] / "tools" / "bench"
Array = np.ndarray[Any, Any]


def double(tree: Any) -> Any:
    """Return nested containers with their float32 arrays in float64."""
    if isinstance(tree, dict):
        return {k: double(v) for k, v in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(double(v) for v in tree)
    return tree.astype(np.float64) if isinstance(tree, np.ndarray) and tree.dtype == np.float32 else tree


def leaves(tree: Any) -> list[Array]:
    """Return the arrays of nested containers."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [leaf for each in tree for leaf in leaves(each)] if isinstance(tree, (tuple, list)) else [np.asarray(tree)]


def moved(tree: Any, directions: Any, h: float) -> Any:
    """Return ``tree + h directions``, the directions taken in turn."""
    if isinstance(tree, dict):
        return {k: moved(v, directions, h) for k, v in tree.items()}
    if isinstance(tree, (tuple, list)):
        return type(tree)(moved(v, directions, h) for v in tree)
    return tree + h * next(directions)


def central(function: Callable[[Any], Any], tree: Any, directions: list[Array], h: float = 1e-6) -> Any:
    """Return ``(f(x + h v) - f(x - h v)) / 2h``."""
    return (function(moved(tree, iter(directions), h)) - function(moved(tree, iter(directions), -h))) / (2 * h)


def some_directions(tree: Any) -> list[Array]:
    """Return random directions, one for each array."""
    rng = np.random.default_rng(5)
    return [rng.standard_normal(np.shape(leaf)) for leaf in leaves(tree)]


# Value and gradient


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (blackscholes, {"n": 50}),
        (rosen, {"n": 10}),
        (rosen, {"n": 1000}),
        (logreg, {}),
        (hierarchical, {"groups": 7, "rows": 40}),
        (unrolled, {"ops": 100}),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if isinstance(value, ModuleType) else "",
)
def test_value_and_gradient_are_those_by_hand(module: ModuleType, arguments: dict[str, int]) -> None:
    problem = module.problem(**arguments)
    case = module.graphad(problem)()
    by_hand = module.by_hand(problem)()
    (value, gradients), (expected, by) = case.step(), by_hand.step()
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for gradient, other in zip(leaves(gradients), leaves(by), strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-9, atol=1e-9 * np.abs(other).max())
    assert case.checksum((value, gradients)).distance(by_hand.checksum((expected, by))) < 1e-9


def test_gmm_gradient_is_that_of_differences() -> None:
    problem = gmm.problem("d2_K5", adbench.COPIES / "gmm")
    value, gradients = gmm.graphad(problem)().step()

    def density(parameters: Any) -> Any:
        return adbench.objectives.gmm(np, *parameters, *problem["data"])

    np.testing.assert_allclose(value, density(problem["parameters"]), rtol=1e-12)
    directions = some_directions(problem["parameters"])
    slope = sum(np.vdot(g, v) for g, v in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(slope, central(density, problem["parameters"], directions, 1e-5), rtol=1e-6)


# Training steps


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        (mlp, {"batch": 6, "sizes": (5, 8, 7, 4)}),
        (transformer, {"batch": 2, "length": 5, "width": 8, "heads": 2, "words": 11}),
        (cnn, {"batch": 2, "size": 8, "channels": (3, 4, 5, 6)}),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if isinstance(value, ModuleType) else "",
)
def test_a_step_descends_along_the_gradient(module: ModuleType, arguments: dict[str, Any]) -> None:
    case: Case = module.graphad(double(module.problem(**arguments)))()
    before = case.keep.state["params"]
    first = case.step()
    after = case.keep.state["params"]
    gradients = [(p - q) / module.RATE for p, q in zip(leaves(before), leaves(after), strict=True)]
    np.testing.assert_allclose(case.checksum(first).norm, np.sqrt(sum(np.vdot(g, g) for g in gradients)), rtol=1e-9)

    def loss(params: Any) -> Any:
        case.keep.set_state(params=params)
        return case.step()

    np.testing.assert_allclose(loss(before), first, rtol=1e-12)
    directions = some_directions(before)
    slope = sum(np.vdot(g, v) for g, v in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(slope, central(loss, before, directions), rtol=1e-6)


# Jacobians


@pytest.mark.parametrize("library", ["graphad", "by_hand"])
def test_bundle_blocks_are_those_of_differences(library: str) -> None:
    problem = ba.problem()
    count = 200
    problem = {**problem, **{k: problem[k][:count] for k in ("weights", "observations", "features")}}
    found = getattr(ba, library)(problem)().step()
    assert [np.shape(block) for block in found] == [(count, 2, 11), (count, 2, 3), (count, 2), (count,)]
    arguments = [
        problem["cameras"][problem["observations"][:, 0]],
        problem["points"][problem["observations"][:, 1]],
        problem["weights"],
    ]

    def errors(arguments: Any) -> Any:
        return adbench.objectives.ba_reproj(np, *arguments, problem["features"])

    np.testing.assert_allclose(found[3], -2 * problem["weights"], rtol=1e-14)
    for position, jacobian in enumerate(found[:3]):
        # The blocks are independent, so one difference gives a column of all of them.
        columns = jacobian.reshape(count, 2, -1)
        for column in range(columns.shape[2]):
            directions = [np.zeros_like(a) for a in arguments]
            directions[position].reshape(count, -1)[:, column] = 1.0
            h = 1e-6 * max(1.0, float(np.abs(arguments[position].reshape(count, -1)[:, column]).max()))
            slope = central(errors, arguments, directions, h)
            np.testing.assert_allclose(columns[:, :, column], slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())


@pytest.mark.parametrize("library", ["graphad", "by_hand"])
def test_hand_jacobian_is_that_of_differences(library: str) -> None:
    folder = adbench.COPIES / "hand"
    pose, _, seen, where = adbench.load.hand(str(folder / "simple_t26_c100.txt"), with_us=False)
    model = adbench.load.hand_model(str(folder / "model"))
    jacobian = getattr(hand, library)({"pose": pose, "model": model, "seen": seen, "where": where})().step()
    assert jacobian.shape == (len(seen), 3, 26)
    for column, direction in enumerate(np.eye(26)):
        slope = central(lambda p: adbench.objectives.hand_simple(np, p, model, seen, where), pose, [direction])
        np.testing.assert_allclose(jacobian[:, :, column], slope, rtol=1e-5, atol=1e-6 * np.abs(jacobian).max())


# The harness


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Return what imports a module of `tools/bench`, as its scripts do."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


def test_every_row_names_functions_that_exist(bench: Callable[[str], ModuleType]) -> None:
    programs = bench("workloads.cold").PROGRAMS
    for row in bench("rows").ROWS:
        module = bench(f"workloads.{row.module}")
        for library in ("graphad", *row.peers, *row.slow, *row.limits):
            assert library in programs if row.module == "cold" else callable(getattr(module, library)), row.name
        assert set(row.bars) <= {*row.peers}


def test_sides_take_turns_in_processes_of_their_own(bench: Callable[[str], ModuleType]) -> None:
    outcome = bench("measuring").steps("rosen", {"n": 10}, ["graphad", "by_hand", "nobody"], rounds=2, seconds=0.01)
    assert set(outcome.taken) == {"graphad", "by_hand"} and set(outcome.failed) == {"nobody"}
    assert "nobody" in outcome.failed["nobody"]
    ours, theirs = outcome.taken["graphad"], outcome.taken["by_hand"]
    assert ours.checksum.distance(theirs.checksum) < 1e-12
    assert len(ours.seconds) == len(theirs.seconds) == 2 and min(*ours.seconds, *theirs.seconds) > 0


def test_cold_programs_agree(bench: Callable[[str], ModuleType]) -> None:
    outcome = bench("measuring").processes(bench("workloads.cold").PROGRAMS, ["graphad", "by_hand"], rounds=1)
    assert not outcome.failed
    assert outcome.taken["graphad"].checksum.distance(outcome.taken["by_hand"].checksum) < 1e-5


def test_a_line_compares_with_the_best_peer(bench: Callable[[str], ModuleType]) -> None:
    measuring, rows, table = bench("measuring"), bench("rows"), bench("table")
    row = rows.Row("name", "A title", "rosen", 0.5, ("fast", "slow", "broken"), quoted={"old": 9.0}, limits=("limit",))

    def taken(*seconds: float, norm: float = 1.0) -> Any:
        return measuring.Taken(seconds, bench("workloads.case").Checksum(2.0, norm), 0.25, 3.0)

    sides = {"graphad": taken(1.0, 4.0, 2.0), "fast": taken(4.0, 5.0, 4.0), "slow": taken(7.0, 6.0, 8.0)}
    line = table.line_of(row, measuring.Outcome({**sides, "limit": taken(1.0)}, {"broken": "why"}))
    assert (line.ours, line.best, line.best_seconds) == (2.0, "fast", 4.0)
    assert (line.ratio, line.low, line.high) == (0.5, 0.25, 0.8)
    assert line.passed and not line.disagree and line.failed == ["broken"]
    assert line == table.Line.from_json(line.as_json())
    page = table.markdown([line], table.machine())
    assert "| A title | a step | 2 s | fast 4 s | 0.50 (0.25 .. 0.80) | 0.50 | pass (failed: broken) |" in page

    sides["slow"] = taken(7.0, 6.0, 8.0, norm=1.0 + 1e-6)
    line = table.line_of(row, measuring.Outcome(sides, {}))
    assert not line.passed and line.disagree == ["slow"]
    sides = {"graphad": taken(1.0), "slow": taken(10.0)}
    line = table.line_of(row, measuring.Outcome(sides, {}))
    assert line.best == "old" and line.quoted and line.ratio == pytest.approx(1 / 9)
    text = table.markdown([table.line_of(row, measuring.Outcome({}, {}))], table.machine())
    assert "Behind the bar" in text and "- name: " in text


def test_checksums_that_are_nan_do_not_agree() -> None:
    good, nan = Checksum(1.0, 1.0), float("nan")
    assert not any(bad.distance(good) <= 1.0 for bad in (Checksum(nan, 1.0), Checksum(1.0, nan)))
