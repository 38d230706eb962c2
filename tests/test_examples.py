"""Every example runs as a user runs it, and leaves what it promises."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

LEAVES = {
    "digits": (
        "forward.svg",
        "forward_backward.svg",
        "optimized.svg",
        "memory.svg",
        "graph.txt",
        "report.txt",
        "digits.safetensors",
    ),
    "gaussian_process": ("gaussian_process.svg",),
    "heat_equation": ("heat_equation.svg",),
    "kalman_filter": ("kalman_filter.svg",),
    "logistic_regression": ("logistic_regression.svg",),
}


def test_every_example_is_listed() -> None:
    assert set(LEAVES) == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_example(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for file in LEAVES[name]:
        assert (tmp_path / file).stat().st_size > 0
        if file.endswith(".svg"):
            ElementTree.parse(tmp_path / file)
