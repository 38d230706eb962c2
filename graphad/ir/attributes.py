"""The attributes of ops as data: which kinds of values there are, which an op's fields take, how an op is made of them.

Text (`printer`, `parser`) and files (`graphad.files`) write attributes in two notations; what the values *are* is
settled here, once: None, bool, int, float, str, sizes, dtypes, tensor types, tuples of these, arrays and graphs. Any
other value (a Python function in a custom rule) is opaque: it can be shown, not written.
"""

from __future__ import annotations

import importlib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from graphad.ir.dims import Dim, Size
from graphad.ir.frozen import MISSING, fields
from graphad.ir.graph import Graph
from graphad.ir.op import OPS, Op
from graphad.ir.types import DType, TensorType

Kind = Literal["none", "bool", "int", "float", "str", "size", "dtype", "type", "tuple", "array", "graph", "opaque"]

MAX_NESTING = 64
"""How deep tuples, and graphs within graphs, may be nested in text and files."""

_KINDS: tuple[tuple[type, Kind], ...] = (
    (type(None), "none"),
    (bool, "bool"),
    (int, "int"),
    (float, "float"),
    (str, "str"),
    (Size, "size"),
    (np.dtype, "dtype"),
    (TensorType, "type"),
    (tuple, "tuple"),
    (np.ndarray, "array"),
    (Graph, "graph"),
)


_known_fields: dict[type[Op], tuple[tuple[str, Any], ...]] = {}
_known_hints: dict[type[Op], Mapping[str, Any]] = {}


class AttributeFault(Exception):
    """Attributes do not fit an op; text and files turn it into their own error."""


def kind_of(value: Any) -> Kind:
    """Return which kind of attribute a value is."""
    for cls, kind in _KINDS:
        # A named tuple or another subclass would come back as the plain class.
        if type(value) is cls or (cls in (np.dtype, np.ndarray) and isinstance(value, cls)):
            return kind
    return "opaque"


def plain(value: Any) -> Any:
    """Return a NumPy scalar as the Python number equal to it, and any other value as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _fields(cls: type[Op]) -> tuple[tuple[str, Any], ...]:
    """The name and default (MISSING for none) of each field of an op class that is written."""
    known = _known_fields.get(cls)
    if known is not None:
        return known
    found = tuple(
        (field.name, field.default)
        for field in fields(cls)
        if field.init and (field.compare or field.default is MISSING)
    )
    return _known_fields.setdefault(cls, found)


def attributes(op: Op) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each attribute that is not at its default."""
    for name, default in _fields(type(op)):
        value = plain(getattr(op, name))
        # Equality alone would drop -0.0 for a default of 0.0, and True for 1.
        if type(value) is type(default) and (value is default or (value == default and repr(value) == repr(default))):
            continue
        yield name, value


def find_op(name: str) -> type[Op]:
    """Return the op class of a printed name; loads graphad's own modules that define ops where needed."""
    found = OPS.get(name)
    if found is None and name.isidentifier():
        importlib.import_module("graphad.ops").load_all()
        importlib.import_module("graphad.autodiff.custom_ops")
        found = OPS.get(name)
    if found is None or found.name == "input":
        raise AttributeFault(f"there is no op named {name!r}")
    return found


def hints(cls: type[Op]) -> Mapping[str, Any]:
    """Return the annotation of each written field of an op class, resolved; Any where it cannot be."""
    read = _known_hints.get(cls)
    if read is not None:
        return read
    known = {
        "Graph": Graph,
        "Size": Size,
        "Dim": Dim,
        "DType": DType,
        "TensorType": TensorType,
        "np": np,
        "Any": Any,
    }
    try:
        found = typing.get_type_hints(cls, localns=known)
    except NameError:
        found = {}
    return _known_hints.setdefault(cls, {name: found.get(name, Any) for name, _ in _fields(cls)})


def make_op(cls: type[Op], given: Mapping[str, Any]) -> Op:
    """Return an op of class `cls` with the attributes `given`, the others at their defaults.

    Raises AttributeFault for an unknown, missing or unfitting attribute.
    """
    expected = hints(cls)
    for name, value in given.items():
        if name not in expected:
            takes = ", ".join(expected) or "none"
            raise AttributeFault(f"op {cls.name} has no attribute {name!r} (it has: {takes})")
        if not conforms(value, expected[name]):
            raise AttributeFault(f"attribute {name!r} of op {cls.name} cannot be a {kind_of(value)}")
    for name, default in _fields(cls):
        if default is MISSING and name not in given:
            raise AttributeFault(f"op {cls.name} needs the attribute {name!r}")
    try:
        return cls(**given)
    except Exception as error:
        # Whatever a constructor makes of hostile values, the text or file is at fault.
        raise AttributeFault(f"op {cls.name} refuses its attributes: {error}") from error


def infer_types(op: Op, operands: tuple[TensorType, ...]) -> tuple[TensorType, ...]:
    """Return the result types of an op read from text or a file; AttributeFault where its type rule refuses."""
    try:
        found = op.infer(*operands)
    except Exception as error:
        listed = ", ".join(map(str, operands))
        raise AttributeFault(f"{op.name}({listed}): {error or type(error).__name__}") from error
    return found if isinstance(found, tuple) else (found,)


def alternatives(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union annotation; the annotation alone where it is none."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return tuple(part for member in typing.get_args(hint) for part in alternatives(member))
    return (hint,)


_ANNOTATED: dict[Any, tuple[Kind, ...]] = {
    type(None): ("none",),
    bool: ("bool",),
    int: ("int",),
    float: ("float", "int"),
    str: ("str",),
    Size: ("size", "int"),
    np.dtype: ("dtype",),
    TensorType: ("type",),
    tuple: ("tuple",),
    np.ndarray: ("array",),
    Graph: ("graph",),
}


def allows(hint: Any, kind: Kind) -> bool:
    """Tell whether an annotation admits values of a kind."""
    for part in alternatives(hint):
        if part is Any or part is object:
            return True
        origin = typing.get_origin(part) or part
        if origin is Literal:
            if any(kind_of(choice) == kind for choice in typing.get_args(part)):
                return True
        elif kind in _ANNOTATED.get(origin, ()):
            return True
    return False


def element_hint(hint: Any, position: int) -> Any:
    """Return the annotation of one element of a tuple annotated `hint`."""
    found = []
    for part in alternatives(hint):
        arguments = typing.get_args(part)
        if typing.get_origin(part) is not tuple:
            continue
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            found.append(arguments[0])
        elif position < len(arguments):
            found.append(arguments[position])
    return typing.Union[tuple(found)] if found else Any  # noqa: UP007  # a union of values, not of names


def conforms(value: Any, hint: Any) -> bool:
    """Tell whether a value fits an annotation."""
    kind = kind_of(value)
    for part in alternatives(hint):
        origin = typing.get_origin(part)
        arguments = typing.get_args(part)
        if origin is Literal:
            fits = any(type(choice) is type(value) and choice == value for choice in arguments)
        elif origin is tuple and kind == "tuple":
            endless = len(arguments) == 2 and arguments[1] is Ellipsis
            fits = endless or len(arguments) == len(value)
            wanted = arguments[:1] * len(value) if endless else arguments
            fits = fits and all(map(conforms, value, wanted))
        else:
            fits = allows(part, kind)
        if fits:
            return True
    return False
