"""Containers: taking apart, putting together, text, paths, differences, and hostile text."""

from __future__ import annotations

import sys
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphad.ir.container_text import container_text, parse_container
from graphad.ir.containers import (
    Branch,
    Leaf,
    Record,
    explain_difference,
    flatten,
    paths,
    register_container,
    unflatten,
)
from graphad.ir.errors import ContainerError

Point = namedtuple("Point", ["x", "y"])


@dataclass(frozen=True)
class Layer:
    w: object
    b: object
    name: object = field(default="layer", metadata={"static": True})
    cached: int = field(default=7, init=False)


class Box:
    def __init__(self, label, items):
        self.label, self.items = label, items

    def __eq__(self, other):
        return (self.label, self.items) == (other.label, other.items)


register_container(Box, lambda box: (box.items, box.label), lambda label, items: Box(label, list(items)))


@pytest.fixture(autouse=True)
def loaded():
    """Make the classes above findable by name, however pytest imported this file."""
    before = sys.modules.get(__name__)
    module = ModuleType(__name__)
    vars(module).update({"Point": Point, "Layer": Layer, "Box": Box})
    sys.modules[__name__] = module
    yield
    if before is None:
        del sys.modules[__name__]
    else:
        sys.modules[__name__] = before


def is_leaf(value):
    return isinstance(value, int)


literals = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
keys = literals | st.tuples(literals, literals)


def containers_of(children):
    return (
        st.lists(children, max_size=4)
        | st.lists(children, max_size=4).map(tuple)
        | st.dictionaries(keys, children, max_size=4)
        | st.builds(Point, children, children)
        | st.builds(Layer, children, children, keys)
        | st.builds(Box, keys, st.lists(children, max_size=3))
    )


objects = st.recursive(st.integers() | st.none(), containers_of, max_leaves=15)


@given(objects)
def test_unflatten_undoes_flatten(obj):
    leaves, container = flatten(obj, is_leaf)
    assert unflatten(container, leaves) == obj
    again, same = flatten(unflatten(container, leaves), is_leaf)
    assert again == leaves and same == container and hash(same) == hash(container)


@given(objects)
def test_text_reads_back_and_builds_the_same_object(obj):
    leaves, container = flatten(obj, is_leaf)
    text = str(container)
    read = parse_container(text)
    assert read == container and hash(read) == hash(container)
    assert str(read) == text and "\n" not in text
    assert unflatten(read, leaves) == obj


@given(objects, objects)
def test_difference_is_explained_exactly_when_there_is_one(left, right):
    one, two = flatten(left, is_leaf)[1], flatten(right, is_leaf)[1]
    assert (explain_difference(one, two) == "") == (one == two)


@given(objects)
def test_every_leaf_has_a_path(obj):
    leaves, container = flatten(obj, is_leaf)
    assert len(paths(container)) == len(leaves)


def test_printed_form():
    obj = (
        {"w1": 1, "b1": 2},
        [3, 4],
        Point(5, 6),
        None,
        (7,),
        (),
        {3: 8, "a b": 9, "None": 1, None: 2, (1, "`"): 3},
    )
    text = str(flatten(obj, is_leaf)[1])
    assert text == (
        f"({{w1: *, b1: *}}, [*, *], {__name__}.Point<namedtuple>(x=*, y=*), None, (*,), (), "
        "{3: *, 'a b': *, 'None': *, None: *, `(1, '\\x60')`: *})"
    )
    assert str(flatten(Layer(1, 2, "m"), is_leaf)[1]) == f"{__name__}.Layer<dataclass>(w=*, b=*; name='m')"
    assert str(flatten(Box(3, [1, 2]), is_leaf)[1]) == f"{__name__}.Box<custom>(*, *; static=3)"
    assert str(flatten({float("inf"): 1}, is_leaf)[1]) == "{1e999: *}"
    assert str(flatten({(None, float("-inf")): 1}, is_leaf)[1]) == "{`(None, -1e999)`: *}"


