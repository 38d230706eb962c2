"""check_grads: it passes what is right and names what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import graphad as ga
from graphad.ir.errors import DerivativeError

X = np.array([0.3, -1.2, 2.0])


def test_right_derivatives_pass():
    ga.check_grads(lambda x, p: [np.sin(x) * p["a"], np.exp(p["a"])], (X, {"a": 2 * X, "n": 3}), order=3)
    ga.check_grads(lambda x: np.sum(np.tanh(x)), (X.astype(np.float32),))
    ga.check_grads(ga.trace(lambda x: x**3, X), (X,))
    ga.check_grads(lambda x: (x * 2, np.argmax(x)), (X,))


@ga.custom_vjp
def wrong_by_y(x, y):
    return x * y


wrong_by_y.defvjp(lambda x, y: (x * y, (x, y)), lambda kept, g: (g * kept[1], g * kept[0] * 1.01))


@pytest.mark.parametrize("modes", [("fwd",), ("rev",), ("fwd", "rev")])
def test_the_wrong_argument_is_named(modes):
    with pytest.raises(AssertionError, match="'y'") as failure:
        ga.check_grads(wrong_by_y, (X, X), order=1, modes=modes)
    assert isinstance(failure.value, DerivativeError)
    assert {"fwd": "JVP", "rev": "VJP"}[modes[0]] in str(failure.value)


def test_a_wrong_second_derivative_is_named():
    @ga.custom_jvp
    def slope(x):
        return np.cos(x)

    slope.defjvp(lambda p, t: (slope(*p), t[0] * 0.0))

    @ga.custom_jvp
    def sine(x):
        return np.sin(x)

    sine.defjvp(lambda p, t: (sine(*p), t[0] * slope(p[0])))
    ga.check_grads(sine, (X,), order=1)
    with pytest.raises(ga.GradientCheckError, match=r"of the (JVP|VJP) of"):
        ga.check_grads(sine, (X,), order=2)


def test_bad_arguments():
    with pytest.raises(ValueError, match="modes"):
        ga.check_grads(np.sin, (X,), modes=("sideways",))
    with pytest.raises(ValueError, match="order"):
        ga.check_grads(np.sin, (X,), order=0)
