"""The cycle collector while graphs are built: nodes make no cycles, and scanning them is half of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cycle collector inside.

    A big graph is millions of objects that stay; each full collection looks at all of them again. Blocks may nest and
    run in several threads: the one that found the collector on turns it on again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
