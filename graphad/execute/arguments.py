"""Arguments and results of a call: leaves out of their containers and back, quickly.

`taker` and `builder` turn a container into closures that do for the common kinds what `flatten` and `unflatten` do for
all; where a container or an argument is out of the common, they say so and the general way is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from graphad.ir.containers import Branch, Container, Leaf, fold, paths, unflatten
from graphad.ir.frozen import replace

Array = np.ndarray[Any, Any]
Take = Callable[[Any, list[Any]], bool]
Build = Callable[[Iterator[Any]], Any]

MAX_NESTING = 20
"""Containers nested deeper than this go the general, iterative way."""


def depth(container: Container) -> int:
    """Return how many containers are nested in each other."""
    return fold(container, lambda: 0, lambda branch, inner: 1 + max(inner, default=0))


def taker(container: Container) -> Take:
    """Return a function that appends the leaves of an object nested like `container` to a list.

    It gives False, having appended some, for an object that is not nested so, or not of the common kinds.
    """
    if depth(container) > MAX_NESTING:
        return lambda value, leaves: False
    return fold(container, lambda: _take_leaf, _take_branch)


def _take_leaf(value: Any, leaves: list[Any]) -> bool:
    leaves.append(value)
    return True


def _take_branch(branch: Branch, inner: list[Take]) -> Take:
    count = len(inner)
    if branch.kind in ("tuple", "list"):
        kind = tuple if branch.kind == "tuple" else list

        def take_sequence(value: Any, leaves: list[Any]) -> bool:
            if type(value) is not kind or len(value) != count:
                return False
            return all(take(item, leaves) for take, item in zip(inner, value, strict=True))

        return take_sequence
    if branch.kind == "dict":
        pairs = list(zip(branch.keys, inner, strict=True))

        def take_dict(value: Any, leaves: list[Any]) -> bool:
            if type(value) is not dict or len(value) != count:
                return False
            return all(key in value and take(value[key], leaves) for key, take in pairs)

        return take_dict
    if branch.kind == "none":
        return lambda value, leaves: value is None
    if branch.kind in ("namedtuple", "dataclass") and branch.made_by is not None and not branch.static:
        cls, names = branch.made_by, [(str(key), take) for key, take in zip(branch.keys, inner, strict=True)]

        def take_record(value: Any, leaves: list[Any]) -> bool:
            return type(value) is cls and all(take(getattr(value, name), leaves) for name, take in names)

        return take_record
    return lambda value, leaves: False


def builder(container: Container) -> Callable[[Sequence[Any]], Any]:
    """Return a function that puts leaves into `container`."""
    if isinstance(container, Leaf):
        return lambda leaves: leaves[0]
    common = fold(container, lambda: True, lambda branch, inner: branch.kind in _BUILT and all(inner))
    if not common or depth(container) > MAX_NESTING:
        return lambda leaves: unflatten(container, leaves)
    build = fold(container, lambda: next, _build_branch)
    return lambda leaves: build(iter(leaves))


_BUILT = frozenset({"none", "tuple", "list", "dict"})


def _build_branch(branch: Branch, inner: list[Build]) -> Build:
    if branch.kind == "none":
        return lambda leaves: None
    if branch.kind == "tuple":
        return lambda leaves: tuple([build(leaves) for build in inner])
    if branch.kind == "list":
        return lambda leaves: [build(leaves) for build in inner]
    pairs = list(zip(branch.keys, inner, strict=True))
    return lambda leaves: {key: build(leaves) for key, build in pairs}


def prune(container: Container, keep: Sequence[bool]) -> Container:
    """Return `container` with only the leaves to keep.

    At the top, and in dicts, what has lost all its leaves goes; elsewhere None takes its place, so that the other
    children stay where they are.
    """
    kept = iter(keep)

    def at_branch(branch: Branch, inner: list[tuple[Container, bool, bool]]) -> tuple[Container, bool, bool]:
        had = any(had for _, had, _ in inner)
        lost_all = had and not any(had and not lost for _, had, lost in inner)
        if branch.kind == "dict":
            pairs = [(k, c) for k, (c, _, lost) in zip(branch.keys, inner, strict=True) if not lost]
            keys, children = tuple([k for k, _ in pairs]), tuple([c for _, c in pairs])
            return replace(branch, keys=keys, children=children), had, lost_all
        children = tuple([Branch("none") if lost else child for child, _, lost in inner])
        return replace(branch, children=children), had, lost_all

    def at_leaf() -> tuple[Container, bool, bool]:
        return Leaf(), True, not next(kept)

    pruned, _, lost_all = fold(container, at_leaf, at_branch)
    if isinstance(pruned, Leaf):
        return Branch("none") if lost_all else pruned
    if isinstance(container, Branch) and container.kind in ("tuple", "list"):
        went = _lost(container, keep)
        children = tuple([c for c, lost in zip(pruned.children, went, strict=True) if not lost])
        return replace(pruned, children=children)
    return pruned


def _lost(container: Branch, keep: Sequence[bool]) -> list[bool]:
    """Tell which children of the top have lost all their leaves."""
    found = []
    start = 0
    for child in container.children:
        count = len(paths(child))
        found.append(count > 0 and not any(keep[start : start + count]))
        start += count
    return found
