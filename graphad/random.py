"""Random numbers from explicit keys: a key and a shape always give the same numbers.

A key is one uint64 number, an ordinary array: traced functions take it, `vmap` maps over many, loops carry it along.
Draw from a key once; `split` it for more. All randomness is Philox4x32-10 (`graphad.ops.philox`), in integers: bits,
integers, uniform numbers, permutations and choices are the same to the bit on every executor and platform; what is
computed from them with logarithms (normal, gamma, ...) agrees to the rounding of these. `docs/random.md` says more.

Functions given arrays and numbers alone answer with NumPy arrays, at once: keys and draws are data then. Given a traced
key, argument or size they record nodes, as `graphad.numpy` does. Derivatives flow through arguments (bounds, shapes a
and b of gamma and beta) where a draw is a differentiable function of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

import numpy as np

import graphad.numpy as gnp
import graphad.ops as ops
from graphad.ir.dims import Dim, Size, product
from graphad.ir.graph import Graph, flat_containers
from graphad.ir.types import DType, is_float
from graphad.ir.walk import evaluate
from graphad.numpy.arguments import axis_of, dtype_of, refuse, shape_of
from graphad.numpy.elementwise import as_float
from graphad.ops.gamma_sample import log_gamma_sample
from graphad.ops.normal import ndtri
from graphad.ops.philox import U32, U64, philox_bits
from graphad.special import ndtr
from graphad.tracing.coerce import as_tensor, common_shape, constant
from graphad.tracing.tensor import Tensor

__all__ = [
    "bernoulli",
    "beta",
    "bits",
    "categorical",
    "choice",
    "dirichlet",
    "exponential",
    "fold_in",
    "gamma",
    "gumbel",
    "key",
    "laplace",
    "loggamma",
    "normal",
    "permutation",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]

P = ParamSpec("P")

_F64 = np.dtype(np.float64)
_F32 = np.dtype(np.float32)
_I64 = np.dtype(np.int64)

# High halves of the counters: one range for each use of a key (`gamma_sample` has another), so that they never meet.
_DRAW, _SPLIT, _FOLD = 0, 1 << 56, 2 << 56


def _answering(function: Callable[P, Tensor]) -> Callable[P, Any]:
    """Let a function of arrays and numbers alone give a NumPy array rather than nodes."""

    @functools.wraps(function)
    def answer(*arguments: P.args, **keywords: P.kwargs) -> Any:
        result = function(*arguments, **keywords)
        if any(_is_traced(x) for x in (*arguments, *keywords.values())):
            return result
        graph = Graph("random", (), (result.value,), (), ("draw",), *flat_containers(0, 1))
        with np.errstate(all="ignore"):
            return evaluate(graph, [])[0]

    return answer


def _is_traced(argument: Any) -> bool:
    if isinstance(argument, (tuple, list)):
        return any(_is_traced(item) for item in argument)
    return isinstance(argument, (Tensor, Size))


# Keys.


@_answering
def key(seed: Any) -> Tensor:
    """Return the key of an integer seed; of Python integers, the lowest 64 bits count. Different seeds differ."""
    if isinstance(seed, int):
        return constant(np.uint64(seed & 0xFFFFFFFFFFFFFFFF))
    number = as_tensor(seed)
    if number.dtype.kind not in "iu" or number.ndim:
        refuse(f"a seed is one integer, not {number.type}")
    return ops.cast(number, U64)


def _key(given: Any) -> Tensor:
    found = as_tensor(given)
    if found.dtype != U64 or found.ndim:
        refuse(
            f"a key is one uint64 number, as ga.random.key(seed) makes it, not {found.type}; "
            "for many keys, map over them with ga.vmap"
        )
    return found


def _words(key: Tensor, low: Any, high: int, shape: tuple[Dim, ...], dtype: DType) -> Tensor:
    start = low if isinstance(low, Tensor) else constant(np.uint64(low))
    return philox_bits(key, start, constant(np.uint64(high)), shape, dtype)


@_answering
def split(key: Any, num: Any = 2) -> Tensor:
    """Return `num` new keys, independent of each other and of what is drawn from `key`."""
    return _words(_key(key), 0, _SPLIT, shape_of(num), U64)


@_answering
def fold_in(key: Any, data: Any) -> Tensor:
    """Return a new key for `data`, an integer (a step, a layer); different integers give independent keys."""
    number = constant(np.uint64(data & 0xFFFFFFFFFFFFFFFF)) if isinstance(data, int) else as_tensor(data)
    if number.dtype.kind not in "iu" or number.ndim:
        refuse(f"fold_in takes one integer, not {number.type}")
    return _words(_key(key), ops.cast(number, U64), _FOLD, (), U64)


@_answering
def bits(key: Any, shape: Any = (), dtype: Any = np.uint32) -> Tensor:
    """Return random bits: uint32 or uint64 numbers. Element k does not depend on the shape."""
    return _bits(_key(key), shape_of(shape), dtype_of(dtype, U32))


def _bits(key: Tensor, shape: tuple[Dim, ...], dtype: DType) -> Tensor:
    return _words(key, 0, _DRAW, shape, dtype)


# Uniform numbers, and halves of (0, 1) for the tails of other distributions.


def _working(dtype: Any) -> tuple[DType, DType]:
    """Return the dtype asked for, and the one to compute in: float32, or float64 for float64."""
    wanted = dtype_of(dtype, _F64)
    if not is_float(wanted):
        refuse(f"draws are floating-point numbers, not {wanted}")
    return wanted, _F64 if wanted == _F64 else _F32


_DIGITS = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}
"""Binary digits of the numbers of a dtype."""


def _fraction(key: Tensor, shape: tuple[Dim, ...], dtype: DType, digits: int = 0) -> Tensor:
    """Return multiples of 2^-digits in [0, 1), in float32 or float64; as many digits as `dtype` has by default."""
    count = digits or _DIGITS[dtype.name]
    width, kind = (64, U64) if dtype == _F64 else (32, U32)
    return ops.cast(_bits(key, shape, kind) >> (width - count), dtype) * 2.0**-count


def _sided(key: Tensor, shape: tuple[Dim, ...], dtype: DType) -> tuple[Tensor, Tensor]:
    """Return a random bit, and numbers in (0, 1/2] that are dense near 0: (k + 1/2) / 2^64 (f32: 2^32), rounded.

    Together they are a number in (0, 1) that is exact in both tails: r from the lower or from the upper end.
    """
    width, kind = (64, U64) if dtype == _F64 else (32, U32)
    word = _bits(key, shape, kind)
    rest = ops.cast(word & ((1 << (width - 1)) - 1), dtype)
    return word >> (width - 1) == 1, (rest + 0.5) * 2.0**-width


@_answering
def uniform(key: Any, shape: Any = (), dtype: Any = np.float64, minval: Any = 0.0, maxval: Any = 1.0) -> Tensor:
    """Return numbers evenly distributed in [minval, maxval): minval + u (maxval - minval), u of 53 bits (f32: 24).

    Where minval is not 0, rounding may give maxval.
    """
    wanted, working = _working(dtype)
    u = _fraction(_key(key), shape_of(shape), working, _DIGITS[wanted.name])
    if not (_is(minval, 0) and _is(maxval, 1)):
        low, high = ops.cast(as_tensor(minval), working), ops.cast(as_tensor(maxval), working)
        u = low + u * (high - low)
    return ops.cast(_fitting(u, shape_of(shape)), wanted)


def _is(value: Any, number: float) -> bool:
    return isinstance(value, (int, float)) and value == number


def _fitting(y: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    """Return y; refuse where the arguments have more elements than the shape asked for."""
    if y.ndim != len(shape):
        refuse(f"the arguments give draws of shape {y.shape}, and shape={shape} was asked for")
    return ops.broadcast_to(y, shape)


@_answering
def normal(key: Any, shape: Any = (), dtype: Any = np.float64) -> Tensor:
    """Return standard normal numbers: quantiles of tail probabilities of 63 bits (f32: 31), on a random side.

    The tails are exact, and reach 9.1 standard deviations (f32: 6.3). Scale with ``mean + deviation * normal(...)``.
    """
    wanted, working = _working(dtype)
    return ops.cast(_normal(_key(key), shape_of(shape), working), wanted)


def _normal(key: Tensor, shape: tuple[Dim, ...], dtype: DType) -> Tensor:
    upper, r = _sided(key, shape, dtype)
    return _signed(ndtri(r), upper)


def _signed(x: Tensor, minus: Tensor) -> Tensor:
    """Return x with the other sign where `minus` holds."""
    y: Tensor = gnp.where(minus, -x, x)
    return y


@_answering
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Any = None, dtype: Any = np.float64) -> Tensor:
    """Return standard normal numbers within [lower, upper]: z with Phi(z) uniform, from the nearer tail.

    The shape is that of the bounds if not given. Bounds up to 37 standard deviations out are followed.
    """
    wanted, working = _working(dtype)
    low, high = ops.cast(as_tensor(lower), working), ops.cast(as_tensor(upper), working)
    sizes = common_shape([low.shape, high.shape]) if shape is None else shape_of(shape)
    flip = low > 0
    first, last = ndtr(gnp.where(flip, -high, low)), ndtr(gnp.where(flip, -low, high))
    u = _fraction(_key(key), sizes, working)
    z = ndtri(ops.cast(_fitting(first + u * (last - first), sizes), working))
    return ops.cast(gnp.clip(_signed(z, flip), low, high), wanted)


def _exponential(key: Tensor, shape: tuple[Dim, ...], dtype: DType) -> Tensor:
    upper, r = _sided(key, shape, dtype)
    y: Tensor = gnp.where(upper, -ops.log(r), -ops.log1p(-r))
    return y


@_answering
def exponential(key: Any, shape: Any = (), dtype: Any = np.float64) -> Tensor:
    """Return exponentially distributed numbers of mean 1: -log(u), exact near 0 and in the tail."""
    wanted, working = _working(dtype)
    return ops.cast(_exponential(_key(key), shape_of(shape), working), wanted)


@_answering
def laplace(key: Any, shape: Any = (), dtype: Any = np.float64) -> Tensor:
    """Return numbers of density e^-|x| / 2."""
    wanted, working = _working(dtype)
    upper, r = _sided(_key(key), shape_of(shape), working)
    return ops.cast(_signed(ops.log(2 * r), upper), wanted)


def _gumbel(key: Tensor, shape: tuple[Dim, ...], dtype: DType) -> Tensor:
    return -ops.log(_exponential(key, shape, dtype))


@_answering
def gumbel(key: Any, shape: Any = (), dtype: Any = np.float64) -> Tensor:
    """Return standard Gumbel numbers, -log of exponential ones."""
    wanted, working = _working(dtype)
    return ops.cast(_gumbel(_key(key), shape_of(shape), working), wanted)


# Discrete.


@_answering
def bernoulli(key: Any, p: Any = 0.5, shape: Any = None) -> Tensor:
    """Return booleans that are true with probability p; of p's shape if none is given."""
    chance = as_float(p)
    sizes = chance.shape if shape is None else shape_of(shape)
    working = _F64 if chance.dtype == _F64 else _F32
    return _fitting(_fraction(_key(key), sizes, working) < chance, sizes)


