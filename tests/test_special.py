"""graphad.special against scipy.special: values, SciPy's own names, derivatives, and the points where they go wrong."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.special

import graphad as ga
import graphad.numpy as gnp
import graphad.special as special
from graphad.files import load, save
from graphad.ir.errors import OpTypeError, TraceError
from graphad.ir.types import as_dtype
from graphad.ops.tail_integrals import beta_tail, gamma_tail

INF, NAN = np.inf, np.nan

# name: the interval of each argument where derivatives are compared, then awkward points (a tuple an argument).
REAL, POSITIVE, UNIT = (-3.0, 3.0), (0.3, 5.0), (0.05, 0.95)
UFUNCS = {
    "erf": ([REAL], [(0.0,), (INF,), (-INF,), (NAN,), (6.0,), (1e-300,)]),
    "erfc": ([REAL], [(0.0,), (INF,), (-INF,), (NAN,), (26.0,), (-6.0,)]),
    "erfinv": ([(-0.95, 0.95)], [(0.0,), (1.0,), (-1.0,), (1.5,), (NAN,), (1e-300,), (1 - 1e-15,)]),
    "erfcinv": ([(0.05, 1.95)], [(0.0,), (1.0,), (2.0,), (-1.0,), (NAN,), (1e-300,), (5e-324,)]),
    "ndtr": ([REAL], [(0.0,), (INF,), (-INF,), (NAN,), (-30.0,), (8.0,)]),
    "ndtri": ([UNIT], [(0.0,), (0.5,), (1.0,), (-0.1,), (1.1,), (NAN,), (1e-300,), (1 - 1e-16,), (0.925,), (0.075,)]),
    "ndtri_exp": ([(-4.0, -0.3)], [(-INF,), (-1e-10,), (-1e4,)]),
    "log_ndtr": ([REAL], [(0.0,), (INF,), (-40.0,), (-1e5,), (9.0,), (NAN,)]),
    "gamma": ([POSITIVE], [(0.0,), (1.0,), (-1.0,), (-0.5,), (170.0,), (180.0,), (INF,), (NAN,)]),
    "gammaln": ([POSITIVE], [(0.0,), (1.0,), (2.0,), (-1.0,), (-0.5,), (1e300,), (1e-300,), (INF,), (NAN,)]),
    "psi": ([POSITIVE], [(0.0,), (1.0,), (-1.0,), (-0.5,), (1e300,), (INF,), (NAN,)]),
    "digamma": ([POSITIVE], [(0.0,), (-2.0,)]),
    "beta": ([POSITIVE, POSITIVE], [(0.0, 1.0), (1.0, 1.0), (1e-5, 1e5), (-0.5, 1.5)]),
    "betaln": ([POSITIVE, POSITIVE], [(0.0, 1.0), (1.0, 1.0), (1e-5, 1e5), (1e10, 2.0), (1e5, 1e5)]),
    "gammainc": ([POSITIVE, POSITIVE], [(1.0, 0.0), (0.5, INF), (0.0, 1.0), (200.0, 200.0), (-1.0, 1.0), (1.0, -1.0)]),
    "gammaincc": ([POSITIVE, POSITIVE], [(1.0, 0.0), (0.5, INF), (3.0, 300.0), (-1.0, 1.0)]),
    "betainc": ([POSITIVE, POSITIVE, UNIT], [(1.0, 2.0, 0.0), (1.0, 2.0, 1.0), (0.5, 0.5, 0.5), (1.0, 2.0, 1.5)]),
    "i0": ([REAL], [(0.0,), (INF,), (-1.0,), (NAN,), (800.0,)]),
    "i1": ([REAL], [(0.0,), (INF,), (-1.0,), (NAN,)]),
    "i0e": ([(0.2, 4.0)], [(0.0,), (-1.0,), (1e5,), (NAN,)]),
    "i1e": ([(-4.0, -0.2)], [(0.0,), (1.0,), (1e5,), (NAN,)]),
    "expit": ([REAL], [(0.0,), (INF,), (-INF,), (800.0,), (NAN,)]),
    "logit": ([UNIT], [(0.0,), (1.0,), (0.5,), (1e-300,), (-0.1,), (NAN,), (0.65,), (0.35,)]),
    "log_expit": ([REAL], [(0.0,), (800.0,), (-800.0,), (INF,), (NAN,)]),
    "xlogy": ([REAL, POSITIVE], [(0.0, 0.0), (0.0, 2.0), (0.0, INF), (0.0, NAN), (1.0, 0.0), (0.0, -1.0), (NAN, 1.0)]),
    "xlog1py": ([REAL, POSITIVE], [(0.0, -1.0), (0.0, 2.0), (0.0, NAN), (1.0, -1.0), (1.0, 1e-20)]),
    "entr": ([POSITIVE], [(0.0,), (1.0,), (-1.0,), (INF,), (NAN,)]),
    "rel_entr": (
        [POSITIVE, POSITIVE],
        [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0), (NAN, 1.0), (1.0, 1 + 1e-12), (1e200, 1e-200)],
    ),
    "kl_div": ([POSITIVE, POSITIVE], [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (-1.0, 1.0), (NAN, 1.0)]),
}


def points(name, dtype="float64", count=12):
    rng = np.random.default_rng(3)
    return [np.asarray(rng.uniform(low, high, count)).astype(dtype) for low, high in UFUNCS[name][0]]


def traced(function, arrays):
    return np.asarray(ga.trace(function, *arrays)(*arrays))


@pytest.mark.parametrize("name", UFUNCS)
def test_values_are_scipys(name):
    for dtype, tolerance in (("float64", 1e-13), ("float32", 2e-6)):
        arrays = points(name, dtype)
        expected = getattr(scipy.special, name)(*arrays)
        got = traced(getattr(special, name), arrays)
        assert got.dtype == expected.dtype == dtype
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", UFUNCS)
def test_values_at_awkward_points_are_scipys(name):
    arrays = [np.asarray(column) for column in zip(*UFUNCS[name][1], strict=True)]
    with np.errstate(all="ignore"):
        expected = getattr(scipy.special, name)(*arrays)
    np.testing.assert_allclose(traced(getattr(special, name), arrays), expected, rtol=2e-13)


@pytest.mark.parametrize("name", UFUNCS)
def test_scipys_own_name_traces_to_the_same_graph(name):
    arrays = points(name)
    own = ga.trace(lambda *xs: getattr(special, name)(*xs), *arrays)
    theirs = ga.trace(lambda *xs: getattr(scipy.special, name)(*xs), *arrays)
    assert own == theirs


@pytest.mark.parametrize("name", UFUNCS)
def test_derivatives_to_second_order(name):
    ga.check_grads(getattr(special, name), points(name, count=4), order=2, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("name", UFUNCS)
def test_broadcasting_promotion_and_empty_arrays(name):
    arrays = points(name, count=3)
    shaped = [a.reshape((3,) + (1,) * k) for k, a in enumerate(arrays)]
    expected = getattr(scipy.special, name)(*shaped)
    np.testing.assert_allclose(traced(getattr(special, name), shaped), expected, rtol=1e-13)
    empty = [np.zeros((0, 2)) for _ in arrays]
    assert traced(getattr(special, name), empty).shape == (0, 2)
    numbers = [1 for _ in arrays]
    with np.errstate(all="ignore"):
        expected = getattr(scipy.special, name)(*numbers)
    graph = ga.trace(lambda: getattr(special, name)(*(np.asarray(n) for n in numbers)))
    np.testing.assert_allclose(graph(), expected, rtol=1e-13)
    assert graph().dtype == np.float64


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", UFUNCS)
def test_half_precision_is_computed_in_single(name, dtype):
    half = as_dtype(dtype)
    arrays = [a.astype(half) for a in points(name)]
    got = traced(getattr(special, name), arrays)
    assert got.dtype == half
    expected = traced(getattr(special, name), [a.astype(np.float32) for a in arrays])
    np.testing.assert_allclose(got.astype(float), expected, rtol=0.05, atol=0.02)


# Derivatives where formulas fail.


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("erfinv", (0.0,), (np.sqrt(np.pi) / 2,)),
        ("erfinv", (1.0,), (INF,)),
        ("erfcinv", (0.0,), (-INF,)),
        ("ndtri", (0.5,), (np.sqrt(2 * np.pi),)),
        ("ndtri", (0.0,), (INF,)),
        ("log_ndtr", (-1e8,), (1e8,)),
        ("log_ndtr", (-INF,), (INF,)),
        ("log_ndtr", (50.0,), (0.0,)),
        ("gammaln", (1.0,), (-np.euler_gamma,)),
        ("gammaln", (0.0,), (-INF,)),
        ("gammaln", (-1.0,), (NAN,)),
        ("gammaln", (INF,), (INF,)),
        ("gamma", (0.0,), (-INF,)),
        ("gamma", (-1.0,), (NAN,)),
        ("digamma", (0.0,), (INF,)),
        ("digamma", (1.0,), (np.pi**2 / 6,)),
        ("digamma", (INF,), (0.0,)),
        ("i0", (0.0,), (0.0,)),
        ("i1", (0.0,), (0.5,)),
        ("i0e", (0.0,), (0.0,)),
        ("logit", (0.0,), (INF,)),
        ("logit", (1.0,), (INF,)),
        ("log_expit", (-INF,), (1.0,)),
        ("log_expit", (800.0,), (0.0,)),
        ("entr", (0.0,), (INF,)),
        ("entr", (-1.0,), (0.0,)),
        ("xlogy", (0.0, 0.0), (-INF, 0.0)),
        ("xlogy", (0.0, 2.0), (np.log(2), 0.0)),
        ("xlogy", (1.0, 0.0), (-INF, INF)),
        ("xlog1py", (0.0, -1.0), (-INF, 0.0)),
        ("rel_entr", (0.0, 0.0), (0.0, 0.0)),
        ("rel_entr", (0.0, 1.0), (-INF, 0.0)),
        ("kl_div", (1.0, 1.0), (0.0, 0.0)),
        ("gammainc", (1.0, 0.0), (0.0, 1.0)),
        ("gammainc", (2.0, 0.0), (0.0, 0.0)),
        ("gammainc", (0.5, 0.0), (0.0, INF)),
        ("gammainc", (0.5, INF), (0.0, 0.0)),
        ("betainc", (1.0, 2.0, 0.0), (0.0, 0.0, 2.0)),
        ("betainc", (2.0, 1.0, 1.0), (0.0, 0.0, 2.0)),
    ],
)
def test_derivatives_at_awkward_points(name, arguments, expected):
    every = tuple(range(len(arguments)))
    with np.errstate(all="ignore"):
        got = ga.grad(getattr(special, name), argnums=every)(*(np.float64(x) for x in arguments))
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [("i1", 0.0, 0.0), ("i0", 0.0, 0.5), ("erf", 0.0, 0.0), ("gammaln", 1.0, np.pi**2 / 6), ("log_ndtr", -1e4, -1.0)],
)
def test_second_derivatives_at_awkward_points(name, x, expected):
    got = ga.grad(ga.grad(getattr(special, name)))(np.float64(x))
    np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-15)


# Derivatives by shape parameters, over ranges that central differences of float64 cannot follow.


def test_gammainc_by_its_shape_satisfies_the_recurrence():
    # P(a + 1, x) = P(a, x) - x^a e^-x / Gamma(a + 1), differentiated by a.
    a, x = np.meshgrid(np.array([1e-3, 0.1, 1.0, 3.7, 40.0, 900.0]), np.array([0.3, 0.9, 1.0, 1.1, 2.5]))
    x = x * a
    by_a = ga.grad(lambda a, x: np.sum(special.gammainc(a, x)))
    logarithm = a * np.log(x) - x - scipy.special.gammaln(a + 1)
    step = np.exp(logarithm) * (np.log(x) - scipy.special.psi(a + 1))
    np.testing.assert_allclose(by_a(a + 1, x), by_a(a, x) - step, rtol=1e-9, atol=1e-13)


def test_betainc_by_its_shapes_is_symmetric_and_closed_where_one_shape_is_1():
    a, x = np.array([0.02, 0.5, 1.0, 7.0, 300.0]), np.array([[1e-6], [0.2], [0.5], [0.97]])
    by_a, by_b = ga.grad(lambda a, b, x: np.sum(special.betainc(a, b, x)), argnums=(0, 1))(
        a + 0 * x, np.ones((4, 5)), x + 0 * a
    )
    # I_x(a, 1) = x^a
    np.testing.assert_allclose(by_a, x**a * np.log(x), rtol=1e-10)
    other = ga.grad(lambda a, b, x: np.sum(special.betainc(a, b, x)), argnums=0)(
        np.ones((4, 5)), a + 0 * x, 1 - x + 0 * a
    )
    np.testing.assert_allclose(by_b, -other, rtol=1e-9, atol=1e-14)


def test_tail_integrals_are_finite_and_negative_wherever_the_arguments_lie():
    # The distribution functions fall with the first shape; only where one shape is 1e13 times the other do digits end.
    rng = np.random.default_rng(0)
    a, b = 10 ** rng.uniform(-6, 6, (2, 3000))
    for log_x in (rng.uniform(-800, 800, 3000), np.log(a) + rng.normal(size=3000) / np.sqrt(a)):
        tails = gamma_tail(1, a, log_x)
        assert np.all(np.isfinite(tails)) and np.all(tails < 0)
    for log_odds in (rng.uniform(-700, 700, 3000), np.log(a / b) + rng.normal(size=3000)):
        tails = beta_tail((1, 0), a, b, log_odds)
        assert np.all(np.isfinite(tails)) and np.all(tails < 1e-15)
    assert np.isnan(gamma_tail(1, np.array([NAN, 1.0, -1.0, 0.0]), np.array([0.0, NAN, 0.0, 0.0]))).all()


def test_gammaincc_is_what_gammainc_leaves():
    a, x = np.array([0.5, 2.0, 9.0]), np.array([1.0, 1.5, 20.0])
    both = ga.grad(lambda a, x: np.sum(special.gammainc(a, x) + special.gammaincc(a, x)), argnums=(0, 1))(a, x)
    np.testing.assert_array_equal(both, 0)


# Functions that are no ufuncs.


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n):
    x = np.linspace(0.4, 6, 9)
    np.testing.assert_allclose(
        traced(lambda t: special.polygamma(n, t), [x]), scipy.special.polygamma(n, x), rtol=1e-13
    )
    ga.check_grads(lambda t: special.polygamma(n, t) / 10.0**n, [x[3:]], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n", [-1, 1.5, np.array([1, 2])])
def test_polygamma_refuses_orders_that_are_not_one_whole_number(n):
    with pytest.raises(OpTypeError, match="whole number"):
        ga.trace(lambda t: special.polygamma(n, t), np.ones(2))


def test_zeta_and_its_derivatives():
    s, q = np.array([1.1, 2.0, 3.5, 20.0]), np.array([0.5, 1.0, 12.0, 0.9])
    np.testing.assert_allclose(traced(special.zeta, [s, q]), scipy.special.zeta(s, q), rtol=1e-13)
    np.testing.assert_allclose(traced(lambda s, q: scipy.special.zeta(s, q), [s, q]), scipy.special.zeta(s, q))
    ga.check_grads(special.zeta, [s[1:], q[1:]])
    # zeta'(2) = pi^2 / 6 (gamma + log 2 pi - 12 log A), A the constant of Glaisher and Kinkelin.
    expected = np.pi**2 / 6 * (np.euler_gamma + np.log(2 * np.pi) - 12 * np.log(1.2824271291006226369))
    np.testing.assert_allclose(ga.grad(special.zeta)(2.0, 1.0), expected, rtol=1e-13)


def test_multigammaln():
    a = np.array([2.5, 4.0, 10.0])
    np.testing.assert_allclose(
        traced(lambda t: special.multigammaln(t, 3), [a]), scipy.special.multigammaln(a, 3), rtol=1e-13
    )
    ga.check_grads(lambda t: special.multigammaln(t, 3), [a])


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp(axis, keepdims):
    x = np.random.default_rng(0).normal(size=(3, 4)) * 300
    b = np.random.default_rng(1).uniform(-1, 1, (3, 4))
    np.testing.assert_allclose(
        traced(lambda t: special.logsumexp(t, axis, keepdims=keepdims), [x]),
        scipy.special.logsumexp(x, axis, keepdims=keepdims),
    )
    got = ga.trace(lambda t: special.logsumexp(t, axis, b, keepdims, return_sign=True), x)(x)
    expected = scipy.special.logsumexp(x, axis, b, keepdims, return_sign=True)
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g, e)
        assert g.shape == np.shape(e)


def test_logsumexp_of_nothing_and_of_infinities():
    x = np.array([[-INF, -INF], [INF, 1.0], [0.0, -INF]])
    expected = scipy.special.logsumexp(x, axis=1)
    np.testing.assert_array_equal(traced(lambda t: special.logsumexp(t, axis=1), [x]), expected)
    value, sign = ga.trace(lambda t: special.logsumexp(t, 0, np.array([1.0, -1.0]), return_sign=True), np.zeros(2))(
        np.zeros(2)
    )
    assert value == -INF and sign == 0


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_has_scipys_default_axis(name):
    x = np.random.default_rng(0).normal(size=(3, 4)) * 100
    for keywords in ({}, {"axis": 0}, {"axis": -1}):
        np.testing.assert_allclose(
            traced(lambda t, k=keywords: getattr(special, name)(t, **k), [x]),
            getattr(scipy.special, name)(x, **keywords),
            rtol=1e-12,
        )
    ga.check_grads(getattr(special, name), [x / 100])


def test_the_rest():
    x = np.linspace(-2, 2, 9)
    np.testing.assert_allclose(traced(special.sinc, [x]), np.sinc(x), atol=1e-16)
    np.testing.assert_allclose(traced(np.i0, [x]), np.i0(x), rtol=1e-12)
    mills = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) / scipy.special.ndtr(x)
    np.testing.assert_allclose(traced(special.inverse_mills, [x]), mills, rtol=1e-13)
    np.testing.assert_allclose(traced(lambda t: special.bessel_i(3, t), [x]), scipy.special.iv(3, x), rtol=1e-13)
    np.testing.assert_allclose(traced(lambda t: special.bessel_ie(3, t), [x]), scipy.special.ive(3, x), rtol=1e-13)


# Identities.


def test_inverses_undo():
    x = np.array([-5.0, -1.0, -1e-8, 0.0, 1e-300, 0.3, 2.0])
    np.testing.assert_allclose(traced(lambda t: special.ndtri(special.ndtr(t)), [x]), x, rtol=1e-8, atol=1e-16)
    np.testing.assert_allclose(traced(lambda t: special.erfcinv(special.erfc(t)), [x + 6]), x + 6, rtol=1e-12)
    np.testing.assert_allclose(traced(lambda t: special.erfinv(special.erf(t)), [x[1:6]]), x[1:6], rtol=1e-13)
    np.testing.assert_allclose(traced(lambda t: special.logit(special.expit(t)), [x]), x, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(traced(lambda t: special.ndtri_exp(special.log_ndtr(t)), [x - 9]), x - 9, rtol=1e-12)


def test_reflection_and_recurrence():
    x = np.linspace(0.1, 0.9, 9)
    reflected = traced(lambda t: special.gamma(t) * special.gamma(1 - t), [x])
    np.testing.assert_allclose(reflected, np.pi / np.sin(np.pi * x), rtol=1e-13)
    np.testing.assert_allclose(traced(lambda t: special.digamma(t + 1) - special.digamma(t), [x]), 1 / x, rtol=1e-12)
    product = traced(lambda t: special.beta(t, 2.5) * special.gamma(t + 2.5), [x])
    np.testing.assert_allclose(product, scipy.special.gamma(x) * scipy.special.gamma(2.5), rtol=1e-13)


# Errors, files, batches.


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("logsumexp", ()), ("softmax", ()), ("log_softmax", ()), ("polygamma", (1,)), ("multigammaln", ())],
)
def test_scipys_other_functions_are_refused_by_name(name, arguments):
    def function(t):
        return getattr(scipy.special, name)(*arguments, t, *((2,) if name == "multigammaln" else ()))

    with pytest.raises(TraceError, match=rf"scipy\.special\.{name}.*Use graphad\.special\.{name}") as caught:
        ga.trace(function, np.ones(3))
    assert caught.value.location.file == __file__


def test_other_ufuncs_of_scipy_and_their_keywords_are_refused():
    with pytest.raises(TraceError, match=r"scipy\.special\.expi cannot be traced"):
        ga.trace(lambda t: scipy.special.expi(t), np.ones(3))
    with pytest.raises(TraceError, match=r"scipy\.special\.erf was asked to write"):
        ga.trace(lambda t: scipy.special.erf(t, out=np.ones(3)), np.ones(3))
    with pytest.raises(OpTypeError, match="takes no dtype"):
        ga.trace(lambda t: scipy.special.erfinv(t, dtype=np.float32), np.ones(3))
    with pytest.raises(OpTypeError, match=r"takes 2 argument\(s\), got 1"):
        ga.trace(lambda t: special.beta(t), np.ones(3))


def test_batches_and_files(tmp_path):
    a, x = points("gammainc", count=6)
    batched = ga.vmap(lambda a, x: special.gammainc(a, x) + special.polygamma(1, a))(a, x)
    np.testing.assert_allclose(batched, scipy.special.gammainc(a, x) + scipy.special.polygamma(1, a), rtol=1e-13)
    graph = ga.trace(ga.grad(lambda a, x: gnp.sum(special.gammainc(a, x))), a, x)
    save(graph, tmp_path / "graph.safetensors")
    assert load(tmp_path / "graph.safetensors") == graph
    program = (
        f"import graphad as ga; g = ga.load({str(tmp_path / 'graph.safetensors')!r}); "
        "import sys; assert 'scipy' not in sys.modules; print(len(g.nodes))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) == len(graph.nodes)


def test_without_scipy_the_error_names_the_extra():
    program = (
        "import sys; sys.modules['scipy'] = None\n"
        "import numpy as np, graphad as ga\n"
        "print(ga.trace(ga.special.ndtri, np.array([0.25, 0.5]))(np.array([0.25, 0.5]))[1])\n"
        "print(ga.trace(ga.grad(ga.special.gammaln), 2.0).output_types)\n"
        "try: ga.trace(ga.special.gammaln, np.ones(2))(np.ones(2))\n"
        "except ga.GraphadError as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "0.0"
    assert lines[-1].startswith("MissingExtraError") and 'pip install "graphad[scipy]"' in lines[-1]
