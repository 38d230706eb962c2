"""Execution: running plans. The reference executor is NumPy's meaning of every op; users hold an `Executable`."""

from __future__ import annotations

from graphad.execute.compiling import compile, jit
from graphad.execute.curve import remat_curve
from graphad.execute.executable import Executable

__all__ = ["Executable", "compile", "jit", "remat_curve"]
