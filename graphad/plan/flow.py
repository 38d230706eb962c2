"""Flow: the greatest flow through a small network, which is its minimum cut."""

from __future__ import annotations


class Network:
    """A network under construction, from `source` to `sink`; edges lie in pairs, each beside its reverse."""

    source = 0
    sink = 1

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]  # of each node
        self._heads: list[int] = []
        self._room: list[int] = []
        self._bonds: list[int] = []

    @property
    def edges(self) -> int:
        """Return how many edges there are, reverses not counted."""
        return len(self._heads) // 2

    def node(self) -> int:
        """Add a node."""
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, tail: int, head: int, room: int) -> None:
        """Let `room` units flow from `tail` to `head`."""
        number = len(self._heads)
        self._edges[tail].append(number)
        self._edges[head].append(number + 1)
        self._heads += (head, tail)
        self._room += (room, 0)

    def bond(self, tail: int, head: int) -> None:
        """Let anything flow from `tail` to `head`: no cut parts them."""
        self._bonds.append(len(self._heads))
        self.edge(tail, head, 0)

    def flow(self) -> int:
        """Return the greatest flow (Dinic, "Algorithm for solution of a problem of maximum flow in networks", 1970)."""
        unlimited = sum(self._room) + 1
        for number in self._bonds:
            self._room[number] = unlimited
        flow = 0
        while levels := self._levels():
            flow += self._blocking_flow(levels)
        return flow

    def beyond(self) -> list[bool]:
        """Tell of each node whether it lies on the sink's side of the minimum cut next to the sink; after `flow`."""
        heads, room = self._heads, self._room
        found = [False] * len(self._edges)
        found[self.sink] = True
        queue = [self.sink]
        for head in queue:
            for number in self._edges[head]:
                tail = heads[number]
                if room[number ^ 1] and not found[tail]:
                    found[tail] = True
                    queue.append(tail)
        return found

    def _levels(self) -> list[int]:
        """Return the distance of each node from the source, -1 beyond the sink; [] where the sink is out of reach."""
        heads, room = self._heads, self._room
        levels = [-1] * len(self._edges)
        levels[self.source] = 0
        queue = [self.source]
        for tail in queue:
            for number in self._edges[tail]:
                head = heads[number]
                if room[number] and levels[head] < 0:
                    levels[head] = levels[tail] + 1
                    queue.append(head)
            if levels[self.sink] >= 0:
                return levels
        return []

    def _blocking_flow(self, levels: list[int]) -> int:
        """Fill paths that lead a level on with every edge until none is left; returns what flows through them."""
        heads, room, edges = self._heads, self._room, self._edges
        tried = [0] * len(edges)
        path: list[int] = []
        flow, at = 0, self.source
        while True:
            if at == self.sink:
                through = min([room[number] for number in path])
                flow += through
                full = -1
                for k, number in enumerate(path):
                    room[number] -= through
                    room[number ^ 1] += through
                    if full < 0 and not room[number]:
                        full = k
                at = heads[path[full] ^ 1]
                del path[full:]
                continue
            step, here = tried[at], edges[at]
            while step < len(here):
                number = here[step]
                if room[number] and levels[heads[number]] == levels[at] + 1:
                    break
                step += 1
            tried[at] = step
            if step < len(here):
                path.append(here[step])
                at = heads[here[step]]
            elif path:
                at = heads[path.pop() ^ 1]
                tried[at] += 1
            else:
                return flow
