"""graphad.linalg: SciPy's names against SciPy, derivatives to second order."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import graphad as ga
from graphad.ir.errors import MissingExtraError, OpTypeError
from graphad.ir.samples import positive_definite, well_conditioned
from graphad.ops.solving import BLOCK, TriangularSolve

Array = np.ndarray[Any, Any]


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-2, 2, shape)


def regular(*shape: int) -> Array:
    return well_conditioned(*shape).draw(np.random.default_rng(0))


def definite(*shape: int) -> Array:
    return positive_definite(*shape).draw(np.random.default_rng(0))


def run(function: Any, *arrays: Array) -> Any:
    return ga.trace(function, *arrays)(*arrays)


# Exponential


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4), (1, 1), (5, 0, 0)], ids=str)
@pytest.mark.parametrize("size", [0.0, 1e-8, 1.0, 30.0])
def test_expm(shape: tuple[int, ...], size: float) -> None:
    a = size * random(*shape)
    expected = scipy.linalg.expm(a)
    np.testing.assert_allclose(
        run(ga.linalg.expm, a), expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max(initial=1)
    )


def test_expm_of_matrices_whose_exponential_is_known() -> None:
    angle = 0.7
    turn = angle * np.array([[0.0, -1.0], [1.0, 0.0]])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(run(ga.linalg.expm, turn), rotation, rtol=1e-14)
    nilpotent = np.triu(random(3, 3), 1)
    np.testing.assert_allclose(
        run(ga.linalg.expm, nilpotent), np.eye(3) + nilpotent + nilpotent @ nilpotent / 2, rtol=1e-14, atol=1e-15
    )


def test_derivatives_of_expm() -> None:
    ga.check_grads(ga.linalg.expm, (random(3, 3),), order=3)
    ga.check_grads(ga.linalg.expm, (np.zeros((2, 2)),))
    ga.check_grads(lambda t: ga.linalg.expm(t * np.array([[0.0, -1.0], [1.0, 0.0]])), (0.3,))


def test_the_derivative_of_expm_is_linear_in_the_direction_whatever_its_size() -> None:
    a, e = random(3, 3), random(3, 3, seed=1)
    _, along = ga.jvp(ga.linalg.expm, (a,), (e,))
    for size in (1e12, 1e-200, 0.0):
        np.testing.assert_allclose(ga.jvp(ga.linalg.expm, (a,), (size * e,))[1], size * along, rtol=1e-12)
    np.testing.assert_allclose(along, scipy.linalg.expm_frechet(a, e)[1], rtol=1e-12)


# LU


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 3), (2, 2, 3), (1, 1), (0, 0), (3, 0)], ids=str)
def test_lu(shape: tuple[int, ...]) -> None:
    a = regular(*shape)
    p, l, u = run(ga.linalg.lu, a)  # noqa: E741  # the factor's name
    k = min(shape[-2:])
    assert l.shape == (*shape[:-1], k) and u.shape == (*shape[:-2], k, shape[-1])
    np.testing.assert_allclose(p @ l @ u, a, atol=1e-14)
    pl, u = run(lambda x: ga.linalg.lu(x, permute_l=True), a)
    np.testing.assert_allclose(pl @ u, a, atol=1e-14)
    rows, l, u = run(lambda x: ga.linalg.lu(x, p_indices=True), a)  # noqa: E741
    np.testing.assert_allclose(np.take_along_axis(l, rows[..., None], -2) @ u, a, atol=1e-14)
    if a.size:
        for ours, theirs in zip((p, l, u), scipy.linalg.lu(a), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-14)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 2, 3)], ids=str)
def test_derivatives_of_lu(shape: tuple[int, ...]) -> None:
    ga.check_grads(lambda x: ga.linalg.lu(x)[1:], (regular(*shape),))
    ga.check_grads(lambda x: ga.linalg.lu(x, permute_l=True), (regular(*shape),))


@pytest.mark.parametrize(("a", "b"), [((3, 3), (3,)), ((3, 3), (3, 2)), ((2, 3, 3), (2, 3, 1))], ids=str)
@pytest.mark.parametrize("trans", [0, 1])
def test_lu_solve(a: tuple[int, ...], b: tuple[int, ...], trans: int) -> None:
    arrays = regular(*a), random(*b)

    def solve(x: Any, y: Any) -> Any:
        return ga.linalg.lu_solve(ga.linalg.lu_factor(x), y, trans)

    matrix = np.swapaxes(arrays[0], -1, -2) if trans else arrays[0]
    np.testing.assert_allclose(run(solve, *arrays), np.linalg.solve(matrix, arrays[1]), rtol=1e-12)
    ga.check_grads(solve, arrays)


def test_lu_factor_takes_square_matrices() -> None:
    with pytest.raises(OpTypeError, match="square"):
        ga.trace(ga.linalg.lu_factor, random(3, 2))


def test_lu_without_scipy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = ga.trace(ga.linalg.lu, random(2, 2))
    monkeypatch.setitem(sys.modules, "scipy.linalg", None)
    with pytest.raises(MissingExtraError, match=r"graphad\[scipy\]"):
        graph(random(2, 2))


# Triangles


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("trans", [0, 1, "N", "T", "C"])
def test_solve_triangular(trans: int | str, lower: bool, unit: bool) -> None:
    a, b = random(4, 4) + 3 * np.eye(4), random(4, 2)

    def solve(x: Any, y: Any) -> Any:
        return ga.linalg.solve_triangular(x, y, trans, lower, unit)

    for columns in (b, b[:, 0]):
        expected = scipy.linalg.solve_triangular(a, columns, trans, lower, unit_diagonal=unit)
        np.testing.assert_allclose(run(solve, a, columns), expected, rtol=1e-12)
        ga.check_grads(solve, (a, columns))


@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_triangles_larger_than_a_block(n: int, lower: bool, unit: bool) -> None:
    rng = np.random.default_rng(n)
    a = rng.uniform(-1, 1, (2, n, n)) / n + np.eye(n)
    b = rng.uniform(-1, 1, (2, n, 3))
    other = np.triu(np.full((n, n), np.nan), 1)  # is not read
    a = a + (other if lower else other.T)
    found = TriangularSolve(lower, unit).evaluate(a, b)
    for k in range(2):
        expected = scipy.linalg.solve_triangular(np.nan_to_num(a[k]), b[k], lower=lower, unit_diagonal=unit)
        np.testing.assert_allclose(found[k], expected, rtol=1e-10, atol=1e-12)


def test_a_singular_triangle_raises_before_anything_is_written() -> None:
    out = np.full((3, 1), 7.0)
    singular = np.diag([0.0, 1.0, 2.0])
    with pytest.raises(np.linalg.LinAlgError):
        TriangularSolve(lower=False).evaluate_into((out,), singular, np.ones((3, 1)))
    assert (out == 7).all()
    np.testing.assert_array_equal(TriangularSolve(lower=False, unit=True).evaluate(singular, out), out)


def test_solve_triangular_of_an_unknown_transposition() -> None:
    with pytest.raises(ValueError, match="trans"):
        ga.trace(lambda a: ga.linalg.solve_triangular(a, a, "X"), random(2, 2))


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("columns", [(), (2,)], ids=str)
def test_cho_solve(lower: bool, columns: tuple[int, ...]) -> None:
    a, b = definite(3, 3), random(3, *columns)

    def solve(x: Any, y: Any) -> Any:
        return ga.linalg.cho_solve(ga.linalg.cho_factor(x, lower), y)

    np.testing.assert_allclose(run(solve, a, b), np.linalg.solve(a, b), rtol=1e-12)
    ga.check_grads(solve, (a, b))


# House


def test_the_namespace_loads_on_first_use() -> None:
    code = "import sys, graphad as ga; print('graphad.linalg' in sys.modules, ga.linalg.expm, 'scipy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("False <function expm") and done.stdout.strip().endswith("False")


def test_optimised_and_compiled_derivatives_agree() -> None:
    def function(a: Any, b: Any) -> Any:
        factor = np.linalg.cholesky(a)
        x = ga.linalg.solve_triangular(factor, b, lower=True)
        return np.sum(x**2) + np.linalg.slogdet(a)[1] + np.sum(ga.linalg.expm(0.1 * a)) + np.linalg.norm(a, "nuc")

    arrays = definite(4, 4), random(4)
    expected = ga.value_and_grad(function)(*arrays)
    graph = ga.value_and_grad(ga.trace(function, *arrays))
    for found in (ga.compile(ga.optimize(graph))(*arrays), ga.jit(ga.value_and_grad(function))(*arrays)):
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_printed_ops_parse_where_nothing_else_has_loaded_them() -> None:
    text = str(ga.trace(np.linalg.cholesky, np.eye(2)))
    code = f"import graphad as ga; print(ga.parse({text!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "cholesky %" in done.stdout
