"""Nested containers ("pytrees"): taking tuples, lists, dicts and records apart and putting them together.

`flatten` gives the leaves and a `Container`, the shape of the nesting without them; `unflatten` is its
inverse. A `Container` is a value: it can be compared, hashed, printed (see `container_text`) and kept in
a file. No module is ever imported, and no class is looked up outside `sys.modules`, to put a container
together.

What the leaves are is the caller's business. All walks are iterative.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from graphad.ir.errors import ContainerError
from graphad.ir.frozen import field, frozen, replace

Kind = Literal["none", "tuple", "list", "dict", "namedtuple", "dataclass", "custom"]
Result = TypeVar("Result")

MAX_DEPTH = 500
MAX_LEAVES = 1_000_000

# Kinds whose children have names of their own; the children of the others are numbered.
KEYED = frozenset({"dict", "namedtuple", "dataclass"})


@frozen
class Leaf:
    """The place of one leaf."""

    def __str__(self) -> str:
        return "*"


@frozen(eq=False)
class Branch:
    """A container of containers.

    Args:
        kind: what holds the children; "custom" for a class given to `register_container`.
        name: ``module.Qualname`` of the class of a namedtuple, dataclass or custom container, else "".
        keys: the dict's keys or the record's field names, one a child; () for numbered children.
        children: the containers inside, in the order of their leaves.
        static: names and values of what is not a child: fields marked ``metadata={"static": True}``.
        made_by: the class itself where the container was made by `flatten`; not part of its value.
    """

    kind: Kind
    name: str = ""
    keys: tuple[Hashable, ...] = ()
    children: tuple[Container, ...] = ()
    static: tuple[tuple[str, Any], ...] = ()
    made_by: type | None = field(default=None, repr=False)
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Kept, so that hashing a deep container asks only its children and never recurses. Static values may
        # be unhashable and do not count.
        object.__setattr__(self, "_hash", hash((self._own(), self.children)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Branch):
            return NotImplemented
        if self._hash != other._hash:
            return False
        stack: list[tuple[Container, Container]] = [(self, other)]
        while stack:
            left, right = stack.pop()
            if left is right:
                continue
            if isinstance(left, Leaf) or isinstance(right, Leaf):
                if left != right:
                    return False
                continue
            if left._own() != right._own() or left.static != right.static:
                return False
            stack.extend(zip(left.children, right.children, strict=True))
        return True

    def _own(self) -> tuple[object, ...]:
        """What makes up this branch, its children aside; the keys 1, 1.0 and True are different keys."""
        return self.kind, self.name, self.keys, tuple(map(type, self.keys)), len(self.children)

    def __str__(self) -> str:
        from graphad.ir.container_text import container_text

        return container_text(self)


Container: TypeAlias = Leaf | Branch


class Record:
    """A namedtuple, dataclass or custom container whose class is not loaded: its fields are attributes."""

    __slots__ = ("_fields", "_kind", "_name", "_static")

    def __init__(self, branch: Branch, values: Sequence[object]) -> None:
        keys = branch.keys if branch.kind in KEYED else tuple(map(str, range(len(values))))
        self._kind = branch.kind
        self._name = branch.name
        self._fields: dict[Hashable, object] = dict(zip(keys, values, strict=True))
        self._static = branch.static

    def __getattr__(self, name: str) -> Any:
        # Slots are found before this is asked, except while a copy is being made.
        if name not in Record.__slots__:
            for known in (self._fields, dict(self._static)):
                if name in known:
                    return known[name]
        raise AttributeError(f"this record has no field {name!r}")

    def __repr__(self) -> str:
        values = [*self._fields.items(), *self._static]
        return f"{self._name}({', '.join(f'{key}={value!r}' for key, value in values)})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return (self._kind, self._name, self._fields, self._static) == (
            other._kind,
            other._name,
            other._fields,
            other._static,
        )

    __hash__ = None  # type: ignore[assignment]


@frozen
class _CustomClass:
    flatten: Callable[[Any], tuple[Iterable[object], Any]]
    unflatten: Callable[[Any, Sequence[object]], Any]


_custom_classes: dict[type, _CustomClass] = {}


def register_container(
    cls: type,
    flatten_fn: Callable[[Any], tuple[Iterable[object], Any]],
    unflatten_fn: Callable[[Any, Sequence[object]], Any],
) -> None:
    """Make `cls` a container.

    ``flatten_fn(obj) -> (children, static)`` and ``unflatten_fn(static, children) -> obj`` are inverses.
    """
    _custom_classes[cls] = _CustomClass(flatten_fn, unflatten_fn)


# Taking apart


def flatten(obj: object, is_leaf: Callable[[object], bool]) -> tuple[list[object], Container]:
    """Take `obj` apart into its leaves, left to right, and its container.

    `is_leaf` is asked first, of everything. What is no leaf must be None, a tuple, list or dict, a
    namedtuple, an instance of a dataclass or of a registered class; a subclass of dict becomes a plain
    dict.

    Raises:
        ContainerError: anything else, a cycle, or nesting deeper than 500; names the path.
    """
    leaves: list[object] = []
    if is_leaf(obj):
        return [obj], Leaf()
    stack = [_Opened(obj, *_open(obj, []))]
    inside = {id(obj)}
    while True:
        top = stack[-1]
        if len(top.done) == len(top.values):
            stack.pop()
            inside.discard(id(top.obj))
            branch = replace(top.branch, children=tuple(top.done))
            if not stack:
                return leaves, branch
            stack[-1].done.append(branch)
            continue
        child = top.values[len(top.done)]
        if is_leaf(child):
            leaves.append(child)
            top.done.append(Leaf())
            if len(leaves) > MAX_LEAVES:
                raise ContainerError(f"a container has more than {MAX_LEAVES} leaves")
            continue
        if id(child) in inside:
            raise ContainerError(f"the container at {_path_text(stack)} contains itself")
        if len(stack) >= MAX_DEPTH:
            raise ContainerError(f"containers are nested more than {MAX_DEPTH} deep at {_path_text(stack)}")
        stack.append(_Opened(child, *_open(child, stack)))
        inside.add(id(child))


class _Opened:
    """A container whose children are being flattened."""

    def __init__(self, obj: object, branch: Branch, values: list[object]) -> None:
        self.obj = obj
        self.branch = branch
        self.values = values
        self.done: list[Container] = []


def _open(obj: object, outside: list[_Opened]) -> tuple[Branch, list[object]]:
    """The branch of `obj` without its children, and the objects they are made from."""
    cls = type(obj)
    if obj is None:
        return Branch("none"), []
    if cls in _custom_classes:
        children, static = _custom_classes[cls].flatten(obj)
        return Branch("custom", _class_name(cls), static=(("static", static),), made_by=cls), list(children)
    if isinstance(obj, Record):
        keys = tuple(obj._fields) if obj._kind in KEYED else ()
        return Branch(obj._kind, obj._name, keys, static=obj._static), list(obj._fields.values())
    if isinstance(obj, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return Branch("namedtuple", _class_name(cls), cls._fields, made_by=cls), list(obj)  # type: ignore[attr-defined]
    if cls is tuple:
        return Branch("tuple"), list(obj)  # type: ignore[call-overload]
    if cls is list:
        return Branch("list"), list(obj)  # type: ignore[call-overload]
    if isinstance(obj, dict):
        if any(key != key for key in obj):
            raise ContainerError(f"a dict key that is not equal to itself (nan) at {_path_text(outside)}")
        return Branch("dict", keys=tuple(obj)), list(obj.values())
    if hasattr(cls, "__dataclass_fields__"):
        keys, static_names = _dataclass_fields(cls)
        static_values = tuple((name, getattr(obj, name)) for name in static_names)
        values = [getattr(obj, name) for name in keys]
        return Branch("dataclass", _class_name(cls), keys, static=static_values, made_by=cls), values
    raise ContainerError(
        f"a {_class_name(cls)} at {_path_text(outside)} is neither a leaf nor a container: use tuples, "
        "lists, dicts, namedtuples or dataclasses, or graphad.register_container for a class of your own"
    )


def _dataclass_fields(cls: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the init fields of a dataclass: those that are children, and the static ones."""
    import dataclasses  # loaded already, with the class

    made = [f for f in dataclasses.fields(cls) if f.init]
    children = tuple(f.name for f in made if not f.metadata.get("static", False))
    return children, tuple(f.name for f in made if f.metadata.get("static", False))


