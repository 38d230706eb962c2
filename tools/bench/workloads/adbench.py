"""ADBench's objectives and readers, and where its instances lie.

The objectives, the readers and the smaller instances stand in `tests/data/adbench`; all instances in
`../shared/data/adbench`, beside the repository.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from .case import Checksum, norm

ROOT = Path(__file__).resolve().parents[3]
COPIES = ROOT / "tests" / "data" / "adbench"
FULL = ROOT.parent / "shared" / "data" / "adbench"


def _module(name: str) -> Any:
    """Return a module of `tests/data/adbench`: by its path, for other packages are named `tests` too."""
    spec = importlib.util.spec_from_file_location(f"adbench_{name}", COPIES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load, objectives = _module("load"), _module("objectives")


def jacobian_checksum(result: Any) -> Checksum:
    """Return the checksum of one or several Jacobians: the sum of their elements, and their norm."""
    blocks = result if isinstance(result, (tuple, list)) else [result]
    return Checksum(float(sum(np.sum(np.asarray(b)) for b in blocks)), norm(blocks))
