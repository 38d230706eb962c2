"""Fusion for native code: which ops one loop nest computes together.

Every op that a loop nest can compute begins as a group of its own. In topological order, a node joins the groups that
make its operands where their frames agree; then groups that read the same values join. A merge is refused where a path
would leave the group and come back, where the loops do not fit, and where the group would get too large. Ops without
native code, and products, stay as they are.

What may enter: which nodes go together. `graphad.execute.native.bodies` makes the graph of regions from it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from graphad.execute.native.addresses import SafeGather
from graphad.execute.native.elementwise import KINDS, lowering, weight
from graphad.execute.native.regions import NONE, Anchor
from graphad.ir.graph import Graph
from graphad.ir.leaf import Constant, Input
from graphad.ir.node import Node, Value
from graphad.ir.op import Elementwise, Op
from graphad.ir.types import DTYPE_NAMES, DType
from graphad.ops.cast import Cast
from graphad.ops.control import StopGradient
from graphad.ops.creation import Iota
from graphad.ops.reduction import All, Any_, Max, Min, Prod, Reduction, Sum
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.ops.slicing import Pad
from graphad.passes.driver import op_key
from graphad.plan.layout import STRIDES

REDUCTIONS = (Sum, Prod, Max, Min, All, Any_)
FUSIBLE = (Elementwise, Cast, *REDUCTIONS, SafeGather, Pad, Iota)
"""The classes of ops that a loop nest may compute."""

LARGEST_GROUP = 48
"""Nodes of one group: a long chain is cut into pieces, of which many are equal and compiled once."""
LARGEST_LONG_GROUP = 160
"""The same where the loops are long: reading and writing what passes between pieces would cost more than compiling."""
LONG = 1 << 13
"""Elements of a frame from which loops are long."""
LONGEST_SINGLE_ROW = 1 << 14
"""Elements of a frame that is all one row and yet goes through several passes: one thread runs it."""
MOST_PASSES = 4
SEARCH_LIMIT = 400
"""Groups looked at to prove that a merge makes no cycle; beyond it the merge is refused."""
FEW = 4
"""Members and sources up to which one is asked about before the others."""
CHEAP = 4
"""Instructions an element that may be computed again instead of stored."""


def fusible(node: Node) -> bool:
    """Tell whether a loop nest can compute `node`: native code exists for it, and no value of it can be refused."""
    op = node.op
    if not node.types or any(n == 0 for v in node.inputs for n in v.type.shape) or 0 in node.types[0].shape:
        return False
    if isinstance(op, (Elementwise, Cast)):
        return op.risk(node.inputs) is None and lowering(op, tuple(v.type.dtype for v in node.inputs)) is not None
    if isinstance(op, (*REDUCTIONS, SafeGather)):
        return native_dtype(node.inputs[0].type.dtype)
    if isinstance(op, Pad):
        return native_dtype(node.types[0].dtype) and node.types[0].ndim > 0
    if isinstance(op, Iota):
        return native_dtype(op.dtype)
    return False


def is_view(node: Node) -> bool:
    """Tell whether the result of a node is its operand's memory, seen another way."""
    return node.op.view and node.op.name in STRIDES


def own_weight(node: Node) -> int:
    """Return roughly how many instructions an element of a fusible node costs."""
    if isinstance(node.op, (Elementwise, Cast)):
        return weight(node.op, node.inputs[0].type.dtype)
    return CHEAP + 1 if loose(node) else 1


def native_dtype(dtype: DType) -> bool:
    """Tell whether generated code has values of a dtype."""
    return DTYPE_NAMES.get(dtype) in KINDS


def loose(node: Node) -> tuple[int, ...]:
    """Return the positions of the operands that are not read where the loops stand: what is indexed, what is padded."""
    return (0,) if isinstance(node.op, (SafeGather, Pad)) else ()


def operand_anchor(node: Node, k: int, anchor: Anchor) -> Anchor:
    """Return where operand k of a node lies whose iteration shape lies at `anchor`; of a loose one, its free axes."""
    if not isinstance(node.op, SafeGather):
        return anchor
    if k:
        return anchor[: node.inputs[k].type.ndim]
    addressed = len(node.inputs) - 1
    return (*(NONE,) * addressed, *anchor[len(anchor) - (node.inputs[0].type.ndim - addressed) :])


def iteration_shape(node: Node) -> tuple[int, ...]:
    """Return the shape that a loop over `node` runs over: its operand's for a reduction, else its result's."""
    type_ = node.inputs[0].type if isinstance(node.op, Reduction) else node.types[0]
    return type_.shape  # type: ignore[return-value]  # native graphs are static