@_answering
def randint(key: Any, shape: Any, minval: Any, maxval: Any, dtype: Any = np.int64) -> Tensor:
    """Return integers evenly distributed in [minval, maxval), int64 bounds.

    The high half of the product of 64 random bits and the number of integers: no rejection, and a bias of at most
    (maxval - minval) / 2^64.
    """
    wanted = dtype_of(dtype, _I64)
    if wanted.kind not in "iu":
        refuse(f"randint gives integers, not {wanted}")
    for bound in (minval, maxval):
        if not isinstance(bound, (int, Size)) and as_tensor(bound).dtype.kind not in "iu":
            refuse(f"the bounds of randint are integers, not {as_tensor(bound).type}")
    if isinstance(minval, int) and isinstance(maxval, int) and minval >= maxval:
        refuse(f"randint needs minval < maxval, got {minval} and {maxval}")
    low, high = (ops.cast(as_tensor(bound), _I64) for bound in (minval, maxval))
    sizes = shape_of(shape)
    offset = _scaled(_bits(_key(key), sizes, U64), ops.cast(high - low, U64))
    return _fitting(ops.cast(low + ops.cast(offset, _I64), wanted), sizes)


def _scaled(word: Tensor, count: Tensor) -> Tensor:
    """Return floor(word * count / 2^64): the high half of a 64-bit product, from products of 32-bit halves."""
    mask = 0xFFFFFFFF
    a, b, c, d = word >> 32, word & mask, count >> 32, count & mask
    middle = (b * d >> 32) + (a * d & mask) + (b * c & mask)
    high: Tensor = a * c + (a * d >> 32) + (b * c >> 32) + (middle >> 32)
    return high


