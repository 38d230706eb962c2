"""np.linalg on traced arrays: values against NumPy, derivatives to second order, batches, empty matrices, ties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphad as ga
import graphad.numpy as gnp
from graphad.ir.errors import OpTypeError, TraceError
from graphad.ir.samples import positive_definite, well_conditioned
from graphad.tracing.protocols import FUNCTIONS

from .comparing import Array, check, random


def regular(*shape: int, dtype: str = "float64", seed: int = 0) -> Array:
    """Return matrices with singular values 1, 2, 3, ..."""
    return well_conditioned(*shape, dtype=dtype).draw(np.random.default_rng(seed))


def definite(*shape: int, dtype: str = "float64", seed: int = 0) -> Array:
    """Return symmetric matrices with eigenvalues 1, 2, 3, ..."""
    return positive_definite(*shape, dtype=dtype).draw(np.random.default_rng(seed))


def gradient(function: Callable[[Any], Any], x: Array) -> Array:
    return np.asarray(ga.grad(function)(x))


def differences(function: Callable[[Array], Any], x: Array, step: float = 1e-6) -> Array:
    """Return central differences of a number by each element, of NumPy's own function."""
    found = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        found[index] = (function(high) - function(low)) / (2 * step)
    return found


# Values, and derivatives to second order. A function takes the namespace first.

REGULAR = {
    "inv": lambda xp, a: xp.linalg.inv(a),
    "det": lambda xp, a: xp.linalg.det(a),
    "slogdet": lambda xp, a: tuple(xp.linalg.slogdet(a)),
    "pinv": lambda xp, a: xp.linalg.pinv(a),
    "qr": lambda xp, a: tuple(xp.linalg.qr(a)),
    "qr_r": lambda xp, a: xp.linalg.qr(a, mode="r"),
    "svd": lambda xp, a: tuple(xp.linalg.svd(a)),
    "svd_values": lambda xp, a: xp.linalg.svd(a, compute_uv=False),
    "svdvals": lambda xp, a: xp.linalg.svdvals(a),
    "power_5": lambda xp, a: xp.linalg.matrix_power(a, 5),
    "power_minus_3": lambda xp, a: xp.linalg.matrix_power(a, -3),
    "power_0": lambda xp, a: xp.linalg.matrix_power(a, 0),
    "norm_2": lambda xp, a: xp.linalg.norm(a, 2, axis=(-2, -1)),
    "norm_-2": lambda xp, a: xp.linalg.norm(a, -2, axis=(-2, -1)),
    "norm_nuc": lambda xp, a: xp.linalg.norm(a, "nuc", axis=(-1, -2)),
    "cond": lambda xp, a: xp.linalg.cond(a),
    "cond_-2": lambda xp, a: xp.linalg.cond(a, -2),
    "cond_1": lambda xp, a: xp.linalg.cond(a, 1),
    "cond_fro": lambda xp, a: xp.linalg.cond(a, "fro"),
    "trace": lambda xp, a: xp.linalg.trace(a, offset=1),
    "diagonal": lambda xp, a: xp.linalg.diagonal(a, offset=-1),
    "transpose": lambda xp, a: xp.linalg.matrix_transpose(a),
    "matmul": lambda xp, a: xp.linalg.matmul(a, a),
}


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3), (1, 1), (0, 3, 3)], ids=str)
@pytest.mark.parametrize("name", REGULAR)
def test_functions_of_square_matrices(name: str, shape: tuple[int, ...]) -> None:
    check(REGULAR[name], regular(*shape), tolerance=1e-11)


@pytest.mark.parametrize("name", REGULAR)
def test_derivatives_of_functions_of_square_matrices(name: str) -> None:
    ga.check_grads(lambda a: REGULAR[name](np, a), (regular(3, 3),))
    ga.check_grads(lambda a: REGULAR[name](np, a), (regular(2, 2, 2),))


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "qr", "power_5", "power_0"])
def test_matrices_of_no_rows(name: str) -> None:
    check(REGULAR[name], np.zeros((0, 0)))
    check(REGULAR[name], np.zeros((2, 0, 0)))


