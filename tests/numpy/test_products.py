"""Products against NumPy: matmul, dot, tensordot and einsum in all their forms, dtypes and sizes."""

from __future__ import annotations

import numpy as np
import pytest
from comparing import assert_same, check, random
from hypothesis import given, settings
from hypothesis import strategies as st

import graphad as ga
from graphad.numpy.contraction import contraction_order

MATMUL = [((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)),
          ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (3,)), ((2, 0), (0, 3)),
          ((7, 5, 2, 3), (3,)), ((1, 1), (1, 1))]  # fmt: skip


@pytest.mark.parametrize("shapes", MATMUL)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bool"])
def test_matmul(shapes: tuple[tuple[int, ...], ...], dtype: str) -> None:
    a, b = (random(*shape, dtype=dtype, seed=k) for k, shape in enumerate(shapes))
    check(lambda n, x, y: (n.matmul(x, y), x @ y), a, b)
    graph = ga.trace(lambda y: a @ y, b)
    assert_same(graph(b), a @ b)


DOT = [
    ((), (3,)),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((5, 2, 3), (6, 3, 4)),
    ((3,), (6, 3, 4)),
]


@pytest.mark.parametrize("shapes", DOT)
def test_dot(shapes: tuple[tuple[int, ...], ...]) -> None:
    check(lambda n, x, y: (n.dot(x, y),), *(random(*shape, seed=k) for k, shape in enumerate(shapes)))


def test_vectors() -> None:
    a, b = random(2, 3), random(2, 3, seed=1)
    check(lambda n, x, y: (n.vdot(x, y), n.inner(x, y), n.outer(x, y), n.inner(x, 2.0), n.kron(x, y)), a, b)
    check(lambda n, x, y: (n.vecdot(x, y), n.inner(x[0], y[0]), n.kron(x[0], y), x.dot(y.T)), a, b)
    check(lambda n, x, y: (n.inner(x, y), n.matmul(x, y[0])), random(4, 2, 3), b)
    check(lambda n, x, y: x @ y, a.astype(np.float32), b.T.copy())


def test_tensordot() -> None:
    a, b = random(2, 3, 4), random(3, 4, 5)
    check(lambda n, x, y: (n.tensordot(x, y), n.tensordot(x, y, 2), n.tensordot(x, y, ([1, 2], [0, 1]))), a, b)
    check(lambda n, x, y: (n.tensordot(x, y, ([2, 1], [1, 0])), n.tensordot(x, y, (1, 0)), n.tensordot(x, y, 0)), a, b)
    check(lambda n, x, y: (n.tensordot(x, x, 3), n.tensordot(x, y, ([-1], [-2]))), a, b)
    check(lambda n, x: n.tensordot(x, x, ([0], [0])), random(3, 4, dtype="int32"))


