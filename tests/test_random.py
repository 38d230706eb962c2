"""ga.random: Philox to the bit, distributions by statistics at fixed seeds, keys, derivatives, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import scipy.stats

import graphad as ga
import graphad.random as random
from graphad.ir.errors import OpTypeError
from graphad.ir.walk import evaluate
from graphad.ops.philox import U32, U64, PhiloxBits, philox

KEY = random.key(20240229)
COUNT = 100_000
# Fixed seeds: a p-value below this would come once in 10,000 seeds if the distribution is right.
SMALL = 1e-4


# Philox, to the bit.

# Counter, key and block of Random123's known-answer file (kat_vectors), philox4x32 with 10 rounds.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


def scalar_philox(counter, key, width, multipliers, weyl):
    """Return a block of Philox4x<width>-10, in Python's integers."""
    mask = (1 << width) - 1
    c, k = list(counter), list(key)
    for _ in range(10):
        left, right = multipliers[0] * c[0], multipliers[1] * c[2]
        c = [right >> width ^ c[1] ^ k[0], right & mask, left >> width ^ c[3] ^ k[1], left & mask]
        k = [(k[0] + weyl[0]) & mask, (k[1] + weyl[1]) & mask]
    return tuple(c)


def philox32(counter, key):
    return scalar_philox(counter, key, 32, (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85))


def pair(words):
    return np.asarray(np.uint64(words[0] | words[1] << 32))


@pytest.mark.parametrize(("counter", "key", "block"), KNOWN)
def test_published_vectors(counter, key, block):
    assert philox32(counter, key) == block
    got = PhiloxBits((4,), U32).evaluate(pair(key), pair(counter[:2]), pair(counter[2:]))
    assert tuple(got.tolist()) == block
    halves = PhiloxBits((2,), U64).evaluate(pair(key), pair(counter[:2]), pair(counter[2:]))
    assert halves.tolist() == [block[0] | block[1] << 32, block[2] | block[3] << 32]


