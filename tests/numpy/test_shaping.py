"""Shaping, joining, diagonals and creation against NumPy, with fixed and with symbolic sizes."""

from __future__ import annotations

import numpy as np
import pytest
from comparing import assert_same, check, random

import graphad as ga
import graphad.numpy as gnp

X = random(2, 3, 4)
M = random(3, 4)
V = random(5)

CASES = [
    (
        lambda n, x: (
            n.reshape(x, (6, 4)),
            n.reshape(x, -1),
            n.reshape(x, (3, -1, 2)),
            n.reshape(x, (6, 4), order="F"),
        ),
        X,
    ),
    (lambda n, x: (x.reshape(6, 4), x.reshape((4, -1)), x.reshape(-1, order="F"), n.ravel(x), n.ravel(x, "F")), X),
    (
        lambda n, x: (
            x.flatten(),
            x.ravel(),
            x.T,
            x.mT,
            n.transpose(x),
            n.transpose(x, (1, 2, 0)),
            x.transpose(2, 0, 1),
        ),
        X,
    ),
    (lambda n, x: (x.transpose(), x.transpose((0, 2, 1)), n.permute_dims(x, (2, 1, 0)), n.matrix_transpose(x)), X),
    (lambda n, x: (n.swapaxes(x, 0, -1), x.swapaxes(1, 2), n.moveaxis(x, 0, -1), n.moveaxis(x, [0, 1], [-1, 0])), X),
    (lambda n, x: (n.rollaxis(x, 2), n.rollaxis(x, 0, 3), n.rollaxis(x, 1, 2)), X),
    (
        lambda n, x: (
            n.expand_dims(x, 0),
            n.expand_dims(x, (1, -1)),
            n.squeeze(x[:, :1]),
            n.squeeze(x[:1, :1], axis=1),
        ),
        X,
    ),
    (lambda n, x: (x[:1].squeeze(0), n.broadcast_to(x, (5, 2, 3, 4)), n.broadcast_arrays(x, x[0, 0], 1.0)), X),
    (lambda n, x: (n.atleast_1d(x[0, 0, 0]), n.atleast_2d(x[0, 0]), n.atleast_3d(x[0, 0]), n.atleast_3d(x[0])), X),
    (lambda n, x: n.atleast_2d(x, x[0, 0]), X),
    (lambda n, x: (n.flip(x), n.flip(x, 1), n.flip(x, (0, -1)), n.fliplr(x), n.flipud(x)), X),
    (
        lambda n, x: (n.roll(x, 2), n.roll(x, -1, 0), n.roll(x, (1, 5), (1, 2)), n.roll(x, 1, (0, 1)), n.roll(x, 0, 0)),
        X,
    ),
    (lambda n, x: tuple(n.rot90(x, k) for k in range(-1, 5)) + (n.rot90(x, 1, (2, 0)),), X),
    (lambda n, x: (n.repeat(x, 2), n.repeat(x, 3, axis=1), x.repeat(2, 0), n.repeat(x, [1, 0, 2], axis=1)), X),
    (lambda n, x: (n.tile(x, 2), n.tile(x, (2, 1, 3)), n.tile(x, (2, 1, 1, 2)), n.tile(x[0, 0], (2, 2))), X),
    (
        lambda n, x: (
            n.shape(x),
            n.ndim(x),
            n.size(x),
            n.size(x, 1),
            n.copy(x),
            x.copy(),
            len(x),
            x.itemsize,
            x.nbytes,
        ),
        X,
    ),
    (lambda n, x: (n.concatenate([x, x], 1), n.concatenate((x, x[:1])), n.concatenate([x, x], axis=None)), X),
    (lambda n, x: (n.concatenate([x, np.ones((1, 3, 4), np.float32)]), n.concatenate([x], dtype=np.float32)), X),
    (lambda n, x: (n.stack([x, x]), n.stack([x, x], -1), n.stack([x[0], X[1]], axis=1)), X),
    (lambda n, x: (n.hstack([x, x]), n.vstack([x, x]), n.dstack([x, x]), n.column_stack([x[0], x[0]])), M),
    (lambda n, x: (n.hstack([x, x]), n.vstack([x, x]), n.dstack([x, x]), n.column_stack([x, x])), M),
    (lambda n, x: (n.hstack([x, x]), n.vstack([x, x]), n.dstack([x, x]), n.column_stack([x, x]), n.append(x, 1.0)), V),
    (lambda n, x: (n.append(x, x), n.append(x, x, axis=0), n.hstack([x[0], 1.0])), M),
    (lambda n, x: (n.split(x, 3), n.split(x, [1, 2]), n.split(x, [1, 9], axis=1), n.array_split(x, 2, axis=0)), M),
    (lambda n, x: (n.array_split(x, 3, axis=1), n.hsplit(x, 2), n.vsplit(x, 3), n.split(x, [2, 1])), M),
    (lambda n, x: (n.dsplit(x, 2), n.unstack(x), n.unstack(x, axis=1)), X),
    (lambda n, x: n.meshgrid(x, x[:3], x[:2]), V),
    (lambda n, x: n.meshgrid(x, x[:3], indexing="ij"), V),
    (lambda n, x: n.meshgrid(x, x[:3], sparse=True), V),
    (lambda n, x: (n.pad(x, 1), n.pad(x, (1, 2)), n.pad(x, ((1, 0), (0, 2))), n.pad(x, 2, constant_values=3.0)), M),
    (lambda n, x: n.pad(x, ((1, 2), (2, 1)), constant_values=((1, 2), (3, 4))), M),
    (lambda n, x: tuple(n.pad(x, ((2, 1), (0, 3)), mode=m) for m in ("edge", "reflect", "symmetric", "wrap")), M),
    (lambda n, x: tuple(n.pad(x, (9, 7), mode=m) for m in ("edge", "reflect", "symmetric", "wrap")), M),
    (lambda n, x: (n.diag(x), n.diag(x, 1), n.diag(x, -2), n.diagflat(x, 1)), V),
    (lambda n, x: (n.diag(x), n.diag(x, 2), n.diag(x, -1), n.diag(x, 9), n.diagonal(x, 1), n.trace(x), x.trace(1)), M),
    (lambda n, x: (n.diagonal(x), n.diagonal(x, 1, 1, 2), x.diagonal(-1, 2, 0), n.trace(x, axis1=1, axis2=2)), X),
    (lambda n, x: (n.trace(x), n.trace(x, dtype=np.float64)), random(3, 3, dtype="int8")),
    (lambda n, x: (n.tril(x), n.triu(x), n.tril(x, 1), n.triu(x, -1), n.tril(x, -9)), X),
    (lambda n, x: (n.tril(x), n.triu(x, 1)), V),
    (
        lambda n, x: (
            n.zeros_like(x),
            n.ones_like(x),
            n.full_like(x, 3),
            n.empty_like(x) * 0,
            n.zeros_like(x, dtype=int),
        ),
        M,
    ),
    (lambda n, x: (n.full_like(x, 2, dtype=bool), n.ones_like(x, shape=(2, 2)), n.full_like(x, [1, 2, 3, 4])), M),
    (lambda n, x: (n.diff(x), n.diff(x, axis=0), n.diff(x, 2), n.diff(x, prepend=0.0), n.diff(x, append=x[:, :2])), M),
    (lambda n, x: (n.diff(x), n.diff(x > 0)), V),
    (
        lambda n, x: (n.linspace(x[0], x[1], 7), n.linspace(x[0], 3, 4, endpoint=False), n.linspace(x, 1.0, 3, axis=1)),
        M[0],
    ),
    (lambda n, x: n.linspace(x[0], 2.0, 5, retstep=True), V),
    (lambda n, x: (n.linspace(x[0], 2.0, 1), n.linspace(x[0], 2.0, 0), n.linspace(x[0], 9.0, 4, dtype=int)), V),
    (lambda n, x: (n.result_type(x, np.float32) == np.float64, n.can_cast(x, np.float32)), V),
    (lambda n, x: [row * 2 for row in x], M),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_against_numpy(case: int) -> None:
    function, x = CASES[case]
    check(function, x)


def test_creation() -> None:
    made = [
        lambda n: (n.arange(5), n.arange(2, 7), n.arange(1, 10, 3), n.arange(5, 0, -2), n.arange(0.0, 1.0, 0.25)),
        lambda n: (n.zeros((2, 3)), n.ones(3), n.full((2, 2), 1.5), n.full(3, 2), n.zeros(2, int), n.ones((2,), bool)),
        lambda n: (n.eye(3), n.eye(2, 4, 1), n.eye(3, k=-1, dtype=int), n.identity(3), n.tri(3), n.tri(2, 4, 1)),
        lambda n: (n.linspace(0, 1, 5), n.linspace(1, 3, 4, endpoint=False), n.array([1, 2]), n.asarray(2.5)),
        lambda n: n.array([[1.0, 2.0]], dtype="float32", ndmin=3),
    ]
    for function in made:
        graph = ga.trace(lambda x, function=function: (function(gnp), x), 1.0)
        assert_same(graph(1.0)[0], function(np))


def test_array_of_tensors() -> None:
    graph = ga.trace(lambda x: gnp.array([x[0], x[1] * 2, 3.0]), V)
    assert_same(graph(V), np.array([V[0], V[1] * 2, 3.0]))
    graph = ga.trace(lambda x: np.stack([x, x + 1])[1] + np.concatenate([[1.0], x[1:]]), V)
    assert_same(graph(V), V + 1 + np.concatenate([[1.0], V[1:]]))


SYMBOLIC = [
    lambda x: x.reshape(-1),
    lambda x: x.reshape(-1, 2),
    lambda x: x.reshape(x.shape[0], 2, 2),
    lambda x: np.concatenate([x, x]),
    lambda x: np.stack([x, x], axis=1),
    lambda x: np.flip(x, 0),
    lambda x: np.roll(x, 2, axis=0),
    lambda x: np.roll(x, -1, axis=0),
    lambda x: np.tile(x, (2, 1)),
    lambda x: np.repeat(x, 2, axis=0),
    lambda x: np.split(x, 2),
    lambda x: np.split(x, [2, 3]),
    lambda x: np.pad(x, ((2, 1), (0, 0))),
    lambda x: np.pad(x, ((2, 1), (0, 0)), mode="edge"),
    lambda x: np.pad(x, ((2, 1), (0, 0)), mode="reflect"),
    lambda x: np.pad(x, ((2, 0), (0, 0)), mode="symmetric"),
    lambda x: np.pad(x, ((0, 3), (0, 0)), mode="wrap"),
    lambda x: np.diag(x[:, 0]),
    lambda x: np.diagonal(x @ x.T),
    lambda x: np.tril(x @ x.T),
    lambda x: np.diff(x, axis=0),
    lambda x: np.zeros_like(x) + np.ones_like(x[:, :1]),
    lambda x: np.linspace(x[0], x[1], 3),
    lambda x: np.squeeze(x[:, :1]),
    lambda x: np.expand_dims(x, 1) * np.ones(3)[:, None],
]


@pytest.mark.parametrize("case", range(len(SYMBOLIC)))
def test_symbolic(case: int) -> None:
    x = random(6, 4)
    graph = ga.trace(SYMBOLIC[case], ga.spec((ga.dim("n"), 4)))
    assert_same(graph(x), SYMBOLIC[case](x))


def test_symbolic_creation() -> None:
    def function(x):  # type: ignore[no-untyped-def]
        n = x.shape[0]
        return (
            gnp.zeros((n, 3)), gnp.ones(n, "float32"), gnp.full((n,), 2), gnp.arange(n), gnp.arange(1, n), gnp.eye(n),
            gnp.arange(0, n, 2), gnp.arange(n, dtype="float64") * n, gnp.linspace(0.0, 1.0, n), gnp.tri(n), x / n,
        )  # fmt: skip

    x = random(6)
    expected = (
        np.zeros((6, 3)), np.ones(6, "float32"), np.full((6,), 2), np.arange(6), np.arange(1, 6), np.eye(6),
        np.arange(0, 6, 2), np.arange(6, dtype="float64") * 6, np.linspace(0.0, 1.0, 6), np.tri(6), x / 6,
    )  # fmt: skip
    assert_same(ga.trace(function, ga.spec(ga.dim("n")))(x), expected)


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: x.reshape(5, -1), "no multiple"),
        (lambda x: x.reshape(-1, -1), "only one size"),
        (lambda x: x.reshape(7), "sizes differ"),
        (lambda x: x.reshape(12, order="Q"), "order must be"),
        (lambda x: np.transpose(x, (0, 0)), "not a permutation"),
        (lambda x: np.squeeze(x, 0), "its size is not 1"),
        (lambda x: np.concatenate([x, x[0]]), "one number of axes"),
        (lambda x: np.concatenate([x, x[:, :2]]), "concatenate"),
        (lambda x: np.stack([x, x[:2]]), "one shape"),
        (lambda x: np.split(x, 5), "equal parts"),
        (lambda x: np.repeat(x, x[0].astype(int)), "must be known while tracing"),
        (lambda x: np.pad(x, -1), "negative"),
        (lambda x: np.pad(x, 1, mode="mean"), "cannot be traced"),
        (lambda x: np.diag(x[None]), "vector or a matrix"),
        (lambda x: np.moveaxis(x, (0, 1), (0,)), "np.moveaxis"),
        (lambda x: np.roll(x, x[0, 0]), "known while tracing"),
        (lambda x: np.broadcast_to(x, (2, 2)), "cannot broadcast"),
        (lambda x: np.zeros_like(x, dtype="longdouble"), "not supported"),
    ],
)
def test_errors(function: object, text: str) -> None:
    with pytest.raises(ga.GraphadError) as caught:
        ga.trace(function, np.ones((3, 4)))
    assert text in str(caught.value)
    assert "test_shaping.py" in str(caught.value)