EINSUM = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ji,jk", (3, 2), (3, 4)),
    ("i,i->", (3,), (3,)),
    ("i,i", (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("i,j->ji", (3,), (4,)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ii->", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii->i", (2, 2, 2)),
    ("ijij->ji", (2, 3, 2, 3)),
    ("ij->ji", (2, 3)),
    ("ba", (2, 3)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ij,ij->ij", (2, 3), (2, 3)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk->...ik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk", (6, 1, 2, 3), (5, 3, 4)),
    ("i...,i...->...", (3, 2), (3, 2)),
    ("...i,...i", (2, 3), (3,)),
    ("...,...", (2, 3), (3,)),
    ("...->...", (2, 3)),
    ("...ii->...i", (4, 3, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("ij,ij->i", (2, 3), (1, 3)),
    ("ij,jk->k", (2, 3), (1, 4)),
    ("ij,k->", (2, 3), (4,)),
    ("ij,k->jk", (2, 3), (4,)),
    ("i,i,i->i", (3,), (3,), (3,)),
    ("i,i,i->", (3,), (3,), (3,)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 5), (5, 2)),
    ("ab,bc,ca->", (2, 3), (3, 4), (4, 2)),
    ("abc,bd,cd,d->a", (2, 3, 4), (3, 5), (4, 5), (5,)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bqhd,bkhd->bhqk", (2, 4, 3, 5), (2, 6, 3, 5)),
    ("ij,jk,k,l->il", (2, 3), (3, 4), (4,), (2,)),
    ("ijk,ilm,njm,nlk,abc->", (2, 3, 4), (2, 5, 6), (7, 3, 6), (7, 5, 4), (2, 2, 2)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("Ab,bA->Ab", (2, 3), (3, 2)),
    (",ij", (), (2, 3)),
    ("ij,", (2, 3), ()),
    ("a,a,a,a,a,a,a,a,ab->b", *[(2,)] * 8, (2, 3)),
    ("ij,...->...ij", (2, 3), (4,)),
    ("i->", (0,)),
    ("ij,j->i", (2, 0), (0,)),
]


@pytest.mark.parametrize("case", EINSUM, ids=[case[0] for case in EINSUM])
def test_einsum(case: tuple[object, ...]) -> None:
    subscripts, *shapes = case
    arrays = [random(*shape, seed=k) for k, shape in enumerate(shapes)]
    check(lambda n, *xs: n.einsum(subscripts, *xs), *arrays)
    integers = [random(*shape, seed=k, dtype="int64") for k, shape in enumerate(shapes)]
    check(lambda n, *xs: n.einsum(subscripts, *xs, optimize=True), *integers)


def test_einsum_forms() -> None:
    a, b = random(2, 3), random(3, 4)
    check(lambda n, x, y: n.einsum(x, [0, 1], y, [1, 2], [0, 2]), a, b)
    check(lambda n, x, y: n.einsum(x, [0, 1], y, [1, 2]), a, b)
    check(lambda n, x, y: n.einsum(x, [5, 1], y, [1, 2]), a, b)
    check(lambda n, x: n.einsum(x, [..., 0], [0, ...]), a)
    check(lambda n, x, y: n.einsum("ij,jk", x, y, dtype=np.float64), a.astype(np.float32), b.astype(np.float32))
    check(lambda n, x, y: n.einsum("ij,jk", x, y), a.astype(np.float32), b)
    mask = a > 0
    check(lambda n, x, y: n.einsum("ij,kj->ik", x, y), mask, mask)


def test_einsum_is_one_product() -> None:
    graph = ga.trace(lambda q, k: np.einsum("bhqd,bhkd->bhqk", q, k), random(2, 3, 4, 5), random(2, 3, 6, 5))
    names = [node.op.name for node in graph.nodes[2:]]
    assert names.count("matmul") == 1 and set(names) <= {"matmul", "transpose"}


def test_order_is_cheapest() -> None:
    sizes = {"i": 2, "j": 1000, "k": 2, "l": 1000}
    assert contraction_order(["ij", "jk", "kl"], sizes, "il") == [(0, 1), (0, 1)]
    sizes = {"i": 1000, "j": 1000, "k": 2, "l": 2}
    assert contraction_order(["ij", "jk", "kl"], sizes, "il") == [(1, 2), (0, 1)]
    chain = ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "ij"]
    assert len(contraction_order(chain, dict.fromkeys("abcdefghij", 3), "aj")) == 8


@st.composite
def subscripts_and_shapes(draw: st.DrawFn) -> tuple[str, list[tuple[int, ...]]]:
    sizes = dict(zip("abcd", draw(st.lists(st.integers(1, 3), min_size=4, max_size=4)), strict=True))
    inputs = draw(st.lists(st.text("abcd", max_size=3), min_size=1, max_size=4))
    used = sorted(set("".join(inputs)))
    output = "".join(draw(st.permutations(used)))[: draw(st.integers(0, len(used)))]
    shapes = [tuple(sizes[c] if draw(st.integers(0, 4)) else 1 for c in part) for part in inputs]
    for part, shape in zip(inputs, shapes, strict=True):  # NumPy itself refuses diagonals of unequal sizes at times
        for c in set(part):
            same = {n for own, n in zip(part, shape, strict=True) if own == c}
            if len(same) > 1:
                shapes = [tuple(sizes[c] for c in part) for part in inputs]
    return f"{','.join(inputs)}->{output}", shapes


@settings(max_examples=200, deadline=None)
@given(subscripts_and_shapes())
def test_random_einsum(case: tuple[str, list[tuple[int, ...]]]) -> None:
    subscripts, shapes = case
    arrays = [random(*shape, seed=k) for k, shape in enumerate(shapes)]
    graph = ga.trace(lambda *xs: np.einsum(subscripts, *xs), *arrays)
    assert_same(graph(*arrays), np.asarray(np.einsum(subscripts, *arrays)), 1e-10)


def test_symbolic() -> None:
    n, m = ga.dim("n"), ga.dim("m")
    a, b = random(5, 3), random(3, 4)
    cases = [
        (lambda x, y: x @ y, (n, 3), (3, m)),
        (lambda x, y: np.einsum("ij,jk->ki", x, y), (n, 3), (3, m)),
        (lambda x, y: np.einsum("ij,jk,lj->l", x, y, x), (n, 3), (3, m)),
        (lambda x, y: np.tensordot(x, y, 1), (n, 3), (3, m)),
        (lambda x, y: np.outer(x, y), (n, 3), (3, m)),
        (lambda x, y: np.kron(x, y), (n, 3), (3, m)),
        (lambda x, y: (x[None] @ y)[0] @ y.T, (n, 3), (3, m)),
    ]
    for function, first, second in cases:
        graph = ga.trace(function, ga.spec(first), ga.spec(second))
        assert_same(graph(a, b), function(a, b))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: x @ x, "contracted sizes 4 and 3 differ"),
        (lambda x: np.matmul(x, 2.0), "use x * y for scalars"),
        (lambda x: np.tensordot(x, x, ([0], [1])), "axis 0 of size 3 meets 4"),
        (lambda x: np.tensordot(x, x, 5), "does not fit"),
        (lambda x: np.einsum("ij,ij", x), "2 subscripts were given for 1 operands"),
        (lambda x: np.einsum("ijk", x), "do not fit"),
        (lambda x: np.einsum("ij->iz", x), "distinct labels"),
        (lambda x: np.einsum("ij->ii", x), "distinct labels"),
        (lambda x: np.einsum("ij,jk", x, x), "has sizes 4 and 3"),
        (lambda x: np.einsum("i%->i", x), "neither a letter"),
        (lambda x: np.einsum("i...->i", x), "needs '...'"),
        (lambda x: np.einsum("ii->i", x), "have no diagonal"),
    ],
)
def test_errors(function: object, text: str) -> None:
    with pytest.raises(ga.GraphadError) as caught:
        ga.trace(function, np.ones((3, 4)))
    assert text in str(caught.value)
    assert "test_products.py" in str(caught.value)
