"""Symbolic sizes: exact integer expressions of named sizes, and the assumptions made to decide about them.

A `Dim` is an int or a `Size`. A `Size` is a fraction of two integer polynomials in named sizes, reduced
to lowest terms, so equal expressions are structurally equal: ``(n//2)*2 == n`` and ``(n*n + n)//(n + 1)
== n``. What is constant is a plain int. Type rules use arithmetic and the deciding functions (`equal`,
`is_one`, `at_least`, `divides`).

A named size is never negative. Where a decision needs more than that, it counts as at least 2 and equal
only to itself, and what was decided is noted as an `Assumption` by every open `recording()`, for the
binding to check. The noted relation is the weakest that makes the decision right: ``n == 1`` is False,
noting ``n != 1``.

Sizes and their assumptions may enter here; shapes, types and graphs may not.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import TYPE_CHECKING, Literal, NoReturn, TypeAlias, cast

from graphad.ir.errors import SymbolicSizeError
from graphad.ir.frozen import field, frozen
from graphad.ir.location import Location, is_internal, user_location
from graphad.loading import LateModule

if TYPE_CHECKING:
    import graphad.ir.polynomials as poly
    from graphad.ir import size_text
    from graphad.ir.polynomials import Monomial, Polynomial
else:
    # Most programs have no symbolic sizes.
    poly = LateModule("graphad.ir.polynomials")
    size_text = LateModule("graphad.ir.size_text")

Relation = Literal["!=", ">=", "divides"]

locate: Callable[[], Location | None] = user_location


class Size:
    """An immutable, hashable integer expression of named sizes, made by `dim` and arithmetic."""

    __slots__ = ("_denominator", "_hash", "_key", "_numerator")
    _numerator: Polynomial
    _denominator: Polynomial
    _key: tuple[tuple[tuple[Monomial, int], ...], ...]
    _hash: int

    # NumPy scalars and arrays leave arithmetic with a size to the methods below.
    __array_ufunc__ = None

    def __init__(self, *_: object) -> None:
        raise TypeError("make a named size with graphad.dim(name)")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a size cannot be changed")

    def __reduce__(self) -> tuple[Callable[[str], Dim], tuple[str]]:
        return parse_dim, (str(self),)

    def __add__(self, other: Dim) -> Dim:
        return _sum(self, other, 1) if _is_dim(other) else NotImplemented

    def __sub__(self, other: Dim) -> Dim:
        return _sum(self, other, -1) if _is_dim(other) else NotImplemented

    def __rsub__(self, other: Dim) -> Dim:
        return _sum(other, self, -1) if _is_dim(other) else NotImplemented

    def __mul__(self, other: Dim) -> Dim:
        return _product(self, other) if _is_dim(other) else NotImplemented

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return _product(self, -1)

    def __pos__(self) -> Dim:
        return self

    def __pow__(self, exponent: int) -> Dim:
        if not isinstance(exponent, int) or exponent < 0:
            return NotImplemented
        result: Dim = 1
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Dim) -> Dim:
        return _exact_quotient(self, other) if _is_dim(other) else NotImplemented

    def __rfloordiv__(self, other: Dim) -> Dim:
        return _exact_quotient(other, self) if _is_dim(other) else NotImplemented

    def __mod__(self, other: Dim) -> int:
        return _remainder(self, other) if _is_dim(other) else NotImplemented

    def __rmod__(self, other: Dim) -> int:
        return _remainder(other, self) if _is_dim(other) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Size) and self._hash == other._hash and self._key == other._key:
            return True
        if not _is_dim(other):
            return NotImplemented
        # Only a comparison the user wrote decides something; graphad's own (and those of tuples, dicts and
        # dataclasses on its behalf) ask for structure.
        if _recorders.open and not _is_structural(sys._getframe(1)):
            return equal(self, cast("Dim", other))
        return False

    def __hash__(self) -> int:
        return self._hash

    def __lt__(self, other: Dim) -> bool:
        return not _ordered(self, other, "<") if _is_dim(other) else NotImplemented

    def __ge__(self, other: Dim) -> bool:
        return _ordered(self, other, ">=") if _is_dim(other) else NotImplemented

    def __gt__(self, other: Dim) -> bool:
        return not _ordered(other, self, "<", swapped=">") if _is_dim(other) else NotImplemented

    def __le__(self, other: Dim) -> bool:
        return _ordered(other, self, ">=", swapped="<=") if _is_dim(other) else NotImplemented

    def __bool__(self) -> bool:
        return not equal(self, 0)

    def __index__(self) -> int:
        raise _not_a_number(self)

    __int__ = __index__

    def __float__(self) -> float:
        raise _not_a_number(self)

    def __str__(self) -> str:
        return size_text.fraction_text(self._numerator, self._denominator)

    __repr__ = __str__


Dim: TypeAlias = int | Size


@frozen
class Assumption:
    """``left relation right``, which a decision took for granted at the user's line `location`."""

    relation: Relation
    left: Dim
    right: Dim
    location: Location | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.left} {self.relation} {self.right}"

    def holds(self, binding: Mapping[str, int]) -> bool:
        """Say whether the relation is true when names are replaced by the sizes in `binding`.

        False also where a quotient in it is not exact. A name that `binding` lacks is a `SymbolicSizeError`.
        """
        missing = names((self.left, self.right)) - binding.keys()
        if missing:
            raise SymbolicSizeError(
                f"size `{min(missing)}` of the assumption `{self}` is not bound", location=self.location
            )
        try:
            left, right = static(substitute(self.left, binding)), static(substitute(self.right, binding))
        except SymbolicSizeError:
            return False
        if self.relation == "!=":
            return left != right
        if self.relation == ">=":
            return left >= right
        return left != 0 and right % left == 0


