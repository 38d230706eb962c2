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
from typing import Any

from graphad.execute.native.kinds import (
    CHEAP,
    FUSIBLE,
    Kind,
    fusible,
    is_view,
    kind_of,
    loose,
    most_nodes,
    operand_anchor,
    readers_and_views,
    result_anchor,
    through_view,
)
from graphad.execute.native.regions import NONE, Anchor
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ops.control import StopGradient
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.passes.driver import op_key

LONGEST_SINGLE_ROW = 1 << 14
"""Elements of a frame that is all one row and yet goes through several passes: one thread runs it."""
MOST_PASSES = 4
SEARCH_LIMIT = 400
"""Groups looked at to prove that a merge makes no cycle; beyond it the merge is refused."""
FEW = 4
"""How long the lists of a new group may get before they are gone through."""


@dataclass(eq=False, slots=True)
class Group:
    """Nodes that are to be one loop nest.

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

    members: dict[Node, Anchor]
    frame: list[int]
    reduced: frozenset[int] | None
    sources: set[Node]
    heads: list[Node]
    first: int
    last: int
    depth: int
    weight: int
    most: int
    readers: list[Node] = field(default_factory=list)
    most_heads: int = FEW
    """How long `heads` may get before it is gone through."""
    most_readers: int = FEW
    """How long `readers` may get before it is gone through."""


_LEAVES = (Input, Constant)


class Grouping:
    """The working state of fusion over one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {node: k for k, node in enumerate(graph.nodes)}
        self.group_of: dict[Node, Group] = {}
        self.readers: dict[Node, list[Node]] = {}
        self.outputs = {value.node for value in graph.outputs}
        self.origins: dict[Node, Node | None] = {}
        self.classes: dict[type[Op], bool] = {}
        self.kinds: dict[Any, Kind | None] = {}
        self.kind: dict[Node, Kind] = {}
        readers, origins = self.readers, self.origins
        for node in graph.nodes:
            for value in node.inputs:
                known = readers.get(value[0])
                if known is None:
                    readers[value[0]] = [node]
                else:
                    known.append(node)
            if is_view(node):
                origins[node] = origins[node.inputs[0][0]]
            else:
                origins[node] = None if type(node.op) in _LEAVES else node

    def run(self) -> list[Group]:
        """Return the groups of the graph, in topological order of their first members."""
        for node in self.graph.nodes:
            kind = self.known_kind(node)
            if kind is not None:
                self.settle(node, kind)
            elif node.inputs and not is_view(node):
                self.note_reader(node)
        self.merge_siblings()
        self.part_cycles()
        return self.alive()

    def settle(self, node: Node, kind: Kind) -> None:
        """Put a node into a group, and that together with those that make its operands, where the loops agree."""
        group_of = self.group_of
        home: Group | None = None
        inputs = node.inputs
        for k in kind.order:
            maker = inputs[k][0]
            source = group_of.get(maker)
            if source is None:
                behind = self.maker(inputs[k])
                if behind is None:
                    continue
                maker = behind
                source = group_of[maker]
            if source is home or node.replica > maker.replica:
                continue  # a copy stands apart from what it reads: that was stored for it
            if home is None:
                if len(source.members) >= source.most and source.most >= kind.most:
                    continue
                if self.taken(source, node, kind):
                    home = source
                    continue
                home = self.begin(node, kind)
            if len(source.members) + len(home.members) <= max(source.most, home.most):
                self.merge_into_reader(source, home)
                home = group_of[node]
        if home is None:
            self.begin(node, kind)

    def taken(self, group: Group, node: Node, kind: Kind) -> bool:
        """Add a new node to a group where that is plain to see: it reads members as they stand, and runs as they do.

        What most nodes of long chains are. Where it does not, `merge_into_reader` finds out whether they fit.
        """
        if not kind.plain or group.reduced is not None or len(group.frame) != len(kind.frame):
            return False
        members, origins = group.members, self.origins
        anchor: Anchor | None = None
        heads = []
        for value in node.inputs:
            maker = value[0]
            origin = origins[maker]
            if origin is None:
                continue
            if origin in members:
                found = members[origin]
                if node.replica > origin.replica:
                    return False
                if origin is not maker or not self.kind[origin].plain or (anchor is not None and found != anchor):
                    return False
                anchor = found
            else:
                heads.append(origin)
        if anchor is None:
            return False
        if heads and self.read_by_others(group, None) and self.reaches(group, list(heads), None):
            return False
        members[node] = anchor
        self.group_of[node] = group
        group.heads += heads
        group.sources.update(heads)
        group.last = self.position[node]
        group.weight += kind.weight
        for head in heads:
            other = self.group_of.get(head)
            if other is not None:
                other.readers.append(node)
        return True

    def note_reader(self, node: Node) -> list[Node]:
        """Enter a node as a reader of the groups that it reads from; returns what it reads, behind views."""
        origins, group_of = self.origins, self.group_of
        found = [origin for value in node.inputs if (origin := origins[value[0]]) is not None]
        for origin in found:
            group = group_of.get(origin)
            if group is not None:
                group.readers.append(node)
        return found

    def alive(self) -> list[Group]:
        """Return the groups by their first member."""
        found = list({id(g): g for g in self.group_of.values()}.values())
        return sorted(found, key=lambda g: g.first)

    def known_kind(self, node: Node) -> Kind | None:
        """Return the kind of a node; None where it is not fusible."""
        op = node.op
        cls = type(op)
        fit = self.classes.get(cls)
        if fit is None:
            fit = self.classes[cls] = issubclass(cls, FUSIBLE)
        if not fit:
            return None
        if cls.risk is not Op.risk:  # it depends on the operands themselves
            key: Any = node
        else:
            # Nodes mostly share their types; the graph keeps these alive.
            own, inputs = id(node.types), node.inputs
            if len(inputs) == 2:
                (a, i), (b, j) = inputs
                key = op_key(op), own, id(a.types), i, id(b.types), j
            else:
                key = (op_key(op), own, *[(id(v[0].types), v[1]) for v in inputs])
        try:
            kind = self.kinds[key]
        except KeyError:
            kind = self.kinds[key] = kind_of(node) if fusible(node) else None
        if kind is not None:
            self.kind[node] = kind
        return kind

    def begin(self, node: Node, kind: Kind) -> Group:
        """Make a group of one node."""
        heads = self.note_reader(node)
        at = self.position[node]
        group = Group(
            {node: kind.anchor},
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
        self.group_of[node] = group
        return group

    def origin(self, value: Value) -> Node | None:
        """Return the node whose memory a value lies in, behind all views; None for arguments and constants."""
        return self.origins[value[0]]

    def maker(self, value: Value) -> Node | None:
        """Return the fusible node behind views that only move axes; None where there is none."""
        node = value[0]
        while node not in self.group_of:
            if not isinstance(node.op, (Transpose, BroadcastTo, Reshape, StopGradient)):
                return None
            node = node.inputs[0][0]
        return node

    def request(self, value: Value, anchor: Anchor) -> tuple[Node, Anchor] | None:
        """Return the fusible node that `value` is a view of, and where it lies when `value` lies at `anchor`."""
        node = value[0]
        found: Anchor | None = anchor
        while node not in self.group_of:
            if not node.inputs or not is_view(node):
                return None
            found = through_view(node, anchor)
            if found is None:
                return None
            anchor = found
            node = node.inputs[0][0]
        return node, anchor

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
        pairs: dict[int, int] = {}
        read = source.members.keys() & reader.sources
        for node in self.readers_within(read, reader):
            anchor = reader.members[node]
            for k, value in enumerate(node.inputs):
                if self.origins[value[0]] not in read:
                    continue
                if self.kind[node].plain and value[0] in read:
                    maker, wanted = value[0], anchor
                else:
                    found = None if k in loose(node) else self.request(value, operand_anchor(node, k, anchor))
                    if found is None:
                        return None
                    maker, wanted = found
                if node.replica > maker.replica:
                    return None
                given = source.members[maker]
                if not self.kind[maker].plain:
                    given = result_anchor(maker, given)
                for axis, other in zip(given, wanted, strict=True):
                    if axis == NONE and other == NONE:
                        continue
                    if axis == NONE or other == NONE or pairs.setdefault(axis, other) != other:
                        return None
        if len(pairs) > 1 and len(set(pairs.values())) != len(pairs):
            return None
        return self.fitted(source, reader, pairs)

    def readers_within(self, read: set[Node], reader: Group) -> Collection[Node]:
        """Return the members of a group that read from nodes of others; all where these have more readers."""
        members = reader.members
        if len(members) == 1 or sum([len(self.readers[node]) for node in read]) > len(members):
            return members
        found: dict[Node, None] = {}
        for node in read:
            for user in self.readers[node]:
                if user in members:
                    found[user] = None
                elif is_view(user):
                    return members
        return found

    def fitted(self, source: Group, reader: Group, pairs: dict[int, int]) -> dict[int, int] | None:
        """Complete the pairing of two frames, or None where one loop nest cannot serve both."""
        if source.reduced is None and reader.reduced is None and len(source.frame) == len(reader.frame) == len(pairs):
            return pairs
        missing = [a for a in range(len(source.frame)) if a not in pairs]
        extra = [a for a in range(len(reader.frame)) if a not in set(pairs.values())]
        if missing:
            # The reader sees rows of the source. Its own further axes, if any, must be the reduced ones.
            if source.reduced is None or set(missing) - source.reduced:
                return None
            rows = set(range(len(source.frame))) - source.reduced
            if rows - pairs.keys() or len(missing) != len(source.reduced):
                return None
            if reader.reduced is not None and reader.reduced != set(extra):
                return None
            if extra:
                if [source.frame[a] for a in missing] != [reader.frame[a] for a in extra]:
                    return None
                pairs = {**pairs, **dict(zip(missing, extra, strict=True))}
        elif extra:
            # The source's values are repeated along the extra axes.
            if source.reduced is not None:
                return None
            at_rows = reader.reduced is not None and not set(pairs.values()) & reader.reduced
            cheap = source.weight <= CHEAP and not self.seen_outside(source, reader)
            if not at_rows and not cheap:
                return None
            if self.seen_outside(source, reader) and not (reader.reduced is not None and reader.reduced == set(extra)):
                return None
        if source.reduced is not None and reader.reduced is not None:
            mapped = {pairs[a] for a in source.reduced if a in pairs}
            if mapped and mapped != reader.reduced:
                return None
            if not mapped and reader.reduced:
                return None
        return pairs if self.affordable(source, reader, pairs) else None

    def affordable(self, source: Group, reader: Group, pairs: dict[int, int]) -> bool:
        """Tell whether the merged loops are not too slow: few passes, and enough rows to share where rows are long."""
        reduced = source.reduced is not None or reader.reduced is not None
        if not reduced:
            return True
        sizes = dict(enumerate(reader.frame))
        axes = set(sizes)
        new = [a for a in range(len(source.frame)) if a not in pairs]
        total = 1
        for n in [*reader.frame, *[source.frame[a] for a in new]]:
            total *= n
        dropped = reader.reduced
        if source.reduced is not None:
            dropped = frozenset(pairs.get(a, len(axes) + a) for a in source.reduced)
        assert dropped is not None
        passes = max(reader.depth, source.depth) + (source.depth and reader.depth)
        if passes >= MOST_PASSES:
            return False
        every = len(dropped) == len(reader.frame) + len(new)
        one_pass = not source.depth and reader.depth <= 1
        return not every or total <= LONGEST_SINGLE_ROW or one_pass

    def seen_outside(self, group: Group, reader: Group) -> bool:
        """Tell whether values of `group` are needed by others than it and `reader`."""
        own = (group, reader)
        for node in group.members:
            if node in self.outputs:
                return True
            stack = list(self.readers.get(node, ()))
            while stack:
                user = stack.pop()
                if is_view(user):
                    if user in self.outputs:
                        return True
                    stack += self.readers.get(user, ())
                elif self.group_of.get(user) not in own:
                    # A reader that is still to be grouped counts as outside.
                    return True
        return False

    def detour(self, source: Group, reader: Group) -> bool:
        """Tell whether a path leads from `source` to `reader` by way of others (or the search became too long)."""
        if not self.read_by_others(source, reader):
            return False
        return self.reaches(source, [node for node in self.heads(reader) if node not in source.members], reader)

    def read_by_others(self, group: Group, reader: Group | None) -> bool:
        """Tell whether a node that has been looked at reads from a group and is neither in it nor in `reader`."""
        group_of = self.group_of
        if len(group.readers) > group.most_readers:
            # Groups never part again, so members need no second look; doubling keeps the work in proportion.
            group.readers = [node for node in group.readers if group_of.get(node) is not group]
            group.most_readers = 2 * len(group.readers) + FEW
        for node in group.readers:
            home = group_of.get(node)
            if home is None or (home is not group and home is not reader):
                return True
        return False

    def heads(self, group: Group) -> list[Node]:
        """Return a node of each group that a group reads from, and the others that it reads."""
        if len(group.heads) > group.most_heads:
            # Groups never part again, so one node for each will do; doubling keeps the work in proportion.
            group_of = self.group_of
            group.heads = list({group_of.get(node, node): node for node in group.heads}.values())
            group.most_heads = 2 * len(group.heads) + FEW
        return group.heads

    def reaches(self, source: Group, stack: list[Node], reader: Group | None) -> bool:
        """Tell whether one of the nodes in `stack`, which `reader` (None: a new node) reads, is in `source` or reads
        from there.
        """
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            group = self.group_of.get(node)
            if group is source:
                return True
            mark = id(node) if group is None else id(group)
            if mark in seen or (group is reader and group is not None):
                continue
            seen.add(mark)
            if (self.position[node] if group is None else group.last) < source.first:
                continue
            if len(seen) > SEARCH_LIMIT:
                return True
            if group is None:
                stack += [o for v in node.inputs if (o := self.origin(v)) is not None]
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
        for node, anchor in small.members.items():
            large.members[node] = tuple([to_large[a] for a in anchor])
            self.group_of[node] = large
        if small.reduced is not None:
            moved = frozenset(to_large[a] for a in small.reduced)
            large.reduced = moved if large.reduced is None else large.reduced | moved
        large.depth = depth
        large.most = most_nodes(large.frame)
        large.heads += small.heads
        large.readers += small.readers
        large.sources -= small.members.keys()
        large.sources |= small.sources - large.members.keys()
        large.first, large.last = min(large.first, small.first), max(large.last, small.last)
        large.weight += small.weight

    def merge_siblings(self) -> None:
        """Merge groups that read one value and run over equal frames."""
        group_of = self.group_of
        for node in self.graph.nodes:
            direct = self.readers.get(node)
            if direct is None:
                continue
            home = group_of.get(direct[0])
            if home is not None:
                for user in direct:
                    if group_of.get(user) is not home:
                        break
                else:
                    continue  # what most values are: one group has all their readers
            if is_view(node):
                continue
            readers = [self.group_of[r] for r in self.all_readers(node) if r in self.group_of]
            found = list({id(g): g for g in readers}.values())
            if not 2 <= len(found) <= 16:
                continue
            kept = found[0]
            for other in found[1:]:
                if self.twins(kept, other) and self.apart(kept, other):
                    axes = {a: a for a in range(len(other.frame))}
                    self.merge(other, kept, axes, max(kept.depth, other.depth))
                kept = self.group_of[next(iter(other.members))]

    def apart(self, a: Group, b: Group) -> bool:
        """Tell whether no path leads from one group to the other."""
        return not self.reaches(a, list(self.heads(b)), b) and not self.reaches(b, list(self.heads(a)), a)

    def part_cycles(self) -> None:
        """Take groups apart that wait for each other in a circle.

        The search for detours leaves out what lies before a group in the graph. A group may wait all the same for what
        comes later, by way of a group that reaches from before to behind; that is rare enough to mend afterwards.
        """
        while waiting := self.unsettled():
            for group in waiting:
                for node in list(group.members):
                    self.begin(node, self.kind[node])

    def unsettled(self) -> list[Group]:
        """Return the groups of more than one node that wait for each other in circles, or between two circles."""
        reads: dict[Group | Node, set[Group | Node]] = {g: self.units(g.sources) - {g} for g in self.alive()}
        for node in self.graph.nodes:
            if node not in self.group_of and not is_view(node) and node.inputs:
                reads[node] = self.units({o for v in node.inputs if (o := self.origins[v[0]]) is not None})
        readers: dict[Group | Node, list[Group | Node]] = {}
        left = {unit: len(sources) for unit, sources in reads.items()}
        for unit, sources in reads.items():
            for source in sources:
                readers.setdefault(source, []).append(unit)
        ready = [unit for unit, count in left.items() if not count]
        ready += [source for source in readers if source not in left]
        while ready:
            for unit in readers.get(ready.pop(), ()):
                left[unit] -= 1
                if not left[unit]:
                    ready.append(unit)
        stuck = {unit for unit, count in left.items() if count}
        # What only waits for a circle, and is in none, has no reader that is stuck.
        ends = [unit for unit in stuck if stuck.isdisjoint(readers.get(unit, ()))]
        while ends:
            unit = ends.pop()
            stuck.discard(unit)
            ends += [o for o in reads[unit] if o in stuck and stuck.isdisjoint(readers.get(o, ()))]
        return [unit for unit in stuck if isinstance(unit, Group) and len(unit.members) > 1]

    def units(self, nodes: set[Node]) -> set[Group | Node]:
        """Return the groups that nodes are in, and those that are in none."""
        group_of = self.group_of
        return {group_of.get(node, node) for node in nodes}

    def all_readers(self, node: Node) -> list[Node]:
        """Return the nodes that read a node's results, behind views too."""
        return [user for user in readers_and_views(node, self.readers) if not is_view(user)]

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
        for node, anchor in group.members.items():
            for k, value in enumerate(node.inputs):
                if value[0] not in group.members and k not in loose(node):
                    found[value] = operand_anchor(node, k, anchor)
        return found
