"""What every program needs, compiled beside the planning of the first.

What may enter: code that does not depend on the graph.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from graphad.execute.native import entry, waiting, workers
from graphad.execute.native.threads import default_threads

_begun = threading.Event()


@contextmanager
def compiled_ahead(threads: int | None) -> Iterator[None]:
    """Compile the walk through programs and the way into them in a thread of its own meanwhile.

    The first to ask does so, once in a process; nobody does where `threads`, or else the setting, is 1.
    """
    if _begun.is_set() or (threads or default_threads()) == 1:
        yield
        return
    _begun.set()
    thread = threading.Thread(target=_compile, name="graphad-llvm", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the process is ending
        yield
        return
    try:
        yield
    finally:
        thread.join()


def _compile() -> None:
    with contextlib.suppress(Exception):  # who needs the code meets the same error, and can say so
        workers.runtime(waiting.sleeping())
        if entry.layout_is_known():
            entry.machine_code()