RECTANGULAR = {
    "pinv": lambda xp, a: xp.linalg.pinv(a),
    "qr": lambda xp, a: tuple(xp.linalg.qr(a)),
    "qr_complete": lambda xp, a: tuple(xp.linalg.qr(a, "complete")),
    "qr_r": lambda xp, a: xp.linalg.qr(a, "r"),
    "svd": lambda xp, a: tuple(xp.linalg.svd(a, full_matrices=False)),
    "svdvals": lambda xp, a: xp.linalg.svdvals(a),
    "norm_2": lambda xp, a: xp.linalg.matrix_norm(a, ord=2),
    "norm_nuc": lambda xp, a: xp.linalg.matrix_norm(a, ord="nuc", keepdims=True),
    "rank": lambda xp, a: xp.linalg.matrix_rank(a),
}


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (3, 1), (1, 3), (2, 3, 2), (2, 2, 3)], ids=str)
@pytest.mark.parametrize("name", RECTANGULAR)
def test_functions_of_rectangular_matrices(name: str, shape: tuple[int, ...]) -> None:
    check(RECTANGULAR[name], regular(*shape), tolerance=1e-11)


@pytest.mark.parametrize("shape", [(4, 2), (2, 4), (2, 3, 2), (1, 3)], ids=str)
@pytest.mark.parametrize("name", [n for n in RECTANGULAR if n not in ("qr_complete", "rank")])
def test_derivatives_of_functions_of_rectangular_matrices(name: str, shape: tuple[int, ...]) -> None:
    ga.check_grads(lambda a: RECTANGULAR[name](np, a), (regular(*shape),))


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("name", ["inv", "det", "qr", "svdvals", "norm_2", "pinv"])
def test_dtypes_of_results(name: str, dtype: str) -> None:
    a = np.array([[3, 1], [0, 2]]).astype(dtype) if dtype != "bool" else np.eye(2, dtype=bool)
    check(REGULAR[name], a)


# Symmetric matrices

SYMMETRIC = {
    "cholesky": lambda xp, a: xp.linalg.cholesky(a),
    "cholesky_upper": lambda xp, a: xp.linalg.cholesky(a, upper=True),
    "eigh": lambda xp, a: tuple(xp.linalg.eigh(a)),
    "eigh_upper": lambda xp, a: tuple(xp.linalg.eigh(a, UPLO="U")),
    "eigvalsh": lambda xp, a: xp.linalg.eigvalsh(a),
    "eigvalsh_upper": lambda xp, a: xp.linalg.eigvalsh(a, "u"),
    "pinv_hermitian": lambda xp, a: xp.linalg.pinv(a, hermitian=True),
    "rank_hermitian": lambda xp, a: xp.linalg.matrix_rank(a, hermitian=True),
}


@pytest.mark.parametrize("shape", [(4, 4), (2, 3, 3), (1, 1)], ids=str)
@pytest.mark.parametrize("name", SYMMETRIC)
def test_functions_of_symmetric_matrices(name: str, shape: tuple[int, ...]) -> None:
    check(SYMMETRIC[name], definite(*shape), tolerance=1e-11)


@pytest.mark.parametrize("name", ["cholesky", "eigh", "eigvalsh"])
def test_symmetric_matrices_of_no_rows(name: str) -> None:
    check(SYMMETRIC[name], np.zeros((0, 0)))
    check(SYMMETRIC[name], np.zeros((0, 2, 2)))


@pytest.mark.parametrize("name", [n for n in SYMMETRIC if n != "rank_hermitian"])
def test_derivatives_of_functions_of_symmetric_matrices(name: str) -> None:
    ga.check_grads(lambda a: SYMMETRIC[name](np, a), (definite(3, 3),))
    ga.check_grads(lambda x: SYMMETRIC[name](np, x @ x.T + 3 * np.eye(3)), (random(3, 3),))
    ga.check_grads(lambda a: SYMMETRIC[name](np, a), (definite(2, 2, 2),))


