"""ADBench's four objectives, written for plain NumPy, traced unchanged: values, gradients and Jacobians.

`tests/data/adbench` holds copies of the project's port of the objectives, of its readers and of the smaller instances
(licence beside them). Derivatives are held against central differences in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphad as ga
from tests.data.adbench import load, objectives

DATA = Path(__file__).parent / "data" / "adbench"
Array = np.ndarray[Any, Any]


def central(function: Callable[..., Any], arguments: Sequence[Array], direction: Sequence[Array], h: float) -> Any:
    """Return ``(f(x + h v) - f(x - h v)) / 2h``, for each of the results."""
    up = function(*[x + h * v for x, v in zip(arguments, direction, strict=True)])
    down = function(*[x - h * v for x, v in zip(arguments, direction, strict=True)])
    if isinstance(up, tuple):
        return tuple((a - b) / (2 * h) for a, b in zip(up, down, strict=True))
    return (up - down) / (2 * h)


def directions(arguments: Sequence[Array], count: int) -> list[list[Array]]:
    """Return random directions, seeded."""
    random = np.random.default_rng(7)
    return [[np.asarray(random.standard_normal(np.shape(x))) for x in arguments] for _ in range(count)]


def check_gradient(function: Callable[..., Any], arguments: Sequence[Array], h: float, rtol: float) -> None:
    """Check value and gradient of a scalar function, as a graph and as an optimised, compiled one."""
    graph = ga.value_and_grad(ga.trace(function, *arguments), argnums=tuple(range(len(arguments))))
    expected = function(*arguments)
    for run in (graph, ga.compile(ga.optimize(graph))):
        value, gradients = run(*arguments)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        for direction in directions(arguments, 5):
            slope = sum(np.vdot(g, v) for g, v in zip(gradients, direction, strict=True))
            np.testing.assert_allclose(slope, central(function, arguments, direction, h), rtol=rtol)


# Gaussian mixture


@pytest.mark.parametrize("file", ["gmm_d2_K5.txt", "gmm_d10_K5.txt"])
def test_gmm_gradient(file: str) -> None:
    alphas, means, icf, x, gamma, m = load.gmm(DATA / "gmm" / file)

    def objective(alphas: Any, means: Any, icf: Any) -> Any:
        return objectives.gmm(np, alphas, means, icf, x, gamma, m)

    check_gradient(objective, [alphas, means, icf], h=1e-5, rtol=1e-6)


def test_gmm_hessian_vector_product() -> None:
    alphas, means, icf, x, gamma, m = load.gmm(DATA / "gmm" / "gmm_d2_K5.txt")

    def objective(*parameters: Any) -> Any:
        return objectives.gmm(np, *parameters, x, gamma, m)

    parameters = (alphas, means, icf)
    (direction,) = directions(parameters, 1)
    found = ga.hvp(objective, parameters, direction)
    expected = central(ga.grad(objective, (0, 1, 2)), parameters, direction, 1e-5)
    for one, other in zip(found[1] if isinstance(found[0], float) else found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


# Bundle adjustment


@pytest.fixture(scope="module")
def bundle() -> Any:
    """Return cameras, points, weights, observations and features, every entry different."""
    return load.ba(DATA / "ba" / "ba1_n49_m7776_p31843.txt", jitter=3)


def test_ba_value_and_products(bundle: Any) -> None:
    cameras, points, weights, observations, features = bundle
    arguments = [cameras, points, weights]

    def objective(cameras: Any, points: Any, weights: Any) -> Any:
        return objectives.ba(np, cameras, points, weights, observations, features)

    graph = ga.trace(objective, *arguments)
    expected = objective(*arguments)
    for run in (graph, ga.compile(ga.optimize(graph))):
        for one, other in zip(run(*arguments), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12 * np.abs(other).max())
    (direction,) = directions(arguments, 1)
    (cotangents,) = directions(expected, 1)
    _, tangents = ga.jvp(objective, arguments, direction)
    slopes = central(objective, arguments, direction, 1e-6)
    for one, other in zip(tangents, slopes, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7 * np.abs(other).max())
    _, pull = ga.vjp(objective, *arguments)
    pulled = pull(tuple(cotangents))
    np.testing.assert_allclose(
        sum(np.vdot(p, v) for p, v in zip(pulled, direction, strict=True)),
        sum(np.vdot(c, t) for c, t in zip(cotangents, tangents, strict=True)),
        rtol=1e-9,
    )


@pytest.mark.parametrize("mode", [ga.jacfwd, ga.jacrev])
def test_ba_block_jacobians_through_vmap(bundle: Any, mode: Any) -> None:
    cameras, points, weights, observations, features = bundle
    blocks = 2_000
    per_block = [a[:blocks] for a in (cameras[observations[:, 0]], points[observations[:, 1]], weights, features)]

    def reprojection(camera: Any, point: Any, weight: Any, feature: Any) -> Any:
        return objectives.ba_reproj(np, camera, point, weight, feature)

    found = ga.vmap(mode(reprojection, (0, 1, 2)))(*per_block)
    assert [j.shape for j in found] == [(blocks, 2, 11), (blocks, 2, 3), (blocks, 2)]
    # The blocks are independent, so one difference gives a column of all of them.
    for position, jacobian in enumerate(found):
        columns = jacobian.reshape(blocks, 2, -1)
        for column in range(columns.shape[2]):
            direction = [np.zeros_like(a) for a in per_block]
            direction[position].reshape(blocks, -1)[:, column] = 1.0
            h = 1e-6 * max(1.0, float(np.abs(per_block[position].reshape(blocks, -1)[:, column]).max()))
            slope = central(reprojection, per_block, direction, h)
            np.testing.assert_allclose(columns[:, :, column], slope, rtol=1e-5, atol=1e-6 * np.abs(slope).max())


# Hand tracking


@pytest.fixture(scope="module")
def model() -> Any:
    """Return the hand's bones, vertices, weights and triangles."""
    return load.hand_model(DATA / "hand" / "model")