def test_paths():
    obj = {"w1": 1, "layers": [{"w": 2}, Point(3, 4)], "a b": 5, 0: (6,)}
    assert paths(flatten(obj, is_leaf)[1]) == ["w1", "layers.0.w", "layers.1.x", "layers.1.y", "'a b'", "0.0"]
    assert paths(Leaf()) == [""]


def test_dict_order_is_kept_and_matters():
    leaves, container = flatten({"b": 1, "a": 2}, is_leaf)
    assert leaves == [1, 2] and list(unflatten(container, leaves)) == ["b", "a"]
    assert container != flatten({"a": 1, "b": 2}, is_leaf)[1]
    assert type(unflatten(*reversed(flatten(OrderedDict(a=1), is_leaf)))) is dict


def test_keys_of_different_types_are_different():
    assert flatten({1: 0}, is_leaf)[1] != flatten({True: 0}, is_leaf)[1]


def test_is_leaf_is_asked_first():
    assert flatten((1, (2,)), lambda x: x == (2,) or is_leaf(x)) == (
        [1, (2,)],
        Branch("tuple", children=(Leaf(), Leaf())),
    )
    assert flatten(None, lambda x: True) == ([None], Leaf())


def test_static_fields_are_compared_not_flattened():
    first, second = flatten(Layer(1, 2, [1]), is_leaf), flatten(Layer(1, 2, [2]), is_leaf)
    assert first[0] == [1, 2] and first[1] != second[1] and hash(first[1]) == hash(second[1])
    unwritable = flatten(Layer(1, 2, object()), is_leaf)[1]
    with pytest.raises(ContainerError, match="not a Python literal"):
        container_text(unwritable)


def test_local_classes_come_back_as_themselves_and_from_text_as_records():
    @dataclass
    class Local:
        x: int

    leaves, container = flatten(Local(3), is_leaf)
    assert unflatten(container, leaves) == Local(3)
    record = unflatten(parse_container(str(container)), leaves)
    assert isinstance(record, Record) and record.x == 3


def test_a_class_that_is_not_loaded_becomes_a_record():
    for text in (
        "gone.Point<namedtuple>(x=*, y=[*]; unit='m')",
        "gone.C<dataclass>(x=*, y=[*]; unit='m')",
        f"{__name__}.Point<namedtuple>(x=*, other=*)",
        f"{__name__}.Layer<dataclass>(w=*, b=*)",
        "sys.path<dataclass>(x=*)",
        "os.system<dataclass>(command=*)",
        "builtins.tuple<namedtuple>(x=*)",
        "gone.Box<custom>(*, *; static=3)",
    ):
        container = parse_container(text)
        leaves = list(range(len(paths(container))))
        record = unflatten(container, leaves)
        assert isinstance(record, Record)
        assert flatten(record, is_leaf) == (leaves, container)
        assert record == unflatten(container, leaves)
    record = unflatten(parse_container("gone.Point<namedtuple>(x=*, y=[*]; unit='m')"), [1, 2])
    assert (record.x, record.y, record.unit) == (1, [2], "m")
    assert repr(record) == "gone.Point(x=1, y=[2], unit='m')"
    with pytest.raises(AttributeError, match="no field 'z'"):
        record.z  # noqa: B018


def test_reading_never_imports():
    class Trap(ModuleType):
        def __getattr__(self, name):
            raise AssertionError("a lazy module was asked for an attribute")

    sys.modules["graphad_trap"] = Trap("graphad_trap")
    try:
        before = set(sys.modules)
        for name in ("graphad_trap.x.Y", "antigravity.Y", "graphad_not_there.Y"):
            assert isinstance(unflatten(parse_container(f"{name}<dataclass>(x=*)"), [1]), Record)
        assert set(sys.modules) == before
    finally:
        del sys.modules["graphad_trap"]


