"""Gamma variates: rejection needs a loop that differs from element to element, so that they are an op of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.op import General, function_of
from graphad.ir.samples import integers, real, sample
from graphad.ir.types import TensorType, is_float
from graphad.ops.incomplete import gamma_tail_of
from graphad.ops.normal import normal_quantile
from graphad.ops.philox import U64, philox
from graphad.ops.shape import batch_size, same_shape, spread

if TYPE_CHECKING:
    from graphad.ir.op import Cotangents, Tangents, Tensors
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

COUNTERS = np.uint64(3 << 56)
"""High half of the counters of the first element: no other use of a key counts there."""
_BOOST = np.array([1 << 63], np.uint64)
"""Low half of the counter of the number that takes a variate of shape a + 1 to shape a; below it, one an attempt."""


def _fraction(bits: Array) -> Array:
    """Return numbers in (0, 1): odd multiples of 2^-54."""
    return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53


def _normal(bits: Array) -> Array:
    """Return standard normal numbers: a sign, and the quantile of a tail probability of 63 bits."""
    tail = ((bits & np.uint64((1 << 63) - 1)).astype(np.float64) + 0.5) * 2.0**-64
    return np.where(bits >> np.uint64(63), -1.0, 1.0) * normal_quantile(tail - 0.5, tail)


def log_gamma_variates(key: Array, a: Array) -> Array:
    """Return the logarithms of gamma variates of shapes a, an array [keys, elements], for keys [keys].

    Marsaglia & Tsang (2000), A simple method for generating gamma variables. Each element has counters of its own, so
    that no value depends on how often another was rejected. a = 0 gives -inf; a < 0 or nan gives nan.
    """
    shape = a.shape
    index = np.broadcast_to(np.arange(shape[1], dtype=np.uint64), shape).ravel()
    keys, high = np.broadcast_to(key[:, None], shape).ravel(), COUNTERS + index
    shapes = a.ravel().astype(np.float64)
    y = np.where(shapes == 0, -np.inf, np.where(shapes == np.inf, np.inf, np.nan))
    valid = (shapes > 0) & (shapes < np.inf)
    pending = np.flatnonzero(valid)
    d = np.where(valid, np.where(shapes < 1, shapes + 1, shapes), 1) - 1 / 3
    attempt = np.zeros(1, np.uint64)
    with np.errstate(all="ignore"):
        while pending.size:
            first, second = philox(keys[pending], attempt, high[pending])
            x, u, scale = _normal(first), _fraction(second), d[pending]
            t = x / np.sqrt(9 * scale)
            log_v = 3 * np.log1p(t)
            accepted = (t > -1) & (np.log(u) < 0.5 * x * x + scale * (log_v - t * (3 + t * (3 + t))))
            y[pending[accepted]] = np.log(scale[accepted]) + log_v[accepted]
            pending = pending[~accepted]
            attempt += np.uint64(1)
        small = np.flatnonzero(valid & (shapes < 1))
        boost, _ = philox(keys[small], _BOOST, high[small])
        y[small] += np.log(_fraction(boost)) / shapes[small]
    return y.reshape(shape)


class LogGammaSample(General):
    """y = the logarithm of a gamma variate of shape a, for keys u64 of shape B and shapes a of shape (*B, ...).

    The derivative by a is that of the quantile at the same probability, -(dP/da) / p (Figurnov, Mohamed & Mnih 2018,
    Implicit reparameterization gradients): expectations have the right derivatives, single paths are not continuous.
    """

    may_raise, copies = False, 14.0
    samples = (
        sample(integers(low=0, high=2**62, dtype="uint64"), real(3, 4, low=0.2, high=4), smooth=False),
        sample(integers(2, low=0, high=2**62, dtype="uint64"), real(2, 3, low=0.2, high=4), smooth=False),
        sample(integers(low=0, high=2**62, dtype="uint64"), real(low=0.2, dtype="float32"), smooth=False),
        sample(integers(3, low=0, high=2**62, dtype="uint64"), real(3, 0), smooth=False),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        """The type of a."""
        if len(operands) != 2:
            fail("takes a key and shapes")
        key, a = operands
        if key.dtype != U64 or not is_float(a.dtype):
            fail("needs a u64 key and floating-point shapes")
        if key.ndim > a.ndim or not same_shape(key.shape, a.shape[: key.ndim]):
            fail("the key's shape must be the first axes of a's")
        return a

    def evaluate(self, *operands: Array) -> Array:
        """Rejection in float64."""
        key, a = operands
        count = key.size
        rows = a.reshape(count, a.size // count if count else 0)
        return log_gamma_variates(key.ravel(), rows).reshape(a.shape).astype(a.dtype, copy=False)

    def vjp(self, cotangents: Cotangents, operands: Tensors, results: Tensors) -> Cotangents:
        (g,), (_, a), (y,) = cotangents, operands, results
        return None, None if g is None else -g * gamma_tail_of(1, a, y)

    def jvp(self, tangents: Tangents, operands: Tensors, results: Tensors) -> Tangents:
        (_, t), (_, a), (y,) = tangents, operands, results
        return (None if t is None else -t * gamma_tail_of(1, a, y),)

    def batch(self, batched: tuple[bool, ...], *operands: Tensor) -> Tensor:
        """The same op: a key for each element of the batch."""
        return apply(self, *spread(batch_size(batched, operands), batched, operands))


log_gamma_sample = function_of(LogGammaSample)
