"""Frozen classes: what `dataclass(frozen=True)` gives, at a small part of its price when a module is imported.

The standard decorator compiles generated source for six methods of each class, half a millisecond a class, and graphad
has hundreds. Here classes share their methods; a constructor, and a comparison or hash of fields, is made for a class
when it is first called, and most programs never use most classes.

Everything else is as people know it: a frozen class is a dataclass to `dataclasses.fields`, `replace`, `is_dataclass`
and to classes derived from it by the standard decorator. `field` and `replace` stand here so that graphad itself need
not load that module.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from inspect import get_annotations  # NumPy has loaded it
from operator import attrgetter
from reprlib import recursive_repr
from types import FunctionType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, dataclass_transform, overload

from graphad.ir.templates import TEMPLATES, with_names

if TYPE_CHECKING:
    import dataclasses

T = TypeVar("T")


MISSING: Any = object()
"""The default of a field without one."""


class Field:
    """One attribute of a frozen class, as `dataclasses.Field` describes it."""

    __slots__ = ("compare", "default", "factory", "init", "name", "repr", "type")

    def __init__(
        self, default: Any, factory: Any = MISSING, init: bool = True, repr: bool = True, compare: bool = True
    ) -> None:
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

    def decorate(cls: type[Any]) -> Any:
        return _frozen(cls, eq, repr, slots, weakref_slot)

    return decorate if cls is None else decorate(cls)


def _frozen(cls: Any, eq: bool, repr: bool, slots: bool, weakref_slot: bool) -> Any:
    inherited: dict[str, Field] = {}
    for base in cls.__mro__[:0:-1]:
        if "__dataclass_fields__" in base.__dict__:
            inherited.update(_fields_by_name(base))
    own = _own_fields(cls)
    found = {**inherited, **own} if inherited else own
    for name, each in own.items():
        if each.default is MISSING:
            if name in cls.__dict__:
                delattr(cls, name)  # it held the Field
        elif cls.__dict__[name] is not each.default:
            setattr(cls, name, each.default)
    body: dict[str, Any] = {
        "__dataclass_fields__": _StandardFields(cls.__name__, found),
        "__dataclass_params__": _PARAMETERS,
        "__init__": _CONSTRUCTOR,
    }
    defined = cls.__dict__
    if "__match_args__" not in defined:
        body["__match_args__"] = tuple([name for name, each in found.items() if each.init])
    # A dunder that a class sets costs it half a microsecond: what it inherits is not set again.
    if repr and "__repr__" not in defined and cls.__repr__ is not _repr:
        body["__repr__"] = _repr
    if eq:
        body.update(_comparison(cls, any(map(attrgetter("compare"), found.values()))))
    if "__setattr__" not in defined and cls.__setattr__ is not _set_attribute:
        body["__setattr__"] = _set_attribute
    if "__delattr__" not in defined and cls.__delattr__ is not _delete_attribute:
        body["__delattr__"] = _delete_attribute
    if slots:
        return _with_slots(cls, [name for name in own if name not in inherited], weakref_slot, body)
    for name, value in body.items():
        setattr(cls, name, value)
    return cls


def _comparison(cls: Any, of_fields: bool) -> dict[str, Any]:
    """Return the `__eq__` and `__hash__` that a class lacks."""
    body: dict[str, Any] = {}
    # A class with an `__eq__` of its own and no `__hash__` has None there.
    made = _hash_fields if of_fields else _hash_nothing
    if cls.__dict__.get("__hash__") is None and (of_fields or cls.__hash__ is not made):
        body["__hash__"] = made
    made_eq = _equal_fields if of_fields else _equal_class
    if "__eq__" not in cls.__dict__ and (of_fields or cls.__eq__ is not made_eq):
        body["__eq__"] = made_eq
    return body


def _own_fields(cls: type[Any]) -> dict[str, Field]:
    found: dict[str, Field] = {}
    annotations = cls.__dict__.get("__annotations__")  # noqa: RUF063  # that function takes longer than all the rest
    if annotations is None:
        annotations = get_annotations(cls)
    for name, annotation in annotations.items():
        if "ClassVar" in (annotation if type(annotation) is str else str(annotation)):
            continue
        default = cls.__dict__.get(name, MISSING)
        each = default if type(default) is Field else Field(default)
        each.name, each.type = name, annotation
        found[name] = each
    return found


def _with_slots(cls: type[Any], names: list[str], weakref_slot: bool, more: dict[str, Any]) -> type[Any]:
    """Return the class again with `more` and slots for the fields; a class cannot be given them later."""
    body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__", *names)}
    body["__slots__"] = (*names, "__weakref__") if weakref_slot else tuple(names)
    # Slots of an object that refuses stores: `copy` and `pickle` must be told how.
    body = {"__getstate__": _get_state, "__setstate__": _set_state, **body, **more}
    made: type[Any] = type(cls)(cls.__name__, cls.__bases__, body)  # type: ignore[misc]  # a metaclass may ask for more
    made.__qualname__ = cls.__qualname__
    return made


def _get_state(self: Any) -> list[Any]:
    return [getattr(self, name) for name in _fields_by_name(type(self))]


def _set_state(self: Any, state: list[Any]) -> None:
    for name, value in zip(_fields_by_name(type(self)), state, strict=True):
        object.__setattr__(self, name, value)


# The constructor


class _Constructor:
    """The `__init__` of a frozen class until it is first looked at: it puts the real one in its place then."""

    __slots__ = ()

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        cls: Any = owner or type(instance)
        home = _home(cls, "__init__", self)
        if home is not None:
            home.__init__ = _constructor(home, _fields_by_name(home).values())
        return cls.__init__ if instance is None else cls.__init__.__get__(instance, owner)


_CONSTRUCTOR = _Constructor()


def _home(cls: type[Any], name: str, method: object) -> Any:
    """Return the class from which `cls` has a method; None where another thread has replaced it there."""
    return next((base for base in cls.__mro__ if base.__dict__.get(name) is method), None)


def _constructor(cls: type[Any], fields: Collection[Field]) -> FunctionType:
    """Return the `__init__` that the standard decorator would make."""
    given = [each for each in fields if each.init]
    names = [each.name for each in given]
    made = _from_template("__init__", names) if len(names) in TEMPLATES["__init__"] else _from_source(names)
    made.__defaults__ = _defaults(given)
    made.__annotations__ = {**{each.name: each.type for each in given}, "return": None}
    made.__qualname__ = f"{cls.__qualname__}.__init__"
    made.__module__ = cls.__module__
    unset = [each for each in fields if each.factory is not MISSING or not (each.init or each.default is MISSING)]
    post_init = hasattr(cls, "__post_init__")
    return _completed(made, unset, post_init) if unset or post_init else made


def _defaults(given: Iterable[Field]) -> tuple[Any, ...]:
    """Return the defaults of the arguments; MISSING stands for what a factory gives."""
    found: list[Any] = []
    for each in given:
        if not each.required:
            found.append(each.default)
        elif found:
            raise TypeError(f"non-default argument {each.name!r} follows default argument")
    return tuple(found)


def _from_template(method: str, names: Sequence[str]) -> FunctionType:
    templates = TEMPLATES[method]
    return with_names(templates[len(names)], {f"f{k}": name for k, name in enumerate(names)})


def _from_source(names: Iterable[str]) -> FunctionType:
    known: dict[str, Any] = {"_set": object.__setattr__}
    lines = [f"    _set(self, {name!r}, {name})\n" for name in names]
    exec(f"def __init__(self, {', '.join(names)}):\n{''.join(lines)}", known)
    made: FunctionType = known["__init__"]
    return made


def _completed(plain: FunctionType, unset: Sequence[Field], post_init: bool) -> FunctionType:
    """Return a constructor that sets what the arguments have left `unset`, and calls `__post_init__`."""

    def __init__(self: Any, *values: Any, **named: Any) -> None:
        plain(self, *values, **named)
        for each in unset:
            if not each.init or getattr(self, each.name) is MISSING:
                value = each.default if each.factory is MISSING else each.factory()
                object.__setattr__(self, each.name, value)
        if post_init:
            self.__post_init__()

    made: FunctionType = functools.update_wrapper(__init__, plain)  # type: ignore[assignment]  # a function is one
    return made


# The other methods: those that read fields put one made for the class in their place when they are first called


def _equal_class(self: Any, other: object) -> Any:
    return True if other.__class__ is self.__class__ else NotImplemented


def _hash_nothing(self: Any) -> int:
    return hash(())


def _equal_fields(self: Any, other: object) -> Any:
    _make(type(self), "__eq__", _equal_fields, _equality_of)
    return self.__eq__(other)


def _hash_fields(self: Any) -> Any:
    _make(type(self), "__hash__", _hash_fields, _hash_of)
    return self.__hash__()


def _make(cls: type[Any], method: str, shared: object, general: Callable[..., Any]) -> None:
    """Put in the place of a shared method one for the fields of a class."""
    home = _home(cls, method, shared)
    if home is None:
        return
    names = [each.name for each in fields(home) if each.compare]
    made = _from_template(method, names) if len(names) in TEMPLATES[method] else general(attrgetter(*names))
    setattr(home, method, made)


def _equality_of(values: Callable[[Any], Any]) -> Callable[[Any, object], Any]:
    """Return the `__eq__` of objects of one class whose values (a tuple) are equal, or the same."""

    def __eq__(self: Any, other: object) -> Any:
        if self is other:
            return True
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return __eq__


def _hash_of(values: Callable[[Any], Any]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        return hash(values(self))

    return __hash__


@recursive_repr("...")
def _repr(self: Any) -> str:
    names = [each.name for each in fields(type(self)) if each.repr]
    return f"{type(self).__qualname__}({', '.join([f'{name}={getattr(self, name)!r}' for name in names])})"


def _set_attribute(self: Any, name: str, value: Any) -> None:
    _check_store(type(self), name, "assign to")
    object.__setattr__(self, name, value)


def _delete_attribute(self: Any, name: str) -> None:
    _check_store(type(self), name, "delete")
    object.__delattr__(self, name)


def _check_store(cls: type[Any], name: str, what: str) -> None:
    """Refuse fields, and anything where the class itself is frozen; a class derived from it may have more."""
    if "__dataclass_fields__" in cls.__dict__ or name in _fields_by_name(cls):
        refuse(f"cannot {what} field {name!r}")


def refuse(message: str) -> NoReturn:
    """Raise the standard library's FrozenInstanceError."""
    from dataclasses import FrozenInstanceError

    raise FrozenInstanceError(message)


# The standard library's view


class _StandardFields:
    """`__dataclass_fields__` of a frozen class: made when the standard library asks."""

    __slots__ = ("_made", "_name", "fields")

    def __init__(self, name: str, fields: dict[str, Field]) -> None:
        self._name = name
        self._made: dict[str, dataclasses.Field[Any]] | None = None
        self.fields = fields

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> dict[str, dataclasses.Field[Any]]:
        if self._made is None:
            self._made = _standard_view(self._name, self.fields)
        return self._made


class _StandardParameters:
    """`__dataclass_params__` of a frozen class."""

    __slots__ = ()

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        import dataclasses

        return dataclasses.dataclass(frozen=True)(type("Frozen", (), {})).__dataclass_params__  # type: ignore[attr-defined]  # mypy hides it


_PARAMETERS = _StandardParameters()


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
    ).__dataclass_fields__  # type: ignore[attr-defined]  # mypy hides it
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