@_answering
def categorical(key: Any, logits: Any, axis: Any = -1, shape: Any = None) -> Tensor:
    """Return positions along `axis` of logits, each with probability softmax(logits): the largest of logits + Gumbel.

    `shape` is that of the result, whose last axes are those of logits without `axis` (the default).
    """
    scores = as_float(logits)
    place = axis_of(axis, scores.ndim)
    scores = gnp.moveaxis(scores, place, -1)
    rest = scores.shape[:-1]
    sizes = rest if shape is None else shape_of(shape)
    if sizes[len(sizes) - len(rest) :] != rest:
        refuse(f"shape={sizes} does not end in the shape {rest} of logits without axis {place}")
    working = _F64 if scores.dtype == _F64 else _F32
    return gnp.argmax(scores + _gumbel(_key(key), (*sizes, scores.shape[-1]), working), axis=-1)


@_answering
def permutation(key: Any, x: Any, axis: Any = 0) -> Tensor:
    """Return the parts of x along `axis` in random order; for an integer n (or a size), 0 ... n - 1 so."""
    if isinstance(x, (int, Size)):
        return _order(_key(key), x)
    t = as_tensor(x)
    place = axis_of(axis, t.ndim)
    return gnp.take(t, _order(_key(key), t.shape[place]), axis=place)


