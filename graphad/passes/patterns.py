"""Patterns: expressions over variables that match parts of a graph.

A pattern is written as the NumPy code it matches: ``x * 1``, ``np.log(1 + np.exp(x))``, ``x ** 2``; an op that no
operator or ufunc names is `pattern(Sum, x, axes=axes)`. The same variable twice means the same value (or attribute);
commutative ops match both ways round; a Python number matches a constant all of whose elements are that number.
Patterns look from a node at its operands, never at its users.

Pattern expressions and their compilation to matchers may enter here; rules and what they do may not.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any, TypeAlias

import numpy as np

from graphad.ir.emit import emitting
from graphad.ir.frozen import frozen
from graphad.ir.leaf import Constant
from graphad.ir.node import Node, Value
from graphad.ir.op import Op
from graphad.ir.types import is_inexact
from graphad.ops.arithmetic import Power, PowerScalar
from graphad.ops.cast import Cast
from graphad.ops.creation import full
from graphad.ops.shape import BroadcastTo, Reshape, Transpose
from graphad.tracing.coerce import op_of_ufunc

COMMUTATIVE: frozenset[str] = frozenset(
    {
        "add", "mul", "maximum", "minimum", "fmax", "fmin", "equal", "not_equal", "logical_and", "logical_or",
        "logical_xor", "bitwise_and", "bitwise_or", "bitwise_xor", "hypot", "logaddexp", "logaddexp2", "gcd", "lcm",
    }
)  # fmt: skip
"""Names of the ops whose two operands may change places without changing a bit of the result (of a number)."""

Environment: TypeAlias = dict[str, Any]
"""What the variables of a pattern stand for: Values, NumPy scalars, attributes."""
Matcher: TypeAlias = Callable[[Node], "Environment | None"]
Path: TypeAlias = tuple[int, ...]
"""Positions of operands, one after the other: from a node to one of its operands, from there on to one of its own."""
_Step: TypeAlias = Callable[[Value, Environment], bool]


class Pattern:
    """A pattern; operators and ufuncs on patterns build larger ones."""

    def __add__(self, other: Any) -> Pattern:
        return _ufunc(np.add, self, other)

    def __radd__(self, other: Any) -> Pattern:
        return _ufunc(np.add, other, self)

    def __sub__(self, other: Any) -> Pattern:
        return _ufunc(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Pattern:
        return _ufunc(np.subtract, other, self)

    def __mul__(self, other: Any) -> Pattern:
        return _ufunc(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Pattern:
        return _ufunc(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Pattern:
        return _ufunc(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Pattern:
        return _ufunc(np.true_divide, other, self)

    def __pow__(self, other: Any) -> Pattern:
        if isinstance(other, Pattern) and not isinstance(other, Variable):
            return _ufunc(np.power, self, other)
        # Tracing writes these three powers so.
        if other == 2:
            return self * self
        if other == -1:
            return 1 / self
        if other == 0.5:
            return _ufunc(np.sqrt, self)
        return pattern(PowerScalar, self, exponent=other)

    def __neg__(self) -> Pattern:
        return _ufunc(np.negative, self)

    def __abs__(self) -> Pattern:
        return _ufunc(np.absolute, self)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **keywords: Any) -> Pattern:
        if method != "__call__" or keywords:
            raise TypeError(f"np.{ufunc.__name__} in a pattern takes operands only")
        if ufunc is np.square:
            return self * self
        if ufunc is np.reciprocal:
            return 1 / self
        return _ufunc(ufunc, *operands)


@frozen(eq=False)
class Variable(Pattern):
    """Matches any value (made by one of the ops `among`, if given), or any attribute; the same variable again matches
    only the same one.
    """

    name: str
    among: frozenset[type[Op]] | None = None


@frozen(eq=False)
class Scalar(Pattern):
    """Matches a constant all of whose elements are one number; the rule gets that number as a NumPy scalar."""

    name: str


@frozen(eq=False)
class Number(Pattern):
    """Matches a constant all of whose elements are `number`; 0.0 and -0.0 are two numbers (not for integers)."""

    number: float


@frozen(eq=False)
class Application(Pattern):
    """Matches an op of class `op`, or of one derived from it, applied to operands, with attributes."""

    op: type[Op]
    operands: tuple[Pattern, ...]
    attributes: dict[str, Any]
    any_operands: bool = False


@frozen(eq=False)
class _Exponent:
    """Matches the attribute of a `PowerScalar` as `pattern` would match a constant tensor of that number."""

    pattern: Pattern


def variables(names: str, among: Iterable[type[Op]] | None = None) -> tuple[Any, ...]:
    """Make `Variable`s: ``x, y = variables("x y")``. Typed Any, so that NumPy's stubs let them into ufuncs."""
    classes = None if among is None else frozenset(among)
    return tuple(Variable(name, classes) for name in names.split())


def scalars(names: str) -> tuple[Any, ...]:
    """Make `Scalar`s, variables that match only uniform constants: ``j, k = scalars("j k")``."""
    return tuple(Scalar(name) for name in names.split())


