"""What README and the pages show runs as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
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


USERS = {"docs/native.md": 2}
"""How many examples of a page, the first ones, are for users; others are for another test."""


@pytest.mark.parametrize("page", ["README.md", "docs/derivatives.md", "docs/random.md", "docs/native.md"])
def test_examples_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHAD_EXECUTOR", "native")
    found = blocks(page)[: USERS.get(page)]
    assert found
    names = given(page)
    for text in found:
        exec(compile(text, page, "exec"), names)


BEFORE = """
from collections.abc import Sequence
from typing import Any
import numpy as np
import graphad as ga
from graphad.execute.native import lanes
from graphad.execute.native.code import Module
from graphad.execute.native.elementwise import lowers
from graphad.execute.native.kernel import Kernel, begin_kernel, pointer, size
from graphad.execute.native.lanes import Lanes
from graphad.execute.native.lowering import Lowered, lowers_step, moving_nanoseconds
from graphad.ir.errors import fail
from graphad.ir.node import Node
from graphad.ir.op import Elementwise, General, function_of

Array = np.ndarray[Any, Any]
"""

AFTER = """
x = np.random.default_rng(0).normal(size=(70, 9))
both = ga.compile(lambda x: row_sums(softsign(x)), x, executor="native", wait=True)
np.testing.assert_array_equal(both(x), np.cumsum(x / (1 + abs(x)), axis=1))
assert ", 0 host steps" in both.report(), both.report()
np.testing.assert_allclose(ga.grad(lambda x: np.sum(softsign(x)))(x), 1 / (1 + abs(x)) ** 2)
"""


def test_examples_of_native_code_run(tmp_path: Path) -> None:
    """In a process of their own: they enter ops."""
    program = "\n".join([BEFORE, *blocks("docs/native.md")[USERS["docs/native.md"] :], AFTER])
    (tmp_path / "example.py").write_text(program, encoding="utf-8")
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
