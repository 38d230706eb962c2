"""Fusion for native code: which ops one loop nest computes together.

Every op that a loop nest can compute begins as a group of its own. In topological order, a node joins the groups that
make its operands where their frames agree; then groups that read the same values join. A merge is refused where a path
would leave the group and come back, where the loops do not fit, and where the group would get too large. Ops without
native code, and products, stay as they are.

What may enter: which nodes go together. `graphad.execute.native.bodies` makes the graph of regions from it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np

from graphad.execute.native.circles import in_circles
from graphad.execute.native.facts import Facts
from graphad.execute.native.fitting import fitted
from graphad.execute.native.kinds import Kind, loose, most_nodes, operand_anchor, result_anchor, through_view
from graphad.execute.native.regions import NONE, Anchor
from graphad.ir.graph import Graph
from graphad.ir.node import Value
from graphad.passes.columns import Numbers

SEARCH_LIMIT = 400
"""Groups looked at to prove that a merge makes no cycle; beyond it the merge is refused."""
FEW = 4
"""How long the lists of a new group may get before they are gone through."""


@dataclass(eq=False, slots=True)
class Group:
    """Nodes that are to be one loop nest; nodes are their numbers (`graphad.execute.native.facts`).

    Attributes:
        members: anchor of the iteration shape of each node.
        frame: sizes of the axes.
        reduced: the axes that reductions drop; None while there is none.
        sources: nodes outside, grouped or not, that members read from.
        heads: at least one of `sources` for each group among them.
        first, last: positions in the graph of the first and last member.
        depth: reductions that wait for each other: the passes over a row, but the last.
        most: nodes that it may grow to.
        readers: the nodes looked at so far that read from members, by way of views too; those that are members
            themselves need not be there.
    """

    members: dict[int, Anchor]
    frame: list[int]
    reduced: frozenset[int] | None
    sources: set[int]
    heads: list[int]
    first: int
    last: int
    depth: int
    weight: int
    most: int
    readers: list[int] = field(default_factory=list)
    most_heads: int = FEW
    """How long `heads` may get before it is gone through."""
    most_readers: int = FEW
    """How long `readers` may get before it is gone through."""


class Grouping:
    """The working state of fusion over one graph."""

    def __init__(self, graph: Graph) -> None:
        facts = self.facts = Facts(graph)
        self.nodes = facts.nodes
        self.inputs, self.origins, self.kinds, self.replicas = facts.inputs, facts.origins, facts.kinds, facts.replicas
        self.plain, self.views, self.readers = facts.plain, facts.views, facts.readers
        self.group_of: list[Group | None] = [None] * len(self.nodes)

    def run(self) -> list[Group]:
        """Return the groups of the graph, in topological order of their first members."""
        inputs, views = self.inputs, self.views
        for at, kind in enumerate(self.kinds):
            if kind is not None:
                self.settle(at, kind)
            elif inputs[at] and not views[at]:
                self.note_reader(at)
        self.merge_siblings()
        self.part_cycles()
        return self.alive()

    def settle(self, at: int, kind: Kind) -> None:
        """Put a node into a group, and that together with those that make its operands, where the loops agree."""
        group_of, replicas = self.group_of, self.replicas
        home: Group | None = None
        inputs = self.inputs[at]
        for k in kind.order:
            maker = inputs[k]
            source = group_of[maker]
            if source is None:
                maker = self.maker(maker)
                source = group_of[maker]
                if source is None:
                    continue
            if source is home or replicas[at] > replicas[maker]:
                continue  # a copy stands apart from what it reads: that was stored for it
            if home is None:
                if len(source.members) >= source.most and source.most >= kind.most:
                    continue
                if self.taken(source, at, kind):
                    home = source
                    continue
                home = self.begin(at, kind)
            if len(source.members) + len(home.members) <= max(source.most, home.most):
                self.merge_into_reader(source, home)
                home = group_of[at]
        if home is None:
            self.begin(at, kind)

    def taken(self, group: Group, at: int, kind: Kind) -> bool:
        """Add a new node to a group where that is plain to see: it reads members as they stand, and runs as they do.

        What most nodes of long chains are. Where it does not, `merge_into_reader` finds out whether they fit.
        """
        if not kind.plain or group.reduced is not None or len(group.frame) != len(kind.frame):
            return False
        members, origins, plain, replicas = group.members, self.origins, self.plain, self.replicas
        anchor: Anchor | None = None
        heads = []
        replica = replicas[at]
        for maker in self.inputs[at]:
            origin = origins[maker]
            found = members.get(origin)
            if found is None:
                if origin != NONE:
                    heads.append(origin)
            elif origin != maker or not plain[origin] or replica > replicas[origin]:
                return False
            elif anchor is None:
                anchor = found
            elif found is not anchor and found != anchor:
                return False
        if anchor is None:
            return False
        if heads:
            if self.read_by_others(group, None) and self.reaches(group, list(heads), None):
                return False
            group.heads += heads
            group.sources.update(heads)
            for head in heads:
                other = self.group_of[head]
                if other is not None:
                    other.readers.append(at)
        members[at] = anchor
        self.group_of[at] = group
        group.last = at
        group.weight += kind.weight
        return True

    def note_reader(self, at: int) -> list[int]:
        """Enter a node as a reader of the groups that it reads from; returns what it reads, behind views."""
        origins, group_of = self.origins, self.group_of
        found = [origin for maker in self.inputs[at] if (origin := origins[maker]) != NONE]
        for origin in found:
            group = group_of[origin]
            if group is not None:
                group.readers.append(at)
        return found

    def alive(self) -> list[Group]:
        """Return the groups by their first member."""
        found = [group for group in dict.fromkeys(self.group_of) if group is not None]
        return sorted(found, key=lambda g: g.first)

    def begin(self, at: int, kind: Kind) -> Group:
        """Make a group of one node."""
        heads = self.note_reader(at)
        group = Group(
            {at: kind.anchor},
            list(kind.frame),
            kind.reduced,
            set(heads),
            heads,
            at,
            at,
            kind.depth,
            kind.weight,
            kind.most,
        )
        self.group_of[at] = group
        return group

    def maker(self, at: int) -> int:
        """Return the node behind views that only move axes; it may be in no group."""
        moves, inputs, group_of = self.facts.moves, self.inputs, self.group_of
        while moves[at] and group_of[at] is None:
            at = inputs[at][0]
        return at

    def request(self, maker: int, anchor: Anchor) -> tuple[int, Anchor] | None:
        """Return the fusible node that the result of `maker` is a view of, and where it lies when that lies at
        `anchor`.
        """
        at = maker
        found: Anchor | None = anchor
        while self.group_of[at] is None:
            if not self.views[at]:
                return None
            found = through_view(self.nodes[at], anchor)
            if found is None:
                return None
            anchor = found
            at = self.inputs[at][0]
        return at, anchor

    # Merging.

    def merge_into_reader(self, source: Group, reader: Group) -> None:
        """Merge a group into one that reads from it, if the loops agree everywhere."""
        pairs = self.agreement(source, reader)
        if pairs is None or self.detour(source, reader):
            return
        stacked = source.depth + reader.depth if source.depth and reader.depth else max(source.depth, reader.depth)
        self.merge(source, reader, pairs, stacked)

    def agreement(self, source: Group, reader: Group) -> dict[int, int] | None:
        """Return the axis of `reader`'s frame for axes of `source`'s, as all reads of one from the other have it.

        The reduced axes of `source` are new to `reader` where they are missing. None where the loops do not fit.
        """
        if len(source.members) == 1 and (plain := self.agreement_of_one(source, reader)) is not None:
            return plain
        pairs: dict[int, int] = {}
        read = source.members.keys() & reader.sources
        for at in self.readers_within(read, reader):
            anchor = reader.members[at]
            node = self.nodes[at]
            for k, operand in enumerate(self.inputs[at]):
                if self.origins[operand] not in read:
                    continue
                if self.plain[at] and operand in read:
                    maker, wanted = operand, anchor
                else:
                    found = None if k in loose(node) else self.request(operand, operand_anchor(node, k, anchor))
                    if found is None:
                        return None
                    maker, wanted = found
                if node.replica > self.replicas[maker]:
                    return None
                given = source.members[maker]
                if not self.plain[maker]:
                    given = result_anchor(self.nodes[maker], given)
                for axis, other in zip(given, wanted, strict=True):
                    if axis == NONE and other == NONE:
                        continue
                    if axis == NONE or other == NONE or pairs.setdefault(axis, other) != other:
                        return None
        if len(pairs) > 1 and len(set(pairs.values())) != len(pairs):
            return None
        return fitted(self, source, reader, pairs)

    def agreement_of_one(self, source: Group, reader: Group) -> dict[int, int] | None:
        """Return the pairing of a group of one node where it is plain to see: all read it as they stand, at one place.

        None where it takes a longer look.
        """
        ((at, given),) = source.members.items()
        axes = len(source.frame)
        if source.reduced is not None or reader.reduced is not None or axes != len(reader.frame):
            return None
        wanted: Anchor | None = None
        for user in self.readers(at):
            anchor = reader.members.get(user)
            if anchor is None:
                if self.views[user]:
                    return None
            elif not self.plain[user] or self.replicas[user] > self.replicas[at] or (wanted or anchor) != anchor:
                return None
            else:
                wanted = anchor
        if wanted is None or not self.plain[at]:
            return None
        pairs = {a: b for a, b in zip(given, wanted, strict=True) if a != NONE or b != NONE}
        fits = len(pairs) == axes == len(set(pairs.values())) and NONE not in pairs and NONE not in pairs.values()
        return pairs if fits else None

    def readers_within(self, read: set[int], reader: Group) -> Collection[int]:
        """Return the members of a group that read from nodes of others; all where these have more readers."""
        members = reader.members
        if len(members) == 1 or sum(map(self.facts.count_readers, read)) > len(members):
            return members
        found: dict[int, None] = {}
        for at in read:
            for user in self.readers(at):
                if user in members:
                    found[user] = None
                elif self.views[user]:
                    return members
        return found

    def seen_outside(self, group: Group, reader: Group) -> bool:
        """Tell whether values of `group` are needed by others than it and `reader`."""
        own = (group, reader)
        outputs = self.facts.outputs
        for at in group.members:
            if at in outputs:
                return True
            stack = self.readers(at)
            while stack:
                user = stack.pop()
                if self.views[user]:
                    if user in outputs:
                        return True
                    stack += self.readers(user)
                elif self.group_of[user] not in own:
                    # A reader that is still to be grouped counts as outside.
                    return True
        return False

    def detour(self, source: Group, reader: Group) -> bool:
        """Tell whether a path leads from `source` to `reader` by way of others (or the search became too long)."""
        if not self.read_by_others(source, reader):
            return False
        return self.reaches(source, [at for at in self.heads(reader) if at not in source.members], reader)

    def read_by_others(self, group: Group, reader: Group | None) -> bool:
        """Tell whether a node that has been looked at reads from a group and is neither in it nor in `reader`."""
        group_of = self.group_of
        if len(group.readers) > group.most_readers:
            # Groups never part again, so members need no second look; doubling keeps the work in proportion.
            group.readers = [at for at in group.readers if group_of[at] is not group]
            group.most_readers = 2 * len(group.readers) + FEW
        for at in group.readers:
            home = group_of[at]
            if home is None or (home is not group and home is not reader):
                return True
        return False

    def heads(self, group: Group) -> list[int]:
        """Return a node of each group that a group reads from, and the others that it reads."""
        if len(group.heads) > group.most_heads:
            # Groups never part again, so one node for each will do; doubling keeps the work in proportion.
            group_of = self.group_of
            group.heads = list({group_of[at] or at: at for at in group.heads}.values())
            group.most_heads = 2 * len(group.heads) + FEW
        return group.heads

    def reaches(self, source: Group, stack: list[int], reader: Group | None) -> bool:
        """Tell whether one of the nodes in `stack`, which `reader` (None: a new node) reads, is in `source` or reads
        from there.
        """
        seen: set[Group | int] = set()
        while stack:
            at = stack.pop()
            group = self.group_of[at]
            if group is source:
                return True
            mark = at if group is None else group
            if mark in seen or (group is reader and group is not None):
                continue
            seen.add(mark)
            if (at if group is None else group.last) < source.first:
                continue
            if len(seen) > SEARCH_LIMIT:
                return True
            if group is None:
                stack += [origin for maker in self.inputs[at] if (origin := self.origins[maker]) != NONE]
            else:
                stack += self.heads(group)
        return False

    def merge(self, source: Group, reader: Group, pairs: dict[int, int], depth: int) -> None:
        """Join two groups; `pairs` gives axes of `reader`'s frame for axes of `source`'s."""
        large, small = (source, reader) if len(source.members) > len(reader.members) else (reader, source)
        to_large = {b: a for a, b in pairs.items()} if large is source else dict(pairs)
        for axis, n in enumerate(small.frame):
            if axis not in to_large:
                to_large[axis] = len(large.frame)
                large.frame.append(n)
        to_large[NONE] = NONE
        group_of = self.group_of
        if all(a == b for a, b in to_large.items()):
            large.members.update(small.members)
        else:
            large.members.update([(at, tuple([to_large[a] for a in axes])) for at, axes in small.members.items()])
        for at in small.members:
            group_of[at] = large
        if small.reduced is not None:
            moved = frozenset(to_large[a] for a in small.reduced)
            large.reduced = moved if large.reduced is None else large.reduced | moved
        large.depth = depth
        large.most = most_nodes(large.frame)
        large.heads += small.heads
        large.readers += small.readers
        large.sources.difference_update(small.members)
        large.sources.update([at for at in small.sources if at not in large.members])
        large.first, large.last = min(large.first, small.first), max(large.last, small.last)
        large.weight += small.weight

    def merge_siblings(self) -> None:
        """Merge groups that read one value and run over equal frames."""
        group_of = self.group_of
        for at in self.read_by_several():
            found = list(dict.fromkeys([g for r in self.facts.all_readers(at) if (g := group_of[r]) is not None]))
            if not 2 <= len(found) <= 16:
                continue
            kept = found[0]
            for other in found[1:]:
                if self.twins(kept, other) and self.apart(kept, other):
                    axes = {a: a for a in range(len(other.frame))}
                    self.merge(other, kept, axes, max(kept.depth, other.depth))
                    merged = group_of[next(iter(other.members))]
                    assert merged is not None
                    kept = merged
                else:
                    kept = other

    def read_by_several(self) -> list[int]:
        """Return the nodes whose values are read elsewhere than in one group, as it stands now; views are not asked."""
        home = self.homes()
        columns = self.facts.columns
        by = np.repeat(home, np.diff(columns.first))
        least, most = np.full(len(home), len(home) + 1), np.full(len(home), NONE - 1)
        np.minimum.at(least, columns.reads, by)
        np.maximum.at(most, columns.reads, by)
        found: list[int] = np.flatnonzero((least != most) | (least == NONE)).tolist()
        return [at for at in found if not self.views[at] and self.facts.count_readers(at)]

    def homes(self) -> Numbers:
        """Return a number for each node, equal in a group; NONE for nodes that are in none."""
        numbers: dict[Group | None, int] = {None: NONE}
        for group in self.group_of:
            numbers.setdefault(group, len(numbers))
        return np.array([numbers[group] for group in self.group_of], np.int64)

    def apart(self, a: Group, b: Group) -> bool:
        """Tell whether no path leads from one group to the other."""
        return not self.reaches(a, list(self.heads(b)), b) and not self.reaches(b, list(self.heads(a)), a)

    def part_cycles(self) -> None:
        """Take groups apart that wait for each other in a circle.

        The search for detours leaves out what lies before a group in the graph. A group may wait all the same for what
        comes later, by way of a group that reaches from before to behind; that is rare enough to mend afterwards.
        """
        while waiting := in_circles(self):
            for group in waiting:
                for at in list(group.members):
                    kind = self.kinds[at]
                    assert kind is not None
                    self.begin(at, kind)

    def twins(self, a: Group, b: Group) -> bool:
        """Tell whether two groups that do not read from each other may share their loops."""
        if a.frame != b.frame or len(a.members) + len(b.members) > a.most:
            return False
        if a.reduced is not None and b.reduced is not None and a.reduced != b.reduced:
            return False
        common = self.read_at(a).items() & self.read_at(b).items()
        return bool(common)

    def read_at(self, group: Group) -> dict[Value, Anchor]:
        """Return where the operands from outside lie in the frame of a group."""
        found: dict[Value, Anchor] = {}
        for at, anchor in group.members.items():
            node = self.nodes[at]
            for k, value in enumerate(node.inputs):
                if self.inputs[at][k] not in group.members and k not in loose(node):
                    found[value] = operand_anchor(node, k, anchor)
        return found
