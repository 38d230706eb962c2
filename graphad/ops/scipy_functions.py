"""How an elementwise op is evaluated where NumPy has no ufunc for it: by SciPy, or by a function with temporaries, in
blocks.

SciPy is an optional extra: it is imported when the first such op is evaluated, never to trace, differentiate or draw.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from graphad.ir.blocks import blocks
from graphad.ir.dims import static
from graphad.ir.errors import MissingExtraError
from graphad.ir.op import Elementwise
from graphad.ir.types import TensorType

Array = np.ndarray[Any, Any]


@functools.cache
def scipy_special(name: str) -> Callable[..., Any]:
    """Return a function of `scipy.special`; MissingExtraError where SciPy is not installed."""
    try:
        from scipy import special
    except ImportError as error:
        raise MissingExtraError(
            f'{name} is evaluated by SciPy, which is not installed: pip install "graphad[scipy]"'
        ) from error
    found: Callable[..., Any] = getattr(special, name)
    return found


def single(x: Array) -> Array:
    """Return half-precision numbers in float32, in which functions compute them; others as they are."""
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


BLOCK_TEMPORARIES = 1 << 20
"""Bytes of the temporaries of one block, but for ops of so many that it would have few elements."""
FEWEST = 256
"""Elements of a block, at least."""


class Blockwise(Elementwise, abstract=True):
    """An elementwise op whose evaluation makes temporaries: it goes block by block, so that they stay small."""

    allocates = True
    depth: ClassVar[int] = 16
    """Arrays of 8-byte numbers, as large as the result, that are there at once while it is evaluated."""

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """Copy the evaluation of one block after the other."""
        (target,) = out
        for block in blocks(target.shape, self._block()):
            np.copyto(target[block], self.evaluate(*[x[block] for x in operands]))

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """Those of one block."""
        return 8 * self.depth * min(static(results[0].size), self._block())

    def _block(self) -> int:
        """Return the elements of a block."""
        return max(BLOCK_TEMPORARIES // (8 * self.depth), FEWEST)


class ScipyUfunc(Blockwise, abstract=True):
    """An elementwise op that the ufunc `scipy` of `scipy.special` evaluates, in the operands' precision or float32."""

    allocates = False
    scipy: ClassVar[str]

    def evaluate(self, *operands: Array) -> Array:
        """scipy.special's ufunc of the operands."""
        y = np.asarray(scipy_special(self.scipy)(*map(single, operands)))
        return y.astype(operands[0].dtype, copy=False)

    def evaluate_into(self, out: tuple[Array, ...], *operands: Array) -> None:
        """scipy.special's ufunc of the operands, out=out."""
        if out[0].dtype.itemsize < 4:
            super().evaluate_into(out, *operands)
        else:
            scipy_special(self.scipy)(*operands, out=out[0])

    def temporaries(self, operands: tuple[TensorType, ...], results: tuple[TensorType, ...]) -> int:
        """Those of one block in half precision, else none."""
        return super().temporaries(operands, results) if results[0].dtype.itemsize < 4 else 0


class Computed(Blockwise, abstract=True):
    """An elementwise op whose `ufunc` is a function that makes temporaries and takes no `out`."""

    def evaluate(self, *operands: Array) -> Array:
        """ufunc(*operands), in the operands' dtype."""
        return np.asarray(self.ufunc(*map(single, operands))).astype(operands[0].dtype, copy=False)