def check_jacobian(function: Callable[..., Any], arguments: Sequence[Array], jacobians: Sequence[Array]) -> None:
    """Check every column of the Jacobians of a function with one result."""
    for position, jacobian in enumerate(jacobians):
        shape = arguments[position].shape
        for index in np.ndindex(shape):
            direction = [np.zeros_like(a) for a in arguments]
            direction[position][index] = 1.0
            slope = central(function, arguments, direction, 1e-6)
            np.testing.assert_allclose(jacobian[(..., *index)], slope, rtol=1e-5, atol=1e-6 * np.abs(jacobian).max())


def test_hand_simple_jacobian(model: Any) -> None:
    theta, _, corr, hand_points = load.hand(DATA / "hand" / "simple_t26_c100.txt", with_us=False)

    def residuals(theta: Any) -> Any:
        return objectives.hand_simple(np, theta, model, corr, hand_points)

    graph = ga.trace(residuals, theta)
    np.testing.assert_allclose(graph(theta), residuals(theta), rtol=1e-11, atol=1e-11)
    columns = ga.jacfwd(graph)
    optimised = ga.optimize(columns)
    for run in (columns, ga.compile(optimised)):
        jacobian = run(theta)
        assert jacobian.shape == (len(corr), 3, 26)
        check_jacobian(residuals, [theta], [jacobian])
    np.testing.assert_allclose(ga.jacrev(graph)(theta), jacobian, rtol=1e-8, atol=1e-9 * np.abs(jacobian).max())


def test_hand_complicated_jacobian(model: Any) -> None:
    theta, us, corr, hand_points = load.hand(DATA / "hand" / "complicated_t26_c100.txt", with_us=True)

    def residuals(theta: Any, us: Any) -> Any:
        return objectives.hand_complicated(np, theta, us, model, corr, hand_points)

    graph = ga.trace(residuals, theta, us)
    np.testing.assert_allclose(graph(theta, us), residuals(theta, us), rtol=1e-11, atol=1e-11)
    by_theta, by_us = ga.compile(ga.optimize(ga.jacfwd(graph, (0, 1))))(theta, us)
    assert by_theta.shape == (len(corr), 3, 26) and by_us.shape == (len(corr), 3, *us.shape)
    check_jacobian(residuals, [theta, us], [by_theta, by_us])


# LSTM


def lstm_instance(steps: int) -> list[Array]:
    """Return main and extra weights, state and a sequence of `steps` + 1 characters."""
    main, extra, state, sequence = load.lstm(DATA / "lstm" / "lstm_l2_c1024.txt")
    return [main, extra, state, np.concatenate([sequence, sequence[:1]])[: steps + 1]]


def lstm(main: Any, extra: Any, state: Any, sequence: Any) -> Any:
    """Return the loss of the unrolled network."""
    return objectives.lstm_unrolled(np, main, extra, state, sequence)


def test_lstm_gradient() -> None:
    check_gradient(lstm, lstm_instance(24), h=1e-5, rtol=1e-6)


@pytest.mark.slow
def test_lstm_of_1024_steps() -> None:
    arguments = lstm_instance(1024)
    graph = ga.trace(lstm, *arguments)
    both = ga.value_and_grad(graph, argnums=(0, 1))
    assert len(graph.nodes) > 100_000 and len(both.nodes) > 200_000
    value, gradients = ga.compile(ga.optimize(both))(*arguments)
    np.testing.assert_allclose(value, lstm(*arguments), rtol=1e-12)
    for direction in directions(arguments[:2], 3):
        slope = sum(np.vdot(g, v) for g, v in zip(gradients, direction, strict=True))
        numeric = central(lambda m, e: lstm(m, e, *arguments[2:]), arguments[:2], direction, 1e-5)
        np.testing.assert_allclose(slope, numeric, rtol=1e-6)
