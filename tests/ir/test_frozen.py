"""Frozen classes are what `dataclass(frozen=True)` makes."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
from typing import Any, ClassVar

import pytest

from graphad.ir.frozen import field, fields, frozen, replace


@frozen
class Point:
    """A point."""

    kind: ClassVar[str] = "point"
    x: int
    y: int = 2
    names: list[str] = field(default_factory=list, compare=False, repr=False)


@frozen
class Deep(Point):
    """A point with one more coordinate."""

    z: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "z", float(self.z))


@frozen(slots=True, eq=False)
class Slim:
    """A class of slots."""

    a: int
    b: int = 1


@dataclasses.dataclass(frozen=True)
class Standard(Point):
    """A class of the standard decorator, derived from a frozen one."""

    w: int = 7


def test_construction_comparison_and_text() -> None:
    assert Point(1) == Point(1, 2) and Point(1) != Point(1, 3) and hash(Point(1)) == hash(Point(1, y=2))
    assert Point(1, names=["a"]) == Point(1) and Point(1).names is not Point(1).names
    assert repr(Point(1)) == "Point(x=1, y=2)" and repr(Deep(1, z=3)) == "Deep(x=1, y=2, z=3.0)"
    assert Point(1) != Deep(1) and Point.__match_args__ == ("x", "y", "names")
    assert list(inspect.signature(Point).parameters) == ["x", "y", "names"]
    with pytest.raises(TypeError, match=r"Point.__init__\(\) missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]


@pytest.mark.parametrize("made", [Point(1), Deep(1), Slim(1)])
def test_it_refuses_stores(made: Any) -> None:
    name = dataclasses.fields(made)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
        setattr(made, name, 3)
    with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
        delattr(made, name)


def test_slots_keep_copies_and_pickles() -> None:
    assert not hasattr(Slim(1), "__dict__") and Slim(1) != Slim(1)
    for made in (copy.copy(Slim(3)), pickle.loads(pickle.dumps(Slim(3)))):
        assert (made.a, made.b) == (3, 1)


def test_the_standard_library_takes_it_for_a_dataclass() -> None:
    assert dataclasses.is_dataclass(Point) and [f.name for f in dataclasses.fields(Deep)] == ["x", "y", "names", "z"]
    assert dataclasses.replace(Point(1), y=5) == Point(1, 5)  # type: ignore[type-var]
    assert Standard(1).w == 7 and repr(Standard(1)) == "Standard(x=1, y=2, w=7)"
    assert [f.name for f in fields(Standard)] == ["x", "y", "names", "w"]


@frozen
class Wide:
    """A class of more fields than there are templates for, one of them without an argument."""

    a: int
    b: int
    c: int
    d: int
    e: int
    f: int
    g: int
    h: int
    i: int = 9
    j: list[int] = field(default_factory=list)
    k: int = field(default=11, init=False)


def test_many_fields() -> None:
    made = Wide(*range(8))
    assert [getattr(made, each.name) for each in fields(Wide)] == [*range(8), 9, [], 11]
    assert list(inspect.signature(Wide).parameters) == list("abcdefghij")
    with pytest.raises(TypeError, match="unexpected keyword argument 'k'"):
        Wide(*range(8), k=1)  # type: ignore[call-arg]  # that is what is refused


def test_replace() -> None:
    assert replace(Deep(1), z=4) == Deep(1, 2, z=4.0) and replace(Standard(1), x=2) == Standard(2)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        replace(Point(1), other=1)