@pytest.mark.parametrize("name", ["cholesky", "cholesky_upper", "eigvalsh", "eigvalsh_upper"])
def test_the_gradient_is_that_of_the_triangle_numpy_reads(name: str) -> None:
    a, weights = definite(3, 3), random(3, 3)

    def function(x: Any) -> Any:
        y = SYMMETRIC[name](np, x)
        return np.sum(y * (weights if y.ndim == 2 else weights[0]))

    np.testing.assert_allclose(gradient(function, a), differences(function, a), atol=1e-7)


def test_cholesky_of_what_is_not_positive_definite_is_numpys_error_with_the_users_line() -> None:
    def factor(x: Any) -> Any:
        return np.linalg.cholesky(x)  # the line

    step = ga.compile(ga.trace(factor, np.eye(2)))
    with pytest.raises(np.linalg.LinAlgError) as caught:
        step(-np.eye(2))
    (note,) = caught.value.__notes__
    assert "cholesky(f64[2,2])" in note and "# the line" in note
    np.testing.assert_array_equal(step(4 * np.eye(2)), 2 * np.eye(2))


def test_an_eager_tensor_that_is_singular_names_the_line_too() -> None:
    x = ga.tensor(np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError) as caught:
        np.linalg.inv(x).numpy()  # the line
    assert "inv(f64[2,2])" in caught.value.__notes__[0] and "# the line" in caught.value.__notes__[0]


def test_a_constant_matrix_that_is_singular_fails_when_run_and_not_before() -> None:
    graph = ga.optimize(ga.trace(lambda x: x + np.linalg.inv(gnp.zeros((2, 2))), np.eye(2)))
    with pytest.raises(np.linalg.LinAlgError):
        ga.compile(graph)(np.eye(2))


# Degenerate cases


def test_det_of_singular_matrices_has_its_derivatives() -> None:
    ranks = [np.diag(d) @ regular(3, 3) for d in ([1.0, 2, 0], [1.0, 0, 0], [0.0, 0, 0])]
    for a in [*ranks, np.eye(3), np.ones((3, 3))]:
        np.testing.assert_allclose(gradient(np.linalg.det, a), differences(np.linalg.det, a), atol=1e-8)
        ga.check_grads(np.linalg.det, (a,), order=2)


def test_slogdet_of_a_singular_matrix_is_minus_infinity() -> None:
    check(lambda xp, a: tuple(xp.linalg.slogdet(a)), np.zeros((2, 2)))


def test_symmetric_functions_of_repeated_eigenvalues_have_their_gradients() -> None:
    rotation = np.linalg.qr(random(3, 3))[0]
    repeated = rotation @ np.diag([1.0, 2.0, 2.0]) @ rotation.T
    for a in (np.eye(3), (repeated + repeated.T) / 2):
        for function in (
            lambda x: np.sum(np.linalg.eigvalsh(x) ** 3),
            lambda x: np.sum(np.exp(np.linalg.eigh((x + x.T) / 2)[0])),
        ):
            np.testing.assert_allclose(gradient(function, a), differences(function, a), atol=1e-7)


def test_projections_on_spaces_of_repeated_eigenvalues_have_their_gradients() -> None:
    rotation = np.linalg.qr(random(3, 3))[0]
    repeated = rotation @ np.diag([1.0, 2.0, 2.0]) @ rotation.T
    weights = random(3, 3)

    def projection(x: Any) -> Any:
        v = np.linalg.eigh((x + x.T) / 2)[1][:, 1:]
        return np.sum(weights * (v @ v.T))

    np.testing.assert_allclose(gradient(projection, repeated), differences(projection, repeated), atol=1e-7)


