"""Frozen classes: what `dataclass(frozen=True)` gives, at a hundredth of its price when a module is imported.

The standard decorator compiles generated source for six methods of each class, half a millisecond a class, and graphad
has hundreds. Here methods are closures, and only the constructor is generated source, for its speed: it is compiled
when a class makes its first object, and most programs never use most classes.

Everything else is as people know it: a frozen class is a dataclass to `dataclasses.fields`, `replace`, `is_dataclass`
and to classes derived from it by the standard decorator. `field` and `replace` stand here so that graphad itself need
not load that module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from inspect import get_annotations  # NumPy has loaded it
from operator import attrgetter
from reprlib import recursive_repr
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform, overload

if TYPE_CHECKING:
    import dataclasses

T = TypeVar("T")


MISSING: Any = object()
"""The default of a field without one."""


class Field:
    """One attribute of a frozen class, as `dataclasses.Field` describes it."""

    __slots__ = ("compare", "default", "factory", "init", "name", "repr", "type")

    def __init__(self, default: Any, factory: Any, init: bool, repr: bool, compare: bool) -> None:
        self.name = ""
        self.type: Any = None
        self.default = default
        self.factory = factory
        self.init = init
        self.repr = repr
        self.compare = compare

    @property
    def required(self) -> bool:
        """Tell whether the constructor must be given it."""
        return self.init and self.default is MISSING and self.factory is MISSING


def field(
    *,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    init: bool = True,
    repr: bool = True,
    compare: bool = True,
) -> Any:
    """Describe a field beyond its default, as `dataclasses.field` does."""
    return Field(default, default_factory, init, repr, compare)


@overload
def frozen(cls: type[T], /) -> type[T]: ...
@overload
def frozen(
    *, eq: bool = True, repr: bool = True, slots: bool = False, weakref_slot: bool = False
) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(
    cls: type[Any] | None = None,
    /,
    *,
    eq: bool = True,
    repr: bool = True,
    slots: bool = False,
    weakref_slot: bool = False,
) -> Any:
    """Make a class frozen, with its annotations as fields; a class with `slots` is made anew.

    The arguments mean what they mean to `dataclasses.dataclass`.
    """

    def decorate(cls: type[Any]) -> type[Any]:
        return _frozen(cls, eq, repr, slots, weakref_slot)

    return decorate if cls is None else decorate(cls)


def _frozen(cls: type[Any], eq: bool, repr: bool, slots: bool, weakref_slot: bool) -> type[Any]:
    inherited: dict[str, Field] = {}
    for base in cls.__mro__[:0:-1]:
        inherited.update(_fields_by_name(base))
    own = _own_fields(cls)
    found = {**inherited, **own}
    for name, each in own.items():
        if each.default is MISSING:
            if name in cls.__dict__:
                delattr(cls, name)  # it held the Field
        else:
            setattr(cls, name, each.default)
    if slots:
        cls = _with_slots(cls, [name for name in own if name not in inherited], weakref_slot)
    settings: Any = cls
    settings.__dataclass_fields__ = _StandardFields(cls, found)
    settings.__dataclass_params__ = _StandardParameters()
    settings.__init__ = _Constructor(cls, tuple(found.values()))
    _add(cls, "__match_args__", tuple(each.name for each in found.values() if each.init))
    if repr:
        _add(cls, "__repr__", _repr_of([each.name for each in found.values() if each.repr]))
    if eq:
        compared = [each.name for each in found.values() if each.compare]
        # A class with an `__eq__` of its own and no `__hash__` has None there.
        if cls.__dict__.get("__hash__") is None:
            settings.__hash__ = _hash_of(compared)
        _add(cls, "__eq__", _equality_of(compared))
    _add(cls, "__setattr__", _refusal(cls, found, "assign to", "__setattr__"))
    _add(cls, "__delattr__", _refusal(cls, found, "delete", "__delattr__"))
    return cls


def _add(cls: type[Any], name: str, value: Any) -> None:
    if name not in cls.__dict__:
        setattr(cls, name, value)


def _own_fields(cls: type[Any]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    for name, annotation in get_annotations(cls).items():
        if "ClassVar" in (annotation if type(annotation) is str else str(annotation)):
            continue
        default = cls.__dict__.get(name, MISSING)
        each = default if type(default) is Field else Field(default, MISSING, True, True, True)
        each.name, each.type = name, annotation
        found[name] = each
    return found


def _with_slots(cls: type[Any], names: list[str], weakref_slot: bool) -> type[Any]:
    """Return the class again with slots for the fields; a class cannot be given them later."""
    body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__", *names)}
    body["__slots__"] = (*names, "__weakref__") if weakref_slot else tuple(names)
    made: type[Any] = type(cls)(cls.__name__, cls.__bases__, body)  # type: ignore[misc]
    made.__qualname__ = cls.__qualname__
    # Slots of an object that refuses stores: `copy` and `pickle` must be told how.
    _add(made, "__getstate__", _get_state)
    _add(made, "__setstate__", _set_state)
    return made


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in _fields_by_name(type(self))]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(_fields_by_name(type(self)), state, strict=True):
        object.__setattr__(self, name, value)


# The constructor


class _Constructor:
    """The `__init__` of a frozen class until it is first looked at: it puts the real one in its place then."""

    __slots__ = ("_cls", "_fields")

    def __init__(self, cls: type[Any], fields: tuple[Field, ...]) -> None:
        self._cls = cls
        self._fields = fields

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        made = _constructor(self._cls, self._fields)
        self._cls.__init__ = made
        return made if instance is None else made.__get__(instance, owner)


def _constructor(cls: type[Any], fields: tuple[Field, ...]) -> FunctionType:
    """Return the `__init__` that the standard decorator would make."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    parameters = ["self"]
    lines = []
    annotations: dict[str, Any] = {}
    for each in fields:
        name = each.name
        value = name
        if each.factory is not MISSING:
            known[f"_factory_{name}"] = each.factory
            made = f"_factory_{name}()"
            value = f"{made} if {name} is _missing else {name}" if each.init else made
        elif not each.init:
            if each.default is MISSING:
                continue  # `__post_init__` sets it
            known[f"_default_{name}"] = each.default
            value = f"_default_{name}"
        lines.append(f"_set(self, {name!r}, {value})")
        if not each.init:
            continue
        annotations[name] = each.type
        if each.factory is not MISSING:
            parameters.append(f"{name}=_missing")
        elif each.default is MISSING:
            parameters.append(name)
        else:
            known[f"_default_{name}"] = each.default
            parameters.append(f"{name}=_default_{name}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    body = "\n    ".join(lines or ["pass"])
    exec(f"def __init__({', '.join(parameters)}):\n    {body}", known)
    made_: FunctionType = known["__init__"]
    made_.__qualname__ = f"{cls.__qualname__}.__init__"
    made_.__module__ = cls.__module__
    made_.__annotations__ = {**annotations, "return": None}
    return made_


# The other methods


def _equality_of(names: list[str]) -> Callable[[Any, object], Any]:
    """Return the `__eq__` of objects of one class whose fields of these names are equal, or the same."""
    if not names:
        return lambda self, other: True if other.__class__ is self.__class__ else NotImplemented
    values = attrgetter(*names)
    alone = len(names) == 1

    def __eq__(self: Any, other: object) -> Any:
        if self is other:
            return True
        if other.__class__ is not self.__class__:
            return NotImplemented
        ours, theirs = values(self), values(other)
        return bool(ours is theirs or ours == theirs) if alone else ours == theirs

    return __eq__


def _hash_of(names: list[str]) -> Callable[[Any], int]:
    if not names:
        return lambda self: hash(())
    values = attrgetter(*names)

    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


def _repr_of(names: list[str]) -> Callable[[Any], str]:
    @recursive_repr("...")
    def __repr__(self: Any) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={getattr(self, name)!r}' for name in names)})"

    return __repr__


def _refusal(cls: type[Any], fields: dict[str, Field], what: str, method: str) -> Callable[..., None]:
    def store(self: Any, name: str, *value: Any) -> None:
        if type(self) is cls or name in fields:
            refuse(f"cannot {what} field {name!r}")
        getattr(super(cls, self), method)(name, *value)

    store.__name__ = method
    return store


def refuse(message: str) -> NoReturn:
    """Raise the standard library's FrozenInstanceError."""
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(message)


# The standard library's view


class _StandardFields:
    """`__dataclass_fields__` of a frozen class: made when the standard library asks."""

    __slots__ = ("_cls", "_made", "fields")

    def __init__(self, cls: type[Any], fields: dict[str, Field]) -> None:
        self._cls = cls
        self._made: dict[str, dataclasses.Field[Any]] | None = None
        self.fields = fields

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> dict[str, dataclasses.Field[Any]]:
        if self._made is None:
            self._made = _standard_view(self._cls.__name__, self.fields)
        return self._made


class _StandardParameters:
    """`__dataclass_params__` of a frozen class."""

    __slots__ = ()

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        import dataclasses

        return dataclasses.dataclass(frozen=True)(type("Frozen", (), {})).__dataclass_params__  # type: ignore[attr-defined]


def _standard_view(name: str, fields: dict[str, Field]) -> dict[str, dataclasses.Field[Any]]:
    import dataclasses

    body: dict[str, Any] = {"__annotations__": {each.name: each.type for each in fields.values()}}
    for each in fields.values():
        given: dict[str, Any] = {"init": each.init, "repr": each.repr, "compare": each.compare, "kw_only": False}
        if each.default is not MISSING:
            given["default"] = each.default
        if each.factory is not MISSING:
            given["default_factory"] = each.factory
        body[each.name] = dataclasses.field(**given)
    # Without `init` it does not mind a default before a field that has none; without `eq` nor one that has no hash.
    made: dict[str, dataclasses.Field[Any]] = dataclasses.dataclass(init=False, eq=False, repr=False)(
        type(name, (), body)
    ).__dataclass_fields__  # type: ignore[attr-defined]
    return made


# For graphad's own use


def _fields_by_name(cls: type[Any]) -> dict[str, Field]:
    for base in cls.__mro__:
        known = base.__dict__.get("__dataclass_fields__")
        if type(known) is _StandardFields:
            return known.fields
        if known is not None:
            return {name: _as_field(each) for name, each in known.items()}
    return {}


def _as_field(each: dataclasses.Field[Any]) -> Field:
    """Return a field of a class that the standard decorator made."""
    import dataclasses

    default, factory = (
        MISSING if value is dataclasses.MISSING else value for value in (each.default, each.default_factory)
    )
    made = Field(default, factory, each.init, each.repr, each.compare)
    made.name, made.type = each.name, each.type
    return made


def fields(cls: type[Any]) -> Iterator[Field]:
    """Give the fields of a frozen class, or of a dataclass, in order."""
    return iter(_fields_by_name(cls).values())


def replace(obj: T, **changes: Any) -> T:
    """Return an object like `obj` with some fields changed, as `dataclasses.replace` does."""
    for each in _fields_by_name(type(obj)).values():
        if each.init:
            if each.name not in changes:
                changes[each.name] = getattr(obj, each.name)
        elif each.name in changes:
            raise ValueError(f"field {each.name} is declared with init=False, it cannot be specified with replace()")
    return type(obj)(**changes)