def _class_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _path_text(stack: list[_Opened]) -> str:
    labels = [key_label(opened.branch, len(opened.done)) for opened in stack]
    if len(labels) > 20:
        labels = [*labels[:10], "...", *labels[-10:]]
    return f"`{'.'.join(labels)}`" if labels else "the top"


# Putting together


def unflatten(container: Container, leaves: Iterable[object]) -> Any:
    """Put `leaves` into `container`: the inverse of `flatten`.

    A class that is not loaded, or no longer has these fields, becomes a `Record`.

    Raises:
        ContainerError: too few or too many leaves, or a class that refuses its fields.
    """
    supply = iter(leaves)
    missing = object()

    def take() -> object:
        leaf = next(supply, missing)
        if leaf is missing:
            raise ContainerError("there are fewer leaves than the container has places")
        return leaf

    result = fold(container, take, _build)
    if next(supply, missing) is not missing:
        raise ContainerError("there are more leaves than the container has places")
    return result


def fold(
    container: Container, at_leaf: Callable[[], Result], at_branch: Callable[[Branch, list[Result]], Result]
) -> Result:
    """Compute bottom-up, left to right: `at_leaf` for a leaf, `at_branch` for a branch and its results."""
    if isinstance(container, Leaf):
        return at_leaf()
    stack: list[tuple[Branch, list[Result]]] = [(container, [])]
    while True:
        branch, results = stack[-1]
        if len(results) == len(branch.children):
            stack.pop()
            result = at_branch(branch, results)
            if not stack:
                return result
            stack[-1][1].append(result)
            continue
        child = branch.children[len(results)]
        if isinstance(child, Leaf):
            results.append(at_leaf())
        else:
            stack.append((child, []))