def test_symmetric_functions_of_repeated_singular_values_have_their_gradients() -> None:
    q = np.linalg.qr(random(4, 3))[0]
    for function in (
        lambda x: np.sum(np.linalg.svdvals(x) ** 3),
        lambda x: np.sum(np.linalg.svd(x, full_matrices=False)[1] ** 3),
        lambda x: np.linalg.norm(x, "nuc"),
    ):
        np.testing.assert_allclose(gradient(function, q), differences(function, q), atol=1e-7)


def test_pinv_where_singular_values_repeat_and_where_the_rank_is_low() -> None:
    ga.check_grads(np.linalg.pinv, (np.eye(3),))
    ga.check_grads(np.linalg.pinv, (np.linalg.qr(random(4, 3))[0],))
    # Along matrices of rank 1 the inverse is smooth.
    check(lambda xp, u, v: xp.linalg.pinv(xp.outer(u, v)), random(3), random(2), tolerance=1e-11)
    ga.check_grads(lambda u, v: np.linalg.pinv(np.outer(u, v), rtol=1e-9), (random(3), random(2)))


def test_what_completes_a_basis_is_orthogonal_and_its_projection_differentiable() -> None:
    a = regular(4, 2)
    for shape in ((4, 2), (2, 4), (2, 4, 3)):
        x = regular(*shape)
        u, s, vh = ga.trace(np.linalg.svd, x)(x)
        n = s.shape[-1]
        np.testing.assert_allclose((u[..., :n] * s[..., None, :]) @ vh[..., :n, :], x, atol=1e-12)
        for square in (u, vh):
            np.testing.assert_allclose(square @ np.swapaxes(square, -1, -2) - np.eye(square.shape[-1]), 0, atol=1e-12)
            assert square.shape[-2] == square.shape[-1]

    def left_null_space(x: Any) -> Any:
        null = np.linalg.svd(x)[0][:, 2:]
        return null @ null.T

    def right_null_space(x: Any) -> Any:
        null = np.linalg.svd(x.T)[2][2:]
        return null.T @ null

    def complement(x: Any) -> Any:
        null = np.linalg.qr(x, mode="complete")[0][:, 2:]
        return null @ null.T

    for function in (left_null_space, right_null_space, complement):
        ga.check_grads(function, (a,))


def test_svd_of_matrices_that_are_symmetric_by_their_lower_triangle() -> None:
    a = np.tril(random(3, 3))
    whole = a + np.tril(a, -1).T
    u, s, vh = ga.trace(lambda x: np.linalg.svd(x, hermitian=True), a)(a)
    np.testing.assert_allclose((u * s) @ vh, whole, atol=1e-12)
    np.testing.assert_allclose(s, np.linalg.svd(a, hermitian=True)[1], atol=1e-12)


def test_the_polar_factor_where_singular_values_repeat() -> None:
    weights = random(3, 3)

    def polar(x: Any) -> Any:
        u, _, vh = np.linalg.svd(x)
        return np.sum(weights * (u @ vh))

    rotation = np.linalg.qr(random(3, 3))[0]
    for a in (np.eye(3), rotation @ np.diag([2.0, 1.0, 1.0]), rotation @ np.diag([3.0, 2.0, 1.0])):
        np.testing.assert_allclose(gradient(polar, a), differences(polar, a), atol=1e-8)
        forward = [ga.jvp(polar, (a,), (e.reshape(3, 3),))[1] for e in np.eye(9)]
        np.testing.assert_allclose(np.reshape(forward, (3, 3)), gradient(polar, a), atol=1e-12)


def test_low_rank_has_finite_derivatives_of_singular_vectors() -> None:
    a = np.outer(random(3), random(2))
    for function in (
        lambda x: np.sum(np.linalg.svd(x, full_matrices=False)[0]),
        lambda x: np.sum(np.linalg.svd(x)[2]),
        lambda x: np.linalg.norm(x, "nuc"),
    ):
        assert np.isfinite(gradient(function, a)).all()

    def largest(x: Any) -> Any:
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        return np.sum(s[0] * np.outer(u[:, 0], vh[0]))

    np.testing.assert_allclose(gradient(largest, a), differences(largest, a), atol=1e-6)


