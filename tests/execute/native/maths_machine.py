"""The native executor's functions as machine loops, for their tests; the cases are those of tools/maths_table.py."""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tools"))
table = importlib.import_module("maths_table")
cases = importlib.import_module("maths_cases")

Array = np.ndarray[Any, Any]
CASES = {case.name: case for case in cases.CASES}
WIDE_ENOUGH = {"f64": np.finfo(np.longdouble).nmant > 60, "f32": True}
"""Whether there is a format to judge results of this kind by."""
KINDS = pytest.mark.parametrize("kind", list(table.KINDS))


def every(chosen: Iterable[Any]) -> pytest.MarkDecorator:
    """Parametrize a test by name and kind of these cases."""
    return pytest.mark.parametrize(
        ("name", "kind"), list(itertools.product([case.name for case in chosen], table.KINDS))
    )


@functools.cache
def machine(name: str, kind: str) -> Any:
    """Return the loops of one function."""
    return table.loops(CASES[name].native, kind, CASES[name].arity)


def bits(x: Array) -> Array:
    """Return the bits of x, with one nan only."""
    return np.where(np.isnan(x), x.dtype.type(np.nan), x).view(f"u{x.itemsize}")


def signed_neighbours(places: list[float], kind: str, *towards: float) -> Array:
    """Return numbers (the first is 0) with their neighbours on those sides, both signs, the limits of the kind, nan."""
    dtype, limits = table.KINDS[kind], np.finfo(table.KINDS[kind])
    places = [*places, limits.tiny, limits.tiny * 0.75, limits.smallest_subnormal, limits.max]
    with np.errstate(all="ignore"):
        positive = np.array(places).astype(dtype)
        near = [np.nextafter(positive[1:], dtype.type(end)) for end in towards]
    every_one = np.concatenate([positive, *near])
    return np.concatenate([every_one, -every_one, [np.nan]]).astype(dtype)


def special_numbers(kind: str) -> Array:
    """Return numbers at which functions are easily wrong."""
    places = [0, 0.5, 1, 2, 2.5, 3, 4, 4.25, 6, 10, 26.5, 27.5, 40, 170.5, 171.5, 180.5, 1e5, 1e10, 1e30, np.inf]
    places += [np.finfo(table.KINDS[kind]).eps, 2.0**30, 2.0**16]
    places += [np.pi, np.pi / 2, 1.4616321449683622, 0.425, 0.075, 1e-10, 1e-3]
    return signed_neighbours(places, kind, 0, np.inf)
