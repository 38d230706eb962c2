"""Find Graphviz's `dot` and run it as a subprocess with a time limit.

What may enter: how to find and call the program.  A missing, broken or slow program is an ordinary answer
here (None), never an error: the caller then uses the built-in layout.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

ENVIRONMENT_VARIABLE = "GRAPHAD_DOT"
# The package graphviz-pure installs one program of this name into the scripts directory, and no `dot`.
_PACKAGED_NAME = "graphviz-pure"


def find_dot() -> str | None:
    """Find the dot program: the environment variable `GRAPHAD_DOT`, `dot` on PATH, then graphviz-pure of this Python.

    `GRAPHAD_DOT` may be a path or a name on PATH; if it is set and names no program the answer is None, so
    that setting it to an empty string or to ``none`` turns dot off.
    """
    wish = os.environ.get(ENVIRONMENT_VARIABLE)
    if wish is not None:
        return shutil.which(wish) if wish else None
    return shutil.which("dot") or _find_packaged_dot()


def _find_packaged_dot() -> str | None:
    """Find graphviz-pure in this interpreter's scripts directories, else on PATH (where pipx and uv put it)."""
    directories = [Path(sys.executable).parent, Path(sysconfig.get_path("scripts"))]
    user_scheme = sysconfig.get_preferred_scheme("user")
    directories.append(Path(sysconfig.get_path("scripts", user_scheme)))
    for directory in directories:
        # which() with one directory as its path adds .exe on Windows and checks the permission to execute.
        found = shutil.which(_PACKAGED_NAME, path=str(directory))
        if found:
            return found
    return shutil.which(_PACKAGED_NAME)


def run_dot(source: str, output_format: str = "svg", timeout: float = 10.0) -> str | None:
    """Run dot on DOT `source` and return its output as text in `output_format` (svg, json0, plain, ...).

    Returns None if there is no program, it cannot be started, it fails, it writes no UTF-8, or it takes over
    `timeout` seconds; it is then killed with every process it started.
    """
    program = find_dot()
    if program is None:
        return None
    try:
        process = subprocess.Popen(
            [program, f"-T{output_format}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
    try:
        output, _ = process.communicate(source.encode("utf-8", "replace"), timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _end(process)
    if process.returncode != 0:
        return None
    try:
        return output.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that still runs, with its group where the system has groups, and collect it."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            # The process leads its own session, so its group is its own and holds only what it started.
            os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
