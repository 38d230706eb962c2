"""docs/array-api.md says what the tests of this folder find."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from cases import CASES, has_domain
from deviations import DEVIATIONS

ROOT = Path(__file__).parents[2]


def test_the_table_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("array_api_table", ROOT / "tools" / "array_api_table.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (ROOT / "docs" / "array-api.md").read_text(encoding="utf-8") == tool.page(), (
        "run python tools/array_api_table.py"
    )


def test_deviations_are_of_functions_of_the_standard() -> None:
    assert {name for name, _ in DEVIATIONS} <= set(CASES)
    assert all(has_domain(name, domain) for name, domain in DEVIATIONS)
