"""Loading on first use: a package whose public names import the modules that define them when they are asked for.

A program then pays for what it uses. Names are for packages alone; a name that a submodule bears too must be imported
at once, or the submodule would stand in its place.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def homes_of(rooms: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the module of each name, from the names of each module."""
    return {name: module for module, names in rooms.items() for name in names}


def on_first_use(namespace: dict[str, Any], homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of the package with the globals `namespace`, whose names live in the modules `homes`."""
    package = namespace["__name__"]

    def load(name: str) -> Any:
        module = homes.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        found = namespace[name] = getattr(load_module(module), name)
        return found

    return load


class LateModule:
    """A module that is imported when something of it is first asked for."""

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(load_module(self._module), name)
        setattr(self, name, found)
        return found


def load_module(module: str) -> Any:
    """Import a module, with the cycle collector paused: what is made stays, and counts as old without being scanned."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        if was_on:
            if not gc.get_freeze_count():
                # Into the permanent generation and out again into the oldest: no object is touched.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