def test_the_scalar_model_is_numpys_philox_at_64_bits():
    key, counter = (0x0123456789ABCDEF, 42), (7, 8, 9, 10)
    generator = np.random.Philox(key=np.array(key, np.uint64), counter=np.array(counter, np.uint64))
    multipliers, weyl = (0xD2E7470EE14C6C93, 0xCA5A826395121157), (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
    # NumPy counts up before it draws.
    expected = scalar_philox((counter[0] + 1, *counter[1:]), key, 64, multipliers, weyl)
    assert tuple(generator.random_raw(4).tolist()) == expected


def test_long_draws_are_blocks_at_successive_counters_and_carry():
    start = (0xFFFFFFFE, 0xFFFFFFFF, 5, 6)
    got = PhiloxBits((16,), U32).evaluate(pair((1, 2)), pair(start[:2]), pair(start[2:]))
    blocks = [start, (0xFFFFFFFF, 0xFFFFFFFF, 5, 6), (0, 0, 6, 6), (1, 0, 6, 6)]
    assert got.tolist() == [word for counter in blocks for word in philox32(counter, (1, 2))]


@pytest.mark.parametrize("dtype", ["uint32", "uint64"])
def test_element_k_does_not_depend_on_the_shape_nor_on_how_it_is_cut_into_pieces(dtype):
    long = random.bits(KEY, 70_001, dtype)
    np.testing.assert_array_equal(random.bits(KEY, (3, 7), dtype).ravel(), long[:21])
    assert random.bits(KEY, (), dtype) == long[0]
    assert random.bits(KEY, (0, 3), dtype).shape == (0, 3)
    low = np.uint64(60_000 // (4 if dtype == "uint32" else 2))
    first, second = philox(np.asarray(KEY), low, np.uint64(0))
    block = [first, second] if dtype == "uint64" else [first & 0xFFFFFFFF, first >> 32]
    np.testing.assert_array_equal(long[60_000:60_002], np.array(block).astype(dtype))


def test_bits_are_even():
    words = random.bits(KEY, COUNT)
    ones = np.array([np.sum(words >> bit & 1) for bit in range(32)])
    assert np.all(np.abs(ones - COUNT / 2) < 5 * np.sqrt(COUNT) / 2)
    counts = np.bincount(words >> 24, minlength=256)
    assert scipy.stats.chisquare(counts).pvalue > SMALL


# Keys.


def test_keys():
    assert random.key(0).dtype == np.uint64 and random.key(0).shape == ()
    assert random.key(-1) == 2**64 - 1 and random.key(2**64 + 3) == random.key(3)
    assert random.key(np.int32(5)) == random.key(5)
    assert ga.trace(random.key, np.int64(0))(-1) == random.key(-1)


def test_split_and_fold_in_give_different_keys():
    children = random.split(KEY, 1000)
    folded = np.array([random.fold_in(KEY, k) for k in range(100)])
    everything = np.concatenate([children, folded, random.bits(KEY, 1000, np.uint64), [KEY]])
    assert len(set(everything.tolist())) == everything.size
    np.testing.assert_array_equal(random.split(KEY), children[:2])
    assert random.split(KEY, (2, 3)).shape == (2, 3)
    np.testing.assert_array_equal(ga.trace(random.fold_in, KEY, np.int64(0))(KEY, 7), random.fold_in(KEY, 7))


def test_no_draw_uses_the_keys_that_split_gives():
    one, two = random.split(KEY)
    logarithms = [random.loggamma(k, np.full(4, 2.0)) for k in (one, two)]
    assert not np.any(np.isclose(random.beta(KEY, np.full(4, 2.0), 2.0), scipy.special.expit(np.subtract(*logarithms))))


def test_draws_of_split_keys_are_independent():
    one, two = random.split(KEY)
    third = random.fold_in(KEY, 1)
    draws = np.stack([random.normal(k, (COUNT,)) for k in (KEY, one, two, third)])
    correlations = np.corrcoef(draws) - np.eye(4)
    assert np.max(np.abs(correlations)) < 5 / np.sqrt(COUNT)
    # Pairs of neighbouring seeds, and of neighbouring folded numbers: the first draw of each is uniform, too.
    for keys in (np.arange(4096, dtype=np.uint64), random.split(KEY, 4096)):
        first = ga.vmap(lambda k: random.uniform(k))(keys)
        assert scipy.stats.kstest(first, "uniform").pvalue > SMALL
        assert abs(np.corrcoef(first[:-1], first[1:])[0, 1]) < 5 / 64


@pytest.mark.parametrize(
    "bad", [3, 1.0, np.zeros(2, np.uint64), np.uint32(3), "key"], ids=["int", "float", "array", "u32", "text"]
)
def test_what_is_no_key_is_refused(bad):
    error = OpTypeError if not isinstance(bad, str) else (OpTypeError, TypeError)
    with pytest.raises(error):
        random.uniform(bad)


# Distributions: draws, in float64 and float32, against the distribution function.

CONTINUOUS = {
    "uniform": (lambda k, n, d: random.uniform(k, n, d), scipy.stats.uniform()),
    "uniform of bounds": (lambda k, n, d: random.uniform(k, n, d, -2, 3.5), scipy.stats.uniform(-2, 5.5)),
    "normal": (lambda k, n, d: random.normal(k, n, d), scipy.stats.norm()),
    "exponential": (lambda k, n, d: random.exponential(k, n, d), scipy.stats.expon()),
    "laplace": (lambda k, n, d: random.laplace(k, n, d), scipy.stats.laplace()),
    "gumbel": (lambda k, n, d: random.gumbel(k, n, d), scipy.stats.gumbel_r()),
    "gamma 0.1": (lambda k, n, d: random.gamma(k, 0.1, n, d), scipy.stats.gamma(0.1)),
    "gamma 1": (lambda k, n, d: random.gamma(k, 1.0, n, d), scipy.stats.gamma(1.0)),
    "gamma 7.5": (lambda k, n, d: random.gamma(k, 7.5, n, d), scipy.stats.gamma(7.5)),
    "gamma 1e5": (lambda k, n, d: random.gamma(k, 1e5, n, d), scipy.stats.gamma(1e5)),
    "beta 2 0.7": (lambda k, n, d: random.beta(k, 2.0, 0.7, n, d), scipy.stats.beta(2, 0.7)),
    "truncated": (lambda k, n, d: random.truncated_normal(k, -0.5, 2.0, n, d), scipy.stats.truncnorm(-0.5, 2)),
    "lower tail": (lambda k, n, d: random.truncated_normal(k, -np.inf, -6.0, n), scipy.stats.truncnorm(-np.inf, -6)),
    "upper tail": (lambda k, n, d: random.truncated_normal(k, 10.0, 11.0, n), scipy.stats.truncnorm(10, 11)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", CONTINUOUS)
def test_kolmogorov_smirnov(name, dtype):
    draw, distribution = CONTINUOUS[name]
    if "tail" in name and dtype == "float32":
        dtype = "float64"
    values = draw(KEY, (COUNT,), dtype)
    assert values.dtype == dtype and values.shape == (COUNT,)
    low, high = distribution.support()
    assert np.all((values >= low) & (values <= high))
    assert scipy.stats.kstest(values.astype(float), distribution.cdf).pvalue > SMALL


@pytest.mark.parametrize("name", ["uniform", "normal", "exponential", "laplace", "gumbel", "gamma 7.5", "beta 2 0.7"])
def test_moments(name):
    draw, distribution = CONTINUOUS[name]
    values = draw(KEY, (COUNT,), "float64")
    mean, variance, excess = (float(m) for m in distribution.stats("mvk"))
    assert abs(values.mean() - mean) < 5 * np.sqrt(variance / COUNT)
    assert abs(values.var() - variance) < 5 * variance * np.sqrt((excess + 2) / COUNT)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype):
    u = random.uniform(KEY, (COUNT,), dtype)
    assert u.dtype.name == dtype
    digits = {"float16": 11, "bfloat16": 8}[dtype]
    counts = np.bincount((u.astype(float) * 2**digits).astype(int), minlength=2**digits)
    assert len(counts) == 2**digits and scipy.stats.chisquare(counts).pvalue > SMALL
    for draw in (random.normal, random.exponential):
        single = draw(KEY, (100,), np.float32)
        half = draw(KEY, (100,), dtype)
        assert half.dtype.name == dtype
        np.testing.assert_array_equal(half, single.astype(half.dtype))


def test_tails_of_normal_numbers_are_exact():
    # The smallest and largest words give finite numbers, far out.
    tails = np.array([0, 2**63 - 1, 2**63, 2**64 - 1], np.uint64)
    r = ((tails & (2**63 - 1)).astype(float) + 0.5) * 2.0**-64
    assert scipy.special.ndtri(r[0]) < -9.1
    values = random.normal(KEY, (COUNT * 10,))
    beyond = np.sum(np.abs(values) > 4)
    expected = 2 * scipy.special.ndtr(-4) * values.size
    assert abs(beyond - expected) < 5 * np.sqrt(expected)
    assert len(set(random.normal(KEY, (COUNT,), np.float32).tolist())) > 0.97 * COUNT


def test_bernoulli():
    p = np.array([0.0, 0.1, 0.5, 1.0])
    draws = random.bernoulli(KEY, p, (COUNT, 4))
    assert draws.dtype == bool
    assert np.all(np.abs(draws.mean(axis=0) - p) <= 5 * np.sqrt(p * (1 - p) / COUNT))
    assert random.bernoulli(KEY, p).shape == (4,) and random.bernoulli(KEY).shape == ()


def test_categorical():
    p = np.array([0.1, 0.0, 0.25, 0.65])
    with np.errstate(divide="ignore"):
        logits = np.log(p)
    draws = random.categorical(KEY, logits + 3, shape=(COUNT,))
    counts = np.bincount(draws, minlength=4)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[p > 0], COUNT * p[p > 0]).pvalue > SMALL
    many = random.categorical(KEY, np.stack([logits, logits[::-1]], axis=1), axis=0, shape=(5, 2))
    assert many.shape == (5, 2) and many.dtype == np.int64


def test_randint():
    draws = random.randint(KEY, (COUNT,), -3, 4)
    assert draws.dtype == np.int64
    assert scipy.stats.chisquare(np.bincount(draws + 3)).pvalue > SMALL and draws.min() == -3 and draws.max() == 3
    words = [int(w) for w in random.bits(KEY, 50, np.uint64)]
    for low, high in ((0, 1), (5, 6), (0, 2**40 + 7), (-(2**63), 2**63 - 1), (2**62, 2**63 - 1)):
        expected = [low + (w * (high - low) >> 64) for w in words]
        assert random.randint(KEY, 50, low, high).tolist() == expected
    assert random.randint(KEY, 4, 0, 200, np.uint8).dtype == np.uint8
    traced = ga.trace(lambda k, n: random.randint(k, (50,), 0, n), KEY, np.int64(1))
    np.testing.assert_array_equal(traced(KEY, 10**6), random.randint(KEY, 50, 0, 10**6))


def test_permutation():
    keys = random.split(KEY, 24_000)
    orders = ga.vmap(lambda k: random.permutation(k, 4))(keys)
    codes = orders @ np.array([64, 16, 4, 1])
    _, counts = np.unique(codes, return_counts=True)
    assert len(counts) == 24 and scipy.stats.chisquare(counts).pvalue > SMALL
    x = np.arange(12.0).reshape(3, 4)
    order = random.permutation(KEY, 4)
    np.testing.assert_array_equal(random.permutation(KEY, x, axis=1), x[:, order])
    np.testing.assert_array_equal(np.sort(random.permutation(KEY, 1000)), np.arange(1000))


def test_choice():
    p = np.array([1.0, 0.0, 2.0, 5.0])
    drawn = random.choice(KEY, 4, (COUNT,), p=p)
    counts = np.bincount(drawn, minlength=4)
    assert counts[1] == 0
    assert scipy.stats.chisquare(counts[p > 0], COUNT * p[p > 0] / 8).pvalue > SMALL
    assert scipy.stats.chisquare(np.bincount(random.choice(KEY, 5, (COUNT,)))).pvalue > SMALL
    parts = np.arange(12.0).reshape(3, 4)
    assert random.choice(KEY, parts, (2, 5), axis=1).shape == (3, 2, 5)
    few = random.choice(KEY, 10, (2, 5), replace=False)
    assert sorted(few.ravel().tolist()) == list(range(10))


def test_choice_without_replacement_draws_one_after_another():
    p = np.array([0.5, 0.3, 0.2])
    keys = random.split(KEY, 20_000)
    pairs = ga.vmap(lambda k: random.choice(k, 3, (2,), replace=False, p=p))(keys)
    assert np.all(pairs[:, 0] != pairs[:, 1])
    counts = np.bincount(pairs @ np.array([3, 1]), minlength=9).reshape(3, 3)
    expected = p[:, None] * p[None, :] / (1 - p[:, None]) * len(keys)
    off = ~np.eye(3, dtype=bool)
    assert scipy.stats.chisquare(counts[off], expected[off]).pvalue > SMALL


def test_dirichlet():
    alpha = np.array([0.5, 2.0, 4.0])
    draws = random.dirichlet(KEY, alpha, (COUNT,))
    np.testing.assert_allclose(draws.sum(axis=-1), 1)
    for k in range(3):
        assert scipy.stats.kstest(draws[:, k], scipy.stats.beta(alpha[k], 6.5 - alpha[k]).cdf).pvalue > SMALL


def test_gamma_at_the_edges():
    a = np.array([0.0, -1.0, np.nan, np.inf, 1e-4, 1e12])
    values, logarithms = random.gamma(KEY, a), random.loggamma(KEY, a)
    assert values[0] == 0 and np.isnan(values[1]) and np.isnan(values[2]) and values[3] == np.inf
    assert np.isfinite(logarithms[4]) and logarithms[4] < -100
    assert abs(values[5] / 1e12 - 1) < 1e-5
    np.testing.assert_array_equal(random.gamma(KEY, np.full(5, 2.0))[:3], random.gamma(KEY, np.full(3, 2.0)))
    assert random.gamma(KEY, np.zeros((0, 2))).shape == (0, 2)


# Derivatives.


def test_derivatives_of_draws_by_composition():
    ga.check_grads(lambda m, s: m + s * random.normal(KEY, (4,)), [np.float64(0.5), np.float64(2.0)])
    ga.check_grads(lambda lo, hi: random.uniform(KEY, (4,), minval=lo, maxval=hi), [np.float64(0.5), np.float64(2.0)])
    ga.check_grads(
        lambda lo, hi: random.truncated_normal(KEY, lo, hi, (4,)), [np.float64(-0.5), np.float64(1.5)], atol=1e-4
    )


@pytest.mark.parametrize("a", [0.05, 0.7, 1.0, 3.0, 50.0, 1e4])
def test_gamma_draws_move_as_quantiles_do(a):
    draws = random.gamma(KEY, a, (40,))
    moved = ga.jvp(lambda a: random.gamma(KEY, a, (40,)), (np.float64(a),), (np.float64(1.0),))[1]
    low = scipy.special.gammainc(a, draws) < 0.5
    probability = np.where(low, scipy.special.gammainc(a, draws), scipy.special.gammaincc(a, draws))
    step = 1e-4 * a

    def quantile(a):
        return np.where(low, scipy.special.gammaincinv(a, probability), scipy.special.gammainccinv(a, probability))

    # Differences of the quantile by Richardson's extrapolation.
    one, two = ((quantile(a + h) - quantile(a - h)) / (2 * h) for h in (step, 2 * step))
    np.testing.assert_allclose(moved, (4 * one - two) / 3, rtol=1e-6, atol=1e-12)


def test_second_derivative_of_gamma_draws_is_the_derivative_of_the_first():
    # E log x = digamma(a): every derivative of the mean is known, and the mean of derivatives is near.
    def mean(a):
        return np.mean(random.loggamma(KEY, a, (COUNT,)))

    first, second = ga.grad(mean), ga.grad(ga.grad(mean))
    assert abs(first(2.0) - scipy.special.polygamma(1, 2.0)) < 0.01
    assert abs(second(2.0) - scipy.special.polygamma(2, 2.0)) < 0.02


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (2.0, 5.0)])
def test_derivatives_of_beta_draws(a, b):
    def moment(a, b):
        return np.mean(random.beta(KEY, a, b, (COUNT,)) ** 2)

    by_a, by_b = ga.grad(moment, argnums=(0, 1))(a, b)
    exact = a * (a + 1) / ((a + b) * (a + b + 1))
    down = 1 / (a + b) + 1 / (a + b + 1)
    np.testing.assert_allclose(by_a, exact * (1 / a + 1 / (a + 1) - down), rtol=0.03)
    np.testing.assert_allclose(by_b, -exact * down, rtol=0.03)


