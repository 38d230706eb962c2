"""Contractions of labelled tensors: what einsum, tensordot and dot have in common.

A `Term` is a tensor with a label for each axis. Two terms are contracted by one matrix product: its stack axes are the
labels that both have and the result keeps, its inner axis is the labels that both have and nobody needs any more.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence

import numpy as np

import graphad.ops as ops
from graphad.ir.dims import Dim, names, product, substitute
from graphad.ir.errors import SymbolicSizeError
from graphad.ir.frozen import frozen
from graphad.tracing.tensor import Tensor

Label = Hashable

EXHAUSTIVE = 7
"""Up to so many operands every order of pairwise contraction is compared; above, the cheapest next pair is taken."""

NOMINAL = 64
"""What a symbolic size counts as where orders are compared."""


@frozen(eq=False)
class Term:
    """A tensor with a distinct label for each axis."""

    tensor: Tensor
    labels: tuple[Label, ...]

    def size(self, label: Label) -> Dim:
        """Return the size of the axis with this label."""
        return self.tensor.shape[self.labels.index(label)]

    def arranged(self, labels: Sequence[Label]) -> Tensor:
        """Return the tensor with its axes in the order of `labels`, which are all of its labels."""
        return ops.transpose(self.tensor, [self.labels.index(label) for label in labels])

    def aligned(self, labels: Sequence[Label]) -> Tensor:
        """Return the tensor with an axis for each of `labels`, of size 1 for those it lacks."""
        own = [label for label in labels if label in self.labels]
        sizes = [self.size(label) if label in self.labels else 1 for label in labels]
        return ops.reshape(self.arranged(own), sizes)


def summed(term: Term, keep: Collection[Label]) -> Term:
    """Sum over the axes whose labels are not in `keep`."""
    gone = [k for k, label in enumerate(term.labels) if label not in keep]
    return Term(ops.reduce_sum(term.tensor, gone), tuple(label for label in term.labels if label in keep))


def contract(a: Term, b: Term, keep: Collection[Label]) -> Term:
    """Multiply two terms and sum over the labels that are not in `keep`."""
    shared = set(a.labels) & set(b.labels)
    a, b = summed(a, shared | set(keep)), summed(b, shared | set(keep))
    stack = [label for label in a.labels if label in shared and label in keep]
    inner = [label for label in a.labels if label in shared and label not in keep]
    rows = [label for label in a.labels if label not in shared]
    columns = [label for label in b.labels if label not in shared]
    labels = (*stack, *rows, *columns)
    if not inner:
        return Term(_multiplied(a.aligned(labels), b.aligned(labels)), labels)
    sizes = {label: term.size(label) for term in (b, a) for label in term.labels}
    left = _blocked(a.arranged((*stack, *rows, *inner)), sizes, stack, rows, inner)
    right = _blocked(b.arranged((*stack, *inner, *columns)), sizes, stack, inner, columns)
    return Term(ops.reshape(ops.matmul(left, right), [sizes[label] for label in labels]), labels)


def _multiplied(a: Tensor, b: Tensor) -> Tensor:
    shape = ops.broadcast_shapes(a.shape, b.shape)
    return ops.mul(ops.broadcast_to(a, shape), ops.broadcast_to(b, shape))


def _blocked(
    x: Tensor, sizes: Mapping[Label, Dim], stack: Sequence[Label], rows: Sequence[Label], columns: Sequence[Label]
) -> Tensor:
    """Return x as a stack of matrices: the axes of `rows` as one, and those of `columns`."""
    shape = [sizes[label] for label in stack]
    return ops.reshape(x, [*shape, *(product(sizes[label] for label in part) for part in (rows, columns))])


# Order


def contract_all(terms: Sequence[Term], keep: Collection[Label]) -> Term:
    """Multiply all terms and sum over the labels that are not in `keep`, pair by pair in a cheap order."""
    remaining = list(terms)
    for i, j in contraction_order([term.labels for term in terms], _nominal_sizes(terms), keep):
        a, b = remaining[i], remaining[j]
        remaining = [term for k, term in enumerate(remaining) if k not in (i, j)]
        needed = set(keep).union(*(term.labels for term in remaining))
        remaining.append(contract(a, b, needed))
    return summed(remaining[0], keep)


def _nominal_sizes(terms: Sequence[Term]) -> dict[Label, int]:
    """Return a number for the size of each label; what is not whole at nominal sizes counts as nominal."""
    sizes: dict[Label, int] = {}
    for term in terms:
        for label, n in zip(term.labels, term.tensor.shape, strict=True):
            try:
                number = substitute(n, dict.fromkeys(names((n,)), NOMINAL))
            except SymbolicSizeError:
                number = NOMINAL
            sizes[label] = number if isinstance(number, int) else NOMINAL
    return sizes


def contraction_order(
    terms: Sequence[Collection[Label]], sizes: Mapping[Label, int], keep: Collection[Label]
) -> list[tuple[int, int]]:
    """Return the pairs to contract, as `numpy.einsum_path` numbers them: the result of each goes to the end.

    The order with the fewest multiplications for few terms, greedy for many.
    """
    sets = [frozenset(labels) for labels in terms]
    return _best_order(sets, sizes, keep) if len(sets) <= EXHAUSTIVE else _greedy_order(sets, sizes, keep)


def _cost(labels: Collection[Label], sizes: Mapping[Label, int]) -> float:
    return float(np.prod([float(sizes[label]) for label in labels]))


def _best_order(
    terms: Sequence[frozenset[Label]], sizes: Mapping[Label, int], keep: Collection[Label]
) -> list[tuple[int, int]]:
    """Dynamic programming over the subsets of terms, each a bit mask."""
    count = len(terms)
    everything = (1 << count) - 1

    def labels_of(subset: int) -> frozenset[Label]:
        return frozenset().union(*(terms[k] for k in range(count) if subset >> k & 1))

    inside = {subset: labels_of(subset) for subset in range(1, everything + 1)}
    needed = {subset: labels_of(everything & ~subset) | frozenset(keep) for subset in inside}
    cost: dict[int, float] = {1 << k: 0.0 for k in range(count)}
    halves: dict[int, tuple[int, int]] = {}
    for subset in sorted(inside, key=int.bit_count):
        if subset in cost:
            continue
        best: tuple[float, int] | None = None
        part = (subset - 1) & subset
        while part:
            other = subset & ~part
            if part > other:  # each pair of halves once
                used = (inside[part] & needed[part]) | (inside[other] & needed[other])
                total = cost[part] + cost[other] + _cost(used, sizes)
                if best is None or total < best[0]:
                    best = (total, part)
            part = (part - 1) & subset
        assert best is not None, "a set of two or more terms has two halves"
        cost[subset], halves[subset] = best[0], (best[1], subset & ~best[1])
    return _pairs_of(halves, everything, count)


def _pairs_of(halves: Mapping[int, tuple[int, int]], everything: int, count: int) -> list[tuple[int, int]]:
    """Return the pairs of a tree of halves, leaves first."""
    stack, order = [everything], []
    while stack:
        subset = stack.pop()
        if subset in halves:
            order.append(subset)
            stack.extend(halves[subset])
    remaining = [1 << k for k in range(count)]
    pairs = []
    for subset in reversed(order):
        first, second = sorted(remaining.index(half) for half in halves[subset])
        pairs.append((first, second))
        remaining = [term for k, term in enumerate(remaining) if k not in (first, second)] + [subset]
    return pairs


def _greedy_order(
    terms: Sequence[frozenset[Label]], sizes: Mapping[Label, int], keep: Collection[Label]
) -> list[tuple[int, int]]:
    remaining = list(terms)
    pairs = []
    while len(remaining) > 1:
        best = None
        for i in range(len(remaining)):
            for j in range(i + 1, len(remaining)):
                others = [remaining[k] for k in range(len(remaining)) if k not in (i, j)]
                union = remaining[i] | remaining[j]
                kept = union & frozenset(keep).union(*others)
                # What shrinks the terms most comes first; of equals, what costs least.
                growth = _cost(kept, sizes) - _cost(remaining[i], sizes) - _cost(remaining[j], sizes)
                key = (growth, _cost(union, sizes), i, j)
                if best is None or key < best[0]:
                    best = (key, i, j, kept)
        assert best is not None, "two terms make a pair"
        _, i, j, kept = best
        pairs.append((i, j))
        remaining = [term for k, term in enumerate(remaining) if k not in (i, j)] + [kept]
    return pairs
