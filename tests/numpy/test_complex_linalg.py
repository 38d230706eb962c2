"""Linear algebra of complex matrices, and the complex eigenvalues of real ones: values, and derivatives of what does
not depend on the phases that LAPACK gives vectors.
"""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from tests.numpy.comparing import assert_same, check

RNG = np.random.default_rng(3)


def numbers(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


A = numbers(3, 3) + 2 * np.eye(3)
B = numbers(3, 2)
REAL = RNG.normal(size=(3, 3))
HERMITIAN = A @ A.conj().T
TALL = numbers(4, 2)
WIDE = numbers(2, 4)

VALUES = {
    "solve": (lambda np, a, b: np.linalg.solve(a, b), (A, B)),
    "solve of real by complex": (lambda np, a, b: np.linalg.solve(a, b), (REAL, B)),
    "inv": (lambda np, a: np.linalg.inv(a), (A,)),
    "pinv": (lambda np, a: np.linalg.pinv(a), (TALL,)),
    "det": (lambda np, a: np.linalg.det(a), (A,)),
    "slogdet": (lambda np, a: tuple(np.linalg.slogdet(a)), (A,)),
    "cholesky": (lambda np, a: np.linalg.cholesky(a), (HERMITIAN,)),
    "upper cholesky": (lambda np, a: np.linalg.cholesky(a, upper=True), (HERMITIAN,)),
    "qr": (lambda np, a: tuple(np.linalg.qr(a)), (TALL,)),
    "qr of wide": (lambda np, a: tuple(np.linalg.qr(a)), (WIDE,)),
    "svd": (lambda np, a: tuple(np.linalg.svd(a, full_matrices=False)), (TALL,)),
    "svdvals": (lambda np, a: np.linalg.svd(a, compute_uv=False), (WIDE,)),
    "eigh": (lambda np, a: tuple(np.linalg.eigh(a)), (HERMITIAN,)),
    "eigh of the upper triangle": (lambda np, a: tuple(np.linalg.eigh(a, "U")), (HERMITIAN,)),
    "eigvalsh": (lambda np, a: np.linalg.eigvalsh(a, "U"), (HERMITIAN,)),
    "eig": (lambda np, a: tuple(np.linalg.eig(a)), (A,)),
    "eigvals": (lambda np, a: np.linalg.eigvals(a), (A,)),
    "norms": (lambda np, a: [np.linalg.norm(a, p) for p in (None, "fro", "nuc", 1, 2, -1, np.inf)], (A,)),
    "vector norms": (lambda np, a: [np.linalg.norm(a, p, axis=0) for p in (None, 0, 1, 2, 3, np.inf)], (B,)),
    "powers": (lambda np, a: (np.linalg.matrix_power(a, 3), np.linalg.matrix_power(a, -2)), (A,)),
    "lstsq": (lambda np, a, b: np.linalg.lstsq(a, b)[0], (numbers(4, 3), numbers(4))),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    function, arguments = VALUES[name]
    check(function, *arguments, tolerance=1e-10)


SMOOTH = {
    "solve": (lambda a, b: np.linalg.solve(a, b), (A, B)),
    "inv": (np.linalg.inv, (A,)),
    "pinv": (np.linalg.pinv, (TALL,)),
    "det": (np.linalg.det, (A,)),
    "slogdet": (lambda a: tuple(np.linalg.slogdet(a)), (A,)),
    "cholesky": (np.linalg.cholesky, (HERMITIAN,)),
    "qr": (lambda a: tuple(np.linalg.qr(a)), (TALL,)),
    "qr of wide": (lambda a: tuple(np.linalg.qr(a)), (WIDE,)),
    "svdvals": (np.linalg.svdvals, (TALL,)),
    "eigvalsh": (np.linalg.eigvalsh, (HERMITIAN,)),
    "eigvals": (np.linalg.eigvals, (A,)),
    "eigvals of real": (np.linalg.eigvals, (REAL,)),
    "norms": (lambda a: [np.linalg.norm(a), np.linalg.norm(a, "nuc"), np.linalg.norm(a, 2)], (A,)),
}
# Of vectors, what does not depend on their phases; first derivatives are right (see graphad.ops.spectral).
FREE_OF_PHASE = {
    "svd": (lambda a: (lambda u, s, vh: (abs(u) ** 2, abs(vh) ** 2, (u * s**2) @ vh))(*_svd(a)), (TALL,)),
    "svd of wide": (lambda a: (lambda u, s, vh: (abs(u) ** 2, abs(vh), (u / s) @ vh))(*_svd(a)), (WIDE,)),
    "eigh": (
        lambda a: (lambda w, v: (abs(v) ** 2, (v * np.exp(w / 9)) @ np.conj(v).T))(*np.linalg.eigh(a)),
        (HERMITIAN,),
    ),
    "eig": (lambda a: (lambda w, v: (abs(v), (v * w**2) @ np.linalg.inv(v)))(*np.linalg.eig(a)), (A,)),
    "eig of real": (lambda a: (lambda w, v: (abs(v), (v * np.exp(w)) @ np.linalg.inv(v)))(*np.linalg.eig(a)), (REAL,)),
    "complete qr": (lambda a: (lambda q: q[:, 2:] @ np.conj(q[:, 2:]).T)(np.linalg.qr(a, "complete")[0]), (TALL,)),
}


def _svd(a: object) -> tuple:
    return tuple(np.linalg.svd(a, full_matrices=False))  # type: ignore[call-overload]


@pytest.mark.parametrize("name", SMOOTH)
def test_derivatives(name: str) -> None:
    function, arguments = SMOOTH[name]
    ga.check_grads(function, arguments, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FREE_OF_PHASE)
def test_derivatives_of_what_does_not_depend_on_phases(name: str) -> None:
    function, arguments = FREE_OF_PHASE[name]
    ga.check_grads(function, arguments, order=1, rtol=1e-4, atol=1e-4)


def test_expm_and_lu() -> None:
    from scipy.linalg import expm

    assert_same(ga.trace(ga.linalg.expm, A)(A), expm(A), 1e-10)
    ga.check_grads(ga.linalg.expm, (A / 2,), rtol=1e-4, atol=1e-4)
    ga.check_grads(lambda a: ga.linalg.lu(a)[1:], (A,), rtol=1e-4, atol=1e-4)


def test_eigenvalues_of_real_matrices_are_complex() -> None:
    symmetric = REAL + REAL.T
    w, v = ga.trace(np.linalg.eig, symmetric)(symmetric)
    assert w.dtype == v.dtype == np.complex128
    np.testing.assert_allclose(symmetric @ v, v * w, atol=1e-12)
    single = ga.trace(np.linalg.eigvals, REAL.astype("float32"))
    assert single.output_types[0].dtype == np.complex64
    gradient = ga.grad(lambda a: np.sum(np.abs(np.linalg.eigvals(a)) ** 2))(REAL)
    assert gradient.dtype == np.float64


def test_batches() -> None:
    stack = numbers(4, 3, 3)
    for function in (np.linalg.inv, np.linalg.det, np.linalg.eigvals):
        assert_same(ga.vmap(function)(stack), function(stack), 1e-10)