# Graphs: traced keys, symbolic sizes, batches, executors.

DRAWS = {
    "bits": lambda k: random.bits(k, (3, 5)),
    "split": lambda k: random.split(k, 3),
    "fold_in": lambda k: random.fold_in(k, 3),
    "uniform": lambda k: random.uniform(k, (5,)),
    "normal": lambda k: random.normal(k, (5,)),
    "normal f4": lambda k: random.normal(k, (5,), np.float32),
    "truncated_normal": lambda k: random.truncated_normal(k, -1.0, 2.0, (3,)),
    "exponential": lambda k: random.exponential(k, (5,)),
    "randint": lambda k: random.randint(k, (5,), 0, 1000),
    "bernoulli": lambda k: random.bernoulli(k, 0.3, (7,)),
    "categorical": lambda k: random.categorical(k, np.zeros(5), shape=(3,)),
    "permutation": lambda k: random.permutation(k, 9),
    "choice": lambda k: random.choice(k, 9, (3,), replace=False),
    "gamma": lambda k: random.gamma(k, np.array([0.5, 3.0])),
    "beta": lambda k: random.beta(k, 2.0, np.array([0.5, 3.0])),
}


@pytest.mark.parametrize("name", DRAWS)
def test_every_executor_and_a_batch_give_the_numbers_of_the_eager_call(name):
    draw = DRAWS[name]
    expected = draw(KEY)
    assert isinstance(expected, np.ndarray)
    graph = ga.trace(draw, KEY)
    for got in (evaluate(graph, [KEY])[0], graph(KEY), ga.compile(ga.optimize(graph))(KEY), ga.jit(draw)(KEY)):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    keys = random.split(KEY, 4)
    np.testing.assert_array_equal(ga.vmap(draw)(keys), np.stack([draw(k) for k in keys]))
    assert ga.parse(ga.print_graph(graph)) == graph