def result_anchor(node: Node, anchor: Anchor) -> Anchor:
    """Return the anchor of the result of a node whose iteration shape lies at `anchor`."""
    if isinstance(node.op, Reduction):
        return tuple([a for k, a in enumerate(anchor) if k not in node.op.axes])
    return anchor


def through_view(node: Node, anchor: Anchor) -> Anchor | None:
    """Return the anchor of the operand of a view at `anchor`; None where the view does more than move axes."""
    op = node.op
    if isinstance(op, Transpose):
        found = [NONE] * len(anchor)
        for k, axis in enumerate(op.permutation):
            found[axis] = anchor[k]
        return tuple(found)
    shape = node.inputs[0].type.shape
    if isinstance(op, BroadcastTo):
        behind = anchor[len(anchor) - len(shape) :]
        return tuple([NONE if n == 1 else a for n, a in zip(shape, behind, strict=True)])
    if isinstance(op, Reshape):
        rest = [(n, a) for n, a in zip(node.types[0].shape, anchor, strict=True) if n != 1]
        if [n for n in shape if n != 1] != [n for n, _ in rest]:
            return None
        left = iter(rest)
        return tuple([NONE if n == 1 else next(left)[1] for n in shape])
    if isinstance(op, StopGradient):
        return anchor
    return None


@dataclass(frozen=True, slots=True)
class Kind:
    """What equal ops on operands of equal types have in common.

    Attributes:
        anchor, frame, reduced, depth, weight: those of a group of one such node.
        order: positions of the operands, those of the most bytes first.
        plain: operands and result all lie where the loops stand.
    """

    anchor: Anchor
    frame: tuple[int, ...]
    reduced: frozenset[int] | None
    depth: int
    weight: int
    order: tuple[int, ...]
    plain: bool


def kind_of(node: Node) -> Kind:
    """Return the kind of a fusible node."""
    frame: list[int] = []
    anchor = []
    for n in iteration_shape(node):
        anchor.append(NONE if n == 1 else len(frame))
        if n != 1:
            frame.append(n)
    reduced = None
    if isinstance(node.op, Reduction):
        reduced = frozenset([anchor[axis] for axis in node.op.axes if anchor[axis] != NONE]) or None
    order = sorted(range(len(node.inputs)), key=lambda k: -int(node.inputs[k].type.nbytes))
    plain = isinstance(node.op, (Elementwise, Cast, Iota))
    depth = int(reduced is not None)
    return Kind(tuple(anchor), tuple(frame), reduced, depth, own_weight(node), tuple(order), plain)


@dataclass(eq=False)
class Group:
    """Nodes that are to be one loop nest.

    Attributes:
        members: anchor of the iteration shape of each node.
        frame: sizes of the axes.
        reduced: the axes that reductions drop; None while there is none.
        sources: nodes outside, grouped or not, that members read from.
        heads: at least one of `sources` for each group among them.
        first, last: positions in the graph of the first and last member.
    """

    members: dict[Node, Anchor]
    frame: list[int]
    reduced: frozenset[int] | None
    sources: set[Node]
    heads: list[Node]
    first: int
    last: int
    depth: int = 0
    """Reductions that wait for each other: the passes over a row, but the last."""
    weight: int = 0
    most_heads: int = FEW
    """How long `heads` may get before it is gone through."""


def most_nodes(group: Group) -> int:
    """Return how many nodes a group may grow to."""
    elements = 1
    for n in group.frame:
        elements *= n
    return LARGEST_LONG_GROUP if elements >= LONG else LARGEST_GROUP