def _order(key: Tensor, n: Dim) -> Tensor:
    """Return 0 ... n - 1 in random order: the ranks of random words (ties, one in 2^64 a pair, keep their order)."""
    return gnp.argsort(_bits(key, (n,), U64), stable=True)


@_answering
def choice(key: Any, a: Any, shape: Any = (), replace: bool = True, p: Any = None, axis: Any = 0) -> Tensor:
    """Return parts of `a` along `axis` (of 0 ... a - 1 for an integer), drawn with or without replacement.

    Args:
        key: see `key`.
        a: an array, or the number of integers to draw from.
        shape: of the draws; the parts' other axes stay where they are.
        replace: whether a part may be drawn again.
        p: probabilities of the parts (None: all equal), any positive multiple of them. Without replacement, parts are
            drawn one after another in proportion to p (the largest of log p + Gumbel).
        axis: of a.
    """
    sizes, chosen = shape_of(shape), _key(key)
    source = None if isinstance(a, (int, Size)) else as_tensor(a)
    place = 0 if source is None else axis_of(axis, source.ndim)
    n: Any = a if source is None else source.shape[place]
    count = product(sizes)
    if not replace and isinstance(n, int) and isinstance(count, int) and count > n:
        refuse(f"choice cannot draw {count} of {n} parts without replacement")
    if replace:
        positions = _with_replacement(chosen, n, sizes, p)
    elif p is None:
        positions = gnp.reshape(_order(chosen, n)[:count], sizes)
    else:
        scores = ops.log(as_float(p)) + _gumbel(chosen, (n,), _F64)
        positions = gnp.reshape(gnp.argsort(-scores, stable=True)[:count], sizes)
    return positions if source is None else gnp.take(source, positions, axis=place)


