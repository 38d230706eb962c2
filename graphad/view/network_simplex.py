"""The rows that make the edges of a layered drawing shortest in all: network simplex on a spanning tree.

After Gansner, Koutsofios, North, Vo, "A Technique for Drawing Directed Graphs" (1993), section 2. The cut value of a
tree edge is the net weight that leaves the subtree under it, which is a sum over the subtree's boxes: so a pivot needs
to change it along two paths only. What may enter: this algorithm, on integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush


@dataclass(frozen=True, slots=True)
class Edge:
    """A request that box `lower` lies at least `length` rows under box `upper`; `weight` is the pull between them."""

    upper: int
    lower: int
    length: int
    weight: int


# A pivot takes the worst of so many tree edges that could leave, as dot does.
_CANDIDATES = 30


def shorten(count: int, edges: list[Edge], rows: list[int], work: int) -> list[int]:
    """Improve `rows`, which must satisfy every edge, until the weighted length of all edges is least.

    Looks at no more than about `work` edges; the rows satisfy every edge whenever it stops. Parts of the graph that no
    edge joins keep their places against each other as far as their own shortening lets them.
    """
    tree = _Tree(count, edges, list(rows))
    tree.grow()
    tree.pivot(work)
    return tree.rows


class _Tree:
    """Rows, and a spanning forest of edges that are as short as they may be."""

    def __init__(self, count: int, edges: list[Edge], rows: list[int]) -> None:
        self.edges = edges
        self.rows = rows
        self.incident: list[list[int]] = [[] for _ in range(count)]
        # Net weight that leaves a box; summed over its subtree once the tree stands.
        self.leaving = [0] * count
        for number, edge in enumerate(edges):
            self.incident[edge.upper].append(number)
            self.incident[edge.lower].append(number)
            self.leaving[edge.upper] += edge.weight
            self.leaving[edge.lower] -= edge.weight
        self.parent = [-1] * count
        self.link = [-1] * count
        self.children: list[set[int]] = [set() for _ in range(count)]

    def grow(self) -> None:
        """Grow a tree from each first box not met, moving the whole tree to the nearest box when it is stuck."""
        met = [False] * len(self.rows)
        for root in range(len(self.rows)):
            if not met[root]:
                order = self._grow_from(root, met)
                for box in reversed(order[1:]):
                    self.leaving[self.parent[box]] += self.leaving[box]

    def _grow_from(self, root: int, met: list[bool]) -> list[int]:
        """Grow one tree; its boxes are noted at their row less the shift so far, so that a shift moves all of them."""
        rows, edges = self.rows, self.edges
        shift = 0
        order: list[int] = []
        downwards: list[tuple[int, int]] = []
        upwards: list[tuple[int, int]] = []
        box, parent, link = root, -1, -1
        while True:
            met[box] = True
            order.append(box)
            rows[box] -= shift
            if parent >= 0:
                self.parent[box], self.link[box] = parent, link
                self.children[parent].add(box)
            for number in self.incident[box]:
                edge = edges[number]
                if edge.upper == box and not met[edge.lower]:
                    heappush(downwards, (rows[edge.lower] - rows[box] - edge.length, number))
                elif edge.lower == box and not met[edge.upper]:
                    heappush(upwards, (rows[box] - rows[edge.upper] - edge.length, number))
            while downwards and met[edges[downwards[0][1]].lower]:
                heappop(downwards)
            while upwards and met[edges[upwards[0][1]].upper]:
                heappop(upwards)
            if not downwards and not upwards:
                break
            if not upwards or (downwards and downwards[0][0] - shift <= upwards[0][0] + shift):
                slack, link = heappop(downwards)
                shift = slack
                box, parent = edges[link].lower, edges[link].upper
            else:
                slack, link = heappop(upwards)
                shift = -slack
                box, parent = edges[link].upper, edges[link].lower
        for member in order:
            rows[member] += shift
        return order

    def pivot(self, work: int) -> None:
        """Exchange a tree edge with a negative cut value for one that must not get shorter, until there is none."""
        next_box = 0
        while work > 0:
            worst, box, next_box, looked = self._leaving_edge(next_box)
            work -= looked
            if worst >= 0:
                break
            work -= self._exchange(box)

    def _cut(self, box: int) -> int:
        """The cut value of the edge over `box`: what all edges gain where that edge gets one row longer."""
        return self.leaving[box] if self.edges[self.link[box]].upper == box else -self.leaving[box]

    def _leaving_edge(self, start: int) -> tuple[int, int, int, int]:
        """Find a box under a tree edge of negative cut value: (value, box, where to go on looking, boxes looked at)."""
        count = len(self.rows)
        worst, found, candidates = 0, -1, 0
        for step in range(count):
            box = (start + step) % count
            if self.link[box] >= 0 and (cut := self._cut(box)) < 0:
                candidates += 1
                if cut < worst:
                    worst, found = cut, box
                if candidates >= _CANDIDATES:
                    return worst, found, box + 1, step + 1
        return worst, found, start, count

    def _exchange(self, top: int) -> int:
        """Cut off the subtree of `top`, move it until another edge is tight, hang it on there; return the work done."""
        edges, rows, parent = self.edges, self.rows, self.parent
        members = [top]
        for box in members:
            members.extend(self.children[box])
        inside = set(members)
        # The subtree moves away from the box it hung on.
        upwards = edges[self.link[top]].upper == top
        least, entering, looked = -1, -1, len(members)
        for box in members:
            looked += len(self.incident[box])
            for number in self.incident[box]:
                edge = edges[number]
                inner, outer = (edge.lower, edge.upper) if upwards else (edge.upper, edge.lower)
                if inner == box and outer not in inside:
                    slack = rows[edge.lower] - rows[edge.upper] - edge.length
                    if least < 0 or slack < least:
                        least, entering = slack, number
        for box in members:
            rows[box] += -least if upwards else least
        edge = edges[entering]
        inner, outer = (edge.lower, edge.upper) if upwards else (edge.upper, edge.lower)
        moved = self.leaving[top]
        old = parent[top]
        self.children[old].discard(top)
        looked += self._add_along(old, -moved) + self._add_along(outer, moved)
        # Turn the path from the new top of the subtree to the old one.
        box, above, link, below = inner, outer, entering, 0
        while True:
            next_box, next_link = parent[box], self.link[box]
            own = self.leaving[box]
            self.leaving[box] = moved - below
            parent[box], self.link[box] = above, link
            self.children[above].add(box)
            if box == top:
                return looked
            self.children[next_box].discard(box)
            box, above, link, below = next_box, box, next_link, own

    def _add_along(self, box: int, amount: int) -> int:
        """Add to what leaves each box from `box` to the root of its tree; return how many there are."""
        steps = 0
        while box >= 0:
            self.leaving[box] += amount
            box = self.parent[box]
            steps += 1
        return steps