# Systems


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (2, 3, 1)),
        ((3, 3), (2, 3, 2)),
        ((2, 3, 3), (3, 1)),
    ],
    ids=str,
)
def test_solve(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    arrays = regular(*a), random(*b)
    check(lambda xp, x, y: xp.linalg.solve(x, y), *arrays)
    ga.check_grads(np.linalg.solve, arrays)


def test_solve_of_mixed_dtypes_and_of_nothing() -> None:
    check(lambda xp, x, y: xp.linalg.solve(x, y), regular(2, 2, dtype="float32"), np.array([1, 2]))
    check(lambda xp, x, y: xp.linalg.solve(x, y), regular(2, 2, dtype="float32"), random(2, 1, dtype="float32"))
    check(lambda xp, x, y: xp.linalg.solve(x, y), np.zeros((0, 0)), np.zeros((0, 2)))
    check(lambda xp, x, y: xp.linalg.solve(x, y), regular(2, 2), np.zeros((2, 0)))


@pytest.mark.parametrize(("a", "b"), [((4, 2), (4,)), ((4, 2), (4, 3)), ((2, 4), (2, 2)), ((3, 3), (3,))], ids=str)
def test_lstsq(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    arrays = regular(*a), random(*b)
    check(lambda xp, x, y: xp.linalg.lstsq(x, y)[:2], *arrays)
    check(lambda xp, x, y: xp.linalg.lstsq(x, y)[3], *arrays)
    assert ga.trace(lambda x, y: np.linalg.lstsq(x, y)[2], *arrays)(*arrays) == min(a)
    ga.check_grads(lambda x, y: np.linalg.lstsq(x, y)[:2], arrays)


def test_tensor_systems() -> None:
    a, b = regular(6, 6), random(2, 3)
    check(lambda xp, x, y: xp.linalg.tensorsolve(x.reshape(2, 3, 6), y), a, b, tolerance=1e-11)
    check(lambda xp, x, y: xp.linalg.tensorsolve(x.reshape(2, 6, 3), y, axes=(1,)), a, b, tolerance=1e-11)
    check(lambda xp, x: xp.linalg.tensorinv(x.reshape(2, 3, 6), ind=2), a, tolerance=1e-11)
    check(lambda xp, x: xp.linalg.tensorinv(x.reshape(6, 3, 2), ind=1), a, tolerance=1e-11)
    ga.check_grads(lambda x, y: np.linalg.tensorsolve(x.reshape(2, 3, 6), y), (a, b))


def test_rank_has_no_gradient() -> None:
    a = np.diag([1.0, 2.0, 0.0])
    for keywords in ({}, {"tol": 1.5}, {"rtol": 0.6}):
        check(lambda xp, x, keywords=keywords: xp.linalg.matrix_rank(x, **keywords), a)
    check(lambda xp, x: xp.linalg.matrix_rank(x), np.zeros(3))
    check(lambda xp, x: xp.linalg.matrix_rank(x), np.stack([a, np.eye(3)]))
    np.testing.assert_array_equal(gradient(lambda x: np.linalg.matrix_rank(x) * 1.0 + 0 * np.sum(x), a), 0 * a)


# Norms

VECTOR_ORDERS = [None, 2, 1, 0, np.inf, -np.inf, 3, 2.5, -1, -2, 0.5]
MATRIX_ORDERS = [None, "fro", "nuc", 2, -2, 1, -1, np.inf, -np.inf]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", VECTOR_ORDERS, ids=str)
def test_norms_of_vectors(order: Any, keepdims: bool) -> None:
    for x, axis in ((random(4), None), (random(3, 4), 0), (random(3, 4), (1,)), (random(2, 3, 4), -1)):
        check(lambda xp, x, axis=axis: xp.linalg.norm(x, order, axis, keepdims), x)
        if order != 0:
            ga.check_grads(lambda x, axis=axis: np.linalg.norm(x, order, axis, keepdims), (x,))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", MATRIX_ORDERS, ids=str)
def test_norms_of_matrices(order: Any, keepdims: bool) -> None:
    for x, axis in (
        (regular(3, 3), None),
        (random(3, 4), (1, 0)),
        (random(2, 3, 4), (2, 0)),
        (random(2, 3, 4), (0, -1)),
    ):
        check(lambda xp, x, axis=axis: xp.linalg.norm(x, order, axis, keepdims), x)
        ga.check_grads(lambda x, axis=axis: np.linalg.norm(x, order, axis, keepdims), (x,))
    check(lambda xp, x: xp.linalg.matrix_norm(x, ord=order or "fro", keepdims=keepdims), random(2, 3, 4))


def test_norms_over_any_axes() -> None:
    for axis in (None, 0, (0, 2), (2, 1), (0, 1, 2)):
        for keepdims in (False, True):
            check(lambda xp, x, a=axis, k=keepdims: xp.linalg.vector_norm(x, axis=a, keepdims=k), random(2, 3, 4))
            check(
                lambda xp, x, a=axis, k=keepdims: xp.linalg.vector_norm(x, axis=a, keepdims=k, ord=3), random(2, 3, 4)
            )
    check(lambda xp, x: xp.linalg.norm(x), random(2, 3, 4))
    check(lambda xp, x: xp.linalg.norm(x, keepdims=True), random(2, 3))
    check(lambda xp, x: xp.linalg.norm(x, 1), np.arange(4))


@pytest.mark.parametrize("order", [None, 2, 1, np.inf, 3, 1.5])
def test_the_gradient_of_a_norm_at_zero_is_zero(order: Any) -> None:
    np.testing.assert_array_equal(gradient(lambda x: np.linalg.norm(x, order), np.zeros(3)), np.zeros(3))
    if order != 1.5:  # whose second derivative by an element that is 0 is infinite
        np.testing.assert_array_equal(ga.hessian(lambda x: np.linalg.norm(x, order))(np.zeros(3)), np.zeros((3, 3)))


@pytest.mark.parametrize("order", MATRIX_ORDERS, ids=str)
def test_the_gradient_of_a_matrix_norm_at_zero_is_finite(order: Any) -> None:
    assert np.isfinite(gradient(lambda x: np.linalg.norm(x, order, axis=(0, 1)), np.zeros((2, 2)))).all()
    if order in (None, "fro"):
        assert not gradient(lambda x: np.linalg.norm(x, order, axis=(0, 1)), np.zeros((2, 2))).any()


def test_norms_of_nothing() -> None:
    for order in (None, 1, 2, 3):
        check(lambda xp, x, order=order: xp.linalg.norm(x, order), np.zeros(0))
    check(lambda xp, x: xp.linalg.norm(x, "fro"), np.zeros((0, 2)))


def test_norms_that_are_none() -> None:
    for keywords, error in (
        ({"ord": "fro"}, "Invalid norm order 'fro' for vectors"),
        ({"axis": (0, 1, 2)}, "Improper number of dimensions"),
        ({"axis": (0, 0)}, "Duplicate axes"),
    ):
        x = random(3) if "ord" in keywords else random(2, 2, 2)
        with pytest.raises(ValueError, match=error):
            ga.trace(lambda t, keywords=keywords: np.linalg.norm(t, **keywords), x)


# Products


def test_products_by_their_names_in_linalg() -> None:
    check(lambda xp, x, y: xp.linalg.outer(x, y), random(3), random(2))
    check(lambda xp, x, y: xp.linalg.tensordot(x, y, axes=1), random(2, 3), random(3, 2))
    check(lambda xp, x, y: xp.linalg.vecdot(x, y), random(2, 3), random(3))
    check(lambda xp, x, y: xp.linalg.cross(x, y), random(2, 3), random(3))
    with pytest.raises(OpTypeError, match="two vectors"):
        ga.trace(lambda x: np.linalg.outer(x, x), random(2, 2))


@pytest.mark.parametrize(
    "shapes",
    [((2, 3), (3, 4)), ((2, 3), (3, 4), (4, 5)), ((3,), (3, 4), (4,)), ((2, 3), (3, 4), (4, 5), (5,)), ((3,), (3,))],
    ids=str,
)
def test_multi_dot(shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [random(*shape, seed=k) for k, shape in enumerate(shapes)]
    check(lambda xp, *factors: xp.linalg.multi_dot(factors), *arrays)
    ga.check_grads(lambda *factors: np.linalg.multi_dot(factors), arrays)


def test_multi_dot_takes_the_cheap_order() -> None:
    a, b = random(40, 1), random(1, 40)
    graph = ga.trace(lambda x, y, z: np.linalg.multi_dot([x, y, z]), a, b, a)
    assert max(np.prod(node.types[0].shape) for node in graph.nodes if node.op.name == "matmul") <= 40


def test_cross() -> None:
    check(lambda xp, x, y: xp.cross(x, y), random(3), random(4, 3))
    check(lambda xp, x, y: xp.cross(x, y, axis=0), random(3, 4), random(3, 4))
    check(lambda xp, x, y: xp.cross(x, y, axisa=0, axisb=1, axisc=0), random(3, 4), random(4, 3))
    ga.check_grads(np.cross, (random(2, 3), random(3)))


@pytest.mark.filterwarnings("ignore:Arrays of 2-dimensional vectors:DeprecationWarning")
def test_cross_of_vectors_in_the_plane() -> None:
    for m, n in ((2, 2), (2, 3), (3, 2)):
        check(lambda xp, x, y: xp.cross(x, y), random(4, m), random(n))


# Refusals


def test_every_name_of_numpys_namespace_has_a_meaning() -> None:
    names = [name for name in np.linalg.__all__ if callable(getattr(np.linalg, name)) and name != "LinAlgError"]
    assert all(hasattr(gnp.linalg, name) for name in names)
    assert all(getattr(np.linalg, name) in FUNCTIONS for name in names)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: np.linalg.qr(x, mode="raw"), "raw"),
    ],
)
def test_what_cannot_be_traced(function: Any, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        ga.trace(function, random(2, 2))


@pytest.mark.parametrize(
    "function", [np.linalg.inv, np.linalg.det, np.linalg.cholesky, np.linalg.eigh], ids=lambda f: f.__name__
)
def test_matrices_that_are_not_square(function: Any) -> None:
    with pytest.raises(OpTypeError, match="square"):
        ga.trace(function, random(2, 3))
    with pytest.raises(OpTypeError, match="matrix"):
        ga.trace(function, random(3))


def test_named_sizes() -> None:
    n = ga.dim("n")
    graph = ga.trace(lambda a, b: (np.linalg.solve(a, b), np.linalg.slogdet(a)[1]), ga.spec((n, n)), ga.spec((n,)))
    for size in (1, 4):
        a, b = regular(size, size), random(size)
        x, logarithm = graph(a, b)
        np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-12)
        np.testing.assert_allclose(logarithm, np.linalg.slogdet(a)[1], rtol=1e-12)


def test_vmap_of_a_likelihood() -> None:
    def likelihood(a: Any, y: Any) -> Any:
        factor = np.linalg.cholesky(a)
        return np.sum(np.linalg.solve(factor, y) ** 2) + 2 * np.sum(np.log(np.diagonal(factor)))

    a, y = definite(3, 4, 4), random(3, 4)
    found = ga.vmap(ga.grad(likelihood))(a, y)
    np.testing.assert_allclose(found, [gradient(lambda x, k=k: likelihood(x, y[k]), a[k]) for k in range(3)], rtol=1e-9)
