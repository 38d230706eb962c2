"""Indexing against NumPy: reads in every form, functional writes, and selections; fixed, symbolic and random."""

from __future__ import annotations

import numpy as np
import pytest
from comparing import assert_same, check, random
from hypothesis import example, given, settings
from hypothesis import strategies as st

import graphad as ga
import graphad.numpy as gnp

X = random(4, 3, 5)
MASK = random(4, 3, seed=5) > 0

INDICES = [
    1, -1, (1, 2), (-1, -1, -1), slice(1, None), slice(None, -1), slice(None, None, 2), slice(None, None, -1),
    slice(3, 0, -2), slice(-2, None), slice(9, 2), slice(0, 0), None, ..., (), (None, 0), (..., 0), (0, ..., None, 1),
    (slice(1, 3), slice(None, None, -1), 2), (slice(None, None, 3), ..., slice(4, None, -3)), [0, 2], [[0, 1], [3, -1]],
    ([0, 2], [1, 2]), (slice(None), [0, 2]), (slice(None), slice(None), [4, 0, 0]), ([0, 1], slice(None), [2, 3]),
    (0, slice(None), [1, 2]), (slice(None), 0, [1, 2]), ([1, 2], 0), (slice(None), [0, 1], [2, 3]), (None, [0, 1]),
    ([0, 1], None, [1, 2]), (..., [0, 1]), ([[0], [1]], [1, 2]), (slice(1, 3), [0, 1], None, slice(None, None, -2)),
    ([0, 1], ..., 1), (np.array(2), slice(None)), np.array([], int), [], MASK, (MASK, 1), (slice(None), MASK[0, :]),
    (MASK[:, 0], slice(None), [0]), (np.ones((4, 3, 5), bool)), X > 0, (True, 1), (False,), (np.int64(1), np.uint8(2)),
    (slice(None), MASK.T[:, 0]), ([0, 1], [0, 1], slice(None, None, -1)), (slice(None), None, 0, [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(INDICES)))
def test_read(case: int) -> None:
    index = INDICES[case]
    check(lambda n, x: x[index], X)


WRITES = {
    "set": lambda x, i, v: x.__setitem__(i, v),
    "add": lambda x, i, v: np.add.at(x, i, v),
    "subtract": lambda x, i, v: np.subtract.at(x, i, v),
    "multiply": lambda x, i, v: x.__setitem__(i, x[i] * v),
    "divide": lambda x, i, v: x.__setitem__(i, x[i] / v),
    "min": lambda x, i, v: x.__setitem__(i, np.minimum(x[i], v)),
    "max": lambda x, i, v: x.__setitem__(i, np.maximum(x[i], v)),
}


def written(name: str, x: np.ndarray, index: object, value: object) -> np.ndarray:
    result = x.copy()
    WRITES[name](result, index, value)
    return result


@pytest.mark.parametrize("name", sorted(WRITES))
@pytest.mark.parametrize("case", range(len(INDICES)))
def test_write(case: int, name: str) -> None:
    index = INDICES[case]
    shape = X[index].shape
    for value in (2.0, random(*shape, seed=9, low=0.5), random(*shape[-1:], seed=8, low=0.5)):
        graph = ga.trace(lambda x, v: getattr(x.at[index], name)(v), X, value)
        assert_same(graph(X, value), written(name, X, index, value))


def test_write_gives_dtype_of_x() -> None:
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    graph = ga.trace(lambda t: (t.at[0].set(7), t.at[:, 1].add([1, 2]), t.at[1].set(np.arange(3, dtype=np.int64))), x)
    assert_same(graph(x), (np.array([[7, 7, 7], [3, 4, 5]], np.int32), np.array([[0, 2, 2], [3, 6, 5]], np.int32),
                           np.array([[0, 1, 2], [0, 1, 2]], np.int32)))  # fmt: skip
    assert_same(ga.trace(lambda t: t.at[1].get(), x)(x), x[1])


def test_repeated_addresses() -> None:
    x, i = np.zeros(3), np.array([1, 1, 2])
    assert_same(ga.trace(lambda x, i: x.at[i].add(1.0), x, i)(x, i), np.array([0.0, 2.0, 1.0]))


def test_traced_positions() -> None:
    i, j = np.array([[1, -1], [0, 2]]), np.array([2, 0])
    check(lambda n, x, i, j: (x[i], x[i, j], x[:, j], x[i, :, j], x[..., j], x[j[0]], x[j[0], 1:], x[0, :, j]), X, i, j)
    check(lambda n, x, i: x[[0, 1], i[0], 1], X, i)
    check(lambda n, x, i: x[i] * 2, X, i.astype(np.uint8) % 3)
    graph = ga.trace(lambda x, i: x[i], X, i)
    with pytest.raises(IndexError):
        graph(X, i + 100)


def test_gradient_of_reads_and_writes() -> None:
    x = random(4, 3)
    np.testing.assert_array_equal(
        ga.grad(lambda x: np.sum(x[[0, 0, 2], ::-1][:, 0]))(x), np.array([[0, 0, 2], [0, 0, 0], [0, 0, 1], [0, 0, 0.0]])
    )
    np.testing.assert_array_equal(
        ga.grad(lambda x: np.sum(x.at[1:3].set(0.0) * 3))(x), np.where(np.arange(4)[:, None] % 3 == 0, 3.0, 0.0) + 0 * x
    )


SELECTIONS = [
    lambda n, x: (n.take(x, 1), n.take(x, [0, 5]), n.take(x, [[0, 1], [2, 3]], axis=0), n.take(x, 2, axis=-1)),
    lambda n, x: (n.take(x, [7, -9], axis=1, mode="wrap"), n.take(x, [7, -9], axis=1, mode="clip"), x.take([1], 1)),
    lambda n, x: n.take_along_axis(x, np.array([[[0]], [[2]], [[1]], [[0]]]), axis=1),
    lambda n, x: (n.take_along_axis(x, np.zeros((1, 1, 2), int), axis=2), n.take_along_axis(x, np.array([3, 1]), None)),
    lambda n, x: n.choose(np.array([0, 1, 1, 0, 0]), [x[0, 0], x[1, 1]]),
    lambda n, x: n.choose(np.array([0, 5, -1, 0, 0]), [x[0, 0], x[1, 1]], mode="clip"),
    lambda n, x: n.select([x > 1, x > 0], [x, x * 2], 9.0),
    lambda n, x: (n.compress([True, False, True], x, axis=0), n.compress([False, True], x), x.compress([True], 1)),
    lambda n, x: n.extract(X > 0, x),
]


@pytest.mark.parametrize("case", range(len(SELECTIONS)))
def test_selections(case: int) -> None:
    check(SELECTIONS[case], X)


def test_take_along_sorted() -> None:
    order = np.argsort(X, axis=1)
    check(lambda n, x, i: n.take_along_axis(x, i, axis=1), X, order)


SYMBOLIC = [
    lambda x: x[1:],
    lambda x: x[:-1],
    lambda x: x[:2],
    lambda x: x[-3:],
    lambda x: x[::2],
    lambda x: x[1::2],
    lambda x: x[::-1],
    lambda x: x[::-2],
    lambda x: x[-2:0:-1],
    lambda x: x[0],
    lambda x: x[-1],
    lambda x: x[2, 1],
    lambda x: x[[0, -1, 2]],
    lambda x: x[None, ..., 0],
    lambda x: x[: x.shape[0] - 1],
    lambda x: x[:, 1:][1:, ::-1],
    lambda x: x[1:-1],
]


@pytest.mark.parametrize("case", range(len(SYMBOLIC)))
def test_symbolic(case: int) -> None:
    function, x = SYMBOLIC[case], random(6, 3)
    assert_same(ga.trace(function, ga.spec((ga.dim("n"), 3)))(x), function(x))


def test_symbolic_writes() -> None:
    x, symbolic = random(6, 3), ga.spec((ga.dim("n"), 3))
    for index in (
        slice(1, None),
        slice(None, -1),
        slice(None, None, -1),
        slice(None, None, 2),
        0,
        -1,
        [0, -1],
        (..., 1),
    ):
        assert_same(ga.trace(lambda t, index=index: t.at[index].set(2.0), symbolic)(x), written("set", x, index, 2.0))


def test_symbolic_assumptions_are_checked() -> None:
    graph = ga.trace(lambda x: x[:10], ga.spec(ga.dim("n")))
    assert_same(graph(np.arange(12.0)), np.arange(10.0))
    with pytest.raises(ga.GraphadError, match="n"):
        graph(np.arange(5.0))
    graph = ga.trace(lambda x: x[::2], ga.spec(ga.dim("n")))
    with pytest.raises(ga.GraphadError):
        graph(np.arange(5.0))


@st.composite
def shapes_and_indices(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[object, ...]]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    count = draw(st.integers(1, 3))
    items: list[object] = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        kind = draw(st.sampled_from(["int", "slice", "array", "mask", "pair"]))
        if kind == "int":
            items.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            bound = st.none() | st.integers(-n - 1, n + 1)
            items.append(slice(draw(bound), draw(bound), draw(st.sampled_from([None, 1, 2, -1, -2]))))
        elif kind == "mask":
            mask = np.zeros(n, bool)
            mask[: min(count, n)] = True
            items.append(mask if min(count, n) == count else [0] * count)
        else:
            rows = (1,) if kind == "pair" else ()
            items.append(
                np.array(draw(st.lists(st.integers(-n, n - 1), min_size=count, max_size=count))).reshape(*rows, count)
            )
    for extra in draw(st.lists(st.sampled_from([None, ...]), max_size=2, unique_by=str)):
        items.insert(draw(st.integers(0, len(items))), extra)
    return shape, tuple(items)


@settings(max_examples=300, deadline=None)
@example(((1, 1, 1, 1), (None, 0, ..., 0, np.array([0, 0]), 0)))
@given(shapes_and_indices())
def test_random_indices(case: tuple[tuple[int, ...], tuple[object, ...]]) -> None:
    shape, index = case
    x = np.arange(float(np.prod(shape))).reshape(shape)
    try:
        expected = np.asarray(x[index])
    except IndexError:  # an Ellipsis has moved items to axes they do not fit
        with pytest.raises(IndexError):
            ga.trace(lambda t: t[index], x)
        return
    graph = ga.trace(lambda t: (t[index], t.at[index].set(-1.0)), x)
    assert_same(graph(x), (expected, written("set", x, index, -1.0)))


@pytest.mark.parametrize(
    ("function", "error", "text"),
    [
        (lambda x: x[7], IndexError, "index 7 is outside axis 0 of f64[3,4]"),
        (lambda x: x[:, -5], IndexError, "index -5 is outside axis 1"),
        (lambda x: x[[0, 9]], IndexError, "index 9"),
        (lambda x: x[0, 0, 0], IndexError, "too many indices"),
        (lambda x: x[np.ones(4, bool)], IndexError, "mask of shape (4,)"),
        (lambda x: x[..., ...], ValueError, "single ellipsis"),
        (lambda x: x[1.5], ValueError, "is no index"),
        (lambda x: x["a"], ValueError, "is no index"),
        (lambda x: x[x], ValueError, "an index must be an integer"),
        (lambda x: x[x > 0], TypeError, "np.where(mask, x, other)"),
        (lambda x: x[: x[0, 0]], TypeError, "slice bound is a traced array"),
        (lambda x: x[::0], ValueError, "step must be"),
        (lambda x: x[[0, 1], [0, 1, 2]], ValueError, "do not broadcast"),
        (lambda x: x.at[0].set(np.ones(3)), ValueError, "cannot broadcast"),
        (lambda x: x.astype(int).at[0].set(1.5), ValueError, "cannot write the float 1.5 into i64[3,4]"),
        (lambda x: x.astype(int).at[0].add(x[0]), ValueError, "cannot write f64[4] into i64[3,4]"),
        (lambda x: x.astype(int).at[0].divide(2), ValueError, "floating-point"),
        (lambda x: x.at[9].set(0.0), IndexError, "index 9"),
        (lambda x: np.take(x, [0], mode="no"), ValueError, "mode must be"),
        (lambda x: np.take_along_axis(x, np.zeros(3, int), 0), ValueError, "as many axes"),
        (lambda x: np.compress(x[0] > 0, x), TypeError, "known while tracing"),
        (lambda x: np.nonzero(x), TypeError, "the shape of its result depends on the elements"),
        (lambda x: x.nonzero(), TypeError, "np.where(x != 0, a, b)"),
        (lambda x: np.argwhere(x), TypeError, "depends on the elements"),
        (lambda x: np.put(x, 0, 1), TypeError, "writes into an array in place"),
    ],
)
def test_errors(function: object, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        ga.trace(function, np.ones((3, 4)))
    assert isinstance(caught.value, ga.GraphadError)
    assert text in str(caught.value)
    assert "test_indexing.py" in str(caught.value)


def test_namespace_array_index() -> None:
    assert_same(ga.trace(lambda x: x[gnp.arange(2)], X)(X), X[np.arange(2)])
