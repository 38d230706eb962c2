"""Methods of frozen classes by the number of their fields: the code that a class takes with its own names in it.

Compiling generated source takes 50 us a method, putting other names into compiled code two. In these functions `f0`,
`f1`, ... stand for the names of the fields; nothing calls them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import FunctionType
from typing import Any, Final

_set = object.__setattr__


# Constructors


def _init_0(self: Any) -> None:
    pass


def _init_1(self: Any, f0: Any) -> None:
    _set(self, "f0", f0)


def _init_2(self: Any, f0: Any, f1: Any) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)


def _init_3(self: Any, f0: Any, f1: Any, f2: Any) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)


def _init_4(self: Any, f0: Any, f1: Any, f2: Any, f3: Any) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)


def _init_5(self: Any, f0: Any, f1: Any, f2: Any, f3: Any, f4: Any) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)
    _set(self, "f4", f4)


def _init_6(self: Any, f0: Any, f1: Any, f2: Any, f3: Any, f4: Any, f5: Any) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)
    _set(self, "f4", f4)
    _set(self, "f5", f5)


def _init_7(self: Any, f0: Any, f1: Any, f2: Any, f3: Any, f4: Any, f5: Any, f6: Any) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)
    _set(self, "f4", f4)
    _set(self, "f5", f5)
    _set(self, "f6", f6)


def _init_10(
    self: Any, f0: Any, f1: Any, f2: Any, f3: Any, f4: Any, f5: Any, f6: Any, f7: Any, f8: Any, f9: Any
) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)
    _set(self, "f4", f4)
    _set(self, "f5", f5)
    _set(self, "f6", f6)
    _set(self, "f7", f7)
    _set(self, "f8", f8)
    _set(self, "f9", f9)


def _init_11(
    self: Any, f0: Any, f1: Any, f2: Any, f3: Any, f4: Any, f5: Any, f6: Any, f7: Any, f8: Any, f9: Any, f10: Any
) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)
    _set(self, "f4", f4)
    _set(self, "f5", f5)
    _set(self, "f6", f6)
    _set(self, "f7", f7)
    _set(self, "f8", f8)
    _set(self, "f9", f9)
    _set(self, "f10", f10)


def _init_14(
    self: Any,
    f0: Any,
    f1: Any,
    f2: Any,
    f3: Any,
    f4: Any,
    f5: Any,
    f6: Any,
    f7: Any,
    f8: Any,
    f9: Any,
    f10: Any,
    f11: Any,
    f12: Any,
    f13: Any,
) -> None:
    _set(self, "f0", f0)
    _set(self, "f1", f1)
    _set(self, "f2", f2)
    _set(self, "f3", f3)
    _set(self, "f4", f4)
    _set(self, "f5", f5)
    _set(self, "f6", f6)
    _set(self, "f7", f7)
    _set(self, "f8", f8)
    _set(self, "f9", f9)
    _set(self, "f10", f10)
    _set(self, "f11", f11)
    _set(self, "f12", f12)
    _set(self, "f13", f13)


# Comparison: as tuples, in which an object is equal to itself


def _eq_1(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    return (self.f0,) == (other.f0,)


def _eq_2(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    return (self.f0, self.f1) == (other.f0, other.f1)


def _eq_3(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    return (self.f0, self.f1, self.f2) == (other.f0, other.f1, other.f2)


def _eq_4(self: Any, other: Any) -> Any:
    if self is other:
        return True
    if other.__class__ is not self.__class__:
        return NotImplemented
    return (self.f0, self.f1, self.f2, self.f3) == (other.f0, other.f1, other.f2, other.f3)


def _hash_1(self: Any) -> int:
    return hash(self.f0)


def _hash_2(self: Any) -> int:
    return hash((self.f0, self.f1))


def _hash_3(self: Any) -> int:
    return hash((self.f0, self.f1, self.f2))


def _hash_4(self: Any) -> int:
    return hash((self.f0, self.f1, self.f2, self.f3))


TEMPLATES: Final[dict[str, dict[int, Any]]] = {
    "__init__": dict(enumerate([_init_0, _init_1, _init_2, _init_3, _init_4, _init_5, _init_6, _init_7]))
    | {10: _init_10, 11: _init_11, 14: _init_14},
    "__eq__": {1: _eq_1, 2: _eq_2, 3: _eq_3, 4: _eq_4},
    "__hash__": {1: _hash_1, 2: _hash_2, 3: _hash_3, 4: _hash_4},
}
"""The templates of a method by the number of fields."""


def with_names(template: Any, names: Mapping[str, str]) -> FunctionType:
    """Return a template with other names (of arguments, of attributes, and as text) in the places of its own."""
    code = template.__code__
    return FunctionType(
        code.replace(
            co_varnames=tuple([names.get(name, name) for name in code.co_varnames]),
            co_names=tuple([names.get(name, name) for name in code.co_names]),
            co_consts=tuple([names.get(item, item) if type(item) is str else item for item in code.co_consts]),
        ),
        template.__globals__,
    )