def pattern(op: type[Op], *operands: Any, **attributes: Any) -> Application:
    """Match an op of class `op` or of a class derived from it.

    An attribute given as a `Variable` is captured, given as a plain value it must be equal; others may be anything.
    ``pattern(Concatenate, ...)`` matches any number of operands.
    """
    if operands == (...,):
        return Application(op, (), attributes, any_operands=True)
    return Application(op, tuple(_pattern(x) for x in operands), attributes)


def _ufunc(ufunc: np.ufunc, *operands: Any) -> Pattern:
    op = op_of_ufunc(ufunc)
    if op is None:
        raise TypeError(f"no op means np.{ufunc.__name__}, so a pattern cannot use it")
    return Application(type(op), tuple([_pattern(x) for x in operands]), {})


def _pattern(x: Any) -> Pattern:
    if isinstance(x, Pattern):
        return x
    if isinstance(x, (bool, int, float)):
        return Number(x)
    raise TypeError(f"a pattern is made of patterns and Python numbers, not {type(x).__name__}")


# Constants behind views


_VIEWS = (BroadcastTo, Reshape, Transpose)
UNIFORM: frozenset[type[Op]] = frozenset({Constant, Cast, *_VIEWS})
"""What a value can be whose elements are all one number."""
_uniform: weakref.WeakKeyDictionary[Node, Any] = weakref.WeakKeyDictionary()


def uniform(value: Value) -> Any:
    """Return the NumPy scalar that every element of `value` is, or None.

    Looks through BroadcastTo, Reshape, Transpose and Cast; elements count as the same if their bits are.
    """
    node = value[0]
    kind = type(node.op)
    casts: list[Cast] = []
    while kind is not Constant:
        if kind in _VIEWS:
            pass
        elif kind is Cast:
            casts.append(node.op)  # type: ignore[arg-type]
        else:
            return None
        node = node.inputs[0][0]
        kind = type(node.op)
    array: np.ndarray[Any, Any] = node.op.array  # type: ignore[attr-defined]
    if array.ndim == 0:
        found = array[()]
    elif node in _uniform:
        found = _uniform[node]
    else:
        found = _uniform[node] = _common_element(array)
    if found is not None and casts:
        with np.errstate(all="ignore"):
            for cast in reversed(casts):
                found = cast.evaluate(np.asarray(found))[()]
    return found


def _common_element(array: np.ndarray[Any, Any]) -> Any:
    if array.size == 0:
        return None
    flat = array.reshape(-1)
    # A complex number is two words.
    bits = flat.view(np.uint64).reshape(-1, 2) if array.dtype.itemsize == 16 else flat.view(f"u{array.dtype.itemsize}")
    return flat[0] if bool((bits[0] == bits[-1]).all()) and bool((bits == bits[0]).all()) else None


def is_number(found: Any, number: float) -> bool:
    """Tell whether a NumPy scalar is `number`: the same sign too where it is a float zero."""
    if found is None or found != number:
        return False
    if number != 0 or not is_inexact(found.dtype):
        return True
    return bool(np.signbit(found.real)) == bool(np.signbit(number)) and not np.signbit(found.imag)


# Compilation


def names_in(root: Pattern) -> list[str]:
    """Return the names of the variables of a pattern, in order of first occurrence."""
    found: dict[str, None] = {}
    stack: list[Any] = [root]
    while stack:
        item = stack.pop()
        if isinstance(item, (Variable, Scalar)):
            found.setdefault(item.name)
        elif isinstance(item, Application):
            stack += [*reversed(item.attributes.values()), *reversed(item.operands)]
    return list(found)


class Order:
    """A pattern with its operands in one order. The matcher is compiled when a node comes that it may match."""

    __slots__ = ("_equalities", "_matcher", "pattern")

    def __init__(self, pattern: Application) -> None:
        self.pattern = pattern
        self._matcher: Matcher | None = None
        self._equalities: list[tuple[Path, Path]] | None = None

    def may_match(self, operands: Sequence[type[Op]]) -> bool:
        """Tell whether the operands of a node may be what the pattern wants, by the classes of their ops."""
        wanted = self.pattern.operands
        if self.pattern.any_operands:
            return True
        return len(operands) == len(wanted) and all(map(_may_be, wanted, operands))

    @property
    def equalities(self) -> list[tuple[Path, Path]]:
        """Return the pairs of paths of operands, from the root, whose ends must be the same value."""
        if self._equalities is None:
            self._equalities = _equalities(self.pattern)
        return self._equalities

    @property
    def matcher(self) -> Matcher:
        """Return the function that tells what the variables stand for in a node, None where it does not match."""
        if self._matcher is None:
            self._matcher = _compile_root(self.pattern)
        return self._matcher


