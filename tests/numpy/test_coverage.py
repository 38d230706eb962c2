"""docs/coverage.md says what traces, differentiates, batches and is machine code, row by row."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from calls import CALLS, WITHOUT_CALL, function_of, public_names  # noqa: E402

spec = importlib.util.spec_from_file_location("coverage_table", ROOT / "tools" / "coverage_table.py")
assert spec is not None and spec.loader is not None
table = importlib.util.module_from_spec(spec)
spec.loader.exec_module(table)

PAGE = table.PAGE.read_text(encoding="utf-8")
HERE = [name for name in CALLS if function_of(np, name) is not None]
"""Examples of functions that this NumPy has."""


def test_every_function_has_an_example_or_a_reason() -> None:
    assert not set(CALLS) & set(WITHOUT_CALL)
    assert set(public_names()) <= set(CALLS) | set(WITHOUT_CALL)


@pytest.mark.parametrize("name", HERE)
def test_row(name: str) -> None:
    assert table.row(name) in PAGE, "run python tools/coverage_table.py"
