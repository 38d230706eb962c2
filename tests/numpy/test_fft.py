"""`np.fft` on traced arrays: values and dtypes against NumPy, derivatives, symbolic sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphad as ga
import graphad.numpy as gnp
from tests.numpy.comparing import assert_same, check, random

NORMS = (None, "backward", "ortho", "forward")
ONE_AXIS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
MANY_AXES = ("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn")
OF_REALS = ("rfft", "ihfft", "rfft2", "rfftn")


def operand(name: str, *shape: int) -> np.ndarray:
    x = random(*shape)
    return x if name in OF_REALS else x + 1j * random(*shape, seed=1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
@pytest.mark.parametrize("keywords", [{}, {"n": 3}, {"n": 4}, {"n": 9}, {"axis": 0}, {"n": 6, "axis": -2}])
def test_one_axis(name: str, norm: str | None, keywords: dict[str, int]) -> None:
    check(lambda n, x: getattr(n.fft, name)(x, norm=norm, **keywords), operand(name, 4, 5))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", MANY_AXES)
@pytest.mark.parametrize(
    "keywords", [{}, {"axes": (0, 1)}, {"s": (3, 7), "axes": (2, 0)}, {"s": (-1, 4), "axes": (0, 1)}]
)
def test_many_axes(name: str, norm: str | None, keywords: dict[str, object]) -> None:
    check(lambda n, x: getattr(n.fft, name)(x, norm=norm, **keywords), operand(name, 3, 4, 5))


def test_an_axis_named_twice_and_no_axes() -> None:
    z = operand("fft", 3, 4)
    check(lambda n, x: n.fft.fftn(x, axes=(1, 0, 1)), z)
    check(lambda n, x: n.fft.ifftn(x, axes=()), z)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int64", "bool", "complex64"])
def test_dtypes(dtype: str) -> None:
    x = random(6, dtype=dtype)
    for name in ("fft", "ifft", "irfft", "hfft", *(("rfft", "ihfft") if dtype != "complex64" else ())):
        expected = getattr(np.fft, name)(x)
        found = ga.trace(lambda t, name=name: getattr(np.fft, name)(t), x)(x)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-2 if dtype == "float16" else 1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies(n: int) -> None:
    for name in ("fftfreq", "rfftfreq"):
        found = ga.trace(lambda d, name=name: getattr(gnp.fft, name)(n, d), 0.3)(0.3)
        assert_same(found, getattr(np.fft, name)(n, 0.3))
        assert_same(getattr(gnp.fft, name)(n).value.node is not None, True)


def test_shifts() -> None:
    x = random(3, 4, 5)
    for axes in (None, 1, (0, -1)):
        check(lambda n, x, axes=axes: (n.fft.fftshift(x, axes), n.fft.ifftshift(x, axes)), x)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 12), norm=st.sampled_from(NORMS), seed=st.integers(0, 99))
def test_inverses_undo(n: int, norm: str | None, seed: int) -> None:
    x = random(2, n, seed=seed)
    z = x + 1j * random(2, n, seed=seed + 1)

    def both(x: object, z: object) -> object:
        real = np.fft.irfft(np.fft.rfft(x, norm=norm), n, norm=norm)
        return (
            real,
            np.fft.ifft(np.fft.fft(z, norm=norm), norm=norm),
            np.fft.hfft(np.fft.ihfft(x, norm=norm), n, norm=norm),
        )

    assert_same(ga.trace(both, x, z)(x, z), (x, z, x), 1e-11)


@pytest.mark.parametrize("name", [*ONE_AXIS, *MANY_AXES])
@pytest.mark.parametrize("norm", [None, "ortho"])
def test_derivatives(name: str, norm: str | None) -> None:
    ga.check_grads(lambda x: getattr(np.fft, name)(x, norm=norm), (operand(name, 3, 4),))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7])
def test_derivatives_of_odd_and_even_lengths(n: int) -> None:
    ga.check_grads(lambda x: np.fft.rfft(x, n), (random(5),))
    ga.check_grads(lambda z: np.fft.irfft(z, n) + np.fft.hfft(z, n), (operand("irfft", 4),))


def test_power_spectrum_agrees_with_parseval() -> None:
    x = random(8)

    def energy(x: object) -> object:
        return np.sum(np.abs(np.fft.fft(x)) ** 2) / 8

    np.testing.assert_allclose(ga.grad(energy)(x), 2 * x, rtol=1e-12)
    np.testing.assert_allclose(ga.hessian(energy)(x), 2 * np.eye(8), atol=1e-12)
    batched = ga.vmap(ga.grad(energy))(np.stack([x, 2 * x]))
    np.testing.assert_allclose(batched, np.stack([2 * x, 4 * x]), rtol=1e-12)


def test_symbolic_sizes_are_assumed_even_where_half_of_them_is_asked_for() -> None:
    graph = ga.trace(
        lambda x: (np.fft.irfft(np.fft.rfft(x)) + np.fft.fft(x, norm="ortho").real, np.fft.fftshift(x)),
        ga.spec((ga.dim("n"),)),
    )
    x = random(6)
    expected = np.fft.irfft(np.fft.rfft(x)) + np.fft.fft(x, norm="ortho").real, np.fft.fftshift(x)
    assert_same(graph(x), expected)
    with pytest.raises(ga.GraphadError, match="2 divides n"):
        graph(random(5))
    anywhere = ga.trace(lambda x: np.fft.ifft(x), ga.spec((ga.dim("n"),)))
    assert_same(anywhere(random(5)), np.fft.ifft(random(5)))


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda x: np.fft.rfft(x + 1j), "transforms real numbers"),
        (lambda x: np.fft.fft(x, norm="none"), "norm must be"),
        (lambda x: np.fft.fft(x, 0), "at least one point"),
        (lambda x: np.fft.fft(x[:0]), "empty"),
        (lambda x: np.fft.fftn(x, s=(3, 3), axes=(0,)), "do not correspond"),
        (lambda x: np.fft.fft(x, axis=3), "axis 3"),
        (lambda x: np.fft.fft(x, out=np.zeros(4, complex)), "out="),
    ],
)
def test_errors(function: object, text: str) -> None:
    with pytest.raises(ga.GraphadError) as caught:
        ga.trace(function, random(4))  # type: ignore[arg-type]
    assert text in str(caught.value)
