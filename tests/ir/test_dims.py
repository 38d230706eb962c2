"""Symbolic sizes: canonical form, text, decisions and the assumptions they note, binding."""

from __future__ import annotations

import contextlib
import copy
import pickle
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as cartesian

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import graphad.ir.dims as dims
from graphad.ir.dims import (
    Assumption,
    Dim,
    Size,
    at_least,
    dim,
    divides,
    equal,
    is_one,
    is_static,
    names,
    parse_assumption,
    parse_dim,
    product,
    recording,
    solve,
    static,
    substitute,
)
from graphad.ir.errors import SymbolicSizeError

a, b, c, n = dim("a"), dim("b"), dim("c"), dim("n")
NAMES = ("a", "b", "c")


def same(x: Dim, y: Dim) -> bool:
    """Structural equality (no recorder is open, so `==` decides nothing)."""
    return type(x) is type(y) and x == y


# Random expressions: trees of (operator, left, right) over names and small ints.

leaves = st.sampled_from(NAMES) | st.integers(-4, 4)
trees = st.recursive(leaves, lambda t: st.tuples(st.sampled_from("+-*"), t, t), max_leaves=8)
bindings = st.fixed_dictionaries({name: st.integers(0, 9) for name in NAMES})


def build(tree, name=dim):
    if isinstance(tree, str):
        return name(tree)
    if isinstance(tree, int):
        return tree
    operator, left, right = tree
    x, y = build(left, name), build(right, name)
    return x + y if operator == "+" else x - y if operator == "-" else x * y


# Canonical form


@given(trees, bindings)
def test_evaluation_agrees_with_integer_arithmetic(tree, binding):
    assert static(substitute(build(tree), binding)) == build(tree, binding.__getitem__)


@given(trees, trees)
def test_structurally_equal_iff_equal_polynomials(left, right):
    x, y = build(left), build(right)
    # Degrees stay below 9: polynomials that agree on a 9**3 grid are equal.
    grid = [dict(zip(NAMES, point, strict=True)) for point in cartesian(range(9), repeat=3)]
    agree = all(build(left, p.__getitem__) == build(right, p.__getitem__) for p in grid)
    assert (same(x, y)) == agree
    if agree:
        assert hash(x) == hash(y) and str(x) == str(y)


@given(trees)
def test_one_polynomial_written_two_ways_is_one_size(tree):
    x = build(tree)
    assert same((x + a) * (x - a), x * x - a * a)
    assert same(x - x, 0)