def _equalities(root: Application) -> list[tuple[Path, Path]]:
    first: dict[str, Path] = {}
    found: list[tuple[Path, Path]] = []
    stack: list[tuple[Path, Pattern]] = [((), root)]
    while stack:
        path, p = stack.pop()
        if isinstance(p, Application):
            stack += [((*path, k), operand) for k, operand in enumerate(p.operands)]
        elif isinstance(p, Variable):
            known = first.setdefault(p.name, path)
            if known is not path:
                found.append((known, path))
    return found


def orders_for(root: Application, cls: type[Op]) -> list[Order]:
    """Return a pattern in each order of commutative operands in which it may match a node of an op class."""
    if not issubclass(cls, root.op) and not (root.op is Power and cls is PowerScalar):
        return []
    return [Order(variant) for variant in _orders(root) if issubclass(cls, variant.op)]


def _may_be(p: Pattern, cls: type[Op]) -> bool:
    """Tell whether a pattern may match a value made by an op of this class."""
    if isinstance(p, Application):
        return issubclass(cls, p.op)
    among = p.among if isinstance(p, Variable) else UNIFORM
    return among is None or cls in among


def _orders(p: Pattern) -> Iterator[Any]:
    if not isinstance(p, Application):
        yield p
        return
    if p.op is Power and isinstance(p.operands[1], (Variable, Scalar, Number)):
        # Tracing makes a number as exponent an attribute.
        base, exponent = p.operands
        for variant in _orders(base):
            yield Application(PowerScalar, (variant,), {"exponent": _Exponent(exponent)})
    commutes = len(p.operands) == 2 and getattr(p.op, "name", None) in COMMUTATIVE
    for operands in product(*(list(_orders(x)) for x in p.operands)):
        yield Application(p.op, operands, p.attributes, p.any_operands)
        if commutes:
            a, b = operands
            if a is not b:  # x * x has one order
                yield Application(p.op, (b, a), p.attributes, p.any_operands)


def _compile_root(root: Application) -> Matcher:
    matches = _compile_node(root)

    def match(node: Node) -> Environment | None:
        environment: Environment = {}
        return environment if matches(node, environment) else None

    return match


def _compile(p: Pattern) -> _Step:
    if isinstance(p, Variable):
        return _compile_variable(p.name, p.among)
    if isinstance(p, Number):
        return _compile_number(p.number)
    if isinstance(p, Scalar):
        return _compile_scalar(p.name)
    assert isinstance(p, Application)
    return _compile_application(p)


def _compile_variable(name: str, among: frozenset[type[Op]] | None) -> _Step:
    def step(value: Value, environment: Environment) -> bool:
        if among is not None and type(value[0].op) not in among:
            return False
        known = environment.get(name)
        if known is None:
            environment[name] = value
            return True
        return bool(known[0] is value[0] and known[1] == value[1])

    return step


def _compile_number(number: float) -> _Step:
    def step(value: Value, environment: Environment) -> bool:
        return type(value[0].op) in UNIFORM and is_number(uniform(value), number)

    return step


def _compile_scalar(name: str) -> _Step:
    def step(value: Value, environment: Environment) -> bool:
        found = uniform(value)
        if found is None:
            return False
        known = environment.setdefault(name, found)
        return known is found or (known.dtype == found.dtype and known.tobytes() == found.tobytes())

    return step


def _compile_application(p: Application) -> _Step:
    cls = p.op
    matches = _compile_node(p)

    def step(value: Value, environment: Environment) -> bool:
        node = value[0]
        return isinstance(node.op, cls) and matches(node, environment)

    return step


def _compile_node(p: Application) -> Callable[[Node, Environment], bool]:
    """Compile the test of a node whose class is known to fit."""
    # Sub-patterns that can fail fast go first; variables bind wherever they stand.
    order = sorted(range(len(p.operands)), key=lambda k: isinstance(p.operands[k], Variable))
    parts = [(k, _compile(p.operands[k])) for k in order]
    attributes = [_compile_attribute(name, wanted) for name, wanted in p.attributes.items()]
    arity = len(p.operands)

    def matches(node: Node, environment: Environment) -> bool:
        inputs = node.inputs
        if len(inputs) != arity and not p.any_operands:
            return False
        for k, part in parts:
            if not part(inputs[k], environment):
                return False
        for attribute in attributes:  # noqa: SIM110  # a generator costs more than the loop
            if not attribute(node, environment):
                return False
        return True

    return matches


def _compile_attribute(name: str, wanted: Any) -> Callable[[Node, Environment], bool]:
    if isinstance(wanted, _Exponent):
        step = _compile(wanted.pattern)

        def match(node: Node, environment: Environment) -> bool:
            (result,) = node.types
            with emitting(node.role, node.location):
                constant = full(result.shape, getattr(node.op, name), result.dtype)
            return step(constant.value, environment)

        return match

    if isinstance(wanted, Variable):
        captured = wanted.name

        def capture(node: Node, environment: Environment) -> bool:
            found = getattr(node.op, name)
            return bool(environment.setdefault(captured, found) == found)

        return capture

    def compare(node: Node, environment: Environment) -> bool:
        return bool(getattr(node.op, name) == wanted)

    return compare
