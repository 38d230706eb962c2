"""Stabilisation at the awkward points, shown in numbers: values and gradients of plain NumPy code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphad as ga
from graphad.ir.walk import evaluate

Array = np.ndarray[Any, Any]

WIDE = np.array([[1000.0, -1000.0, 3.0], [0.0, 800.0, -900.0]])
LABELS = np.array([1, 0])
ONE_HOT = np.eye(3)[LABELS]


def softmax(x: Any) -> Any:
    return np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True)


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


P = special.softmax(WIDE, axis=1)
LOG_P = special.log_softmax(WIDE, axis=1)

CASES: dict[str, tuple[Callable[[Any], Any], Array, float, Array]] = {
    "log(1+exp)": (lambda x: np.sum(np.log(1 + np.exp(x))), WIDE, softplus(WIDE).sum(), special.expit(WIDE)),
    "log1p(exp)": (lambda x: np.sum(np.log1p(np.exp(x))), WIDE, softplus(WIDE).sum(), special.expit(WIDE)),
    "sigmoid": (
        lambda x: np.sum(sigmoid(x)),
        WIDE,
        special.expit(WIDE).sum(),
        special.expit(WIDE) * special.expit(-WIDE),
    ),
    "exp/(1+exp)": (
        lambda x: np.sum(np.exp(x) / (1 + np.exp(x))),
        WIDE,
        special.expit(WIDE).sum(),
        special.expit(WIDE) * special.expit(-WIDE),
    ),
    "log(sigmoid)": (lambda x: np.sum(np.log(sigmoid(x))), WIDE, -softplus(-WIDE).sum(), special.expit(-WIDE)),
    "log(1-sigmoid)": (
        lambda x: np.sum(np.log(1 - sigmoid(x))),
        WIDE,
        -softplus(WIDE).sum(),
        -special.expit(WIDE),
    ),
    "binary cross-entropy": (
        lambda x: -np.sum(0.3 * np.log(sigmoid(x)) + 0.7 * np.log(1 - sigmoid(x))),
        WIDE,
        float((0.3 * softplus(-WIDE) + 0.7 * softplus(WIDE)).sum()),
        special.expit(WIDE) - 0.3,
    ),
    "log(sum(exp)), last axis": (lambda x: np.sum(np.log(np.sum(np.exp(x), axis=1))), WIDE, 1800.0, P),
    "log(sum(exp)), first axis": (
        lambda x: np.sum(np.log(np.sum(np.exp(x), axis=0))),
        WIDE,
        special.logsumexp(WIDE, axis=0).sum(),
        special.softmax(WIDE, axis=0),
    ),
    "log(sum(exp)), all axes": (lambda x: np.log(np.sum(np.exp(x))), WIDE, 1000.0, special.softmax(WIDE)),
    "log(sum(exp)), kept axis": (
        lambda x: np.sum(x - np.log(np.sum(np.exp(x), axis=1, keepdims=True))),
        WIDE,
        LOG_P.sum(),
        1 - 3 * P,
    ),
    "softmax": (
        lambda x: np.sum(softmax(x) ** 2),
        WIDE,
        (P**2).sum(),
        2 * P * (P - (P**2).sum(axis=1, keepdims=True)),
    ),
    "log(softmax), one-hot": (
        lambda x: -np.sum(ONE_HOT * np.log(softmax(x))),
        WIDE,
        -(ONE_HOT * LOG_P).sum(),
        P - ONE_HOT,
    ),
    "log(softmax[i])": (
        lambda x: -np.sum(np.log(softmax(x)[np.arange(2), LABELS])),
        WIDE,
        -(ONE_HOT * LOG_P).sum(),
        P - ONE_HOT,
    ),
    "log(softmax)[i]": (
        lambda x: -np.sum(np.log(softmax(x))[np.arange(2), LABELS]),
        WIDE,
        -(ONE_HOT * LOG_P).sum(),
        P - ONE_HOT,
    ),
    "log(softmax[:, 0])": (
        lambda x: -np.sum(np.log(softmax(x)[:, 0])),
        WIDE,
        -LOG_P[:, 0].sum(),
        P - np.eye(3)[[0, 0]],
    ),
    "log(softmax), shifted by the user": (
        lambda x: -np.sum(np.log(softmax(x - np.max(x, axis=1, keepdims=True)))[:, 0]),
        WIDE,
        -LOG_P[:, 0].sum(),
        P - np.eye(3)[[0, 0]],
    ),
    "log(mean(exp)), all axes": (lambda x: np.log(np.mean(np.exp(x))), WIDE, 1000.0 - np.log(6), special.softmax(WIDE)),
    "log(mean(exp)), last axis": (
        lambda x: np.sum(np.log(np.mean(np.exp(x), axis=1))),
        WIDE,
        1800.0 - 2 * np.log(3),
        P,
    ),
    "log(mean(exp)), kept axis": (
        lambda x: np.sum(np.log(np.mean(np.exp(x), axis=1, keepdims=True))),
        WIDE,
        1800.0 - 2 * np.log(3),
        P,
    ),
    "log(sum(k exp))": (
        lambda x: np.sum(np.log(np.sum(3 * np.exp(x), axis=1))),
        WIDE,
        1800.0 + 2 * np.log(3),
        P,
    ),
    "log(sum(exp / k))": (
        lambda x: np.sum(np.log(np.sum(np.exp(x) / 3, axis=1))),
        WIDE,
        1800.0 - 2 * np.log(3),
        P,
    ),
    "log(j sum(k exp)), kept axis": (
        lambda x: np.sum(np.log(2 * np.sum(np.exp(x) * 3, axis=1, keepdims=True))),
        WIDE,
        1800.0 + 2 * np.log(6),
        P,
    ),
    "log(sum(weights exp))": (
        lambda x: np.sum(np.log(np.sum(np.array([1.0, 2.0, 3.0]) * np.exp(x), axis=1))),
        WIDE,
        1800.0 + np.log(2),
        P,
    ),
    "log(1-exp), far and near": (
        lambda x: np.sum(np.log(1 - np.exp(x)) * np.array([1e30, 1.0])),
        np.array([-60.0, -1e-18]),
        -np.exp(-60.0) * 1e30 + np.log(1e-18),
        np.array([-np.exp(-60.0) * 1e30, -1e18]),
    ),
    "log1p(-exp), near": (
        lambda x: np.sum(np.log1p(-np.exp(x))),
        np.array([-60.0, -1e-18]),
        np.log(1e-18),
        np.array([-np.exp(-60.0), -1e18]),
    ),
    "log(1+x), tiny": (lambda x: np.sum(np.log(1 + x)), np.array([1e-20]), 1e-20, np.array([1.0])),
    "exp(x)-1, tiny": (lambda x: np.sum(np.exp(x) - 1), np.array([1e-20]), 1e-20, np.array([1.0])),
    "sqrt(x)**2 at 0": (lambda x: np.sum(np.sqrt(x) ** 2), np.array([0.0, 4.0]), 4.0, np.ones(2)),
    "sqrt(x)*sqrt(x) at 0": (lambda x: np.sum(np.sqrt(x) * np.sqrt(x)), np.array([0.0, 4.0]), 4.0, np.ones(2)),
    "x log x at 0": (
        lambda x: np.sum(x * np.log(x)),
        np.array([0.0, 4.0]),
        4 * np.log(4),
        np.array([-np.inf, np.log(4) + 1]),
    ),
    "norm at 0": (lambda x: np.sqrt(np.sum(x * x)), np.zeros(3), 0.0, np.zeros(3)),
    "norm of squares at 0": (lambda x: np.sqrt(np.sum(x**2)), np.zeros(3), 0.0, np.zeros(3)),
    "norm by @ at 0": (lambda x: np.sqrt(x @ x), np.zeros(3), 0.0, np.zeros(3)),
    "norm of a column by @ at 0": (lambda x: np.sqrt((x.T @ x).sum()), np.zeros((3, 1)), 0.0, np.zeros((3, 1))),
    "norm by einsum at 0": (lambda x: np.sqrt(np.einsum("i,i", x, x)), np.zeros(3), 0.0, np.zeros(3)),
    "norms of rows by einsum, one at 0": (
        lambda x: np.sum(np.sqrt(np.einsum("bi,bi->b", x, x))),
        np.array([[0.0, 0.0], [3.0, 4.0]]),
        5.0,
        np.array([[0.0, 0.0], [0.6, 0.8]]),
    ),
    "sqrt of squares at 0": (lambda x: np.sum(np.sqrt(x**2)), np.array([0.0, -2.0]), 2.0, np.array([0.0, -1.0])),
    "norms of rows, one at 0": (
        lambda x: np.sum(np.sqrt(np.sum(x * x, axis=1))),
        np.array([[0.0, 0.0], [3.0, 4.0]]),
        5.0,
        np.array([[0.0, 0.0], [0.6, 0.8]]),
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("fast_math", [False, True])
def test_value_and_gradient(name: str, fast_math: bool) -> None:
    function, x, value, gradient = CASES[name]
    best = ga.optimize(ga.value_and_grad(ga.trace(function, x)), fast_math=fast_math)
    found_value, found_gradient = evaluate(best, [x])
    np.testing.assert_allclose(found_value, value, rtol=1e-12)
    np.testing.assert_allclose(found_gradient, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_the_case_is_awkward_or_exact_without_it(name: str) -> None:
    function, x, value, gradient = CASES[name]
    graph = ga.value_and_grad(ga.trace(function, x))
    plain = ga.optimize(graph, passes=("fold", "cse", "algebra"))
    found = evaluate(plain, [x])
    same = [np.allclose(a, b, rtol=1e-9, atol=0) for a, b in zip(found, (value, gradient), strict=True)]
    assert not all(same), "a case that works without stabilisation shows nothing"


def test_ordinary_points_are_kept() -> None:
    rng = np.random.default_rng(0)
    for name, (function, x, _, _) in CASES.items():
        graph = ga.value_and_grad(ga.trace(function, x))
        point = rng.uniform(0.5, 2.0, x.shape)
        for old, new in zip(evaluate(graph, [point]), evaluate(ga.optimize(graph), [point]), strict=True):
            np.testing.assert_allclose(new, old, rtol=1e-9, err_msg=name)


def test_negative_squares_of_roots_stay_nan() -> None:
    best = ga.optimize(ga.trace(lambda x: np.sqrt(x) ** 2, np.ones(2)))
    (result,) = evaluate(best, [np.array([-1.0, 4.0])])
    assert np.isnan(result[0]) and result[1] == 4


def test_one_over_a_norm_at_zero_is_still_infinite() -> None:
    best = ga.optimize(ga.trace(lambda x: 1 / np.sqrt(np.sum(x * x)), np.ones(2)))
    (result,) = evaluate(best, [np.zeros(2)])
    assert np.isinf(result)


def test_a_product_of_different_vectors_is_no_norm() -> None:
    def f(x: object) -> object:
        z = x.reshape(2, 3)  # type: ignore[attr-defined]
        return np.sqrt((z.T.reshape(1, 6) @ z.reshape(6, 1)).sum())

    best = ga.optimize(ga.grad(ga.trace(f, np.ones(6))))
    assert "norm_derivative" not in best.report.rules
    (result,) = evaluate(best, [np.zeros(6)])
    assert np.isnan(result).all()


def test_infinite_logits() -> None:
    best = ga.optimize(ga.trace(lambda x: np.log(np.sum(np.exp(x), axis=1)), np.ones((3, 2))))
    (result,) = evaluate(best, [np.array([[-np.inf, -np.inf], [-np.inf, 2.0], [np.inf, 0.0]])])
    np.testing.assert_array_equal(result, [-np.inf, 2.0, np.inf])


def test_the_logarithm_of_a_mean_over_a_symbolic_size() -> None:
    best = ga.optimize(ga.value_and_grad(ga.trace(lambda x: np.log(np.mean(np.exp(x))), ga.spec(ga.dim("n")))))
    value, gradient = best(np.array([1000.0, 1000.0]))
    np.testing.assert_allclose(value, 1000.0)
    np.testing.assert_allclose(gradient, [0.5, 0.5])


@pytest.mark.parametrize("function", [lambda e: np.sum(-2 * e), lambda e: np.sum(e) / -2, lambda e: np.sum(e) * 0])
def test_logarithms_of_no_positive_multiple_stay(function: Callable[[Any], Any]) -> None:
    best = ga.optimize(ga.trace(lambda x: np.log(function(np.exp(x))), np.ones(3)))
    assert "log_of_multiple_of_exp" not in best.report.rules


def test_one_minus_exp_of_positive_numbers_has_no_logarithm() -> None:
    best = ga.optimize(ga.trace(lambda x: np.log(1 - np.exp(x)), np.ones(3)))
    np.testing.assert_array_equal(best(np.array([-np.inf, 0.0, 1.0])), [-0.0, -np.inf, np.nan])


def test_one_minus_exp_optimised_before_it_is_differentiated() -> None:
    best = ga.grad(ga.optimize(ga.trace(lambda x: np.sum(np.log(1 - np.exp(x))), np.ones(3))))
    x = np.array([-60.0, -1.0, -1e-18])
    np.testing.assert_allclose(best(x), np.exp(x) / np.expm1(x), rtol=1e-12)
