"""Random bits: Philox4x32-10, a counter-based generator (Salmon, Moraes, Dror & Shaw 2011, Parallel random numbers).

The one source of randomness in a graph: a function of a 64-bit key and a 128-bit counter, in integer arithmetic alone,
so that every executor and platform gives the same bits. All else that is random is written with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from graphad.ir.dims import Dim, at_least, static
from graphad.ir.emit import apply
from graphad.ir.errors import fail
from graphad.ir.frozen import frozen
from graphad.ir.op import General
from graphad.ir.samples import integers, sample
from graphad.ir.types import DType, TensorType
from graphad.ops.shape import batch_size, same_shape, spread

if TYPE_CHECKING:
    from graphad.tracing.tensor import Tensor

Array = np.ndarray[Any, Any]

U32, U64 = np.dtype(np.uint32), np.dtype(np.uint64)

ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_CHUNK = 1 << 14


def philox(key: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the two 64-bit halves of the Philox4x32-10 block of a key and a counter (its halves `low` and `high`).

    Word k of the published algorithm is bits 32 k to 32 k + 31 of a counter or block; of a key likewise. uint64 arrays
    that broadcast.
    """
    key_low, key_high = key & _LOW, key >> _HALF
    c0, c1, c2, c3 = low & _LOW, low >> _HALF, high & _LOW, high >> _HALF
    first, second = _MULTIPLIERS
    for number in range(ROUNDS):
        left, right = first * c0, second * c2
        k0 = (key_low + np.uint64(number * _WEYL[0] & 0xFFFFFFFF)) & _LOW
        k1 = (key_high + np.uint64(number * _WEYL[1] & 0xFFFFFFFF)) & _LOW
        c0, c1, c2, c3 = (right >> _HALF) ^ c1 ^ k0, right & _LOW, (left >> _HALF) ^ c3 ^ k1, left & _LOW
    return c0 | c1 << _HALF, c2 | c3 << _HALF


@frozen
class PhiloxBits(General):
    """y = random bits of a key and a 128-bit counter (low, high): blocks of Philox4x32-10 at counter, counter + 1, ...

    Operands are u64 of one shape, mostly scalars; each of their elements gives an array of `shape`. `dtype` is u32
    (four elements a block) or u64 (two). Element k does not depend on how many are drawn.
    """

    shape: tuple[Dim, ...]
    dtype: DType

    no_gradient, may_raise, copies = "gives random bits", False, 6.0
    samples = (
        sample(*[integers(low=0, high=2**62, dtype="uint64")] * 3, shape=(3, 5), dtype=U32),
        sample(*[integers(low=0, high=2**62, dtype="uint64")] * 3, shape=(7,), dtype=U64),
        sample(*[integers(2, 3, low=0, high=2**62, dtype="uint64")] * 3, shape=(), dtype=U64),
        sample(*[integers(3, low=0, high=2**62, dtype="uint64")] * 3, shape=(0, 2), dtype=U32),
    )

    def infer(self, *operands: TensorType) -> TensorType:
        """The operands' shape, then `shape`."""
        if len(operands) != 3 or any(t.dtype != U64 or not same_shape(t.shape, operands[0].shape) for t in operands):
            fail("needs a key and the two halves of a counter, u64 of one shape")
        if self.dtype not in (U32, U64):
            fail(f"gives u32 or u64, not {self.dtype}")
        if not all(at_least(n, 0) for n in self.shape):
            fail(f"the shape ({','.join(map(str, self.shape))}) has a negative size")
        return TensorType(self.dtype, (*operands[0].shape, *self.shape))

    def evaluate(self, *operands: Array) -> Array:
        """Blocks of each key, in pieces that stay in the cache."""
        shape = tuple(static(n) for n in self.shape)
        size = math.prod(shape)
        key, low, high = (operand.reshape(-1, 1) for operand in operands)
        blocks = -(-size * self.dtype.itemsize // 16)
        y = np.empty((len(key), blocks, 16 // self.dtype.itemsize), self.dtype)
        columns = min(max(blocks, 1), _CHUNK)
        rows = max(_CHUNK // columns, 1)
        for row in range(0, len(key) if blocks else 0, rows):
            here = slice(row, row + rows)
            for column in range(0, blocks, columns):
                steps = np.arange(column, min(column + columns, blocks), dtype=U64)
                counter = low[here] + steps
                carry = high[here] + (counter < steps)
                self._write(y[here, column : column + columns], philox(key[here], counter, carry))
        return y.reshape(len(key), math.prod(y.shape[1:]))[:, :size].reshape((*operands[0].shape, *shape))

    def _write(self, y: Array, halves: tuple[Array, Array]) -> None:
        for k, half in enumerate(halves):
            if self.dtype == U64:
                y[..., k] = half
            else:
                y[..., 2 * k] = half & _LOW
                y[..., 2 * k + 1] = half >> _HALF

    def batch(self, batched: tuple[bool, ...], *operands: Tensor) -> Tensor:
        """The same op: operands have any shape."""
        return apply(self, *spread(batch_size(batched, operands), batched, operands))


def philox_bits(key: Tensor, low: Tensor, high: Tensor, shape: tuple[Dim, ...], dtype: DType) -> Tensor:
    """Return random bits of a key at a counter."""
    return apply(PhiloxBits(shape, dtype), key, low, high)
