"""Integer polynomials in named sizes: sums, products, exact division and greatest common divisors.

Here lives the arithmetic that `graphad.ir.dims` needs to bring a size into canonical form, and nothing that
knows about assumptions, users or graphs. A monomial is the sorted tuple of its factors (``a*a*b`` is
``("a", "a", "b")``), and a polynomial maps monomials to non-zero integer coefficients. Polynomials are never
changed once they are made.

Work is bounded, because sizes also come from files: what grows too large is a `SymbolicSizeError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import product

from graphad.ir.errors import SymbolicSizeError

Monomial = tuple[str, ...]
Polynomial = dict[Monomial, int]

ONE: Polynomial = {(): 1}

MAX_TERMS = 256
MAX_DEGREE = 64
MAX_SHIFTED_TERMS = 4096
MAX_DIVISOR_WORK = 2_000


def constant(value: int) -> Polynomial:
    """The polynomial that is `value` everywhere."""
    return {(): value} if value else {}


def is_constant(p: Polynomial) -> bool:
    """Say whether no name occurs in `p`."""
    return not p or (len(p) == 1 and () in p)


def leading_first(monomial: Monomial) -> tuple[int, Monomial]:
    """Sort key of the graded lexicographic order: highest degree first, then earlier names first."""
    return -len(monomial), monomial


def leading(p: Polynomial) -> Monomial:
    """The leading monomial of a non-zero polynomial."""
    return min(p, key=leading_first)


def names_of(p: Polynomial) -> set[str]:
    """The names that occur in `p`."""
    return {name for monomial in p for name in monomial}


def add(p: Polynomial, q: Polynomial, factor: int = 1) -> Polynomial:
    """``p + factor*q``."""
    total = dict(p)
    for monomial, coefficient in q.items():
        value = total.get(monomial, 0) + factor * coefficient
        if value:
            total[monomial] = value
        else:
            total.pop(monomial, None)
    return _bounded(total)


def multiply(p: Polynomial, q: Polynomial) -> Polynomial:
    """``p * q``."""
    if p == ONE:
        return q
    if q == ONE:
        return p
    total: Polynomial = {}
    for left, a in p.items():
        for right, b in q.items():
            if len(left) + len(right) > MAX_DEGREE:
                raise _too_large()
            monomial = tuple(sorted(left + right)) if left and right else left or right
            total[monomial] = total.get(monomial, 0) + a * b
    return _bounded({monomial: value for monomial, value in total.items() if value})


def divide(p: Polynomial, q: Polynomial) -> Polynomial | None:
    """The polynomial ``p / q`` where `q` (not zero) divides `p` without remainder, else None."""
    lead = leading(q)
    quotient: Polynomial = {}
    while p:
        top = leading(p)
        rest = _without(top, lead)
        if rest is None or p[top] % q[lead]:
            return None
        quotient[rest] = p[top] // q[lead]
        p = add(p, multiply({rest: quotient[rest]}, q), -1)
    return quotient


def content(p: Polynomial) -> int:
    """The greatest integer that divides every coefficient."""
    return math.gcd(*p.values())


def common_divisor(p: Polynomial, q: Polynomial) -> Polynomial:
    """The greatest common divisor of `p` and `q`, with a positive leading coefficient.

    Content and primitive part one name at a time, with primitive pseudo-remainder sequences
    (Knuth, The Art of Computer Programming, vol. 2, section 4.6.1).
    """
    return _common_divisor(p, q, _Budget(MAX_DIVISOR_WORK))


def proves_at_least(p: Polynomial, bound: int, lowest: int) -> bool:
    """Say whether ``p >= bound`` is plain for all names that are `lowest` or more.

    With every name written as ``lowest + t``, ``t >= 0``, non-negative coefficients prove it.
    """
    shifted: Polynomial = {(): -bound}
    count = 0
    for monomial, coefficient in p.items():
        choices = [((), lowest), ((0,), 1)] if lowest else [((0,), 1)]
        count += len(choices) ** len(monomial)
        if count > MAX_SHIFTED_TERMS:
            return False
        for picks in product(choices, repeat=len(monomial)):
            kept = tuple(name for name, (mark, _) in zip(monomial, picks, strict=True) if mark)
            value = coefficient * math.prod(weight for _, weight in picks)
            shifted[kept] = shifted.get(kept, 0) + value
    return all(value >= 0 for value in shifted.values())


def never_divisible(p: Polynomial, divisor: int) -> bool:
    """Say whether plainly no integer names make `p` a multiple of `divisor` (0: make `p` zero)."""
    variable_part = math.gcd(divisor, *(value for monomial, value in p.items() if monomial))
    if variable_part == 0:
        return p.get((), 0) != 0
    return p.get((), 0) % variable_part != 0


class _Budget:
    """Counts the work of one greatest common divisor, so that a hostile size cannot hang the reader."""

    def __init__(self, work: int) -> None:
        self.work = work

    def spend(self, work: int) -> None:
        self.work -= work
        if self.work < 0:
            raise _too_large()


def _common_divisor(p: Polynomial, q: Polynomial, budget: _Budget) -> Polynomial:
    budget.spend(len(p) + len(q) + 1)
    if not p or not q:
        return _positive(p or q)
    if is_constant(p) or is_constant(q):
        return constant(math.gcd(content(p), content(q)))
    p_names, q_names = names_of(p), names_of(q)
    if p_names != q_names:
        # A common divisor has only common names, so it divides every coefficient with respect to the others.
        shared = p_names & q_names
        parts = [*_coefficients(p, p_names - shared).values(), *_coefficients(q, q_names - shared).values()]
        return _common_divisor_of_all(parts, budget)
    # One name fewer at each level: this bounds the recursion.
    if len(p_names) > MAX_DEGREE:
        raise _too_large()
    name = min(p_names)
    p_content = _common_divisor_of_all(_powers(p, name).values(), budget)
    q_content = _common_divisor_of_all(_powers(q, name).values(), budget)
    high, low = _exactly(p, p_content), _exactly(q, q_content)
    if max(_powers(high, name)) < max(_powers(low, name)):
        high, low = low, high
    while low and max(_powers(low, name)) > 0:
        remainder = _pseudo_remainder(high, low, name, budget)
        part = _common_divisor_of_all(_powers(remainder, name).values(), budget)
        high, low = low, _exactly(remainder, part) if remainder else remainder
    primitive = ONE if low else high
    return _positive(multiply(primitive, _common_divisor(p_content, q_content, budget)))


def _common_divisor_of_all(parts: Iterable[Polynomial], budget: _Budget) -> Polynomial:
    divisor: Polynomial = {}
    for part in parts:
        divisor = _common_divisor(divisor, part, budget)
        if divisor == ONE:
            break
    return divisor


def _pseudo_remainder(p: Polynomial, q: Polynomial, name: str, budget: _Budget) -> Polynomial:
    """A multiple of `p` less a multiple of `q`, of lower degree in `name` than `q`."""
    divisor = _powers(q, name)
    degree = max(divisor)
    while p:
        powers = _powers(p, name)
        top = max(powers)
        if top < degree:
            break
        budget.spend(len(p) * len(divisor[degree]) + len(q) * len(powers[top]))
        shift: Polynomial = {(name,) * (top - degree): 1}
        p = add(multiply(p, divisor[degree]), multiply(multiply(q, powers[top]), shift), -1)
    return p


def _powers(p: Polynomial, name: str) -> dict[int, Polynomial]:
    """`p` as a polynomial in `name` alone: degree -> coefficient."""
    return {len(power): rest for power, rest in _coefficients(p, {name}).items()}


def _coefficients(p: Polynomial, names: set[str]) -> dict[Monomial, Polynomial]:
    """`p` as a polynomial in `names` alone: monomial in them -> coefficient in the other names."""
    found: dict[Monomial, Polynomial] = {}
    for monomial, value in p.items():
        inside = tuple(name for name in monomial if name in names)
        outside = tuple(name for name in monomial if name not in names)
        found.setdefault(inside, {})[outside] = value
    return found


def _exactly(p: Polynomial, q: Polynomial) -> Polynomial:
    quotient = divide(p, q)
    assert quotient is not None, "a content divides its polynomial"
    return quotient


def _positive(p: Polynomial) -> Polynomial:
    if p and p[leading(p)] < 0:
        return {monomial: -value for monomial, value in p.items()}
    return p


def _without(monomial: Monomial, factor: Monomial) -> Monomial | None:
    """``monomial / factor``, or None where it does not divide."""
    rest = list(monomial)
    for name in factor:
        if name not in rest:
            return None
        rest.remove(name)
    return tuple(rest)


def _bounded(p: Polynomial) -> Polynomial:
    if len(p) > MAX_TERMS:
        raise _too_large()
    return p


def _too_large() -> SymbolicSizeError:
    return SymbolicSizeError(
        f"a symbolic size grew beyond {MAX_TERMS} terms or degree {MAX_DEGREE}: "
        "give the combined size a name of its own with graphad.dim(...)"
    )
