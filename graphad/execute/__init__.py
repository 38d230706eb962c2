"""Execution: running plans. The reference executor is NumPy's meaning of every op; users hold an `Executable`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphad.loading import on_first_use

if TYPE_CHECKING:
    from graphad.execute.compiling import compile, jit
    from graphad.execute.curve import remat_curve
    from graphad.execute.executable import Executable

__all__ = ["Executable", "compile", "jit", "remat_curve"]

__getattr__ = on_first_use(
    globals(),
    {
        "Executable": "graphad.execute.executable",
        "compile": "graphad.execute.compiling",
        "jit": "graphad.execute.compiling",
        "remat_curve": "graphad.execute.curve",
    },
)