def _build(branch: Branch, values: list[object]) -> object:
    if branch.kind == "none":
        return None
    if branch.kind == "tuple":
        return tuple(values)
    if branch.kind == "list":
        return values
    if branch.kind == "dict":
        return dict(zip(branch.keys, values, strict=True))
    cls = branch.made_by if branch.made_by is not None else _loaded_class(branch.name)
    if cls is None or not _fits(cls, branch):
        return Record(branch, values)
    try:
        if branch.kind == "custom":
            return _custom_classes[cls].unflatten(branch.static[0][1], values)
        if branch.kind == "namedtuple":
            return cls._make(values)  # type: ignore[attr-defined]
        return cls(**dict(zip(branch.keys, values, strict=True)), **dict(branch.static))  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise ContainerError(f"a {branch.name} cannot be made from its fields: {error}") from error


def _loaded_class(name: str) -> type | None:
    """The class ``module.Qualname`` where it is loaded; only dictionaries are read, so that no code runs."""
    parts = name.split(".")
    for count in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:count]))
        if found is None:
            continue
        for part in parts[count:]:
            found = vars(found).get(part) if isinstance(found, type) or type(found) is type(sys) else None
        return found if isinstance(found, type) else None
    return None


def _fits(cls: type, branch: Branch) -> bool:
    if branch.kind == "custom":
        return cls in _custom_classes and len(branch.static) == 1
    if branch.kind == "namedtuple":
        # `_make` of a class that only looks like a namedtuple could be anything.
        return issubclass(cls, tuple) and vars(cls).get("_fields", getattr(cls, "_fields", None)) == branch.keys
    if not hasattr(cls, "__dataclass_fields__"):
        return False
    return _dataclass_fields(cls) == (branch.keys, tuple(name for name, _ in branch.static))


# Naming


def key_label(branch: Branch, index: int) -> str:
    """The readable name of one child of `branch`: ``w``, ``0``, ``'a b'``."""
    if branch.kind not in KEYED:
        return str(index)
    key = branch.keys[index]
    return key if isinstance(key, str) and key.isidentifier() else repr(key)


def paths(container: Container) -> list[str]:
    """Name every leaf: ``w1``, ``layers.0.w``; a container that is itself a leaf has the name ""."""
    found: list[str] = []
    stack: list[tuple[Container, str]] = [(container, "")]
    while stack:
        item, path = stack.pop()
        if isinstance(item, Leaf):
            found.append(path)
        else:
            prefix = f"{path}." if path else ""
            named = [(child, prefix + key_label(item, index)) for index, child in enumerate(item.children)]
            stack.extend(reversed(named))
    return found


def explain_difference(expected: Container, actual: Container) -> str:
    """Say where `actual` first differs from `expected`, and how; "" where they are equal."""
    stack: list[tuple[Container, Container, str]] = [(expected, actual, "")]
    while stack:
        wanted, given, path = stack.pop()
        reason = _difference(wanted, given)
        if reason:
            return f"at {f'`{path}`' if path else 'the top'}: {reason}"
        if isinstance(wanted, Leaf) or isinstance(given, Leaf):
            continue
        prefix = f"{path}." if path else ""
        pairs = enumerate(zip(wanted.children, given.children, strict=True))
        stack.extend(reversed([(w, g, prefix + key_label(wanted, index)) for index, (w, g) in pairs]))
    return ""


def _difference(wanted: Container, given: Container) -> str:
    """How two containers differ, their children aside; "" where they do not."""
    if isinstance(wanted, Leaf) or isinstance(given, Leaf):
        return "" if wanted == given else f"expected {_describe(wanted)}, got {_describe(given)}"
    if (wanted.kind, wanted.name) != (given.kind, given.name):
        return f"expected {_describe(wanted)}, got {_describe(given)}"
    if wanted._own()[2:4] != given._own()[2:4]:
        missing = [repr(key) for key in wanted.keys if key not in given.keys]
        extra = [repr(key) for key in given.keys if key not in wanted.keys]
        if missing or extra:
            said = (("missing", missing), ("unexpected", extra))
            return "; ".join(f"{word} {', '.join(keys)}" for word, keys in said if keys)
        return f"expected the order {_listed(wanted.keys)}, got {_listed(given.keys)}"
    if len(wanted.children) != len(given.children):
        return f"expected {_describe(wanted)}, got {_describe(given)}"
    if wanted.static != given.static:
        return f"expected static {dict(wanted.static)!r}, got {dict(given.static)!r}"
    return ""


def _listed(keys: Iterable[Hashable]) -> str:
    return ", ".join(map(repr, keys))


def _describe(container: Container) -> str:
    if isinstance(container, Leaf):
        return "a leaf"
    if container.kind == "none":
        return "None"
    return f"a {container.name or container.kind} of {len(container.children)}"