class Grouping:
    """The working state of fusion over one graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {node: k for k, node in enumerate(graph.nodes)}
        self.group_of: dict[Node, Group] = {}
        self.readers: dict[Node, list[Node]] = {}
        self.outputs = {value.node for value in graph.outputs}
        self.origins: dict[Node, Node | None] = {}
        self.kinds: dict[Any, Kind | None] = {}
        self.kind: dict[Node, Kind] = {}
        for node in graph.nodes:
            for value in node.inputs:
                self.readers.setdefault(value[0], []).append(node)
            if is_view(node):
                self.origins[node] = self.origins[node.inputs[0][0]]
            else:
                self.origins[node] = None if isinstance(node.op, (Input, Constant)) else node

    def run(self) -> list[Group]:
        """Return the groups of the graph, in topological order of their first members."""
        group_of = self.group_of
        for node in self.graph.nodes:
            kind = self.known_kind(node)
            if kind is None:
                continue
            home = self.begin(node, kind)
            for k in kind.order:
                maker = self.maker(node.inputs[k])
                if maker is not None and (source := group_of[maker]) is not home:
                    self.merge_into_reader(source, home)
                    home = group_of[node]
        self.merge_siblings()
        self.part_cycles()
        return self.alive()

    def alive(self) -> list[Group]:
        """Return the groups by their first member."""
        found = list({id(g): g for g in self.group_of.values()}.values())
        return sorted(found, key=lambda g: g.first)

    def known_kind(self, node: Node) -> Kind | None:
        """Return the kind of a node; None where it is not fusible."""
        op = node.op
        if not isinstance(op, FUSIBLE):
            return None
        if type(op).risk is not Op.risk:  # it depends on the operands themselves
            key: Any = node
        else:
            # Nodes mostly share their types; the graph keeps these alive.
            key = (op_key(op), id(node.types), *[(id(v[0].types), v[1]) for v in node.inputs])
        try:
            kind = self.kinds[key]
        except KeyError:
            kind = self.kinds[key] = kind_of(node) if fusible(node) else None
        if kind is not None:
            self.kind[node] = kind
        return kind

    def begin(self, node: Node, kind: Kind) -> Group:
        """Make a group of one node."""
        origins = self.origins
        heads = [source for value in node.inputs if (source := origins[value[0]]) is not None]
        at = self.position[node]
        group = Group(
            {node: kind.anchor}, list(kind.frame), kind.reduced, set(heads), heads, at, at, kind.depth, kind.weight
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
        if len(source.members) + len(reader.members) > max(most_nodes(source), most_nodes(reader)):
            return
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
        if self.alone_with(source, reader):
            return False
        return self.reaches(source, [node for node in self.heads(reader) if node not in source.members], reader)

    def heads(self, group: Group) -> list[Node]:
        """Return a node of each group that a group reads from, and the others that it reads."""
        if len(group.heads) > group.most_heads:
            # Groups never part again, so one node for each will do; doubling keeps the work in proportion.
            group_of = self.group_of
            group.heads = list({group_of.get(node, node): node for node in group.heads}.values())
            group.most_heads = 2 * len(group.heads) + FEW
        return group.heads

    def alone_with(self, source: Group, reader: Group) -> bool:
        """Tell whether a small group is seen to have no readers, up to the last of `reader`, but itself and that."""
        if len(source.members) > FEW or len(reader.sources) <= FEW:
            return False
        last = reader.last
        for node in source.members:
            for user in self.readers.get(node, ()):
                if user not in reader.members and user not in source.members and self.position[user] <= last:
                    return False
        return True

    def reaches(self, source: Group, stack: list[Node], reader: Group) -> bool:
        """Tell whether one of the nodes in `stack`, which `reader` reads, is in `source` or reads from there."""
        seen: set[int] = set()
        while stack:
            node = stack.pop()
            group = self.group_of.get(node)
            if group is source:
                return True
            mark = id(node) if group is None else id(group)
            if group is reader or mark in seen:
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
        large.heads += small.heads
        large.sources -= small.members.keys()
        large.sources |= small.sources - large.members.keys()
        large.first, large.last = min(large.first, small.first), max(large.last, small.last)
        large.weight += small.weight

    def merge_siblings(self) -> None:
        """Merge groups that read one value and run over equal frames."""
        for node in self.graph.nodes:
            direct = self.readers.get(node, ())
            if is_view(node) or (len(direct) == 1 and not is_view(direct[0])):
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
        found: list[Node] = []
        stack = list(self.readers.get(node, ()))
        while stack:
            user = stack.pop()
            if is_view(user):
                stack += self.readers.get(user, ())
            else:
                found.append(user)
        return found

    def twins(self, a: Group, b: Group) -> bool:
        """Tell whether two groups that do not read from each other may share their loops."""
        if a.frame != b.frame or len(a.members) + len(b.members) > most_nodes(a):
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


def used_outside(graph: Graph, grouping: Grouping, group: Group) -> list[Node]:
    """Return the members whose values are needed outside their group, in order."""
    found = []
    for node in sorted(group.members, key=grouping.position.__getitem__):
        if node in grouping.outputs:
            found.append(node)
            continue
        stack = list(grouping.readers.get(node, ()))
        while stack:
            user = stack.pop()
            if user in group.members and inside(grouping, group, user, node):
                continue
            if is_view(user):
                if user in grouping.outputs:
                    found.append(node)
                    break
                stack += grouping.readers.get(user, ())
                continue
            found.append(node)
            break
    return found


def inside(grouping: Grouping, group: Group, user: Node, node: Node) -> bool:
    """Tell whether `user` reads `node` by way of views that only move axes, wherever it reads it."""
    for k, value in enumerate(user.inputs):
        if grouping.origin(value) is not node:
            continue
        found = grouping.request(value, operand_anchor(user, k, group.members[user]))
        if k in loose(user) or found is None or found[0] is not node:
            return False
    return True