def dim(name: str) -> Size:
    """Name a size: a non-negative integer to be bound later. `name` is an identifier, else ValueError."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(f"the name of a size must be an identifier, not {name!r}")
    return cast("Size", _fraction({(name,): 1}, poly.ONE))


# Decisions


def equal(a: Dim, b: Dim) -> bool:
    """Decide ``a == b``: True for the same expression, else False, noting ``a != b`` unless it is proved."""
    if not isinstance(a, Size) and not isinstance(b, Size):
        return a == b
    numerator, _ = _difference(a, b)
    if not numerator:
        return True
    negated = {monomial: -value for monomial, value in numerator.items()}
    if not (
        poly.never_divisible(numerator, 0)
        or poly.proves_at_least(numerator, 1, 0)
        or poly.proves_at_least(negated, 1, 0)
    ):
        _note("!=", a, b)
    return False


def is_one(a: Dim) -> bool:
    """Decide ``a == 1``, as broadcasting asks."""
    return equal(a, 1)


def at_least(a: Dim, b: Dim) -> bool:
    """Decide ``a >= b``: as proved, or as for names of at least 2, or else True; notes what is not proved."""
    if not isinstance(a, Size) and not isinstance(b, Size):
        return a >= b
    decided = _decide_order(a, b)
    if decided is None:
        _note(">=", a, b)
    return decided is not False


def divides(d: Dim, a: Dim) -> bool:
    """Decide ``a % d == 0``: as proved, or else assume it and note it. Zero divides nothing."""
    if not isinstance(a, Size) and not isinstance(d, Size):
        return d != 0 and a % d == 0
    if not isinstance(d, Size) and d == 0:
        return False
    numerator, denominator = _lowest_terms(*_quotient_parts(a, d))
    if denominator == poly.ONE:
        return True
    if _never_integer(numerator, denominator):
        return False
    _note("divides", d, a)
    return True


def product(dims: Iterable[Dim]) -> Dim:
    """``dims[0] * dims[1] * ...``; 1 for none."""
    result: Dim = 1
    for size in dims:
        result = result * size
    return result


def static(d: Dim) -> int:
    """Return the int that `d` is; `SymbolicSizeError` where it is symbolic."""
    if isinstance(d, Size):
        raise _not_a_number(d)
    return d


def is_static(shape: Iterable[Dim]) -> bool:
    """Say whether every size is an int."""
    return not any(isinstance(size, Size) for size in shape)


def names(dims: Iterable[Dim]) -> frozenset[str]:
    """The names that occur in `dims`."""
    found: set[str] = set()
    for size in dims:
        if isinstance(size, Size):
            found |= poly.names_of(size._numerator) | poly.names_of(size._denominator)
    return frozenset(found)


# Recording


class _Recorders(threading.local):
    """The open recorders of this thread, each a list and the set of what is already in it."""

    def __init__(self) -> None:
        self.open: list[tuple[list[Assumption], set[Assumption]]] = []


_recorders = _Recorders()


@contextmanager
def recording() -> Iterator[list[Assumption]]:
    """Collect the assumptions made inside, in order and without repeats; an outer block gets them too."""
    found: list[Assumption] = []
    _recorders.open.append((found, set()))
    try:
        yield found
    finally:
        _recorders.open.pop()


def _note(relation: Relation, left: Dim, right: Dim) -> None:
    if not _recorders.open:
        return
    assumption = Assumption(relation, left, right, locate())
    for found, known in _recorders.open:
        if assumption not in known:
            known.add(assumption)
            found.append(assumption)


# Binding


def substitute(d: Dim, binding: Mapping[str, Dim]) -> Dim:
    """Replace names by the sizes in `binding`; names it lacks stay. An inexact quotient is an error."""
    if not isinstance(d, Size):
        return d
    numerator = _evaluate(d._numerator, binding)
    denominator = _evaluate(d._denominator, binding)
    if not isinstance(denominator, Size) and denominator == 0:
        raise SymbolicSizeError(f"size `{d}` divides by zero where {_binding_text(d, binding)}")
    top, bottom = _lowest_terms(*_quotient_parts(numerator, denominator))
    if _never_integer(top, bottom):
        raise SymbolicSizeError(f"size `{d}` is not a whole number where {_binding_text(d, binding)}")
    return _fraction(top, bottom)


def solve(pattern: Sequence[Dim], actual: Sequence[int], binding: dict[str, int]) -> None:
    """Extend `binding` so that the symbolic shape `pattern` becomes the shape `actual`.

    A size that is ``(a*n + b)/c`` with one unknown name gives that name. Sizes whose names stay unknown are
    left to the caller, to check with `substitute` once they are known. A conflict is a `SymbolicSizeError`,
    and then `binding` is unchanged.
    """
    if len(pattern) != len(actual):
        raise SymbolicSizeError(f"a shape of rank {len(actual)} was given for {_shape_text(pattern)}")
    known = dict(binding)
    pending = list(zip(pattern, actual, strict=True))
    progress = True
    while progress:
        progress = False
        rest = []
        for size, number in pending:
            bound = substitute(size, known)
            if not isinstance(bound, Size):
                if bound != number:
                    raise _conflict(size, number, f"is {bound}{_where(size, known)}")
                continue
            solution = _solve_affine(bound, number)
            if solution is None:
                rest.append((size, number))
                continue
            name, value = solution
            if value is None or value < 0:
                raise _conflict(size, number, f"is never {number}{_where(size, known)}")
            known[name] = value
            progress = True
        pending = rest
    binding.update(known)


def _solve_affine(size: Size, number: int) -> tuple[str, int | None] | None:
    """The one name of an affine `size` and the value that makes it `number` (None: no integer does)."""
    if not poly.is_constant(size._denominator) or set(map(len, size._numerator)) - {0, 1}:
        return None
    free = poly.names_of(size._numerator)
    if len(free) != 1:
        return None
    (name,) = free
    slope = size._numerator[(name,)]
    rise = number * size._denominator[()] - size._numerator.get((), 0)
    return name, (rise // slope if rise % slope == 0 else None)


def _conflict(size: Dim, number: int, reason: str) -> SymbolicSizeError:
    return SymbolicSizeError(f"a size of {number} was given where `{size}` is expected, which {reason}")


def _where(size: Dim, binding: Mapping[str, Dim]) -> str:
    text = _binding_text(size, binding)
    return f" (with {text})" if text else ""


def _binding_text(size: Dim, binding: Mapping[str, Dim]) -> str:
    return ", ".join(f"{name}={binding[name]}" for name in sorted(names((size,))) if name in binding)


def _shape_text(shape: Sequence[Dim]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _evaluate(p: Polynomial, binding: Mapping[str, Dim]) -> Dim:
    total: Dim = 0
    for monomial, coefficient in p.items():
        total = total + coefficient * product(binding[name] if name in binding else dim(name) for name in monomial)
    return total


# Text


def parse_dim(text: str) -> Dim:
    """Read a size as `str` prints it: ``2*batch+1``, ``(batch+1)/2``, ``7``. ValueError on any other text."""
    try:
        return _fraction(*_lowest_terms(*size_text.read_fraction(text)))
    except SymbolicSizeError as error:
        raise ValueError(f"{text[:80]!r} is not a size: {error.message}") from None


def parse_assumption(text: str) -> Assumption:
    """Read an assumption as `str` prints it: ``batch >= 10``, ``2 divides batch``. ValueError otherwise."""
    parts = text.split(" ")
    if len(parts) != 3 or parts[1] not in ("!=", ">=", "divides"):
        raise ValueError(f"{text[:80]!r} is not an assumption on sizes")
    return Assumption(cast("Relation", parts[1]), parse_dim(parts[0]), parse_dim(parts[2]))


# Canonical form


def _fraction(numerator: Polynomial, denominator: Polynomial) -> Dim:
    """The Dim of a fraction in lowest terms; an int where it is constant."""
    if _never_integer(numerator, denominator):
        raise SymbolicSizeError(
            f"{size_text.fraction_text(numerator, denominator)} is never a whole number, so it cannot be a size",
            location=locate(),
        )
    if denominator == poly.ONE and poly.is_constant(numerator):
        return numerator.get((), 0)
    size = object.__new__(Size)
    key = tuple(
        tuple((monomial, p[monomial]) for monomial in sorted(p, key=poly.leading_first))
        for p in (numerator, denominator)
    )
    object.__setattr__(size, "_numerator", numerator)
    object.__setattr__(size, "_denominator", denominator)
    object.__setattr__(size, "_key", key)
    object.__setattr__(size, "_hash", hash(key))
    return size


def _lowest_terms(numerator: Polynomial, denominator: Polynomial) -> tuple[Polynomial, Polynomial]:
    """Cancel the greatest common divisor and make the leading coefficient of the denominator positive."""
    if denominator == poly.ONE:
        return numerator, denominator
    common = poly.common_divisor(numerator, denominator)
    if denominator[poly.leading(denominator)] < 0:
        common = poly.multiply(poly.constant(-1), common)
    top, bottom = poly.divide(numerator, common), poly.divide(denominator, common)
    assert top is not None and bottom is not None, "a common divisor divides"
    return top, bottom


def _never_integer(numerator: Polynomial, denominator: Polynomial) -> bool:
    return (
        poly.is_constant(denominator)
        and denominator != poly.ONE
        and poly.never_divisible(numerator, poly.content(denominator))
    )


def _parts(d: Dim) -> tuple[Polynomial, Polynomial]:
    return (d._numerator, d._denominator) if isinstance(d, Size) else (poly.constant(int(d)), poly.ONE)


def _quotient_parts(a: Dim, b: Dim) -> tuple[Polynomial, Polynomial]:
    (p, q), (r, s) = _parts(a), _parts(b)
    return poly.multiply(p, s), poly.multiply(q, r)


def _difference(a: Dim, b: Dim) -> tuple[Polynomial, Polynomial]:
    (p, q), (r, s) = _parts(a), _parts(b)
    return _lowest_terms(poly.add(poly.multiply(p, s), poly.multiply(r, q), -1), poly.multiply(q, s))


def _sum(a: Dim, b: Dim, factor: int) -> Dim:
    (p, q), (r, s) = _parts(a), _parts(b)
    return _fraction(*_lowest_terms(poly.add(poly.multiply(p, s), poly.multiply(r, q), factor), poly.multiply(q, s)))


def _product(a: Dim, b: Dim) -> Dim:
    (p, q), (r, s) = _parts(a), _parts(b)
    return _fraction(*_lowest_terms(poly.multiply(p, r), poly.multiply(q, s)))


def _exact_quotient(a: Dim, d: Dim) -> Dim:
    """``a / d``, noting ``d divides a`` where polynomial division leaves a remainder."""
    if not isinstance(d, Size) and d == 0:
        raise ZeroDivisionError("division of a size by zero")
    numerator, denominator = _lowest_terms(*_quotient_parts(a, d))
    quotient = _fraction(numerator, denominator)
    if denominator != poly.ONE:
        _note("divides", d, a)
    return quotient


def _remainder(a: Dim, d: Dim) -> int:
    """0 where `d` is known to divide `a`."""
    if not isinstance(d, Size) and d == 0:
        raise ZeroDivisionError("remainder of a size by zero")
    _, denominator = _lowest_terms(*_quotient_parts(a, d))
    if denominator != poly.ONE:
        raise SymbolicSizeError(
            f"the remainder of size `{a}` by `{d}` is not known while tracing: {_cure((a, d))}",
            location=locate(),
        )
    return 0


def _decide_order(a: Dim, b: Dim) -> bool | None:
    """Decide ``a >= b`` for all names, or else for names of at least 2 (noted); None where neither does."""
    numerator, denominator = _difference(a, b)
    for lowest in (0, 2):
        for sign in (1, -1):
            top, bottom = poly.multiply(poly.constant(sign), numerator), poly.multiply(poly.constant(sign), denominator)
            if poly.proves_at_least(bottom, 1, lowest):
                if poly.proves_at_least(top, 0, lowest):
                    if lowest:
                        _note(">=", a, b)
                    return True
                if poly.proves_at_least(poly.multiply(poly.constant(-1), top), 1, lowest):
                    if lowest:
                        _note(">=", b, a + 1)
                    return False
    return None


def _ordered(a: Dim, b: Dim, relation: str, swapped: str = "") -> bool:
    """Decide ``a >= b`` for a comparison written as `relation`, or as `swapped` with sides exchanged."""
    decided = _decide_order(a, b)
    if decided is None:
        written = f"{b} {swapped} {a}" if swapped else f"{a} {relation} {b}"
        raise SymbolicSizeError(
            f"`{written}` depends on sizes that are not known while tracing: {_cure((a, b))}, "
            "or write the choice into the graph with np.where or np.maximum",
            location=locate(),
        )
    return decided


def _is_dim(value: object) -> bool:
    return type(value) is int or isinstance(value, (Size, Integral))


def _is_structural(frame: object) -> bool:
    code = frame.f_code  # type: ignore[attr-defined]
    return is_internal(code.co_filename) or (code.co_filename == "<string>" and code.co_name == "__eq__")


def _cure(dims: Iterable[Dim]) -> str:
    call = ", ".join(f"{name}=..." for name in sorted(names(dims)))
    return f"bind it first with graph.bind({call}), or give an example with a fixed size there"


def _not_a_number(size: Size) -> SymbolicSizeError:
    return SymbolicSizeError(
        f"size `{size}` is symbolic: its value is not known while tracing; {_cure((size,))}",
        location=locate(),
    )
