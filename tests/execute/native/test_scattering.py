"""Scatters in native code: updates that lie in any order, added where several meet, or put."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("llvmlite")
sys.path.insert(0, str(Path(__file__).parent))
from both_executors import check, share_everything

import graphad as ga
from graphad.execute import Executable

rng = np.random.default_rng(5)


def host_steps(function: Callable[..., Any], *arrays: Any) -> bool:
    """Tell whether NumPy runs some step of a function's native program."""
    exe = Executable(ga.optimize(ga.trace(function, *arrays)), executor="native").wait()
    return "(NumPy)" in exe.report()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int32, np.bool_])
@pytest.mark.parametrize("part", [1, 7, 150])
def test_updates_along_another_axis(part: int, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    share_everything(monkeypatch)
    index = rng.integers(0, 20, (5, 6))

    def added(x: Any, v: Any, index: Any) -> Any:
        return ga.ops.scatter_add(x, [index], np.transpose(v, (1, 2, 0)))

    def put(x: Any, v: Any, index: Any) -> Any:
        return ga.ops.scatter_set(x, [index], np.transpose(v))

    x, v = (rng.standard_normal(shape).astype(dtype) for shape in ((20, part), (part, 5, 6)))
    assert not host_steps(added, x, v, index)
    check(added, x, v, index)
    check(put, x, rng.standard_normal((part, 20)).astype(dtype), np.arange(20)[::-1].copy())


def test_the_gradient_of_a_gather_of_columns() -> None:
    """Its updates are the gradient, transposed."""
    index = rng.integers(0, 12, (4, 4))

    def loss(x: Any) -> Any:
        return np.sum(np.sin(x[:, index]))

    x = rng.standard_normal((9, 12))
    gradient = ga.grad(loss)
    assert not host_steps(gradient, x)
    check(gradient, x)
