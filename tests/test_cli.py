"""The command line: each command on saved and printed graphs, bad input, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import graphad as ga
from graphad.cli import main


def loss(w, x):
    return np.mean(np.tanh(x @ w) ** 2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "loss.safetensors"
    ga.save(ga.value_and_grad(ga.trace(loss, np.ones((4, 3)), np.ones((5, 4)))), path)
    return path


@pytest.fixture
def symbolic(tmp_path: Path) -> Path:
    path = tmp_path / "symbolic.safetensors"
    ga.save(ga.trace(loss, np.ones((4, 3)), ga.spec((ga.dim("batch"), 4))), path)
    return path


def test_show_prints_what_parses_back(saved, capsys):
    assert main(["show", str(saved), "--full"]) == 0
    assert ga.parse(capsys.readouterr().out) == ga.load(saved)


def test_show_draws(saved, tmp_path, capsys):
    assert main(["show", str(saved), "--svg", str(tmp_path / "g.svg")]) == 0
    assert "<svg" in (tmp_path / "g.svg").read_text()
    assert main(["show", str(saved), "--dot"]) == 0
    assert "digraph" in capsys.readouterr().out


def test_printed_graphs_are_read_too(saved, tmp_path, capsys):
    text = tmp_path / "graph.txt"
    text.write_text(str(ga.load(saved)))
    assert main(["diff", str(saved), str(text)]) == 0


def test_optimize_writes_a_better_graph_and_prints_a_table(saved, capsys):
    assert main(["optimize", str(saved), "--verify", "--history"]) == 0
    out = capsys.readouterr().out
    assert "(before)" in out and "fuse" in out
    best = ga.load(saved.with_suffix(".optimized.safetensors"))
    w, x = np.ones((4, 3)), np.ones((5, 4))
    np.testing.assert_allclose(best(w, x)[0], loss(w, x))
    assert len(best.nodes) < len(ga.load(saved).nodes)
    assert main(["diff", str(saved), str(saved.with_suffix(".optimized.safetensors"))]) == 1


def test_run_on_files_numbers_and_random_inputs(saved, tmp_path, capsys):
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(4, 3)), rng.normal(size=(5, 4))
    np.save(tmp_path / "w.npy", w)
    np.savez(tmp_path / "data.npz", x=x)
    out = tmp_path / "out.npz"
    arguments = ["run", str(saved), f"w={tmp_path / 'w.npy'}", f"x={tmp_path / 'data.npz'}:x", "-o", str(out)]
    assert main(arguments) == 0
    with np.load(out) as results:
        np.testing.assert_allclose(results["value"], loss(w, x))
    assert main(["run", str(saved), "--random", "3"]) == 0
    assert "value:" in capsys.readouterr().out


def test_run_binds_symbolic_sizes_by_its_arguments(symbolic, tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.ones((6, 4)))
    np.save(tmp_path / "w.npy", np.ones((4, 3)))
    assert main(["run", str(symbolic), f"w={tmp_path / 'w.npy'}", f"x={tmp_path / 'x.npy'}"]) == 0
    assert f"out: {loss(np.ones((4, 3)), np.ones((6, 4)))}" in capsys.readouterr().out


def test_plan_and_stats(saved, symbolic, tmp_path, capsys):
    assert main(["plan", str(saved), "--svg", str(tmp_path / "p.svg"), "--json", str(tmp_path / "p.json")]) == 0
    assert "peak" in capsys.readouterr().out
    assert "<svg" in (tmp_path / "p.svg").read_text()
    json.loads((tmp_path / "p.json").read_text())
    assert main(["stats", str(symbolic), "--json"]) == 0
    assert "batch" in json.loads(capsys.readouterr().out)["flops"]
    assert main(["stats", str(symbolic), "--bind", "batch=8"]) == 0
    assert "matmul 1" not in capsys.readouterr().err
    assert main(["plan", str(symbolic), "--bind", "batch=8"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "missing.safetensors"], "No such file"),
        (["run", "{saved}"], "input w: f64[4,3] is missing"),
        (["run", "{saved}", "w"], "NAME=ARRAY"),
        (["run", "{saved}", "w=1", "x=2"], "w"),
        (["run", "{saved}", "v=1"], "no input 'v'"),
        (["run", "{saved}", "w=nothing.txt"], "neither"),
        (["plan", "{symbolic}"], "--bind batch=SIZE"),
        (["run", "{symbolic}", "--random", "0"], "--bind batch=SIZE"),
        (["stats", "{saved}", "--bind", "batch=8"], "no size named 'batch'"),
        (["stats", "{symbolic}", "--bind", "batch=many"], "whole numbers"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, message, saved, symbolic, capsys):
    names = {"saved": saved, "symbolic": symbolic}
    assert main([a.format(**names) for a in arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.err.startswith(f"graphad {arguments[0]}: ")


def test_damaged_files_are_one_line(saved, tmp_path, capsys):
    damaged = tmp_path / "damaged.safetensors"
    for data in (b"", b"graph x(", b"\xff" * 100, saved.read_bytes()[:-3]):
        damaged.write_bytes(data)
        assert main(["show", str(damaged)]) == 2
        assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["paint"], ["show"], ["show", "x", "--paint"]])
def test_wrong_usage_exits_with_2_and_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_plan_keeps_the_budget_or_says_what_is_wrong(saved, capsys):
    assert main(["plan", str(saved), "--memory", "1GB"]) == 0
    capsys.readouterr()
    for amount in ("lots", "0", "1B"):
        assert main(["plan", str(saved), "--memory", amount]) == 2, amount
        assert capsys.readouterr().err.startswith("graphad plan: ")