def _with_replacement(key: Tensor, n: Dim, shape: tuple[Dim, ...], p: Any) -> Tensor:
    if p is None:
        offset = _scaled(_bits(key, shape, U64), ops.cast(as_tensor(n), U64))
        return ops.cast(offset, _I64)
    upto = gnp.cumsum(ops.cast(as_float(p), _F64))
    # u < 1 times the total may round up to the total, which lies behind the last part.
    found = gnp.searchsorted(upto, _fraction(key, shape, _F64) * upto[-1], side="right")
    last = gnp.searchsorted(upto, upto[-1], side="left")
    return gnp.minimum(found, last)


# Gamma and its relatives: implicit derivatives by the shape parameters.


def _log_gamma(key: Tensor, a: Any, shape: Any, dtype: Any) -> Tensor:
    wanted, working = _working(dtype)
    alpha = ops.cast(as_tensor(a), working)
    sizes = alpha.shape if shape is None else shape_of(shape)
    return ops.cast(log_gamma_sample(key, _fitting_parameters(alpha, sizes)), wanted)


def _fitting_parameters(a: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    if a.ndim > len(shape):
        refuse(f"a parameter of shape {a.shape} does not fit draws of shape {shape}")
    return ops.broadcast_to(a, shape)


@_answering
def loggamma(key: Any, a: Any, shape: Any = None, dtype: Any = np.float64) -> Tensor:
    """Return the logarithm of gamma variates of shape a > 0: finite where the variates of a small a underflow."""
    return _log_gamma(_key(key), a, shape, dtype)


@_answering
def gamma(key: Any, a: Any, shape: Any = None, dtype: Any = np.float64) -> Tensor:
    """Return gamma variates of shape a > 0 and scale 1, of density x^(a-1) e^-x / Gamma(a); a's shape if none is given.

    The derivative by a is implicit: that of the quantile at the same probability.
    """
    return ops.exp(_log_gamma(_key(key), a, shape, dtype))


@_answering
def beta(key: Any, a: Any, b: Any, shape: Any = None, dtype: Any = np.float64) -> Tensor:
    """Return beta variates of density x^(a-1) (1-x)^(b-1) / B(a, b): x / (x + y) of two gamma variates.

    Derivatives by a and b flow through these.
    """
    parameters = as_tensor(a), as_tensor(b)
    sizes = common_shape([t.shape for t in parameters]) if shape is None else shape_of(shape)
    wanted, working = _working(dtype)
    both = ops.stack([_fitting_parameters(ops.cast(t, working), sizes) for t in parameters])
    pair = log_gamma_sample(_key(key), both)
    return ops.cast(ops.expit(pair[0] - pair[1]), wanted)


@_answering
def dirichlet(key: Any, alpha: Any, shape: Any = None, dtype: Any = np.float64) -> Tensor:
    """Return points of the simplex along the last axis, of density prod x_k^(alpha_k - 1): scaled gamma variates.

    `shape` is that of the draws without that axis; alpha's if not given.
    """
    concentration = as_tensor(alpha)
    if not concentration.ndim:
        refuse("alpha has at least one axis: the parts of a point")
    sizes = concentration.shape[:-1] if shape is None else shape_of(shape)
    return gnp.softmax(_log_gamma(_key(key), concentration, (*sizes, concentration.shape[-1]), dtype), axis=-1)
