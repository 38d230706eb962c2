"""What README and the pages show runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphad as ga

ROOT = Path(__file__).parents[1]


def blocks(page: str) -> list[str]:
    """Return the Python examples of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S)


def given(page: str) -> dict[str, Any]:
    """Return what the examples of a page take for granted."""
    rng = np.random.default_rng(0)
    names: dict[str, Any] = {"np": np, "ga": ga}
    if page == "docs/derivatives.md":
        names["z"] = rng.normal(size=3) + 1j * rng.normal(size=3)
    if page == "docs/random.md":
        names.update(params=rng.normal(size=4), batches=list(rng.normal(size=(3, 5, 4))))
        names["loss"] = lambda params, x: np.mean((x @ params) ** 2)
    if page == "docs/native.md":
        params = {"w1": rng.normal(size=(8, 4)), "b1": np.zeros(4), "w2": rng.normal(size=(4, 1))}
        names.update(params=params, x=rng.normal(size=(5, 8)), y=rng.normal(size=(5, 1)))
        names["loss"] = lambda params, x, y: np.mean((np.tanh(x @ params["w1"] + params["b1"]) @ params["w2"] - y) ** 2)
    return names


@pytest.mark.parametrize("page", ["README.md", "docs/derivatives.md", "docs/random.md", "docs/native.md"])
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHAD_EXECUTOR", "native")
    found = [text for text in blocks(page) if "@lowers" not in text]  # those are for another module
    assert found
    names = given(page)
    for text in found:
        exec(compile(text, page, "exec"), names)
