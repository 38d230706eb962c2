"""Source locations: which line of the user's code made a node.

The user's frame is the innermost one whose file lies outside graphad, NumPy, SciPy and the standard library modules
they call through. Finding it costs about a microsecond, so every node has one.
"""

from __future__ import annotations

import contextlib
import functools
import linecache
import sys

import numpy

from graphad.ir.frozen import frozen

# Slices rather than pathlib, whose import would cost every user 4 ms.
_INTERNAL_ROOTS = (
    __file__[: -len("ir/location.py")],
    numpy.__file__[: -len("__init__.py")],
    "<__array_function__",
    contextlib.__file__,
    functools.__file__,
)


@frozen(slots=True)
class Location:
    """A line of user code: `file` (as Python knows it), `line` (from 1), `text` (kept only when loaded or parsed)."""

    file: str
    line: int
    text: str | None = None

    @property
    def source(self) -> str:
        """Return the text of the line, stripped; empty where it cannot be read."""
        return self.text if self.text is not None else linecache.getline(self.file, self.line).strip()

    @property
    def short(self) -> str:
        """Return `file.py:12`."""
        return f"{self.file.replace(chr(92), '/').rsplit('/', 1)[-1]}:{self.line}"

    def describe(self) -> str:
        """Return `path/file.py:12: source text`."""
        source = self.source
        return f"{self.file}:{self.line}" + (f": {source}" if source else "")


_is_internal: dict[str, bool] = {}
_interned: dict[tuple[str, int], Location] = {}


def is_internal(file: str) -> bool:
    """Tell whether `file` belongs to graphad, NumPy or SciPy rather than to the user."""
    known = _is_internal.get(file)
    if known is None:
        known = _is_internal[file] = file.startswith(_INTERNAL_ROOTS) or _is_of_scipy(file)
    return known


def _is_of_scipy(file: str) -> bool:
    """Tell whether `file` belongs to SciPy, which must have been imported for that."""
    scipy = sys.modules.get("scipy")
    root = getattr(scipy, "__file__", None)
    return root is not None and file.startswith(root[: -len("__init__.py")])


def user_location() -> Location | None:
    """Find the innermost user line on the stack; None where all frames are internal."""
    frame = sys._getframe(1)
    while True:
        file = frame.f_code.co_filename
        internal = _is_internal.get(file)
        if internal is None:
            internal = is_internal(file)
        if not internal:
            key = (file, frame.f_lineno)
            found = _interned.get(key)
            if found is None:
                found = _interned[key] = Location(*key)
            return found
        back = frame.f_back
        if back is None:
            return None
        frame = back
