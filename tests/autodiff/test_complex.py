"""Derivatives by and of complex numbers: the convention, every mode, and what is refused."""

from __future__ import annotations

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import DerivativeError

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(3, 2)) + 1j * RNG.normal(size=(3, 2))
W = RNG.normal(size=(2, 3)) + 1j * RNG.normal(size=(2, 3))
X = RNG.uniform(0.5, 2, size=(3, 2))

REAL_VALUED = {
    "norm": lambda np, z: np.sum(np.abs(z) ** 2),
    "real of analytic": lambda np, z: np.real(np.sum(np.sin(z) * np.exp(z) / (z + 3))),
    "imaginary": lambda np, z: np.imag(np.sum(z**3)),
    "angle": lambda np, z: np.sum(np.angle(z)),
    "products": lambda np, z: np.real(np.sum(np.dot(z, np.conj(z).T) ** 2)),
    "fft": lambda np, z: np.sum(np.abs(np.fft.fft(z, axis=0)) ** 3),
    "logarithm": lambda np, z: np.sum(np.abs(np.log(z)) + np.real(np.sqrt(z))),
}


@pytest.mark.parametrize("name", REAL_VALUED)
def test_gradients_are_those_of_autograd(name):
    function = REAL_VALUED[name]
    wanted = autograd.grad(lambda z: function(anp, z))(Z)
    np.testing.assert_allclose(ga.grad(lambda z: function(np, z))(Z), wanted, rtol=1e-9)


def test_the_gradient_is_that_by_x_minus_i_times_that_by_y():
    def function(z):
        return np.real(z**2) + 3 * np.imag(z)

    by_x, by_y = ga.grad(lambda x, y: function(x + 1j * y), argnums=(0, 1))(1.2, -0.7)
    assert ga.grad(function)(1.2 - 0.7j) == pytest.approx(by_x - 1j * by_y)


def test_descent_goes_along_the_conjugate():
    z, loss = 1 + 1j, lambda z: np.abs(z - (2 - 3j)) ** 2
    for _ in range(100):
        z = z - 0.1 * np.conj(ga.grad(loss)(z))
    assert abs(z - (2 - 3j)) < 1e-8


SMOOTH = {
    "elementwise": (lambda z: np.exp(z) * np.sin(z) / (z + 4) + z**2.5 - np.tanh(z / 4), (Z,)),
    "parts": (lambda z: (z.real * z.imag, np.conj(z) * z, abs(z), np.angle(z), np.sign(z)), (Z,)),
    "mixed": (lambda z, x: (z * x, x**z, z**x, z + x, np.where(x > 1, z, x)), (Z, X)),
    "products": (lambda z, w: (z @ w, np.vdot(z, w.T), np.einsum("ij,jk->k", z, w)), (Z, W)),
    "reductions": (lambda z: (np.sum(z, 0), np.prod(z), np.mean(z), np.var(z), np.std(z, 0), np.cumsum(z, 1)), (Z,)),
    "casts": (lambda x: (x * 1j).real + np.imag(x.astype(complex) ** 2 * 1j), (X,)),
    "shapes": (lambda z: (z.T[::-1], np.concatenate([z, z.real]), np.max(z, 0), np.sinc(z)), (Z,)),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_all_modes_to_second_order(name):
    function, arguments = SMOOTH[name]
    ga.check_grads(function, arguments)


def test_check_grads_sees_a_wrong_conjugate():
    @ga.custom_vjp
    def wrong(z):
        return z * z

    wrong.defvjp(lambda z: (z * z, z), lambda z, g: (g * 2 * np.conj(z),))
    with pytest.raises(ga.GraphadError, match="VJP"):
        ga.check_grads(wrong, (Z,), order=1, modes=("rev",))


def test_holomorphic():
    z = 0.3 + 0.8j
    assert ga.grad(lambda z: z**3, holomorphic=True)(z) == pytest.approx(3 * z**2)
    assert ga.value_and_grad(np.exp, holomorphic=True)(z)[1] == pytest.approx(np.exp(z))
    v = Z[:, 0]
    for jacobian in (ga.jacobian, ga.jacfwd, ga.jacrev):
        np.testing.assert_allclose(jacobian(lambda v: v * v, holomorphic=True)(v), np.diag(2 * v), atol=1e-14)
    found = ga.hessian(lambda v: np.sum(v**3), holomorphic=True)(v)
    np.testing.assert_allclose(found, np.diag(6 * v), atol=1e-13)
    graph = ga.trace(lambda z: z * z, 1j)
    assert ga.grad(graph, holomorphic=True)(2j) == 4j


def test_jacobians_of_one_real_side():
    columns = ga.jacobian(lambda x: np.exp(1j * x))(X[:, 0])  # forward
    np.testing.assert_allclose(columns, np.diag(1j * np.exp(1j * X[:, 0])), atol=1e-14)
    rows = ga.jacobian(lambda z: np.abs(z) ** 2)(Z[:, 0])  # reverse
    np.testing.assert_allclose(rows, np.diag(2 * np.conj(Z[:, 0])), atol=1e-13)


def test_vjp_jvp_and_vmap():
    value, pull = ga.vjp(lambda z: z * z, Z)
    np.testing.assert_allclose(value, Z * Z)
    np.testing.assert_allclose(pull(Z.conj())[0], 2 * Z * Z.conj())  # no conjugate: the map is complex-linear
    _, pushed = ga.jvp(np.abs, (Z,), (1j * Z,))
    np.testing.assert_allclose(pushed, 0, atol=1e-14)
    gradients = ga.vmap(ga.grad(lambda z: np.sum(np.abs(z) ** 2)))(Z)
    np.testing.assert_allclose(gradients, 2 * Z.conj())
    vector = np.ones(3)
    (product,) = ga.hvp(lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2), (X[:, 0],), (vector,))
    hessian = ga.hessian(lambda x: np.sum(np.abs(np.exp(1j * x) + x) ** 2))(X[:, 0])
    np.testing.assert_allclose(product, hessian @ vector)


def test_derivatives_at_zero_are_zero():
    assert ga.grad(lambda z: np.abs(z))(0j) == 0
    assert ga.grad(lambda z: np.angle(z))(0j) == 0
    assert np.isfinite(ga.grad(lambda z: np.real(np.sign(z)))(0j))


@pytest.mark.parametrize(
    ("transform", "function", "argument", "text"),
    [
        (ga.grad, lambda z: z * z, 1j, "holomorphic=True"),
        (lambda f: ga.grad(f, holomorphic=True), lambda x: x * x, 1.0, "needs complex arguments"),
        (lambda f: ga.grad(f, holomorphic=True), lambda z: abs(z), 1j, "needs complex arguments and values"),
        (ga.jacfwd, lambda z: abs(z), 1j, "jacrev"),
        (ga.jacrev, lambda x: x * 1j, 1.0, "jacfwd"),
        (ga.jacobian, lambda z: z * z, 1j, "no single complex"),
        (ga.hessian, lambda z: abs(z) ** 2, 1j, "no single complex"),
    ],
)
def test_refusals(transform, function, argument, text):
    with pytest.raises(DerivativeError) as caught:
        transform(function)(argument)
    assert text in str(caught.value)
