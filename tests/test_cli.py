"""The command line: each command on saved and printed graphs, bad input, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
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
    assert "budget         1,000,000,000 bytes" in capsys.readouterr().out
    for amount in ("lots", "0", "1B", "-5MB", "1e400", "nan"):
        assert main(["plan", str(saved), f"--memory={amount}"]) == 2, amount
        error = capsys.readouterr().err
        assert error.startswith("graphad plan: ") and error.count("\n") == 1


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    def chain(x, w):
        for _ in range(6):
            x = np.tanh(x @ w)
        return np.sum(x)

    path = tmp_path / "deep.safetensors"
    ga.save(ga.optimize(ga.value_and_grad(ga.trace(chain, ga.spec((60, 32)), ga.spec((32, 32))))), path)
    return path


def test_a_plan_prints_what_holds_memory_and_what_was_saved(deep, capsys):
    curve = ga.remat_curve(ga.load(deep), budgets=[])
    assert main(["plan", str(deep), "--memory", f"{(curve.smallest.peak + curve.unlimited.peak) // 2}B"]) == 0
    out = capsys.readouterr().out
    for words in ("arena ", "lower bound", "largest at the peak (step ", "test_cli.py:", "what planning saves"):
        assert words in out, words
    for stage in ("program order", "schedule", "in place", "recomputation"):
        assert f"\n    {stage} " in out, stage
    recomputation = next(line for line in out.splitlines() if line.startswith("  recomputation  "))
    assert " ops (" in recomputation and "FLOPs" in recomputation


def test_all_pictures_of_a_plan(deep, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    assert main(["plan", str(deep), "--pictures", str(pictures), "--json", str(tmp_path / "plan.json")]) == 0
    assert sorted(p.name for p in pictures.iterdir()) == [
        "arena.svg", "curve.svg", "live.svg", "peak.svg", "savings.svg",
    ]  # fmt: skip
    data = json.loads((tmp_path / "plan.json").read_text(), parse_constant=pytest.fail)
    assert (data["format"], data["version"], data["units"]) == ("graphad plan", 1, "bytes")
    assert data["savings"]["format"] == "graphad savings" and data["curve"]["format"] == "graphad remat curve"
    assert data["budget_bytes"] is None and data["executor"] in ("native", "reference")
    for view in ("arena", "live", "peak", "savings", "curve"):
        path = tmp_path / f"{view}.svg"
        assert main(["plan", str(deep), "--view", view, "--svg", str(path)]) == 0
        assert path.read_text() == (pictures / path.name).read_text()
        assert f"written to {path}" in capsys.readouterr().out


def test_a_plan_that_cannot_be_written_leaves_nothing(deep, tmp_path, capsys):
    kept = tmp_path / "plan.json"
    kept.write_text("kept")
    directory = tmp_path / "a directory"
    directory.mkdir()
    before = sorted(tmp_path.iterdir())
    missing = str(tmp_path / "missing" / "p.svg")
    for arguments, named in (
        (["--json", str(kept), "--svg", missing], missing),
        (["--json", str(kept), "--svg", str(directory)], str(directory)),
        (["--json", str(kept), "--pictures", str(kept)], str(kept)),
        (["--json", str(kept), "--pictures", str(tmp_path / "missing" / "pictures")], "pictures"),
        (["--json", str(kept), "--memory", "1B", "--svg", str(tmp_path / "p.svg")], "does not fit"),
        (["--json", str(kept), "--view", "curve"], "--svg"),
    ):
        assert main(["plan", str(deep), *arguments]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("graphad plan: ") and captured.err.count("\n") == 1 and not captured.out
        assert named in captured.err
        assert sorted(tmp_path.iterdir()) == before and kept.read_text() == "kept"


def test_a_plan_can_go_down_a_pipe(saved, tmp_path):
    shown = subprocess.run(
        [sys.executable, "-m", "graphad.cli", "plan", str(saved), "--json", "/dev/stderr"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(shown.stderr)["format"] == "graphad plan"
