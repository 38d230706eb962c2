"""Complex numbers: NumPy's functions on traced arrays against NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphad as ga
import graphad.numpy as gnp
from tests.numpy.comparing import assert_same, check, random


def numbers(*shape: int, dtype: str = "complex128", seed: int = 0) -> np.ndarray:
    return np.asarray(random(*shape, seed=seed) + 1j * random(*shape, seed=seed + 1)).astype(dtype)


UNARY = [
    "negative",
    "positive",
    "absolute",
    "conjugate",
    "real",
    "imag",
    "angle",
    "square",
    "reciprocal",
    "sqrt",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "sign",
    "rint",
    "isnan",
    "isinf",
    "isfinite",
    "isreal",
    "iscomplex",
    "logical_not",
    "sum",
    "prod",
    "cumsum",
    "mean",
    "var",
    "std",
    "max",
    "min",
    "argmax",
    "argmin",
    "any",
    "all",
    "sinc",
    "nan_to_num",
    "round",
]
BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "float_power",
    "equal",
    "not_equal",
    "less",
    "greater_equal",
    "maximum",
    "minimum",
    "fmax",
    "logical_and",
    "dot",
    "vdot",
    "inner",
    "outer",
    "kron",
    "isclose",
    "allclose",
    "array_equal",
]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_array(name: str, dtype: str) -> None:
    graph = check(lambda n, z: getattr(n, name)(z), numbers(5, dtype="complex128"))
    found = ga.trace(lambda z: getattr(np, name)(z), numbers(5, dtype=dtype))
    assert found.output_types[0].dtype == getattr(np, name)(numbers(5, dtype=dtype)).dtype
    assert ga.parse(str(graph)) == graph


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_arrays(name: str) -> None:
    z, w, x = numbers(5), numbers(5, seed=4), random(5, low=0.2)
    for a, b in ((z, w), (z, x), (x, z), (z, z)):
        check(lambda n, a, b: getattr(n, name)(a, b), a, b)


def test_products_and_contractions() -> None:
    a, b = numbers(3, 4), numbers(4, 2, seed=2)
    check(lambda n, a, b: (a @ b, n.matmul(a, b), n.einsum("ij,jk->ki", a, b), n.tensordot(a, b, 1)), a, b)
    check(lambda n, a: (n.vdot(a, a), n.inner(a, a), n.einsum("ij,ij", a, a), n.trace(a @ a.T)), a)
    check(lambda n, a, x: (a @ x, n.dot(x.T, a.T)), a, random(4, 3))


def test_shapes_and_choices() -> None:
    check(
        lambda n, z: (
            z.T,
            z.reshape(2, 6),
            z[1:, ::-1],
            n.concatenate([z, z.real]),
            n.stack([z, z.conj()]),
            n.where(z.real > 0, z, 0),
            n.pad(z, 1),
            n.roll(z, 1),
            n.diff(z),
            n.tril(z),
            z[n.array([0, 2]) if n is np else np.array([0, 2])],
        ),
        numbers(3, 4),
    )
    graph = ga.trace(lambda z: z.at[0].set(1j).at[1].add(z[0]).at[2].divide(2j), numbers(3))
    z = numbers(3)
    assert_same(graph(z), np.array([1j, z[1] + z[0], z[2] / 2j]))


def test_python_numbers_are_weak() -> None:
    for x, wanted in (
        (random(3, dtype="float32"), "complex64"),
        (random(3), "complex128"),
        (np.arange(3), "complex128"),
    ):
        graph = check(lambda n, x: x * 2j + (1 - 1j), x)
        assert graph.output_types[0].dtype == wanted
    for z in (numbers(3, dtype="complex64"),):
        for function in (lambda z: z * 2.0, lambda z: z**2, lambda z: z**0.5, lambda z: 1 / z, lambda z: z**1.5):
            assert ga.trace(function, z).output_types[0].dtype == "complex64"
    scalar = ga.trace(lambda z, x: z * x, 1j, random(2, dtype="float32"))
    assert scalar.output_types[0].dtype == "complex64"
    assert scalar(2j, np.ones(2, "float32")).tolist() == [2j, 2j]
    assert ga.jit(lambda z: z * z)(1j) == -1


def test_methods_and_attributes() -> None:
    check(
        lambda n, z: (z.real, z.imag, z.conj(), z.conjugate(), abs(z), z.sum(), z.mean(0), z.std(), +z, -z),
        numbers(3, 2),
    )
    graph = ga.trace(lambda z: z * np.iscomplexobj(z) * (1 + np.isrealobj(z)), numbers(2))
    assert_same(graph(numbers(2)), numbers(2))


def test_sign_at_zero_and_angle_in_degrees() -> None:
    z = np.array([0j, 3 + 4j, -2, 1e-300j])
    check(lambda n, z: n.sign(z), z)
    check(lambda n, z: (n.angle(z, deg=True), n.angle(z.real)), z)


def test_casts() -> None:
    z = numbers(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(ga.trace(lambda z: (z.astype("complex64"), z.astype(bool)), z)(z), (z.astype("c8"), z.astype(bool)))
    with pytest.warns(np.exceptions.ComplexWarning):
        graph = ga.trace(lambda z: z.astype(float), z)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(graph(z), z.real)
        assert_same(ga.optimize(graph)(z), z.real)


def test_arguments() -> None:
    graph = ga.trace(lambda z: z + 1, numbers(2))
    assert_same(graph(np.ones(2)), np.ones(2) + (1 + 0j))
    real = ga.trace(lambda x: x + 1, random(2))
    with pytest.raises(ga.GraphadError, match="must be f64"):
        real(numbers(2))
    number = ga.trace(lambda x: x + 1, 1.0)
    with pytest.raises(ga.GraphadError, match="the complex"):
        number(1j)


def test_eager() -> None:
    z = ga.tensor([1 + 2j, 3j], requires_grad=True)
    loss = (abs(z) ** 2).sum()
    loss.backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * np.conj([1 + 2j, 3j]))
    assert complex(ga.tensor(2j)) == 2j
    assert_same(gnp.real(z).numpy(), np.array([1.0, 0.0]))


@pytest.mark.parametrize("name", ["floor", "cbrt", "arctan2", "hypot", "logaddexp", "fmod", "floor_divide", "isposinf"])
def test_functions_of_real_numbers_only(name: str) -> None:
    count = getattr(np, name).nin if isinstance(getattr(np, name), np.ufunc) else 1
    with pytest.raises(ga.GraphadError, match="not defined"):
        ga.trace(lambda z: getattr(np, name)(*[z] * count), numbers(2))


SAMPLED = {
    "cov": lambda n, z: (n.cov(z), n.corrcoef(z)),
    "interp": lambda n, z: n.interp([0.5, 1.5, 9.0], [0.0, 1.0, 2.0, 3.0], z[0], right=1j),
    "gradient": lambda n, z: (n.gradient(z, axis=1), n.gradient(z[0], 0.5), n.trapezoid(z[0])),
    "missing": lambda n, z: (n.nansum(z), n.nanmean(z, 0), n.nanvar(z), n.nanstd(z), n.nanmax(z, 1)),
    "order": lambda n, z: (n.sort(z), n.argsort(z), n.median(z, 0), n.searchsorted(n.sort(z[0]), z[1])),
    "signals": lambda n, z: (n.convolve(z[0], z[1]), n.correlate(z[0], z[1], "full"), n.cumprod(z, 1)),
    "linspace": lambda n, z: n.linspace(z[0], z[1], 3),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_functions_of_samples(name: str) -> None:
    check(SAMPLED[name], numbers(3, 4))


def test_ldexp_is_refused() -> None:
    with pytest.raises(ga.GraphadError, match=r"ldexp is not defined for \(complex128"):
        ga.trace(lambda z: np.ldexp(z, 2), numbers(2))
