"""Nested arguments of transformations: what must be nested like something else, and what may stop early.

Cotangents and tangents are nested exactly like what they belong to; axes of `vmap` may give one number for a whole
container.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphad.ir.containers import Branch, Container, Leaf, flatten, fold, paths
from graphad.ir.errors import ContainerError
from graphad.ir.frozen import replace


def tuple_of(containers: Sequence[Container]) -> Branch:
    """Return the container of a tuple of containers."""
    return Branch("tuple", children=tuple(containers))


def leaf_count(container: Container) -> int:
    """Return the number of leaves."""
    return fold(container, lambda: 1, lambda _, counts: sum(counts))


def with_holes(container: Container, present: Iterable[bool]) -> Container:
    """Return the container with None in place of the leaves that are not present."""
    supply = iter(present)
    return fold(container, lambda: Leaf() if next(supply) else Branch("none"), _with_children)


def nested(outer: Container, inner: Container) -> Container:
    """Return `outer` with `inner` in place of every leaf."""
    return fold(outer, lambda: inner, _with_children)


def _with_children(branch: Branch, children: list[Container]) -> Container:
    return replace(branch, children=tuple(children))


def flatten_as(container: Container, given: Any, what: str) -> list[Any]:
    """Return what `given` holds at the leaves of `container`: anything, None too.

    Raises ContainerError, naming `what` and the path, where `given` is nested in another way.
    """
    found: list[Any] = []
    stack: list[tuple[Container, Any, str]] = [(container, given, "")]
    while stack:
        place, item, path = stack.pop()
        if isinstance(place, Leaf):
            found.append(item)
        else:
            stack += reversed(_pairs(place, item, path, what))
    return found


def spread(container: Container, given: Any, what: str) -> list[Any]:
    """Return for each leaf of `container` the number or None that `given` has there, or for a container around it."""
    found: list[Any] = []
    stack: list[tuple[Container, Any, str]] = [(container, given, "")]
    while stack:
        place, item, path = stack.pop()
        if item is None or isinstance(item, int):
            found += [item] * leaf_count(place)
        elif isinstance(place, Leaf):
            raise ContainerError(f"{what}{path and f' at {path}'}: expected an axis or None, got {item!r}")
        else:
            stack += reversed(_pairs(place, item, path, what))
    return found


def _pairs(place: Branch, item: Any, path: str, what: str) -> list[tuple[Container, Any, str]]:
    """Return the children of a container, the objects given for them, and their paths."""
    where = f"{what}{path and f' at {path}'}"
    try:
        children, own = flatten(item, lambda inside: inside is not item)
    except ContainerError:
        own = Leaf()
    if isinstance(own, Leaf) or own.kind != place.kind or len(own.children) != len(place.children):
        got = type(item).__name__ if isinstance(own, Leaf) else f"{own.kind} of {len(own.children)}"
        raise ContainerError(f"{where}: expected a {place.kind} of {len(place.children)}, got a {got}")
    if own.keys != place.keys:
        if set(own.keys) != set(place.keys):
            raise ContainerError(f"{where}: expected the keys {list(place.keys)}, got {list(own.keys)}")
        by_key = dict(zip(own.keys, children, strict=True))
        children = [by_key[key] for key in place.keys]
    labels = paths(replace(place, children=(Leaf(),) * len(place.children)))
    prefix = f"{path}." if path else ""
    return [
        (child, given, prefix + label) for child, given, label in zip(place.children, children, labels, strict=True)
    ]