def test_leaf_counts_are_checked():
    container = flatten([1, 2], is_leaf)[1]
    with pytest.raises(ContainerError, match="fewer"):
        unflatten(container, [1])
    with pytest.raises(ContainerError, match="more"):
        unflatten(container, [1, 2, 3])


def test_a_class_that_refuses_its_fields_is_an_error():
    @dataclass
    class Picky:
        x: int

        def __post_init__(self):
            if self.x < 0:
                raise ValueError("negative")

    container = flatten(Picky(1), is_leaf)[1]
    with pytest.raises(ContainerError, match=r"Picky cannot be made from its fields: negative"):
        unflatten(container, [-1])


def test_what_is_no_container_is_named_with_its_path():
    for bad in ({1.5}, "text", Layer, float("nan")):
        with pytest.raises(ContainerError, match=r"at `p\.1` is neither a leaf nor a container"):
            flatten({"p": [1, bad]}, is_leaf)
    with pytest.raises(ContainerError, match="nan"):
        flatten({float("nan"): 1}, is_leaf)


def test_cycles_and_depth():
    loop: list[object] = [1]
    loop.append({"again": loop})
    with pytest.raises(ContainerError, match=r"`1\.again` contains itself"):
        flatten(loop, is_leaf)
    shared = [1]
    assert flatten([shared, shared], is_leaf)[0] == [1, 1]

    def nest(depth):
        obj: object = 1
        for _ in range(depth):
            obj = [obj]
        return obj

    leaves, container = flatten(nest(500), is_leaf)
    again = parse_container(str(container))
    assert again == container and hash(again) == hash(container) and explain_difference(again, container) == ""
    assert unflatten(again, leaves) == nest(500)
    with pytest.raises(ContainerError, match="nested more than 500 deep"):
        flatten(nest(501), is_leaf)
    with pytest.raises(ContainerError, match="nested more than 500 deep"):
        parse_container("[" * 100_000)


@pytest.mark.parametrize(
    ("expected", "actual", "message"),
    [
        ({"a": [1, 2]}, {"a": [1]}, "at `a`: expected a list of 2, got a list of 1"),
        ({"a": 1}, {"b": 1}, "at the top: missing 'a'; unexpected 'b'"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "at the top: expected the order 'a', 'b', got 'b', 'a'"),
        ((1, None), (1, 2), "at `1`: expected None, got a leaf"),
        ((1, 2), [1, 2], "at the top: expected a tuple of 2, got a list of 2"),
        ([Layer(1, 2, "p")], [Layer(1, 2, "q")], "at `0`: expected static {'name': 'p'}, got {'name': 'q'}"),
    ],
)
def test_explain_difference(expected, actual, message):
    assert explain_difference(flatten(expected, is_leaf)[1], flatten(actual, is_leaf)[1]) == message


BAD = [
    "",
    "(*)",
    "[*,]",
    "[*",
    "*]",
    "* *",
    "{*}",
    "{a: *, a: *}",
    "{a.b: *}",
    "{`[1]`: *}",
    "{`f()`: *}",
    "x<dataclass>(x=*, x=*)",
    "x<dataclass>(x=*; x=1)",
    "x<evil>(x=*)",
    "x<dataclass>(*)",
    "x<custom>(x=*)",
    "x<dataclass>(x=*; y=`__import__('os')`)",
    "x<dataclass>(; )",
    "x(x=*)",
    "(,)",
    "[*;*]",
    "{'a: *}",
    "{a=*}",
    "{`" + "(" * 5000 + "`: *}",
    "{`" + "-" * 90_000 + "1`: *}",
    "{" + "9" * 5000 + ": *}",
]


@pytest.mark.parametrize("text", BAD)
def test_bad_text_is_a_container_error(text):
    with pytest.raises(ContainerError):
        parse_container(text)


@given(st.text(alphabet="*()[]{}:,;=<>`'aN1. -", max_size=30))
def test_any_text_is_a_container_or_an_error(text):
    try:
        container = parse_container(text)
    except ContainerError:
        return
    assert parse_container(str(container)) == container
