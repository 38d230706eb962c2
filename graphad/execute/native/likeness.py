"""Likeness: which groups are alike, found for all of them at once, before the body of any is described.

An unrolled loop has the same few groups thousands of times. Two groups with one key have members of equal ops at equal
places that read one another, and what lies outside, in the same way: their bodies are equal, and the operands of one
stand in the order of the other's. What may enter: comparing groups. What a body is stands in
`graphad.execute.native.bodies`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise
from operator import attrgetter
from typing import Any

import numpy as np

from graphad.execute.native.fusion import Group, Grouping
from graphad.ir.leaf import Constant
from graphad.passes.columns import ARITY, NONE, Columns, Numbers, combined

LEVELS = 3
"""How far an operand is followed through views: two of them, and what they are views of."""


class Likeness:
    """The groups of a graph side by side.

    Attributes:
        members: of each group, in the order of the graph.
        outputs: of each group, the members whose values are needed outside.
        outside: of each group that has a key, what members read that is no member, with the index of the result, in
            order of reading; also what lies behind views.
    """

    def __init__(
        self, grouping: Grouping, groups: Sequence[Group], needed: np.ndarray[Any, np.dtype[np.bool_]]
    ) -> None:
        facts, columns = grouping.facts, grouping.facts.columns
        counts = np.array([len(group.members) for group in groups], np.int64)
        own = np.repeat(np.arange(len(groups)), counts)
        rows = np.fromiter(chain.from_iterable([group.members for group in groups]), np.int64, len(own))
        places: list[Any] = list(chain.from_iterable([group.members.values() for group in groups]))
        order = np.lexsort((rows, own))
        self._home = np.full(len(columns.nodes), NONE)
        self._home[rows] = own
        rows = rows[order]
        first = np.concatenate([[0], np.cumsum(counts)])
        self.members = _parts(rows, first)
        chosen = needed[rows]
        self.outputs = _parts(rows[chosen], np.concatenate([[0], np.cumsum(chosen)])[first])
        self.outside: list[list[tuple[int, int]]] = [[]] * len(groups)
        self._groups = groups
        self._keys: list[Any] = [None] * len(groups)
        self._columns = columns
        self._labels = _labels(columns)
        self._rank = np.full(len(columns.nodes), NONE)
        self._rank[rows] = np.arange(len(rows)) - first[:-1][own]
        self._through = np.array(facts.views, bool) | np.array(facts.moves, bool)
        self._through[rows] = False
        parts = [self._labels[rows], _numbered(places)[order], chosen.astype(np.int64)]
        looking = np.zeros(len(groups), bool)
        for makers in columns.operands:
            looking[own[(makers[rows] != NONE) & self._through[makers[rows]]]] = True
        # Few groups read views, and only these need a second look.
        for levels, some in ((1, ~looking), (LEVELS, looking)):
            of_some = some[own]
            self._enter(np.flatnonzero(some), rows[of_some], levels, [part[of_some] for part in parts])

    def key(self, k: int) -> Any:
        """Return what groups share only where their bodies are equal; None where that is not known."""
        found = self._keys[k]
        group = self._groups[k]
        return None if found is None else (tuple(group.frame), group.reduced, found)

    def _enter(self, groups: Numbers, rows: Numbers, levels: int, parts: list[Numbers]) -> None:
        """Find keys, and what is read from outside, of some groups, of which `rows` are the members in order.

        The key is made of a row of numbers for each member: of `parts`, and of what it reads, `levels` deep.
        """
        if not len(rows):
            return
        columns, home = self._columns, self._home
        own = home[rows]
        read: list[Numbers] = []
        indices: list[Numbers] = []
        unknown = np.zeros(len(self._groups), bool)
        unknown[own[np.isin(rows, columns.wide)]] = True
        for k in range(ARITY):
            makers, results = columns.operands[k][rows], columns.results[k][rows]
            for level in range(levels):
                if level:
                    behind = (makers != NONE) & self._through[makers]
                    results = np.where(behind, columns.results[0][makers], 0)
                    makers = np.where(behind, columns.operands[0][makers], NONE)
                read.append(makers)
                indices.append(results)
            unknown[own[(makers != NONE) & self._through[makers]]] = True
        makers, results = np.stack(read, 1), np.stack(indices, 1)
        apart = (makers != NONE) & (home[makers] != own[:, None])
        group, maker, result = np.broadcast_to(own[:, None], apart.shape)[apart], makers[apart], results[apart]
        named = np.where(makers == NONE, 0, 1 + self._rank[makers])
        number, outside = _numbered_by_reading(group, maker, result, len(self._groups))
        named[apart] = -1 - number
        seen = np.zeros_like(makers)
        seen[apart] = self._seen(maker)
        table = _table([*parts, *named.T, *results.T, *seen.T])
        for k, block in zip(groups.tolist(), _blocks(table, own, groups), strict=True):
            self.outside[k] = outside[k]
            self._keys[k] = None if unknown[k] else (levels, block)

    def _seen(self, nodes: Numbers) -> Numbers:
        """Return what a body sees of nodes outside: their types, or all of one that becomes part of the body."""
        columns = self._columns
        inside = self._through | columns.of_classes(lambda cls: cls is Constant)
        return np.where(inside[nodes], len(columns.nodes) + self._labels[nodes], columns.types[nodes])


def _numbered_by_reading(
    group: Numbers, maker: Numbers, result: Numbers, groups: int
) -> tuple[Numbers, list[list[tuple[int, int]]]]:
    """Number what each group reads from outside in order of reading; returns the numbers, and what that is."""
    first, which = combined(group, maker, result)
    by_reading = np.argsort(first)
    read = first[by_reading]
    begin = np.searchsorted(group[read], np.arange(groups + 1))
    place = np.empty_like(by_reading)
    place[by_reading] = np.arange(len(by_reading)) - begin[group[read]]
    pairs = list(zip(maker[read].tolist(), result[read].tolist(), strict=True))
    return place[which], [pairs[i:j] for i, j in pairwise(begin.tolist())]


def _table(parts: Sequence[Numbers]) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Return the columns that are not the same everywhere, side by side."""
    varied = [part for part in parts if (part != part[0]).any()]
    table = np.empty((len(parts[0]), len(varied)), np.int32)
    for k, part in enumerate(varied):
        table[:, k] = part
    return table


def _blocks(table: np.ndarray[Any, np.dtype[np.int32]], own: Numbers, groups: Numbers) -> list[bytes]:
    """Return the rows of each group as bytes."""
    begin = [*np.searchsorted(own, groups).tolist(), len(own)]
    return [table[i:j].tobytes() for i, j in pairwise(begin)]


def _parts(rows: Numbers, first: Numbers) -> list[list[int]]:
    listed = rows.tolist()
    return [listed[i:j] for i, j in pairwise(first.tolist())]


def _labels(columns: Columns) -> Numbers:
    """Return a number for each node: equal for equal ops of equal types that bodies do not keep apart."""
    nodes = columns.nodes
    lines = list(map(id, map(attrgetter("location"), nodes)))
    others = list(map(attrgetter("scope", "role"), nodes))
    return combined(columns.ops, columns.types, columns.replicas, _numbered(lines), _numbered(others))[1]


def _numbered(keys: list[Any]) -> Numbers:
    """Return a number for each key: equal where the keys are."""
    numbers = {key: k for k, key in enumerate(dict.fromkeys(keys))}
    return np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