@given(trees, trees)
def test_exact_division_undoes_multiplication(left, right):
    x, y = build(left), build(right)
    assume(y != 0)
    with recording() as found:
        assert str((x * y) // y) == str(x)
        assert (x * y) % y == 0
    assert found == []


@given(trees, trees, trees, bindings)
def test_fractions_are_a_field(left, middle, right, binding):
    x, y, z = build(left), build(middle), build(right)
    assume(isinstance(x, Size) or isinstance(y, Size))
    assume(not same(y, 0))
    try:
        quotient = x // y
        shifted = quotient + z
    except SymbolicSizeError:
        return  # provably no whole number
    assert same(quotient * y, x)
    assert same(shifted * y, x + z * y)
    value = build(middle, binding.__getitem__)
    assume(value != 0)
    exact = Fraction(build(left, binding.__getitem__), value)
    if exact.denominator == 1:
        assert substitute(quotient, binding) == exact
        assert substitute(shifted, binding) == exact + build(right, binding.__getitem__)


def test_exact_quotients():
    assert same((a * b) // a, b)
    assert same((2 * n) // 2, n)
    assert same((a * b + a * c) // a, b + c)
    assert same((n * n + n) // (n + 1), n)
    assert same((a * a - b * b) // (a + b), a - b)
    with recording() as found:
        half = n // 2
        assert same(half * 2, n)
        assert same(half + half, n)
        assert same((half * a) // a, half)
    assert str(found[0]) == "2 divides n"
    assert same(6 // (n // n), 6)
    assert isinstance(6 // n, Size)
    assert same(6 // n * n, 6)


def test_constants_collapse_to_int():
    for value in (n - n, 0 * n, n // n, (2 * n + 2) // (n + 1), (n + 1) - n, n**0, (-n + n) % 3):
        assert type(value) is int


def test_provably_inexact_quotient_is_an_error():
    for quotient in (lambda: (2 * n + 1) // 2, lambda: (4 * n + 2) // 4, lambda: n // (2 * n)):
        with pytest.raises(SymbolicSizeError, match="whole number"):
            quotient()
    with pytest.raises(ZeroDivisionError):
        n // 0
    with pytest.raises(ZeroDivisionError):
        n % 0


def test_remainder_is_zero_or_an_error():
    assert (2 * a * b) % a == 0
    assert 0 % n == 0
    with pytest.raises(SymbolicSizeError, match=r"bind it first with graph.bind\(n=\.\.\.\)"):
        n % 2
    with pytest.raises(SymbolicSizeError):
        7 % n


def test_power():
    assert same(n**3, n * n * n)


def test_names_are_identifiers():
    for bad in ("", "1a", "a b", "a-b", "a\n"):
        with pytest.raises(ValueError):
            dim(bad)
    with pytest.raises(TypeError):
        Size()


def test_immutable_and_copied_by_value():
    with pytest.raises(AttributeError):
        n._hash = 1
    for size in (n, (n + 1) // 2):
        assert same(pickle.loads(pickle.dumps(size)), size)
        assert same(copy.deepcopy(size), size)


def test_numpy_integers_are_integers():
    assert same(np.int64(3) * n, 3 * n)
    assert same(n + np.int32(1), n + 1)
    with pytest.raises(TypeError):
        n + 1.5
    with pytest.raises(TypeError):
        np.ones(2) * n


def test_hostile_expressions_are_bounded():
    wide = sum((dim(f"x{i}") for i in range(60)), start=0)
    with pytest.raises(SymbolicSizeError, match="grew beyond"):
        wide**3
    with pytest.raises(SymbolicSizeError, match="grew beyond"):
        n**65
    p = (a + 2 * b + 3 * c + 5 * n + 1) ** 4 + a
    q = (3 * a + b - c + 7 * n + 2) ** 4 + b
    try:
        ratio = p // q
    except SymbolicSizeError as error:
        assert "grew beyond" in str(error)
    else:
        assert same(ratio * q, p)


# Text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (n, "n"),
        (2 * n + 1, "2*n+1"),
        (a * b, "a*b"),
        (1 - n, "-n+1"),
        (n * n - a, "n*n-a"),
        (n // 2, "n/2"),
        ((n + 1) // 2, "(n+1)/2"),
        (-n // 2, "-n/2"),
        (6 // (2 * n), "3/n"),
        (a // (b * 2), "a/(2*b)"),
        (a // (b - c), "a/(b-c)"),
        (n // 2 + 1, "(n+2)/2"),
        (7, "7"),
        (-7, "-7"),
    ],
)
def test_printed_form(size, text):
    assert str(size) == text
    assert same(parse_dim(text), size)


@given(trees, trees)
def test_print_and_parse_are_inverse(left, right):
    x, y = build(left), build(right)
    sizes = [x, y]
    if not same(y, 0):
        with contextlib.suppress(SymbolicSizeError):
            sizes.append(x // (y * n))
    for size in sizes:
        text = str(size)
        assert " " not in text
        assert same(parse_dim(text), size)
        assert str(parse_dim(text)) == text


def test_parse_reads_equivalent_text():
    assert same(parse_dim("(n+1)*(n-1)"), n * n - 1)
    assert same(parse_dim("(4*n)/(2)"), 2 * n)


@pytest.mark.parametrize(
    "text",
    ["", "n+", "*n", "n n", "n +1", "n//2", "1n", "n/0", "n/(m-m)", "1/2", "n+m/2", "n/2/3", "n/2+1", "(n",
     "n)", "()", "n.real", "n+-m", "--n", "2**n", "é²", "٣", "9" * 41, "(" * 33 + "n" + ")" * 33, "n*" * 70,
     "n+" * 9000 + "n",
     "(" * 8000],
)  # fmt: skip
def test_bad_text_is_a_value_error(text):
    with pytest.raises(ValueError):
        parse_dim(text)


@given(st.text(alphabet="ab12+-*/() _", max_size=30))
def test_any_text_is_a_size_or_a_value_error(text):
    try:
        size = parse_dim(text)
    except ValueError:
        return
    assert same(parse_dim(str(size)), size)


# Decisions


@given(trees, trees, st.booleans(), bindings)
def test_decisions_hold_under_every_binding_that_satisfies_the_assumptions(left, right, halve, binding):
    with recording() as found:
        x, y = build(left), build(right)
        if halve:
            try:
                x = x // 2 if isinstance(x, Size) else x
            except SymbolicSizeError:
                return
        outcomes = [
            (lambda p, q: p == q, equal(x, y)),
            (lambda p, q: p == q, x == y),
            (lambda p, q: p == 1, is_one(x)),
        ]
    made = [(found, outcomes)]
    for decide, meaning in (
        (at_least, lambda p, q: p >= q),
        (lambda p, q: divides(q, p), lambda p, q: q != 0 and p % q == 0),
        (lambda p, q: p < q, lambda p, q: p < q),
        (lambda p, q: p <= q, lambda p, q: p <= q),
        (lambda p, q: p > q, lambda p, q: p > q),
        (lambda p, q: p >= q, lambda p, q: p >= q),
    ):
        with recording() as more:
            try:
                outcome = decide(x, y)
            except SymbolicSizeError:
                continue
        made.append((found + more, [(meaning, outcome)]))
    for assumptions, results in made:
        if not all(assumption.holds(binding) for assumption in assumptions):
            continue
        p, q = substitute(x, binding), substitute(y, binding)
        for meaning, outcome in results:
            # A multiple of a size that happens to be zero is the one exception: 0 divides only by definition.
            if meaning(p, q) != outcome:
                assert q == 0 and p == 0 and outcome is True


@given(trees, trees)
def test_nothing_is_assumed_of_names_of_at_least_two_without_need(left, right):
    x, y = build(left), build(right)
    with recording() as found:
        different = not equal(x, y)
    grid = [dict(zip(NAMES, point, strict=True)) for point in cartesian(range(7), repeat=3)]
    if any(substitute(x, point) == substitute(y, point) for point in grid) and different:
        assert [str(f) for f in found] == [f"{x} != {y}"]


def test_equal():
    with recording() as found:
        assert equal(3, 3) and not equal(3, 4) and equal(n + 1, 1 + n)
        assert not equal(n, n + 1)
        assert not equal(2 * n, 2 * a + 1)
        assert not equal(n + 1, 0)
    assert found == []
    with recording() as found:
        assert not equal(n, a) and not is_one(n) and not equal(n, 5) and not equal(n, a)
    assert [str(f) for f in found] == ["n != a", "n != 1", "n != 5"]


def test_at_least():
    with recording() as found:
        assert at_least(3, 2) and not at_least(2, 3)
        assert at_least(n + 3, 3) and at_least(n, 0) and at_least(a * b + a, a)
        assert not at_least(n, n + 1)
    assert found == []
    with recording() as found:
        assert at_least(n, 2) and at_least(n // 2, 1) and at_least(n, 10)
        assert not at_least(1, n)
    assert [str(f) for f in found] == ["n >= 2", "2 divides n", "n/2 >= 1", "n >= 10"]


def test_divides():
    with recording() as found:
        assert divides(2, 4) and not divides(2, 5) and not divides(0, 0) and not divides(0, n)
        assert divides(2, 2 * n) and divides(n, n * a) and not divides(2, 2 * n + 1) and divides(n, 0)
    assert found == []
    with recording() as found:
        assert divides(2, n) and divides(n, 12)
    assert [str(f) for f in found] == ["2 divides n", "n divides 12"]


def test_order_comparisons():
    with recording() as found:
        assert n > 1 and n >= 2 and n > 0 and not n < 2 and not n <= 1
        assert n < n + 1 and n <= n and n + n >= n
    assert [str(f) for f in found] == ["n >= 2", "n >= 1"]
    for compare, text in (
        (lambda: n < 10, "n < 10"),
        (lambda: n <= 10, "n <= 10"),
        (lambda: n > 10, "n > 10"),
        (lambda: n >= a, "n >= a"),
    ):
        with pytest.raises(SymbolicSizeError, match=r"np\.where") as error:
            compare()
        assert f"`{text}`" in str(error.value)
    with pytest.raises(TypeError):
        n < "x"  # noqa: B015


def test_a_size_has_no_number():
    for ask in (int, float, range, lambda x: [0] * x, lambda x: [1, 2][x], np.zeros):
        with pytest.raises(SymbolicSizeError, match=r"size `n` is symbolic.*graph\.bind\(n=\.\.\.\)"):
            ask(n)
    with pytest.raises(SymbolicSizeError):
        static(n)
    assert static(4) == 4
    with recording() as found:
        assert n
    assert [str(f) for f in found] == ["n != 0"]


@dataclass(frozen=True)
class Shaped:
    shape: tuple[Dim, ...]


def test_comparison_in_user_code_is_recorded_with_its_line():
    with recording() as found:
        assert n != 4
        assert n != a
        assert (n, 3) != (5, 3)
        assert n == 2 * n - n
        assert n != "n"
    assert [str(f) for f in found] == ["n != 4", "n != a", "n != 5"]
    assert found[0].location.source == "assert n != 4"


def test_comparison_by_graphad_and_dataclasses_is_structural(monkeypatch):
    with recording() as found:
        assert Shaped((n, 2)) != Shaped((a, 2))
        exec(compile("result = left == right", dims.__file__, "exec"), {"left": n, "right": a})
    assert found == []


def test_product_static_names():
    assert type(product([])) is int and product([2, 3, 4]) == 24
    assert same(product([2, n, a]), 2 * a * n)
    assert is_static((1, 2)) and not is_static((1, n))
    assert names([1, n * a, b // c]) == {"n", "a", "b", "c"}


# Recording


def test_recorders_nest_and_drop_repeats():
    with recording() as outer:
        is_one(n)
        with recording() as inner:
            is_one(n)
            is_one(a)
        is_one(b)
    is_one(c)
    assert [str(f) for f in inner] == ["n != 1", "a != 1"]
    assert [str(f) for f in outer] == ["n != 1", "a != 1", "b != 1"]


def test_recording_closes_after_an_error():
    with pytest.raises(RuntimeError), recording() as found:
        raise RuntimeError
    is_one(n)
    assert found == []


def test_recording_is_per_thread():
    import threading

    with recording() as found:
        thread = threading.Thread(target=is_one, args=(n,))
        thread.start()
        thread.join()
    assert found == []


@given(st.sampled_from(["!=", ">=", "divides"]), trees, trees)
def test_assumptions_print_and_parse(relation, left, right):
    assumption = Assumption(relation, build(left), build(right))
    assert parse_assumption(str(assumption)) == assumption


@pytest.mark.parametrize("text", ["", "n", "n > 2", "n >= ", "n  >= 2", "n >= 2 ", "a divides b c"])
def test_bad_assumption_text(text):
    with pytest.raises(ValueError):
        parse_assumption(text)


def test_assumptions_hold_or_not():
    assert parse_assumption("n != 1").holds({"n": 2}) and not parse_assumption("n != 1").holds({"n": 1})
    assert parse_assumption("n >= 3").holds({"n": 3}) and not parse_assumption("n >= 3").holds({"n": 2})
    assert parse_assumption("a divides n").holds({"n": 6, "a": 3})
    assert not parse_assumption("a divides n").holds({"n": 6, "a": 4})
    assert not parse_assumption("a divides n").holds({"n": 0, "a": 0})
    assert not parse_assumption("n/2 >= 1").holds({"n": 3})
    with pytest.raises(SymbolicSizeError, match="`a`"):
        parse_assumption("a divides n").holds({"n": 6})


# Binding


@given(trees, trees, bindings)
def test_substitution_is_composition(tree, inner, binding):
    value = static(substitute(build(inner), binding))
    composed = substitute(build(tree), {"a": build(inner)})
    assert substitute(composed, binding) == substitute(build(tree), {**binding, "a": value})


def test_inexact_substitution_is_an_error():
    assert substitute(n // 2, {"n": 6}) == 3
    assert same(substitute(n // 2, {"n": 4 * a}), 2 * a)
    assert same(substitute(n // 2, {"a": 1}), n // 2)
    with pytest.raises(SymbolicSizeError, match="`n/2` is not a whole number where n=5"):
        substitute(n // 2, {"n": 5})
    with pytest.raises(SymbolicSizeError, match="zero"):
        substitute(a // n, {"n": 0})


@given(bindings)
def test_solve_finds_the_binding(binding):
    pattern = [a * b + 1, (2 * a + 4) // 2, 3 * c, b, 7]
    actual = [static(substitute(size, binding)) for size in pattern]
    found: dict[str, int] = {}
    solve(pattern, actual, found)
    assert found == binding


def test_solve_leaves_what_it_cannot_solve():
    found: dict[str, int] = {}
    solve([a * b, n], [6, 2], found)
    assert found == {"n": 2}
    solve([a + n], [5], found)
    assert found == {"n": 2, "a": 3}


@pytest.mark.parametrize(
    ("pattern", "actual", "message"),
    [
        ([n, n], [2, 3], "3 was given where `n` is expected, which is 2"),
        ([4], [3], "3 was given where `4`"),
        ([2 * n], [3], r"`2\*n` is expected, which is never 3"),
        ([n + 5], [3], "never 3"),
        ([n, n * n], [2, 5], r"`n\*n` is expected, which is 4 \(with n=2\)"),
        ([n, 1], [2], r"rank 1 was given for \[n,1\]"),
        ([n, n // 2], [5, 2], "not a whole number where n=5"),
    ],
)
def test_solve_names_the_conflict(pattern, actual, message):
    binding: dict[str, int] = {}
    with pytest.raises(SymbolicSizeError, match=message):
        solve(pattern, actual, binding)
    assert binding == {}
