"""Which executor runs a graph: "native" (machine code) where llvmlite is installed, "reference" (NumPy) elsewhere.

What may enter: the choice, and what it depends on. Nothing here imports llvmlite.
"""

from __future__ import annotations

import functools
import importlib.util
import os

from graphad.ir.errors import ExecutionError, MissingExtraError

EXECUTORS = ("native", "reference")


@functools.cache
def native_installed() -> bool:
    """Tell whether native code can be made here."""
    return importlib.util.find_spec("llvmlite") is not None


def thread_setting() -> int | None:
    """Return the thread count that GRAPHAD_THREADS asks for, None where it is not set.

    Raises ExecutionError where it is not a whole number of at least 1.
    """
    setting = os.environ.get("GRAPHAD_THREADS", "").strip()
    if not setting:
        return None
    if not setting.isdecimal() or int(setting) < 1:
        raise ExecutionError(f"GRAPHAD_THREADS is {setting!r}: set it to a whole number of at least 1")
    return int(setting)


def chosen(executor: str | None) -> str:
    """Return the executor to use: the one asked for, else GRAPHAD_EXECUTOR, else native where llvmlite is installed.

    Raises ExecutionError for an unknown name, MissingExtraError where "native" is asked for without llvmlite.
    """
    wanted = executor or os.environ.get("GRAPHAD_EXECUTOR", "").strip() or None
    if wanted is None:
        return "native" if native_installed() else "reference"
    if wanted not in EXECUTORS:
        raise ExecutionError(f"no executor is named {wanted!r}; there are {' and '.join(map(repr, EXECUTORS))}")
    if wanted == "native" and not native_installed():
        raise MissingExtraError('the native executor needs the package llvmlite: pip install "graphad[native]"')
    return wanted
