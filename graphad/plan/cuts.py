"""Cuts: what must be held while a task runs, whatever the order.

While a task runs, all it waits for has run and all that waits for it has not; each other task has run or has not. What
is held is then the weight of the blocks that are cut, touched on both sides, and the least of it over all choices is a
minimum cut (Picard, "Maximal closure of a graph and applications to combinatorial problems", 1976): no order holds
less.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphad.ir.frozen import frozen
from graphad.plan.flow import Network
from graphad.plan.tasks import Tasks, all_after, all_before, bits, held_at

WATCHED = 4
"""Tasks whose cut is worked out anew for each state, those that need most."""


@frozen(slots=True)
class Cut:
    """The fewest bytes that can be held while a task runs, once the tasks `forced` (bits) have run.

    `held` are the bytes, `widest` the bits of the largest set of tasks that can have run without holding more.
    """

    forced: int
    held: int
    widest: int


class Cuts:
    """The minimum cuts of the tasks that need most.

    Attributes:
        bound: no order has a lower peak than this.
        work: edges of the networks that were solved.
    """

    def __init__(self, tasks: Tasks, known: Sequence[int], tries: int) -> None:
        """Work out at most `tries` cuts, from the tasks that hold most in the valid order `known` on."""
        self.tasks = tasks
        self.bound = self.work = 0
        self._before, self._after = all_before(tasks), all_after(tasks)
        # No cut is above what is held in a valid order.
        highest = sorted(zip(held_at(tasks, known), known, strict=True), key=lambda each: (-each[0], each[1]))
        found: list[tuple[int, int, Cut]] = []
        for held, task in highest[:tries]:
            if held <= self.bound and len(found) >= WATCHED:
                break
            cut = self._cut(task, 0)
            self.bound = max(self.bound, cut.held)
            found.append((-cut.held, task, cut))
        found.sort(key=lambda each: each[:2])
        self._watched = [(task, [cut]) for _, task, cut in found[:WATCHED]]

    def promise(self, done: int, limit: int) -> int:
        """Return bytes that every order holds that goes through a state; more than `limit` where it is found to be."""
        highest = 0
        for task, cuts in self._watched:
            if done >> task & 1:
                continue
            held = self._held(task, cuts, done & ~self._before[task], limit)
            if held > limit:
                return held
            highest = max(highest, held)
        return highest

    def _held(self, task: int, cuts: list[Cut], forced: int, limit: int) -> int:
        """Return a bound of what is held while a task runs once `forced` have run; by a new cut if it is needed."""
        least = 0
        for cut in cuts:
            if cut.forced & ~forced:
                continue
            if cut.held > limit or not forced & ~cut.widest:
                return cut.held
            least = max(least, cut.held)
        for cut in cuts:
            if cut.held <= limit and not forced & ~cut.widest:
                return least
        cut = self._cut(task, forced)
        cuts.append(cut)
        return cut.held

    def _cut(self, task: int, forced: int) -> Cut:
        before = self._before[task]
        held, widest, edges = least_held(self.tasks, task, before | forced, self._after[task])
        self.work += edges
        return Cut(forced, held, widest & ~before)


def least_held(tasks: Tasks, task: int, before: int, after: int) -> tuple[int, int, int]:
    """Return the fewest bytes that can be held while a task runs, and the bits of the largest set that can have run.

    The third number is how many edges the network has that told it.

    Args:
        tasks: the problem.
        task: the task that runs.
        before, after: bits of tasks that have run, and that have not, with all that these imply.
    """
    early, late = before | 1 << task, after | 1 << task
    free = ((1 << len(tasks.needs)) - 1) & ~(early | late)
    # What may be overwritten here counts once.
    always = -max([tasks.sizes[b] for b in tasks.reusable[task]], default=0)
    network = Network()
    node = {other: network.node() for other in bits(free)}
    for touching, size in zip(tasks.touching, tasks.sizes, strict=True):
        if touching & early and touching & late:
            always += size
        elif touching & free and size:
            made = network.source if touching & early else network.node()
            kept = network.sink if touching & late else network.node()
            network.edge(made, kept, size)
            for other in bits(touching & free):
                if made != network.source:
                    network.bond(node[other], made)
                if kept != network.sink:
                    network.bond(kept, node[other])
    for other in node:
        for needed in bits(tasks.needs[other] & free):
            network.bond(node[other], node[needed])
    flow = network.flow()
    widest = before
    beyond = network.beyond()
    for other, number in node.items():
        if not beyond[number]:
            widest |= 1 << other
    return always + flow, widest, network.edges
