"""docs/memory.md: its examples run as they stand, and its tables name what the JSON has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphad as ga

PAGE = (Path(__file__).parents[1] / "docs" / "memory.md").read_text(encoding="utf-8")


def test_the_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "docs/memory.md", "exec"), names)
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == ["arena", "curve", "live", "peak", "savings"]
    assert "recomputation" in capsys.readouterr().out


def test_every_name_of_the_json_is_told() -> None:
    graph = ga.value_and_grad(ga.trace(lambda x: np.mean(np.tanh(x @ x)), np.ones((8, 8))))
    plan = ga.compile(graph).plan
    told = set(re.findall(r"`(\w+)`", PAGE))

    def names(found: Any) -> set[str]:
        if isinstance(found, dict):
            return set(found) | {name for value in found.values() for name in names(value)}
        if isinstance(found, list):
            return {name for value in found for name in names(value)}
        return set()

    for document in (plan.to_json(), plan.savings().to_json(), ga.remat_curve(graph).to_json()):
        assert names(document) <= told, names(document) - told