def test_symbolic_sizes_and_traced_arguments_record():
    n = ga.dim("n")
    graph = ga.trace(lambda k, x: x + random.normal(k, x.shape), KEY, ga.spec((n, 3), "float64"))
    np.testing.assert_array_equal(graph(KEY, np.zeros((2, 3))), random.normal(KEY, (2, 3)))
    graph = ga.trace(lambda x: x + random.uniform(KEY, (n,)), ga.spec((n,), "float64"))
    np.testing.assert_array_equal(graph(np.zeros(4)), random.uniform(KEY, 4))
    graph = ga.trace(lambda k, x: random.permutation(k, x), KEY, ga.spec((n, 2), "float64"))
    x = np.arange(10.0).reshape(5, 2)
    np.testing.assert_array_equal(graph(KEY, x), random.permutation(KEY, x))


def test_draws_of_eager_tensors():
    a = ga.tensor(np.array([2.0, 3.0]), requires_grad=True)
    draws = random.gamma(KEY, a)
    np.testing.assert_array_equal(draws.numpy(), random.gamma(KEY, np.array([2.0, 3.0])))
    draws.sum().backward()
    assert np.all(a.grad.numpy() > 0)


# What is refused.


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: random.uniform(KEY, (2,), np.int64), "floating-point"),
        (lambda: random.bits(KEY, (2,), np.int32), "u32 or u64"),
        (lambda: random.randint(KEY, (2,), 3, 3), "minval < maxval"),
        (lambda: random.randint(KEY, (2,), 0.5, 3), "integers"),
        (lambda: random.randint(KEY, (2,), 0, 3, np.float32), "integers"),
        (lambda: random.choice(KEY, 3, (4,), replace=False), "without replacement"),
        (lambda: random.uniform(KEY, (), minval=np.zeros(3)), "shape"),
        (lambda: random.gamma(KEY, np.ones((2, 2)), (2,)), "does not fit"),
        (lambda: random.key(1.5), "one integer"),
        (lambda: random.key(np.arange(2)), "one integer"),
        (lambda: random.fold_in(KEY, 1.5), "one integer"),
        (lambda: random.categorical(KEY, np.zeros((3, 4)), shape=(5,)), "does not end"),
        (lambda: random.dirichlet(KEY, 1.0), "at least one axis"),
    ],
)
def test_wrong_arguments_are_refused_at_the_users_line(call, message):
    with pytest.raises(OpTypeError, match=message) as caught:
        call()
    assert caught.value.location.file == __file__
