"""Every function of graphad.special on a grid of awkward points: SciPy's values, and gradients that can be taken."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special

import graphad as ga
import graphad.numpy as gnp
import graphad.special as special

Array = np.ndarray[Any, Any]

POINTS = (0.0, -0.0, 0.5, 1.0, -1.0, 2.0, -1.5, 30.0, -30.0, 1e-300, 1e300, np.inf, -np.inf, np.nan)
"""Zeros, poles, ties (in pairs of them), both ends of the range, and what is no finite number."""

ARITY = {
    **dict.fromkeys(["beta", "betaln", "gammainc", "gammaincc", "kl_div", "rel_entr", "xlog1py", "xlogy", "zeta"], 2),
    **dict.fromkeys(["log_softmax", "logsumexp", "softmax"], 2),
    "betainc": 3,
}

ORDER = 2
CALLS: dict[str, Callable[..., Any]] = {
    "log_softmax": lambda x, y: special.log_softmax(gnp.stack([x, y]), axis=0),
    "logsumexp": lambda x, y: special.logsumexp(gnp.stack([x, y]), axis=0),
    "softmax": lambda x, y: special.softmax(gnp.stack([x, y]), axis=0),
    "bessel_i": lambda x: special.bessel_i(ORDER, x),
    "bessel_ie": lambda x: special.bessel_ie(ORDER, x),
    "multigammaln": lambda x: special.multigammaln(x, ORDER),
    "polygamma": lambda x: special.polygamma(ORDER, x),
}
"""Functions that take more than numbers: an order, or an axis (here, of pairs)."""

ABSOLUTE = {"logsumexp": 1e-15}
"""Allowed difference next to 0: a logsumexp of about 0 is the logarithm of about 1."""


def mills(x: Array) -> Array:
    log_density = -x * x / 2 - 0.5 * np.log(2 * np.pi)
    return np.where(x == -np.inf, np.inf, np.exp(log_density - scipy.special.log_ndtr(x)))


def multigammaln(x: Array) -> Array:
    """Return SciPy's, which raises outside of the domain, where nothing is asserted."""
    return np.array([scipy.special.multigammaln(v, ORDER) if v > (ORDER - 1) / 2 else np.nan for v in x])


REFERENCES: dict[str, Callable[..., Any]] = {
    "log_softmax": lambda x, y: scipy.special.log_softmax(np.stack([x, y]), axis=0),
    "logsumexp": lambda x, y: scipy.special.logsumexp(np.stack([x, y]), axis=0),
    "softmax": lambda x, y: scipy.special.softmax(np.stack([x, y]), axis=0),
    "bessel_i": lambda x: scipy.special.iv(ORDER, x),
    "bessel_ie": lambda x: scipy.special.ive(ORDER, x),
    "inverse_mills": mills,
    "multigammaln": multigammaln,
    "polygamma": lambda x: scipy.special.polygamma(ORDER, x),
    "sinc": np.sinc,
}


def excepted(name: str, points: list[Array]) -> Array:
    """Tell where values are not SciPy's on purpose."""
    if name == "kl_div":  # the value or its limit, where x / y or inf - inf spoils SciPy's formula
        x, y = points
        return np.asarray((np.maximum(x, y) > 1e299) & (np.minimum(x, y) > 0))
    if name == "softmax":  # where one is inf, another's share is 0 here and nan in SciPy
        return np.asarray(np.maximum(*points) == np.inf)
    if name == "multigammaln":
        return np.asarray(~(points[0] > (ORDER - 1) / 2))
    return np.zeros(points[0].shape, bool)


@pytest.mark.parametrize("name", special.__all__)
def test_values_and_gradients_at_awkward_points(name: str) -> None:
    points = [np.array(column) for column in zip(*itertools.product(POINTS, repeat=ARITY.get(name, 1)), strict=True)]
    function = CALLS.get(name, getattr(special, name))
    reference = REFERENCES.get(name) or getattr(scipy.special, name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = reference(*points)
        found, pull = ga.vjp(function, *points)
        gradients = pull(np.ones_like(found))
    compared = ~excepted(name, points)
    np.testing.assert_allclose(
        np.asarray(found)[..., compared], np.asarray(expected)[..., compared], rtol=1e-10, atol=ABSOLUTE.get(name, 0)
    )
    assert [np.shape(g) for g in gradients] == [p.shape for p in points]


def test_kl_div_has_its_limits_at_both_ends_of_the_range() -> None:
    x, y = np.array([1e-300, np.inf, 1e300]), np.array([1e300, 2.0, 1e-300])
    found = np.asarray(ga.trace(special.kl_div, x, y)(x, y))
    np.testing.assert_allclose(found, [1e300, np.inf, 1e300 * (np.log(1e300) - np.log(1e-300) - 1)], rtol=1e-12)
