"""The errors manual lists every error, and every error is a GraphadError."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphad.ir import errors
from graphad.ir.location import Location

CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.GraphadError)]
MANUAL = (Path(__file__).parents[1] / "docs" / "errors.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_the_manual_has_cause_and_cure(cls: type) -> None:
    assert f"## {cls.__name__}" in MANUAL or f"`{cls.__name__}`" in MANUAL


def test_the_manual_lists_nothing_else() -> None:
    known = {c.__name__ for c in CLASSES} | {"GradientCheckError"}
    listed = {line[3:].strip() for line in MANUAL.splitlines() if line.startswith("## ")}
    assert listed <= known


def test_the_text_ends_with_the_users_line() -> None:
    error = errors.TraceError("what happened", location=Location("model.py", 3, "y = x + 1"))
    assert str(error) == "what happened\n  at model.py:3: y = x + 1"
    assert str(errors.TraceError("what happened")) == "what happened"
