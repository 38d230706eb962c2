"""Effort: how much is done for a better order of steps, and for a denser arena."""

from __future__ import annotations

from graphad.ir.frozen import frozen

BEAM = 8
"""States kept for each number of tasks that have run."""
WORK = 1_200_000
"""Work of one search at most, about a second: edges of networks solved, and what states cost to reach."""

PLACEMENTS = 30_000_000
"""Work of one search for places in the arena, about 0.6 s of an idle core; n buffers cost ``n * (n + 400)`` a round."""


@frozen
class Effort:
    """How much is done for a better order.

    Attributes:
        smallest: peak in program order, in bytes, from which an order is searched for.
        beam: as `order_tasks` takes it; 0 for no beam search.
        work: as `order_tasks` takes it.
    """

    smallest: int
    beam: int
    work: int


THOROUGH = Effort(0, BEAM, WORK)
"""About a second for a graph of a thousand steps."""
QUICK = Effort(1 << 20, 0, WORK // 60)
"""Some hundredths of a second, and nothing where there is little to win: for whoever waits for the first call."""
