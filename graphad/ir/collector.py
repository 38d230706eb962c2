"""The cycle collector while graphs are built: nodes make no cycles, and scanning them is half of the time."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

MANY: Final = 5_000
"""Objects made during a pause from which they count as old at its end, without being looked at."""


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cycle collector inside.

    A big graph is millions of objects that stay; each full collection looks at all of them again, and the first one
    after the pause would. Blocks may nest and run in several threads: the one that found the collector on turns it on
    again.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if gc.get_count()[0] > MANY and not gc.get_freeze_count():
                # Into the permanent generation and out again into the oldest: no object is touched.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
