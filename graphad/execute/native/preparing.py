"""The native graph: what a static graph is turned into before it is planned for native code.

What may enter: the order of these steps. Each keeps the values that results have, up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping

from graphad.execute.native import image_lowering, product_lowering  # noqa: F401  # they enter what takes epilogues
from graphad.execute.native.accumulation import with_accumulation
from graphad.execute.native.addresses import with_checked_addresses
from graphad.execute.native.bodies import fuse_regions
from graphad.execute.native.duplication import with_duplicates
from graphad.execute.native.epilogues import with_epilogues
from graphad.execute.native.opening import open_all
from graphad.execute.native.short_axes import with_short_axes_unrolled
from graphad.execute.native.window_gradients import with_window_gradients
from graphad.ir.graph import Graph


def prepared(graph: Graph, updates: Mapping[int, int | None] | None = None) -> Graph:
    """Return a static graph as native code runs it: loop nests, products, and ops that NumPy runs.

    Args:
        graph: the graph.
        updates: which inputs are state (by position), and the output each takes as its next value.
    """
    opened = with_window_gradients(open_all(graph))
    unrolled = with_short_axes_unrolled(with_checked_addresses(opened))
    updated = [output for output in (updates or {}).values() if output is not None]
    return fuse_regions(with_duplicates(with_epilogues(with_accumulation(unrolled), updated)))
